"""A `dvc repro` that is killed -9 in the middle of a stage."""

import signal
import subprocess

from tests.moments import kill_at_piece
from tests.pipeline.project import STAGE_TIMEOUT_S, Project

# Each needs the one before; their scratch folders begin with these names.
LONG_STAGES = (
    "download", "decode", "shard", "train-mid", "retrain-adversarial", "attack-adversarial",
)  # fmt: skip
TARGETS = ("score@mid", "score_retrained@adversarial")
"""What is reproduced: all that the long stages lead to, and no more."""


def repro_until_killed(project: Project, stage: str) -> bool:
    """Run `dvc repro`, all of whose processes end with kill -9 at the stage's first finished piece.

    False when the stage ended without one.
    """
    done = subprocess.run(
        project.command("repro", *TARGETS),
        cwd=project.folder,
        env=project.environment(MMLIB_WORKERS="1", **kill_at_piece(stage, project.folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        timeout=STAGE_TIMEOUT_S,
        check=False,
    )
    return done.returncode == -signal.SIGKILL
