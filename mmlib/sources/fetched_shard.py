"""One shard of stage download: its clips are fetched, or taken over from an earlier run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from mmlib.shards.retry.plan import Place
from mmlib.shards.retry.work import Match, Work
from mmlib.shards.rows.clips import Clip
from mmlib.sources.base import Fetch, Request
from mmlib.sources.fetched_clip import fetch_clip, request_hash


@dataclass(frozen=True)
class Piece:
    """One shard to fetch: its file name, and its clips in order."""

    name: str
    source: str
    requests: tuple[Request, ...]
    fetch: Fetch


def fetch_piece(piece: Piece, work: Work[Clip], made_by: str) -> None:
    """Write the piece; rows of an earlier run that are the same and good are kept."""

    def match(rows: Mapping[str, Place]) -> Iterator[Match]:
        for request in piece.requests:
            place = rows.get(request.clip_id)
            if place and place.row["request"] != request_hash(request):
                place = None
            yield Match(place, place is not None and not work.again(place))

    def fetch_row(request: Request, place: Place | None) -> Clip:
        before = place.row["attempts"] if place else 0
        clip = fetch_clip(request, piece.source, piece.fetch)
        return replace(clip, request=request_hash(request), attempts=clip.attempts + before)

    facts = {"source": piece.source, "split": piece.requests[0].split, "made_by": made_by}
    work.write(piece.name, facts, piece.requests, match, fetch_row)
