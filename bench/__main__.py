"""Run every measurement, one after another: `python -m bench`; `python -m bench decode` runs one.

They take the machine's cores for themselves: run them while nothing else does. The peers come with
`pip install '.[bench]'`; one that is absent is left out, and said so. What they print is also
written to bench/results.md, beside what is there of the others.
"""

import subprocess
import sys
from pathlib import Path

NOT_MEASUREMENTS = (
    "__init__",
    "__main__",
    "leak_peers",
    "made_hashes",
    "peaks",
    "peers",
    "set_attack",
    "tables",
)


def main(arguments: list[str]) -> int:
    """Run the measurements that are named, or all; status 1 when one of them failed."""
    folder = Path(__file__).parent
    known = sorted(f.stem for f in folder.glob("*.py") if f.stem not in NOT_MEASUREMENTS)
    if unknown := sorted(set(arguments) - set(known)):
        print(f"no measurement {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in arguments or known:
        print(f"\n## {name}", flush=True)
        command = [sys.executable, "-m", f"bench.{name}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        if done.returncode:
            failed.append(name)
        else:
            _keep(folder / "results.md", name, done.stdout)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _keep(file: Path, name: str, text: str) -> None:
    parts = file.read_text(encoding="utf-8").split("\n## ")[1:] if file.is_file() else []
    results = dict(part.split("\n", 1) for part in parts) | {name: f"\n{text.strip()}\n"}
    written = "".join(f"\n## {key}\n{value}" for key, value in sorted(results.items()))
    file.write_text(f"# Measured on this machine\n{written}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
