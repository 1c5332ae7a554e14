"""Attacks of the checks' own, on a few eval clips of a run, beside what its sweep did to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Threat
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.universal import Labelled, fit, play
from mmlib.batch import Batch, Forward
from mmlib.evaluation.checks import scores as score_checks
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.params.attacks import Attack
from mmlib.runtime.arrays import Floats32, Indices
from mmlib.runtime.seeds import derive

_UNIVERSAL_STEPS = 5
# More than these makes a perturbation fit its own net, and moves others no further.
_TRANSFER_STEPS = 20


@dataclass(frozen=True)
class Probe:
    """Some eval clips of a run under its widest threat at the headline budget.

    `model` is the attacked one; `attacked` (B, K) are the logits that the sweep has stored for
    these clips under `threat`; `seed` drives every random draw.
    """

    model: Forward
    inputs: Batch
    labels: Tensor
    threat: Threat
    settings: Attack
    attacked: Tensor
    seed: int

    def part(self, places: Indices) -> "Probe":
        """The probe of some of its clips."""
        chosen = torch.from_numpy(places).to(self.labels.device)
        return replace(
            self,
            inputs={name: values[chosen] for name, values in self.inputs.items()},
            labels=self.labels[chosen],
            attacked=self.attacked[chosen],
        )

    def run(self, attack: Callable[..., Batch], **settings: Any) -> Tensor:
        """The logits (B, K) after another attack under the same threat."""
        seeds = [derive(self.seed, "check", row) for row in range(len(self.labels))]
        chosen = {"loss": self.settings.loss, "seeds": seeds, **settings}
        return self.score(attack(self.model, self.inputs, self.labels, self.threat, **chosen))

    def score(self, batch: Batch) -> Tensor:
        """The model's logits."""
        with torch.no_grad():
            return self.model(batch)

    def mean_ap(self, logits: Tensor) -> float:
        """The mAP of these clips."""
        return score_checks.mean_ap(_array(self.labels).astype(np.bool_), _array(logits))


def check_single_step(probe: Probe) -> Outcome:
    """The sweep's attack beside FGSM."""
    known, single = probe.mean_ap(probe.attacked), probe.mean_ap(probe.run(fgsm))
    return score_checks.iterated_beats_single(known, single)


def check_transfer(probe: Probe, sources: Mapping[str, tuple[str, Forward]]) -> Outcome:
    """Apply perturbations that were made for other runs; `sources`: modality -> run and model.

    Those of the modalities are made separately and applied together; a modality without a source
    stays clean.
    """
    if not sources:
        read = " or ".join(probe.threat)
        return Outcome("transfer", "warn", f"not measured: no other run reads {read}")
    played = dict(probe.inputs)
    for modality, (_, source) in sources.items():
        found = pgd(
            source,
            probe.inputs,
            probe.labels,
            {modality: probe.threat[modality]},
            steps=_TRANSFER_STEPS,
            loss=probe.settings.loss,
            seeds=probe.seed,
        )
        played[modality] = found[modality]
    known, other = probe.mean_ap(probe.attacked), probe.mean_ap(probe.score(played))
    outcome = score_checks.weaker_knowledge("transfer", known, other)
    made = ", ".join(
        f"{modality} from {sources[modality][0]}" if modality in sources else f"{modality} clean"
        for modality in probe.threat
    )
    return outcome._replace(message=f"{outcome.message}; {made}")


def universal_map(probe: Probe, fit_on: list[Labelled]) -> float:
    """The mAP of the probe's clips under one perturbation that was fitted on other clips."""
    delta = fit(probe.model, fit_on, probe.threat, steps=_UNIVERSAL_STEPS, loss=probe.settings.loss)
    return probe.mean_ap(probe.score(play(probe.inputs, delta, probe.threat)))


def _array(values: Tensor) -> Floats32:
    return values.detach().cpu().numpy()
