"""Attack losses: values, gradients that do not vanish, and labels in either form."""

import pytest
import torch
from torch.nn import functional

from mmlib.attacks.core.losses import (
    LOSSES,
    dlr_targeted,
    resolve,
)
from mmlib.runtime.errors import UserError

LOGITS = torch.tensor([[2.0, -1.0, 0.5, 1.0], [-3.0, 0.2, 4.0, 1.0]])
TAGS = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])


def test_values() -> None:
    own = functional.binary_cross_entropy_with_logits(LOGITS, TAGS, reduction="none").mean(1)
    torch.testing.assert_close(resolve("bce")(LOGITS, TAGS), own)
    index = torch.tensor([0, 1])
    torch.testing.assert_close(
        resolve("cross_entropy")(LOGITS, index),
        functional.cross_entropy(LOGITS, index, reduction="none"),
    )
    torch.testing.assert_close(resolve("margin")(LOGITS, TAGS), torch.tensor([0.5, 3.8]))
    torch.testing.assert_close(resolve("top")(LOGITS, TAGS), torch.tensor([-1.0, 3.8]))
    torch.testing.assert_close(resolve("dlr")(LOGITS, index), torch.tensor([-1.0 / 1.5, 3.8 / 3.8]))
    torch.testing.assert_close(
        dlr_targeted(LOGITS, TAGS, torch.tensor([3, 3])), torch.tensor([-1 / 2.25, 0.8 / 5.4])
    )
    pairs = functional.softplus(torch.tensor([-3.0, -1.0, -1.5, 0.5])).mean()
    torch.testing.assert_close(resolve("ranking")(LOGITS, TAGS)[0], pairs)


@pytest.mark.parametrize("name", ["bce", "balanced_bce", "cross_entropy", "ranking"])
def test_gradient_survives_a_sure_model(name: str) -> None:
    """Sure and right by 60: torch's own BCE and cross entropy give exactly 0 in float32 here."""
    logits = torch.tensor([[30.0, -30.0, -31.0]], requires_grad=True)
    loss = resolve(name)(logits, torch.tensor([[1.0, 0.0, 0.0]])).sum()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool((gradient[0] != 0).all())
    assert float(gradient[0, 0]) < 0 < float(gradient[0, 1])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_one_loss_a_clip_and_finite_gradients(name: str) -> None:
    for tags in (TAGS, torch.eye(4)[[0, 2]], torch.zeros(2, 4), torch.ones(2, 4)):
        logits = LOGITS.clone().requires_grad_()
        loss = resolve(name)(logits, tags)
        assert loss.shape == (2,)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert bool(torch.isfinite(loss).all())
        assert bool(torch.isfinite(gradient).all())


def test_dlr_is_free_of_shift_and_scale() -> None:
    index = torch.tensor([0, 1])
    torch.testing.assert_close(
        resolve("dlr")(100 * LOGITS + 7, index), resolve("dlr")(LOGITS, index)
    )


def test_unknown_loss_and_too_few_classes() -> None:
    with pytest.raises(UserError, match="unknown loss 'mse': one of bce"):
        resolve("mse")
    with pytest.raises(UserError, match="at least 3 classes"):
        resolve("dlr")(torch.zeros(1, 2), torch.tensor([0]))
