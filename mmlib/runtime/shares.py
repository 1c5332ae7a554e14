"""Which share of a stage's work is this process's, where a launcher started several.

Processes that a launcher starts together (torchrun, srun) wait for one another, and the first one
assembles the stage's outs. Tasks of an array may run at any time and in any order: each makes its
pieces and ends, and a run without such variables assembles. A stage that DVC runs is always alone,
since DVC runs one at a time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from mmlib.runtime.errors import UserError

_NESTED = ContextVar("_NESTED", default=False)
_BESIDE = ContextVar("_BESIDE", default=1)
_TORCHRUN = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
_SRUN = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")


class Finished(Exception):
    """This process has done its share of a stage, others do the rest; the message says so."""


@dataclass(frozen=True)
class Share:
    """Items `place`, `place + of`, ... of every list of items.

    `together`: all processes run at once, and may wait for one another. `launch` tells this start
    of them from any other; where the launcher does not, they are not together.
    """

    place: int
    of: int
    together: bool = True
    launch: str = ""

    @property
    def alone(self) -> bool:
        """Whether this process does, and assembles, everything."""
        return self.together and self.of == 1

    def __str__(self) -> str:
        kind = "process" if self.together else "task"
        return f"{kind} {self.place} of {self.of}"


def share() -> Share:
    """This process's share: of MMLIB_SHARE, else of torchrun's variables, else of SLURM's.

    All of it without any, in a stage that DVC runs, under MMLIB_EXECUTOR=ray, and within an item of
    a list that is shared already. UserError for variables that contradict one another.
    """
    if _NESTED.get() or os.environ.get("DVC_STAGE") or executor() == "ray":
        return Share(0, 1)
    return launched()


def launched() -> Share:
    """As `share`, whatever runs in this process and maps its work: what launchers say alone."""
    if given := os.environ.get("MMLIB_SHARE"):
        place, _, of = given.partition("/")
        return _checked(_whole("MMLIB_SHARE", place), _whole("MMLIB_SHARE", of), "MMLIB_SHARE")
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ:
        # torchrun's own name for a start that was given none is always the same.
        named = os.environ.get(_TORCHRUN[0], "none") != "none"
        launch = _launch(_TORCHRUN) if named else ""
        return _checked(_number("RANK"), _number("WORLD_SIZE"), "RANK", launch)
    return _of_slurm()


def executor() -> str:
    """What maps work over items: MMLIB_EXECUTOR, "local" or "ray"; "local" within an item."""
    name = os.environ.get("MMLIB_EXECUTOR") or "local"
    if name not in ("local", "ray"):
        raise UserError(f"MMLIB_EXECUTOR is {name!r}: set it to local or ray")
    return "local" if _NESTED.get() else name


@contextmanager
def nested() -> Iterator[None]:
    """Within an item: what it maps itself is neither shared nor sent to other machines."""
    token = _NESTED.set(True)
    try:
        yield
    finally:
        _NESTED.reset(token)


def nest_process(beside: int = 1) -> None:
    """Say that this whole process works on items of a list that is shared already.

    `beside`: as many such processes as this machine has, if that is known.
    """
    _NESTED.set(True)
    _BESIDE.set(beside)


def cores_of(count: int) -> int:
    """How many of a machine's `count` cores are this process's, of those started beside it."""
    cores = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if "SLURM_STEP_ID" in os.environ and cores.isdecimal():
        return max(1, min(count, int(cores)))
    return max(1, count // _local_processes())


def processes_here() -> int:
    """How many processes of a stage may be on this machine at once, as far as is known."""
    return _BESIDE.get() * max(_local_processes(), _tasks_here())


def place_among(devices: int) -> int:
    """Which of the devices that this process sees is its own, of those of processes beside it.

    torchrun shows all processes all GPUs of a machine; srun may show each its own alone. UserError
    where torchrun has started more processes than there are devices.
    """
    if "LOCAL_RANK" in os.environ:
        if (place := _number("LOCAL_RANK")) < devices:
            return place
        processes = max(_local_processes(), place + 1)
        raise UserError(
            f"there are {processes} processes on this machine, but {devices} GPUs: start one for "
            f"each (torchrun --nproc-per-node {devices}), or set MMLIB_DEVICE=cpu"
        )
    local = _number("SLURM_LOCALID", 0) if "SLURM_STEP_ID" in os.environ else 0
    return local % devices


def processes() -> int:
    """WORLD_SIZE: how many processes torchrun has started, 1 without it; UserError unless >= 1."""
    return _at_least_one("WORLD_SIZE")


def _local_processes() -> int:
    return _at_least_one("LOCAL_WORLD_SIZE")


def _tasks_here() -> int:
    """The most tasks that srun has started on one machine, which it says as "4(x2),3"."""
    counts = os.environ.get("SLURM_STEP_TASKS_PER_NODE", "").split(",")
    return max(
        int(found) if (found := each.partition("(")[0]).isdecimal() else 1 for each in counts
    )


def _at_least_one(name: str) -> int:
    if (number := _number(name, 1)) < 1:
        raise UserError(f"{name} is {number}: give a whole number of at least 1")
    return number


def _of_slurm() -> Share:
    place, of = 0, 1
    if not _in_batch_script():
        place = _number("SLURM_PROCID", 0)
        of = _number("SLURM_STEP_NUM_TASKS", _number("SLURM_NTASKS", 1))
    if "SLURM_ARRAY_TASK_ID" not in os.environ:
        return _checked(place, of, "SLURM_PROCID", _launch(_SRUN))
    first, step = _number("SLURM_ARRAY_TASK_MIN", 0), _number("SLURM_ARRAY_TASK_STEP", 1)
    number, rest = divmod(_number("SLURM_ARRAY_TASK_ID") - first, max(step, 1))
    tasks = _number("SLURM_ARRAY_TASK_COUNT")
    if rest or not 0 <= number < tasks:
        raise UserError(
            f"SLURM_ARRAY_TASK_ID={number + first} is none of {tasks} tasks from {first} on: give "
            "an array without gaps, or each task's share as MMLIB_SHARE=PLACE/OF, from 0/OF on"
        )
    task = _checked(place, of, "SLURM_PROCID")
    return Share(number * task.of + task.place, tasks * task.of, together=False)


def _in_batch_script() -> bool:
    """Tell whether this is the job's script, which has srun's variables without being one of n."""
    in_job = "SLURM_JOB_ID" in os.environ and "SLURM_STEP_ID" not in os.environ
    return in_job and _number("SLURM_PROCID", 0) == 0


def _checked(place: int, of: int, name: str, launch: str | None = None) -> Share:
    if of < 1:
        raise UserError(f"{name} says process {place} of {of}: there must be at least 1")
    if not 0 <= place < of:
        raise UserError(f"{name} says process {place} of {of}: they count from 0 to {of - 1}")
    # What an earlier start left would pass for that of one without a name: it waits for nobody.
    together = launch is not None and (bool(launch) or of == 1)
    return Share(place, of, together, launch or "")


def _launch(names: tuple[str, ...]) -> str:
    return "-".join(os.environ.get(name, "") for name in names).strip("-")


def _number(name: str, default: int | None = None) -> int:
    text = os.environ.get(name) or ("" if default is None else str(default))
    return _whole(name, text)


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        given = os.environ.get(name)
        what = "is not set" if given is None else f"is {given!r}"
        form = "PLACE/OF, such as 0/8" if name == "MMLIB_SHARE" else "a whole number"
        raise UserError(f"{name} {what}, but the share of the work needs {form}")
    return int(text)
