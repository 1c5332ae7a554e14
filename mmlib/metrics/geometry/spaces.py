"""Density and convexity of every class in every space that a run offers."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from mmlib.metrics.geometry.clouds import Parts, distances
from mmlib.metrics.geometry.convexity import (
    Convexity,
    Margins,
    Rule,
    affine_kappa,
    argmax_rule,
    convexity,
    draw_pairs,
    margins_of_affine,
    margins_of_affine_threshold,
    threshold_rule,
)
from mmlib.metrics.geometry.density import (
    Density,
    ShellDensity,
    density,
    shell_density,
)
from mmlib.metrics.geometry.head import Head
from mmlib.metrics.stored import Embeddings
from mmlib.runtime.arrays import Bools, Floats, Indices, Reals
from mmlib.runtime.workers import worker_count


@dataclass(frozen=True)
class Space:
    """A space to measure convexity in: its name and the classifier on it.

    It is measured on `sample` points a class. `logits` (N, K) are given where the classifier is
    affine on the space, which has kappa in closed form. `present` (N,) leaves out clips that have
    no point of their own: those without the modality.
    """

    name: str
    margins: Margins
    sample: int
    logits: Reals | None = None
    present: Bools | None = None

    def members_of(self, carriers: Bools) -> Indices:
        """The rows of a class in this space, from those that carry its label, (N,) bool."""
        return np.flatnonzero(carriers if self.present is None else carriers & self.present)


@dataclass(frozen=True)
class ClassGeometry:
    """One class in one space; `dims` and `members` 0 and no densities where it has no points.

    `members` are those whose density is measured; `convexity` counts its own, of another split.

    `kappa_exact` is kappa with theta integrated in closed form, nan where the head is not affine;
    `bar` the logit from which a point belongs to the class, nan under argmax.
    """

    name: str
    space: str
    members: int
    dims: int
    densities: tuple[Density, ...]
    shells: tuple[ShellDensity, ...]
    convexity: Convexity
    kappa_exact: float
    bar: float


def rule_for(bars: Reals | None) -> Rule:
    """How a point is assigned to a class: its logit reaches the class's bar, or argmax (None)."""
    return argmax_rule if bars is None else threshold_rule(bars)


def affine_space(
    name: str,
    logits: Reals,
    *,
    bars: Reals | None,
    sample: int,
    present: Bools | None = None,
) -> Space:
    """The space of penultimate vectors, on which the classifier is one linear layer."""
    margins = (
        margins_of_affine(logits, argmax_rule)
        if bars is None
        else margins_of_affine_threshold(logits, bars)
    )
    return Space(name, margins, sample, logits, present)


def penultimate_space(
    cached: Embeddings, head: Head, where: str, *, bars: Reals | None, sample: int
) -> Space:
    """The space that a run's head reads; `where` names the embeddings in errors.

    Raises UserError when the head is not the one that the cached logits came from.
    """
    name = "fused" if "fused" in cached.vectors else next(iter(cached.vectors))
    vectors = cached.vectors[name]
    head.check(vectors, cached.logits, where)
    present = head.present(name, vectors)
    return affine_space(name, cached.logits, bars=bars, sample=sample, present=present)


def measure(
    spaces: Sequence[Space],
    classes: Sequence[str],
    labels: Bools,
    logits: Reals,
    *,
    dense: Parts,
    bars: Reals | None,
    taus: Sequence[float],
    p: float,
    seed: int,
    columns: Sequence[int] | None = None,
) -> list[ClassGeometry]:
    """Measure every class, or those in `columns`, in every space, spaces outermost.

    `labels` (N, K) and `logits` (N, K) are those of the clips whose convexity is measured; `dense`
    gives those whose density is, twice a space. `bars` (K,) are the logits from which a point
    belongs to each class, None for argmax; `taus` and `p` are the density's. A class's pairs depend
    on the seed, its place and its members only: runs on the same clips, and the spaces of a run,
    share them.
    """
    rule = rule_for(bars)

    def one(space: Space, dims: int, column: int, cloud: Floats) -> ClassGeometry:
        rows = space.members_of(labels[:, column])
        found = convexity(
            rows,
            rows[rule(logits[rows], column) >= 0],
            column,
            space.margins,
            points=space.sample,
            generator=np.random.default_rng([seed, column]),
        )
        densities, shells = _densities(cloud, dims, taus, p) if dims else ((), ())
        exact = _exact(space, rows, column, bars, seed)
        bar = float("nan") if bars is None else float(bars[column])
        about = classes[column], space.name, len(cloud), dims
        return ClassGeometry(*about, densities, shells, found, exact, bar)

    measured = range(len(classes)) if columns is None else columns
    results: list[ClassGeometry] = []
    for space in spaces:
        # A network in torch brings its own threads; numpy's sums and gathers profit from these.
        within, dims = distances(dense, space.name, measured, p)
        with ThreadPoolExecutor(1 if space.logits is None else worker_count()) as pool:
            results.extend(pool.map(partial(one, space, dims), measured, within))
    return results


def _densities(
    cloud: Floats, dims: int, taus: Sequence[float], p: float
) -> tuple[tuple[Density, ...], tuple[ShellDensity, ...]]:
    ordered = sorted(taus)
    return (
        tuple(density(cloud, dims, tau=tau, p=p) for tau in ordered),
        tuple(
            shell_density(cloud, dims, inner_tau=inner, outer_tau=outer, p=p)
            for inner, outer in pairwise(ordered)
        ),
    )


def _exact(space: Space, rows: Indices, column: int, bars: Reals | None, seed: int) -> float:
    if space.logits is None or len(rows) < 2:
        return float("nan")
    pairs = draw_pairs(rows, space.sample, np.random.default_rng([seed, column]))
    return affine_kappa(space.logits, pairs, column, bars)
