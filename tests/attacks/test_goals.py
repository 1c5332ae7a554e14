"""Targeted goals: what is wished for whom, and attacks that get there."""

import pytest
import torch

from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.goals import (
    hide,
    inject,
    reach,
    reached,
    swap,
    wish,
)
from mmlib.attacks.methods.pgd import pgd
from tests.attacks import toys

TAGS = torch.tensor([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])


def test_wishes() -> None:
    wished = wish(TAGS, hidden=[0], shown=[3])
    assert wished.weight.tolist() == [[1, 0, 0, 1], [0, 0, 0, 1]]
    assert wished.target[:, [0, 3]].tolist() == [[0, 1], [0, 1]]
    kept = wish(TAGS, hidden=[0], shown=[], keep=0.1)
    assert kept.weight[0].tolist() == pytest.approx([1, 0.1, 0.1, 0.1])
    assert kept.target[0].tolist() == [0, 0, 1, 0]


def test_loss_rises_towards_the_goal_alone() -> None:
    near = torch.tensor([[-5.0, 9.0, 9.0, 0.0], [0.0, 9.0, 0.0, 0.0]])
    far = torch.tensor([[5.0, 9.0, 9.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    hidden = hide([0])(near, TAGS) - hide([0])(far, TAGS)
    assert float(hidden[0]) > 4
    assert float(hidden[1]) == 0
    assert float(inject([3])(near, TAGS)[0]) == pytest.approx(-0.6931, abs=1e-3)
    torch.testing.assert_close(reach(40 * (2 * TAGS - 1), TAGS), torch.zeros(2))


def test_reached() -> None:
    logits = torch.tensor([[-1.0, 0.0, 1.0, 2.0], [-1.0, 1.0, 0.0, 2.0]])
    assert reached(logits, wish(TAGS, [0], [3])).tolist() == [True, True]
    assert reached(logits, wish(TAGS, [0], [])).tolist() == [True, False]
    assert reached(logits, wish(TAGS, [2], [])).tolist() == [False, False]


@pytest.mark.parametrize("name", ["hide", "inject", "swap"])
def test_attacks_reach_their_goals(name: str) -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {modality: Budget(0.9) for modality in inputs}
    goal, wished = {
        "hide": (hide([0]), wish(labels, [0], [])),
        "inject": (inject([1]), wish(labels, [], [1])),
        "swap": (swap([0], [1]), wish(labels, [0], [1])),
    }[name]
    found = pgd(net, inputs, labels, threat, loss=goal, steps=30)
    with torch.no_grad():
        assert bool(reached(net(found), wished).all())
        assert not bool(reached(net(inputs), wished).all())


def test_keeping_the_other_tags() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {modality: Budget(0.2) for modality in inputs}
    with torch.no_grad():
        before = net(inputs)
        moved = [
            (net(pgd(net, inputs, labels, threat, loss=goal)) - before)[:, 1:]
            for goal in (hide([0]), hide([0], keep=1.0))
        ]
    wrong = [float((change * (1 - 2 * labels[:, 1:])).clamp_min(0).mean()) for change in moved]
    assert wrong[1] < wrong[0]
