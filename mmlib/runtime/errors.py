"""The one exception whose message is written for the person at the terminal."""

import errno


class UserError(Exception):
    """Something the user can mend; the message is one line: what is wrong, where, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def one_line(error: BaseException) -> str:
    """An error of the user's or of the file system as one line: what, where, what to do."""
    if not isinstance(error, OSError):
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}; free some space and run again, finished pieces are kept"
    if error.errno == errno.ENOENT:
        return f"no such file{where}; run `dvc repro`, which makes what a stage needs"
    return f"{error.strerror or error}{where}"
