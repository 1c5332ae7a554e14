"""The second certificate: how far an encoder's vector may move before a head's decision turns.

Of what stands behind the encoders, at most one hidden layer and a linear head, bounds can be had
without a draw. A linear head has an exact one, margin / ||w||. Behind the hidden layer of mid
fusion (linear, layer norm, ReLU) linear relaxation gives a lower bound (CROWN, Zhang et al. 2018).
It says nothing of how far the clip has to change for the vector to move so far, but where a vector
has no part in a decision no change of its clip can turn it, however large, and that is exact.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmlib.models.base import Model, UniModal
from mmlib.models.fusion import Late, Mid
from mmlib.threats import THREATS

_HALVINGS = 24
_DOUBLINGS = 40
_CLIPS = 16


class _Hidden(NamedTuple):
    """The hidden layer's pre-activation times the layer norm's deviation s, as a function of moves.

    With c the centred output of the linear layer, the layer norm is g c / s + b and s > 0, so the
    sign of the head's margin is that of w . relu(u) + (bias - threshold) s with u = g c + b s. c is
    linear in the move of the vectors, and s is `lipschitz`-Lipschitz in its length.
    `u` (B, H), `s` (B,), `slope` (H, D): of g c, `shift` (H,): b.
    """

    u: Tensor
    s: Tensor
    slope: Tensor
    shift: Tensor
    lipschitz: Tensor


def head_radii(
    model: Model, vectors: Mapping[str, Tensor], thresholds: Tensor, threat: str
) -> Tensor | None:
    """The l2 radii (B, K) within which moves of a threat's vectors turn no decision.

    `vectors`: modality -> (B, D), the encoders' outputs of all modalities of the model; a class is
    shown above its threshold (K,). Moves are l2 over the vectors of the threat together. inf where
    no move turns it, nan without a threshold. Exact for one modality and for late fusion, a lower
    bound for mid fusion; None for other nets, whose layers are not bounded here.
    """
    moved = THREATS[threat]
    weight, bias = model.head.weight.detach().double(), model.head.bias.detach().double()
    held = {name: vectors[name].double() for name in model.modalities}
    offset = bias - thresholds.double()
    if isinstance(model, UniModal | Late):
        joined = torch.cat(list(held.values()), 1)
        columns = _columns(held, moved)
        norms = torch.linalg.vector_norm(weight[:, columns], dim=1)
        margins = (joined @ weight.T + offset).abs()
        return torch.where(norms > 0, margins / norms, torch.inf).where(~margins.isnan(), torch.nan)
    if not isinstance(model, Mid):
        return None
    hidden = _hidden(model.hidden, torch.cat(list(held.values()), 1), _columns(held, moved))
    # In parts, since every clip and class has a relaxation of its own.
    parts = [slice(at, at + _CLIPS) for at in range(0, len(hidden.s), _CLIPS)]
    return torch.cat(
        [_largest(hidden._replace(u=hidden.u[p], s=hidden.s[p]), weight, offset) for p in parts]
    )


def _columns(vectors: Mapping[str, Tensor], moved: tuple[str, ...]) -> Tensor:
    """Which columns of the joined vectors may move, (D,) bool."""
    parts = [
        torch.full((tensor.shape[1],), name in moved, device=tensor.device)
        for name, tensor in vectors.items()
    ]
    return torch.cat(parts)


def _hidden(layers: nn.Sequential, joined: Tensor, columns: Tensor) -> _Hidden:
    linear, norm = layers[0], layers[1]
    assert isinstance(linear, nn.Linear)
    assert isinstance(norm, nn.LayerNorm)
    weight = linear.weight.detach().double()
    centred = weight - weight.mean(0)
    z = joined @ weight.T + linear.bias.detach().double()
    c = z - z.mean(1, keepdim=True)
    s = (c.square().mean(1) + norm.eps).sqrt()
    gain, shift = norm.weight.detach().double(), norm.bias.detach().double()
    slope = centred[:, columns]
    length = torch.linalg.matrix_norm(slope, 2) / len(gain) ** 0.5
    return _Hidden(gain * c + shift * s[:, None], s, gain[:, None] * slope, shift, length)


def _largest(hidden: _Hidden, weight: Tensor, offset: Tensor) -> Tensor:
    """The largest radii (B, K) at which the bound keeps the decision, by bisection.

    Any radius at which it does is a certificate, for a ball holds all smaller ones.
    """
    clean = hidden.u.relu() @ weight.T + offset * hidden.s[:, None]
    side = clean.sign()

    def held(radius: Tensor) -> Tensor:
        return _bound(hidden, weight, offset, side, radius) > 0

    low = torch.zeros_like(clean)
    if not bool(hidden.slope.any()):
        return torch.where(clean.isnan(), torch.nan, torch.where(clean == 0, 0.0, torch.inf))
    high = torch.full_like(clean, 1e-3)
    for _ in range(_DOUBLINGS):
        kept = held(high)
        if not bool(kept.any()):
            break
        low, high = torch.where(kept, high, low), torch.where(kept, 2 * high, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        kept = held(middle)
        low, high = torch.where(kept, middle, low), torch.where(kept, high, middle)
    return torch.where(clean.isnan(), torch.nan, low)


def _bound(hidden: _Hidden, weight: Tensor, offset: Tensor, side: Tensor, radius: Tensor) -> Tensor:
    """A lower bound (B, K) of side times margin times s over all moves of at most `radius`.

    Each ReLU that may switch is replaced by a line: below it (0 or the identity, whichever is
    nearer) where its weight helps the decision, above it (the chord) where it harms. What is left
    is linear in the move, whose least value is known, and in s.
    """
    reach = torch.linalg.vector_norm(hidden.slope, dim=1) + hidden.shift.abs() * hidden.lipschitz
    spread = radius[:, :, None] * reach
    u = hidden.u[:, None, :]
    lower, upper = u - spread, u + spread
    weights = side[:, :, None] * weight
    chord = upper.clamp_min(0) / (upper - lower).clamp_min(1e-300)
    switches = (lower < 0) & (upper > 0)
    line = torch.where(lower >= 0, 1.0, 0.0)
    below = torch.where(switches, (upper > -lower).double(), line)
    above = torch.where(switches, chord, line)
    gain = torch.where(weights >= 0, below, above)
    constant = torch.where(switches & (weights < 0), -chord * lower, 0.0)
    through = weights * gain
    steady = (through * u + weights * constant).sum(2) + side * offset * hidden.s[:, None]
    moved = torch.linalg.vector_norm(through @ hidden.slope, dim=2)
    scaled = (through * hidden.shift).sum(2) + side * offset
    least: Tensor = steady - radius * (moved + hidden.lipschitz * scaled.abs())
    return least
