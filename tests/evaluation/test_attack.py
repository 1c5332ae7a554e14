"""The attack stage's work: shards and a checkpoint in, two Parquet files out, through a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from mmlib.evaluation.sweep import attack as sweep_attack
from mmlib.evaluation.sweep import work
from mmlib.models import checkpoint
from mmlib.params.attacks import Attack, Refine
from mmlib.runtime.arrays import Bytes
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from mmlib.shards.read.format import (
    Layout,
    Payload,
    ShardRow,
    write_shard,
)
from mmlib.shards.read.manifest import (
    MANIFEST_NAME,
    ids_hash,
)
from tests.conftest import ROOT
from tests.moments import HANG_S
from tests.sweep_toys import CLASSES, MANIFEST, MEL, inputs, labelled, log_mel, model, settings

NAMES = tuple("abcde")
ROUNDS = 2
SETTINGS = settings(refine={"rounds": ROUNDS, "steps": 2, "sweep_steps": 1})
SEVERAL = SETTINGS.model_copy(update={"methods": ("pgd", "temporal_lower", "misalign")})


def project(
    root: Path, sound: torch.Tensor | None = None, tags: Bytes | None = None
) -> tuple[Path, Path]:
    """Seven eval clips in two shards, the third without sound, and a trained run `mid`.

    `sound` (7, N) are waveforms to store with their log-mel, in place of random numbers; `tags`
    (7, 5) labels in place of the model's own highest classes, which are nearly the same for all.
    """
    net = model()
    tensors = inputs(clips=7)
    pcm = np.zeros((7, 4), np.int16)
    if sound is not None:
        tensors["audio"] = log_mel(sound)
        pcm = (sound * 32768).numpy().astype(np.int16)
    if tags is None:
        tags = labelled(net, clips=7, sound=tensors["audio"]).labels.byte().numpy()
    audio = tensors["audio"].half().numpy()
    frames = (tensors["video"].permute(0, 2, 3, 4, 1) * 255).round().byte().numpy()
    layout = Layout(
        split="eval",
        classes=NAMES,
        task="multi_label",
        log_mel=Payload(shape=(16, 32), dtype="float16"),
        frames=Payload(shape=(2, 16, 16, 3), dtype="uint8"),
        sample_rate_hz=16000,
        clip_samples=pcm.shape[1],
    )
    ids = [f"clip-{row}" for row in range(7)]
    shards = root / "shards"
    shards.mkdir()
    for number, rows in enumerate((range(4), range(4, 7))):
        write_shard(
            shards / f"eval-0000{number}.parquet",
            layout,
            [
                ShardRow(
                    ids[row], ids[row], tags[row], None if row == 2 else audio[row], frames[row],
                    None if row == 2 else pcm[row],
                )
                for row in rows
            ],
        )  # fmt: skip
    known = {
        "count": 7,
        "sha256": ids_hash(ids),
        "files": ["eval-00000.parquet", "eval-00001.parquet"],
    }
    manifest = {
        "classes": list(NAMES), "task": "multi_label", **MANIFEST, "clips": {"eval": known},
        "failed": {}, "mel": {} if sound is None else MEL.model_dump(mode="json"),
    }  # fmt: skip
    publish_json(manifest, shards / MANIFEST_NAME)
    checkpoint.save(net, root / "mid", {"classes": list(NAMES), "task": "multi_label"})
    return shards, root / "mid"


def attack(
    root: Path, shards: Path, run: Path, out: str, how: Attack = SETTINGS
) -> tuple[bytes, bytes]:
    sweep_attack.attack_split(shards, run, root / out, how, seed=3)
    folder = root / out
    return (folder / "mid.parquet").read_bytes(), (folder / "mid-examples.parquet").read_bytes()


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def test_tables(in_folder: Path) -> None:
    shards, run = project(in_folder)
    attack(in_folder, shards, run, "out")
    table = pq.read_table(in_folder / "out/mid.parquet")
    assert table.num_rows == 7 * (1 + 3 * 3 * 2)
    about = json.loads(table.schema.metadata[b"mmlib"])
    assert about == {
        "classes": list(NAMES), "task": "multi_label", "run": "mid", "eps": 0.02,
        "threats": ["A", "V", "AV"], "norm": "linf", "domain": "log_mel",
    }  # fmt: skip
    silent = [row for row in table.to_pylist() if row["clip_id"] == "clip-2"]
    assert all(row["norm_audio"] is None for row in silent)
    clean, under_audio = silent[0], next(row for row in silent if row["threat"] == "A")
    assert under_audio["scores"] == clean["scores"]
    assert len(clean["scores"]) == 4 * CLASSES
    shown = pq.read_table(in_folder / "out/mid-examples.parquet")
    assert shown["clip_id"].to_pylist() == ["clip-0", "clip-6"]
    assert not any((in_folder / "scratch").glob("attack-*"))


def test_a_stopped_sweep_ends_with_the_same_bytes(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, run = project(in_folder)
    whole = attack(in_folder, shards, run, "whole")
    attacked: list[tuple[int, int]] = []
    real = work.attack_chunk

    def stops_at_the(place: int) -> Callable[[tuple[work.Chunk, int]], None]:
        def attack_chunk(task: tuple[work.Chunk, int]) -> None:
            attacked.append((task[0].first, task[1]))
            if len(attacked) == place:
                raise KeyboardInterrupt
            real(task)

        return attack_chunk

    # In the first round, in a later one, and in the record.
    for place in (2, 7, 12):
        monkeypatch.setattr(sweep_attack, "attack_chunk", stops_at_the(place))
        with pytest.raises(KeyboardInterrupt):
            attack(in_folder, shards, run, "again")
        assert not (in_folder / "again").exists()
    assert attack(in_folder, shards, run, "again") == whole
    every = [(first, number) for number in range(ROUNDS + 2) for first in (0, 3, 6)]
    assert [task for n, task in enumerate(attacked) if task not in attacked[:n]] == every
    assert len(attacked) == len(every) + 3


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, run = project(in_folder)
    one = attack(in_folder, shards, run, "one", SEVERAL)
    monkeypatch.setenv("MMLIB_WORKERS", "2")
    assert attack(in_folder, shards, run, "two", SEVERAL) == one


def test_methods_that_a_run_has_no_features_for_are_named_and_left_out(
    in_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards, _ = project(in_folder)
    audio = model(None, video=False)
    checkpoint.save(audio, in_folder / "audio", {"classes": list(NAMES), "task": "multi_label"})
    several = SEVERAL.model_copy(update={"sweep": (1.0,), "refine": Refine()})
    sweep_attack.attack_split(shards, in_folder / "audio", in_folder / "out", several, seed=3)
    said = capsys.readouterr().err
    assert said.count("attack audio: misalign left out: the run has no features") == 1
    stored = pq.read_table(in_folder / "out/audio.parquet")["attack"].unique().to_pylist()
    assert stored == ["clean", "noise", "pgd", "pgd alone", "temporal_lower alone"]


@pytest.mark.slow
def test_torchrun_writes_the_same_bytes(in_folder: Path) -> None:
    shards, run = project(in_folder)
    one = attack(in_folder, shards, run, "one")
    script = in_folder / "spread.py"
    script.write_text(
        "from pathlib import Path\n"
        "from mmlib.evaluation.sweep.attack import attack_split\n"
        "from mmlib.runtime import stage\n"
        "from tests.evaluation.test_attack import SETTINGS\n"
        "if __name__ == '__main__':\n"
        f"    places = Path({str(shards)!r}), Path({str(run)!r}), Path('two')\n"
        "    stage.run(lambda _: attack_split(*places, SETTINGS, 3), check=False)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "2", script],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MMLIB_WORKERS": "1"},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    written = [in_folder / "two" / name for name in ("mid.parquet", "mid-examples.parquet")]
    assert tuple(path.read_bytes() for path in written) == one


def test_other_classes_are_refused(in_folder: Path) -> None:
    shards, run = project(in_folder)
    described = checkpoint.read_description(run)
    publish_json({**described, "classes": list("vwxyz")}, in_folder / "mid.json")
    with pytest.raises(UserError, match="trained on other classes"):
        attack(in_folder, shards, run, "out")
