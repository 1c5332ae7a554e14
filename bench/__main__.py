"""Run every measurement, one after another: `python -m bench`; `python -m bench decode` runs one.

They take the machine's cores for themselves: run them while nothing else does. The peers come with
`pip install '.[bench]'`; one that is absent is left out, and said so.
"""

import subprocess
import sys
from pathlib import Path

NOT_MEASUREMENTS = ("__init__", "__main__", "tables")


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
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
