"""Is a net from elsewhere one whose robustness can be measured? Each fault in one line.

What would spoil an attack unseen is refused before any attack: outputs that are no logits, inputs
without a gradient, outputs that hang on the batch, on chance or on the calls before.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.models.own import OwnModel, logits_of
from mmlib.models.users_code import users_code
from mmlib.runtime.errors import UserError

_SAME = 1e-6
"""Logits of two calls may differ by this share of the largest, for sums in another order."""
_LOUD = 100.0
"""How far beyond the clips' range outputs are tried."""
_ALIKE = 1e-4
"""Logits of one clip in batches of two sizes, or by two ways through the net."""


def admit(model: OwnModel, clips: Batch) -> None:
    """Refuse a model that breaks the contract, on a few clips on its device.

    `clips`: at least two, as a loader yields them, each with all tracks. UserError: one line that
    says what to change.
    """
    with torch.no_grad():
        inputs = model.fitted(clips)
    logits = logits_of(_of_several(model.net, inputs))
    _shape(logits, model.net.classes, len(next(iter(inputs.values()))))
    _untouched(model.net, inputs)
    _logits_not_probabilities(model.net, inputs, logits)
    _same_again(model.net, inputs, logits)
    _alone(model.net, inputs, logits)
    _embedding(model, clips)
    _branches(model, clips)
    for name in inputs:
        _gradient(model, clips, name)


def _call(what: str, function: Any, *arguments: Any) -> Any:
    with users_code(what):
        return function(*arguments)


def _output(net: nn.Module, inputs: Batch, of: str = "") -> Any:
    with torch.no_grad():
        return _call(f"its forward{of}", net, dict(inputs))


def _logits(net: nn.Module, inputs: Batch, of: str = "") -> Tensor:
    return logits_of(_output(net, inputs, of))


def _of_several(net: nn.Module, inputs: Batch) -> Any:
    """Its output; what raises for several clips, but not for one, is told."""
    try:
        return _output(net, inputs)
    except UserError as error:
        try:
            _output(net, {name: tensor[:1] for name, tensor in inputs.items()})
        except UserError:
            raise error from None
        raise UserError(
            "its forward takes one clip alone, and clips come several at once: call what it does "
            f"for each of x.split(1), and torch.cat the logits; {error}"
        ) from error


def _shape(logits: Tensor, classes: Any, clips: int) -> None:
    kind = str(logits.dtype).removeprefix("torch.")
    if not logits.is_floating_point():
        raise UserError(
            f"its outputs are {kind}: return the logits themselves, before any argmax, threshold "
            "or rounding"
        )
    if logits.dtype in (torch.float16, torch.bfloat16):
        raise UserError(
            f"its logits are {kind}: give float32, by net.float() in the factory; scores and "
            "gradients need its digits"
        )
    wanted = (clips, len(classes))
    if tuple(logits.shape) != wanted:
        raise UserError(
            f"its forward gives {tuple(logits.shape)} for {clips} clips, but its classes name "
            f"{len(classes)} outputs: {wanted} is needed{_reshaped(logits.shape, wanted)}"
        )
    if not bool(torch.isfinite(logits).all()):
        raise UserError("its logits are not finite for a real clip: look for log(0) or 0 / 0")


def _reshaped(shape: torch.Size, wanted: tuple[int, int]) -> str:
    """How outputs of a usual wrong shape become right, if it is one."""
    clips, outputs = wanted
    if shape.numel() == clips * outputs:
        return ": reshape them"
    if len(shape) > 2 and shape[0] == clips and outputs in shape[1:]:
        return ": take the mean or the maximum over the frames"
    if shape.numel() == outputs:
        return ": one row a clip"
    return ""


def _untouched(net: nn.Module, inputs: Batch) -> None:
    copies = {name: tensor.clone() for name, tensor in inputs.items()}
    _output(net, copies)
    changed = [name for name, tensor in inputs.items() if not torch.equal(copies[name], tensor)]
    if changed:
        raise UserError(
            f"its forward changes its input {changed[0]} in place: work on a copy (x = x - mean, "
            "not x -= mean)"
        )


def _logits_not_probabilities(net: nn.Module, inputs: Batch, logits: Tensor) -> None:
    """Of clips, and of noise far louder and brighter than any: logits would leave [0, 1] there."""
    generator = torch.Generator().manual_seed(0)
    noise = {
        name: (2 * torch.rand(tensor.shape, generator=generator) - 1).to(tensor)
        for name, tensor in inputs.items()
    }
    try:
        loud = _logits(net, {name: _LOUD * tensor for name, tensor in noise.items()})
    except UserError:
        # A net may well refuse what no clip can be.
        loud = _logits(net, {name: tensor.abs() for name, tensor in noise.items()})
    outputs = torch.cat([logits, loud])
    totals = outputs.sum(1)
    # Of any scale: as per cent, too.
    even = bool(((totals - totals[0]).abs() < 1e-3 * totals[0].abs()).all())
    summed = outputs.shape[1] > 1 and even and bool((outputs >= 0).all())
    if not summed and not bool(((outputs >= 0) & (outputs <= 1)).all()):
        return
    kind = "softmax" if summed else "sigmoid"
    raise UserError(
        f"its outputs are probabilities, as of a {kind}: return what goes into the {kind}, since "
        "there the losses of attacks saturate"
    )


def _same_again(net: nn.Module, inputs: Batch, logits: Tensor) -> None:
    turned = _logits(net, {name: tensor.flip(0) for name, tensor in inputs.items()})
    gap = _gap(_logits(net, inputs), logits)
    if gap > _SAME:
        raise UserError(
            f"its logits of the same clips differ between two calls, by {gap:.2g} of the largest: "
            "dropout that eval() does not switch off, another draw, or a state kept between calls; "
            "reset that at the start of forward"
        )
    gap = _gap(turned.flip(0), logits)
    if gap > _ALIKE:
        raise UserError(
            f"its logits of the same clips in another order differ, by {gap:.2g} of the largest: "
            "outputs or features kept from a call before, or a clip's place in its batch; compute "
            "them anew in each forward"
        )


def _alone(net: nn.Module, inputs: Batch, logits: Tensor) -> None:
    first = {name: tensor[:1] for name, tensor in inputs.items()}
    alone = _logits(net, first, " of one clip alone")
    if alone.shape != logits[:1].shape:
        raise UserError(
            f"its forward gives {tuple(alone.shape)} for one clip alone, where "
            f"{tuple(logits[:1].shape)} is needed: no squeeze() over the axis of the clips"
        )
    gap = _gap(alone, logits[:1], logits)
    if gap > _ALIKE:
        raise UserError(
            f"a clip's logits depend on its batch, by {gap:.2g} of the largest: batch norm in "
            "training mode, statistics over the batch, or what is kept from a call before; let "
            "eval() reach every layer"
        )


def _gradient(model: OwnModel, clips: Batch, name: str) -> None:
    leaf = clips[name].detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = _call("its forward", model, {**clips, name: leaf})
        generator = torch.Generator().manual_seed(1)
        weights = torch.randn(logits.shape, generator=generator).to(logits)
        found = None
        if logits.requires_grad:
            total = (logits * weights).sum()
            (found,) = _call(
                "its backward pass",
                lambda: torch.autograd.grad(total, leaf, allow_unused=True),
            )
    if found is None or not bool((found != 0).any()):
        raise UserError(
            f"no gradient reaches its input {name}: look for torch.no_grad, detach, .data, rounding"
            " or numpy in forward, or leave out of inputs what the net does not read"
        )
    if not bool(torch.isfinite(found).all()):
        raise UserError(
            f"the gradient of its input {name} is not finite for a real clip: look for sqrt or log "
            "of 0 in forward, and add a small number there"
        )


def _embedding(model: OwnModel, clips: Batch) -> None:
    if not model.embeds:
        return
    with torch.no_grad():
        vectors = _call("its embed", model.embed, clips)[model.penultimate]
        wide = model.head.in_features
        if vectors.shape != (len(clips[model.modalities[0]]), wide):
            raise UserError(
                f"its embed gives {tuple(vectors.shape)}, but its head reads (B, {wide})"
            )
        gap = _gap(model.head(vectors), model(clips))
    if gap > _ALIKE:
        raise UserError(
            f"head(embed(batch)) differs from forward(batch) by {gap:.2g} of the largest logit: "
            "embed must give what the last layer, head, reads; or leave embed out"
        )


def _branches(model: OwnModel, clips: Batch) -> None:
    """A net that splits must give the same logits in one piece."""
    if not model.splits:
        return
    with torch.no_grad():
        vectors = {name: _call("its encode", model.encode, name, clips[name]) for name in clips}
        apart = _call("its classify", model.classify, vectors)
        whole = logits_of(_output(model.net, model.fitted(clips)))
        gap = _gap(apart, whole.float().index_select(1, model.columns))
    if gap > _ALIKE:
        raise UserError(
            f"classify of what encode gives differs from forward by {gap:.2g} of the largest "
            "logit: make them agree, or leave encode out"
        )


def _gap(found: Tensor, expected: Tensor, among: Tensor | None = None) -> float:
    scale = (expected if among is None else among).abs().max().clamp_min(1e-12)
    return float(((found - expected).abs().max() / scale).double())
