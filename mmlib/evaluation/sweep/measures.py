"""What is recorded of each clip's change."""

import torch
from torch import Tensor

from mmlib.attacks.core.region import ORDERS
from mmlib.attacks.core.search import Points
from mmlib.attacks.core.threat import Threat
from mmlib.batch import is_waveform, present
from mmlib.evaluation.sweep import perceptibility


def measure(clean: Points, attacked: Points, threat: Threat) -> dict[str, Tensor]:
    """Norm and perceptibility of each clip's change: column -> (B,) float64 on the CPU.

    NaN for clips that lack the modality, and for the decibels of a change that is zero.
    """
    measures: dict[str, Tensor] = {}
    for name, budget in threat.items():
        before, after = clean[name], attacked[name]
        delta = perceptibility.change(before, after)
        columns = {
            f"norm_{name}": perceptibility.norm(delta, ORDERS[budget.norm]),
            f"mean_abs_{name}": perceptibility.mean_change(delta),
            f"max_abs_{name}": perceptibility.norm(delta, torch.inf),
        }
        if name == "video":
            columns["psnr_video"] = perceptibility.psnr(delta)
            columns["ssim_video"] = perceptibility.ssim(before, after)
        else:
            column = "snr_waveform" if is_waveform(before) else "snr_log_mel"
            columns[column] = perceptibility.snr(before, delta)
        there = present(clean, name)
        for column, values in columns.items():
            known = torch.where(there & torch.isfinite(values), values, torch.nan)
            measures[column] = known.cpu()
    return measures
