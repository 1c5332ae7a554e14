"""How a stage begins and ends: params checked first; one clear line when it did not work."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmlib.runtime.errors import UserError, one_line
from mmlib.runtime.shares import Finished

_CHECK = "mmlib.params.whole.file"
"""What refuses params.yaml before the first stage. Imported by name: it decides whether a stage
runs, never what it writes, so that no stage becomes stale with it (see runtime/code.py)."""


def run(main: Callable[[list[str]], None], *, check: bool = True) -> None:
    """Check the whole of params.yaml, then run a stage's main with the command line's arguments.

    Tools that can do without a right params.yaml go without the `check`.

    A process that has done its share of the work ends with status 0 and a line that says so.
    UserError and errors of the file system (a full disk, a missing or unreadable file) end the
    process with status 1 and one line on stderr; MMLIB_DEBUG=1 shows the traceback instead. Any
    other exception is a fault of this program and keeps its traceback.
    """
    try:
        if check:
            importlib.import_module(_CHECK).check()
        main(sys.argv[1:])
    except Finished as end:
        print(f"{Path(sys.argv[0]).stem}: {end}", file=sys.stderr)
    except (UserError, OSError) as error:
        if os.environ.get("MMLIB_DEBUG") == "1":
            raise
        stage = Path(sys.argv[0]).stem
        print(f"{stage}: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "interrupted: finished pieces are kept, `dvc repro` resumes from them", file=sys.stderr
        )
        sys.exit(130)


def row(arguments: list[str], stage: str, kind: str = "RUN") -> str:
    """The row of a `foreach` that the stage works on: its one argument, or from DVC.

    DVC says it as the part after @ in DVC_STAGE, so that no shell reads a row's name. UserError
    with the usage when there is neither.
    """
    if not arguments:
        _, at, name = os.environ.get("DVC_STAGE", "").partition("@")
        if at:
            return name
    if len(arguments) != 1:
        raise UserError(f"usage: python -m stages.{stage} {kind}")
    return arguments[0]


def no_row(arguments: list[str], stage: str) -> None:
    """UserError with the usage when a stage without rows is given arguments."""
    if arguments:
        raise UserError(f"usage: python -m stages.{stage}")
