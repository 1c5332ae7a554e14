"""Cases of the check of certificates: a sound one, and one whose noise is not what it says."""

import torch
from torch import Tensor

from mmlib.attacks.core.threat import build_threat, scaled
from mmlib.attacks.methods.decisions import ByThreshold
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Batch
from mmlib.evaluation.certify.smoothed import Expected, Smoothing
from mmlib.evaluation.checks.certified import certified
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.metrics.smoothing import decide
from tests.evaluation.checks import demo_size as demo
from tests.evaluation.checks.cases import Case

CLIPS, DRAWS, SIGMA, ALPHA = 6, 320, 0.1, 0.001
FACES = ByThreshold(torch.zeros(1))


def _model(batch: Batch) -> Tensor:
    """Where the sound is louder than usual, on the demo's spectrograms: linear, and so exact."""
    return (batch["audio"].flatten(1).mean(1, keepdim=True) - 0.45) * 50


def _certify(drawn: float) -> Outcome:
    """Certify under noise of `drawn` as if it were of SIGMA, then attack at the radius."""
    batch = {"audio": demo.few(CLIPS)["audio"]}
    ids = [f"clip-{row}" for row in range(CLIPS)]
    smoothing = Smoothing({"audio": drawn}, 1)

    def shown(clips: Batch, purpose: str) -> Tensor:
        counts = [
            smoothing.shown(
                _model, {"audio": clips["audio"][r : r + 1]}, ids[r], FACES, purpose, DRAWS
            )
            for r in range(CLIPS)
        ]
        return torch.stack(counts)

    found = decide(
        shown(batch, "choose").numpy(), DRAWS, shown(batch, "bound").numpy(), DRAWS, ALPHA
    )
    radius = torch.from_numpy(found.reach[:, 0]).float() * SIGMA
    side = torch.from_numpy(found.shown[:, 0]).float() * -2 + 1
    threat = build_threat({"audio": 1.0}, "l2", {"audio": batch["audio"].shape[1:]})
    within = scaled(threat, radius / batch["audio"][0].numel() ** 0.5)
    expected = Expected(_model, FACES, ("audio",), 8)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return side * logits[:, 0]

    carried = smoothing.carried(batch, ids, 8)
    moved = pgd(expected, carried, side[:, None], within, steps=4, loss=loss, start=batch)
    hits = shown({"audio": moved["audio"]}, "scored").numpy()[:, 0]
    kept = hits * found.shown[:, 0] + (DRAWS - hits) * ~found.shown[:, 0]
    return certified(kept, DRAWS)


CASES = [
    Case("certified", "radii of the noise that was drawn", "pass", lambda: _certify(SIGMA)),
    Case("certified", "noise of a third of its sigma", "fail", lambda: _certify(SIGMA / 3)),
]
