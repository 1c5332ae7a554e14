"""Runs without an attacker: corruptions, re-encoding and timing, as curves and tables."""

from collections.abc import Iterator, Sequence

from mmlib.metrics.intervals import Interval
from mmlib.report import figures, threats, wording
from mmlib.report.inputs import Inputs, Run
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.report.stressed import CORRUPTION, ENCODING, Row, Stressed, number
from mmlib.report.tables import Cell, Head, Table
from mmlib.report.tables import Row as TableRow
from mmlib.threats import THREATS

SHIFT, SWAP, DROP = "shift", "swap", "drop"
ENCODINGS = {"h264_aac": "H.264 and AAC", "vp9_opus": "VP9 and Opus"}
FAMILIES = {
    CORRUPTION: "corrupted",
    ENCODING: "encoded again",
    SHIFT: "sound out of time",
    SWAP: "another clip's sound",
}
KINDS = {
    "same_class": "sound of a clip with a label in common",
    "other_class": "sound of a clip with no label in common",
    "audio": "without sound",
    "video": "without pictures",
    **{kind: f"encoded again, {name}" for kind, name in ENCODINGS.items()},
}


def stress(inputs: Inputs) -> Section | None:
    """Curves, a table of means and what retraining changes; None where stage stress is off."""
    found = Stressed.read(inputs)
    if not found.runs:
        return None
    confidence = wording.percent(inputs.params.score.confidence)
    panels = [*_severities(found), *_ladders(found), *_shifts(found)]
    blocks = [Block("text", _intro(found)), legend(found.runs)]
    if panels:
        caption = (
            "mAP on the same eval clips: under corruption the mean over all kinds, at severity 0"
            f" the clean clips. Bands: {confidence} intervals over clips."
        )
        blocks.append(Block("panels", panels, caption))
    blocks.append(Block("table", _means(found, confidence)))
    blocks.append(Block("details", _by_kind(found), "Show each kind"))
    if found.differences:
        blocks.append(Block("table", _differences(found, inputs)))
    return Section("stress", "Without an attacker: noise, codecs and timing", blocks)


def _intro(found: Stressed) -> str:
    counts = [
        (len(found.kinds(CORRUPTION)), "kinds of corruption"),
        (sum(len(found.levels(kind)) for kind in ENCODINGS), "re-encodings by ffmpeg"),
        (
            len({row["step"] for row in found.scores if row["family"] == SHIFT}),
            "shifts of the sound",
        ),
        (len(found.kinds(SWAP)), "swaps of it"),
        (len(found.kinds(DROP)), "lost tracks"),
    ]
    listed = wording.listed([f"{count} {what}" for count, what in counts if count])
    return (
        f"The same clips, changed by nobody who knows the models: {listed}. A, V and A+V say which"
        " track was changed. docs/stress.md has every severity in units. A sound or sight that was"
        " added may itself be one of the tags, and then counts as a false alarm."
    )


def _severities(found: Stressed) -> Iterator[Panel]:
    for threat in THREATS:
        lines = [line for run in found.runs if (line := found.by_severity(run, threat))]
        if lines:
            ticks = [(float(x), f"{x:g}") for x in lines[0].x]
            name = f"Corrupted, {threats.SHORT[threat]}"
            svg = figures.curves(
                lines,
                x_label="severity",
                ticks=ticks,
                name=f"stress-{threat}",
                label=f"mean mAP against severity of corruption, {threats.SHORT[threat]}",
            )
            yield Panel(name, svg)


def _ladders(found: Stressed) -> Iterator[Panel]:
    for kind, title in ENCODINGS.items():
        levels = found.levels(kind)
        lines = [
            line
            for run in found.runs
            if (threat := found.widest(run, ENCODING, kind))
            and (line := found.by_step(run, ENCODING, kind, threat, 0.0))
        ]
        if lines:
            ticks = [(0.0, "as it\nwas")]
            ticks += [
                (step, f"{_word(looks, -1)}\n{_word(sound, -2)}") for step, sound, looks in levels
            ]
            svg = figures.curves(
                lines,
                x_label="CRF of the pictures, kbit/s of the sound",
                ticks=ticks,
                name=f"stress-{kind}",
                label=f"mAP after re-encoding as {title}",
            )
            yield Panel(f"Encoded again: {title}", svg, "All that a run reads is encoded.")


def _word(words: str, place: int) -> str:
    parts = words.split()
    return parts[place] if parts else wording.MISSING


def _shifts(found: Stressed) -> Iterator[Panel]:
    lines = [line for run in found.runs if (line := found.by_step(run, SHIFT, "sound", "A", 0.0))]
    if lines:
        ends = sorted({float(lines[0].x.min()), 0.0, float(lines[0].x.max())})
        svg = figures.curves(
            lines,
            x_label="seconds by which the sound is late",
            ticks=[(x, wording.signed(x, 1)) for x in ends],
            name="stress-shift",
            label="mAP against the shift of the sound",
        )
        note = "What moves out of the clip is lost: a run of sound alone shows what that costs."
        yield Panel("Sound out of time", svg, note)


def _rows(found: Stressed) -> list[tuple[str, str, str, str]]:
    """Family, kind, threat ("": all that the family changes of what a run reads), and name."""
    rows = [(CORRUPTION, "", threat, f"corrupted {threats.SHORT[threat]}") for threat in THREATS]
    rows += [(ENCODING, "", "", "encoded again"), (SHIFT, "", "A", "sound shifted")]
    rows += [(SWAP, kind, "A", f"sound, {kind.replace('_', ' ')}") for kind in found.kinds(SWAP)]
    rows += [(DROP, kind, "", f"no {kind}") for kind in found.kinds(DROP)]
    there = {(row["family"], row["threat"]) for row in found.means}
    families = {family for family, _ in there}
    return [row for row in rows if (row[0], row[2]) in there or (not row[2] and row[0] in families)]


def _means(found: Stressed, confidence: str) -> Table:
    """The families as rows, the runs as columns."""
    rows = [TableRow("clean", [_cell(found.clean(run)) for run in found.runs])]
    for family, kind, threat, name in _rows(found):
        cells = []
        for run in found.runs:
            which = threat or found.widest(run, family, kind)
            cells.append(_cell(found.mean(run, family, which, kind) if which else None))
        rows.append(TableRow(name, cells))
    return Table(
        title="Mean mAP without an attacker",
        head=(Head("clips", "word"), *(Head(run.name) for run in found.runs)),
        rows=rows,
        caption=(
            f"Mean mAP over all kinds and severities, with its {confidence} interval over clips."
            " Encoded again: all that the run reads."
        ),
        wrap=True,
    )


def _cell(found: Interval | None) -> Cell:
    if found is None:
        return Cell(wording.MISSING)
    return Cell(
        wording.number(found.estimate), f"{wording.number(found.lo)}–{wording.number(found.hi)}"
    )


def _by_kind(found: Stressed) -> Table:
    """Every kind as a row, the runs as columns."""
    rows = []
    for family in (CORRUPTION, ENCODING, SHIFT, SWAP, DROP):
        for kind in found.kinds(family):
            cells = []
            for run in found.runs:
                threat = found.widest(run, family, kind)
                cells.append(_cell(found.mean(run, family, threat, kind) if threat else None))
            name = "sound out of time" if family == SHIFT else KINDS.get(kind, kind)
            rows.append(TableRow(name, cells))
    return Table(
        title="Mean mAP by kind",
        head=(Head("kind", "word"), *(Head(run.name) for run in found.runs)),
        rows=rows,
        caption="Mean over the steps of each kind, of all that a run reads of what is changed.",
        wrap=True,
    )


def _differences(found: Stressed, inputs: Inputs) -> Table:
    """Each retrained run beside another, family by family: does it keep more?"""
    pairs = dict.fromkeys((row["run"], row["beside"]) for row in found.differences)
    rows = []
    for name, beside in pairs:
        run, other = inputs.named(name), inputs.named(beside)
        if run is None or other is None:
            continue
        mine = [row for row in found.differences if (row["run"], row["beside"]) == (name, beside)]
        cells = [_effect(mine, found, run, family, inputs) for family in ("clean", *FAMILIES)]
        rows.append(TableRow(f"{name} less {beside}", cells, run.index, first=True))
    level = 1 - inputs.params.score.confidence
    return Table(
        title="What retraining changes without an attacker",
        head=(
            Head("runs", "word"),
            *(Head(name) for name in ("clean", *FAMILIES.values())),
        ),
        rows=rows,
        caption=(
            "Mean mAP of the first run less that of the second, on the same clips, with its"
            f" interval. ▲ helps, ▼ hurts: Holm's p over all differences is below {level:.2g};"
            " without a mark these clips cannot tell. Each is one model of its method: another seed"
            " may differ."
        ),
        wrap=True,
    )


def _effect(rows: Sequence[Row], found: Stressed, run: Run, family: str, inputs: Inputs) -> Cell:
    threat = "clean" if family == "clean" else found.widest(run, family)
    row = next((row for row in rows if (row["family"], row["threat"]) == (family, threat)), None)
    if row is None:
        return Cell(wording.MISSING)
    effect, lo, hi, p = (number(row[key]) for key in ("effect", "lo", "hi", "p_adjusted"))
    told = p < 1 - inputs.params.score.confidence
    mark = ("▲ " if effect > 0 else "▼ ") if told else ""
    return Cell(f"{mark}{wording.signed(effect)}", wording.interval(lo, hi, sign=True))
