"""AudioSet's lists from its own site, kept beside one another in a folder."""

import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import write_whole
from mmlib.sources.audioset_lists import find_list

# Seconds without a byte; the longest list has about 100 MB.
_TIMEOUT_S = 60.0


def fetch_lists(folder: Path, names: Iterable[str], address: str) -> None:
    """Download those of the lists that the folder lacks from `address`/<name>.

    A list is whole or absent. UserError when the site cannot be reached or does not have it.
    """
    for name in names:
        if find_list(folder, name) is None:
            _fetch(f"{address.rstrip('/')}/{name}", folder / name)


def _fetch(url: str, path: Path) -> None:
    if not url.startswith(("http://", "https://")):
        raise UserError(f"data.audioset.lists_url: {url} is no http address")

    def writer(partial: Path) -> None:
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer,
            partial.open("wb") as stream,
        ):
            shutil.copyfileobj(answer, stream)
            due = answer.headers.get("Content-Length")
            if due is not None and stream.tell() != int(due):
                raise http.client.IncompleteRead(b"")

    try:
        write_whole(path, writer)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as error:
        reason = getattr(error, "reason", None) or error.__class__.__name__
        raise UserError(
            f"{url} cannot be fetched ({reason}): try again online, or put {path.name} into "
            f"{path.parent} yourself"
        ) from None
