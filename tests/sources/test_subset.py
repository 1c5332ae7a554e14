"""A smaller list: the same for every order, as balanced as it can be."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.sources import audioset
from mmlib.sources.base import Request
from mmlib.sources.columns import columns_of
from mmlib.sources.subset import choose, size_of
from tests.sources.video_lists import data_params

CLASSES = "abcde"
LABELS = st.lists(st.sets(st.sampled_from(CLASSES)), max_size=40)


def requests(labels: list[set[str]]) -> list[Request]:
    """One training clip for each set of labels."""
    return [
        Request(f"clip{number}", f"clip{number}", "train", tuple(sorted(names)))
        for number, names in enumerate(labels)
    ]


def chosen(clips: list[Request], size: int, how: str, seed: int = 0) -> list[str]:
    """Ids of the chosen clips, in the order of the list."""
    return [clips[i].clip_id for i in choose(columns_of(clips, CLASSES), size, how, seed)]


@given(LABELS, st.integers(1, 45), st.sampled_from(["random", "balanced"]), st.randoms())
def test_the_order_of_the_list_does_not_matter(
    labels: list[set[str]], size: int, how: str, random: "np.random.Generator"
) -> None:
    clips = requests(labels)
    first = chosen(clips, size, how)
    assert len(first) == len(set(first)) == min(size, len(clips))
    random.shuffle(clips)
    assert sorted(chosen(clips, size, how)) == sorted(first)
    assert chosen(clips, size, "first") == [clip.clip_id for clip in clips[:size]]


def test_a_larger_subset_holds_the_smaller() -> None:
    clips = requests([{CLASSES[n % 3], CLASSES[n % 5]} for n in range(60)])
    for how in ("random", "balanced"):
        assert set(chosen(clips, 10, how)) < set(chosen(clips, 25, how))
        assert chosen(clips, 10, how, seed=1) != chosen(clips, 10, how)


def test_one_label_a_clip_is_balanced_exactly() -> None:
    labels = [
        {name}
        for name, count in zip(CLASSES, (2, 50, 9, 100, 7), strict=True)
        for _ in range(count)
    ]
    clips = requests(labels)
    names = {clip.clip_id: clip.labels[0] for clip in clips}
    counts = Counter(names[clip_id] for clip_id in chosen(clips, 30, "balanced"))
    # Rare classes are whole; the 21 others are shared evenly, the odd ones go to the rarer.
    assert counts == {"a": 2, "b": 7, "c": 7, "d": 7, "e": 7}
    assert Counter(names[c] for c in chosen(clips, 5, "balanced")) == dict.fromkeys(CLASSES, 1)


def test_clips_without_labels_come_last() -> None:
    clips = requests([set(), {"a"}, set(), {"b"}])
    assert chosen(clips, 2, "balanced") == ["clip1", "clip3"]
    assert len(chosen(clips, 3, "balanced")) == 3


@pytest.mark.parametrize(
    ("clips", "most", "share", "size"),
    [
        (100, None, 1.0, 100),
        (100, 30, 1.0, 30),
        (100, 30, 0.1, 10),
        (100, None, 0.001, 1),
        (0, 5, 1, 0),
    ],
)
def test_sizes(clips: int, most: int | None, share: float, size: int) -> None:
    assert size_of(clips, most, share) == size


def test_audioset_in_small(shared_dir: Path) -> None:
    data = data_params("audioset", shared_dir / "data", max_train_clips=1200, max_eval_clips=600)
    clips = audioset.clip_list(data, 0)
    columns = columns_of(clips.requests, clips.classes)
    assert columns.clips() == {"train": 1020, "val": 180, "eval": 600}
    positives = columns.positives(clips.classes)
    # Every class is there, and rare ones are as frequent as in a list twenty times as long.
    assert len(positives["train"]) == 527
    assert min((positives["train"] + positives["val"]).values()) >= 2
    assert len(positives["eval"]) == 527
    again = audioset.clip_list(data, 1)
    assert columns_of(again.requests, again.classes).digest != columns.digest
