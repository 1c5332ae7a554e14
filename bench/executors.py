"""The demo's decode and attack in local processes, on Ray, and on Ray of two nodes.

Every round takes each way once, in random order; ratios are taken within a round. A way has nodes
of so many cores, and each node is kept on cores of its own, the driver on those of the first.
"ray" starts Ray with the stage and ends it with it, as MMLIB_EXECUTOR=ray does by itself; "cluster"
is started by tools/ray_cluster.py, and its start, until every core has answered, is timed apart
from the stage. All must make the same bytes. The demo's data must be there (`make repro`).
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.tables import quartiles, table
from mmlib.runtime.code import ROOT
from mmlib.runtime.settings import PARAMS

RUN = "mid"
STAGES = {"decode": ([], "decoded"), "attack": ([RUN], "attacks")}
_INPUTS = ("clips", "shards", "models", "none")


class Way(NamedTuple):
    """How a stage is run: `kind` local, ray or cluster."""

    kind: str
    nodes: int
    cores: int

    @property
    def all_cores(self) -> int:
        """Of all nodes."""
        return self.nodes * self.cores

    def __str__(self) -> str:
        nodes = f"{self.nodes} x " if self.nodes > 1 else ""
        return f"{self.kind}, {nodes}{self.cores} core{'s' if self.cores > 1 else ''}"


WAYS = (
    Way("local", 1, 1),
    Way("local", 1, 2),
    Way("ray", 1, 2),
    Way("cluster", 1, 2),
    Way("cluster", 1, 1),
    Way("cluster", 2, 1),
)


@dataclass
class Project:
    """A project of its own, with links to the data that the stages read."""

    root: Path

    def begin(self, data: Path, share: float) -> None:
        """Take `share` of the shards of clips, and as much of the attack's rounds."""
        shutil.copy(ROOT / PARAMS, self.root)
        for name in _INPUTS:
            (self.root / "data" / name).mkdir(parents=True)
            for file in sorted((data / name).iterdir()):
                (self.root / "data" / name / file.name).symlink_to(file.resolve())
        if share < 1:
            shards = sorted((self.root / "data/clips").glob("*.parquet"))
            kept = set(shards[:: round(1 / share)])
            for shard in set(shards) - kept:
                shard.unlink()
            text = (self.root / PARAMS).read_text(encoding="utf-8")
            fewer = text.replace("    rounds: 8\n", f"    rounds: {max(3, round(8 * share))}\n", 1)
            (self.root / PARAMS).write_text(fewer, encoding="utf-8")

    def run(self, stage: str, environment: dict[str, str]) -> float:
        """Seconds that a stage takes from nothing; what it makes is kept as it was, or compared."""
        arguments, out = STAGES[stage]
        made = self.root / "data" / out
        shutil.rmtree(made, ignore_errors=True)
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *arguments], cwd=self.root,
            env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        taken = time.monotonic() - start
        first = self.root / f"first-{out}"
        if not first.exists():
            shutil.copytree(made, first)
        names = sorted(path.name for path in first.iterdir())
        if names != sorted(path.name for path in made.iterdir()) or any(
            (first / name).read_bytes() != (made / name).read_bytes() for name in names
        ):
            raise SystemExit(f"{stage} made other bytes")
        return taken


def _environment(cores: int) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path, "MMLIB_WORKERS": str(cores)}


def _cores(node: int, way: Way) -> set[int]:
    there = sorted(os.sched_getaffinity(0))
    own = there[node * way.cores : (node + 1) * way.cores]
    if len(own) < way.cores:
        raise SystemExit(f"{way}: this machine has {len(there)} cores")
    return set(own)


def take(project: Project, way: Way, stages: Sequence[str]) -> dict[str, float]:
    """Seconds of each stage; of a cluster also those of its start."""
    if way.kind == "cluster":
        return _on_cluster(project, way, stages)
    executor = {"MMLIB_EXECUTOR": way.kind}
    everything = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _cores(0, way))
    try:
        return {s: project.run(s, _environment(way.cores) | executor) for s in stages}
    finally:
        os.sched_setaffinity(0, everything)


def _on_cluster(project: Project, way: Way, stages: Sequence[str]) -> dict[str, float]:
    told = project.root / "told.json"
    shutil.rmtree(project.root / "scratch", ignore_errors=True)
    inside = [sys.executable, "-m", "bench.executors", "--inside", str(project.root)]
    inside += [str(way.all_cores), str(time.time()), "--stages", *stages]
    command = [sys.executable, "-m", "tools.ray_cluster", *inside]
    log = project.root / "log"
    everything, nodes = os.sched_getaffinity(0), []
    parts = [_cores(node, way) for node in range(way.nodes)]
    with log.open("w", encoding="utf-8") as stream:
        for node, cores in enumerate(parts):
            os.sched_setaffinity(0, cores)
            own = _environment(way.cores) | {"MMLIB_SHARE": f"{node}/{way.nodes}"}
            nodes.append(
                subprocess.Popen(command, cwd=project.root, env=own, stdout=stream, stderr=stream)
            )
    os.sched_setaffinity(0, everything)
    if any(process.wait() for process in nodes):
        raise SystemExit(f"{way} failed: {log.read_text(encoding='utf-8')[-2000:]}")
    found: dict[str, float] = json.loads(told.read_text(encoding="utf-8"))
    return found


def _answer() -> int:
    return os.getpid()


def inside(project: Project, cores: int, began: float, stages: Sequence[str]) -> None:
    """Within a cluster: wait until all of it is there, then time the stages."""
    from mmlib.runtime.ray_start import connected

    ray = connected()
    while ray.cluster_resources().get("CPU", 0) < cores:
        time.sleep(0.1)
    answers = ray.remote(_answer).options(num_cpus=1, scheduling_strategy="SPREAD")
    ray.get([answers.remote() for _ in range(cores)])
    found = {"start": time.time() - began}
    ray.shutdown()
    found |= {stage: project.run(stage, dict(os.environ)) for stage in stages}
    (project.root / "told.json").write_text(json.dumps(found), encoding="utf-8")


def _rows(found: dict[Way, list[dict[str, float]]], stage: str) -> list[list[str]]:
    def seconds(way: Way, *parts: str) -> Any:
        rounds = found.get(way, [])
        return np.array([sum(one.get(part, 0.0) for part in parts) for one in rounds])

    rows = []
    for way in found:
        of_local, of_one = Way("local", 1, way.all_cores), Way(way.kind, 1, 1)
        kinds: list[tuple[tuple[str, ...], str]] = [((stage,), "")]
        if way.kind == "cluster":
            kinds.append(((stage, "start"), ", with its start"))
        for parts, note in kinds:
            own = seconds(way, *parts)
            row = [f"{way}{note}", quartiles(own, "{:.1f}")]
            row.append(
                quartiles(own / seconds(of_local, stage), "{:.2f}") if of_local in found else ""
            )
            gains = of_one in found and way.all_cores > 1
            row.append(quartiles(seconds(of_one, *parts) / own, "{:.2f}") if gains else "")
            rows.append(row)
    return rows


def main() -> None:
    """Print a table for each stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the demo's work")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--ways", nargs="+", type=int, default=range(len(WAYS)), help="by number")
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        folder, cores, began = options.inside
        inside(Project(Path(folder)), int(cores), float(began), options.stages)
        return
    ways = [WAYS[number] for number in options.ways]
    found: dict[Way, list[dict[str, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        project = Project(Path(name))
        project.begin(options.data, options.share)
        for number in range(options.rounds):
            order = list(ways)
            random.Random(number).shuffle(order)
            for way in order:
                found[way].append(take(project, way, options.stages))
                print(f"round {number}, {way}: {found[way][-1]}", file=sys.stderr, flush=True)
    for stage in options.stages:
        print(f"\n{stage}, {options.share:g} of the demo's, {options.rounds} rounds")
        head = ("way", "s", "/ local on as many cores", "gain over one core")
        print(table(head, _rows(found, stage)))
    for way in ways:
        if way.kind == "cluster":
            starts = np.array([one["start"] for one in found[way]])
            print(f"start of {way}: {quartiles(starts, '{:.1f}')} s")


if __name__ == "__main__":
    main()
