"""The page: section report."""

from typing import Annotated

from pydantic import Field

from mmlib.runtime.settings import Section


class Report(Section):
    """The page (stage report)."""

    title: str
    resamples: Annotated[int, Field(ge=100)]
