"""What became of the clips: an account of every split, and clips that splits share."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Head, Row, Table

LEAKS = {
    "same_source": "from the same recording",
    "identical": "identical media, byte for byte",
    "near_duplicate_sound": "near-duplicate audio",
    "near_duplicate_picture": "near-duplicate video",
}
DAMAGE = {
    "empty_video": "nothing of the video decodes",
    "empty_audio": "nothing of the audio decodes",
    "video_errors": "errors in the video",
    "audio_errors": "errors in the audio",
    "video_times": "time stamps of the video run back or too far",
    "audio_times": "time stamps of the audio run back or too far",
    "audio_values": "samples far beyond full scale, or not finite",
    "cut_short": "the file is cut short",
    "decoder_failed": "the decoder failed",
}
ACTIONS = {"drop": "dropped from the earlier split", "warn": "kept", "stop": "refused"}


def clips(inputs: Inputs) -> Section | None:
    """How many clips were requested and used, and why the others were not."""
    splits = inputs.manifest.get("clips", {})
    if not all("requested" in part for part in splits.values()) or not splits:
        return None
    blocks = [Block("table", _splits(inputs.manifest))]
    damage = inputs.manifest.get("damage", {})
    if damage:
        blocks.append(Block("table", _damage(damage)))
    if inputs.runs:
        blocks.append(Block("text", _set(inputs)))
    leaks = inputs.manifest.get("leaks", {})
    if leaks:
        heading = Block("heading", "Clips shared between splits")
        blocks += [heading, Block("table", _leaks(leaks))]
    return Section("clips", "What became of every clip", blocks)


def _splits(manifest: Mapping[str, Any]) -> Table:
    rows = []
    for split, part in manifest["clips"].items():
        counts = (part["requested"], part["count"])
        reasons = [_reasons(manifest.get(key, {}).get(split, {})) for key in ("failed", "dropped")]
        marks = (part["damaged"], part["without_audio"], part["without_video"])
        cells = [Cell(wording.count(number)) for number in counts]
        cells += [Cell(text, kind="word") for text in reasons]
        cells += [Cell(wording.count(number)) for number in marks]
        rows.append(Row(split, cells))
    return Table(
        title="Clips by split",
        head=(
            Head("split", "word"),
            Head("requested"),
            Head("used"),
            Head("failed", "word"),
            Head("dropped", "word"),
            Head("damaged"),
            Head("no audio"),
            Head("no video"),
        ),
        rows=rows,
        caption=(
            "Damaged clips are used as far as they decode; a missing track is marked as missing,"
            " not replaced by silence or black frames. data/shards/ledger.parquet has one row per"
            " clip."
        ),
    )


def _damage(damage: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for kind, found in damage.items():
        examples = "; ".join(f"{clip_id}: {said}" for clip_id, said in found["examples"].items())
        clips = Cell(wording.count(sum(found["clips"].values())))
        what = Cell(DAMAGE.get(kind, wording.MISSING), kind="word")
        rows.append(Row(kind, [what, clips, Cell(examples, kind="text")]))
    return Table(
        title="Damaged clips",
        head=(
            Head("damage", "word"),
            Head("what it is", "word"),
            Head("clips"),
            Head("for example", "text"),
        ),
        rows=rows,
        caption=(
            "Of the clips that are used; one with several kinds of damage counts for each."
            " make ledger DAMAGE=cut_short lists all that are cut short."
        ),
    )


def _reasons(counts: Mapping[str, int]) -> str:
    listed = [
        f"{wording.count(number)} {reason.replace('_', ' ')}"
        for reason, number in Counter(counts).most_common()
    ]
    return ", ".join(listed) or "none"


def _set(inputs: Inputs) -> str | Markup:
    """The set behind the scores, as the first run's metrics tell."""
    found = inputs.runs[0].metrics.get("set")
    if not isinstance(found, Mapping):
        return "The metrics do not state which clips they were computed on."
    common = inputs.params.score.common_with
    text = (
        f"Scores cover {wording.count(found['scored'])} of {wording.count(found['requested'])}"
        f" eval clips: set {found['hash']} (hash of the clip ids), listed in"
        " metrics/eval_clips.csv."
    )
    if found["scored"] + found["missing"] < found["requested"]:
        text += f" Only clips that {common} lists too are scored."
    elif found["missing"]:
        text += (
            f" {wording.count(found['missing'])} could not be scored: the column “all clips” of the"
            " scores bounds what they could have done to mAP."
        )
    return text


def _leaks(leaks: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for kind, name in LEAKS.items():
        part = leaks.get(kind, {})
        counts = [Cell(wording.count(part.get(key, 0))) for key in ("clips", "pairs", "groups")]
        action = ACTIONS[part["action"]] if part.get("pairs") else wording.MISSING
        rows.append(Row(name, [*counts, Cell(action, kind="word")]))
    heads = [Head(name) for name in ("clips of the earlier split", "pairs", "groups")]
    return Table(
        title="Clips shared between splits",
        head=(Head("kind", "word"), *heads, Head("action", "word")),
        rows=rows,
        caption=(
            "The order is train, val, eval. data/shards/leaks.csv lists every pair with the"
            " distance between its two hashes."
        ),
    )
