"""One clip of stage decode: a fetched row into a row of PCM and frames, or a failed one."""

from contextlib import nullcontext
from typing import Any

from mmlib.media.decode import decode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from mmlib.runtime import stores
from mmlib.shards.rows.clips import DAMAGED, FAILED, OK, Clip, DecodedClip


def decode_clip(clip: Clip, form: Form, limits: Limits) -> DecodedClip:
    """Decode one clip; one that cannot be decoded, or was never fetched, gives a failed row."""
    if clip.status == FAILED:
        return _failed(clip, form, clip.error, clip.message)
    assert clip.media is not None or clip.path, clip.clip_id
    held = nullcontext(clip.media) if clip.media is not None else stores.local(clip.path or "")
    try:
        with held as source:
            decoded = decode(source, form, limits, start_s=clip.start_s, end_s=clip.end_s)
    except (MediaError, stores.StoreError) as error:
        return _failed(clip, form, error.kind, error.message)
    frames, pcm = decoded.frames, decoded.pcm
    count = 0 if frames is None else len(frames)
    return DecodedClip(
        **_kept(clip, form),
        pcm=None if pcm is None else pcm.tobytes(),
        frames=None if frames is None else frames.tobytes(),
        frame_count=count,
        frame_times=tuple(index / form.fps for index in range(count)),
        audio_s=decoded.audio_s,
        video_s=decoded.video_s,
        offset_s=decoded.offset_s,
        audio_present=pcm is not None,
        video_present=frames is not None,
        status=OK,
        error=None,
        message=None if decoded.damage is None else DAMAGED + decoded.damage,
        damage=decoded.damage_kinds,
    )


def _failed(clip: Clip, form: Form, error: str | None, message: str | None) -> DecodedClip:
    return DecodedClip(
        **_kept(clip, form),
        pcm=None,
        frames=None,
        frame_count=0,
        frame_times=(),
        audio_s=None,
        video_s=None,
        offset_s=None,
        audio_present=False,
        video_present=False,
        status=FAILED,
        error=error,
        message=message,
    )


def _kept(clip: Clip, form: Form) -> dict[str, Any]:
    return {
        "clip_id": clip.clip_id,
        "source_id": clip.source_id,
        "split": clip.split,
        "labels": clip.labels,
        "height": form.size,
        "width": form.size,
        "fps": form.fps,
        "sample_rate_hz": form.sample_rate_hz,
        "sha256": clip.sha256,
        "source": clip.source,
        "attempts": clip.attempts,
        "request": clip.request,
    }
