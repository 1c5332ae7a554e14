"""One table says what each threat attacks; what names threats elsewhere agrees with it."""

from typing import get_args

import pytest

from mmlib.params.retraining import AdversarialRun
from mmlib.threats import FULL, SINGLE, THREATS, threat_names, threat_on, within


@pytest.mark.parametrize(
    ("modalities", "met"),
    [(("audio",), ["A"]), (("video",), ["V"]), (("audio", "video"), ["A", "V", "AV"]), ((), [])],
)
def test_threats_that_a_models_modalities_allow(
    modalities: tuple[str, ...], met: list[str]
) -> None:
    assert threat_names(modalities) == met


def test_every_threat_is_found_by_its_modalities() -> None:
    assert {threat_on(attacked[::-1]) for attacked in THREATS.values()} == set(THREATS)
    assert FULL == "AV"
    assert dict(SINGLE) == {"A": "audio", "V": "video"}
    with pytest.raises(KeyError, match="no threat on smell"):
        threat_on(["smell"])


def test_parts_lie_within_the_whole() -> None:
    assert [name for name in THREATS if within(name, "AV")] == ["A", "V", "AV"]
    assert [name for name in THREATS if within(name, "A")] == ["A"]


def test_adversarial_training_knows_the_same_threats() -> None:
    assert get_args(AdversarialRun.model_fields["threat"].annotation) == tuple(THREATS)
