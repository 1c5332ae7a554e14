"""A process knows its share from what launchers say, and when it has none."""

import os
from collections.abc import Mapping

import pytest

from mmlib.runtime import shares
from mmlib.runtime.errors import UserError
from mmlib.runtime.shares import Share, share
from mmlib.runtime.workers import map_ordered
from tests import slurm

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "abc"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    plain = slurm.environment({})
    for name in set(os.environ) - set(plain):
        monkeypatch.delenv(name)
    return monkeypatch


def of(given: pytest.MonkeyPatch, variables: Mapping[str, str]) -> Share:
    for name, value in variables.items():
        given.setenv(name, value)
    return share()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Share(0, 1)),
        (TORCHRUN, Share(1, 4, launch="abc")),
        ({**TORCHRUN, "TORCHELASTIC_RUN_ID": "none"}, Share(1, 4, together=False)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, Share(0, 1)),
        (slurm.step(2, 3), Share(2, 3, launch="4711-0")),
        ({**slurm.step(2, 3), "SLURM_RESTART_COUNT": "1"}, Share(2, 3, launch="4711-0-1")),
        # Nothing but the two: no name of the launch.
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "3"}, Share(1, 3, together=False)),
        (slurm.task(1, 3), Share(1, 3, together=False)),
        (slurm.task(2, 3, first=1), Share(2, 3, together=False)),
        (slurm.task(0, 1), Share(0, 1, together=False)),
        ({"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_COUNT": "3"}, Share(2, 3, False)),
        # srun within a task of an array.
        ({**slurm.task(1, 3), **slurm.step(1, 2)}, Share(3, 6, together=False)),
        ({"MMLIB_SHARE": "3/8", **slurm.task(1, 3)}, Share(3, 8, together=False)),
        # torchrun started by srun, one a machine.
        ({**slurm.step(1, 2), **TORCHRUN}, Share(1, 4, launch="abc")),
        # The script of a job is none of its tasks, DVC runs one stage at a time, Ray needs no rank.
        (slurm.script(8), Share(0, 1, launch="4711")),
        ({**slurm.step(2, 3), "DVC_STAGE": "decode"}, Share(0, 1)),
        ({**slurm.script(4), "MMLIB_EXECUTOR": "ray"}, Share(0, 1)),
    ],
)
def test_a_share_is_what_the_launcher_says(
    given: pytest.MonkeyPatch, variables: Mapping[str, str], expected: Share
) -> None:
    assert of(given, variables) == expected


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "4", "WORLD_SIZE": "4"}, "RANK says process 4 of 4"),
        ({"RANK": "one", "WORLD_SIZE": "4"}, "RANK is 'one'"),
        ({"MMLIB_SHARE": "3"}, "MMLIB_SHARE is '3'.*PLACE/OF"),
        ({"MMLIB_SHARE": "8/8"}, "from 0 to 7"),
        ({"MMLIB_SHARE": "0/0"}, "MMLIB_SHARE says process 0 of 0: there must be at least 1"),
        ({"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_COUNT is not set"),
        # Two tasks of a larger array, submitted again.
        ({**slurm.task(0, 2, first=3), "SLURM_ARRAY_TASK_ID": "17"}, "TASK_ID=17 .* MMLIB_SHARE"),
        ({"MMLIB_EXECUTOR": "dask"}, "MMLIB_EXECUTOR is 'dask': set it to local or ray"),
    ],
)
def test_contradictions_are_refused(
    given: pytest.MonkeyPatch, variables: Mapping[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        of(given, variables)


def test_a_launcher_of_clusters_has_its_place_whatever_maps_the_work(
    given: pytest.MonkeyPatch,
) -> None:
    variables = {**slurm.step(2, 3), "MMLIB_EXECUTOR": "ray"}
    assert of(given, variables).alone
    assert shares.launched() == Share(2, 3, launch="4711-0")


def test_what_an_item_maps_itself_is_neither_shared_nor_sent_away(
    given: pytest.MonkeyPatch,
) -> None:
    given.setenv("MMLIB_SHARE", "1/2")
    with shares.nested():
        assert share().alone
        given.setenv("MMLIB_EXECUTOR", "ray")
        assert shares.executor() == "local"
    assert shares.executor() == "ray"


def test_processes_beside_one_another_take_different_devices(given: pytest.MonkeyPatch) -> None:
    assert shares.place_among(4) == 0
    for name, value in slurm.step(2, 4).items():
        given.setenv(name, value)
    assert shares.place_among(4) == 2
    assert shares.place_among(1) == 0, "srun shows each task its own"
    given.setenv("LOCAL_RANK", "3")
    assert shares.place_among(4) == 3
    with pytest.raises(UserError, match="4 processes on this machine, but 2 GPUs: start one"):
        shares.place_among(2)
    given.setenv("LOCAL_WORLD_SIZE", "6")
    with pytest.raises(UserError, match="6 processes on this machine, but 2 GPUs"):
        shares.place_among(2)


def test_cores_are_those_of_the_process(given: pytest.MonkeyPatch) -> None:
    assert shares.cores_of(8) == 8
    given.setenv("SLURM_CPUS_PER_TASK", "2")
    assert shares.cores_of(8) == 8, "of the script, not of a task"
    given.setenv("SLURM_STEP_ID", "0")
    assert shares.cores_of(8) == 2
    given.delenv("SLURM_STEP_ID")
    given.setenv("LOCAL_WORLD_SIZE", "4")
    assert shares.cores_of(8) == 2


@pytest.mark.parametrize(
    ("value", "said"),
    [("", None), ("x", "LOCAL_WORLD_SIZE is 'x'"), ("0", "LOCAL_WORLD_SIZE is 0: .* at least 1")],
)
def test_a_wrong_number_of_processes_is_one_line(
    given: pytest.MonkeyPatch, value: str, said: str | None
) -> None:
    given.setenv("LOCAL_WORLD_SIZE", value)
    if said is None:
        assert shares.cores_of(8) == 8
        return
    with pytest.raises(UserError, match=said):
        shares.cores_of(8)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, 1),
        ({"LOCAL_WORLD_SIZE": "4"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "4(x2),3"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, 2),
        # torchrun, once a machine.
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x8)", "LOCAL_WORLD_SIZE": "4"}, 4),
    ],
)
def test_a_launcher_says_how_many_processes_share_a_machine(
    given: pytest.MonkeyPatch, variables: Mapping[str, str], expected: int
) -> None:
    for name, value in variables.items():
        given.setenv(name, value)
    assert shares.processes_here() == expected


def here(item: int) -> int:
    return shares.processes_here()


def test_workers_of_a_pool_know_how_many_they_are(given: pytest.MonkeyPatch) -> None:
    assert set(map_ordered(here, range(3), label="here", workers=2)) == {2}
    assert set(map_ordered(here, range(3), label="here", workers=1)) == {1}
    given.setenv("LOCAL_WORLD_SIZE", "2")
    assert set(map_ordered(here, range(3), label="here", workers=2)) == {4}
    assert shares.processes_here() == 2
