"""Training under Gaussian noise: its sigma, what it leaves alone, and shares of a batch."""

import pytest
import torch
from torch import Tensor

from mmlib.batch import Batch, LabelledBatch, Rows
from mmlib.models import ranks
from mmlib.retraining.smoothed import SmoothedObjective
from tests.models.examples import small

CLIPS = 32


def seen(sigma: dict[str, float], clips: slice = slice(None), rows: Rows | None = None) -> Batch:
    """What the model was shown of the clips, as differences to the clean ones."""
    clean = {
        "audio": torch.rand(CLIPS, 20, 8, generator=torch.Generator().manual_seed(0)),
        "video": torch.rand(CLIPS, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1)),
    }
    part = {name: tensor[clips] for name, tensor in clean.items()}
    part["audio_present"] = torch.ones(len(part["audio"]), dtype=torch.bool)
    found: list[LabelledBatch] = []

    def keep(model: object, batch: LabelledBatch, generator: torch.Generator) -> Tensor:
        found.append(batch)
        return torch.zeros(())

    batch = LabelledBatch(tuple(map(str, range(len(part["audio"])))), part, torch.zeros(1))
    with ranks.sharing(rows):
        SmoothedObjective(keep, sigma)(small(), batch, torch.Generator().manual_seed(5))
    assert found[0].inputs["audio_present"] is part["audio_present"]
    return {name: found[0].inputs[name] - part[name] for name in clean}


def test_noise_has_its_sigma_a_modality() -> None:
    change = seen({"audio": 0.1, "video": 0.3})
    assert float(change["audio"].std()) == pytest.approx(0.1, rel=0.05)
    assert float(change["video"].std()) == pytest.approx(0.3, rel=0.05)
    assert not torch.equal(change["audio"][0], change["audio"][1])
    assert not seen({"audio": 0.1, "video": 0.0})["video"].any()


def test_processes_that_share_a_batch_draw_the_noise_of_the_whole() -> None:
    whole = seen({"audio": 0.1, "video": 0.3})
    part = seen({"audio": 0.1, "video": 0.3}, slice(8, 20), Rows(8, 20, CLIPS))
    torch.testing.assert_close(part["audio"], whole["audio"][8:20])
    torch.testing.assert_close(part["video"], whole["video"][8:20])
