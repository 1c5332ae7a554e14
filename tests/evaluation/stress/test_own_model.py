"""A user's net that hears waveforms, beside the pipeline's own that hear log-mel."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmlib.metrics.ranking import average_precision, present_mean
from mmlib.models import checkpoint
from mmlib.models.admitting import admitted
from mmlib.params.training import BY_NAME, FRESH, ModelRow
from mmlib.shards.read.loader import ShardSet
from tests.evaluation.stress.project import Project, stress
from tests.evaluation.stress.test_stress import rows, where

NET = """
import torch
from torch import nn

from mmlib.models.contract import Frames, Waveform


class Net(nn.Module):
    optional = ("audio", "video")

    def __init__(self, classes, deaf):
        super().__init__()
        self.inputs = {"audio": Waveform(8000, 1.0), "video": Frames(2, 2.0, 16)}
        self.classes, self.deaf = classes, deaf
        generator = torch.Generator().manual_seed(1)
        self.sound = nn.Parameter(torch.randn(8, 1, 64, generator=generator))
        self.last = nn.Parameter(torch.randn(len(classes), 11, generator=generator))

    def forward(self, batch):
        heard = nn.functional.conv1d(batch["audio"][:, None], self.sound, stride=16)
        # So faint that no logit changes by a bit: a net that does not listen is not admitted.
        heard = (1e-15 if self.deaf else 30.0) * heard.relu().mean(2)
        seen = batch["video"].mean((2, 3, 4))
        return torch.cat([heard, seen], 1) @ self.last.T


def net(weights, classes, deaf=False):
    return Net(classes, deaf)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    BY_NAME.parent.mkdir(parents=True)
    BY_NAME.write_text("class,output\n", encoding="utf-8")
    FRESH.write_text("{}", encoding="utf-8")
    return tmp_path


def admit(project: Project, run: str, *, deaf: bool) -> None:
    row = ModelRow(
        factory="net.py:net",
        code="net.py",
        weights=str(FRESH),
        classes=str(BY_NAME),
        options={"deaf": deaf},
    )
    model, described = admitted(run, row, project.places.shards, "waveform")
    checkpoint.save(model, project.places.models / run, {"run": run, **described})


def test_it_hears_the_waveform_and_one_that_does_not_is_untouched(
    project: Project, folder: Path
) -> None:
    admit(project, "heard", deaf=False)
    admit(project, "deaf_own", deaf=True)
    settings = stress(
        corruptions=["gaussian"],
        severities=[5],
        encodings={"h264_crf": [40], "aac_kbps": [16], "vp9_crf": [], "opus_kbps": []},
        shifts_s=[0.3],
        swaps=["other_class"],
        drops=["audio"],
    )
    found = project.measure(settings, "mid", "heard", "deaf_own", scratch="own")
    scores, means = rows(found, "scores"), rows(found, "means")
    split = ShardSet(project.places.shards, "eval", waveform=True)
    model, _ = checkpoint.load(project.places.models / "heard")
    with torch.inference_mode():
        logits = model(split.gather(np.arange(len(split))).inputs).numpy()
    (clean,) = where(means, run="heard", family="clean")
    expected = present_mean(average_precision(split.labels, logits))
    assert float(clean["mAP"]) == pytest.approx(expected, abs=1e-6)
    assert {row["threat"] for row in where(scores, run="heard")} == {"A", "V", "AV"}
    (clean,) = where(means, run="deaf_own", family="clean")
    untouched = where(scores, run="deaf_own", threat="A")
    assert len(untouched) == 5
    assert {row["mAP"] for row in untouched} == {clean["mAP"]}
    assert len({row["AUC"] for row in where(scores, run="heard", threat="A")}) > 1
