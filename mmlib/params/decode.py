"""How media become samples and frames: section decode."""

from typing import Annotated

from pydantic import Field

from mmlib.runtime.settings import Count, Positive, Section, Share


class Decode(Section):
    """How media become PCM and frames (stage decode)."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192000)]
    fps: Annotated[float, Field(gt=0, le=120)]
    size: Annotated[int, Field(ge=16, le=1024)]
    max_pixels: Count
    max_seconds: Positive
    timeout_s: Positive
    memory_mb: Annotated[int, Field(ge=100)]
    max_failed_share: Share
