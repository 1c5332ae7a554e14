"""Augmentations: closed forms, what they leave alone, and draws that depend on the seed alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmlib.batch import Batch, Place, Rows
from mmlib.params.training import Augment
from mmlib.training.augment import augment
from tests.properties import examples

OFF = Augment(audio_shift=0.0, video_shift=0.0, flip=False, band_mask=0.0, time_mask=0.0)
ALL = Augment(audio_shift=0.2, video_shift=0.25, flip=True, band_mask=0.25, time_mask=0.2)
CLIPS, TIMES, BANDS, FRAMES, SIDE = 200, 20, 12, 3, 8


def only(**values: float) -> Augment:
    """One part switched on."""
    return OFF.model_copy(update=values)


def seeded(seed: int = 0) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


def batch(clips: int = CLIPS) -> Batch:
    """Random clips; video in the loader's memory order."""
    video = torch.rand(clips, FRAMES, SIDE, SIDE, 3, generator=seeded(1))
    return {
        "audio": torch.rand(clips, TIMES, BANDS, generator=seeded(2)),
        "video": video.permute(0, 4, 1, 2, 3),
    }


def ramps() -> Batch:
    """Every cell holds its own time, row and column (channels 0 and 1)."""
    audio = torch.arange(TIMES).float()[None, :, None].expand(CLIPS, TIMES, BANDS)
    side = torch.arange(SIDE).float()
    rows = side[:, None].expand(SIDE, SIDE)
    picture = torch.stack([rows, rows.T, torch.zeros(SIDE, SIDE)])
    return {"audio": audio, "video": picture[None, :, None].expand(CLIPS, 3, FRAMES, SIDE, SIDE)}


def test_switched_off_it_changes_nothing() -> None:
    before = batch()
    after = augment(before, OFF, seeded())
    assert torch.equal(after["audio"], before["audio"])
    assert torch.equal(after["video"], before["video"])


def test_the_input_is_not_touched_and_the_layout_stays() -> None:
    before = batch()
    copies = {name: tensor.clone() for name, tensor in before.items()}
    after = augment(before, ALL, seeded())
    assert all(torch.equal(before[name], copies[name]) for name in before)
    assert after["video"].is_contiguous(memory_format=torch.channels_last_3d)
    assert all(after[name].shape == before[name].shape for name in before)


def test_time_shift_moves_all_bands_and_repeats_the_edge() -> None:
    audio = augment(ramps(), only(audio_shift=0.2), seeded())["audio"]
    assert torch.equal(audio, audio[:, :, :1].expand_as(audio))
    shifts = 10 - audio[:, 10, 0]
    assert set(shifts.tolist()) == set(range(-4, 5))
    for times, shift in zip(audio[:, :, 0], shifts, strict=True):
        assert torch.equal(times, (torch.arange(TIMES) - shift).clamp(0, TIMES - 1))


def test_picture_shift_moves_all_frames_alike_and_repeats_the_edge() -> None:
    video = augment(ramps(), only(video_shift=0.25), seeded())["video"]
    assert torch.equal(video, video[:, :, :1].expand_as(video))
    down, right = 4 - video[:, 0, 0, 4, 4], 4 - video[:, 1, 0, 4, 4]
    assert set(down.tolist()) == set(right.tolist()) == {-2, -1, 0, 1, 2}
    assert (down != right).any()
    side = torch.arange(SIDE)
    for clip, y, x in zip(video[:, :, 0], down, right, strict=True):
        assert torch.equal(clip[0, :, 0], (side - y).clamp(0, SIDE - 1))
        assert torch.equal(clip[1, 0], (side - x).clamp(0, SIDE - 1))


def test_half_of_the_clips_are_mirrored() -> None:
    before = batch()["video"]
    after = augment({"video": before}, only(flip=True), seeded())["video"]
    mirrored = torch.tensor(
        [torch.equal(a, b.flip(-1)) for a, b in zip(after, before, strict=True)]
    )
    same = torch.tensor([torch.equal(a, b) for a, b in zip(after, before, strict=True)])
    assert (mirrored ^ same).all()
    assert 70 < mirrored.sum() < 130


def masked(part: str, length: int) -> tuple[Tensor, Tensor, Batch]:
    """Which cells changed, the batch before, and after."""
    before = batch()
    after = augment(before, only(**{part: 0.25}), seeded())
    return after["audio"] != before["audio"], before["audio"], after


@pytest.mark.parametrize(
    ("part", "axis", "length"), [("band_mask", 2, BANDS), ("time_mask", 1, TIMES)]
)
def test_masks_cover_one_run_of_an_axis_with_the_clip_s_level(
    part: str, axis: int, length: int
) -> None:
    changed, before, after = masked(part, length)
    lines = changed.any(3 - axis)  # (B, length)
    assert torch.equal(changed, lines.unsqueeze(3 - axis).expand_as(changed))
    widths = lines.sum(1)
    assert set(widths.tolist()) == set(range(int(0.25 * length) + 1))
    edges = (lines[:, 1:] != lines[:, :-1]).sum(1)
    assert edges.max() <= 2  # one run
    assert lines[:, 0].any()
    assert lines[:, -1].any()
    level = before.mean((1, 2))[:, None, None].expand_as(before)
    assert torch.allclose(after["audio"][changed], level[changed])


@given(st.integers(0, 2**31), st.integers(1, 5))
@examples(30)
def test_values_stay_in_range_and_the_seed_decides(seed: int, clips: int) -> None:
    before = batch(clips)
    first, second = (augment(before, ALL, seeded(seed)) for _ in range(2))
    for name in ("audio", "video"):
        assert torch.equal(first[name], second[name])
        assert before[name].min() <= first[name].min()
        assert first[name].max() <= before[name].max()


def test_clips_draw_for_themselves_and_seeds_differ() -> None:
    same = {name: tensor[:1].expand_as(tensor) for name, tensor in batch().items()}
    after = augment(same, ALL, seeded(0))
    assert len({clip.numpy().tobytes() for clip in after["audio"]}) > CLIPS / 2
    other = augment(same, ALL, seeded(1))
    assert not torch.equal(after["video"], other["video"])


def test_rows_of_a_batch_are_changed_as_in_the_whole() -> None:
    before = batch(7)
    whole = augment(before, ALL, seeded())
    for rank in range(3):
        rows = Rows.of(7, Place(rank, 3))
        part = {name: tensor[rows.slice] for name, tensor in before.items()}
        for name, changed in augment(part, ALL, seeded(), rows).items():
            assert torch.equal(changed, whole[name][rows.slice])


def test_one_part_switched_off_leaves_the_others_as_they_were() -> None:
    before = batch()
    both = augment(before, ALL, seeded())
    without_flip = augment(before, ALL.model_copy(update={"flip": False}), seeded())
    assert torch.equal(both["audio"], without_flip["audio"])
    alone = augment({"audio": before["audio"]}, ALL, seeded())
    assert torch.equal(both["audio"], alone["audio"])


def test_absent_tracks_stay_zero_and_masks_are_passed_on() -> None:
    before = batch()
    present = torch.arange(CLIPS) % 2 == 0
    before["audio"] = before["audio"] * present[:, None, None]
    before["audio_present"] = present
    after = augment(before, ALL, seeded())
    assert not after["audio"][~present].any()
    assert after["audio_present"] is present
