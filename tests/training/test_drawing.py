"""What plain training draws: passes, classes alike, pairs, and the same for any processes."""

import tracemalloc
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.batch import ALONE, Place, to_device
from mmlib.params.training import OFF, Batches
from mmlib.shards.read.loader import ShardSet
from mmlib.training.drawing import Pace, PlainBatches, class_shares, pace
from mmlib.training.mixing import Drawn, Paired, learnt_from, on_device
from mmlib.training.objectives import prior_logits
from tests.fake_shards import write_shards
from tests.memory_clips import MemoryClips
from tests.properties import examples

BOTH = ("audio", "video")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    """40 clips of five classes, two of them without sound."""
    root = tmp_path_factory.mktemp("shards")
    write_shards(root, {"train": MemoryClips(40), "val": MemoryClips(4)}, without_audio=(3, 7))
    return ShardSet(root, "train", pixels=True)


def source(clips: ShardSet, *, size: int = 8, place: Place = ALONE, **values: Any) -> Any:
    """A batch source with some settings of `batches`."""
    return PlainBatches(clips, BOTH, size, Batches(**values), 5, place)


def ids(batches: Sequence[Drawn]) -> list[str]:
    """The clip ids of some batches that are not mixed, in order."""
    return [name for one in batches if not isinstance(one, Paired) for name in one.clip_ids]


CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("count", "size", "values", "expected"),
    [
        (100, 30, {}, (3, 1)),
        (10, 30, {}, (1, 1)),
        (100, 30, {"accumulation": 2}, (1, 2)),
        (100, 30, {"accumulation": 9}, (1, 3)),
        (100, 30, {"epoch_steps": 7}, (7, 1)),
        (10, 30, {"epoch_steps": 7, "accumulation": 4}, (7, 4)),
    ],
)
def test_the_pace_of_an_epoch(
    count: int, size: int, values: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert pace(count, size, Batches(**values)) == Pace(*expected)


def test_with_all_switched_off_an_epoch_is_one_shuffled_pass(clips: ShardSet) -> None:
    for epoch in (0, 3):
        found = list(PlainBatches(clips, BOTH, 16, OFF, 5)(epoch))
        assert ids(found) == ids(list(clips.batches(16, BOTH, seed=5, epoch=epoch)))[:32]
        assert not isinstance(found[0], Paired)
        assert found[0].inputs["video"].dtype == torch.uint8


def test_epochs_in_steps_go_on_through_the_passes(clips: ShardSet) -> None:
    """Three epochs of 5 batches of 8 are three passes; so are five epochs of 3."""
    epochs = [list(source(clips, epoch_steps=3)(epoch)) for epoch in range(5)]
    batches = [batch for epoch in epochs for batch in epoch]
    for turn in range(3):
        assert Counter(ids(batches[5 * turn : 5 * turn + 5])) == Counter(clips.clip_ids)
    longer = [batch for epoch in range(3) for batch in source(clips, epoch_steps=5)(epoch)]
    assert ids(longer) == ids(batches)
    assert ids(list(source(clips, epoch_steps=3)(4))) == ids(epochs[4]), "as a resumed run does"
    together = source(clips, epoch_steps=3, accumulation=5)
    assert ids(list(together(0))) == ids(batches)


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=12))
@examples(40)
def test_shares_are_chances(rows: list[list[bool]]) -> None:
    labels = np.array(rows, np.uint8)
    shares = class_shares(labels)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares > 0).all(), "no clip is never drawn"


def test_with_one_label_a_clip_all_classes_are_drawn_alike() -> None:
    labels = np.eye(3, dtype=np.uint8)[[0] * 90 + [1] * 9 + [2]]
    shares = class_shares(labels)
    assert labels.T @ shares == pytest.approx([1 / 3] * 3)
    two = np.array([[1, 0], [1, 0], [1, 1]], np.uint8)
    assert class_shares(two) == pytest.approx(np.array([1 / 3, 1 / 3, 4 / 3]) / 2)


def test_balanced_draws_have_the_chances_they_should(clips: ShardSet) -> None:
    drawn = source(clips, size=40, sampling="balanced", epoch_steps=100)
    counts = Counter(ids(list(drawn(0))))
    expected = 4000 * class_shares(clips.labels)
    found = np.array([counts[name] for name in clips.clip_ids])
    assert (np.abs(found - expected) < 5 * np.sqrt(expected)).all()
    assert ids(list(drawn(1))) != ids(list(drawn(0)))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("sampling", ["shuffled", "balanced"])
def test_processes_read_and_mix_their_rows_of_the_same_batches(
    clips: ShardSet, count: int, sampling: str
) -> None:
    """A batch of 8 cannot be shared evenly by three."""
    values: dict[str, Any] = {
        "sampling": sampling,
        "epoch_steps": 6,
        "mixup_share": 0.6,
        "mixup_beta": 0.7,
    }
    whole = list(source(clips, **values)(1))
    parts = [list(source(clips, place=Place(r, count), **values)(1)) for r in range(count)]
    mixed = 0
    for one, *shares in zip(whole, *parts, strict=True):
        mixed += len(one.places)
        assert learnt_from(one) == sum(map(learnt_from, shares)) == 8
        expected, *found = (on_device(each, CPU) for each in (one, *shares))
        assert torch.equal(expected.labels, torch.cat([part.labels for part in found]))
        for name, tensor in expected.inputs.items():
            assert torch.equal(tensor, torch.cat([part.inputs[name] for part in found]))
    assert 15 < mixed < 42


def test_mixed_clips_are_what_their_lambdas_say(clips: ShardSet) -> None:
    (paired,) = source(clips, size=40, mixup_share=1.0, mixup_beta=2.0)(0)
    assert paired.places.tolist() == list(range(40))
    before, labels = to_device(paired.batch.inputs, "cpu"), paired.batch.labels
    found = on_device(paired, CPU)
    one, two = before["video"][:40], before["video"][40:]
    weight = paired.lambdas.float().view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(found.inputs["video"], weight * one + (1 - weight) * two)
    heard = before["audio_present"]
    both = (heard[:40] & heard[40:])[:, None]
    weight = paired.lambdas.float()[:, None]
    expected = weight * labels[:40] + (1 - weight) * labels[40:]
    torch.testing.assert_close(found.labels * both, expected * both)
    assert len(found.clip_ids) == learnt_from(paired) == 40
    assert found.inputs["audio_present"].tolist() == (heard[:40] | heard[40:]).tolist()


def test_clips_that_are_not_mixed_are_left_as_they_are(clips: ShardSet) -> None:
    plain = [on_device(batch, CPU) for batch in source(clips)(0)]
    some = list(source(clips, mixup_share=0.5)(0))
    for one, other in zip(plain, some, strict=True):
        left = torch.ones(8, dtype=torch.bool)
        left[other.places] = False
        mixed = on_device(other, CPU)
        assert torch.equal(one.inputs["video"][left], mixed.inputs["video"][left])
        assert torch.equal(one.labels[left], mixed.labels[left])
        assert one.clip_ids == mixed.clip_ids
    never = PlainBatches(clips, BOTH, 8, Batches(mixup_share=0.5), 5, mixes=False)
    assert not any(isinstance(batch, Paired) for batch in never(0))


def test_shares_of_many_clips_and_classes_take_little_memory() -> None:
    """Far from the eight bytes for each label that a product of all of them takes."""
    labels = np.zeros((40_000, 250), np.uint8)
    labels[np.arange(40_000), np.arange(40_000) % 250] = 1
    tracemalloc.start()
    try:
        shares = class_shares(labels)
        logits = prior_logits("multi_label", labels, shares)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * labels.nbytes
    np.testing.assert_allclose(shares, 1 / 40_000)
    np.testing.assert_allclose(logits.sigmoid(), 160.5 / 40_001, rtol=1e-5)
