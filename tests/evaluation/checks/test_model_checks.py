"""Each check passes on a sound model and trips on one that is built to trip it."""

import pytest
import torch

from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.threat import Budget
from mmlib.batch import Batch
from mmlib.evaluation.checks import model as checks
from mmlib.evaluation.checks.outcome import counts
from mmlib.features import LogMel
from tests.attacks import toys
from tests.sweep_toys import MEL, waveforms

NET = toys.Net()
INPUTS = toys.batch(clips=12)
LABELS = toys.labels(12)
THREAT = {"audio": Budget(0.05), "video": Budget(0.05)}


def sound(batch: Batch) -> torch.Tensor:
    logits: torch.Tensor = NET(batch)
    return logits


def rounding(batch: Batch) -> torch.Tensor:
    """Masked gradients: the input is rounded, so autograd sees zero."""
    return sound({name: (64 * x).round() / 64 for name, x in batch.items()})


def detached_video(batch: Batch) -> torch.Tensor:
    """The video branch was cut off the graph by mistake."""
    return sound({**batch, "video": batch["video"].detach()})


def scaled_back(batch: Batch) -> torch.Tensor:
    """A gradient that does not vanish but is a tenth of what it should be."""
    return sound({name: 0.1 * x + 0.9 * x.detach() for name, x in batch.items()})


def stochastic(batch: Batch) -> torch.Tensor:
    logits = sound(batch)
    return logits + 0.01 * torch.randn_like(logits)


def infinite_slope(batch: Batch) -> torch.Tensor:
    """A square root at 0 gives a NaN gradient, though its value is fine."""
    return sound(batch) + (0 * batch["audio"]).sqrt().sum()


def test_a_sound_model_passes_everything() -> None:
    outcomes = checks.check_model(sound, INPUTS, LABELS, THREAT, "bce")
    assert counts(outcomes) == {"pass": 5, "warn": 0, "fail": 0}
    assert len({outcome.name for outcome in outcomes}) == 5
    assert all(outcome.message for outcome in outcomes)


def test_a_front_end_passes_and_a_rounding_one_is_found_out() -> None:
    """On waveforms, tones at a hundredth of full scale: 0.01 would drown them, 0.0001 does not."""
    front, weights = LogMel(MEL), torch.randn(512, 2, generator=torch.Generator().manual_seed(0))

    def hears(batch: Batch) -> torch.Tensor:
        levels: torch.Tensor = front(batch["audio"])
        return 0.01 * levels.flatten(1) @ weights

    def as_int16(batch: Batch) -> torch.Tensor:
        return hears({"audio": (32768 * batch["audio"]).round() / 32768})

    batch, tags = {"audio": 0.05 * waveforms(12)}, torch.eye(2).repeat(6, 1)
    threat = {"audio": Budget(0.001, low=-1.0, high=1.0)}
    assert checks.gradient_flow(hears, batch, tags, threat, "bce").status == "pass"
    assert checks.gradient_flow(as_int16, batch, tags, threat, "bce").status == "fail"
    few = {"audio": torch.linspace(0.1, 0.9, 24).view(12, 2)}
    coarse = checks.gradient_flow(
        lambda b: (64 * b["audio"]).round() / 64, few, tags, {"audio": Budget(0.02)}, "bce"
    )
    assert coarse.status == "fail", "steps too small to cross a rounding prove nothing"
    silent = checks.zero_or_nan_gradient(hears, batch, tags, threat, "bce")
    assert silent.status == "fail"
    assert "audio 33.3 %" in silent.message


@pytest.mark.parametrize("squash", ["sigmoid", "softmax"])
def test_probabilities_are_refused(squash: str) -> None:
    def model(batch: Batch) -> torch.Tensor:
        logits = sound(batch)
        return torch.sigmoid(logits) if squash == "sigmoid" else logits.softmax(1)

    outcome = checks.logits_not_probabilities(model, INPUTS)
    assert outcome.status == "fail"
    assert squash in outcome.message


def test_nan_outputs_are_refused() -> None:
    outcome = checks.logits_not_probabilities(lambda batch: sound(batch) / 0 * 0, INPUTS)
    assert outcome.status == "fail"
    assert "not finite" in outcome.message


def test_a_random_model_is_found_out() -> None:
    assert checks.deterministic_forward(stochastic, INPUTS).status == "fail"
    assert checks.deterministic_forward(sound, INPUTS).status == "pass"


@pytest.mark.parametrize("model", [rounding, detached_video, infinite_slope])
def test_gradients_that_are_zero_or_nan(model: object) -> None:
    outcome = checks.zero_or_nan_gradient(model, INPUTS, LABELS, THREAT, "bce")  # type: ignore[arg-type]
    assert outcome.status == "fail"
    assert "video 100.0 %" in outcome.message or "audio 100.0 %" in outcome.message


def test_a_few_dead_clips_warn() -> None:
    many = toys.batch(clips=40)
    tags = toys.labels(40)

    def model(batch: Batch) -> torch.Tensor:
        dead = torch.zeros(len(batch["audio"]), 1, dtype=torch.bool)
        dead[0] = True
        logits = sound(batch)
        return torch.where(dead, logits.detach(), logits)

    outcome = checks.zero_or_nan_gradient(model, many, tags, THREAT, "bce")
    assert outcome.status == "warn"
    assert "audio 2.5 %, video 2.5 %" in outcome.message


def test_clips_without_the_modality_do_not_count() -> None:
    present = torch.ones(12, dtype=torch.bool)
    present[:3] = False

    def model(batch: Batch) -> torch.Tensor:
        mask = batch["audio_present"].float()
        return sound({**batch, "audio": batch["audio"] * mask[:, None, None]})

    inputs = {**INPUTS, "audio_present": present}
    assert checks.zero_or_nan_gradient(model, inputs, LABELS, THREAT, "bce").status == "pass"


@pytest.mark.parametrize("model", [rounding, detached_video, scaled_back])
def test_a_gradient_that_does_not_fit_the_loss(model: object) -> None:
    outcome = checks.gradient_flow(model, INPUTS, LABELS, THREAT, "bce")  # type: ignore[arg-type]
    assert outcome.status == "fail"


def test_a_saturating_loss_is_found_out() -> None:
    """BCE on clamped probabilities of a sure model has no gradient where it is clamped."""

    def clamped(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shares = torch.sigmoid(40 * logits).clamp(1e-3, 1 - 1e-3)
        return -(labels * shares.log() + (1 - labels) * (1 - shares).log()).mean(1)

    outcome = checks.zero_or_nan_gradient(sound, INPUTS, LABELS, THREAT, clamped)
    assert outcome.status in ("warn", "fail")
    assert (
        checks.zero_or_nan_gradient(
            lambda batch: 40 * sound(batch), INPUTS, LABELS, THREAT, resolve("bce")
        ).status
        == "pass"
    )
