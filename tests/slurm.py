"""A stand-in for SLURM on one machine: its variables, and n processes.

`python -m tests.slurm srun 4 COMMAND ...` starts four at once, as `srun --kill-on-bad-exit` does;
`python -m tests.slurm array 4 COMMAND ...` one after another, as a full cluster runs an array.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

JOB = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "localhost"}
_STEPS = itertools.count(1)
_OURS = ("SLURM_", "MMLIB_SHARE", "MMLIB_EXECUTOR", "DVC_STAGE", "RANK", "WORLD_SIZE")


def step(place: int, of: int) -> dict[str, str]:
    """The variables of one of `of` tasks that srun starts within a job."""
    return {
        **JOB,
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": str(place),
        "SLURM_LOCALID": str(place),
        "SLURM_NTASKS": str(of),
        "SLURM_STEP_NUM_TASKS": str(of),
    }


def script(of: int) -> dict[str, str]:
    """The variables of the script of a job of `of` tasks, which is none of them."""
    return {**JOB, "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NTASKS": str(of)}


def task(place: int, of: int, first: int = 0) -> dict[str, str]:
    """The variables of the script of one task of an array that counts from `first`."""
    return {
        **script(1),
        "SLURM_ARRAY_JOB_ID": "4711",
        "SLURM_ARRAY_TASK_ID": str(first + place),
        "SLURM_ARRAY_TASK_COUNT": str(of),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(first + of - 1),
        "SLURM_ARRAY_TASK_STEP": "1",
    }


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any launcher's variables, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, **variables}


def start(
    command: Sequence[str], variables: Mapping[str, str], folder: Path | None = None
) -> subprocess.Popen[str]:
    """A process with these variables, its stderr in a pipe."""
    return subprocess.Popen(
        command, cwd=folder, env=environment(variables), stderr=subprocess.PIPE, text=True
    )


def srun(of: int, command: Sequence[str], folder: Path | None = None) -> list[tuple[int, str]]:
    """Run `of` processes at once: of each the exit status, and what it said on stderr."""
    number = {"SLURM_STEP_ID": str(next(_STEPS))}
    running = [start(command, step(place, of) | number, folder) for place in range(of)]
    said = [process.communicate()[1] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def array(
    of: int, command: Sequence[str], folder: Path | None = None, order: Iterable[int] | None = None
) -> list[tuple[int, str]]:
    """Run the tasks of an array one after another, in any order; returns as `srun`."""
    found = []
    for place in range(of) if order is None else order:
        process = start(command, task(place, of), folder)
        text = process.communicate()[1]
        found.append((process.returncode, text))
    return found


def main() -> int:
    """Run a command in either way; the highest exit status is that of the whole."""
    kind, of, *command = sys.argv[1:]
    began = time.monotonic()
    ended = {"srun": srun, "array": array}[kind](int(of), command)
    sys.stderr.writelines(text for _, text in ended)
    print(f"{kind} of {of}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    return max(status for status, _ in ended)


if __name__ == "__main__":
    sys.exit(main())
