"""Attacks on an expectation over transforms: what is drawn when, and answers that are known."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from mmlib.attacks import Budget, Expectation, apgd, mim, pgd
from mmlib.attacks.core.expectation import Change, straight_through
from mmlib.batch import Batch

CLIPS, SIZE, CLASSES = 3, 6, 4
SEEDS = (5, 6, 7)


def linear(seed: int = 0) -> Callable[[Batch], Tensor]:
    weights = torch.randn(SIZE, CLASSES, generator=torch.Generator().manual_seed(seed))
    return lambda batch: batch["x"] @ weights


def clips() -> tuple[Batch, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([[1.0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1]])
    return {"x": torch.rand(CLIPS, SIZE, generator=generator)}, labels


class Told:
    """A transform that notes each draw."""

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        self.change, self.seeds = change, list[tuple[int, ...]]()

    def draw(self, batch: Batch, seeds: Sequence[int]) -> Change:
        assert not batch["x"].requires_grad
        self.seeds.append(tuple(seeds))
        return lambda points: {**points, "x": self.change(points["x"])}


@pytest.mark.parametrize("hold", [1, 3])
@pytest.mark.parametrize("attack", [pgd, apgd, mim])
def test_the_identity_gives_exactly_the_plain_attack(
    attack: Callable[..., Batch], hold: int
) -> None:
    (batch, labels), threat = clips(), {"x": Budget(0.1)}
    how = {"steps": 7, "seeds": SEEDS}
    plain = attack(linear(), batch, labels, threat, **how)
    behind = Expectation(linear(), [Told()], seeds=SEEDS, hold=hold)
    same = attack(behind, batch, labels, threat, **how)
    assert torch.equal(plain["x"], same["x"])
    assert not torch.equal(plain["x"], batch["x"])


def test_a_step_draws_some_anew_and_uses_the_others_again() -> None:
    told = [Told(), Told(), Told()]
    model, (batch, _) = Expectation(linear(), told, seeds=SEEDS, draws=2), clips()
    counts = []
    for _ in range(4):
        model(batch)
        counts.append([len(one.seeds) for one in told])
    assert counts == [[1, 1, 1], [2, 2, 1], [3, 2, 2], [3, 3, 3]]
    drawn = [seeds for one in told for seeds in one.seeds]
    assert len(set(drawn)) == len(drawn), "every draw has seeds of its own"
    assert all(len(set(seeds)) == CLIPS for seeds in drawn)


def test_draws_are_held_for_so_many_steps() -> None:
    told = [Told(), Told()]
    model, (batch, _) = Expectation(linear(), told, seeds=SEEDS, hold=3), clips()
    counts = []
    for _ in range(7):
        model(batch)
        counts.append([len(one.seeds) for one in told])
    assert counts == [[1, 1]] * 3 + [[2, 1]] * 3 + [[2, 2]]


def test_candidates_are_compared_behind_the_same_new_draws() -> None:
    told = [Told(), Told(lambda x: 3 * x)]
    model, (batch, _) = Expectation(linear(), told, seeds=SEEDS), clips()
    model(batch)
    half = {"x": batch["x"] / 2}
    first, second = model.anew(batch, half)
    assert torch.allclose(first, linear()({"x": 2 * batch["x"]}), atol=1e-6)
    assert torch.allclose(second, first / 2, atol=1e-6)
    for one in told:
        assert one.seeds[1] == one.seeds[2] != one.seeds[0]


def test_a_clip_draws_the_same_whoever_is_beside_it() -> None:
    alone, beside = Told(), Told()
    batch, _ = clips()
    Expectation(linear(), [beside], seeds=SEEDS)(batch)
    Expectation(linear(), [alone], seeds=SEEDS[1:2])({"x": batch["x"][1:2]})
    assert alone.seeds[0] == beside.seeds[0][1:2]
    with pytest.raises(ValueError, match="draws of 3 clips"):
        Expectation(linear(), [Told()], seeds=SEEDS)({"x": batch["x"][:2]})


def test_the_logits_are_the_mean_over_transforms() -> None:
    batch, _ = clips()
    model = Expectation(linear(), [Told(), Told(lambda x: 3 * x)], seeds=SEEDS)
    assert torch.allclose(model(batch), linear()({"x": 2 * batch["x"]}), atol=1e-6)


def test_what_a_transform_removes_no_attack_brings_back() -> None:
    """The same for every input, behind which no point is better than another."""
    (batch, labels), threat = clips(), {"x": Budget(0.1)}
    model = Expectation(linear(), [Told(torch.zeros_like)], seeds=SEEDS)
    found = pgd(model, batch, labels, threat, steps=5, seeds=SEEDS)
    assert torch.equal(model(found), model(batch))


def test_straight_through_gives_the_change_with_the_gradient_of_one() -> None:
    point = torch.tensor([0.24, 0.61], requires_grad=True)
    change = straight_through(point.detach(), (point * 10).round() / 10)
    found = change(point)
    assert torch.allclose(found, torch.tensor([0.2, 0.6]))
    (gradient,) = torch.autograd.grad(found.sum(), point)
    assert torch.equal(gradient, torch.ones(2))
    assert torch.allclose(change(point.detach() + 0.01), torch.tensor([0.21, 0.61]))


def test_an_expectation_needs_a_transform() -> None:
    with pytest.raises(ValueError, match="one transform or more"):
        Expectation(linear(), [], seeds=SEEDS)
