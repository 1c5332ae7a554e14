"""Goals judged by a tagger's decision: margins by both rules, and attacks that turn them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.decisions import AmongTop, ByThreshold, Crossing
from mmlib.attacks.methods.goals import wish
from mmlib.attacks.methods.pgd import pgd
from tests.attacks import toys


@given(seed=st.integers(0, 10**6), clips=st.integers(1, 5), classes=st.integers(2, 6))
def test_margins_tell_what_is_shown_and_how_far_it_is_from_changing(
    seed: int, clips: int, classes: int
) -> None:
    """Moving one tag by a little less than its margin changes nothing, by a little more does."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(clips, classes, generator=generator).double()
    count = 1 + seed % (classes - 1)
    thresholds = torch.randn(classes, generator=generator).double()
    for rule in (AmongTop(count), ByThreshold(thresholds)):
        margins = rule(logits)
        if isinstance(rule, AmongTop):
            assert ((margins > 0).sum(1) == count).all()
            highest = np.sort(np.argsort(-logits.numpy(), 1)[:, :count], 1)
            shown = np.nonzero((margins > 0).numpy())[1].reshape(clips, count)
            np.testing.assert_array_equal(shown, highest)
        for tag in range(classes):
            for share, changes in ((0.99, False), (1.01, True)):
                moved = logits.clone()
                moved[:, tag] -= share * margins[:, tag]
                turned = (rule(moved)[:, tag] > 0) != (margins[:, tag] > 0)
                assert bool((turned == changes).all())


def test_nothing_is_wished_of_a_clip() -> None:
    tags = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    goal = Crossing(ByThreshold(torch.zeros(2)), wish(tags, hidden=[0], shown=[]))
    logits = torch.tensor([[-3.0, 5.0], [-3.0, 5.0]])
    assert goal(logits, tags).tolist() == [3.0, -torch.inf]
    assert goal.rows(torch.tensor([1]))(logits[1:], tags[1:]).tolist() == [-torch.inf]


def test_all_shown_is_never_hidden() -> None:
    assert AmongTop(4)(torch.zeros(2, 4)).isinf().all()


@pytest.mark.parametrize("rule", [AmongTop(1), ByThreshold(torch.tensor([0.5, -0.5, 0.2, 0.1]))])
@pytest.mark.parametrize(("hidden", "shown"), [([0], []), ([], [1]), ([0], [1])])
def test_attacks_turn_decisions(
    rule: AmongTop | ByThreshold, hidden: list[int], shown: list[int]
) -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    goal = Crossing(rule, wish(labels, hidden, shown))
    threat = {modality: Budget(0.9) for modality in inputs}
    found = pgd(net, inputs, labels, threat, loss=goal, broken=goal, steps=30)
    with torch.no_grad():
        margins = rule(net(found))
    assert bool((margins[:, hidden] < 0).all())
    assert bool((margins[:, shown] > 0).all())
