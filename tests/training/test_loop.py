"""The training loop: it learns, it resumes to the bit, and it counts what it costs."""

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmlib.batch import LabelledBatch
from mmlib.models.base import Model
from mmlib.params.training import Augment, Optimiser
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch
from mmlib.training import assessment
from mmlib.training.average import WeightAverage
from mmlib.training.history import (
    Costs,
    History,
)
from mmlib.training.loop import fit
from mmlib.training.objectives import (
    BlendedObjective,
    Objective,
    plain,
    prior_logits,
    task_loss,
)
from mmlib.training.optimiser import learning_rate
from mmlib.training.settings import TrainSettings
from tests.memory_clips import MemoryClips
from tests.models.examples import small

AUGMENT = Augment(audio_shift=0.1, video_shift=0.1, flip=True, band_mask=0.1, time_mask=0.1)
HEADS = {"A": 0.3, "V": 0.3, "AV": 0.4}


def optimiser(**changes: Any) -> Optimiser:
    values = {"weight_decay": 1e-4, "warmup_share": 0.1, "clip_norm": 5.0, "ema_decay": 0.9}
    return Optimiser(**{**values, **changes})


class Killed(BaseException):
    """Stands for kill -9: nothing in memory survives it."""


def killed_at(
    source: Callable[[int], Iterator[LabelledBatch]], moment: tuple[int, int] | None
) -> Callable[[int], Iterator[LabelledBatch]]:
    """The batch source, dying as it is asked for the batch of (epoch, step)."""

    def batches(epoch: int) -> Iterator[LabelledBatch]:
        for step, batch in enumerate(source(epoch)):
            if (epoch, step) == moment:
                raise Killed
            yield batch

    return batches


def train(
    folder: Path,
    *,
    epochs: int = 2,
    objective: Objective | None = None,
    modality: str = "",
    task: str = "multi_label",
    changes: dict[str, Any] | None = None,
    val: MemoryClips | None = None,
    seed: int = 1,
    kill: tuple[int, int] | None = None,
    batch_size: int = 16,
) -> tuple[Model, History]:
    """Train a small model on 48 clips, three steps an epoch, with checkpoints under `folder`."""
    objective = objective or plain(task)
    blended = isinstance(objective, BlendedObjective)
    model = small("mid", heads=blended, modality=modality)
    settings = {"learning_rate": 0.01, "optimiser": optimiser(), "augment": AUGMENT}
    clips = MemoryClips(48, task=task)
    history = fit(
        model,
        settings=TrainSettings(
            **{"epochs": epochs, "batch_size": 16, **settings, **(changes or {})}
        ),
        batches=killed_at(clips.shuffled(batch_size, model.modalities), kill),
        steps_per_epoch=3,
        train=clips,
        val=MemoryClips(24, task=task, seed=1) if val is None else val,
        objective=objective,
        scratch=Scratch("train", "test", folder),
        seed=seed,
        device=torch.device("cpu"),
        label="test",
        on_epoch=objective.begin_epoch if isinstance(objective, BlendedObjective) else None,
    )
    return model, history


def same_weights(one: Model, two: Model) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def timeless(costs: Costs) -> dict[str, float]:
    return {name: value for name, value in costs.as_dict().items() if name != "seconds"}


@pytest.mark.parametrize("task", ["multi_label", "single_label"])
@pytest.mark.parametrize("modality", ["audio", "video", ""])
def test_it_learns(tmp_path: Path, task: str, modality: str) -> None:
    model, history = train(
        tmp_path, epochs=12, task=task, modality=modality, changes={"augment": None}
    )
    assert history.rows[-1]["val_loss"] < history.rows[0]["val_loss"]
    assert history.rows[-1]["val_mAP"] > 0.9
    assert not model.training
    batch = MemoryClips(24, task=task, seed=1).gather(np.arange(24))
    loss = task_loss(task, model(batch.inputs), batch.labels).item()
    assert loss == pytest.approx(history.rows[-1]["val_loss"], rel=1e-4), "measured is saved"


@pytest.mark.parametrize("moment", [(0, 2), (1, 0), (2, 1)])
@pytest.mark.parametrize("blended", [False, True])
def test_a_killed_run_ends_in_the_same_bits(
    tmp_path: Path, moment: tuple[int, int], blended: bool
) -> None:
    def objective() -> Objective:
        return BlendedObjective(HEADS, "multi_label", 1) if blended else plain("multi_label")

    whole, expected = train(tmp_path / "whole", epochs=3, objective=objective())
    with pytest.raises(Killed):
        train(tmp_path / "killed", epochs=3, objective=objective(), kill=moment)
    torch.manual_seed(99)  # another process has another state
    resumed, history = train(tmp_path / "killed", epochs=3, objective=objective())
    assert same_weights(resumed, whole)
    assert history.csv() == expected.csv()
    assert timeless(history.costs) == timeless(expected.costs)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path, kill=(1, 0))
    (path,) = tmp_path.rglob("checkpoint.pt")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"checkpoint\.pt: .*damaged.*delete it and run"):
        train(tmp_path)


def test_a_run_depends_on_its_seed_alone(tmp_path: Path) -> None:
    one, _ = train(tmp_path / "one")
    torch.manual_seed(5)
    two, _ = train(tmp_path / "two")
    other, _ = train(tmp_path / "other", seed=2)
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_train_and_validation_loss_are_measured_alike(tmp_path: Path) -> None:
    _, history = train(
        tmp_path, val=MemoryClips(48), objective=BlendedObjective(HEADS, "multi_label")
    )
    for row in history.rows:
        for head in ("", "_A", "_V", "_AV"):
            assert row[f"train_loss{head}"] == row[f"val_loss{head}"]
        assert row["val_loss"] == row["val_loss_AV"]
        assert row["objective"] != row["train_loss"]


def test_a_large_val_is_assessed_on_the_same_part_by_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "MOST_ASSESSED", 10)
    train_clips, val = MemoryClips(48), MemoryClips(24, seed=1)
    one, two = (assessment.samples(train_clips, val, seed) for seed in (1, 2))
    for chosen in (one, two):
        assert len(chosen.of_val) == len(chosen.of_train) == 10
        assert len(set(chosen.of_val.tolist())) == 10
        assert (np.diff(chosen.of_val) > 0).all()
    assert np.array_equal(one.of_val, two.of_val), "curves of runs compare"
    assert not np.array_equal(one.of_train, two.of_train)
    model, history = train(tmp_path, val=val)
    batch = val.gather(one.of_val)
    loss = task_loss("multi_label", model(batch.inputs), batch.labels).item()
    assert history.rows[-1]["val_loss"] == pytest.approx(loss, rel=1e-5)
    for clips in history.clips:
        assert [len(losses["AV"]) for losses in clips] == [10, 10]


def test_a_small_val_is_assessed_whole() -> None:
    chosen = assessment.samples(MemoryClips(9), MemoryClips(12), 1)
    assert chosen.of_val.tolist() == list(range(12))
    assert chosen.of_train.tolist() == list(range(9))


def test_the_losses_of_clips_have_the_row_s_as_their_means(tmp_path: Path) -> None:
    _, history = train(tmp_path, objective=BlendedObjective(HEADS, "multi_label"))
    for row, clips in zip(history.rows, history.clips, strict=True):
        for part, heads in clips._asdict().items():
            for head, losses in heads.items():
                assert row[f"{part}_loss_{head}"] == pytest.approx(losses.mean(), rel=1e-6)


def test_divergence_is_one_clear_line(tmp_path: Path) -> None:
    def burst(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        return plain("multi_label")(model, batch, generator) * math.nan

    with pytest.raises(UserError, match="the objective is nan in epoch 0; lower the run's"):
        train(tmp_path, objective=burst)


def test_an_empty_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="test: there is no clip to validate on"):
        train(tmp_path, val=MemoryClips(0))


def test_costs_of_plain_and_of_attacked_training(tmp_path: Path) -> None:
    _, history = train(tmp_path / "plain")
    assert timeless(history.costs) == {
        "forward_passes": 96,
        "backward_passes": 96,
        "optimiser_steps": 6,
        "clips_seen": 96,
    }

    def attacked(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        leaf = batch.inputs["audio"].clone().requires_grad_()
        inputs = {**batch.inputs, "audio": leaf}
        torch.autograd.grad(model(inputs).sum(), leaf)  # twice forward, half of it backward
        with torch.no_grad():
            model.encode("video", batch.inputs["video"])  # half a pass forward
        return task_loss("multi_label", model(batch.inputs), batch.labels)

    _, history = train(tmp_path / "attacked", objective=attacked)
    assert history.costs.forward_passes == 96 * 2.5
    assert history.costs.backward_passes == 96 * 1.5


def test_gradients_are_clipped_before_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *arguments: Any) -> Any:
        gradients = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(gradients)))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    train(tmp_path, changes={"optimiser": optimiser(clip_norm=0.01)})
    assert len(norms) == 6
    assert max(norms) <= 0.01 * (1 + 1e-5)


def test_learning_rate_warms_up_and_decays_to_nothing() -> None:
    rates = [learning_rate(2.0, step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * k for k in range(1, 11)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] < 0.01
    assert learning_rate(2.0, 0, 1, 1.0) == 2.0
    assert all(b < a for a, b in itertools.pairwise(rates[10:]))


def test_a_warm_up_in_steps_and_a_line_down() -> None:
    form: Any = {"warmup_steps": 20, "schedule": "linear"}
    rates = [learning_rate(2.0, step, 100, 0.9, **form) for step in range(100)]
    assert rates[:20] == pytest.approx([0.1 * k for k in range(1, 21)])
    assert rates[20:] == pytest.approx([2.0 * (100 - step) / 80 for step in range(20, 100)])
    assert learning_rate(2.0, 0, 100, 0.9, warmup_steps=0) == 2.0


def test_a_warm_up_that_never_ends_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test: optimiser\.warmup_steps is 6, but the run has 6"):
        train(tmp_path, changes={"optimiser": optimiser(warmup_steps=6)})


def test_the_gradients_of_several_batches_make_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mean over the batches, and as many draws as batches; what fills no step is left out."""
    means: list[float] = []
    steps: list[float] = []
    step = torch.optim.AdamW.step

    def objective(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        means.append(float(torch.rand(1, generator=generator)))
        loss: Tensor = means[-1] * model.head.bias.sum() + 0 * model(batch.inputs).sum()
        return loss

    def watched(self: torch.optim.AdamW, *arguments: Any) -> Any:
        gradients = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        steps.append(max(float(gradient.max()) for gradient in gradients))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    settings = {"accumulation": 2, "batch_size": 4, "optimiser": optimiser(clip_norm=1e9)}
    _, history = train(tmp_path, objective=objective, changes=settings, batch_size=4)
    assert len(means) == 2 * 2 * 3
    assert len(set(means)) == len(means), "each batch draws its own"
    assert steps == pytest.approx(
        [(a + b) / 2 for a, b in zip(means[::2], means[1::2], strict=True)]
    )
    assert history.costs.optimiser_steps == 2 * 3
    assert history.costs.clips_seen == 12 * 4


def test_a_killed_run_of_several_batches_a_step_ends_in_the_same_bits(tmp_path: Path) -> None:
    changes = {"accumulation": 2}
    whole, expected = train(tmp_path / "whole", changes=changes, batch_size=8)
    with pytest.raises(Killed):
        train(tmp_path / "killed", changes=changes, batch_size=8, kill=(1, 3))
    resumed, history = train(tmp_path / "killed", changes=changes, batch_size=8)
    assert same_weights(resumed, whole)
    assert history.csv() == expected.csv()
    assert timeless(history.costs) == timeless(expected.costs)


def test_the_average_follows_its_recursion() -> None:
    model = small("mid")
    average = WeightAverage(model, 0.5)
    values, expected = [1.0, 3.0, -2.0, 5.0], float(model.head.bias[0].detach())
    for step, value in enumerate(values):
        with torch.no_grad():
            model.head.bias.fill_(value)
            for name, buffer in model.named_buffers():
                if name.endswith("running_mean"):
                    buffer.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.model.head.bias[0]) == pytest.approx(expected)
    means = [b for n, b in average.model.named_buffers() if n.endswith("running_mean")]
    assert 1.0 < float(means[0].flatten()[0]) < 5.0, "batch-norm statistics are averaged too"


def test_no_average_saves_the_last_weights(tmp_path: Path) -> None:
    last: list[dict[str, Tensor]] = []

    def watched(model: Model, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        last[:] = [{n: p.detach().clone() for n, p in model.named_parameters()}]
        return plain("multi_label")(model, batch, generator)

    changes = {"optimiser": optimiser(ema_decay=0, warmup_share=1), "learning_rate": 1e-9}
    model, _ = train(tmp_path, objective=watched, changes=changes)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, last[0][name], rtol=0, atol=1e-7)


@pytest.mark.parametrize("task", ["multi_label", "single_label"])
def test_task_loss_of_soft_labels(task: str) -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    labels = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.5, 0.5]])
    if task == "multi_label":
        p = torch.sigmoid(logits)
        expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    else:
        expected = -(labels * logits.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(task_loss(task, logits, labels), expected)


def test_history_as_csv() -> None:
    rows = [{"epoch": 0.0, "val_loss": 1 / 3, "val_mAP": math.nan}, {"epoch": 1.0, "val_loss": 0.5}]
    assert History(rows).csv() == "epoch,val_loss,val_mAP\n0,0.333333333,\n1,0.5,\n"


@pytest.mark.parametrize("task", ["multi_label", "single_label"])
def test_heads_begin_at_the_best_constant_guess(task: str) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((400, 5), np.uint8)
    labels[np.arange(400), rng.choice(4, 400, p=[0.5, 0.3, 0.15, 0.05])] = 1
    guess = prior_logits(task, labels)
    assert torch.isfinite(guess).all(), "the last class has no clip"
    drawn = np.linspace(0, 2, 400) / 400
    repeated = np.repeat(labels, np.arange(400), axis=0)
    weighed, expected = prior_logits(task, labels, drawn), prior_logits(task, repeated)
    torch.testing.assert_close(weighed[:4], expected[:4], rtol=0, atol=0.05)
    leaf = guess.clone().requires_grad_()
    loss = task_loss(task, leaf.expand(400, 5), torch.from_numpy(labels).float())
    (gradient,) = torch.autograd.grad(loss, leaf)
    # Off by the half clips alone: for the five classes of a softmax, two and a half of 400.
    assert gradient.abs().max() < 2.5 / 400
    model = small("mid", heads=True)
    model.begin_heads_at(guess)
    biases = [value for name, value in model.named_parameters() if name.endswith("head.bias")]
    biases += [value for name, value in model.auxiliary.named_parameters() if "bias" in name]
    assert len(biases) == 3
    assert all(torch.equal(bias, guess) for bias in biases)
