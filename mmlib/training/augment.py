"""Random changes of training inputs that leave the labels alone; each clip draws its own."""

import torch
from torch import Tensor

from mmlib.batch import Batch, Rows
from mmlib.params.training import Augment


def augment(
    batch: Batch, settings: Augment, generator: torch.Generator, rows: Rows | None = None
) -> Batch:
    """Shift, flip and mask the clips of a batch at random; returns a new batch.

    Audio is shifted along time by up to `audio_shift` of its length; then one band mask and one
    time mask of up to `band_mask` and `time_mask` of the axis are laid over it (SpecAugment, Park
    et al. 2019; a mask takes the clip's mean level, which is what that paper's zero is after its
    normalisation [choice]). Pictures are shifted by up to `video_shift` of their sides and mirrored
    with probability 1/2, all frames of a clip alike. Edges are repeated into what a shift uncovers.

    The numbers drawn depend on the generator and the number of clips alone: switching one part off
    (0, or flip false) leaves the others as they were. Presence masks are passed on. `rows`: those
    that the clips are of a larger batch, for all of which is drawn.
    """
    clips = rows.total if rows else next(iter(batch.values())).shape[0]
    draws = torch.rand(8, clips, generator=generator, device=generator.device)
    if rows:
        draws = draws[:, rows.slice]
    changed = dict(batch)
    if "audio" in batch:
        shift, band, band_start, time, time_start = draws[:5].to(batch["audio"].device)
        audio = _shift_time(batch["audio"], _whole(shift, settings.audio_shift, 1, batch["audio"]))
        level = audio.mean((1, 2), keepdim=True)
        bands = _span(band, band_start, settings.band_mask, audio.shape[2])[:, None, :]
        times = _span(time, time_start, settings.time_mask, audio.shape[1])[:, :, None]
        changed["audio"] = torch.where(bands | times, level, audio)
    if "video" in batch:
        down, right, mirror = draws[5:8].to(batch["video"].device)
        changed["video"] = _move_picture(
            batch["video"],
            _whole(down, settings.video_shift, 3, batch["video"]),
            _whole(right, settings.video_shift, 4, batch["video"]),
            (mirror < 0.5) & settings.flip,
        )
    return changed


def _whole(draws: Tensor, share: float, axis: int, tensor: Tensor) -> Tensor:
    """Draws in [0, 1) -> whole steps in -n ... n, n the share of the axis."""
    largest = int(share * tensor.shape[axis])
    return (draws * (2 * largest + 1)).long() - largest


def _span(width: Tensor, start: Tensor, share: float, length: int) -> Tensor:
    """(B, length) bool: a run of 0 ... share * length places, anywhere on the axis."""
    widths = (width * (int(share * length) + 1)).long()
    starts = (start * (length - widths + 1)).long()
    places = torch.arange(length, device=width.device)
    return (places >= starts[:, None]) & (places < (starts + widths)[:, None])


def _shift_time(audio: Tensor, steps: Tensor) -> Tensor:
    clips, length, _ = audio.shape
    times = torch.arange(length, device=audio.device) - steps[:, None]
    rows = torch.arange(clips, device=audio.device)[:, None]
    return audio[rows, times.clamp(0, length - 1)]


def _move_picture(video: Tensor, down: Tensor, right: Tensor, mirror: Tensor) -> Tensor:
    clips, _, frames, height, width = video.shape

    def places(count: int) -> Tensor:
        return torch.arange(count, device=video.device)

    columns = torch.where(mirror[:, None], places(width).flip(0), places(width))
    rows = (places(height) - down[:, None]).clamp(0, height - 1)
    columns = (columns - right[:, None]).clamp(0, width - 1)
    # Indexed in the order of memory, B, T, H, W, 3, which the result keeps (channels_last_3d).
    picked = video.permute(0, 2, 3, 4, 1)[
        places(clips)[:, None, None, None],
        places(frames)[:, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
    return picked.permute(0, 4, 1, 2, 3)
