"""Frame-sparse attacks: at most k frames, one stretch of sound, the best ones on a linear model."""

from itertools import combinations
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmlib.attacks.core.threat import NORMS, Budget, Norm
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.sparse import Support, sparse, supports_of
from mmlib.batch import Batch
from mmlib.runtime.errors import UserError
from tests.attacks import toys

EPS = {"linf": 0.2, "l2": 0.9, "l1": 3.0}
FRAMES, TIMES = 5, 12
Choice = Literal["gradient", "random"]
CHOICES: tuple[Choice, ...] = ("gradient", "random")


class Heard(torch.nn.Module):
    """One logit, linear in 12 steps of sound and 5 frames."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.audio = torch.randn(TIMES, 3, generator=generator)
        self.video = torch.randn(3, FRAMES, 2, 2, generator=generator)

    def forward(self, inputs: Batch) -> Tensor:
        sound = (inputs["audio"] * self.audio).flatten(1).sum(1)
        picture = (inputs["video"] * self.video).flatten(1).sum(1)
        return (sound + picture)[:, None]


def clips(seed: int = 0, count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    audio = torch.rand(count, TIMES, 3, generator=generator) * 1.6 - 0.3
    video = torch.rand(count, 3, FRAMES, 2, 2, generator=generator) * 1.6 - 0.3
    return {"audio": audio.clamp(0, 1), "video": video.clamp(0, 1)}


def touched(found: Batch, clean: Batch, name: str, axis: int) -> np.ndarray:
    """Which steps differ, (B, T) bool."""
    differs = (found[name] != clean[name]).movedim(axis, 1).flatten(2).any(2)
    return differs.numpy()


def gain(model: Heard, name: str, found: Tensor, clean: Tensor) -> float:
    weight = getattr(model, name).double()
    return float(((found.double() - clean.double()) * weight).sum())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_best_frames_of_a_linear_model(norm: Norm, count: int) -> None:
    """Far from the box they are those whose weights have the largest dual norm."""
    model = Heard()
    middle = {name: torch.full_like(tensor, 0.5) for name, tensor in clips().items()}
    budget = Budget({"linf": 0.1, "l2": 0.3, "l1": 0.4}[norm], norm)
    support = {"video": Support(count, axis=2)}
    found = sparse(
        model, middle, toys.labels(4), {"video": budget}, supports=support, steps=12,
        loss=toys.first_logit,
    )  # fmt: skip
    by_frame = model.video.movedim(1, 0).flatten(1).abs()
    if norm == "linf":
        weights = by_frame.sum(1)
        best = 0.1 * weights.sort(descending=True).values[:count].sum()
    elif norm == "l2":
        weights = by_frame.square().sum(1)
        best = 0.3 * weights.sort(descending=True).values[:count].sum().sqrt()
    else:
        weights = by_frame.amax(1)
        best = 0.4 * weights.max()
    chosen = set(weights.argsort(descending=True)[:count].tolist())
    for row, frames in enumerate(touched(found, middle, "video", 2)):
        assert set(np.flatnonzero(frames)) <= chosen
        gained = gain(model, "video", found["video"][row], middle["video"][row])
        assert gained == pytest.approx(float(best), rel=1e-4)


def test_no_other_frames_are_better_at_the_edges_of_the_box() -> None:
    """Clips at 0 and 1 leave some gradients no room: compared with every pair, under linf."""
    model, batch = Heard(), clips()
    found = sparse(
        model, batch, toys.labels(4), {"video": Budget(EPS["linf"])}, steps=8,
        supports={"video": Support(2, axis=2)}, loss=toys.first_logit,
    )  # fmt: skip
    weight = model.video
    room = torch.where(weight > 0, (batch["video"] + 0.2).clamp(max=1), (batch["video"] - 0.2))
    gains = ((room.clamp(min=0) - batch["video"]) * weight).movedim(2, 1).flatten(2).sum(2)
    for row in range(4):
        best = max(float(gains[row, list(pair)].sum()) for pair in combinations(range(FRAMES), 2))
        gained = gain(model, "video", found["video"][row], batch["video"][row])
        assert gained == pytest.approx(best, rel=1e-4)


def test_the_best_stretch_of_sound() -> None:
    model, batch = Heard(), {name: torch.full_like(x, 0.5) for name, x in clips().items()}
    found = sparse(
        model, batch, toys.labels(4), {"audio": Budget(0.1)}, steps=8,
        supports={"audio": Support(4, stretch=True)}, loss=toys.first_logit,
    )  # fmt: skip
    weights = model.audio.abs().sum(1)
    best = max(range(TIMES - 3), key=lambda first: float(weights[first : first + 4].sum()))
    for times in touched(found, batch, "audio", 1):
        assert np.flatnonzero(times).tolist() == list(range(best, best + 4))


@settings(max_examples=8, deadline=None)
@given(
    norm=st.sampled_from(NORMS),
    frames=st.integers(1, FRAMES - 1),
    times=st.integers(1, TIMES - 1),
    choose=st.sampled_from(CHOICES),
    steps=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_no_more_than_is_allowed(
    norm: Norm, frames: int, times: int, choose: Choice, steps: int, seed: int
) -> None:
    """At most so many frames and one stretch of the sound differ, within the budget and the box."""
    net, batch = Heard(seed), clips(seed)
    threat = {name: Budget(EPS[norm], norm) for name in batch}
    found = sparse(
        lambda inputs: net(inputs).sin(), batch, toys.labels(4), threat, choose=choose,
        supports={"video": Support(frames, axis=2), "audio": Support(times, stretch=True)},
        steps=steps, seeds=seed, loss=toys.first_logit,
    )  # fmt: skip
    assert int(touched(found, batch, "video", 2).sum(1).max()) <= frames
    for heard in touched(found, batch, "audio", 1):
        places = np.flatnonzero(heard)
        assert not len(places) or places[-1] - places[0] < times
    for name, tensor in found.items():
        assert bool(((tensor >= 0) & (tensor <= 1)).all())
        order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
        delta = (tensor.double() - batch[name].double()).flatten(1).numpy()
        assert np.linalg.norm(delta, order, axis=1).max() <= EPS[norm]


@pytest.mark.parametrize("choose", CHOICES)
def test_with_all_frames_it_is_pgd(choose: Choice) -> None:
    net, batch, tags = toys.Net(), toys.batch(), toys.labels()
    threat = {"audio": Budget(0.1), "video": Budget(0.1)}
    whole = supports_of(batch, 1.0)
    found = sparse(net, batch, tags, threat, supports=whole, choose=choose, steps=6, seeds=5)
    plain = pgd(net, batch, tags, threat, steps=6, seeds=5)
    assert all(torch.equal(found[name], plain[name]) for name in batch)


def test_the_rest_of_a_threat_is_free() -> None:
    """Only the picture is bound; the sound may change everywhere, and so it does."""
    net, batch = Heard(), clips()
    threat = {"audio": Budget(0.1), "video": Budget(0.1)}
    found = sparse(
        net, batch, toys.labels(4), threat, supports={"video": Support(1, 2)},
        loss=toys.first_logit,
    )  # fmt: skip
    assert touched(found, batch, "video", 2).sum(1).tolist() == [1] * 4
    assert touched(found, batch, "audio", 1).all()


def test_chosen_frames_beat_drawn_ones_and_clips_are_on_their_own() -> None:
    net, batch, tags = Heard(), clips(count=8), toys.labels(8)
    threat, support = {"video": Budget(0.1)}, {"video": Support(1, 2)}

    def losses(choose: Choice, rows: slice = slice(None)) -> Tensor:
        part = {name: tensor[rows] for name, tensor in batch.items()}
        found = sparse(
            net, part, tags[rows], threat, supports=support, choose=choose,
            seeds=list(range(8))[rows], loss=toys.first_logit,
        )  # fmt: skip
        gained: Tensor = net(found)[:, 0] - net(part)[:, 0]
        return gained

    chosen, drawn = losses("gradient"), losses("random")
    assert bool((chosen >= drawn - 1e-6).all())
    assert float(drawn.mean()) < float(chosen.mean())
    assert torch.allclose(losses("random", slice(2, 5)), drawn[2:5])


def test_supports_of_a_share() -> None:
    batch = {"audio": torch.zeros(1, 100, 64), "video": torch.zeros(1, 3, 6, 2, 2)}
    found = supports_of(batch, 0.3)
    assert found == {"video": Support(1, 2), "audio": Support(30, 1, stretch=True)}
    waveform = supports_of({"audio": torch.zeros(1, 16000)}, 0.5)
    assert waveform == {"audio": Support(8000, 1, stretch=True)}
    with pytest.raises(UserError, match="a support needs a count of at least 1"):
        Support(0)
