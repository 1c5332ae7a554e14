"""What was measured: data, classes, hash, seed and the threat card."""

from typing import Any

from markupsafe import Markup

from mmlib.evaluation.threat_card import (
    loudest,
    threat_card,
)
from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section


def measured(inputs: Inputs) -> Section:
    """The section; it needs params alone, and says more where the manifest is there."""
    blocks = [
        Block("facts", (("Data", _data(inputs)), ("Threat card", _threat(inputs)))),
    ]
    if inputs.missing:
        names = wording.listed(list(inputs.missing))
        note = f"Not on this page, because they have no scores: {names}."
        blocks.append(Block("note", note))
    return Section("measured", "What was measured", blocks)


def lede(inputs: Inputs) -> str:
    """One sentence under the title."""
    attack, mel = inputs.params.attack, inputs.params.shard.mel
    clips = inputs.manifest.get("clips", {}).get("eval", {}).get("count")
    runs, classes = len(inputs.runs), len(inputs.manifest.get("classes", []))
    if not runs:
        return "No model was evaluated."
    what = f"{runs} {'model' if runs == 1 else 'models'}"
    where = f", {wording.count(clips)} clips of {classes} classes" if clips else ""
    budgets = {
        "audio": f"{loudest(attack, mel.floor_db)} in the audio",
        "video": f"{attack.eps * attack.scale.video * 255:.3g} grey levels in the video",
    }
    read = {modality for run in inputs.runs for modality in run.modalities}
    listed = wording.listed([text for name, text in budgets.items() if name in read])
    return f"{what}{where}{f', attacked by changes of at most {listed}' if listed else ''}."


def _data(inputs: Inputs) -> list[tuple[str, Any]]:
    params, manifest = inputs.params, inputs.manifest
    clips = manifest.get("clips", {})
    counts = [f"{wording.count(part['count'])} {split}" for split, part in clips.items()]
    classes = list(manifest.get("classes", []))
    shown = ", ".join(classes[:16]) + (" …" if len(classes) > 16 else "")
    place = f" at {params.data.path}" if params.data.source == "folder" and params.data.path else ""
    mel, video = params.shard.mel, params.shard.video
    stored = f", stored as JPEG of quality {video.jpeg_quality}" if video.jpeg_quality else ""
    digest = clips.get("eval", {}).get("sha256", wording.MISSING)
    return [
        ("Data set", f"{params.data.source}{place}, {params.data.task.replace('_', '-')}"),
        ("Clips", ", ".join(counts) or wording.MISSING),
        ("Classes", f"{len(classes)}: {shown}" if classes else wording.MISSING),
        (
            "Per clip",
            f"{params.shard.seconds:g} s; log-mel {mel.frames} × {mel.bands} at"
            f" {mel.sample_rate_hz / 1000:g} kHz; {video.frames} frames of"
            f" {video.size} × {video.size} pixels{stored}",
        ),
        ("Eval ids, SHA-256", Markup('<code class="hash">{}</code>').format(digest)),
        ("Decoder", manifest.get("decoder") or wording.MISSING),
        ("Seed", str(params.seed)),
    ]


def _threat(inputs: Inputs) -> list[tuple[str, Any]]:
    return list(threat_card(inputs.params.attack, inputs.params.shard.mel.floor_db))
