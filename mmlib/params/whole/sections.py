"""What sections of params.yaml must agree on: signals, the nets that read them, losses, epochs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mmlib.params.training import misfit

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params

TASK_LOSSES = {
    "multi_label": ("bce", "balanced_bce", "ranking", "margin"),
    "single_label": ("cross_entropy", "dlr", "margin"),
}


def faults(params: "Params") -> Iterable[str]:
    """Whatever does not fit, a line each that begins with the key."""
    yield from _signals(params)
    yield from _music(params)
    yield from _epochs(params)
    mel = params.shard.mel
    for name, row in params.train.items():
        if (
            row.audio
            and row.fusion != "early"
            and (why := misfit(row.audio, mel.frames, mel.bands))
        ):
            yield f"train.{name}.audio is {row.audio}, {why}"
    losses = TASK_LOSSES[params.data.task]
    if params.attack.loss not in losses:
        yield (
            f"attack.loss is {params.attack.loss}, which data.task {params.data.task} has no use "
            f"for; choose one of {', '.join(losses)}"
        )
    tau = params.temperature.rule.tau
    if tau is not None and tau not in params.geometry.tau:
        yield f"temperature.rule.tau is {tau:g}, which geometry.tau does not measure"
    for shift in params.stress.shifts_s if params.stress.runs else ():
        if abs(shift) >= params.shard.seconds:
            yield (
                f"stress.shifts_s holds {shift:g}, but clips are shard.seconds "
                f"({params.shard.seconds:g}) long: nothing would be left of the sound; leave it out"
            )


def _music(params: "Params") -> Iterable[str]:
    music, kept = params.music, params.shard.waveforms
    if music.piece.grid_s >= params.shard.seconds:
        yield (
            f"music.piece.grid_s is {music.piece.grid_s:g}, but clips are shard.seconds "
            f"({params.shard.seconds:g}) long: every note would begin with the clip"
        )
    for name, row in music.runs.items():
        if "universal" in row.kinds and kept != "all":
            yield (
                f"music.runs.{name}.pieces asks for universal, which is composed on the sound of "
                f"the split {music.universal.fit_on}, and shard.waveforms keeps that of {kept} "
                "alone: set it to all, or pieces to per_clip"
            )


def _signals(params: "Params") -> Iterable[str]:
    shard, decode, events = params.shard, params.decode, params.data.events
    if shard.video.rate_hz is not None and shard.video.rate_hz > decode.fps:
        yield (
            f"shard.video.rate_hz ({shard.video.rate_hz:g}) is above decode.fps ({decode.fps:g}): "
            "no clip has frames that close"
        )
    if shard.mel.sample_rate_hz != decode.sample_rate_hz:
        yield (
            f"shard.mel.sample_rate_hz ({shard.mel.sample_rate_hz}) differs from "
            f"decode.sample_rate_hz ({decode.sample_rate_hz})"
        )
    if shard.seconds > decode.max_seconds:
        yield (
            f"shard.seconds ({shard.seconds:g}) is above decode.max_seconds "
            f"({decode.max_seconds:g}): no clip can be that long"
        )
    if params.data.source != "events":
        return
    if events.seconds > decode.max_seconds:
        yield (
            f"data.events.seconds ({events.seconds:g}) is above decode.max_seconds "
            f"({decode.max_seconds:g}): every clip would be refused"
        )
    if events.size**2 > decode.max_pixels:
        yield (
            f"data.events.size ({events.size}) makes frames of {events.size**2} pixels, above "
            f"decode.max_pixels ({decode.max_pixels}): every clip would be refused"
        )


def _epochs(params: "Params") -> Iterable[str]:
    blend = params.blend
    for guide in blend.guides.values():
        run = guide.init
        last = params.train[run].epochs - 1
        for key, epoch in (("from_epoch", blend.from_epoch), ("to_epoch", blend.to_epoch)):
            if epoch is not None and epoch > last:
                yield f"blend.{key} is {epoch}, but run {run!r} has epochs 0 to {last}"
        end = last if blend.to_epoch is None else blend.to_epoch
        if blend.from_epoch >= end:
            yield (
                f"blend.from_epoch ({blend.from_epoch}) must lie before the last epoch that is "
                f"compared, {end} of run {run!r}"
            )
