"""A stage on a Ray cluster of two nodes, of which some die; its outs must not show it.

`python -m tests.ray_trial 20 --clips 40` does it with 20 deaths and says what came of it; a test
does it with a few. Moments are counted in finished pieces, so that they hang on no machine's speed.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmlib.runtime.errors import UserError
from mmlib.runtime.workers import map_ordered
from tests.kills import run_stage
from tests.moments import HANG_S, wait_until
from tests.samples import small_rows, write_folder
from tests.shared_stages import outs

STAGES = ("clips", "decoded")


def patient() -> None:
    """Let Ray wait for its own start as long as a busy machine takes: it gives up after 30 s.

    And let it start nodes in any thread: only the main one may be told of signals.
    """
    # Nodes of one process are told nothing of tokens that another cluster has left in the home.
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray._private import services, utils

    real: Callable[..., Any] = services.get_node
    end = time.monotonic() + HANG_S

    def get_node(*arguments: Any, **options: Any) -> Any:
        while True:
            try:
                return real(*arguments, **options)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    services.get_node = get_node
    utils.set_sigterm_handler = lambda handler: None


class Nodes:
    """A cluster of a head without cores, on which the driver is, and two nodes of one core."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        # A node lives as long as the thread that started it.
        self._hands = ThreadPoolExecutor(1)
        self._nodes = [self._node() for _ in range(2)]
        os.environ["RAY_ADDRESS"] = self._cluster.address

    def _node(self) -> Any:
        own = {"num_cpus": 1, "object_store_memory": 80 << 20}
        return self._hands.submit(self._cluster.add_node, wait=False, **own).result()

    def replace(self, place: int) -> None:
        """A node dies at once, and all its processes; another one comes."""
        self._cluster.remove_node(self._nodes.pop(place), allow_graceful=False)
        self._nodes.append(self._node())

    def replace_that_of(self, begun: Path) -> None:
        """The node dies that has written its id into a file."""
        wait_until(lambda: begun.exists() and bool(begun.read_text()))
        ids = [node.node_id for node in self._nodes]
        self.replace(ids.index(begun.read_text()))

    def end(self) -> None:
        """Stop it all."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()
        self._hands.shutdown()


@contextmanager
def deaths(
    nodes: Nodes, scratch: Path, moments: list[int], rng: random.Random
) -> Iterator[list[int]]:
    """Replace a node whenever stage decode has so many finished pieces; yields those it did."""
    over, happened = threading.Event(), list[int]()

    def run() -> None:
        for moment in moments:
            while len(list(scratch.glob("decode-*/*.parquet"))) < moment:
                if over.wait(0.05):
                    return
            nodes.replace(rng.randrange(2))
            happened.append(moment)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield happened
    finally:
        over.set()
        thread.join()


def kills_itself_once(folder: str) -> str:
    """The first time it is called its process dies."""
    if not Path(folder, "died").exists():
        Path(folder, "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


def waits_for_the_end(folder: str) -> str:
    """The first time it is called it waits until its node dies, which it names."""
    import ray

    begun = Path(folder, "begun")
    if begun.exists():
        return "elsewhere"
    begun.write_text(ray.get_runtime_context().get_node_id())
    while True:
        signal.pause()


def fails(folder: str) -> None:
    """Fails, and counts how often it was called."""
    with Path(folder, "calls").open("a") as stream:
        stream.write("x")
    raise UserError("this clip is bad")


def trial(root: Path, kills: int, clips: int, seed: int = 0) -> dict[str, object]:
    """What came of it: figures, and files that differ from those of one process."""
    patient()
    rng = random.Random(seed)
    source = write_folder(root / "in", small_rows(clips, 1, 1))
    whole, spread = root / "whole", root / "spread"
    for stage in STAGES:
        run_stage(stage, source, whole)
    os.environ["MMLIB_EXECUTOR"] = "ray"
    nodes = Nodes()
    try:
        ordered = list(map_ordered(abs, range(0, -9, -1), label="ordered")) == list(range(9))
        alive = list(map_ordered(kills_itself_once, [str(root)], label="dies")) == ["alive"]
        death = threading.Thread(target=nodes.replace_that_of, args=[root / "begun"], daemon=True)
        death.start()
        moved = list(map_ordered(waits_for_the_end, [str(root)], label="moves")) == ["elsewhere"]
        death.join()
        try:
            list(map_ordered(fails, [str(root)], label="fails"))
        except UserError as error:
            said = str(error)
        # After the last piece nothing is left to die.
        moments = sorted(rng.choices(range(clips + 2), k=kills))
        with deaths(nodes, spread / "scratch", moments, rng) as happened:
            for stage in STAGES:
                run_stage(stage, source, spread)
    finally:
        nodes.end()
    made, expected = outs(spread), outs(whole)
    names = sorted(made.keys() | expected.keys())
    return {
        "deaths": len(happened),
        "ordered": ordered,
        "a worker that died was replaced": alive,
        "what a node did that died was done elsewhere": moved,
        "an error was said": said,
        "calls of what failed": len((root / "calls").read_text()),
        "different": [name for name in names if made.get(name) != expected.get(name)],
        "files": len(expected),
    }


def main() -> None:
    """A trial in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = trial(Path(folder), arguments.kills, arguments.clips, arguments.seed)
    for what, figure in found.items():
        print(f"{what}: {figure}")
    sys.exit(bool(found["different"]))


if __name__ == "__main__":
    main()
