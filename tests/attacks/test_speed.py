"""What makes attacks cheaper leaves their results alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.pgd import climb, pgd
from mmlib.attacks.methods.rechecked import climb_rechecked, rechecked
from mmlib.attacks.methods.several import several
from mmlib.batch import Batch, Forward
from tests.attacks import toys

EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0}
PATHS: dict[str, Callable[..., Batch]] = {"pgd": pgd, "apgd": apgd}
CLIPS = 12


class Counting:
    """A model that counts the clips it sees."""

    def __init__(self, net: Forward) -> None:
        self.net, self.seen = net, 0

    def __call__(self, inputs: Batch) -> Tensor:
        self.seen += len(inputs["audio"])
        return self.net(inputs)


def classes(net: Forward, inputs: Batch) -> Tensor:
    """The classes that the net itself finds, so that every clip is right at first."""
    with torch.no_grad():
        return net(inputs).argmax(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", PATHS)
def test_several_budgets_at_once_are_the_attacks_one_by_one(name: str, norm: Norm) -> None:
    net, inputs, labels = toys.exact(toys.Net()), toys.batch(), toys.labels()
    threat = {modality: Budget(EPS[norm], norm) for modality in inputs}
    multiples = [0.25, 1.0, 2.0]
    settings: dict[str, Any] = {"steps": 5, "restarts": 2}
    found = several(
        net, inputs, labels, threat, multiples=multiples, attack=PATHS[name], **settings
    )
    assert len(found) == len(multiples)
    for multiple, together in zip(multiples, found, strict=True):
        cut = {modality: budget.scaled(multiple) for modality, budget in threat.items()}
        alone = PATHS[name](net, inputs, labels, cut, **settings)
        for modality in threat:
            torch.testing.assert_close(together[modality], alone[modality], atol=1e-5, rtol=1e-5)


def test_several_budgets_leave_what_is_not_attacked_as_it_is() -> None:
    net, inputs = toys.Net(), toys.batch()
    (found,) = several(
        net, inputs, toys.labels(), {"audio": Budget(torch.full((5,), 0.1))}, multiples=[2.0]
    )
    assert found["video"] is inputs["video"]
    assert float((found["audio"] - inputs["audio"]).abs().max()) == pytest.approx(0.2)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", PATHS)
def test_clips_leave_once_broken_and_as_many_break(name: str, norm: Norm) -> None:
    net, inputs = toys.exact(toys.Net()), toys.batch(clips=CLIPS)
    labels = classes(net, inputs)
    threat = {modality: Budget(0.5 * EPS[norm], norm) for modality in inputs}
    settings: dict[str, Any] = {"steps": 12, "restarts": 2, "loss": "top"}
    whole, leaving = Counting(net), Counting(net)
    full = PATHS[name](whole, inputs, labels, threat, **settings)
    short = PATHS[name](leaving, inputs, labels, threat, **settings, broken="top")
    top = resolve("top")
    with torch.no_grad():
        broken = top(net(full), labels) > 0
        assert torch.equal(top(net(short), labels) > 0, broken)
    assert 0 < int(broken.sum()) < CLIPS
    assert leaving.seen < whole.seen
    for modality in threat:
        torch.testing.assert_close(short[modality][~broken], full[modality][~broken])


def test_a_batch_that_is_broken_already_is_not_attacked() -> None:
    net, inputs = toys.Net(), toys.batch()
    wrong = (classes(net, inputs) + 1) % 4
    counting = Counting(net)
    found = pgd(counting, inputs, wrong, {"audio": Budget(0.1)}, loss="top", broken="top", steps=5)
    assert counting.seen == toys.CLIPS
    assert torch.equal(found["audio"], inputs["audio"])


def rounded(net: torch.nn.Module) -> Forward:
    """The net in bfloat16."""

    def rough(inputs: Batch) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits: Tensor = net(inputs).float()
        return logits

    return rough


@pytest.mark.parametrize("name", PATHS)
def test_a_rough_search_is_nearly_as_strong_and_reports_the_model_itself(name: str) -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {modality: Budget(0.1) for modality in inputs}
    loss = resolve("bce")
    with torch.no_grad():
        clean = loss(net(inputs), labels)
        exact = loss(net(PATHS[name](net, inputs, labels, threat, steps=8)), labels)
        counting = Counting(net)
        found = rechecked(
            counting, inputs, labels, threat, rough=rounded(net), attack=PATHS[name], steps=8
        )
        rough = loss(net(found), labels)
    assert counting.seen == 2 * toys.CLIPS  # the clean clips, and what was found
    assert bool((rough >= clean).all())
    torch.testing.assert_close(rough, exact, atol=0.0, rtol=0.02)


def test_a_start_survives_a_rough_model_that_misleads() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {modality: Budget(0.1) for modality in inputs}
    start = pgd(net, inputs, labels, threat, steps=8)

    def misleading(batch: Batch) -> Tensor:
        turned: Tensor = -net(batch)
        return turned

    found = rechecked(net, inputs, labels, threat, rough=misleading, start=start, steps=4)
    for modality in threat:
        assert torch.equal(found[modality], start[modality])


def test_a_rough_path_offers_its_best_point_to_the_search() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {modality: Budget(0.1) for modality in inputs}
    searches = [Search(net, inputs, labels, threat, "bce") for _ in range(3)]
    climb(searches[0], searches[0].clean, [1.0, 0.5])
    climb_rechecked(searches[1], None, searches[1].clean, [1.0, 0.5])
    climb_rechecked(searches[2], rounded(net), searches[2].clean, [1.0, 0.5])
    for other in searches[1:]:
        assert other.best_logits is not None
        with torch.no_grad():
            torch.testing.assert_close(net(other.result()), other.best_logits)
    assert torch.equal(searches[1].best_losses, searches[0].best_losses)
    torch.testing.assert_close(
        searches[2].best_losses, searches[0].best_losses, atol=0.0, rtol=0.02
    )


def test_momentum_is_carried_over_when_clips_leave() -> None:
    net, inputs = toys.exact(toys.Net()), toys.batch()
    labels, threat = classes(net, inputs), {name: Budget(0.1) for name in inputs}
    settings: dict[str, Any] = {"loss": "cross_entropy", "steps": 6, "momentum": 0.75}
    whole = pgd(net, inputs, labels, threat, **settings)
    left = pgd(net, inputs, labels, threat, broken="top", **settings)
    with torch.no_grad():
        right = [net(found).argmax(1) == labels for found in (whole, left)]
    # Clips that stay to the end take the same path whoever has left.
    assert bool(right[1].any())
    assert bool((~right[1]).any())
    for name in threat:
        torch.testing.assert_close(left[name][right[1]], whole[name][right[1]])


def test_momentum_is_that_of_the_momentum_method() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {name: Budget(0.1) for name in inputs}
    path: dict[str, Any] = {"steps": 5, "step_size": 0.2, "schedule": "constant", "momentum": 0.5}
    found = pgd(net, inputs, labels, threat, start=inputs, **path)
    expected = mim(net, inputs, labels, threat, steps=5, step_size=1.0, decay=0.5)
    for name in threat:
        torch.testing.assert_close(found[name], expected[name])
