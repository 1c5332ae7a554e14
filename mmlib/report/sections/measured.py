"""What was measured: data, classes, hash, seed and the threat card."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mmlib.report import wording
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section

NORMS = {
    "linf": "linf, the largest change of any value",
    "l2": "l2, given as the root-mean-square change",
    "l1": "l1, given as the mean absolute change",
}


def measured(inputs: Inputs) -> Section:
    """The section; it needs params alone, and says more where the manifest is there."""
    blocks = [
        Block("facts", (("Data", _data(inputs)), ("Threat card", _threat(inputs)))),
    ]
    if inputs.missing:
        names = wording.listed(list(inputs.missing))
        note = f"Not in this report, because their scores are not there: {names}."
        blocks.append(Block("note", note))
    return Section("measured", "What was measured", blocks)


def lede(inputs: Inputs) -> str:
    """One sentence under the title."""
    attack, mel = inputs.params.attack, inputs.params.shard.mel
    clips = inputs.manifest.get("clips", {}).get("eval", {}).get("count")
    runs, classes = len(inputs.runs), len(inputs.manifest.get("classes", []))
    what = f"{runs} {'model' if runs == 1 else 'models'}"
    where = f", {wording.count(clips)} clips of {classes} classes" if clips else ""
    decibels = f"{attack.eps * attack.scale.audio * mel.floor_db:.2g} dB"
    levels = f"{attack.eps * attack.scale.video * 255:.3g} grey levels"
    return (
        f"{what}{where}, attacked by changes of at most {decibels} in the sound and {levels} in the"
        " picture."
    )


def _data(inputs: Inputs) -> list[tuple[str, Any]]:
    params, manifest = inputs.params, inputs.manifest
    clips = manifest.get("clips", {})
    counts = [f"{wording.count(part['count'])} {split}" for split, part in clips.items()]
    classes = list(manifest.get("classes", []))
    shown = ", ".join(classes[:16]) + (" …" if len(classes) > 16 else "")
    place = f" at {params.data.path}" if params.data.source == "folder" and params.data.path else ""
    mel, video = params.shard.mel, params.shard.video
    digest = clips.get("eval", {}).get("sha256", wording.MISSING)
    return [
        ("Data set", f"{params.data.source}{place}, {params.data.task.replace('_', '-')}"),
        ("Clips", ", ".join(counts) or wording.MISSING),
        ("Lost on the way", _lost(manifest)),
        ("Classes", f"{len(classes)}: {shown}" if classes else wording.MISSING),
        (
            "A clip",
            f"{params.shard.seconds:g} s; log-mel {mel.frames} × {mel.bands} at"
            f" {mel.sample_rate_hz / 1000:g} kHz; {video.frames} frames of"
            f" {video.size} × {video.size} pixels",
        ),
        ("Eval ids, SHA-256", Markup('<code class="hash">{}</code>').format(digest)),
        ("Seed", str(params.seed)),
    ]


def _lost(manifest: Mapping[str, Any]) -> str:
    losses = [
        f"{wording.count(count)} of {split} ({reason.replace('_', ' ')})"
        for split, reasons in manifest.get("failed", {}).items()
        for reason, count in reasons.items()
        if count
    ]
    return ", ".join(losses) or "none"


def _threat(inputs: Inputs) -> list[tuple[str, Any]]:
    attack, mel = inputs.params.attack, inputs.params.shard.mel
    audio, video = attack.eps * attack.scale.audio, attack.eps * attack.scale.video
    sweep = ", ".join(f"{attack.eps * multiple:.4g}" for multiple in sorted(attack.sweep))
    restarts = "1 restart" if attack.restarts == 1 else f"{attack.restarts} restarts"
    return [
        ("Goal", "untargeted: make the loss on the true tags as large as possible"),
        ("Knowledge", "white box: weights, gradients and true tags"),
        (
            "Attack",
            f"PGD, {attack.steps} steps of {attack.step_size:g} ε / {attack.steps},"
            f" {restarts} (the worst for each clip is kept), loss {attack.loss}",
        ),
        (
            "Starts",
            "random; the solution at the next smaller budget; for A+V those of A and V alone",
        ),
        ("Norm", f"{NORMS[attack.norm]}, for each clip and modality alone"),
        (
            "Headline budget ε",
            f"sound {audio:.4g} of the {mel.floor_db:g} dB scale = {audio * mel.floor_db:.2g} dB of"
            f" log-mel; picture {video:.4g} of full scale = {video * 255:.3g} grey levels of 255",
        ),
        ("Sweep of ε", sweep),
        ("Floor", "random noise of equal norm, which every attack must beat"),
    ]
