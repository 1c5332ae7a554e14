"""data/geometry/<run>.csv: one row a class and space."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.special import expit

from mmlib.metrics.geometry.spaces import ClassGeometry
from mmlib.runtime.arrays import Floats
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import csv_text, read_table, records_csv, significant

# The space that stands for a run: the vector that its head reads.
TEXT = ("class", "embedding", "split", "kappa_split", "flags")
MAIN_SPACES = ("fused", "audio", "video")


def to_csv(rows: Iterable[ClassGeometry], taus: Sequence[float], splits: tuple[str, str]) -> str:
    """Write the rows as csv text, six significant digits, undefined values empty.

    `splits`: where convexity and density were measured. Columns: class, embedding; split, n and
    dims of the density; kappa_split, kappa_n, kappa, its Wilson bounds kappa_lo and kappa_hi, and
    kappa_points; threshold (the probability from which a point belongs, empty under argmax);
    kappa_exact (affine heads); kappa_conditioned with its bounds, and n_correct; for each tau
    radius_<tau>, rho_<tau> (the paper's) and log_density_<tau>; for neighbouring quantiles
    shell_density_<inner>_<outer>; flags as flag@tau, separated by blanks.
    """
    cells = [_cells(row, sorted(taus), splits) for row in rows]
    return records_csv(cells) if cells else csv_text(TEXT, [])


def _cells(row: ClassGeometry, taus: Sequence[float], splits: tuple[str, str]) -> dict[str, str]:
    found = row.convexity
    cells = {
        "class": row.name,
        "embedding": row.space,
        "split": splits[1],
        "n": str(row.members),
        "dims": str(row.dims),
        "kappa_split": splits[0],
        "kappa_n": str(found.members),
        "kappa": significant(found.kappa.estimate),
        "kappa_lo": significant(found.kappa.lo),
        "kappa_hi": significant(found.kappa.hi),
        "kappa_points": str(found.points),
        "threshold": significant(float(expit(row.bar))),
        "kappa_exact": significant(row.kappa_exact),
        "kappa_conditioned": significant(found.conditioned.estimate),
        "kappa_conditioned_lo": significant(found.conditioned.lo),
        "kappa_conditioned_hi": significant(found.conditioned.hi),
        "n_correct": str(found.correct),
    }
    densities = {density.tau: density for density in row.densities}
    for tau in taus:
        density = densities.get(tau)
        cells[f"radius_{tau:g}"] = significant(density.radius if density else math.nan)
        cells[f"rho_{tau:g}"] = significant(density.rho if density else math.nan)
        cells[f"log_density_{tau:g}"] = significant(density.log_density if density else math.nan)
    shells = {(shell.inner_tau, shell.outer_tau): shell for shell in row.shells}
    for inner, outer in pairwise(taus):
        shell = shells.get((inner, outer))
        name = f"shell_density_{inner:g}_{outer:g}"
        cells[name] = significant(shell.log_density if shell else math.nan)
    flags = [f"{flag}@{density.tau:g}" for density in row.densities for flag in density.flags]
    flags += [f"{flag}@{s.inner_tau:g}-{s.outer_tau:g}" for s in row.shells for flag in s.flags]
    return cells | {"flags": " ".join(flags)}


class GeometryTable:
    """data/geometry/<run>.csv as read: columns of one space in the order of the classes.

    Of a run without an embedding it holds no row: `measured` is False.
    """

    def __init__(self, path: Path) -> None:
        self._table = read_table(path, TEXT)
        self.path = path
        embeddings = self._table["embedding"].tolist() if self._table else []
        self.spaces = tuple(dict.fromkeys(embeddings))
        self.columns = tuple(self._table)

    @property
    def measured(self) -> bool:
        """Whether the run has an embedding that was measured."""
        return any(name in self.spaces for name in MAIN_SPACES)

    @property
    def main_space(self) -> str:
        """The space of the vector that the run's head reads; UserError where there is none."""
        if not self.measured:
            raise UserError(f"{self.path}: holds no class; delete it and run `dvc repro`")
        return next(name for name in MAIN_SPACES if name in self.spaces)

    def column(self, name: str, space: str, classes: Sequence[str]) -> Floats:
        """A column of numbers for these classes, (K,); nan where the cell is empty.

        Raises UserError when the column, the space or a class is not there.
        """
        if name not in self.columns or space not in self.spaces:
            raise UserError(
                f"{self.path}: no {name} in space {space}; it has the columns "
                f"{', '.join(self.columns)} and the spaces {', '.join(self.spaces)}"
            )
        rows = np.flatnonzero(self._table["embedding"] == space)
        place = dict(zip(self._table["class"][rows].tolist(), rows.tolist(), strict=True))
        absent = [name for name in classes if name not in place]
        if absent:
            raise UserError(f"{self.path}: class {absent[0]!r} is not there; run `dvc repro`")
        return self._table[name][[place[name] for name in classes]].astype(np.float64)

    @property
    def splits(self) -> frozenset[str]:
        """The splits whose clips were measured."""
        return frozenset(str(self._table[name][0]) for name in ("split", "kappa_split"))

    def quantiles(self) -> tuple[str, ...]:
        """The taus as they end the columns' names, ascending."""
        prefix = "log_density_"
        return tuple(name[len(prefix) :] for name in self.columns if name.startswith(prefix))
