"""What a data source is: a list of requested clips, and a function that fetches one of them.

A source is a module with `clip_list(data: params.Data, seed: int) -> ClipList`, entered in
`catalogue.SOURCES`. It reads lists only: media are touched by `ClipList.fetch`, which runs in
worker processes, one clip at a time, in any order. So `fetch` must be picklable (a module-level
function, or `functools.partial` of one), must depend on nothing but its request, and must not keep
state between calls.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Request:
    """One clip that the source's list asks for.

    `source_id` names the recording that the clip was cut from: clips that share it must share a
    split. `start_s` and `end_s` are seconds in that recording; None means from its start, or to its
    end.
    `locator` holds all that `fetch` needs to find or make the media and that decides its bytes (a
    path with its size and time, a video id, a rendering seed): a changed locator makes stored work
    stale. A source that knows already that a clip cannot be had still lists it; `fetch` says why.
    """

    clip_id: str
    source_id: str
    split: str
    labels: tuple[str, ...]
    start_s: float | None = None
    end_s: float | None = None
    locator: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """The media of one clip: the bytes of an encoded file, or where one lies to be read in place.

    Exactly one of `media` and `path` is set, a path or the address of an object (`stores`).
    `start_s` and `end_s` say which seconds of this very file are the clip; both None when the file
    is the clip, as after a download of the section only. `attempts` counts the tries that it took.
    """

    media: bytes | None = None
    path: Path | str | None = None
    start_s: float | None = None
    end_s: float | None = None
    attempts: int = 1

    def __post_init__(self) -> None:
        if (self.media is None) == (self.path is None):
            raise ValueError("Fetched takes media or a path, one of them")


class FetchError(Exception):
    """A clip cannot be had; its row is kept, marked failed.

    `kind` is the error class that rows are counted and retried by (snake_case: "missing_file",
    "http_404"); `message` is one line for a person; `attempts` counts the tries.
    """

    def __init__(self, kind: str, message: str, attempts: int = 1) -> None:
        # All arguments go to Exception, so that the error survives pickling between processes.
        super().__init__(kind, message, attempts)
        self.kind = kind
        # A path may hold bytes that are no text, which a row cannot store.
        self.message = " ".join(message.encode(errors="backslashreplace").decode().split())
        self.attempts = attempts

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


Fetch = Callable[[Request], Fetched]
"""Get one clip's media, or raise FetchError; any other exception is a fault of the program."""


@dataclass(frozen=True)
class ClipList:
    """All clips that a source asks for, in the order in which they are stored.

    `requests` may be lazy (it is read by index and by slice, and iterated a few times). `classes`
    fixes the order of the label columns everywhere; `task` is "multi_label" or "single_label".
    `warnings` are lines about what looks wrong in the list and is used as it stands.
    """

    source: str
    classes: tuple[str, ...]
    task: str
    requests: Sequence[Request]
    fetch: Fetch
    warnings: tuple[str, ...] = ()
