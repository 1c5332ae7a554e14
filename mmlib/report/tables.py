"""The report's tables: rows of cells with their alignment decided, ready for the template."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from mmlib.report import wording
from mmlib.report.inputs import THREAT_NAMES, THREAT_SHORT, Inputs, Run

# Table 1 of the paper (arXiv 2203.12122), AudioSet: role -> condition -> mAP, AUC, d'.
PAPER: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "audio": {"clean": (0.383, 0.963, 2.521), "A": (0.183, 0.895, 1.770)},
    "gblend": {
        "clean": (0.427, 0.971, 2.686),
        "AV": (0.182, 0.889, 1.836),
        "V": (0.339, 0.954, 2.441),
        "A": (0.310, 0.940, 2.276),
    },
    "mixup": {"clean": (0.424, 0.972, 2.711), "AV": (0.234, 0.891, 1.983)},
    "adversarial": {"clean": (0.397, 0.964, 2.530), "AV": (0.199, 0.900, 1.861)},
}
PAPER_ROWS = {
    "audio": "audio uni-modal (PANNs)",
    "gblend": "mid fusion (G-Blend)",
    "mixup": "mid fusion, mixup",
    "adversarial": "mid fusion, AT",
}


# column of data/attacks/<run>.parquet -> heading, digits
DISTANCES = {
    "snr_audio": ("SNR of the log-mel, dB", 1),
    "psnr_video": ("PSNR of the frames, dB", 1),
    "ssim_video": ("SSIM of the frames", 3),
}


class Cell(NamedTuple):
    """Text of one cell, a smaller note after it, and its alignment: num, word or text."""

    text: str | Markup
    note: str = ""
    kind: str = "num"


class Head(NamedTuple):
    """A column's heading and alignment."""

    text: str
    kind: str = "num"


class Group(NamedTuple):
    """A heading above `span` columns; empty text leaves them bare."""

    text: str
    span: int


class Row(NamedTuple):
    """A row: its name, the run whose mark stands before it, whether it opens a block of rows."""

    name: str
    cells: Sequence[Cell]
    run: int | None = None
    first: bool = False


class Table(NamedTuple):
    """A table with its caption; `title` is its name for screen readers."""

    title: str
    head: Sequence[Head]
    rows: Sequence[Row]
    caption: str | Markup = ""
    groups: Sequence[Group] = ()


def scores(inputs: Inputs) -> Table:
    """Table 1 of the paper with our numbers: each run clean and under each threat."""
    single = inputs.params.data.task == "single_label"
    keys = ("mAP", "AUC", "dprime") + (("accuracy",) if single else ())
    names = ("mAP", "AUC", "d′") + (("accuracy",) if single else ())
    rows = []
    for run in inputs.runs:
        for condition in ("clean", *run.threats):
            cells = [Cell("none" if condition == "clean" else THREAT_SHORT[condition], kind="word")]
            for key in keys:
                ends = band(run, condition, inputs.params.attack.eps) if key == "mAP" else None
                cells.append(Cell(wording.number(run.value(condition, key)), _ends(ends)))
            cells.append(Cell(wording.percent(run.value(condition, "relative_drop"))))
            paper = PAPER.get(run.role, {}).get(condition)
            cells += [Cell(wording.number(x)) for x in paper or (None, None, None)]
            first = condition == "clean"
            rows.append(Row(run.name if first else "", cells, run.index if first else None, first))
    return Table(
        title="Scores, clean and attacked, beside the paper's",
        groups=(Group("", 2), Group("this data", len(keys) + 1), Group("paper, AudioSet", 3)),
        head=(
            Head("run", "word"),
            Head("attack", "word"),
            *(Head(name) for name in names),
            Head("mAP lost"),
            Head("mAP"),
            Head("AUC"),
            Head("d′"),
        ),
        rows=rows,
    )


def paper_mapping(inputs: Inputs) -> str:
    """Say which of our runs stands beside which row of the paper."""
    pairs = [
        f"{run.name} beside “{PAPER_ROWS[run.role]}”" for run in inputs.runs if run.role in PAPER
    ]
    return wording.listed(pairs)


def band(run: Run, condition: str, headline: float) -> tuple[float, float] | None:
    """Interval of mAP, clean or at the headline eps, from the run's curve, if it is there."""
    threat = condition if condition in run.threats else run.widest_threat
    if not run.curve or f"{threat}_lo" not in run.curve:
        return None
    eps = 0.0 if condition == "clean" else headline
    rows = np.flatnonzero(np.isclose(run.curve["eps"], eps))
    if len(rows) == 0:
        return None
    return float(run.curve[f"{threat}_lo"][rows[0]]), float(run.curve[f"{threat}_hi"][rows[0]])


def _ends(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{wording.number(ends[0])}–{wording.number(ends[1])}"


def perceptibility(seen: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table | None:
    """How much the headline attacks change their clips; `seen` is run -> threat -> distance."""
    rows = []
    for threat, name in THREAT_NAMES.items():
        found = [threats[threat] for threats in seen.values() if threats.get(threat)]
        if found:
            cells = [
                _range([values.get(column) for values in found], digits)
                for column, (_, digits) in DISTANCES.items()
            ]
            rows.append(Row(f"{name[0].upper()}{name[1:]}", cells))
    if not rows:
        return None
    return Table(
        title="How visible and audible the attacks are",
        head=(
            Head("attack at the headline budget", "word"),
            *(Head(title) for title, _ in DISTANCES.values()),
        ),
        rows=rows,
        caption="Means over the eval clips, lowest to highest run. Higher is harder to notice.",
    )


def _range(values: Sequence[float | None], digits: int) -> Cell:
    known = [wording.number(value, digits) for value in values if value is not None]
    if not known:
        return Cell(wording.MISSING)
    ends = sorted(set(known), key=lambda text: float(text.replace("−", "-")))
    return Cell(ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}")


def costs(inputs: Inputs) -> Table | None:
    """What each run cost to train."""
    rows = []
    for run in inputs.runs:
        if not run.cost:
            continue
        cells = [
            Cell(wording.count(run.cost.get(key)))
            for key in ("clips_seen", "forward_passes", "backward_passes", "optimiser_steps")
        ]
        cells.append(Cell(wording.seconds(run.cost.get("seconds"))))
        conditions = ("clean", run.widest_threat or "")
        cells += [Cell(wording.number(run.value(condition, "mAP"))) for condition in conditions]
        rows.append(Row(run.name, cells, run.index))
    if not rows:
        return None
    return Table(
        title="Cost of training",
        groups=(Group("", 1), Group("clips", 3), Group("", 2), Group("mAP", 2)),
        head=(
            Head("run", "word"),
            Head("seen"),
            Head("forward"),
            Head("backward"),
            Head("steps"),
            Head("time"),
            Head("clean"),
            Head("attacked"),
        ),
        rows=rows,
    )


def blend(inputs: Inputs) -> Table | None:
    """Gradient-Blending weights: ours beside the literature's."""
    sources = blend_weights(inputs)
    if not sources:
        return None
    heads = blend_heads(sources)
    rows = [
        Row(source, [Cell(wording.number(values.get(head))) for head in heads])
        for source, values in sources.items()
    ]
    return Table(
        title="Gradient-Blending weights",
        head=(Head("weights", "word"), *(Head(f"head {THREAT_SHORT[head]}") for head in heads)),
        rows=rows,
    )


def blend_weights(inputs: Inputs) -> dict[str, dict[str, float]]:
    """Weights by source; empty unless this project estimated its own."""
    named = {"blend": "estimated here", "blend_reference": "literature, AudioSet"}
    found = {}
    for guide, title in named.items():
        heads = inputs.guides.get(guide, {}).get("heads")
        if isinstance(heads, Mapping):
            found[title] = {head: float(weight) for head, weight in heads.items()}
    return found if "estimated here" in found else {}


def blend_heads(sources: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The heads that any source weighs, in the usual order."""
    return [head for head in THREAT_NAMES if any(head in values for values in sources.values())]


def checks(states: Sequence[tuple[str, str, str]]) -> Table:
    """The checks that the evaluation ran on itself: name, state, what was seen."""
    marks = {"pass": "✓ passes", "warn": "! warns", "fail": "✗ fails"}
    rows = [
        Row(
            name,
            [
                Cell(
                    Markup('<span class="state">{}</span>').format(marks.get(state, state)),
                    kind="word",
                ),
                Cell(detail, kind="text"),
            ],
        )
        for name, state, detail in states
    ]
    return Table(
        title="Checks",
        head=(Head("check", "word"), Head("state", "word"), Head("what was seen", "text")),
        rows=rows,
    )
