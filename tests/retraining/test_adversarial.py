"""The inner loop of adversarial training: what it changes, what it leaves alone, what it costs."""

import math
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from mmlib.attacks.core.threat import build_threat
from mmlib.batch import Batch, LabelledBatch
from mmlib.models.base import Model
from mmlib.params.retraining import Guard
from mmlib.retraining.adversarial import (
    AdversarialObjective,
    Probe,
    as_attacked,
)
from mmlib.threats import THREATS
from mmlib.training.history import (
    Costs,
    History,
    PassCounter,
)
from mmlib.training.objectives import plain
from tests.models.examples import clips, small

EPS = 0.05
SHAPES = {"audio": (36, 32), "video": (3, 4, 16, 16)}
GUARD = Guard(every=2, clips=4, steps=40, ratio=2.0, rise=1.5)


def batch(size: int = 6, **changes: Tensor) -> LabelledBatch:
    labels = (torch.rand(size, 5, generator=torch.Generator().manual_seed(3)) < 0.4).float()
    ids = tuple(f"clip {i}" for i in range(size))
    return LabelledBatch(ids, {**clips(size), **changes}, labels)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Seen:
    """An outer objective that keeps the batch it was given and the model's mode."""

    def __init__(self) -> None:
        self.inputs: Batch = {}
        self.training = False

    def __call__(self, model: Model, given: LabelledBatch, _: torch.Generator) -> Tensor:
        self.inputs, self.training = given.inputs, model.training
        return torch.zeros((), requires_grad=True)


def build(
    outer: Any,
    *,
    threat: str = "AV",
    attack: Literal["pgd", "fgsm_rs"] = "pgd",
    steps: int = 3,
    share: float = 0.5,
    norm: Literal["linf", "l2", "l1"] = "linf",
    shapes: Any = SHAPES,
) -> AdversarialObjective:
    return AdversarialObjective(
        outer,
        build_threat(dict.fromkeys(THREATS[threat], EPS), norm, shapes),
        loss="bce",
        attack=attack,
        steps=steps,
        share=share,
        guard=GUARD,
    )


@pytest.mark.parametrize("attack", ["pgd", "fgsm_rs"])
@pytest.mark.parametrize(("threat", "moved"), [("A", {"audio"}), ("V", {"video"}), ("AV", None)])
def test_the_share_is_attacked_within_its_budget_and_the_rest_is_not(
    attack: Literal["pgd", "fgsm_rs"], threat: str, moved: set[str] | None
) -> None:
    model, given, seen = small(), batch(), Seen()
    build(seen, threat=threat, attack=attack)(model, given, generator())
    for name in ("audio", "video"):
        change = (seen.inputs[name].double() - given.inputs[name].double()).abs().flatten(1)
        assert (change[3:] == 0).all()
        if moved is not None and name not in moved:
            assert seen.inputs[name] is given.inputs[name]
            continue
        assert (change[:3].amax(1) > 0.5 * EPS).all()
        assert change.max() <= EPS
        assert seen.inputs[name].min() >= 0
        assert seen.inputs[name].max() <= 1
    assert seen.training


def test_the_inner_loop_leaves_the_model_as_it_was() -> None:
    model = small()
    model.encoders["audio"].eval()
    model.head.bias.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    build(Seen())(model, batch(), generator())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["head.bias"]


def test_clips_without_what_is_attacked_are_left_as_they_are() -> None:
    absent = torch.zeros(6, dtype=torch.bool)
    given, seen = batch(audio_present=absent, audio=torch.zeros(6, 36, 32)), Seen()
    build(seen, threat="A")(small(), given, generator())
    assert torch.equal(seen.inputs["audio"], given.inputs["audio"])


def test_modes_come_back_after_an_error() -> None:
    model = small()

    def attack_that_fails() -> None:
        with as_attacked(model):
            assert not model.training
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        attack_that_fails()
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_outer_step_moves_batch_norm_once_and_gives_every_weight_a_gradient() -> None:
    model, given = small(), batch()
    objective = build(plain("multi_label"))
    objective(model, given, generator()).backward()  # type: ignore[no-untyped-call]
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked} == {1}
    assert model.head.weight.grad is not None


def test_the_same_generator_gives_the_same_attack_and_another_seed_another() -> None:
    model, inputs = small(), []
    for seed in (1, 1, 2):
        seen = Seen()
        build(seen)(model, batch(), generator(seed))
        inputs.append(seen.inputs["video"])
    assert torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[2])


def test_a_missing_modality_is_not_attacked() -> None:
    model, seen = small(), Seen()
    given = batch(audio_present=torch.tensor([False, True, True, True, False, True]))
    build(seen)(model, given, generator())
    assert torch.equal(seen.inputs["audio"][0], given.inputs["audio"][0])
    assert not torch.equal(seen.inputs["video"][0], given.inputs["video"][0])


def test_attacked_clips_have_a_higher_loss_than_clean_ones() -> None:
    model, given, seen = small().eval(), batch(), Seen()
    build(seen, share=1.0, steps=7)(model, given, generator())
    loss = plain("multi_label")
    clean = loss(model, given, generator())
    attacked = loss(model, given._replace(inputs=seen.inputs), generator())
    assert attacked > clean


@pytest.mark.parametrize(
    ("attack", "threat", "forward", "backward"),
    [
        # 6 clips in the outer step; 3 attacked clips times 3 steps inside
        ("pgd", "AV", 6 + 9, 6 + 9),
        # the gradient goes back through one of two encoders
        ("pgd", "A", 6 + 9, 6 + 4.5),
        # one step; the guard looks at the first step of an epoch: 3 clips times (1 + 40 + 3)
        ("fgsm_rs", "AV", 6 + 3 + 3 * (1 + 40 + 3), 6 + 3 + 3 * (1 + 40)),
    ],
)
def test_what_a_step_costs_is_what_the_pass_counter_counts(
    attack: Literal["pgd", "fgsm_rs"], threat: str, forward: float, backward: float
) -> None:
    model, costs = small(), Costs()
    objective = build(plain("multi_label"), attack=attack, threat=threat)
    with PassCounter(model, costs):
        objective(model, batch(), generator()).backward()  # type: ignore[no-untyped-call]
    assert (costs.forward_passes, costs.backward_passes) == pytest.approx((forward, backward))


class Linear(nn.Module):
    """One class whose logit falls with the audio: every step in its gradient's direction helps."""

    def forward(self, inputs: Batch) -> Tensor:
        return 4 - 4 * (inputs["audio"] - 0.5).mean((1, 2))[:, None] / EPS


class Ripple(nn.Module):
    """One class that breaks half-way to the edge of the ball and is whole again at its edge.

    That is what catastrophic overfitting looks like: a long step jumps over the hole.
    """

    def forward(self, inputs: Batch) -> Tensor:
        reach = (inputs["audio"] - 0.5).abs() / EPS
        hole = (1 - (reach - 0.5).abs() / 0.5).clamp_min(0)
        return 4 - 8 * hole.mean((1, 2))[:, None]


def toy_batch() -> LabelledBatch:
    inputs = {"audio": torch.full((8, 10, 10), 0.5)}
    return LabelledBatch(tuple("abcdefgh"), inputs, torch.ones(8, 1))


def watched() -> AdversarialObjective:
    return build(Seen(), threat="A", attack="fgsm_rs", shapes={"audio": (10, 10)})


LINEAR: Any = Linear()
RIPPLE: Any = Ripple()


def test_a_sound_gradient_is_left_to_the_single_step() -> None:
    objective = watched()
    columns = objective.begin_epoch(History())
    for _ in range(5):
        objective(LINEAR, toy_batch(), generator())
    assert not objective.backed_off
    assert math.isnan(columns["backed_off"])
    assert columns["probe_clean"] < columns["probe_single"] <= columns["probe_multiple"]
    assert columns["probe_lowest"] == columns["probe_multiple"]


def test_a_masked_gradient_backs_off_for_the_rest_of_the_epoch() -> None:
    objective = watched()
    columns = objective.begin_epoch(History())
    for model in (LINEAR, RIPPLE, RIPPLE, LINEAR, LINEAR):
        objective(model, toy_batch(), generator())
    assert objective.backed_off
    assert columns["backed_off"] == 2
    assert columns["probe_multiple"] > 2 * columns["probe_single"]
    assert columns["probe_lowest"] == pytest.approx(math.log(2), rel=0.1)


def test_after_backing_off_the_clips_are_adversarial_again() -> None:
    seen = Seen()
    objective = build(seen, threat="A", attack="fgsm_rs", shapes={"audio": (10, 10)}, share=1.0)
    logits = []
    for model in (LINEAR, RIPPLE, RIPPLE):
        objective(model, toy_batch(), generator())
        logits.append(float(model(seen.inputs).mean()))
    missed, found = logits[1:]
    assert missed > 0  # the single step jumps over the hole
    assert found < -2


def test_the_guard_s_memory_is_in_the_rows_and_its_alarm_ends_with_the_epoch() -> None:
    objective = watched()
    row = objective.begin_epoch(History())
    for model in (LINEAR, LINEAR, RIPPLE):
        objective(model, toy_batch(), generator())
    assert objective.backed_off
    resumed = watched()
    for again in (objective, resumed):
        again.begin_epoch(History([row]))
        assert not again.backed_off
        again(RIPPLE, toy_batch(), generator())
        assert again.columns["backed_off"] == 0
    assert objective.columns == resumed.columns


@pytest.mark.parametrize(
    ("losses", "lowest", "collapsed"),
    [
        ((0.2, 0.5, 0.7), 0.3, False),  # the single step does its part
        ((0.2, 0.3, 0.5), 0.5, False),  # PGD never did less
        ((0.2, 0.3, 0.5), 0.3, True),
        ((0.2, 0.1, 0.5), 0.3, True),  # the single step even helps
        ((0.5, 0.4, 0.5), 0.3, False),  # a hard batch: nothing does damage
    ],
)
def test_collapse_is_a_jump_of_the_loss_that_the_single_step_does_not_see(
    losses: tuple[float, ...], lowest: float, collapsed: bool
) -> None:
    clean, single, multiple = losses
    assert Probe(clean, single, multiple).collapsed(lowest, GUARD) is collapsed


def test_l2_budgets_are_in_change_per_element() -> None:
    threat = build_threat(dict.fromkeys(SHAPES, EPS), "l2", SHAPES)
    assert threat["audio"].eps == pytest.approx(EPS * (36 * 32) ** 0.5)
    seen, given = Seen(), batch()
    build(seen, norm="l2", share=1.0)(small(), given, generator())
    change = (seen.inputs["audio"].double() - given.inputs["audio"].double()).flatten(1)
    assert (change.square().mean(1).sqrt() <= EPS).all()
