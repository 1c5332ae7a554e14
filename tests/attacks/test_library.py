"""The library as its documentation shows it."""

import re

import pytest
import torch

import mmlib.attacks
from tests.conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/attack_your_model.md").read_text(), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=["one input", "two inputs", "sound"])
def test_examples_run(block: str) -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(block, names)


def test_every_name_is_there() -> None:
    assert set(mmlib.attacks.__all__) <= set(dir(mmlib.attacks))
    for name in mmlib.attacks.__all__:
        assert callable(getattr(mmlib.attacks, name))
    with pytest.raises(AttributeError, match="has no 'cw'; it has Budget"):
        mmlib.attacks.__getattr__("cw")
