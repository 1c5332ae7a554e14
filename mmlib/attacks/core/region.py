"""The points that one modality's budget allows around the clean ones, exact in float32."""

from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor

from mmlib.attacks.core import projection
from mmlib.attacks.core.threat import Budget
from mmlib.runtime.errors import UserError
from mmlib.runtime.seeds import derive

SPARSE_SHARE = 0.01
"""Share of the elements that one l1 step moves: SLIDE's 99th percentile (Tramèr & Boneh 2019)."""

ORDERS = {"linf": torch.inf, "l2": 2, "l1": 1}
"""The order of each norm, as torch.linalg.vector_norm takes it."""


class Region:
    """Ball ∩ box around `clean` (B, ...) under `budget`; clips that lack the modality cannot move.

    `lower` and `upper` bound every element (for linf they are the whole region). They are rounded
    inwards, so that the distance between the float32 numbers, measured in float64, keeps within
    eps. Raises UserError when a clean element lies outside the box.
    """

    def __init__(self, clean: Tensor, budget: Budget, present: Tensor | None, name: str) -> None:
        self.clean = clean.detach()
        self.norm = budget.norm
        radii = torch.as_tensor(budget.eps, dtype=torch.float64, device=clean.device)
        self.eps = radii.expand(len(clean)).clone()
        if present is not None:
            self.eps[~present] = 0
        low, high = _inwards(budget.low, budget.high, clean.device)
        if len(clean) and not bool(((self.clean >= low) & (self.clean <= high)).all()):
            raise UserError(
                f"{name}: clean values must lie in the box [{budget.low:g}, {budget.high:g}], "
                f"not [{float(clean.min()):g}, {float(clean.max()):g}]: scale them, or set the box"
            )
        self.lower, self.upper = low.expand_as(clean), high.expand_as(clean)
        if self.norm == "linf":
            self.lower, self.upper = self._linf_bounds(low, high)
        else:
            self.room_below = (low - self.clean).flatten(1)
            self.room_above = (high - self.clean).flatten(1)

    def _linf_bounds(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        exact, eps = self.clean.double(), self.column(self.eps)
        lower, upper = (exact - eps).float(), (exact + eps).float()
        lower = torch.where(lower.double() < exact - eps, _next(lower, torch.inf), lower)
        upper = torch.where(upper.double() > exact + eps, _next(upper, -torch.inf), upper)
        return torch.maximum(lower, low), torch.minimum(upper, high)

    def rows(self, index: Tensor) -> "Region":
        """The region of the clips at `index` (R,) alone."""
        part = copy(self)
        tensors = ((name, held) for name, held in vars(self).items() if isinstance(held, Tensor))
        vars(part).update((name, held[index]) for name, held in tensors)
        return part

    def within(self, allowed: Tensor) -> "Region":
        """The region whose elements move only where `allowed`, bool of the clean points' shape."""
        part = copy(self)
        part.lower = torch.where(allowed, self.lower, self.clean)
        part.upper = torch.where(allowed, self.upper, self.clean)
        if self.norm != "linf":
            part.room_below = self.room_below.masked_fill(~allowed.flatten(1), 0)
            part.room_above = self.room_above.masked_fill(~allowed.flatten(1), 0)
        return part

    def column(self, values: Tensor) -> Tensor:
        """Shape one value a clip, (B,), to broadcast over the modality."""
        return values.view(-1, *[1] * (self.clean.dim() - 1))

    def project(self, point: Tensor) -> Tensor:
        """The nearest allowed point (Euclidean)."""
        if self.norm == "linf":
            return torch.clamp(point, self.lower, self.upper)
        nearest = projection.project_l2 if self.norm == "l2" else projection.project_l1
        return self._place(nearest, point - self.clean)

    def vertex(self, gradient: Tensor) -> Tensor:
        """The allowed point that a linear loss with this gradient likes best."""
        if self.norm == "linf":
            held = torch.where(gradient < 0, self.lower, self.clean)
            return torch.where(gradient > 0, self.upper, held)
        best = projection.vertex_l2 if self.norm == "l2" else projection.vertex_l1
        return self._place(best, gradient)

    def ascend(
        self,
        point: Tensor,
        gradient: Tensor,
        length: float | Tensor,
        share: float | Tensor = SPARSE_SHARE,
    ) -> Tensor:
        """Take a step of `length` radii, a number or (B,), and project.

        linf: along the gradient's sign; l2: along the gradient; l1: evenly along the steepest
        `share` of the elements, a number or (B,). For l2 and l1, elements that the box stops do
        not count.
        """
        reach = self.column(self.eps * length).to(point.dtype)
        if self.norm == "linf":
            return self.project(torch.addcmul(point, reach, gradient.sign()))
        above, below = point >= self.upper, point <= self.lower
        stopped = (gradient > 0) & above | (gradient < 0) & below
        free = gradient.masked_fill(stopped, 0).flatten(1)
        direction = _unit_l2(free) if self.norm == "l2" else _steepest(free, share)
        return self.project(point + reach * direction.view_as(point))

    def random(self, seeds: Sequence[int], name: str) -> Tensor:
        """One random allowed point a clip, from the clip's own seed.

        linf: uniform in the region. l2 and l1: uniform in the ball, then projected onto the box.
        """
        draws = torch.stack([self._draw(seed, name) for seed in seeds]).to(self.clean.device)
        if self.norm == "linf":
            return self.project(self.lower + draws * (self.upper - self.lower))
        return self.project(self.clean + draws * self.column(self.eps).to(draws.dtype))

    def _draw(self, seed: int, name: str) -> Tensor:
        generator = torch.Generator().manual_seed(derive(seed, name, draw=True))
        shape = self.clean.shape[1:]
        if self.norm == "linf":
            return torch.rand(shape, generator=generator)
        return unit_ball(shape, self.norm, generator)

    def _place(self, method: Callable[..., Tensor], vector: Tensor) -> Tensor:
        """Apply a (B, N) method of `projection` and add its delta without leaving the ball."""
        delta = method(vector.flatten(1), self.room_below, self.room_above, self.eps.float())
        norm = torch.linalg.vector_norm(delta, ORDERS[self.norm], dim=1, dtype=torch.float64)
        shrink = torch.where(norm > self.eps, self.eps / norm.clamp_min(1e-300), 1.0)[:, None]
        shrunk = torch.nextafter((delta * shrink).float(), torch.zeros_like(delta))
        delta = torch.where(shrink < 1, shrunk, delta).view(vector.shape)
        return self._trim(torch.clamp(self.clean + delta, self.lower, self.upper))

    def _trim(self, point: Tensor) -> Tensor:
        """Undo what rounding to float32 added to a norm: step elements back until the norm fits.

        Each element steps at most one unit in its last place towards the clean point, and no more
        elements do than it takes, so that the budget is not left unspent either.
        """
        norm = self.size(point)
        if bool((norm <= self.eps).all()):
            return point
        order = ORDERS[self.norm]
        back = torch.nextafter(point, self.clean)
        far = (point.double() - self.clean.double()).abs() ** order
        near = (back.double() - self.clean.double()).abs() ** order
        saved = (far - near).flatten(1)
        excess = (norm**order - self.eps**order) + 1e-14 * self.eps**order
        needed = (saved.cumsum(1) - saved < excess[:, None]) & (norm > self.eps)[:, None]
        return torch.where(needed.view(point.shape), back, point)

    def size(self, point: Tensor) -> Tensor:
        """The norm of point - clean for each clip, (B,) float64, measured in float64."""
        delta = (point.double() - self.clean.double()).flatten(1)
        norm: Tensor = torch.linalg.vector_norm(delta, ORDERS[self.norm], dim=1)
        return norm


def unit_ball(shape: Sequence[int], norm: str, generator: torch.Generator) -> Tensor:
    """A point uniform in the unit l2 or l1 ball of that shape (Barthe et al. 2005)."""
    if norm == "l2":
        direction = torch.randn(tuple(shape), generator=generator)
        length = direction.square().sum().sqrt()
    else:
        sign = torch.randint(0, 2, tuple(shape), generator=generator) * 2 - 1
        direction = sign * torch.empty(tuple(shape)).exponential_(generator=generator)
        length = direction.abs().sum()
    radius = torch.rand((), generator=generator) ** (1 / direction.numel())
    scale: Tensor = radius / length.clamp_min(1e-30)
    return direction * scale


def _unit_l2(gradient: Tensor) -> Tensor:
    # Divide by the largest element first: the squares of small gradients underflow in float32.
    scale = gradient.abs().amax(1, keepdim=True)
    direction = gradient / torch.where(scale > 0, scale, 1)
    unit: Tensor = direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True).clamp_min(
        1e-12
    )
    return unit


def _steepest(gradient: Tensor, share: float | Tensor) -> Tensor:
    """Signs of the steepest `share` of each row's elements, at least one, scaled to l1 norm 1."""
    counts = torch.as_tensor(share, device=gradient.device).expand(len(gradient))
    counts = (counts * gradient.shape[1]).round().clamp(1, gradient.shape[1]).long()
    size, place = gradient.abs().topk(int(counts.max()) if len(counts) else 1, dim=1)
    rank = torch.arange(size.shape[1], device=gradient.device)
    chosen = (rank < counts[:, None]) & (size > 0)
    step = gradient.gather(1, place).sign() * chosen / chosen.sum(1, keepdim=True).clamp_min(1)
    return torch.zeros_like(gradient).scatter(1, place, step)


def _inwards(low: float, high: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The box in float32, rounded inwards."""
    bottom = torch.tensor(low, device=device)
    top = torch.tensor(high, device=device)
    if float(bottom) < low:
        bottom = _next(bottom, torch.inf)
    if float(top) > high:
        top = _next(top, -torch.inf)
    return bottom, top


def _next(value: Tensor, towards: float) -> Tensor:
    neighbour: Tensor = torch.nextafter(value, torch.full_like(value, towards))
    return neighbour
