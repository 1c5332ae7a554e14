"""Exact projections and linear optima over (ball of a norm) ∩ (box), for many clips at once.

Everything works on deltas, flattened to (B, N): `low` and `high` are the room that the box leaves
around the clean point, so low <= 0 <= high, and `eps` (B,) is the radius. Clipping to the box
after projecting onto the ball, as most libraries do, is neither a projection onto the
intersection nor able to spend the budget that clipped elements leave over.
"""

import torch
from torch import Tensor

_ROUNDS = 60
"""Bound on root-finding rounds; both searches below usually end within ten."""


def project_l2(delta: Tensor, low: Tensor, high: Tensor, eps: Tensor) -> Tensor:
    """The nearest point of {||d||_2 <= eps, low <= d <= high} to each delta."""
    return _scaled_to_norm(delta, low, high, eps, cap=1.0)


def project_l1(delta: Tensor, low: Tensor, high: Tensor, eps: Tensor) -> Tensor:
    """The nearest point of {||d||_1 <= eps, low <= d <= high} to each delta.

    It is sign(delta) min(max(|delta| - t, 0), room) with the smallest t >= 0 that fits the ball
    (Croce & Hein 2021, "Mind the box", proposition 2.1); t by Newton's method inside a bracket.
    """
    size = delta.abs()
    room = torch.where(delta > 0, high, -low)
    lower, upper = torch.zeros_like(eps), size.amax(1)
    t = lower
    for _ in range(_ROUNDS):
        left = size - t[:, None]
        excess = torch.minimum(left.clamp_min(0), room).sum(1) - eps
        lower = torch.where(excess > 0, t, lower)
        upper = torch.where(excess > 0, upper, t)
        done = (excess.abs() <= 1e-6 * eps) | (upper - lower <= 1e-7 * upper) | (upper == 0)
        if bool((done | (eps == 0)).all()):
            break
        newton = t + excess / ((left > 0) & (left < room)).sum(1).clamp_min(1)
        inside = (newton > lower) & (newton < upper)
        t = torch.where(done, t, torch.where(inside, newton, (lower + upper) / 2))
    shrunk = torch.minimum((size - t[:, None]).clamp_min(0), room)
    return torch.copysign(_within(shrunk, shrunk.sum(1), eps), delta)


def vertex_l2(gradient: Tensor, low: Tensor, high: Tensor, eps: Tensor) -> Tensor:
    """The point of {||d||_2 <= eps, low <= d <= high} with the largest gradient · d."""
    scale = gradient.abs().amax(1, keepdim=True)
    direction = gradient / torch.where(scale > 0, scale, 1)
    return _scaled_to_norm(direction, low, high, eps, cap=torch.inf)


def vertex_l1(gradient: Tensor, low: Tensor, high: Tensor, eps: Tensor) -> Tensor:
    """The point of {||d||_1 <= eps, low <= d <= high} with the largest gradient · d.

    A fractional knapsack: elements by falling |gradient|, each filled up to its room.
    """
    order = gradient.abs().sort(dim=1, descending=True, stable=True).indices
    room = torch.where(gradient > 0, high, -low) * (gradient != 0)
    sorted_room = room.gather(1, order)
    spent_before = sorted_room.cumsum(1, dtype=torch.float64) - sorted_room
    left = (eps[:, None].double() - spent_before).clamp_min(0).to(room.dtype)
    filled = torch.minimum(sorted_room, left)
    return torch.copysign(torch.zeros_like(room).scatter(1, order, filled), gradient)


def _scaled_to_norm(
    direction: Tensor, low: Tensor, high: Tensor, eps: Tensor, cap: float
) -> Tensor:
    """clip(s direction, low, high) with the s <= cap that brings its l2 norm to eps.

    With t = s², the squared norm sum min(t d², room²) is concave and piecewise linear in t, so
    Newton's method from t = 0 climbs to the root without overshooting and ends exactly.
    """
    square = direction.square()
    room = torch.where(direction > 0, high, -low).square()
    target = eps.square().to(square.dtype)
    t = torch.zeros_like(target)
    for _ in range(_ROUNDS):
        bound = t[:, None] * square >= room
        slope = square.masked_fill(bound, 0).sum(1)
        spent = room.masked_fill(~bound, 0).sum(1)
        root = torch.where(slope > 0, (target - spent) / slope.clamp_min(1e-38), t)
        climbed = torch.maximum(root, t).clamp_max(cap * cap)
        if bool((climbed <= t).all()):
            break
        t = climbed
    return torch.clamp(t.sqrt()[:, None] * direction, low, high)


def _within(delta: Tensor, norm: Tensor, eps: Tensor) -> Tensor:
    """Scale down what the last digit of a root left outside the ball."""
    return delta * torch.where(norm > eps, eps / norm.clamp_min(1e-38), 1)[:, None]
