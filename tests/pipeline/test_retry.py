"""`make retry` in a project where DVC really runs the stages download and decode."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmlib.shards.rows.clips import (
    Clip,
    DecodedClip,
    read_clips,
    read_decoded,
    shard_paths,
)
from tests.moments import HANG_S, hold_at, wait_until
from tests.pipeline.project import Project
from tests.samples import media, small_rows, write_folder

pytestmark = pytest.mark.slow


def _retry(project: Project, *errors: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.retry", *errors],
        cwd=project.folder,
        env=project.environment(**extra),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


def _clips(project: Project) -> list[Clip]:
    folder = project.folder / "data/clips"
    return [row for path in shard_paths(folder) for row in read_clips(path)]


def _decoded(project: Project) -> list[DecodedClip]:
    folder = project.folder / "data/decoded"
    return [row for path in shard_paths(folder) for row in read_decoded(path)]


def test_a_retry_through_dvc(tmp_path: Path) -> None:
    """One clip is missing, one is no media; the file comes back; a retry is killed on its way."""
    source = write_folder(tmp_path / "in", small_rows())
    # Its time and size, which are a part of the request, stay as they are when it is mended.
    broken = source / "train1.mp4"
    whole, times = broken.read_bytes(), broken.stat()
    broken.write_bytes(bytes(len(whole)))
    os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))
    gone = source / "train2.mp4"
    gone.rename(source / "hidden")
    project = Project(tmp_path / "project", "demo")
    settings = {
        "data.source": "folder",
        "data.path": str(source),
        "data.max_failed_share": "0.5",
        "data.shard_clips": "2",
        "decode.max_failed_share": "0.5",
    }
    _set(project, settings)
    project.dvc("repro", "decode", MMLIB_WORKERS="1")
    assert [row.error for row in _decoded(project) if row.error] == ["not_media", "missing_file"]
    before = {p.name: p.read_bytes() for p in (project.folder / "data/clips").iterdir()}

    assert "nothing to try again; failed are: not_media 1, missing_file 1" in _retry(project).stdout
    done = _retry(project, "wrong")
    assert (done.returncode, "no clip failed with 'wrong'" in done.stderr) == (1, True)

    broken.write_bytes(whole)
    os.utime(broken, ns=(times.st_atime_ns, times.st_mtime_ns))
    (source / "hidden").rename(gone)
    _kill_while_clips_are_away(project)
    done = _retry(project, MMLIB_WORKERS="1")
    assert "an interrupted retry is finished first: missing_file, not_media" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not_media          1      1" in done.stdout
    assert "missing_file       1      0" in done.stdout
    assert not (project.folder / "scratch/retry").exists()
    assert "download" not in project.dvc("status")
    after = {p.name: p.read_bytes() for p in (project.folder / "data/clips").iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"train-00001.parquet"}
    # The bytes of a copied clip come from download: what decode cannot read stays unreadable.
    assert [row.clip_id for row in _decoded(project) if row.error] == ["train1"]
    assert _clips(project)[2].media == gone.read_bytes()
    assert media(hz=200.0) != whole


def _kill_while_clips_are_away(project: Project) -> None:
    """Begin a retry of all failures; end it where DVC has removed what stage download made."""
    held = project.folder / "held"
    with subprocess.Popen(
        [sys.executable, "-m", "tools.retry", "all"],
        cwd=project.folder,
        env=project.environment(
            MMLIB_WORKERS="1", **hold_at("stages.download", held, project.folder)
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        wait_until(held.exists)
        assert not (project.folder / "data/clips").exists()
        os.killpg(process.pid, signal.SIGKILL)
    held.unlink()
    # DVC keeps its locks for a process that is dead but not yet collected.
    wait_until(lambda: not _is_alive(process.pid))
    assert (project.folder / "scratch/retry/plan.json").is_file()


def _is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _set(project: Project, values: dict[str, str]) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    path = project.folder / "params.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        section, key = name.split(".")
        document[section][key] = YAML(typ="safe").load(value)
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)
