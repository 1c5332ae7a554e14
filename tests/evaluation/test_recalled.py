"""The model that a search without gradients asks: the same logits, for fewer encoder passes."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.square import square
from mmlib.batch import Batch
from mmlib.evaluation.attacked.recalled import recalling
from mmlib.models.base import Model
from tests.models.own_nets import Kept
from tests.models.test_admission import clips as own_clips
from tests.models.test_admission import made
from tests.sweep_toys import inputs, labelled, model

CLIPS = 4


@pytest.fixture
def net() -> Model:
    return model()


@pytest.fixture
def passes(net: Model, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many clips each encoder has read."""
    read: Counter[str] = Counter()
    encode = net.encode

    def counted(modality: str, x: Tensor) -> Tensor:
        read[modality] += len(x)
        return encode(modality, x)

    monkeypatch.setattr(net, "encode", counted)
    return read


@pytest.mark.parametrize(
    ("net", "clips"), [(model(), inputs(CLIPS)), (made(Kept()), own_clips(CLIPS))]
)
def test_logits_are_the_models_own_whatever_comes_back(net: Model, clips: Batch) -> None:
    """Points proposed, refused and accepted, clip by clip, in random order; one lacks its sound.

    The second net is a user's that does not split: its inputs stand in place of embeddings.
    """
    generator = torch.Generator().manual_seed(0)
    recalled = recalling(net)
    present = torch.tensor([True, False, True, True])
    best: Batch = {**clips, "audio_present": present}
    for _ in range(30):
        proposed = dict(best)
        name = ("audio", "video")[int(torch.randint(2, (1,), generator=generator))]
        moved = torch.rand(CLIPS, generator=generator) < 0.7
        noise = 0.1 * torch.rand(best[name].shape, generator=generator)
        column = moved.view(-1, *[1] * (noise.dim() - 1))
        proposed[name] = torch.where(column, best[name] + noise, best[name])
        with torch.no_grad():
            torch.testing.assert_close(recalled(proposed), net(proposed), rtol=0, atol=1e-5)
        accepted = torch.rand(CLIPS, generator=generator) < 0.5
        column = accepted.view(-1, *[1] * (noise.dim() - 1))
        best[name] = torch.where(column, proposed[name], best[name])
    with torch.no_grad():
        fewer = {key: value[:2] for key, value in best.items()}
        torch.testing.assert_close(recalled(fewer), net(fewer), rtol=0, atol=1e-5)


def test_a_search_of_one_modality_at_a_time_pays_for_one(net: Model, passes: Counter[str]) -> None:
    batch = labelled(net, clips=CLIPS)
    threat = {"audio": Budget(0.02), "video": Budget(0.02)}
    queries = 60
    passes.clear()
    plain = square(net, batch.inputs, batch.labels, threat, queries=queries)
    assert passes == {"audio": CLIPS * (queries + 1), "video": CLIPS * (queries + 1)}
    passes.clear()
    found = square(recalling(net), batch.inputs, batch.labels, threat, queries=queries)
    # a point that was accepted is encoded once more when its modality is next in turn
    assert passes.total() <= 1.25 * CLIPS * (queries + 1)
    for name in threat:
        torch.testing.assert_close(found[name], plain[name])
