"""What is certified by randomised smoothing: section certify."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from mmlib.params.goals import Threatened
from mmlib.runtime.settings import Count, Floats, Positive, Section, listed, refuse_twice

SampleCount = Annotated[int, Field(ge=2)]


class Noise(Section):
    """Standard deviation of the smoothing noise of each modality, in units of full scale."""

    audio: Positive
    video: Positive


class CertifyRow(Threatened):
    """One smoothed classifier: a run under Gaussian noise on what each threat attacks."""

    run: str
    sigma: Noise


class Sampling(Section):
    """How much is drawn, and how sure it is to be.

    Of so many eval clips, `n0` draws a clip choose the way of each decision and `n` bound it;
    `alpha` is the chance that a statement is wrong.
    """

    clips: SampleCount | None
    n0: Count
    n: Count
    alpha: Annotated[float, Field(gt=0, lt=0.5)]


class CertifyAttack(Section):
    """The attack on the smoothed classifier that stands on the other side of each certificate.

    `multiples` of attack.eps for the mAP; `reaches` for decisions of `clips` clips, in multiples of
    each one's own certified radius. `steps` of PGD through the mean over `draws` of the noise, and
    `n` other draws say what it did.
    """

    multiples: Annotated[tuple[Positive, ...], BeforeValidator(listed)]
    reaches: Floats
    clips: Count
    steps: Count
    draws: Count
    n: Count

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 1.0 not in self.reaches:
            raise ValueError("reaches must hold 1.0: that is the certified radius itself")
        if min(self.reaches) < 1:
            raise ValueError("reaches must be 1 or more: below, nothing turns a decision")
        for name in ("multiples", "reaches"):
            refuse_twice(name, getattr(self, name))
        return self


class Certify(Section):
    """Smoothed classifiers, their certificates and attacks on them (stage certify)."""

    rows: dict[str, CertifyRow]
    sampling: Sampling
    attack: CertifyAttack
