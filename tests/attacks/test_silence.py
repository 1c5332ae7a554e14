"""Noise where a loss has no gradient, and nowhere else."""

import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.silence import (
    pgd_raised,
    raised,
)
from mmlib.batch import Batch

FLOOR = 0.03
RADII = {"linf": 0.05, "l2": 0.3, "l1": 1.5}


def floored(batch: Batch) -> Tensor:
    """The loss grows with each sample's size above a floor, under which it is constant."""
    return (batch["audio"].abs() - FLOOR).clamp(min=0).sum(1, keepdim=True)


def first_logit(logits: Tensor, labels: Tensor) -> Tensor:
    return logits[:, 0]


def search_on(sound: Tensor, norm: Norm, seeds: list[int]) -> Search:
    threat = {"audio": Budget(RADII[norm], norm, low=-1.0, high=1.0)}
    labels = torch.zeros(len(sound), 1)
    return Search(floored, {"audio": sound}, labels, threat, first_logit, seeds)


def half_silent() -> Tensor:
    sound = torch.full((3, 40), 0.2)
    sound[:, 20:] = 0
    sound[2] = 0.2
    return sound


@pytest.mark.parametrize("norm", NORMS)
def test_only_what_is_silent_is_raised_and_within_the_budget(norm: Norm) -> None:
    sound = half_silent()
    search = search_on(sound, norm, [1, 2, 3])
    found = raised(search, search.clean)["audio"]
    assert torch.equal(found[:, :20], sound[:, :20])
    assert torch.equal(found[2], sound[2])
    assert bool((found[:2, 20:] != 0).float().mean() > 0.9)
    region: Region = search.regions["audio"]
    assert bool((region.size(found) <= region.eps).all())
    again = search_on(sound[1:2], norm, [2])
    assert torch.equal(raised(again, again.clean)["audio"], found[1:2])


def test_points_with_a_gradient_come_back_as_they_are() -> None:
    search = search_on(torch.full((2, 8), 0.2), "linf", [1, 2])
    assert raised(search, search.clean) is search.clean


def test_the_attack_gets_out_of_silence() -> None:
    """In linf every sample can be lifted to the radius, from 0 either way."""
    sound = torch.zeros(2, 40)
    threat = {"audio": Budget(0.05, low=-1.0, high=1.0)}
    labels = torch.zeros(2, 1)
    start = {"audio": sound}
    found = pgd_raised(
        floored, {"audio": sound}, labels, threat, start=start, loss=first_logit, steps=5
    )["audio"]
    torch.testing.assert_close(found.abs(), torch.full_like(sound, 0.05))
