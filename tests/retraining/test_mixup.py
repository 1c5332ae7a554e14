"""Mixed batches: what is drawn, how it is mixed, and what becomes of the labels."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmlib.batch import ALONE, LabelledBatch, Place
from mmlib.params.training import Batches
from mmlib.retraining.guide import Guide
from mmlib.retraining.mixup import (
    MixupBatches,
    draw_lambdas,
)
from mmlib.retraining.pairs import (
    Pairs,
    Pool,
)
from mmlib.retraining.rule import unguided_shares
from mmlib.runtime.arrays import Bytes, Ints
from mmlib.runtime.errors import UserError
from mmlib.training.mixing import mix
from tests.properties import examples

BOTH = ("audio", "video")


class FakeClips:
    """A small split in memory: the audio of clip i of N is i/N all over, its video 1 - i/N."""

    task = "multi_label"

    def __init__(self, labels: Bytes, missing: dict[str, Sequence[int]] | None = None):
        self.labels = labels
        self.classes = [f"class {k}" for k in range(labels.shape[1])]
        self.clip_ids = [f"clip {i}" for i in range(len(labels))]
        self.missing = missing or {}

    def __len__(self) -> int:
        return len(self.labels)

    def gather(self, indices: Ints, modalities: tuple[str, ...]) -> LabelledBatch:
        mark = torch.from_numpy(indices / len(self.labels)).float()
        made = {
            "audio": mark.view(-1, 1, 1).repeat(1, 5, 4),
            "video": (1 - mark).view(-1, 1, 1, 1, 1).repeat(1, 2, 6, 6, 3).permute(0, 4, 1, 2, 3),
        }
        inputs = {name: made[name] for name in modalities}
        for name in modalities:
            lacking = torch.from_numpy(np.isin(indices, self.missing.get(name, [])))
            inputs[f"{name}_present"] = ~lacking
            inputs[name][lacking] = 0
        ids = tuple(self.clip_ids[i] for i in indices)
        return LabelledBatch(ids, inputs, torch.from_numpy(self.labels[indices]).float())


def random_labels(clips: int = 60, classes: int = 4, seed: int = 0) -> Bytes:
    rng = np.random.default_rng(seed)
    labels = (rng.random((clips, classes)) < 0.3).astype(np.uint8)
    labels[np.arange(clips), rng.integers(0, classes, clips)] = 1
    return labels


def guide_for(clips: FakeClips, *, temperature: float | None = 1.0, same: float = 0.5) -> Guide:
    """Weights and Betas that differ by class; clip i is i medians away from all its centres."""
    count = len(clips.classes)
    weight = np.arange(1.0, count + 1)
    return Guide(
        classes=tuple(clips.classes),
        class_weight=weight / weight.sum(),
        beta={"audio": np.linspace(1, 4, count), "video": np.full(count, 2.0)},
        temperature=temperature,
        same_class_share=np.full(count, same),
        distances={
            clip_id: (float(i),) * int(row.sum())
            for i, (clip_id, row) in enumerate(zip(clips.clip_ids, clips.labels, strict=True))
        },
    )


def pair(
    clips: FakeClips, first: Sequence[int], second: Sequence[int]
) -> tuple[LabelledBatch, LabelledBatch]:
    return clips.gather(np.array(first), BOTH), clips.gather(np.array(second), BOTH)


def test_mixed_inputs_and_labels_are_the_formula() -> None:
    clips = FakeClips(np.eye(4, dtype=np.uint8))
    one, two = pair(clips, [0], [2])
    mixed = mix(one, two, {"audio": torch.tensor([0.25]), "video": torch.tensor([0.75])})
    assert torch.allclose(mixed.inputs["audio"], torch.tensor(0.75 * 0.5))
    assert torch.allclose(mixed.inputs["video"], torch.tensor(0.75 * 1.0 + 0.25 * 0.5))
    assert mixed.labels.tolist() == [[0.5, 0, 0.5, 0]]
    assert mixed.clip_ids == ("clip 0+clip 2",)


@pytest.mark.parametrize(("value", "kept"), [(1.0, 0), (0.0, 1)])
def test_at_the_extremes_one_clip_is_left_untouched(value: float, kept: int) -> None:
    clips = FakeClips(random_labels())
    sides = pair(clips, [3, 4], [5, 6])
    mixed = mix(*sides, {name: torch.full((2,), value) for name in BOTH})
    for name in BOTH:
        assert torch.equal(mixed.inputs[name], sides[kept].inputs[name])
    assert torch.equal(mixed.labels, sides[kept].labels)


def test_a_missing_modality_is_taken_whole_from_the_clip_that_has_it() -> None:
    clips = FakeClips(np.eye(4, dtype=np.uint8), {"audio": [0, 3], "video": [1, 3]})
    one, two = pair(clips, [0, 2, 2, 0], [2, 1, 3, 1])
    mixed = mix(one, two, {"audio": torch.full((4,), 0.4), "video": torch.full((4,), 0.8)})
    audio, video = mixed.inputs["audio"][:, 0, 0], mixed.inputs["video"][:, 0, 0, 0, 0]
    assert audio.tolist() == pytest.approx([0.5, 0.4 * 0.5 + 0.6 * 0.25, 0.5, 0.25])
    assert video.tolist() == pytest.approx([0.8 * 1 + 0.2 * 0.5, 0.5, 0.5, 1.0])
    assert mixed.inputs["audio_present"].all()
    assert mixed.inputs["video_present"].all()
    # the label follows what is seen and heard: lambda is 0 or 1 for the modality that was not mixed
    first = [(0.0 + 0.8) / 2, (0.4 + 1.0) / 2, 1.0, 0.5]
    assert mixed.labels[[0, 1, 2, 3], [0, 2, 2, 0]].tolist() == pytest.approx(first)
    assert mixed.labels.sum(1).tolist() == pytest.approx([1] * 4)


def test_a_modality_that_both_lack_stays_missing_and_out_of_the_label() -> None:
    clips = FakeClips(np.eye(4, dtype=np.uint8), {"audio": [0, 1, 2], "video": [2]})
    one, two = pair(clips, [0, 2], [1, 2])
    mixed = mix(one, two, {"audio": torch.full((2,), 0.4), "video": torch.full((2,), 0.8)})
    assert mixed.inputs["audio_present"].tolist() == [False, False]
    assert mixed.inputs["video_present"].tolist() == [True, False]
    assert mixed.labels[0].tolist() == pytest.approx([0.8, 0.2, 0, 0])
    assert mixed.labels[1].tolist() == pytest.approx([0, 0, 1, 0])


@examples(60)
@given(
    st.integers(0, 10**6),
    st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6),
    st.lists(st.integers(0, 9), max_size=5),
    st.lists(st.integers(0, 9), max_size=5),
)
def test_every_mix_lies_between_its_two_clips(
    seed: int, lambdas: list[float], no_audio: list[int], no_video: list[int]
) -> None:
    clips = FakeClips(random_labels(10, 3, seed % 100), {"audio": no_audio, "video": no_video})
    rng = np.random.default_rng(seed)
    one, two = pair(clips, rng.integers(0, 10, 3).tolist(), rng.integers(0, 10, 3).tolist())
    drawn = {"audio": torch.tensor(lambdas[:3]), "video": torch.tensor(lambdas[3:])}
    mixed = mix(one, two, drawn)
    assert (mixed.labels >= torch.minimum(one.labels, two.labels) - 1e-6).all()
    assert (mixed.labels <= torch.maximum(one.labels, two.labels) + 1e-6).all()
    # every class that both clips have keeps its mass whole
    both = (one.labels * two.labels) > 0
    assert torch.allclose(mixed.labels[both], torch.ones(int(both.sum())))
    for name in BOTH:
        assert mixed.inputs[name].min() >= 0
        assert mixed.inputs[name].max() <= 1
        has = one.inputs[f"{name}_present"] | two.inputs[f"{name}_present"]
        assert torch.equal(mixed.inputs[f"{name}_present"], has)


def test_single_labels_keep_their_mass() -> None:
    labels = np.eye(5, dtype=np.uint8)[np.random.default_rng(0).integers(0, 5, 40)]
    clips = FakeClips(labels, {"audio": range(10), "video": range(5, 15)})
    source = MixupBatches(clips, guide_for(clips), modalities=BOTH, batch_size=8, seed=1)
    for batch in source(0):
        assert torch.allclose(batch.labels.sum(1), torch.ones(8))


def test_video_keeps_its_memory_layout() -> None:
    clips = FakeClips(random_labels())
    source = MixupBatches(clips, None, modalities=BOTH, batch_size=8, seed=1)
    video = next(iter(source(0))).inputs["video"]
    assert video.permute(0, 2, 3, 4, 1).is_contiguous()


def test_lambdas_follow_their_beta_and_are_one_or_one_each() -> None:
    beta = {"audio": np.full(40000, 1.0), "video": np.full(40000, 4.0)}
    own = draw_lambdas(np.random.default_rng(0), beta, shared=False)
    for name, a in (("audio", 1.0), ("video", 4.0)):
        assert own[name].mean() == pytest.approx(0.5, abs=0.01)
        assert own[name].var() == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.05)
    assert abs(np.corrcoef(own["audio"], own["video"])[0, 1]) < 0.02
    one = draw_lambdas(np.random.default_rng(0), beta, shared=True)
    assert one["audio"] is one["video"]
    assert one["audio"].var() == pytest.approx(1 / (4 * (2 * 2.5 + 1)), rel=0.05)


def test_anchors_come_by_class_weight_then_by_how_many_labels_they_share_it_with() -> None:
    clips = FakeClips(random_labels())
    guide = guide_for(clips)
    pairs = Pairs(clips.labels, guide, None)
    turn = np.zeros(40000, dtype=np.int64)
    anchors, classes = pairs.anchors(np.random.default_rng(0), 40000, "guided", turn)
    assert clips.labels[anchors, classes].all()
    assert guide.class_weight is not None
    assert np.bincount(classes) / 40000 == pytest.approx(guide.class_weight, abs=0.01)
    of_last = np.bincount(anchors[classes == 3], minlength=60)
    expected = clips.labels[:, 3] / clips.labels.sum(axis=1)
    assert of_last / of_last.sum() == pytest.approx(expected / expected.sum(), abs=0.01)


def test_weights_that_are_the_classes_shares_draw_every_labelled_clip_alike() -> None:
    clips = FakeClips(random_labels())
    clips.labels[7] = 0
    guide = replace(guide_for(clips), class_weight=unguided_shares(clips.labels))
    turn = np.zeros(60000, dtype=np.int64)
    anchors, _ = Pairs(clips.labels, guide, None).anchors(
        np.random.default_rng(0), 60000, "guided", turn
    )
    expected = np.where(clips.labels.any(axis=1), 1 / 59, 0)
    assert np.bincount(anchors, minlength=60) / 60000 == pytest.approx(expected, abs=0.003)


def test_without_class_weights_every_clip_is_an_anchor_once_an_epoch() -> None:
    clips = FakeClips(random_labels())
    guide = replace(guide_for(clips), class_weight=None)
    for source in (
        MixupBatches(clips, guide, modalities=BOTH, batch_size=10, seed=3),
        MixupBatches(
            clips, guide_for(clips), modalities=BOTH, batch_size=10, seed=3, anchors="uniform"
        ),
        MixupBatches(clips, None, modalities=BOTH, batch_size=10, seed=3),
    ):
        anchors = [name.split("+")[0] for batch in source(0) for name in batch.clip_ids]
        assert sorted(anchors) == sorted(clips.clip_ids)


def test_partners_come_by_class_and_distance() -> None:
    clips = FakeClips(random_labels())
    distances = np.nonzero(clips.labels)[0] / 20.0
    pairs = Pairs(clips.labels, guide_for(clips, temperature=0.5, same=0.25), distances)
    classes = np.full(60000, 2)
    partners = pairs.partners(np.random.default_rng(0), classes, "guided")
    has = clips.labels[:, 2] > 0
    weight = np.exp(-np.arange(60) / 20.0 / 0.5)
    expected = np.where(has, 0.25 * weight / weight[has].sum(), 0.75 * weight / weight[~has].sum())
    assert np.bincount(partners, minlength=60) / 60000 == pytest.approx(expected, abs=0.01)
    assert pairs.partner_chances(2) == pytest.approx(expected)


def test_a_guide_that_says_nothing_draws_as_none_does_to_the_bit() -> None:
    clips = FakeClips(random_labels())
    silent = replace(
        guide_for(clips),
        class_weight=None,
        temperature=None,
        same_class_share=None,
        beta={name: np.ones(4) for name in BOTH},
    )
    unguided, guided = (
        list(MixupBatches(clips, guide, modalities=BOTH, batch_size=8, seed=5)(1))
        for guide in (None, silent)
    )
    for one, two in zip(unguided, guided, strict=True):
        assert one.clip_ids == two.clip_ids
        assert torch.equal(one.labels, two.labels)
        assert all(torch.equal(one.inputs[name], two.inputs[name]) for name in BOTH)


@pytest.mark.parametrize("same", [0.0, 1.0])
def test_the_share_of_same_class_partners_goes_to_its_ends(same: float) -> None:
    clips = FakeClips(random_labels())
    pairs = Pairs(clips.labels, guide_for(clips, same=same), np.ones(clips.labels.sum()))
    classes = np.random.default_rng(1).integers(0, 4, 2000)
    partners = pairs.partners(np.random.default_rng(0), classes, "guided")
    assert (clips.labels[partners, classes] == same).all()


def test_temperature_goes_from_the_nearest_clip_to_any() -> None:
    members, distance = np.arange(4), np.array([900.0, 901.0, 950.0, 1e6])
    rng = np.random.default_rng(0)
    assert set(Pool.near(members, distance, 1e-3).draw(rng, 500)) == {0}
    for even in (Pool.near(members, distance, None), Pool.near(members, distance, 1e12)):
        counts = np.bincount(even.draw(rng, 40000), minlength=4) / 40000
        assert counts == pytest.approx([0.25] * 4, abs=0.01)


def test_a_class_that_all_clips_share_and_a_clip_without_labels_do_not_stop_the_draw() -> None:
    labels = np.array([[1, 0], [1, 1], [1, 0], [1, 1]], dtype=np.uint8)
    pairs = Pairs(labels, guide_for(FakeClips(labels), same=0.0), np.ones(labels.sum()))
    classes = np.array([0, 1, 0, 1])
    partners = pairs.partners(np.random.default_rng(0), classes, "guided")
    assert set(partners[[1, 3]]) <= {0, 2}
    labels[0] = 0
    clips = FakeClips(labels)
    guide = replace(guide_for(clips), class_weight=None)
    source = MixupBatches(clips, guide, modalities=BOTH, batch_size=4, seed=0)
    anchors = [name.split("+")[0] for name in next(iter(source(0))).clip_ids]
    assert sorted(anchors) == clips.clip_ids


def test_a_batch_depends_on_seed_epoch_and_step_alone() -> None:
    clips = FakeClips(random_labels())

    def source(seed: int) -> MixupBatches:
        return MixupBatches(clips, guide_for(clips), modalities=BOTH, batch_size=8, seed=seed)

    first, again = list(source(5)(2)), list(source(5)(2))
    for one, two in zip(first, again, strict=True):
        assert one.clip_ids == two.clip_ids
        assert torch.equal(one.labels, two.labels)
        assert torch.equal(one.inputs["video"], two.inputs["video"])
    assert len(first) == source(5).batches_per_epoch
    others = [next(iter(source(6)(2))), next(iter(source(5)(3))), first[1]]
    assert all(first[0].clip_ids != other.clip_ids for other in others)


def test_an_epoch_may_be_a_number_of_steps() -> None:
    clips = FakeClips(random_labels())

    def drawn(**values: Any) -> list[LabelledBatch]:
        settings = Batches(**values)
        return list(
            MixupBatches(clips, None, modalities=BOTH, batch_size=8, seed=5, settings=settings)(2)
        )

    a_pass, longer = drawn(), drawn(epoch_steps=len(clips) // 8 + 2, accumulation=2)
    assert len(longer) == 2 * (len(clips) // 8 + 2)
    for one, two in zip(a_pass, longer, strict=False):
        assert one.clip_ids == two.clip_ids
    anchors = [name.split("+")[0] for batch in longer[: len(a_pass)] for name in batch.clip_ids]
    assert len(set(anchors)) == len(anchors), "each an anchor once a pass"


def test_processes_mix_each_batch_together() -> None:
    """As one process does, whatever the draws; a batch of 7 cannot be shared evenly by three."""
    clips = FakeClips(random_labels(30), {"audio": [1, 5, 9]})

    def batches(place: Place) -> list[LabelledBatch]:
        source = MixupBatches(
            clips, guide_for(clips), modalities=BOTH, batch_size=7, seed=4, place=place
        )
        return list(source(1))

    parts = [batches(Place(rank, 3)) for rank in range(3)]
    for batch, *shares in zip(batches(ALONE), *parts, strict=True):
        assert [name for part in shares for name in part.clip_ids] == list(batch.clip_ids)
        for name, tensor in batch.inputs.items():
            assert torch.equal(torch.cat([part.inputs[name] for part in shares]), tensor)
        assert torch.equal(torch.cat([part.labels for part in shares]), batch.labels)


@pytest.mark.parametrize("a", [1.0, 10.0])
def test_plain_mixup_is_one_lambda_for_all(a: float) -> None:
    clips = FakeClips(np.eye(64, dtype=np.uint8))
    source = MixupBatches(
        clips, None, modalities=BOTH, batch_size=32, seed=0, beta=a, shared_lambda=True
    )
    heard, seen = [], []
    for batch in (batch for epoch in range(40) for batch in source(epoch)):
        for name, audio, video in zip(
            batch.clip_ids, batch.inputs["audio"], batch.inputs["video"], strict=True
        ):
            one, two = (int(part.split()[1]) / 64 for part in name.split("+"))
            if one != two:
                heard.append((float(audio[0, 0]) - two) / (one - two))
                seen.append((1 - float(video[0, 0, 0, 0]) - two) / (one - two))
    assert heard == pytest.approx(seen, abs=1e-4)
    assert np.var(heard) == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.1)


def test_one_modality_alone_is_mixed_with_its_label() -> None:
    clips = FakeClips(np.eye(16, dtype=np.uint8))
    source = MixupBatches(clips, guide_for(clips), modalities=("audio",), batch_size=4, seed=0)
    batch = next(iter(source(0)))
    assert "video" not in batch.inputs
    assert torch.allclose(batch.labels.sum(1), torch.ones(4))


def test_a_guide_of_other_clips_is_refused() -> None:
    clips = FakeClips(random_labels())
    guide = guide_for(clips)
    fewer = replace(guide, distances=dict(list(guide.distances.items())[1:]))
    with pytest.raises(UserError, match="'clip 0'"):
        MixupBatches(clips, fewer, modalities=BOTH, batch_size=8, seed=0)
    with pytest.raises(UserError, match="classes differ"):
        MixupBatches(clips, replace(guide, classes=("a",)), modalities=BOTH, batch_size=8, seed=0)
