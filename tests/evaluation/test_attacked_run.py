"""A run as sweep, checks, theorem and study get it: its clips, its frozen model, its threats."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.evaluation.attacked.run import AttackedRun
from mmlib.models import checkpoint
from mmlib.runtime.errors import UserError
from tests.evaluation.test_attack import project
from tests.sweep_toys import model, settings, waveforms

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path: Path) -> AttackedRun:
    shards, path = project(tmp_path, waveforms(7))
    return AttackedRun.load(path, shards, settings(), CPU)


def test_the_model_is_the_net_frozen_once(run: AttackedRun) -> None:
    clips = run.gather(np.arange(7))
    assert run.model is run.model
    assert run.model is not run.net
    assert not any(isinstance(part, nn.BatchNorm2d) for part in run.model.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in run.net.modules())
    with torch.no_grad():
        expected = run.net(clips.inputs)
        torch.testing.assert_close(run.model(clips.inputs), expected, atol=1e-5, rtol=1e-5)


def test_clips_come_in_the_domain_of_the_attack_and_of_the_run_s_modalities(
    run: AttackedRun, tmp_path: Path
) -> None:
    rows = np.array([4, 0])
    assert run.gather(rows).clip_ids == ("clip-4", "clip-0")
    assert run.gather(rows).inputs["audio"].shape == (2, 16, 32)
    on_sound = settings(domain="waveform")
    heard = AttackedRun.load(tmp_path / "mid", tmp_path / "shards", on_sound, CPU)
    sound = heard.gather(rows, ("audio",)).inputs
    assert "video" not in sound
    assert torch.equal(sound["audio"], waveforms(7)[[4, 0]])
    assert heard.input_shapes["audio"] == tuple(sound["audio"].shape[1:])
    assert heard.threat("A", 1.0, sound)["audio"].low == -1
    assert run.threat("A", 1.0, run.gather(rows).inputs)["audio"].low == 0


def test_another_run_on_the_same_clips(run: AttackedRun, tmp_path: Path) -> None:
    described = {"classes": list("abcde"), "task": "multi_label"}
    checkpoint.save(model(None, audio=False), tmp_path / "video", described)
    other = run.beside(tmp_path / "video")
    assert other.clips is run.clips
    assert (other.widest_threat, run.widest_threat) == ("V", "AV")
    assert set(other.gather(np.arange(2)).inputs) == {"video"}
    assert other.model is not run.model
    with torch.no_grad():
        assert other.model(run.gather(np.arange(2)).inputs).shape == (2, 5)
    with pytest.raises(UserError):
        run.beside(tmp_path / "nobody")
