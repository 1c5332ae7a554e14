"""Several processes train the model that one trains; one that fails ends all; and they resume."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mmlib.runtime.errors import UserError
from mmlib.training.parallel import over_ranks
from stages import train
from tests import slurm
from tests.conftest import ROOT
from tests.moments import HANG_S
from tests.training.test_train import outputs, project
from tests.training.trained_together import SINGLE, WAYS

__all__ = ["project"]

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("MMLIB_")},
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "MMLIB_DEVICE": "cpu",
}


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


def written(module: str, out: Path, *names: str) -> dict[str, Any]:
    """What a module of tests.training found out in processes of its own."""
    done = run("-m", f"tests.training.{module}", str(out), *names)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_several_processes_train_the_model_of_one(tmp_path: Path) -> None:
    """In float64, so that nothing but a mistake can bring them apart: plain, blended online, ...

    Adam divides a gradient by its own size, so that in float32 a weight whose gradient is all
    rounding moves as far as any other; so it does in one process with another number of threads.
    """
    found = written("trained_together", tmp_path / "found.json", *WAYS)
    for way, one in found.items():
        assert one["moved"] > 1e-4, way
        assert one["apart"] < 1e-5, (way, one)
        assert one["columns"] < 1e-5, (way, one)
        assert one["within"] == 0.0, "every process of a run has the same weights"
        assert all(costs == one["costs"][0] for costs in one["costs"]), way
    shares = [found["blended"]["last"][f"share_{head}"] for head in ("A", "V", "AV")]
    assert sum(shares) == pytest.approx(1.0), "estimated anew, from what all processes assessed"
    assert found["fgsm_rs"]["last"]["probe_multiple"] > 0


@pytest.mark.slow
def test_in_float32_they_are_apart_by_rounding(tmp_path: Path) -> None:
    (one,) = written("trained_together", tmp_path / "found.json", f"missing{SINGLE}").values()
    assert one["moved"] > 1e-4
    assert one["scattered"] < 1e-5
    assert one["columns"] < 1e-4
    assert one["within"] == 0.0


@pytest.mark.slow
def test_a_run_resumes_in_any_number_of_processes(tmp_path: Path) -> None:
    (found,) = written("trained_together", tmp_path / "found.json", "resuming").values()
    assert found.pop("again") == 0.0, "the same number: the same bits"
    assert len(found) == 3
    assert max(found.values()) < 1e-5


def test_layers_and_sums_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    found = written("layers_together", tmp_path / "found.json")
    for rank in found["layers"]:
        assert rank["norm"] < 1e-12
        assert rank["dropout"] == 0.0, "torch's own draws"
        assert rank["attend"] < 1e-6
    assert found["lone"] == [0.0, 0.0]
    assert found["unreached"] == [[3.0, 0.0, None, 1.0]] * 2


@pytest.mark.parametrize(
    ("way", "statuses", "line"),
    [
        ("one_raises", "3 1", "no room for the second"),
        ("all_raise", None, "the same in both"),
        ("one_dies", "1 -9", "another of the 2 processes has died; run again: training resumes"),
        ("one_dies_in_backward", "1 -9", "another of the 2 processes has died; run again"),
    ],
)
def test_a_process_that_fails_ends_all_in_one_line(
    way: str, statuses: str | None, line: str
) -> None:
    done = run("-m", "tests.training.failing", way)
    assert done.stdout.split() in ([statuses.split()] if statuses else [["1", "3"], ["3", "1"]])
    assert done.stderr.count("\n") == 1, done.stderr
    assert line in done.stderr


STAGE = """
import os, signal
from mmlib.runtime import stage
from mmlib.training import loop
from mmlib.training.parallel import over_ranks
from stages.train import main

step = loop._Run._step

def until(self, epoch, number, batch, objective):
    if (os.environ.get("RANK"), epoch, number) == (os.environ.get("TEST_DIES"), 1, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, epoch, number, batch, objective)

loop._Run._step = until
if __name__ == "__main__":
    stage.run(over_ranks(main), check=False)
"""


@pytest.mark.slow
def test_a_killed_process_ends_the_stage_which_resumes_under_torchrun(project: Path) -> None:
    """One of two that the stage started is killed in the second epoch; then torchrun starts two."""
    script = project / "train.py"
    script.write_text(STAGE, encoding="utf-8")
    killed = run(str(script), "mid", cwd=project, MMLIB_RANKS="2", TEST_DIES="1")
    assert killed.returncode == 1
    lines = [line for line in killed.stderr.splitlines() if ": epoch " not in line]
    assert len(lines) == 1, killed.stderr
    assert re.fullmatch(
        rf"train: process 1 of 2 was killed \(signal {int(signal.SIGKILL)}\), .* run again: .*",
        lines[0],
    )
    assert not Path("data/models").exists(), "nothing half-written"

    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    again = run(*torchrun, str(script), "mid", cwd=project)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "mid: resuming after epoch 1" in again.stderr
    several = load_file("data/models/mid.safetensors")
    counted = outputs(project, "mid")[0]
    assert not list(Path("scratch").iterdir())

    train.main(["mid"])
    alone = load_file("data/models/mid.safetensors")
    assert outputs(project, "mid")[0] == counted, "costs are those of one process"
    differences = torch.cat([(several[n].double() - alone[n].double()).flatten() for n in alone])
    assert float(differences.square().mean().sqrt()) < 1e-4


@pytest.mark.parametrize(
    ("variables", "refused"),
    [
        (slurm.step(1, 4), "process 1 of 4 would train the whole model, .* torchrun"),
        (slurm.task(2, 3), "task 2 of 3 would train the whole model"),
        ({"MMLIB_SHARE": "0/2"}, "task 0 of 2 would train the whole model"),
        ({"WORLD_SIZE": "x"}, "WORLD_SIZE is 'x'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is 0"),
        # A job's script, DVC, a run of its own in each task, and torchrun with one process.
        (slurm.script(4), None),
        ({**slurm.step(0, 4), "DVC_STAGE": "train@mid"}, None),
        ({**slurm.task(2, 3), "MMLIB_SHARE": "0/1"}, None),
        ({**slurm.step(0, 2), "RANK": "0", "WORLD_SIZE": "1"}, None),
    ],
)
def test_processes_that_share_work_but_do_not_meet_train_nothing(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], refused: str | None
) -> None:
    plain = slurm.environment({"MMLIB_RANKS": "1"})
    for name in set(os.environ) - set(plain):
        monkeypatch.delenv(name)
    for name, value in (plain | variables).items():
        monkeypatch.setenv(name, value)
    called: list[list[str]] = []
    if refused is None:
        over_ranks(called.append)(["mid"])
        assert called == [["mid"]]
        return
    with pytest.raises(UserError, match=refused):
        over_ranks(called.append)(["mid"])
    assert not called


def test_one_process_is_enough_where_nothing_asks_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("WORLD_SIZE", "MMLIB_RANKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MMLIB_DEVICE", "cpu")
    called: list[list[str]] = []
    over_ranks(called.append)(["mid"])
    monkeypatch.setenv("MMLIB_RANKS", "1")
    over_ranks(called.append)(["mid"])
    assert called == [["mid"]] * 2
    monkeypatch.setenv("MMLIB_RANKS", "two")
    with pytest.raises(UserError, match="MMLIB_RANKS is 'two': give a whole number"):
        over_ranks(called.append)(["mid"])
