"""What training would take: closed forms of steps and clips, and a pace that is measured."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mmlib.params.whole.file import Params, load
from tests.conftest import ROOT
from tools import training_plan
from tools.training_plan import FORWARD, Net, Planned, measure_nets, runs

NETS = {"csn": Net(1.0, 2), "r2plus1d": Net(3.0, 2)}


def changed(folder: Path, **batches: Any) -> Params:
    """The project's own params with nets of a few weights and other values in `batches`."""
    yaml = YAML(typ="safe")
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["batches"] |= batches
    values["model"]["csn"]["width"] = values["model"]["r2plus1d"]["width"] = 2
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    return load(folder / "params.yaml")


@pytest.fixture
def params(tmp_path: Path) -> Params:
    return changed(tmp_path)


def planned(params: Params, train: int, val: int) -> dict[str, Planned]:
    return {row.name: row for row in runs(params, train, val, NETS)}


def test_passes_over_a_small_split(params: Params) -> None:
    """1000 clips are 31 steps of 32; val's 100, and as many of train, are assessed each epoch."""
    found = planned(params, 1000, 100)
    names = {"audio", "video", "mid", "gblend", "blend (guide)", "mixup", "adversarial"}
    assert set(found) == names
    audio, mid = found["audio"], found["mid"]
    assert (audio.steps, audio.clips) == (6 * 31, 6 * 31 * 32)
    assert audio.seconds == pytest.approx(6 * (31 * 32 + 200 * FORWARD))
    assert mid.seconds == pytest.approx(4 * 4 * (31 * 32 + 200 * FORWARD))
    assert found["blend (guide)"].seconds == mid.seconds
    # Half of each batch is attacked in three steps.
    assert found["adversarial"].seconds == pytest.approx(4 * 2 * (2.5 * 31 * 32 + 200 * FORWARD))
    assert found["mixup"].seconds == pytest.approx(4 * 2 * (31 * 32 + 200 * FORWARD))


def test_epochs_in_steps_do_not_depend_on_the_split(tmp_path: Path) -> None:
    params = changed(tmp_path, accumulation=3, epoch_steps=50)
    few, many = planned(params, 1000, 0), planned(params, 2_000_000, 0)
    assert few == many
    assert (few["audio"].steps, few["audio"].clips) == (300, 6 * 50 * 3 * 32)


def test_every_net_of_a_run_is_measured_at_its_size(params: Params) -> None:
    nets = measure_nets(params, 7, 1)
    assert set(nets) == {"csn", "r2plus1d"}
    assert all(net.seconds > 0 and net.batch == training_plan.CPU_BATCH for net in nets.values())
    model = training_plan._alone(params, "csn", "audio", 7)
    assert model.description["inputs"]["audio"]["frames"] == params.shard.mel.frames
    assert model.head.out_features == 7
