"""Media on a disk or an object store: taken as they are, stored in a row or read in place."""

from functools import lru_cache
from pathlib import Path

from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.length import measure
from mmlib.runtime import stores
from mmlib.sources.base import Fetched, FetchError, Request

# A larger file is not copied into a Parquet row.
_COPY_BYTES = 512 << 20
# Packets are listed in a moment; a clip may be this much longer than the list says.
_LISTING = Limits(timeout_s=20.0)
_LONGER_S = 1.0


def take(place: str, start_s: float | None, end_s: float | None, *, copy: bool) -> Fetched:
    """Fetch the file at a path or address, or a section of it (None: from its start, to its end).

    With `copy` a file that is the clip goes into the row whole. A section stays where it is, with
    its times, and decode cuts it exactly: the recording would come along with each of its clips,
    and a cut would have to be encoded anew, which changes the sound and the picture. FetchError
    kinds: missing_file, not_a_file, unreadable_file, file_too_big; store_denied, store_failed.
    """
    whole = copy and not start_s and end_s is None
    if stores.is_address(place):
        return _take_object(place, start_s, end_s, whole=whole)
    path = Path(place)
    try:
        if not path.exists():
            there = _in_other_case(path)
            hint = f" (there is {there}: letters count as capital or small)" if there else ""
            raise FetchError("missing_file", f"no such file: {path}{hint}")
        if not path.is_file():
            raise FetchError("not_a_file", f"not an ordinary file: {path}")
        if not whole:
            str(path).encode()
            return Fetched(path=path, start_s=start_s, end_s=end_s)
        _check_size(path.stat().st_size, place)
        return Fetched(media=path.read_bytes())
    except (OSError, ValueError) as error:
        # A name that is too long, no UTF-8 or holds a zero byte, or a file that may not be read.
        raise FetchError("unreadable_file", f"{error}: {path}") from None


def _take_object(
    address: str, start_s: float | None, end_s: float | None, *, whole: bool
) -> Fetched:
    try:
        held = stores.find(address)
        if held is None:
            raise FetchError("missing_file", f"no such object: {address}")
        if not whole:
            return Fetched(path=address, start_s=start_s, end_s=end_s)
        _check_size(held.size, address)
        return Fetched(media=stores.read(address))
    except stores.StoreError as error:
        raise FetchError(error.kind, error.message) from None


def _check_size(size: int, place: str) -> None:
    if size > _COPY_BYTES:
        raise FetchError(
            "file_too_big",
            f"over {_COPY_BYTES >> 20} MiB: set data.media=in_place to read it there: {place}",
        )


def take_section(request: Request, place: str, *, holds: str, copy: bool) -> Fetched:
    """Fetch a section of a video from a file that holds the section, or the whole video.

    `holds` says which: "clips", "videos", or "auto", by its length: a file at most 1 s longer than
    the section is the section. FetchError kinds: those of `take` and, for a file that cannot be
    read, of `measure`.
    """
    assert request.start_s is not None
    assert request.end_s is not None
    if holds == "auto":
        longest = request.end_s - request.start_s + _LONGER_S
        holds = "videos" if _is_longer(place, longest) else "clips"
    if holds == "videos":
        return take(place, request.start_s, request.end_s, copy=copy)
    return take(place, None, None, copy=copy)


def _is_longer(place: str, seconds: float) -> bool:
    # By its packets: the length in a header may be a guess, or missing.
    try:
        with stores.local(place) as file:
            return measure(file, seconds + _LONGER_S, _LISTING) > seconds
    except (MediaError, stores.StoreError) as error:
        raise FetchError(error.kind, error.message) from None


def _in_other_case(path: Path) -> Path | None:
    """What a path that leads nowhere would lead to, were capital letters and small ones alike."""
    found = Path(path.anchor)
    for name in path.parts[len(found.parts) :]:
        step = found / name
        if not step.exists():
            alike = _by_letters(found).get(name.casefold(), ())
            if len(alike) != 1:
                return None
            (step,) = alike
        found = step
    return found


@lru_cache(maxsize=4)
def _by_letters(folder: Path) -> dict[str, list[Path]]:
    # Kept, for a list may name many files of one folder that are not there.
    found: dict[str, list[Path]] = {}
    try:
        for path in folder.iterdir():
            found.setdefault(path.name.casefold(), []).append(path)
    except OSError:
        return {}
    return found
