"""How a stage ends: silently when it worked, with one clear line when it did not."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmlib.runtime.errors import UserError


def run(main: Callable[[list[str]], None]) -> None:
    """Run a stage's main with the command line's arguments.

    UserError and errors of the file system (a full disk, a missing or unreadable file) end the
    process with status 1 and one line on stderr; MMLIB_DEBUG=1 shows the traceback instead. Any
    other exception is a fault of this program and keeps its traceback.
    """
    try:
        main(sys.argv[1:])
    except (UserError, OSError) as error:
        if os.environ.get("MMLIB_DEBUG") == "1":
            raise
        stage = Path(sys.argv[0]).stem
        print(f"{stage}: {_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(
            "interrupted: finished pieces are kept, `dvc repro` goes on from them", file=sys.stderr
        )
        sys.exit(130)


def _line(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and run again, finished pieces are kept"
    if error.errno == errno.ENOENT:
        return f"no such file{where}; run `dvc repro`, which makes what a stage needs"
    return f"{error.strerror or error}{where}"
