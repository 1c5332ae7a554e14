"""A table that was read is as long as its file says."""

from pathlib import Path

from mmlib.runtime.errors import UserError


def require_rows(path: Path, found: int, promised: int) -> None:
    """Refuse a reading that has other than the rows that the Parquet footer promises.

    A damaged page header is read as a page of fewer rows, and neither pyarrow nor the checksums,
    which cover a page's contents alone, say so. UserError names the file.
    """
    if found != promised:
        raise UserError(
            f"{path}: damaged (it holds {promised} rows, {found} could be read); delete it and run "
            "`dvc repro`"
        )
