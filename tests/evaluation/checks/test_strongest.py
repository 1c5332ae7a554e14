"""Checks that the strongest is what is returned, and the controls; each trips where it should."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
    Threat,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch, Forward
from mmlib.evaluation.checks import (
    controls,
    effort,
    honesty,
    probe,
)
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.strongest import (
    silent_success,
    worst_case_of_set,
    worst_case_per_clip,
)
from mmlib.evaluation.sweep.refine import Whole
from mmlib.evaluation.threat_card import threat_card
from mmlib.params.checks import Checks
from tests.attacks import toys
from tests.sweep_toys import settings

NET = toys.Net()
INPUTS = toys.batch(clips=12)
LABELS = toys.labels(12)
THREAT = {"audio": Budget(0.05), "video": Budget(0.05)}


def returns_the_last(
    model: Forward, batch: Batch, labels: torch.Tensor, threat: Threat, **settings: object
) -> Batch:
    """An attack that overshoots: it looks at the best point, then goes on to the clean one."""
    found = pgd(model, batch, labels, threat, loss="bce", steps=3)
    model(found)
    model(batch)
    return batch


def test_the_best_point_of_the_path_is_returned() -> None:
    sound = silent_success(NET, INPUTS, LABELS, THREAT, "bce", pgd, steps=4, step_size=2.0)
    assert sound.status == "pass"
    last = silent_success(NET, INPUTS, LABELS, THREAT, "bce", returns_the_last)
    assert last.status == "fail"
    assert "12 of 12 clips" in last.message


def test_the_worst_case_is_taken_per_clip() -> None:
    """The minimum of means: the attack of the higher mean loss, and not each clip's own."""
    first, second = torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1.0, 2.0, 1.0])
    rivals = {"A at 1": {"first": first, "second": second}}
    best = worst_case_per_clip({"A at 1": torch.maximum(first, second)}, rivals)
    assert best.status == "pass"
    assert "2 attacks" in best.message
    of_means = worst_case_per_clip({"A at 1": first}, rivals)
    assert of_means.status == "fail"
    assert "second under A at 1" in of_means.message
    assert "1 clips" in of_means.message
    lost = worst_case_per_clip({"A at 1": first * float("nan")}, rivals)
    assert lost.status == "fail"


@pytest.mark.parametrize("norm", NORMS)
def test_controls_pass_and_know_their_radius(norm: Norm) -> None:
    assert controls.known_weak_control(norm).status == "pass"


def test_the_closed_form_is_where_the_model_flips() -> None:
    weights = torch.tensor([2.0, -1.0])
    clean = torch.tensor([[0.6, 0.5]])
    radius = float(controls.closed_form_radius(weights, clean, "linf")[0])
    assert radius == pytest.approx((0.1 * 2 + 0.5) / 3)
    model = controls.linear(weights)
    for share, sign in ((0.99, 1), (1.01, -1)):
        moved = clean - share * radius * weights.sign()
        assert float(model({"audio": moved})[0, 0]) * sign > 0


def test_the_set_must_not_be_hurt_more_by_an_attack_that_is_not_scored() -> None:
    fair = worst_case_of_set({"A at 1": 0.3}, {"A at 1": {"clean": 0.7, "pgd A at 0.5": 0.3}})
    assert fair.status == "pass"
    found = worst_case_of_set({"A at 1": 0.3}, {"A at 1": {"pgd A at 0.5": 0.28}})
    assert (found.status, found.message) == (
        "fail", "pgd A at 0.5 under A at 1 leaves 0.0200 less mAP than is scored",
    )  # fmt: skip


def test_splits_must_be_apart() -> None:
    val = {"clip": ["a", "b"], "recording": ["x", "y"]}
    apart = honesty.universal_split(val, {"clip": ["c"], "recording": ["z"]}, "mAP 0.3")
    assert apart.status == "pass"
    assert "mAP 0.3" in apart.message
    shared = honesty.universal_split(val, {"clip": ["c"], "recording": ["y"]}, "")
    assert shared.status == "fail"
    assert "1 recordings, such as y" in shared.message


def test_clean_scores_must_be_there_and_true() -> None:
    clean = np.array([[1.0, -2.0], [0.5, 0.1]], np.float32)
    assert honesty.clean_beside_robust(clean, clean + 1e-4).status == "pass"
    assert honesty.clean_beside_robust(clean, clean + 0.1).status == "fail"
    rounded = clean + 0.01
    assert honesty.clean_beside_robust(clean, rounded).status == "fail"
    assert honesty.clean_beside_robust(clean, rounded, rounded=True).status == "pass"
    assert honesty.clean_beside_robust(clean, clean + 0.1, rounded=True).status == "fail"
    assert honesty.clean_beside_robust(clean, None).status == "fail"


def test_the_card_states_everything() -> None:
    attack = settings(scale={"audio": 0.5, "video": 2.0}, restarts=3)
    card = threat_card(attack, 80.0)
    assert honesty.threat_model_card(card, attack).status == "pass"
    text = {entry.title: entry.text for entry in card}
    assert "0.8 dB" in text["Headline budget ε"]
    assert "10.2 grey levels" in text["Headline budget ε"]
    assert "scale.audio 0.5" in text["All settings"]
    for missing in ("Goal", "Headline budget ε", "All settings"):
        less = [entry for entry in card if entry.title != missing]
        assert honesty.threat_model_card(less, attack).status == "fail"
    other = honesty.threat_model_card(card, settings(restarts=7))
    assert other.status == "fail"
    assert "restarts 7" in other.message


def test_the_card_names_what_was_run_and_nothing_else() -> None:
    def said(**changes: Any) -> dict[str, str]:
        return {entry.title: entry.text for entry in threat_card(settings(**changes), 80.0)}

    alone = said(methods=["square"], queries=300)["Attack"]
    assert alone.startswith("Square (300 queries), loss bce")
    assert "PGD" not in alone
    assert "steps" not in alone
    several = said(methods=["pgd", "square"], restarts=2)["Attack"]
    assert several.startswith("PGD, ")
    assert "2 restarts" in several
    assert several.endswith("for each clip the strongest of it and Square (200 queries)")
    assert "whole set" not in said()["Goal"]
    refined = said(refine={"rounds": 3, "steps": 5})
    assert "3 rounds of 5 steps of PGD" in refined["Attack"]
    assert "whole set" in refined["Goal"]


def test_the_card_of_an_attack_on_the_waveform() -> None:
    attack = settings(domain="waveform", scale={"audio": 0.05, "video": 1.0})
    card = threat_card(attack, 80.0)
    assert honesty.threat_model_card(card, attack).status == "pass"
    text = {entry.title: entry.text for entry in card}
    assert "waveform" in text["Domain"]
    assert "audio 0.001 of full-scale amplitude = −60.0 dBFS;" in text["Headline budget ε"]
    assert "log-mel" not in text["Headline budget ε"]
    assert "[-1, 1]" in text["Box"]
    spared = threat_card(settings(domain="waveform", scale={"audio": 0, "video": 1}), 80.0)
    assert "−∞ dBFS" in next(e.text for e in spared if e.title == "Headline budget ε")


def probed(model: Forward, attacked: torch.Tensor) -> probe.Probe:
    return probe.Probe(model, INPUTS, LABELS, THREAT, settings(steps=4), attacked, 0)


def efforts(model: Forward, attacked: torch.Tensor, queries: int, **attack: Any) -> list[Outcome]:
    """The checks of effort, the probe's clips being the whole split."""
    held = replace(probed(model, attacked), settings=settings(**{"steps": 4, **attack}))
    whole = Whole("multi_label", LABELS, torch.arange(len(LABELS)), {("AV", 1.0): attacked})
    checks = Checks(clips=12, queries=queries, queried_clips=12, on_failure="report")
    return [
        probe.check_single_step(held),
        *effort.check_effort(held, whole, ("AV", 1.0), checks, model),
    ]


def sound(batch: Batch) -> torch.Tensor:
    logits: torch.Tensor = NET(batch)
    return logits


def masked(batch: Batch) -> torch.Tensor:
    """Masked gradients: PGD sees nothing, random search does."""
    return sound({name: (64 * x).round() / 64 for name, x in batch.items()})


def strong() -> torch.Tensor:
    found = pgd(sound, INPUTS, LABELS, THREAT, steps=30, restarts=2)
    with torch.no_grad():
        return sound(found)


def test_a_sound_attack_needs_no_more_effort() -> None:
    for outcome in efforts(sound, strong(), queries=20):
        assert outcome.status == "pass", outcome


def test_a_weak_attack_is_found_out() -> None:
    """The clean scores in the place of attacked ones: as an attack that does nothing."""
    with torch.no_grad():
        clean = sound(INPUTS)
    found = {each.name: each for each in efforts(sound, clean, queries=20)}
    assert found.pop("gradient_free").status == "pass", "it starts where more effort ends"
    assert {each.status for each in found.values()} == {"fail"}
    assert set(found) == {
        "iterated_beats_single", "doubling_steps", "doubling_restarts", "other_losses",
        "optimality",
    }  # fmt: skip
    sources = {"audio": ("audio", sound), "video": ("video", sound)}
    transferred = probe.check_transfer(probed(sound, clean), sources)
    assert transferred.status == "fail"
    assert "audio from audio, video from video" in transferred.message


def test_an_attack_on_each_clips_own_loss_is_weaker_than_one_on_the_set() -> None:
    """What rounds find beyond BCE shows that an attack on BCE was not enough."""
    rounds = {"rounds": 4, "steps": 6}
    found = {each.name: each for each in efforts(sound, strong(), queries=20, refine=rounds)}
    assert found["doubling_steps"].status in ("warn", "fail")


def test_random_search_finds_what_masked_gradients_hide() -> None:
    with torch.no_grad():
        hidden = masked(pgd(masked, INPUTS, LABELS, THREAT, steps=8))
    found = {each.name: each for each in efforts(masked, hidden, queries=150)}
    assert found["gradient_free"].status in ("warn", "fail"), found["gradient_free"]


def test_transfer_from_the_model_itself_is_no_stronger() -> None:
    sources = {"audio": ("other", toys.Net(seed=5)), "video": ("other", toys.Net(seed=5))}
    assert probe.check_transfer(probed(sound, strong()), sources).status == "pass"
    assert probe.check_transfer(probed(sound, strong()), {}).status == "warn"
