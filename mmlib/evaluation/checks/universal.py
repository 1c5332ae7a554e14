"""One perturbation for all clips: fitted on other clips than those that it is scored on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmlib.batch import to_device
from mmlib.evaluation.attacked import domain
from mmlib.evaluation.checks import honesty
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.probe import (
    Probe,
    universal_map,
)
from mmlib.runtime.seeds import derive
from mmlib.shards.read.loader import ShardSet

_FIT_SPLIT = "val"


def drawn(count: int, wanted: int, seed: int) -> NDArray[np.intp]:
    """Rows drawn without repeats, ascending: the same for every run."""
    chosen = np.random.default_rng(seed).choice(count, min(wanted, count), replace=False)
    return np.sort(chosen).astype(np.intp)


def check_universal(
    probed: Probe, clips: ShardSet, rows: NDArray[np.intp], shards: Path, wanted: int
) -> Outcome:
    """Fit one perturbation on `wanted` clips, and apply it to the probed ones, `rows` of `clips`.

    Fitted on clips of the split val; on waveforms, which only eval has, on its other recordings.
    """
    form = probed.settings.domain
    if form == "waveform":
        other, pool = clips, _apart(clips, rows)
    else:
        other = ShardSet(shards, _FIT_SPLIT)
        pool = np.arange(len(other))
    if not len(pool):
        return Outcome(
            "universal_split", "warn", f"not measured: no clips in {other.split} to fit it on"
        )
    fitted = pool[drawn(len(pool), wanted, derive(probed.seed, "universal"))]
    batch = domain.gather(other, fitted, domain=form)
    device = probed.labels.device
    fit_on = [(to_device(batch.inputs, device), batch.labels.to(device))]
    after, known = universal_map(probed, fit_on), probed.mean_ap(probed.attacked)
    seen = f"mAP {after:.3f} under one perturbation for all clips, {known:.3f} under one per clip"
    return honesty.universal_split(_ids(other, fitted), _ids(clips, rows), seen)


def _apart(clips: ShardSet, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows of all clips whose recording none of the given rows is cut from."""
    sources = np.array(clips.source_ids)
    return np.flatnonzero(~np.isin(sources, sources[rows]))


def _ids(clips: ShardSet, rows: NDArray[np.intp]) -> dict[str, list[str]]:
    return {
        "clip": [clips.clip_ids[row] for row in rows.tolist()],
        "recording": [clips.source_ids[row] for row in rows.tolist()],
    }
