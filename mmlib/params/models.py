"""How large the nets are: section model."""

from typing import Annotated

from pydantic import Field

from mmlib.params.values import Count, Counts, Section


class Csn(Section):
    """Convolutional self-attention network for audio."""

    width: Count
    transformer_blocks: Count
    share_blocks: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class Cnn14(Section):
    """CNN14 of PANNs for audio."""

    width: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class R2plus1d(Section):
    """R(2+1)D residual network for video."""

    width: Count
    blocks: Counts


class Fusion(Section):
    """The layers after the encoders."""

    hidden: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ModelSizes(Section):
    """Sizes of every net, shared by all runs."""

    csn: Csn
    cnn14: Cnn14
    r2plus1d: R2plus1d
    fusion: Fusion
