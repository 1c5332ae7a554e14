"""A `dvc repro` that is killed -9 in the middle of a stage."""

import os
import signal
import subprocess
import time

from tests.pipeline.project import STAGE_TIMEOUT_S, Project

# In the order in which DVC runs them; their scratch folders begin with these names.
LONG_STAGES = ("download", "decode", "shard", "train-mid", "retrain-adversarial", "attack-mid")


def repro_until_killed(project: Project, stage: str) -> bool:
    """Run `dvc repro` and kill -9 all its processes once the stage has finished a first piece.

    False when it ended, or the time was over, before there was one.
    """
    process = subprocess.Popen(
        project.command("repro"),
        cwd=project.folder,
        env=project.environment(MMLIB_WORKERS="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + STAGE_TIMEOUT_S
    try:
        while process.poll() is None and time.monotonic() < deadline:
            folders = (project.folder / "scratch").glob(f"{stage}-*")
            if any(not p.name.startswith(".") for folder in folders for p in folder.iterdir()):
                return True
            time.sleep(0.01)
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
