"""The damage of one clip to a set's average precision, against computing the set's whole again."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor

from mmlib.attacks.core.average_precision import SetPrecision
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.ranked import ranked
from tests.attacks import toys

CLIPS, CLASSES = 9, 4


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and labels; the last class has no positive."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(CLIPS, CLASSES, generator=generator, dtype=torch.float64)
    labels = (torch.rand(CLIPS, CLASSES, generator=generator) < 0.4).double()
    labels[0], labels[1] = 1.0, 0.0
    labels[:, -1] = 0.0
    return logits, labels


def smooth(logits: Tensor, labels: Tensor, width: Tensor) -> float:
    """The mean of Smooth-AP over classes, one pair after another."""
    found = []
    for number in range(CLASSES):
        truth = [i for i in range(CLIPS) if labels[i, number] > 0.5]
        if not truth:
            continue
        terms = []
        for p in truth:
            above = {
                j: float(torch.sigmoid((logits[j, number] - logits[p, number]) / width[number]))
                for j in range(CLIPS)
                if j != p
            }
            level = 1 + sum(above[j] for j in truth if j != p)
            terms.append(level / (1 + sum(above.values())))
        found.append(np.mean(terms))
    return float(np.mean(found))


@pytest.mark.parametrize("width", [0.1, 1.0])
def test_a_clips_loss_is_the_sets_precision_with_its_row_replaced(width: float) -> None:
    reference, labels = drawn()
    moved, _ = drawn(1)
    places = torch.tensor([7, 0, 1, 4])
    losses = SetPrecision(reference, labels, places, width)(moved[places], labels[places])
    scale = width * reference.std(0, correction=0)
    for place, loss in zip(places.tolist(), losses.tolist(), strict=True):
        whole = reference.clone()
        whole[place] = moved[place]
        assert loss == pytest.approx(-smooth(whole, labels, scale), abs=1e-12)


def test_narrow_sigmoids_count_as_scikit_learn_does() -> None:
    reference, labels = drawn()
    loss = SetPrecision(reference, labels, torch.tensor([3]), 1e-6)(reference[3:4], labels[3:4])
    exact = average_precision_score(labels[:, :-1].numpy(), reference[:, :-1].numpy())
    assert float(loss) == pytest.approx(-float(exact), abs=1e-9)


def test_the_gradient_sinks_positives_and_lifts_negatives() -> None:
    reference, labels = drawn()
    logits = reference.clone().requires_grad_()
    loss = SetPrecision(reference, labels, torch.arange(CLIPS), 1.0)
    (gradient,) = torch.autograd.grad(loss(logits, labels).sum(), logits)
    counted = gradient[:, :-1]
    assert bool((counted[labels[:, :-1] > 0.5] < 0).all())
    assert bool((counted[labels[:, :-1] < 0.5] > 0).all())
    assert not gradient[:, -1].any()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)


def test_a_set_without_classes_to_count_has_no_gradient() -> None:
    reference = torch.randn(3, 2)
    loss = SetPrecision(reference, torch.ones(3, 2), torch.arange(3), 1.0)
    assert loss(reference, torch.ones(3, 2)).tolist() == [0.0, 0.0, 0.0]


def test_one_class_and_a_linear_model_reach_the_optimum() -> None:
    """One class: what hurts any rank most is to move as far as the budget allows."""
    inputs, labels = toys.batch(clips=40), toys.labels(40)[:, 2:3]
    threat = {name: Budget(0.01) for name in inputs}
    net, best = toys.Linear(), {}
    for name, clean in inputs.items():
        sign = torch.where(labels[:, 0] > 0.5, -1.0, 1.0).view(-1, *[1] * (clean.dim() - 1))
        best[name] = (clean + 0.01 * sign * net.weights[name].sign()).clamp(0, 1)
    found = ranked(net, inputs, labels, threat, batch_size=16)
    left, lowest, clean_ap = (
        average_precision_score(labels.numpy(), net(points).numpy())
        for points in (found, best, inputs)
    )
    assert lowest < clean_ap - 0.03
    assert left == pytest.approx(lowest, abs=1e-9)


def test_the_set_is_hurt_more_than_by_each_clips_own_loss() -> None:
    net, inputs, labels = toys.Net(), toys.batch(clips=40), toys.labels(40)
    threat = {name: Budget(0.02) for name in inputs}

    def left(found: dict[str, Tensor]) -> float:
        with torch.no_grad():
            return float(average_precision_score(labels[:, 2:].numpy(), net(found)[:, 2:].numpy()))

    own = pgd(net, inputs, labels, threat, steps=30, momentum=0.5, step_size=1.0)
    together = ranked(net, inputs, labels, threat, batch_size=16)
    assert left(together) < left(own) - 0.01
    assert left(ranked(net, inputs, labels, threat, start=own)) < left(own) - 0.01
    for name, budget in threat.items():
        region = Region(inputs[name], budget, None, name)
        assert bool((region.size(together[name]) <= region.eps).all())
