"""Attacks on features: variation over time and the cosine really move, inside the budget."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from mmlib.attacks.core.losses import bce
from mmlib.attacks.core.threat import NORMS, Budget, Norm
from mmlib.attacks.methods.ensemble import Member, strongest
from mmlib.attacks.methods.guided import guided
from mmlib.attacks.methods.misalign import misalign
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.sparse import sparse, supports_of
from mmlib.attacks.methods.temporal import temporal, variation
from mmlib.batch import Batch
from mmlib.runtime.errors import UserError
from tests.attacks import toys

EPS = {"linf": 0.05, "l2": 0.5, "l1": 2.0}


class Shown(toys.Net):
    """The toy net, whose branches are vectors of one size and whose sound has steps in time."""

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        return {
            name: getattr(self, name)(4 * batch[name].flatten(1) - 2) for name in ("audio", "video")
        }

    def sequences(self, batch: Batch) -> tuple[Mapping[str, Tensor], Tensor]:
        return {"audio": batch["audio"], "video": batch["video"].movedim(2, 1)}, self(batch)


def cosine(net: Shown, batch: Batch) -> Tensor:
    vectors = net.embed(batch)
    return cosine_similarity(vectors["audio"], vectors["video"])


def varied(net: Shown, batch: Batch) -> Tensor:
    return torch.stack([variation(each).log() for each in net.sequences(batch)[0].values()]).mean(0)


def within(found: Batch, clean: Batch, norm: Norm) -> bool:
    order = {"linf": torch.inf, "l2": 2, "l1": 1}[norm]
    sizes = [
        torch.linalg.vector_norm(
            (found[name].double() - clean[name].double()).flatten(1), order, dim=1
        )
        for name in clean
    ]
    return all(float(size.max()) <= EPS[norm] for size in sizes)


@pytest.mark.parametrize("norm", NORMS)
def test_the_terms_alone_move_as_they_should(norm: Norm) -> None:
    net, batch, tags = Shown(), toys.batch(), toys.labels()
    threat = {name: Budget(EPS[norm], norm) for name in batch}
    apart = misalign(net, batch, tags, threat, loss=None, steps=10)
    assert bool((cosine(net, apart) < cosine(net, batch) - 0.01).all())
    more = temporal(net, batch, tags, threat, loss=None, steps=10)
    less = temporal(net, batch, tags, threat, raised=False, loss=None, steps=10)
    clean = varied(net, batch)
    assert bool((varied(net, more) > clean + 0.005).all())
    assert bool((varied(net, less) < clean - 0.005).all())
    assert all(within(found, batch, norm) for found in (apart, more, less))


@pytest.mark.parametrize("method", [misalign, temporal])
def test_beside_a_loss_the_point_of_most_loss_is_kept(method: object) -> None:
    """Without weight it is PGD; with any, the result is never weaker than the clean clip."""
    net, batch, tags = Shown(), toys.batch(), toys.labels()
    threat = {name: Budget(0.1) for name in batch}
    assert callable(method)
    plain = pgd(net, batch, tags, threat, steps=6, seeds=2)
    found = method(net, batch, tags, threat, weight=0.0, steps=6, seeds=2)
    assert all(torch.allclose(found[name], plain[name], atol=1e-6) for name in batch)
    astray = method(net, batch, tags, threat, weight=1e6, steps=6, seeds=2)
    assert bool((bce(net(astray), tags) >= bce(net(batch), tags)).all())
    indices = tags.argmax(1)
    with_indices = method(net, batch, indices, threat, loss="cross_entropy", steps=3)
    assert with_indices["audio"].shape == batch["audio"].shape


def test_all_of_them_compete_for_each_clip() -> None:
    net, batch, tags = Shown(), toys.batch(), toys.labels()
    threat = {name: Budget(0.1) for name in batch}
    members: list[Member] = [
        (pgd, {"steps": 4}),
        (temporal, {"steps": 4}),
        (temporal, {"steps": 4, "raised": False}),
        (misalign, {"steps": 4}),
        (sparse, {"steps": 4, "supports": supports_of(batch, 0.5)}),
    ]
    best = bce(net(strongest(net, batch, tags, threat, members=members, seeds=1)), tags)
    for attack, settings in members:
        alone = attack(net, batch, tags, threat, seeds=1, **settings)
        seeded = strongest(net, batch, tags, threat, members=[(attack, settings)], seeds=1)
        assert bool((bce(net(seeded), tags) <= best + 1e-6).all())
        assert alone.keys() == batch.keys()


class Deaf(Shown):
    """Ignores the sound, in its features too."""

    def forward(self, inputs: Batch) -> Tensor:
        return super().forward({**inputs, "audio": torch.zeros_like(inputs["audio"])})


def test_a_model_that_ignores_sound_is_untouched_by_every_sound_method() -> None:
    net, batch, tags = Deaf(), toys.batch(), toys.labels()
    threat, before = {"audio": Budget(0.1)}, net(toys.batch())
    for found in (
        misalign(net, batch, tags, threat, steps=3),
        temporal(net, batch, tags, threat, steps=3),
        sparse(net, batch, tags, threat, supports=supports_of(batch, 0.5), steps=3),
    ):
        assert torch.equal(net(found), before)


def test_variation_of_known_sequences() -> None:
    still = torch.ones(1, 6, 3)
    flipped = still * torch.tensor([1.0, -1, 1, -1, 1, -1]).view(1, 6, 1)
    noise = torch.randn(1, 4000, 2, generator=torch.Generator().manual_seed(0))
    assert float(variation(still)) == 0.0
    assert float(variation(flipped)) == pytest.approx(4.0)
    assert float(variation(noise)) == pytest.approx(2.0, rel=0.05)
    assert float(variation(100 * noise)) == pytest.approx(float(variation(noise)), rel=1e-5)
    assert float(variation(still[:, :1])) == 0.0


def test_what_a_model_must_show() -> None:
    net, batch, tags = toys.Net(), toys.batch(), toys.labels()
    threat = {"audio": Budget(0.1)}
    with pytest.raises(UserError, match="temporal needs features along time: pass features"):
        temporal(net, batch, tags, threat)
    with pytest.raises(UserError, match="misalign needs an embedding of each modality"):
        misalign(net, batch, tags, threat)
    with pytest.raises(UserError, match="video is not among those given"):
        misalign(net, batch, tags, threat, features=lambda x: ({"audio": x["audio"]}, net(x)))
    with pytest.raises(UserError, match="audio has 24 numbers, video 96"):
        misalign(net, batch, tags, threat, features=lambda x: (x, net(x)))
    with pytest.raises(UserError, match="temporal was given no features"):
        temporal(net, batch, tags, threat, features=lambda x: ({}, net(x)))


def test_modes_are_put_back() -> None:
    net = Shown().train()
    misalign(net, toys.batch(), toys.labels(), {"audio": Budget(0.1)}, steps=1)
    assert net.training


def test_a_term_of_ones_own() -> None:
    """The box and the ball end a linear term where they should."""
    batch = {"x": torch.tensor([[0.95, 0.5]])}
    found = guided(
        lambda inputs: ({"sum": inputs["x"].sum(1)}, inputs["x"]),
        batch,
        torch.tensor([0]),
        {"x": Budget(0.1)},
        term=lambda features: features["sum"],
        loss=None,
    )
    assert torch.allclose(found["x"], torch.tensor([[1.0, 0.6]]))
