"""What holds for every attack: budgets, seeds, untouched modalities, best point of the path."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.apgd import apgd
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.attacks.methods.mim import mim
from mmlib.attacks.methods.noise import noise
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.sparse import Support, sparse
from mmlib.attacks.methods.square import square
from mmlib.batch import Batch, Forward
from mmlib.runtime.errors import UserError
from tests.attacks import toys

SUPPORTS = {"audio": Support(3, stretch=True), "video": Support(1, axis=2)}
ATTACKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "fgsm": (fgsm, {}),
    "pgd": (pgd, {"steps": 5, "restarts": 2}),
    "mim": (mim, {"steps": 5}),
    "pgd with momentum": (pgd, {"steps": 5, "momentum": 0.75}),
    "apgd": (apgd, {"steps": 25}),
    "sparse": (sparse, {"steps": 5, "restarts": 2, "supports": SUPPORTS}),
    "square": (square, {"queries": 60}),
    "noise": (noise, {}),
}
EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0}
every_attack = pytest.mark.parametrize("name", sorted(ATTACKS))
every_norm = pytest.mark.parametrize("norm", NORMS)


def attacked(
    name: str,
    norm: Norm,
    inputs: Batch | None = None,
    labels: torch.Tensor | None = None,
    *,
    modalities: Sequence[str] = ("audio", "video"),
    model: Forward | None = None,
    seeds: Sequence[int] | None = None,
    **more: Any,
) -> Batch:
    attack, settings = ATTACKS[name]
    inputs = toys.batch() if inputs is None else inputs
    labels = toys.labels() if labels is None else labels
    threat = {modality: Budget(EPS[norm], norm) for modality in modalities}
    seeds = list(range(len(labels))) if seeds is None else seeds
    found: Batch = attack(
        model or toys.Net(), inputs, labels, threat, seeds=seeds, **(settings | more)
    )
    return found


def losses(inputs: Batch, labels: torch.Tensor | None = None, loss: str = "bce") -> torch.Tensor:
    with torch.no_grad():
        return resolve(loss)(toys.Net()(inputs), toys.labels() if labels is None else labels)


@every_attack
@every_norm
def test_budget_and_box_hold(name: str, norm: Norm) -> None:
    found, clean = attacked(name, norm), toys.batch()
    for modality in ("audio", "video"):
        area = Region(clean[modality], Budget(EPS[norm], norm), None, modality)
        assert found[modality].dtype == torch.float32
        assert bool((area.size(found[modality]) <= EPS[norm]).all())
        assert float(area.size(found[modality]).min()) > 0.5 * EPS[norm]
        assert 0 <= float(found[modality].min()) <= float(found[modality].max()) <= 1


@every_attack
@pytest.mark.parametrize("modality", ["audio", "video"])
def test_untouched_modality_is_the_same_object(name: str, modality: str) -> None:
    inputs = toys.batch()
    found = attacked(name, "linf", inputs, modalities=(modality,))
    other = {"audio": "video", "video": "audio"}[modality]
    assert found[other] is inputs[other]
    assert not torch.equal(found[modality], inputs[modality])


@every_attack
@every_norm
def test_batch_size_and_order_do_not_matter(name: str, norm: Norm) -> None:
    inputs, labels = toys.batch(clips=7), toys.labels(7)
    seeds, net = [11, 5, 8, 2, 9, 4, 1], toys.exact(toys.Net())
    whole = attacked(name, norm, inputs, labels, model=net, seeds=seeds)
    order = torch.tensor([6, 2, 0, 1, 5, 4, 3])
    for piece in (order[:1], order[1:4], order[4:]):
        part = attacked(
            name,
            norm,
            {modality: tensor[piece] for modality, tensor in inputs.items()},
            labels[piece],
            model=net,
            seeds=[seeds[i] for i in piece],
        )
        for modality in inputs:
            torch.testing.assert_close(part[modality], whole[modality][piece], atol=1e-6, rtol=0)


@every_attack
def test_missing_modality_is_untouched(name: str) -> None:
    present = torch.tensor([True, False, True, True, False])
    inputs = {**toys.batch(), "audio_present": present}
    found = attacked(name, "linf", inputs)
    assert torch.equal(found["audio"][~present], inputs["audio"][~present])
    assert found["audio_present"] is present
    assert bool((found["audio"] != inputs["audio"]).flatten(1).any(1)[present].all())


@every_attack
@every_norm
def test_flat_model_gives_no_nan(name: str, norm: Norm) -> None:
    def flat(inputs: Batch) -> torch.Tensor:
        return 0 * inputs["audio"].flatten(1)[:, :4] + 1

    found = attacked(name, norm, model=flat)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in found.values())


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
@every_norm
def test_never_weaker_than_clean_and_stronger_than_noise(name: str, norm: Norm) -> None:
    found = losses(attacked(name, norm))
    assert bool((found >= losses(toys.batch())).all())
    assert bool((found > losses(attacked("noise", norm))).all())


@every_norm
def test_pgd_beats_fgsm_and_restarts_only_help(norm: Norm) -> None:
    one = losses(attacked("pgd", norm, restarts=1, steps=10))
    three = losses(attacked("pgd", norm, restarts=3, steps=10))
    single = losses(attacked("fgsm", norm))
    assert float(one.mean()) > float(single.mean())
    assert bool((three >= one).all())


def test_best_point_of_the_path_is_returned() -> None:
    """A huge step overshoots a smooth peak at every other step; the peak must not be lost."""

    def peak(inputs: Batch) -> torch.Tensor:
        offset = inputs["audio"].flatten(1) - toys.batch()["audio"].flatten(1)
        return -(offset - 0.03).square().sum(1, keepdim=True)

    found = attacked(
        "pgd",
        "l2",
        modalities=("audio",),
        model=peak,
        loss=toys.first_logit,
        steps=9,
        step_size=3.0,
        schedule="constant",
    )
    offset = found["audio"] - toys.batch()["audio"]
    clean = -(0.03**2) * 24
    assert float(peak(found).min()) >= clean - 1e-7
    assert bool((offset.flatten(1).norm(dim=1) <= 0.5).all())


@every_norm
def test_starts_are_candidates(norm: Norm) -> None:
    strong = attacked("pgd", norm, steps=20, restarts=3)
    again = attacked("pgd", norm, steps=1, start=[toys.batch(), strong])
    assert bool((losses(again) >= losses(strong) - 1e-6).all())
    outside = {modality: tensor + 7 for modality, tensor in strong.items()}
    found = attacked("pgd", norm, steps=1, start=outside)["video"]
    size = Region(toys.batch()["video"], Budget(EPS[norm], norm), None, "video").size(found)
    assert bool((size <= EPS[norm]).all())


def test_parameters_keep_no_gradient_and_no_grad_is_survived() -> None:
    model = toys.Net()
    with torch.no_grad():
        attacked("pgd", "linf", model=model)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_index_labels_equal_one_hot() -> None:
    index = torch.tensor([0, 3, 1, 2, 1])
    by_index = attacked("pgd", "linf", labels=index, loss="cross_entropy")
    by_hot = attacked("pgd", "linf", labels=torch.eye(4)[index], loss="cross_entropy")
    assert torch.equal(by_index["video"], by_hot["video"])


def test_restarts_and_clips_have_their_own_random_points() -> None:
    def drawn(seed: int) -> torch.Tensor:
        return attacked("noise", "linf", seeds=[seed] * 5)["video"]

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_noise_is_the_median_draw() -> None:
    draws = [losses(attacked("noise", "linf", draws=count)) for count in (1, 2, 3)]
    seeds = list(range(toys.CLIPS))
    model, threat = toys.Net(), {"audio": Budget(0.1), "video": Budget(0.1)}
    seen: list[torch.Tensor] = []

    def spy(inputs: Batch) -> torch.Tensor:
        logits: torch.Tensor = model(inputs)
        seen.append(resolve("bce")(logits, toys.labels()))
        return logits

    chosen = noise(spy, toys.batch(), toys.labels(), threat, seeds=seeds, draws=3)
    torch.testing.assert_close(losses(chosen), torch.stack(seen).median(0).values)
    torch.testing.assert_close(draws[2], torch.stack(seen).median(0).values)


def test_bad_threats_are_refused() -> None:
    with pytest.raises(UserError, match="the threat is on depth, but the batch has audio, video"):
        pgd(toys.Net(), toys.batch(), toys.labels(), {"depth": Budget(0.1)})
    with pytest.raises(UserError, match="the threat is on nothing"):
        pgd(toys.Net(), toys.batch(), toys.labels(), {})
