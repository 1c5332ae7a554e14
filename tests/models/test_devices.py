"""A device that is not there is said by what was set: MMLIB_DEVICE, or too many processes."""

import pytest
import torch

from mmlib.models import devices
from mmlib.runtime.errors import UserError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("MMLIB_DEVICE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return monkeypatch


def test_more_processes_than_gpus_are_said(two_gpus: pytest.MonkeyPatch) -> None:
    two_gpus.setenv("LOCAL_RANK", "2")
    two_gpus.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UserError, match="4 processes on this machine, but 2 GPUs") as said:
        devices.select()
    assert "MMLIB_DEVICE is" not in str(said.value)
    two_gpus.setenv("MMLIB_DEVICE", "cpu")
    assert devices.select().type == "cpu"


def test_a_device_that_is_not_there_is_named(two_gpus: pytest.MonkeyPatch) -> None:
    two_gpus.setenv("MMLIB_DEVICE", "cuda:2")
    with pytest.raises(UserError, match=r"MMLIB_DEVICE is 'cuda:2', .* has 2 CUDA devices"):
        devices.select()
