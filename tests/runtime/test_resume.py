"""A stopped stage is taken up under the code that it began with, and under no other."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mmlib.models import checkpoint
from stages import download
from tests.conftest import ROOT
from tests.decoded_shards import SETTINGS, clips, write_decoded
from tests.fake_shards import write_shards
from tests.memory_clips import MemoryClips
from tests.models.examples import small
from tests.samples import small_rows, write_folder

# Runs a stage for each line of stdin, a process each: code, folder, and the number of pieces after
# which it dies. Lists in the folder what it wrote. Torch, which takes long, is imported once.
RUNS = """
import importlib, os, sys
import pyarrow.parquet, pydantic, torch

def run(code, folder, last, stage, arguments):
    sys.path.insert(0, code)
    os.chdir(folder)
    os.dup2(os.open("stderr", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    from mmlib.runtime.scratch import Scratch

    write, written = Scratch.write, []

    def listed(self, name, writer):
        path = write(self, name, writer)
        written.append(name)
        with open("written", "w", encoding="utf-8") as log:
            log.write(" ".join(written))
        if len(written) == int(last):
            os._exit(9)
        return path

    Scratch.write = listed
    importlib.import_module(f"stages.{stage}").main(arguments)

for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*line.split(), sys.argv[1], sys.argv[2:])
        sys.exit(0)
    print("exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
NEVER = 0


def media(folder: Path, values: dict[str, Any]) -> None:
    """A folder of clips to fetch; for decode they are fetched already."""
    source = write_folder(folder.parent / "media", small_rows())
    values["data"] |= {"source": "folder", "path": str(source), "task": "single_label"}
    values["data"] |= {"shard_clips": 2}


def fetched(folder: Path, values: dict[str, Any]) -> None:
    media(folder, values)
    write_params(folder, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        download.main([])


def decoded(folder: Path, values: dict[str, Any]) -> None:
    write_decoded(folder / "data/decoded", clips())
    values["shard"] = SETTINGS.model_dump(mode="json")


def trained(folder: Path, values: dict[str, Any]) -> None:
    """Shards, a trained run, and a row of every section that trains or attacks."""
    fresh = {"audio_start": "data/none/start.json", "video_start": "data/none/start.json"}
    short = {"guide": "none", "epochs": 2, "batch_size": 16, "learning_rate": 0.01}
    row = {"method": "plain", "init": "mid", **short}
    values["model"]["csn"]["width"] = 2
    values["model"]["r2plus1d"]["width"] = 4
    values["train"]["mid"] |= fresh | short
    values["retrain"] = {"again": row}
    values["attack"] |= {"steps": 2, "batch_size": 4, "examples": 0}
    values["attack"]["refine"] |= {"rounds": 2, "steps": 2, "sweep_rounds": 1}
    values["attack"]["surface"]["runs"] = []
    table = values["study"]["table"] | {"rows": []}
    values["study"] = {"seeds": 1, "table": table, "rows": {"plain": row}}
    splits = {name: MemoryClips(16, seed=seed) for seed, name in enumerate(("train", "val"))}
    splits["eval"] = MemoryClips(8, seed=2)
    write_shards(folder / "data/shards", splits)
    known = {"classes": splits["train"].classes, "task": splits["train"].task}
    checkpoint.save(small(), folder / "data/models/mid", known)
    for name in ("guides", "none"):
        shutil.copytree(ROOT / "data" / name, folder / "data" / name)


@dataclass(frozen=True)
class Case:
    """A stage, what it needs, the piece after which it dies, and an edit that changes its outs."""

    stage: str
    row: tuple[str, ...]
    setup: Callable[[Path, dict[str, Any]], None]
    outs: tuple[str, ...]
    last: int
    file: str
    old: str
    new: str


SLOWER = (
    "mmlib/training/optimiser.py",
    "return peak * (step + 1)",
    "return 0.5 * peak * (step + 1)",
)
MODELS = ("data/models", "metrics/training")
CASES = (
    Case(
        *("download", (), media, ("data/clips",), 2, "mmlib/sources/fetched_clip.py"),
        *("attempts=fetched.attempts", "attempts=fetched.attempts + 1"),
    ),
    Case(
        *("decode", (), fetched, ("data/decoded",), 2, "mmlib/shards/decode_clip.py"),
        *('"attempts": clip.attempts', '"attempts": clip.attempts + 1'),
    ),
    # Dies after the four surveys, and a shard with its summary.
    Case(
        *("shard", (), decoded, ("data/shards",), 6, "mmlib/shards/make/shard.py"),
        *("levels.astype(", "(levels / 2).astype("),
    ),
    Case("train", ("mid",), trained, MODELS, 1, *SLOWER),
    Case("retrain", ("again",), trained, MODELS, 1, *SLOWER),
    Case(
        # Dies after the points and the logits of a chunk's first round.
        "attack",
        ("mid",),
        trained,
        ("data/attacks",),
        2,
        "mmlib/runtime/seeds.py",
        ">> 1",
        ">> 2",
    ),
    # Dies after two epochs of training and a chunk's first round of the attack.
    Case("study", ("plain",), trained, ("metrics/study",), 4, *SLOWER),
)


def write_params(folder: Path, values: dict[str, Any]) -> None:
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(values, stream)


def run(case: Case, *runs: tuple[Path, Path, int]) -> list[int]:
    """Run the stage with some code, in some folder, until so many pieces; the exit codes."""
    done = subprocess.run(
        [sys.executable, "-c", RUNS, case.stage, *case.row],
        input="\n".join(" ".join(map(str, run)) for run in runs),
        # Python tells an edited file by its size and second, which an edit here may leave.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        # Not the checkout, of which the processes would import the code.
        cwd=runs[0][1],
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    ends = (line.split() for line in done.stdout.splitlines())
    return [int(words[1]) for words in ends if words[:1] == ["exit"]]


def found(case: Case, folder: Path) -> tuple[list[str], dict[str, Any], str]:
    """What a finished run wrote: its pieces, the outs, and stderr."""
    assert not list((folder / "scratch").glob("*-*")), "progress is left over"
    files = (file for out in case.outs for file in sorted((folder / out).iterdir()))
    outs = {file.name: contents(file) for file in files}
    written, said = ((folder / name).read_text(encoding="utf-8") for name in ("written", "stderr"))
    return written.split(), outs, said


def contents(file: Path) -> Any:
    """The bytes of a file; the rows of a csv, without the seconds that it took and their sum."""
    if file.suffix != ".csv":
        return file.read_bytes()
    with file.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        vary = {"seconds", "#check"}
        return [{key: row[key] for key in row.keys() - vary} for row in rows]


def copy_of_code(folder: Path) -> Path:
    for package in ("mmlib", "stages"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stage)
def test_a_stopped_stage_is_taken_up_under_the_same_code_only(tmp_path: Path, case: Case) -> None:
    same, edited, fresh = (tmp_path / name for name in ("same", "edited", "fresh"))
    same.mkdir()
    values = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    case.setup(same, values)
    write_params(same, values)
    for folder in (edited, fresh):
        shutil.copytree(same, folder)
    before, after = (copy_of_code(tmp_path / name) for name in ("before", "after"))
    text = (after / case.file).read_text(encoding="utf-8")
    assert case.old in text
    (after / case.file).write_text(text.replace(case.old, case.new), encoding="utf-8")

    stops = [(ROOT, folder, case.last) for folder in (same, edited)]
    ends = [(before, same, NEVER), (after, edited, NEVER), (after, fresh, NEVER)]
    codes = run(case, *stops, *ends)
    assert codes == [9, 9, 0, 0, 0], [(folder / "stderr").read_text() for _, folder, _ in ends]
    resumed, outs, said = found(case, same)
    assert "is not used" not in said
    written, changed, said = found(case, edited)
    assert "progress of other code or params is there and is not used: scratch/" in said
    whole, expected, said = found(case, fresh)
    assert "is not used" not in said
    assert resumed == whole[case.last :]
    assert written == whole
    assert changed == expected
    assert changed != outs
