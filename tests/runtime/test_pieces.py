"""Pieces are made once, by whoever has the share, and assembled from all of them."""

import random
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from mmlib.runtime.phases import Phase
from mmlib.runtime.pieces import finish, results
from mmlib.runtime.scratch import Scratch, publish_text
from mmlib.runtime.shares import Finished
from tests import slurm
from tests.conftest import ROOT
from tests.moments import wait_until

ITEMS = 7


def square(log: Path, item: int) -> int:
    with log.open("a") as stream:
        stream.write(f"{item}\n")
    return item * item


def squares(root: Path, items: int = ITEMS) -> list[int]:
    scratch = Scratch("squares", "x", root / "scratch")
    names = [str(item) for item in range(items)]
    function = partial(square, root / "log")
    return results(function, range(items), scratch, names=names, label="squares", workers=1)


def done(root: Path) -> list[int]:
    return [int(line) for line in (root / "log").read_text().splitlines()]


@settings(max_examples=25)
@given(items=st.integers(1, 9), of=st.integers(1, 5), seed=st.randoms(use_true_random=False))
def test_tasks_of_an_array_in_any_order_make_each_piece_once(
    tmp_path_factory: pytest.TempPathFactory, items: int, of: int, seed: random.Random
) -> None:
    root = tmp_path_factory.mktemp("array")
    order = list(range(of))
    seed.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        for place in order:
            patch.setenv("MMLIB_SHARE", f"{place}/{of}")
            with pytest.raises(Finished, match=f"task {place} of {of} has made its pieces"):
                squares(root, items)
        patch.delenv("MMLIB_SHARE")
        assert squares(root, items) == [item * item for item in range(items)]
    assert sorted(done(root)) == list(range(items))


def test_what_a_task_that_was_preempted_left_is_done_by_whoever_assembles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMLIB_SHARE", "1/2")
    with pytest.raises(Finished, match="4 of 7 are missing; `dvc repro` assembles"):
        squares(tmp_path)
    monkeypatch.delenv("MMLIB_SHARE")
    assert squares(tmp_path) == [0, 1, 4, 9, 16, 25, 36]
    assert done(tmp_path) == [1, 3, 5, 0, 2, 4, 6]


def test_a_task_does_not_begin_a_phase_that_others_have_not_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Scratch("phases", "x", tmp_path / "scratch")
    made: list[tuple[int, int]] = []

    def make(task: tuple[int, int]) -> None:
        made.append(task)
        scratch.write(str(task), lambda path: path.touch())

    def run() -> None:
        work = [[(number, item) for item in range(4)] for number in range(2)]
        finish(make, [_phase(scratch, tasks) for tasks in work], scratch, label="x", workers=1)

    for place, said in ((0, "2 of 4 that the next step needs"), (1, "2 of 4 are missing")):
        monkeypatch.setenv("MMLIB_SHARE", f"{place}/2")
        with pytest.raises(Finished, match=said):
            run()
    assert made == [(0, 0), (0, 2), (0, 1), (0, 3), (1, 1), (1, 3)]
    monkeypatch.delenv("MMLIB_SHARE")
    run()
    assert made[6:] == [(1, 0), (1, 2)]


def _phase(scratch: Scratch, tasks: Sequence[tuple[int, int]]) -> Phase[tuple[int, int]]:
    return Phase(tasks, lambda place: scratch.has(str(tasks[place])))


def test_a_damaged_piece_is_named(tmp_path: Path) -> None:
    squares(tmp_path)
    (piece,) = (tmp_path / "scratch").glob("squares-x-*/3")
    piece.write_bytes(piece.read_bytes()[1:])
    with pytest.raises(UserError, match=r"/3: cannot be read as a finished result \(damaged"):
        squares(tmp_path)


def together(root: Path, item_that_fails: int = -1) -> list[str]:
    """A command that maps the items, two phases of them, and publishes what came of it."""
    return [sys.executable, "-m", "tests.runtime.test_pieces", str(root), str(item_that_fails)]


def test_processes_started_together_wait_and_the_first_one_assembles(tmp_path: Path) -> None:
    ended = slurm.srun(3, together(tmp_path), ROOT)
    assert [status for status, _ in ended] == [0, 0, 0], ended
    assert (tmp_path / "out.txt").read_text() == "0 1 4 9 16 25 36\n"
    assert sorted(done(tmp_path)) == list(range(ITEMS))
    assert "process 2 of 3 has made its pieces; the first one assembles" in ended[2][1]
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_what_was_finished_before_is_not_done_again_and_nobody_is_left_behind(
    tmp_path: Path,
) -> None:
    """A process that comes last finds its pieces there; the first one waits for it all the same."""
    command = together(tmp_path)
    ended = slurm.array(2, command, ROOT, order=(0, 1, 0))
    assert [status for status, _ in ended] == [0, 0, 0], ended
    assert sorted(done(tmp_path)) == list(range(ITEMS))
    first = slurm.start(command, slurm.step(0, 2), ROOT)
    time.sleep(1.0)
    assert first.poll() is None
    second = slurm.start(command, slurm.step(1, 2), ROOT)
    assert "the first one assembles" in second.communicate()[1]
    assert first.communicate()[0] is None
    assert first.returncode == second.returncode == 0
    assert sorted(done(tmp_path)) == list(range(ITEMS))


def test_one_that_fails_ends_those_that_wait_with_its_line(tmp_path: Path) -> None:
    ended = slurm.srun(3, together(tmp_path, item_that_fails=4), ROOT)
    # The third may have made its pieces before.
    assert [status for status, _ in ended[:2]] == [1, 1], ended
    assert "test_pieces: item 4 is bad" in ended[1][1]
    for place in (0, 2) if ended[2][0] else (0,):
        said = [line for line in ended[place][1].splitlines() if "failed" in line]
        assert said == ["test_pieces: process 1 of 3 failed: item 4 is bad"]
    again = slurm.srun(3, together(tmp_path), ROOT)
    assert [status for status, _ in again] == [0, 0, 0], again
    assert sorted(done(tmp_path)) == list(range(ITEMS))


def test_a_requeued_job_goes_on_from_what_is_finished(tmp_path: Path) -> None:
    command = together(tmp_path)
    running = [slurm.start(command, slurm.step(place, 2), ROOT) for place in range(2)]
    wait_until(lambda: (tmp_path / "log").exists() and len(done(tmp_path)) >= 3)
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    again = slurm.srun(2, command, ROOT)
    assert [status for status, _ in again] == [0, 0], again
    assert (tmp_path / "out.txt").read_text() == "0 1 4 9 16 25 36\n"
    assert len(done(tmp_path)) - ITEMS in (0, 1, 2), "at most those that were under way"


@pytest.mark.parametrize("run_id", [{}, {"TORCHELASTIC_RUN_ID": "none"}])
def test_processes_of_a_start_without_a_name_wait_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_id: dict[str, str]
) -> None:
    """In any order, each makes its pieces and ends; whoever then runs alone assembles."""
    for place in (1, 0):
        launcher = {"RANK": str(place), "WORLD_SIZE": "2", **run_id}
        with monkeypatch.context() as patched:
            patched.delenv("TORCHELASTIC_RUN_ID", raising=False)
            for name, value in slurm.environment(launcher).items():
                patched.setenv(name, value)
            with pytest.raises(Finished, match=f"task {place} of 2 has made its pieces"):
                squares(tmp_path)
    monkeypatch.delenv("RANK", raising=False)
    assert squares(tmp_path) == [item**2 for item in range(ITEMS)]
    assert len(done(tmp_path)) == ITEMS


def bad(log: Path, item_that_fails: int, item: int) -> int:
    if item == item_that_fails:
        raise UserError(f"item {item} is bad")
    return square(log, item)


def main(arguments: list[str]) -> None:
    root, item_that_fails = Path(arguments[0]), int(arguments[1])
    again = Scratch("again", "x", root / "scratch")
    steps = Phase(range(ITEMS), lambda place: again.has(str(place)))

    def touch(item: int) -> None:
        again.write(str(item), lambda path: path.touch())

    finish(touch, [steps], again, label="again", workers=1, last=False)
    scratch = Scratch("squares", "x", root / "scratch")
    found = results(
        partial(bad, root / "log", item_that_fails),
        range(ITEMS),
        scratch,
        names=[str(item) for item in range(ITEMS)],
        label="squares",
        workers=1,
    )
    publish_text(" ".join(map(str, found)), root / "out.txt")
    again.finish()
    scratch.finish()


if __name__ == "__main__":
    from mmlib.runtime import stage

    stage.run(main, check=False)
