"""An attack that drives the embeddings of sound and picture apart.

After the modality misalignment attack of Zhang et al. (ICLR 2025), which states no budget; here the
budget is the threat's, as for any attack.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn.functional import cosine_similarity

from mmlib.attacks.core.evaluated import in_eval
from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.guided import Featured, guided
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError


def misalign(
    model: Forward,
    batch: Batch,
    labels: Tensor,
    threat: Threat,
    *,
    features: Featured | None = None,
    pair: tuple[str, str] = ("audio", "video"),
    weight: float = 1.0,
    **settings: Any,
) -> Batch:
    """Climb the loss while the cosine of two embeddings is lowered; `weight` as for `guided`.

    `features` gives vectors (B, D) by the two names of `pair`, in one space, and the logits;
    without it the model's own `embed` gives the vectors. UserError where neither is there, or the
    two do not have one size. `settings` and the result are those of `guided`: with `loss` None the
    cosine alone is lowered. Returns a new batch.

    >>> import torch
    >>> from mmlib.attacks import Budget, misalign
    >>> model = lambda batch: batch["a"] + batch["v"]
    >>> shown = lambda batch: ({"audio": batch["a"], "video": batch["v"]}, model(batch))
    >>> batch = {"a": torch.tensor([[0.5, 0.4]]), "v": torch.tensor([[0.5, 0.5]])}
    >>> found = misalign(model, batch, torch.tensor([0]), {"a": Budget(0.1)}, features=shown,
    ...     loss=None)
    >>> found["a"]
    tensor([[0.6000, 0.3000]])
    """
    with in_eval(model):
        return guided(
            features or partial(_embedded, model, getattr(model, "embed", None)),
            batch,
            labels,
            threat,
            term=partial(_apart, pair),
            weight=weight,
            **settings,
        )


def _embedded(model: Forward, embed: Any, batch: Batch) -> tuple[Mapping[str, Tensor], Tensor]:
    if embed is None:
        raise UserError(
            "misalign needs an embedding of each modality: pass features, a function from a batch "
            "to vectors (B, D) by name and the logits, or give the model a method `embed`"
        )
    return embed(batch), model(batch)


def _apart(pair: tuple[str, str], features: Mapping[str, Tensor]) -> Tensor:
    """Minus the cosine of the two embeddings, (B,)."""
    if absent := [name for name in pair if name not in features]:
        raise UserError(
            f"misalign needs an embedding of {' and '.join(pair)}: {' and '.join(absent)} is not "
            f"among those given ({', '.join(features) or 'none'})"
        )
    first, second = (features[name].flatten(1) for name in pair)
    if first.shape != second.shape:
        raise UserError(
            f"misalign compares embeddings in one space: {pair[0]} has {first.shape[1]} numbers, "
            f"{pair[1]} {second.shape[1]}; pass features that project them onto one"
        )
    return -cosine_similarity(first, second, dim=1)
