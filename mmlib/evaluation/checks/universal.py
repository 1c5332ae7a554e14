"""One perturbation for all clips: fitted on other clips than those that it is scored on."""

from dataclasses import replace

import numpy as np

from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.evaluation.checks import honesty
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.probe import (
    Probe,
    universal_map,
)
from mmlib.runtime.arrays import Indices
from mmlib.runtime.seeds import derive, drawn
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import filled_splits
from mmlib.threats import MODALITIES

_FIT_SPLIT = "val"


def check_universal(probed: Probe, run: AttackedRun, rows: Indices, wanted: int) -> Outcome:
    """Fit one perturbation on `wanted` clips, and apply it to the probed ones, `rows` of the run's.

    Fitted on clips of the split val; where eval alone has clips, or waveforms, on its other
    recordings, and where all of eval is probed, on those of every second recording.
    """
    if run.settings.domain == "waveform" or _FIT_SPLIT not in filled_splits(run.shards):
        source, pool = run, _apart(run.clips, rows)
        if not len(pool):
            kept = _every_second(run.clips, rows)
            probed, rows, pool = probed.part(kept), rows[kept], np.delete(rows, kept)
    else:
        source = replace(run, clips=ShardSet(run.shards, _FIT_SPLIT, pixels=True))
        pool = np.arange(len(source.clips))
    if not len(pool):
        message = f"not measured: no other recording in {source.clips.split} to fit it on"
        return Outcome("universal_split", "warn", message)
    fitted = drawn(pool, wanted, derive(probed.seed, "universal"))
    batch = source.gather(fitted, MODALITIES)
    fit_on = [(batch.inputs, batch.labels)]
    after, known = universal_map(probed, fit_on), probed.mean_ap(probed.attacked)
    seen = f"mAP {after:.3f} under one perturbation for all clips, {known:.3f} under one per clip"
    return honesty.universal_split(_ids(source.clips, fitted), _ids(run.clips, rows), seen)


def _apart(clips: ShardSet, rows: Indices) -> Indices:
    """The rows of all clips whose recording none of the given rows is cut from."""
    sources = np.array(clips.source_ids)
    return np.flatnonzero(~np.isin(sources, sources[rows]))


def _every_second(clips: ShardSet, rows: Indices) -> Indices:
    """Places among the rows: those of every second recording, the first one's too."""
    _, recordings = np.unique(np.array(clips.source_ids)[rows], return_inverse=True)
    return np.flatnonzero(recordings % 2 == 0)


def _ids(clips: ShardSet, rows: Indices) -> dict[str, list[str]]:
    return {
        "clip": [clips.clip_ids[row] for row in rows.tolist()],
        "recording": [clips.source_ids[row] for row in rows.tolist()],
    }
