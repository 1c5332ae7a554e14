"""What became of the clips: every split's account, and what splits share."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Head, Row, Table

LEAKS = {
    "same_source": "cut from one recording",
    "identical": "the same media, byte for byte",
    "near_duplicate_sound": "alike in sound",
    "near_duplicate_picture": "alike in pictures",
}
ACTIONS = {"drop": "left out of the earlier split", "warn": "kept", "stop": "refused"}


def clips(inputs: Inputs) -> Section | None:
    """How many clips were asked for and used, and why the others were not."""
    splits = inputs.manifest.get("clips", {})
    if not all("requested" in part for part in splits.values()) or not splits:
        return None
    blocks = [Block("table", _splits(inputs.manifest)), Block("text", _set(inputs))]
    leaks = inputs.manifest.get("leaks", {})
    if leaks:
        blocks += [Block("heading", "Clips that splits share"), Block("table", _leaks(leaks))]
    return Section("clips", "The clips, all accounted for", blocks)


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
            Head("asked for"),
            Head("used"),
            Head("failed", "word"),
            Head("left out", "word"),
            Head("damaged"),
            Head("no sound"),
            Head("no picture"),
        ),
        rows=rows,
        caption=(
            "Damaged clips are used as far as they decode; a missing track is marked as absent, not"
            " filled with silence or black. data/shards/ledger.parquet has a row for every clip."
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
        return "These metrics do not say which clips they were computed on."
    common = inputs.params.score.common_with
    text = (
        f"Scores are of {wording.count(found['scored'])} of {wording.count(found['requested'])}"
        f" eval clips, the set {found['hash']} (hash of their ids); metrics/eval_clips.csv lists"
        " them."
    )
    if found["scored"] + found["missing"] < found["requested"]:
        text += f" They are those that {common} lists too."
    elif found["missing"]:
        text += (
            f" {wording.count(found['missing'])} could not be scored: the column “whole list” below"
            " says what they might have done to mAP at worst and at best."
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
        title="Clips that splits share",
        head=(Head("kind", "word"), *heads, Head("what was done", "word")),
        rows=rows,
        caption=(
            "Train comes before val, val before eval. data/shards/leaks.csv lists every pair, with"
            " the distance of the two hashes."
        ),
    )
