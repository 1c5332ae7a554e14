"""How runs are scored: section score."""

from typing import Annotated

from pydantic import Field

from mmlib.runtime.settings import Section


class Score(Section):
    """Metrics with intervals over clips (stage score)."""

    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    common_with: str
