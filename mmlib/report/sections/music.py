"""Adversarial music: what it does to each run, as curves and a table, and players to hear it."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmlib.report import figures, wording
from mmlib.report.data_uri import wav
from mmlib.report.examples import Card, tag_lists
from mmlib.report.inputs import Inputs, Run
from mmlib.report.musical import (
    CLEAN,
    PER_CLIP,
    PLAYED,
    RANDOM,
    ROOMS,
    UNIVERSAL,
    Heard,
    Musical,
    read_heard,
)
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.report.shown import Sound, spectrograms
from mmlib.report.tables import Cell, Group, Head, Table
from mmlib.report.tables import Row as TableRow
from mmlib.runtime.arrays import Floats32, Ints16

NAMES = {
    RANDOM: "random music",
    PER_CLIP: "music composed for each clip",
    UNIVERSAL: "one piece composed for all clips",
}
HEARD = {ROOMS: "in rooms that no search saw", PLAYED: "as it is played"}
_FULL_SCALE = 32768


def music(inputs: Inputs) -> Section | None:
    """Curves, a table for each run, and players; None where stage music has no table here."""
    found = Musical.read(inputs)
    if not found.tables:
        return None
    blocks = [Block("text", _intro(inputs, found))]
    panels = list(_panels(found))
    if panels:
        blocks += [legend(found.runs), Block("panels", panels, _caption(inputs))]
    blocks += [Block("table", _table(run, found, inputs)) for run in found.runs]
    return Section("music", "Music that hides what is heard", [*blocks, *_players(inputs, found)])


def _intro(inputs: Inputs, found: Musical) -> str:
    settings = inputs.params.music
    piece, rooms = settings.piece, settings.rooms
    through = (
        f"through {rooms.draws} random rooms a step"
        if rooms.draws
        else "without a room, as it is played"
    )
    kinds = wording.listed([NAMES[kind] for kind in found.kinds])
    return (
        f"Plucked strings are mixed with the sound of the clips: {kinds}, all from one synthesiser,"
        f" {piece.notes} notes a piece, at the same levels. Which strings are plucked, when, how"
        " loud and for how long was found by gradients of the model,"
        f" {settings.search.steps} steps a level {through}. The level is that of the clip over that"
        " of the music, as it arrives. Where plucked strings are tags of the set, hearing them is a"
        " false alarm, under random music as well: what is beyond random is not that alone."
    )


def _panels(found: Musical) -> Iterator[Panel]:
    ticks = [(0.0, "no music"), *((float(n), level) for n, level in enumerate(found.levels, 1))]
    for kind in found.kinds:
        lines = [line for run in found.runs if (line := found.line(run, kind, ROOMS))]
        if kind != RANDOM and lines:
            svg = figures.curves(
                lines,
                x_label="clip over music, dB",
                ticks=ticks,
                name=f"music-{kind}",
                label=f"mAP against the level of {NAMES[kind]}",
            )
            yield Panel(wording.capital(NAMES[kind]), svg)


def _caption(inputs: Inputs) -> str:
    confidence = wording.percent(inputs.params.score.confidence)
    return (
        "mAP on the same eval clips, the mean over rooms that no search saw. Dotted: random music"
        f" of the same level. Bands: {confidence} intervals over recordings."
    )


def _table(run: Run, found: Musical, inputs: Inputs) -> Table:
    """Kinds of music and ways of hearing as rows, levels as columns."""
    rows = []
    for heard, how in HEARD.items():
        for kind in found.kinds:
            cells = []
            for level in found.levels:
                cells += _cells(run, found, kind, heard, level)
            name = f"{NAMES[kind]}, {how}"
            rows.append(TableRow(name, cells, first=kind == found.kinds[0]))
    clean = found.value(run, CLEAN, "", "")
    columns = [Head(name) for _ in found.levels for name in ("mAP", "beyond random")]
    confidence = wording.percent(inputs.params.score.confidence)
    return Table(
        title=f"Music played to {run.name}",
        head=(Head(run.name, "word"), *columns),
        groups=(Group("", 1), *(Group(f"{level} dB", 2) for level in found.levels)),
        rows=rows,
        caption=(
            f"Without music the mAP of {run.name} is"
            f" {wording.number(clean.estimate if clean else None)}. Beyond random: how much lower"
            f" than under random music of the same level, with its {confidence} interval; above 0,"
            " what was composed does harm that music as such does not."
        ),
        wrap=True,
    )


def _cells(run: Run, found: Musical, kind: str, heard: str, level: str) -> list[Cell]:
    own = found.value(run, kind, heard, level)
    beyond = found.value(run, kind, heard, level, "beyond_random")
    return [
        Cell(
            wording.number(own.estimate if own else None),
            f"{wording.number(own.lo)}–{wording.number(own.hi)}" if own else "",
        ),
        Cell(
            wording.signed(beyond.estimate if beyond else None),
            wording.interval(beyond.lo, beyond.hi, sign=True) if beyond else "",
        ),
    ]


def _players(inputs: Inputs, found: Musical) -> Iterator[Block]:
    """The clips that were kept whole, of the last run that has some."""
    for run in reversed(found.runs):
        clips = list(read_heard(inputs.root / f"data/music/{run.name}-examples.parquet"))
        if clips:
            yield Block("heading", f"To hear: clips with music against {run.name}")
            yield from (Block("example", _card(clip, inputs)) for clip in clips)
            return


def _card(clip: Heard, inputs: Inputs) -> Card:
    kinds = list(clip.mixed)
    composed = kinds[1]
    names = [name for name, hit in zip(clip.classes, clip.labels, strict=True) if hit]
    titled = {
        "Predicted on the clean clip": clip.clean_scores,
        **{f"Predicted under {NAMES[kind]}": clip.scores[kind] for kind in kinds},
    }
    shard = inputs.params.shard
    before, after = (_samples(sound) for sound in (clip.clean, clip.mixed[composed]))
    return Card(
        title=f"Clip {clip.clip_id}",
        truth=f"True {'tag' if len(names) == 1 else 'tags'}: {wording.listed(names)}.",
        tags=tag_lists(clip.classes, clip.labels, titled, inputs.params.data.task),
        pictures=[spectrograms(before, after, shard.mel, shard.seconds)],
        sounds=_sounds(clip, kinds),
    )


def _sounds(clip: Heard, kinds: Sequence[str]) -> list[Sound]:
    found = [_sound(clip.clean, clip.rate_hz, "Clean, as the models hear it")]
    level = f"{wording.number(clip.snr_db, 0)} dB"
    for kind in kinds:
        name = wording.capital(NAMES[kind])
        found.append(_sound(clip.mixed[kind], clip.rate_hz, f"{name}, mixed at {level}, in a room"))
        found.append(_sound(clip.alone[kind], clip.rate_hz, f"{name}, alone, as it is played"))
    return found


def _sound(pcm: Ints16, rate_hz: int, caption: str) -> Sound:
    return Sound(wav(pcm.astype(np.float64) / _FULL_SCALE, rate_hz), caption)


def _samples(pcm: Ints16) -> Floats32:
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)
