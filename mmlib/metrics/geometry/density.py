"""How densely a class fills its part of an embedding space: the paper's form and two sound ones.

Everything is in log volumes, so dimensions 2 to thousands neither overflow nor vanish.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from mmlib.runtime.arrays import Floats, Reals

# The paper's rho divides by log V = d log(R / R0), which is 0 at R0 = `singular_radius`. Within
# this share of R0 its size and sign say more about the unit of length than about the class.
# [choice]
NEAR_SINGULAR = 0.05
# Distances this close to the quantile count as equal to it: rounding must not decide. [choice]
TIE = 1e-9


@dataclass(frozen=True)
class Density:
    """One class at one quantile tau of its distances to the centroid.

    `radius` R is the quantile, `outside` n_c the members farther than R, `log_volume` that of the
    l_p ball of radius R. `rho` = n_c / log V is the paper's, signed; `log_density` =
    (log n_c - log N_c - log V) / d does not change with the class's size. nan where undefined:
    `flags` says why ("too_few", "zero_radius", "none_outside"), and also marks "near_singular".
    """

    tau: float
    members: int
    radius: float
    outside: int
    log_volume: float
    rho: float
    log_density: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class ShellDensity:
    """One class between two quantiles of its distances: (log n - log N_c - log V) / d.

    `inside` n counts the members in the shell, `log_volume` is the shell's; nan and `flags` as in
    `Density` ("empty_shell": both quantiles equal, or nobody between them).
    """

    inner_tau: float
    outer_tau: float
    inside: int
    log_volume: float
    log_density: float
    flags: tuple[str, ...]


def log_ball_volume(radius: float, dims: int, p: float) -> float:
    """Log volume of the l_p ball: d (log 2 + lgamma(1 + 1/p) + log R) - lgamma(1 + d/p).

    `p` in [1, inf]; -inf at radius 0. Source: paper, docs/metrics.md.
    """
    if radius == 0:
        return -np.inf
    return float(dims * np.log(radius) + _log_unit_volume(dims, p))


def singular_radius(dims: int, p: float) -> float:
    """The radius at which the ball's volume is 1, so that the paper's rho divides by 0."""
    return float(np.exp(-_log_unit_volume(dims, p) / dims))


def _log_unit_volume(dims: int, p: float) -> float:
    if dims < 1 or not p >= 1:
        raise ValueError(f"a ball needs dims >= 1 and p >= 1, not {dims} and {p}")
    return float(dims * (np.log(2.0) + gammaln(1 + 1 / p)) - gammaln(1 + dims / p))


def log_shell_volume(inner: float, outer: float, dims: int, p: float) -> float:
    """Log volume between two l_p balls: log V2 + log1p(-exp(log V1 - log V2)); -inf if empty."""
    if not 0 <= inner <= outer:
        raise ValueError(f"a shell needs 0 <= inner <= outer, not {inner} and {outer}")
    if inner == outer:
        return -np.inf
    whole = log_ball_volume(outer, dims, p)
    if inner == 0:
        return whole
    # dims * log(inner / outer) and expm1 keep thin shells exact
    return float(whole + np.log(-np.expm1(dims * np.log(inner / outer))))


def centroid_distances(points: Reals, p: float) -> Floats:
    """l_p distance of each point to the mean: points (N, D) -> (N,), in float64."""
    return distances_to(points, points.mean(axis=0, dtype=np.float64), p)


def distances_to(points: Reals, centre: Floats, p: float) -> Floats:
    """l_p distance of each point to the centre, (D,): points (N, D) -> (N,), in float64."""
    offsets = points.astype(np.float64)
    offsets -= centre
    if p == 2:
        return np.asarray(np.sqrt(np.einsum("nd,nd->n", offsets, offsets)))
    sizes = np.abs(offsets)
    largest = sizes.max(axis=1, initial=0.0)
    if np.isinf(p):
        return np.asarray(largest)
    # powers of numbers up to 1 cannot overflow
    shares = sizes / np.where(largest == 0, 1.0, largest)[:, None]
    return np.asarray(largest * (shares**p).sum(axis=1) ** (1 / p))


def density(distances: Floats, dims: int, *, tau: float, p: float) -> Density:
    """Density of a class from its members' distances to its centroid, (N_c,), at quantile tau."""
    members = len(distances)
    if members < 2:
        nan = float("nan")
        return Density(tau, members, nan, 0, nan, nan, nan, ("too_few",))
    radius = float(np.quantile(distances, tau))
    outside = int((distances > radius * (1 + TIE)).sum())
    log_volume = log_ball_volume(radius, dims, p)
    if radius == 0:
        # every volume is 0: n_c / -inf would read as a density of 0
        nan = float("nan")
        return Density(tau, members, 0.0, outside, log_volume, nan, nan, ("zero_radius",))
    flags = []
    if outside == 0:
        flags.append("none_outside")
    if abs(log_volume) < dims * np.log1p(NEAR_SINGULAR):
        flags.append("near_singular")
    return Density(
        tau,
        members,
        radius,
        outside,
        log_volume,
        outside / log_volume if log_volume != 0 else float("nan"),
        _log_share_density(outside, members, log_volume, dims),
        tuple(flags),
    )


def shell_density(
    distances: Floats, dims: int, *, inner_tau: float, outer_tau: float, p: float
) -> ShellDensity:
    """Density of a class between two quantiles of its members' distances, (N_c,)."""
    if not inner_tau < outer_tau:
        raise ValueError(f"inner_tau ({inner_tau}) must be below outer_tau ({outer_tau})")
    members, nan = len(distances), float("nan")
    if members < 2:
        return ShellDensity(inner_tau, outer_tau, 0, nan, nan, ("too_few",))
    inner, outer = (float(value) for value in np.quantile(distances, [inner_tau, outer_tau]))
    if outer - inner <= TIE * outer:
        return ShellDensity(inner_tau, outer_tau, 0, -np.inf, nan, ("empty_shell",))
    beyond = distances > inner * (1 + TIE)
    inside = int((beyond & (distances <= outer * (1 + TIE))).sum())
    log_volume = log_shell_volume(inner, outer, dims, p)
    flags = () if inside else ("empty_shell",)
    value = _log_share_density(inside, members, log_volume, dims)
    return ShellDensity(inner_tau, outer_tau, inside, log_volume, value, flags)


def _log_share_density(count: int, members: int, log_volume: float, dims: int) -> float:
    if count == 0:
        return float("nan")
    return float((np.log(count) - np.log(members) - log_volume) / dims)
