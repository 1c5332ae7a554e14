"""How runs are retrained for robustness: sections temperature and retrain."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.training import Parts
from mmlib.runtime.settings import (
    Count,
    NotNegative,
    Positive,
    Section,
    Share,
    listed,
    refuse_twice,
)


class MixupRule(Section):
    """How density and convexity steer mixup."""

    gamma: NotNegative
    partner_temperature: Positive | None
    partner_spaces: Annotated[
        tuple[Literal["audio", "video", "fused"], ...],
        BeforeValidator(listed),
        Field(min_length=1),
    ]
    p: Annotated[float, Field(ge=1)]
    same_class_share: Share | None
    base: Positive
    limit: Annotated[float, Field(ge=1)]
    kappa_slope: NotNegative
    rho_slope: NotNegative
    threshold_quantile: Share
    tau: Annotated[float, Field(gt=0, lt=1)] | None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice("partner_spaces", self.partner_spaces)
        return self


class MixupGuide(Parts):
    """The runs whose metrics make a guide, and how strongly it steers: 0 not at all."""

    strength: NotNegative


class Temperature(Section):
    """Guides of mixup (stage temperature): one rule, and the runs and strength of each guide."""

    guides: dict[str, MixupGuide]
    rule: MixupRule


class RetrainBase(Section):
    """What every retrained run says: where it starts and how long it goes on."""

    init: str
    guide: str
    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive


class PlainRun(RetrainBase):
    """Continue training as before: the control at equal compute."""

    method: Literal["plain"]


class MixupRun(RetrainBase):
    """Retrain with (guided) multi-modal mixup."""

    method: Literal["mixup"]
    anchors: Literal["guided", "uniform"] = "guided"
    partners: Literal["guided", "uniform"] = "guided"
    beta: Positive | None = None
    shared_lambda: bool = False


class Guard(Section):
    """When single-step adversarial training is checked for catastrophic overfitting, and how."""

    every: Count
    clips: Count
    steps: Annotated[int, Field(ge=2)]
    ratio: Annotated[float, Field(ge=1)]
    rise: Annotated[float, Field(ge=1)]


class AdversarialRun(RetrainBase):
    """Adversarial training; eps in units of full scale."""

    method: Literal["adversarial"]
    attack: Literal["pgd", "fgsm_rs"] = "pgd"
    threat: Literal["A", "V", "AV"] = "AV"
    eps: Annotated[float, Field(gt=0, le=1)]
    norm: Literal["linf", "l2", "l1"] = "linf"
    steps: Count
    adversarial_share: Annotated[float, Field(gt=0, le=1)]
    guard: Guard = Guard(every=10, clips=8, steps=5, ratio=2.0, rise=1.5)


class Sigmas(Section):
    """Standard deviation of Gaussian noise on each modality, in units of full scale; 0: none."""

    audio: NotNegative
    video: NotNegative


class SmoothedRun(RetrainBase):
    """Train on clips with Gaussian noise, for what smoothing is to certify."""

    method: Literal["smoothed"]
    sigma: Sigmas

    @model_validator(mode="after")
    def _some_noise(self) -> Self:
        if not (self.sigma.audio or self.sigma.video):
            raise ValueError("sigma is 0 for audio and video: that is method plain")
        return self


RetrainRun = Annotated[
    PlainRun | MixupRun | AdversarialRun | SmoothedRun, Field(discriminator="method")
]
