"""The page's sections, each from the artefacts that are there, or none."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from markupsafe import Markup

from mmlib.report import examples, figures, tables, wording
from mmlib.report.figures import Line, Point
from mmlib.report.inputs import THREAT_NAMES, THREAT_SHORT, Inputs, Run


class Block(NamedTuple):
    """One piece of a section: `kind` picks the template's branch, `extra` is its second value."""

    kind: str
    body: Any
    extra: Any = ""


class Section(NamedTuple):
    """A heading with an anchor, and what stands under it."""

    id: str
    title: str
    blocks: Sequence[Block]


class Panel(NamedTuple):
    """A drawing with its heading, and what to read off it."""

    title: str
    svg: Markup
    note: str = ""


class Entry(NamedTuple):
    """A run in a legend."""

    run: int
    name: str


DOTTED = Markup(
    '<line x1="0" y1="6" x2="20" y2="6" stroke="var(--muted)" stroke-width="1.6"'
    ' stroke-dasharray="1.6 2.6"/>'
)
DASHED = Markup(
    '<line x1="0" y1="6" x2="20" y2="6" stroke="var(--muted)" stroke-width="1.4"'
    ' stroke-dasharray="6 3"/>'
)


def measured(inputs: Inputs) -> Section:
    """What was measured: data, classes, hash, seed and the threat card."""
    return Section(
        "measured",
        "What was measured",
        [
            Block("facts", _data_facts(inputs)),
            Block("heading", "Threat card"),
            Block("facts", _threat_facts(inputs)),
            *_missing(inputs),
        ],
    )


def _data_facts(inputs: Inputs) -> list[tuple[str, Any]]:
    params, manifest = inputs.params, inputs.manifest
    clips = manifest.get("clips", {})
    counts = [f"{wording.count(part['count'])} {split}" for split, part in clips.items()]
    classes = list(manifest.get("classes", []))
    shown = ", ".join(classes[:16]) + (" …" if len(classes) > 16 else "")
    place = f" at {params.data.path}" if params.data.source == "folder" and params.data.path else ""
    mel, video = params.shard.mel, params.shard.video
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
        (
            "Eval ids, SHA-256",
            Markup('<code class="hash">{}</code>').format(clips.get("eval", {}).get("sha256", "–")),
        ),
        ("Seed", str(params.seed)),
    ]


def _lost(manifest: Mapping[str, Any]) -> str:
    losses = [
        f"{count} of {split} ({reason.replace('_', ' ')})"
        for split, reasons in manifest.get("failed", {}).items()
        for reason, count in reasons.items()
        if count
    ]
    return ", ".join(losses) or "none"


def _threat_facts(inputs: Inputs) -> list[tuple[str, Any]]:
    attack, mel = inputs.params.attack, inputs.params.shard.mel
    audio, video = attack.eps * attack.scale.audio, attack.eps * attack.scale.video
    kind = {"linf": "largest change of any value", "l2": "root-mean-square change"}
    sweep = ", ".join(f"{attack.eps * multiple:.4g}" for multiple in sorted(attack.sweep))
    return [
        ("Goal", "untargeted: make the loss on the true tags as large as possible"),
        ("Knowledge", "white box: weights, gradients and true tags"),
        (
            "Attack",
            f"PGD, {attack.steps} steps of {attack.step_size:g} ε / steps, random start,"
            f" {attack.restarts} {'restart' if attack.restarts == 1 else 'restarts'} (the worst"
            f" for each clip is kept), {attack.loss} loss",
        ),
        ("Norm", f"{attack.norm}: {kind.get(attack.norm, 'mean absolute change')}, clip by clip"),
        (
            "Headline budget",
            f"sound {audio:.4g} of the {mel.floor_db:g} dB scale = {audio * mel.floor_db:.2g} dB of"
            f" log-mel; picture {video:.4g} of full scale = {video * 255:.3g} grey levels of 255",
        ),
        ("Sweep of ε", sweep),
        ("Floor", "random noise of equal norm, which every attack must beat"),
    ]


def _missing(inputs: Inputs) -> list[Block]:
    if not inputs.missing:
        return []
    names = wording.listed(list(inputs.missing))
    return [Block("note", f"Not in this report, because their scores are not there: {names}.")]


def _perceptibility(inputs: Inputs) -> list[Block]:
    seen = {run.name: _distances(inputs, run) for run in inputs.runs}
    table = tables.perceptibility(seen)
    return [Block("table", table)] if table else []


def _distances(inputs: Inputs, run: Run) -> dict[str, dict[str, float]]:
    """Mean SNR, PSNR and SSIM of the run's headline attacks, by threat."""
    path = inputs.root / f"data/attacks/{run.name}.parquet"
    if not path.is_file():
        return {}
    table = pq.read_table(path, columns=["threat", "attack", "eps", *tables.DISTANCES])
    eps = table["eps"].to_numpy()
    near = np.isclose(eps, inputs.params.attack.eps) & (table["attack"].to_numpy() == "pgd")
    found = {}
    for threat in run.threats:
        rows = table.filter(near & (table["threat"].to_numpy() == threat))
        means = {name: pc.mean(_finite(rows[name])).as_py() for name in tables.DISTANCES}
        found[threat] = {name: value for name, value in means.items() if value is not None}
    return found


def _finite(column: Any) -> Any:
    return pc.if_else(pc.is_finite(column), column, None)


def scores(inputs: Inputs) -> Section:
    """Table 1 of the paper with ours beside it."""
    mapping = tables.paper_mapping(inputs)
    confidence = wording.percent(inputs.params.score.confidence)
    caption = (
        f"Beside mAP: the {confidence} bootstrap interval over clips. d′ is √2 Φ⁻¹(AUC) throughout"
        " for ours; the paper's attacked d′ do not follow from its AUC."
    )
    blocks = [Block("table", tables.scores(inputs)._replace(caption=caption))]
    if mapping:
        note = (
            "The paper's numbers are AudioSet's, with larger nets and an unstated budget: compare"
            f" the order of the rows, not their height. Stands {mapping}."
        )
        blocks.append(Block("note", note))
    return Section("scores", "Scores, clean and attacked", blocks)


def robustness(inputs: Inputs) -> Section | None:
    """mAP against the budget, one panel a threat."""
    chance = _chance(inputs)
    panels = []
    for threat in THREAT_NAMES:
        lines = [_robustness_line(run, threat) for run in inputs.runs if threat in run.curve]
        if lines:
            svg = figures.robustness(
                lines,
                headline=inputs.params.attack.eps,
                chance=chance,
                name=f"curve-{threat}",
                label=f"mAP against budget, {THREAT_NAMES[threat]}",
            )
            panels.append(Panel(_threat_title(threat), svg))
    if not panels:
        return None
    caption = (
        "mAP on the eval clips against the attack's budget. A line that stays high is robust."
        f" Bands: {wording.percent(inputs.params.score.confidence)} bootstrap interval over clips. Dotted:"
        " random noise of equal norm; the gap between a dotted line and its solid one is what the"
        " attack knows beyond noise. A ranking that is worse than chance is possible: the attack"
        " puts true tags last."
    )
    legend = Block(
        "legend", entries(inputs.runs), [("noise of equal norm", DOTTED), ("chance", DASHED)]
    )
    blocks = [legend, Block("panels", panels, caption), *_perceptibility(inputs)]
    return Section("robustness", "Robustness curves", blocks)


def _threat_title(threat: str) -> str:
    return f"{THREAT_NAMES[threat][0].upper()}{THREAT_NAMES[threat][1:]} ({THREAT_SHORT[threat]})"


def _robustness_line(run: Run, threat: str) -> Line:
    curve = run.curve
    return Line(
        run.index,
        curve["eps"],
        curve[threat],
        curve.get(f"{threat}_lo"),
        curve.get(f"{threat}_hi"),
        curve.get(f"{threat}_noise"),
    )


def _chance(inputs: Inputs) -> float | None:
    """mAP of a random ranking: the mean share of positives over the classes that have any."""
    clips = inputs.manifest.get("clips", {}).get("eval", {}).get("count")
    positives = next((r.classwise["n_eval"] for r in inputs.runs if "n_eval" in r.classwise), None)
    if not clips or positives is None or not (positives > 0).any():
        return None
    return float(np.mean(positives[positives > 0]) / clips)


def entries(runs: Sequence[Run]) -> list[Entry]:
    """The legend of these runs."""
    return [Entry(run.index, run.name) for run in runs]


def blend(inputs: Inputs) -> Section | None:
    """Gradient-Blending weights: ours and the literature's."""
    sources = tables.blend_weights(inputs)
    table = tables.blend(inputs)
    if table is None:
        return None
    svg = figures.weights(sources, tables.blend_heads(sources), name="blend")
    run = inputs.with_role("gblend")
    users = f" Run {run.name} is trained with the guide “{_guide(inputs, run)}”." if run else ""
    caption = (
        "How much each head's loss counts in joint training. Estimated here from how fast each head"
        f" generalises against how fast it overfits.{users}"
    )
    blocks = [Block("panels", [Panel("Weight of each head", svg)], caption), Block("table", table)]
    return Section("blend", "Gradient-Blending weights", blocks)


def _guide(inputs: Inputs, run: Run) -> str:
    return inputs.params.train[run.name].guide


def retraining(inputs: Inputs) -> Section | None:
    """Mixup against adversarial training, with what each costs."""
    table = tables.costs(inputs)
    if table is None:
        return None
    blocks: list[Block] = []
    retrained = [run for run in inputs.runs if run.init is not None]
    points = [
        point for run in _with_starts(inputs, retrained) for point in _cost_point(inputs, run)
    ]
    if retrained and len(points) > 1:
        panels = [
            Panel(
                "Robustness bought, by extra passes",
                figures.trade_off(
                    points,
                    x_label="extra passes, thousands of clips",
                    y_label="mAP under the widest attack",
                    name="cost",
                    label="mAP under attack against the extra passes of retraining",
                ),
            )
        ]
        clean = [p for run in _with_starts(inputs, retrained) for p in _clean_point(inputs, run)]
        if len(clean) > 1:
            panels.append(
                Panel(
                    "Robustness bought, by clean mAP",
                    figures.trade_off(
                        clean,
                        x_label="clean mAP",
                        y_label="mAP under the widest attack",
                        name="price",
                        label="mAP under attack against clean mAP",
                    ),
                )
            )
        caption = (
            "Each mark is a run at the headline budget with its interval. Left: higher at the same"
            " place is more robust for the same work; the run that retraining starts from stands at"
            " 0. Right: up and to the right is better in both."
        )
        blocks.append(Block("panels", panels, caption))
    note = (
        "Passes count clips through the net, forward and backward, attack steps included; a"
        " retrained run's passes come on top of those of the run that it starts from. Time is this"
        " machine's wall clock. Attacked: under the run's widest threat, headline budget."
    )
    blocks.append(Block("table", table._replace(caption=note)))
    return Section("retraining", "Retraining and its cost", blocks)


def _with_starts(inputs: Inputs, retrained: Sequence[Run]) -> list[Run]:
    names = {run.name for run in retrained} | {run.init for run in retrained}
    return [run for run in inputs.runs if run.name in names]


def _cost_point(inputs: Inputs, run: Run) -> list[Point]:
    passes = 0.0
    if run.init is not None:
        if not run.cost:
            return []
        passes = (run.cost["forward_passes"] + run.cost["backward_passes"]) / 1000
    return _point(inputs, run, passes)


def _clean_point(inputs: Inputs, run: Run) -> list[Point]:
    clean = run.value("clean", "mAP")
    return [] if clean is None else _point(inputs, run, clean)


def _point(inputs: Inputs, run: Run, x: float) -> list[Point]:
    threat = run.widest_threat or ""
    value = run.value(threat, "mAP")
    if value is None:
        return []
    lo, hi = tables.band(run, threat, inputs.params.attack.eps) or (value, value)
    return [Point(run.index, run.name, x, value, lo, hi)]


def training(inputs: Inputs) -> Section | None:
    """How each run learned."""
    runs = [run for run in inputs.runs if "epoch" in run.training]
    if not runs:
        return None
    panels = []
    for column, title, label in (
        ("val_mAP", "mAP on the val split", "mAP"),
        ("val_loss", "Loss on the val split", "loss"),
        ("train_loss", "Loss on the train split", "loss"),
    ):
        lines = [
            Line(run.index, run.training["epoch"], run.training[column])
            for run in runs
            if column in run.training
        ]
        if lines:
            svg = figures.training(lines, y_label=label, name=f"training-{column}", label=title)
            panels.append(Panel(title, svg))
    caption = (
        "One line a run. Training losses of different runs are not comparable where the objective"
        " differs (mixed labels, attacked clips, several heads); the val split's are."
    )
    blocks = [Block("legend", entries(runs), ()), Block("panels", panels, caption)]
    return Section("training", "Training curves", blocks)


def adversarial_clips(inputs: Inputs) -> Section | None:
    """A few clips, clean and perturbed, of the fused run (or the first that stored any)."""
    first = inputs.with_role("gblend", "fusion")
    for run in ([first] if first else []) + list(inputs.runs):
        path = inputs.root / f"data/attacks/{run.name}-examples.parquet"
        cards = [
            Block(
                "example",
                examples.card(
                    example,
                    task=inputs.params.data.task,
                    mel=inputs.params.shard.mel,
                    seconds=inputs.params.shard.seconds,
                ),
            )
            for example in examples.read(path)
        ]
        if cards:
            threats = "Each clip is shown under the run's own attack at the headline budget."
            intro = (
                f"Clips of the eval split against run {run.name}. {threats} The difference is"
                " magnified, since it is meant to be small: red and blue are louder and softer in"
                " the sound; grey means no change in the picture. Probabilities follow each tag; ✓"
                " marks the true ones."
            )
            return Section("examples", "Adversarial examples", [Block("text", intro), *cards])
    return None


def checks(inputs: Inputs) -> Section | None:
    """What the evaluation checked about itself."""
    states = list(check_states(inputs.checks))
    if not states:
        return None
    table = tables.checks(states)
    passed = sum(state == "pass" for _, state, _ in states)
    warned = sum(state == "warn" for _, state, _ in states)
    failed = len(states) - passed - warned
    line = f"{passed} pass, {warned} warn, {failed} fail."
    return Section("checks", "Checks", [Block("text", line), Block("table", table)])


def check_states(value: Mapping[str, Any], prefix: str = "") -> Any:
    """Yield (name, state, detail) of every check in metrics/checks.json, nested by run or flat."""
    for name, entry in value.items():
        title = f"{prefix}{name}"
        if isinstance(entry, str) and entry in ("pass", "warn", "fail"):
            yield title, entry, ""
        elif isinstance(entry, Mapping) and isinstance(entry.get("state"), str):
            yield title, entry["state"], str(entry.get("detail", ""))
        elif isinstance(entry, Mapping):
            yield from check_states(entry, f"{title}: ")


def reproduce(inputs: Inputs) -> Section:
    """The commands, and the params that made this page."""
    params = inputs.params
    chosen = {
        "seed": params.seed,
        "data": params.data.model_dump(mode="json"),
        "attack": params.attack.model_dump(mode="json"),
        "runs": list(params.runs),
    }
    commands = (
        "make repro                          # everything, from nothing\n"
        "dvc repro                           # what a change made stale\n"
        f"dvc exp run -S attack.eps={params.attack.eps / 2:g}    # the same models, another budget\n"
        "dvc metrics diff                    # what changed\n"
        "dvc plots show                      # the curves, for other tools"
    )
    return Section(
        "reproduce",
        "How to reproduce this page",
        [
            Block(
                "text",
                "The page is made from stored artefacts alone: the same artefacts give the same"
                " bytes. The same seed on the same machine gives the same artefacts, wall-clock"
                " times aside.",
            ),
            Block("code", commands),
            Block("text", "The settings that decide the numbers (params.yaml has them all):"),
            Block("code", json.dumps(chosen, indent=2)),
        ],
    )
