"""`make plan`: what the run that params.yaml describes would take; reads lists, changes nothing."""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmlib.params.whole import file as whole
from mmlib.runtime import stage
from mmlib.runtime.arrays import Bools
from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import worker_count
from mmlib.shards.rows.clips import Vocabulary
from mmlib.sources.base import ClipList
from mmlib.sources.catalogue import clip_list
from mmlib.sources.columns import Columns, check_requests, columns_of
from mmlib.sources.youtube.pacing import pacing
from tools.planning import (
    SHARD_S,
    Rates,
    Stage,
    availability,
    losses,
    measure,
    plan,
    shard_sizes,
)
from tools.training_plan import device_name, measure_nets, on_gpu, runs


def main(arguments: list[str]) -> None:
    """Print the plan."""
    options = _options(arguments)
    begin = time.monotonic()
    settings = whole.load()
    clips = clip_list(settings.data, settings.seed)
    columns = columns_of(clips.requests, clips.classes)
    there, looked_up = availability(clips, columns, options.available, settings.seed)
    rates = measure(clips, there, settings, options.sample, settings.seed) if looked_up else None
    if rates is None:
        rates = Rates()
    if options.clip_kb is not None:
        rates = replace(rates, media_kb=options.clip_kb)
    stages = plan(columns, there, len(clips.classes), settings, rates)
    lines = [
        *_listed(clips, columns),
        *_found(columns, int(there.sum()), looked_up, options.available, settings),
        *_table(stages),
        *_basis(rates, settings),
        *_shards(settings, len(clips.classes), rates),
        *_decoded(stages),
        *_training(settings, columns, there, len(clips.classes), options.steps),
        *_lost(losses(columns, there, clips.classes), options.classes),
        *_refused(clips, columns, settings),
        f"planned in {time.monotonic() - begin:.0f} s",
    ]
    print("\n".join(lines))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.plan", description=__doc__)
    parser.add_argument(
        "--available", type=float, default=0.85, help="without a mirror: share of clips to be had"
    )
    parser.add_argument("--clip-kb", type=float, help="size of a clip's media, kB, if not measured")
    parser.add_argument("--sample", type=int, default=8, help="clips to measure on")
    parser.add_argument(
        "--steps", type=int, default=2, help="training steps to measure each net by; 0 = none"
    )
    parser.add_argument("--classes", type=int, default=10, help="classes to list")
    options = parser.parse_args(arguments)
    if not 0 <= options.available <= 1:
        raise UserError(f"--available {options.available:g}: a share from 0 to 1 is needed")
    for name in ("sample", "steps", "classes"):
        if getattr(options, name) < 0:
            raise UserError(f"--{name} {getattr(options, name)}: a count of 0 or more is needed")
    if options.clip_kb is not None and not 0 < options.clip_kb < math.inf:
        raise UserError(f"--clip-kb {options.clip_kb:g}: a size above 0 is needed")
    return options


def _listed(clips: ClipList, columns: Columns) -> Iterator[str]:
    splits = ", ".join(f"{count:,} {split}" for split, count in columns.clips().items())
    yield f"{clips.source}: {len(columns):,} clips ({splits}), {len(clips.classes)} classes"


def _found(
    columns: Columns, usable: int, looked_up: bool, share: float, settings: whole.Params
) -> Iterator[str]:
    missing = len(columns) - usable
    known = "looked up" if looked_up else f"made up: each with chance {share:g}, --available"
    lost = missing / max(1, len(columns))
    yield f"to be had: {usable:,}, missing: {missing:,} or {lost:.1%} ({known})"
    section = getattr(settings.data, settings.data.source, None)
    if getattr(section, "youtube", False):
        asked = missing if looked_up else usable
        days = asked / pacing().visits_per_s / 86400
        yield f"from YouTube: {asked:,} sections, at its pace {days:,.1f} days at least"
    elif lost > settings.data.max_failed_share:
        most = settings.data.max_failed_share
        yield f"download would stop: more than data.max_failed_share={most:g}"


def _table(stages: Sequence[Stage]) -> Iterator[str]:
    yield f"{'stage':10}{'shards':>8}{'rows':>12}{'disk':>11}{'time':>10}"
    for row in stages:
        disk, took = _size(row.bytes_most), _duration(row.seconds)
        yield f"{row.name:10}{row.shards:8,}{row.rows:12,}{disk:>11}{took:>10}"
    disk, took = (
        _size(sum(row.bytes_most for row in stages)),
        _duration(sum(row.seconds for row in stages)),
    )
    yield f"{'together':30}{disk:>11}{took:>10}"


def _basis(rates: Rates, settings: whole.Params) -> Iterator[str]:
    source = f"measured on {rates.measured} clips" if rates.measured else "assumed, not measured"
    exact = "shards exact"
    if settings.shard.video.jpeg_quality is not None:
        exact = f"of frames in shards JPEG leaves {rates.jpeg_share:.0%} ({source})"
    yield f"disk: {exact}, decoded the most it can be; twice where links into DVC's cache fail"
    yield (
        f"a clip: {rates.media_kb:,.0f} kB of media in its row (data.media={settings.data.media}), "
        f"{rates.fetch_s:.3f} s to fetch from disk, {rates.decode_s:.3f} s to decode ({source}); "
        f"{SHARD_S:g} s to shard (assumed); {worker_count()} workers"
    )


def _shards(settings: whole.Params, classes: int, rates: Rates) -> Iterator[str]:
    sizes = shard_sizes(settings, classes, rates)
    said = ", ".join(f"{name} {_size(size)}" for name, size in sizes)
    yield f"a full shard of data.shard_clips={settings.data.shard_clips} clips: {said}"


def _decoded(stages: Sequence[Stage]) -> Iterator[str]:
    found = {row.name: row for row in stages}
    decode, shard = found["decode"], found["shard"]
    yield (
        f"clips are there twice, decoded ({_size(decode.bytes_most)} at most) and as shards "
        f"({_size(shard.bytes_most)}): decode ends before shard begins. Kept, another section "
        f"shard costs {_duration(shard.seconds)}; with data/decoded deleted afterwards, "
        f"{_duration(decode.seconds + shard.seconds)}"
    )


def _training(
    settings: whole.Params, columns: Columns, there: Bools, classes: int, steps: int
) -> Iterator[str]:
    if not steps or not settings.train:
        return
    train, val = (int(there[columns.positions(name)].sum()) for name in ("train", "val"))
    nets = measure_nets(settings, classes, steps)
    yield f"{'training':22}{'steps':>10}{'clips':>14}{'time':>12}"
    rows = list(runs(settings, train, val, nets))
    for row in rows:
        yield f"{row.name:22}{row.steps:10,}{row.clips:14,}{_duration(row.seconds):>12}"
    total = _duration(sum(row.seconds for row in rows))
    yield f"{'together':22}{'':24}{total:>12}"
    paces = ", ".join(f"{name} {1 / net.seconds:,.4g} clips/s" for name, net in nets.items())
    sizes = ", ".join(str(size) for size in sorted({net.batch for net in nets.values()}))
    yield f"on one device, {device_name()}; steps measured: {steps}, of {sizes} clips: {paces}"
    if not on_gpu():
        yield "GPU hours: run this on a machine with a GPU, which then measures itself"


def _lost(table: Sequence[tuple[str, int, int, int]], most: int) -> Iterator[str]:
    untrained = sum(1 for row in table if not row[3])
    yield f"classes without a training clip: {untrained} (shard.untrained_classes)"
    worst = [row for row in table if row[2]][:most]
    if worst:
        yield "most missing, by class:"
    for name, asked, missing, trained in worst:
        yield f"  {missing / asked:6.1%} of {asked:9,}  {name} ({trained:,} left in train)"


def _refused(clips: ClipList, columns: Columns, settings: whole.Params) -> Iterator[str]:
    same_source = settings.shard.leaks.same_source
    try:
        warnings = check_requests(
            columns, Vocabulary(clips.classes, clips.task), same_source=same_source
        )
    except UserError as error:
        warnings = []
        yield f"download would stop: {error}"
    yield from (f"warning: {warning}" for warning in (*clips.warnings, *warnings))


def _size(count: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


if __name__ == "__main__":
    stage.run(main, check=False)
