"""How media become samples and frames: section decode."""

from typing import Annotated

from pydantic import Field

from mmlib.runtime.settings import Count, Section, Share


class Decode(Section):
    """How media become PCM and frames (stage decode)."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192000)]
    fps: Annotated[float, Field(gt=0, le=120)]
    size: Annotated[int, Field(ge=16, le=1024)]
    max_pixels: Count
    max_seconds: Annotated[float, Field(gt=0, le=86400)]
    timeout_s: Annotated[float, Field(gt=0, le=86400)]
    memory_mb: Annotated[int, Field(ge=100, le=1 << 20)]
    max_failed_share: Share
