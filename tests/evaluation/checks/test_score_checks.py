"""Checks of curves and of what is stored, each with a sound case and one that trips it."""

import numpy as np
import pytest
import torch

from mmlib.attacks.core.threat import (
    Budget,
    Norm,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.evaluation.checks import (
    scores,
    stored,
)
from tests.attacks import toys

GOOD = {
    "A": {0.01: 0.5, 0.02: 0.4, 0.2: 0.3},
    "V": {0.01: 0.55, 0.02: 0.5, 0.2: 0.45},
    "AV": {0.01: 0.4, 0.02: 0.2, 0.2: 0.05},
}


def test_monotone() -> None:
    assert scores.monotone_eps(0.6, GOOD).status == "pass"
    assert scores.monotone_eps(0.6, {"A": {0.01: 0.5, 0.02: 0.52}}).status == "warn"
    rising = scores.monotone_eps(0.6, {"A": {0.01: 0.3, 0.02: 0.4}, "V": {0.01: 0.1}})
    assert rising.status == "fail"
    assert "0.100, under A" in rising.message
    assert scores.monotone_eps(0.3, {"A": {0.01: 0.5}}).status == "fail"


def test_collapse() -> None:
    assert scores.large_eps_collapse(0.6, GOOD, floor=0.1).status == "pass"
    assert scores.large_eps_collapse(0.6, {"A": {0.2: 0.18}}, floor=0.1).status == "warn"
    assert scores.large_eps_collapse(0.6, {"V": GOOD["V"]}, floor=0.1).status == "fail"


def test_noise() -> None:
    noisy = {"A": {0.01: 0.59, 0.02: 0.58}}
    assert scores.random_noise(GOOD, noisy).status == "pass"
    assert scores.random_noise(GOOD, {"A": {0.01: 0.495}}).status == "warn"
    worse = scores.random_noise(GOOD, {"A": {0.01: 0.3, 0.02: 0.58}})
    assert worse.status == "fail"
    assert "noise leaves 0.200 less mAP than the attack on A at eps 0.01" in worse.message


def test_joint() -> None:
    assert scores.joint_beats_single(GOOD).status == "pass"
    assert scores.joint_beats_single({"A": GOOD["A"]}).status == "pass"
    weak = scores.joint_beats_single({**GOOD, "AV": {0.01: 0.6}})
    assert weak.status == "fail"
    assert "0.100 higher under A+V than under A at eps 0.01" in weak.message


def test_effort_and_knowledge() -> None:
    assert scores.iterated_beats_single(0.2, 0.3).status == "pass"
    assert scores.iterated_beats_single(0.3, 0.2).status == "fail"
    assert scores.more_effort("doubling_steps", 0.2, 0.195, "more").status == "pass"
    assert scores.more_effort("doubling_steps", 0.2, 0.17, "more").status == "warn"
    assert scores.more_effort("doubling_steps", 0.2, 0.1, "more").status == "fail"
    assert scores.weaker_knowledge("transfer", 0.2, 0.4).status == "pass"
    assert scores.weaker_knowledge("gradient_free", 0.4, 0.2).status == "fail"
    assert scores.weaker_knowledge("gradient_free", float("nan"), 0.2).status == "fail"


def test_prevalence_is_what_random_scores_get() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((4000, 6)) < [0.05, 0.1, 0.2, 0.3, 0.4, 0.0]
    drawn = rng.random((4000, 6)).astype(np.float32)
    assert scores.mean_ap(labels, drawn) == pytest.approx(scores.prevalence(labels), abs=0.01)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_budget(norm: Norm) -> None:
    inputs, labels = toys.batch(), toys.labels()
    eps = {"linf": 0.05, "l2": 0.3, "l1": 1.0}[norm]
    threat = {"audio": Budget(eps, norm)}
    found = pgd(toys.Net(), inputs, labels, threat, steps=4)
    assert stored.budget_exact(inputs, found, threat).status == "pass"
    # The faults of earlier code: a running sum never projected, a wrong box, another modality.
    summed = {**found, "audio": inputs["audio"] + 1.01 * (found["audio"] - inputs["audio"])}
    assert "of its" in stored.budget_exact(inputs, summed, threat).message
    nearly = {"audio": Budget(eps * (1 - 1e-5), norm)}
    assert stored.budget_exact(inputs, found, nearly).status == "fail"
    outside = {**found, "audio": found["audio"] - 0.02}
    assert "leaves the box" in stored.budget_exact(inputs, outside, threat).message
    other = {**found, "video": 0.5 * inputs["video"]}
    assert "outside the threat" in stored.budget_exact(inputs, other, threat).message
    broken = {**found, "audio": found["audio"] * float("nan")}
    assert "not finite" in stored.budget_exact(inputs, broken, threat).message
    doubled = {**found, "audio": found["audio"].double()}
    assert stored.budget_exact(inputs, doubled, threat).status == "fail"


def test_absent_modalities_must_stay() -> None:
    inputs = {**toys.batch(), "audio_present": torch.tensor([True, False, True, True, True])}
    changed = {**inputs, "audio": (inputs["audio"] + 0.01).clamp(0, 1)}
    outcome = stored.budget_exact(inputs, changed, {"audio": Budget(0.1)})
    assert "clips that lack it" in outcome.message


def test_stored_norms() -> None:
    radii = {"A 0.01": 0.01, "AV 0.02": 0.02}
    good = {"A 0.01": [0.01, 0.009], "AV 0.02": [0.02]}
    assert stored.norms_within(good, radii).status == "pass"
    bad = stored.norms_within({"A 0.01": [0.01, 0.0101]}, radii)
    assert bad.status == "fail"
    assert "A 0.01 at 1.01" in bad.message


def test_rescore() -> None:
    net, inputs = toys.Net(), toys.batch()
    with torch.no_grad():
        kept = net(inputs)
    assert stored.reload_rescore(net, inputs, kept, batch_size=2).status == "pass"
    assert stored.reload_rescore(net, inputs, kept + 0.01, batch_size=2).status == "fail"

    def batch_dependent(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = net(batch)
        return logits - logits.mean(0)

    with torch.no_grad():
        whole = batch_dependent(inputs)
    assert stored.reload_rescore(batch_dependent, inputs, whole, batch_size=2).status == "fail"
