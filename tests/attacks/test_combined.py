"""Attacks made of attacks: shared budgets, ensembles, transfer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.ensemble import (
    apgd_targeted,
    multi_label_members,
    single_label_members,
    strongest,
)
from mmlib.attacks.methods.joint import shared
from mmlib.attacks.methods.minimal import minimal
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.several import several
from mmlib.attacks.methods.transfer import transfer
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError
from tests.attacks import toys

EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0}


def loss_of(inputs: Batch, loss: str = "bce", model: torch.nn.Module | None = None) -> torch.Tensor:
    with torch.no_grad():
        return resolve(loss)((model or toys.Net())(inputs), toys.labels())


def spent(clean: Batch, adversarial: Batch, threat: dict[str, Budget]) -> torch.Tensor:
    """The share of the shared budget that each clip's change takes, (B,) float64."""
    parts = []
    for name, budget in threat.items():
        region = Region(clean[name], budget, None, name)
        parts.append(region.size(adversarial[name]) / region.eps)
    l2 = all(budget.norm == "l2" for budget in threat.values())
    return torch.hypot(*parts) if l2 else parts[0] + parts[1]


@pytest.mark.parametrize("norm", NORMS)
def test_shared_budget_is_kept_and_beats_either_alone(norm: Norm) -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {name: Budget(EPS[norm], norm) for name in inputs}
    found = shared(net, inputs, labels, threat, steps=10)
    assert bool((spent(inputs, found, threat) <= 1 + 1e-6).all())
    for name in threat:
        alone = pgd(net, inputs, labels, {name: threat[name]}, steps=10)
        assert bool((loss_of(found) >= loss_of(alone) - 1e-3).all())
    both = pgd(net, inputs, labels, threat, steps=10)
    assert float(loss_of(found).sum()) < float(loss_of(both).sum())
    assert bool((spent(inputs, both, threat) > 1.3).all())


def test_shared_l2_budget_reaches_the_linear_optimum() -> None:
    """Inside the box the optimum of the concatenated l2 ball is eps times the gradient's norm."""
    model = toys.Linear()
    inputs = {name: 0.3 + 0.4 * tensor for name, tensor in toys.batch().items()}
    threat = {"audio": Budget(0.3, "l2"), "video": Budget(0.2, "l2")}
    found = shared(model, inputs, toys.labels(), threat, loss=toys.first_logit, steps=5)
    gained = (model(found) - model(inputs))[:, 0].double()
    norms = [float(threat[name].eps) * model.weights[name].norm().item() for name in threat]
    best = (norms[0] ** 2 + norms[1] ** 2) ** 0.5
    assert gained.tolist() == pytest.approx([best] * toys.CLIPS, rel=1e-5)


def test_shared_budget_is_for_two_modalities() -> None:
    with pytest.raises(UserError, match="for two modalities in one norm, not for audio in l2"):
        shared(toys.Net(), toys.batch(), toys.labels(), {"audio": Budget(0.1, "l2")})


def test_strongest_is_taken_for_each_clip() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()
    threat = {name: Budget(0.1) for name in inputs}
    members = multi_label_members(steps=10)
    found = loss_of(strongest(net, inputs, labels, threat, members=members))
    for attack, settings in members:
        alone = loss_of(attack(net, inputs, labels, threat, seeds=0, **settings))
        assert bool((found >= alone - 1e-4).all())


def test_broken_clips_leave_the_batch() -> None:
    net, inputs = toys.Net(), toys.batch()
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    threat = {name: Budget(0.15) for name in inputs}
    sizes: list[int] = []

    def spy(model, batch, labels, threat, **settings):  # type: ignore[no-untyped-def]
        sizes.append(len(labels))
        return apgd(model, batch, labels, threat, **settings)

    members = [(spy, {"steps": 3}), (spy, {"steps": 20}), (spy, {"steps": 20})]
    found = strongest(net, inputs, labels, threat, members=members, loss="top", broken="top")
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == toys.CLIPS
    assert len(sizes) < 3 or sizes[-1] < toys.CLIPS
    full = strongest(
        net, inputs, labels, threat, members=single_label_members(20, 50), loss="top", broken="top"
    )
    robust = [float((net(x).argmax(1) == labels).float().mean()) for x in (found, full)]
    assert robust[1] <= robust[0]


def test_targeted_attack_goes_for_other_classes() -> None:
    net, inputs = toys.Net(), toys.batch()
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    threat = {name: Budget(0.3) for name in inputs}
    found = apgd_targeted(net, inputs, labels, threat, steps=15)
    assert bool((net(found).argmax(1) != labels).all())


def in_float64(net: torch.nn.Module) -> Forward:
    """The net, for gradients whose signs do not hang on the size of the batch."""
    net = net.double()
    return lambda inputs: net({name: tensor.double() for name, tensor in inputs.items()})


@dataclass(frozen=True)
class Towards:
    """How far the target, (B,), lies above the labelled class; it knows which clips are left."""

    target: Tensor

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.gather(1, self.target[:, None])[:, 0] - (logits * labels).sum(1)

    def rows(self, index: Tensor) -> "Towards":
        return Towards(self.target[index])


@pytest.mark.parametrize("attack", [pgd, apgd, strongest, minimal, several])
def test_a_loss_with_something_of_each_clip_goes_along_when_clips_leave(
    attack: Callable[..., Any],
) -> None:
    """Each clip ends where it ends alone, though others have left before."""
    net, inputs = in_float64(toys.Net()), toys.batch(clips=12)
    with torch.no_grad():
        order = net(inputs).argsort(1, descending=True)
    labels = order[:, 0]
    target = order[torch.arange(12), 1 + torch.arange(12) % 3]
    options: dict[Any, dict[str, Any]] = {
        pgd: {"steps": 8, "broken": "top"},
        apgd: {"steps": 8, "broken": "top"},
        strongest: {
            "members": [(apgd, {"steps": 6, "broken": "top"}), (pgd, {"steps": 6})],
            "broken": "top",
        },
        minimal: {"steps": 4},
        several: {"multiples": (0.3, 1.0), "steps": 4},
    }

    def run(place: slice) -> Batch:
        part = {name: tensor[place] for name, tensor in inputs.items()}
        threat = {name: Budget(0.07) for name in inputs}
        settings = {**options[attack], "seeds": list(range(12)[place])}
        found = attack(net, part, labels[place], threat, loss=Towards(target[place]), **settings)
        last: Batch = found if isinstance(found, dict) else found[-1]
        return last

    together = run(slice(0, 12))
    for clip in range(12):
        for name, tensor in run(slice(clip, clip + 1)).items():
            torch.testing.assert_close(together[name][clip], tensor[0], rtol=0, atol=1e-6)
    left = (net(together).argmax(1) != labels).sum()
    assert 0 < left < 12


def test_targeted_attack_when_clips_leave_on_the_way() -> None:
    """The pictures are broken one after another; those that are left keep their own targets."""
    net, inputs = in_float64(toys.Net()), toys.batch(clips=12)
    with torch.no_grad():
        labels = net(inputs).argmax(1)
    threat = {name: Budget(0.1) for name in inputs}
    options: dict[str, Any] = {"steps": 12, "broken": "top"}
    together = apgd_targeted(net, inputs, labels, threat, seeds=list(range(12)), **options)
    for clip in range(12):
        part = {name: tensor[clip : clip + 1] for name, tensor in inputs.items()}
        alone = apgd_targeted(net, part, labels[clip : clip + 1], threat, seeds=[clip], **options)
        assert net(alone).argmax(1) == net(together).argmax(1)[clip]


def test_transfer_uses_the_sources_gradient_alone() -> None:
    source, target = toys.Net(seed=2), toys.Net(seed=5)
    inputs, labels = toys.batch(), toys.labels()
    threat = {name: Budget(0.1) for name in inputs}
    moved = transfer(target, inputs, labels, threat, sources=[source], steps=5)
    assert torch.equal(moved["video"], pgd(source, inputs, labels, threat, steps=5)["video"])
    best = transfer(target, inputs, labels, threat, sources=[source, toys.Net(seed=6)], steps=5)
    assert bool((loss_of(best, model=target) >= loss_of(moved, model=target) - 1e-6).all())
    with pytest.raises(UserError, match="at least one source"):
        transfer(target, inputs, labels, threat, sources=[])


def test_audio_models_delta_is_played_to_the_fused_model() -> None:
    net, inputs, labels = toys.Net(), toys.batch(), toys.labels()

    def audio_model(batch: Batch) -> torch.Tensor:
        logits: torch.Tensor = net({**batch, "video": torch.zeros_like(batch["video"])})
        return logits

    threat = {"audio": Budget(0.2)}
    found = transfer(net, inputs, labels, threat, sources=[audio_model], steps=10)
    assert found["video"] is inputs["video"]
    assert float(loss_of(found).mean()) > float(loss_of(inputs).mean())
