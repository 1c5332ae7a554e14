"""Calling a model that anyone may have written: it is left as it was, and must give logits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmlib.batch import Batch
from mmlib.runtime.errors import UserError


def evaluate(model: Callable[[Batch], Any], batch: Batch, clips: int) -> Tensor:
    """The logits (B, K) of a batch of `clips`, from a model in eval mode.

    UserError where the model returns something else.
    """
    with in_eval(model):
        logits = model(batch)
    if not isinstance(logits, Tensor):
        raise UserError(
            f"the model returns a {type(logits).__name__}: wrap it in a function that returns its "
            "logits, one tensor (B, K)"
        )
    if logits.ndim != 2 or len(logits) != clips:
        raise UserError(
            f"the model returns {tuple(logits.shape)} for {clips} clips: logits (B, K) are needed"
        )
    return logits


@contextmanager
def in_eval(model: object) -> Iterator[None]:
    """Put a module in eval mode, and back as every part of it was.

    In training mode batch norm would mix the clips and learn from what the attack shows it.
    """
    parts = model.modules() if isinstance(model, nn.Module) else ()
    training = [part for part in parts if part.training]
    if isinstance(model, nn.Module) and training:
        model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
