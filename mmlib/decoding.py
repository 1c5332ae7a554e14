"""Decode the clips that download fetched, a shard at a time, into rows of PCM and frames."""

import hashlib
from pathlib import Path

from mmlib.clips import (
    VOCABULARY_NAME,
    read_columns,
    read_vocabulary,
    shard_paths,
    write_vocabulary,
)
from mmlib.decoded_shard import Piece, decode_piece
from mmlib.earlier import find_earlier, set_aside
from mmlib.errors import UserError
from mmlib.executor import map_ordered
from mmlib.ledger import Ledger, check_failures, read_ledger
from mmlib.media import ffmpeg
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.pieces import publish_pieces
from mmlib.scratch import Scratch, fingerprint
from mmlib.splits import check_splits

_HERE = Path(__file__).parent
# Half a decoding by other code is never gone on with.
_CODE = (
    *sorted((_HERE / "media").glob("*.py")),
    *(_HERE / "clips.py", _HERE / "decoded_shard.py"),
    Path(__file__),
)
_INPUTS = (
    *("clip_id", "labels", "start_s", "end_s", "path", "sha256", "status", "attempts"),
    *("request", "error"),
)


def decode_clips(
    clips: Path,
    out: Path,
    form: Form,
    limits: Limits,
    *,
    max_failed_share: float,
    scratch_root: Path = Path("scratch"),
) -> Ledger:
    """Decode the shards of the directory `clips` into shards of the same names in `out`.

    Goes on from finished shards after a kill. UserError when more than `max_failed_share` of the
    clips that were fetched cannot be decoded, or too few are left (see `splits`); `out` is then
    left alone.
    """
    vocabulary = read_vocabulary(clips)
    shards = shard_paths(clips)
    scratch = Scratch("decode", _progress_key(shards, form, limits), scratch_root)
    made_by = fingerprint(vars(form), vars(limits), ffmpeg.version(), *_CODE)
    earlier = find_earlier(scratch_root, "decoded", made_by)
    todo = [
        Piece(path, scratch, form, limits, made_by, earlier)
        for path in shards
        if not scratch.has(path.name)
    ]
    for _ in map_ordered(decode_piece, todo, label="decode"):
        pass
    scratch.write(VOCABULARY_NAME, lambda path: write_vocabulary(path, vocabulary))
    before = read_ledger(shards)
    ledger = read_ledger([scratch.path(path.name) for path in shards])
    failures = ledger.failures - before.failures
    try:
        check_failures(
            failures,
            ledger.examples,
            tried=before.usable.total(),
            largest=max_failed_share,
            param="decode.max_failed_share",
        )
    except UserError:
        set_aside(scratch, [path.name for path in shards], scratch_root, "decoded", failures)
        raise
    ledger.warnings += check_splits(ledger.usable, ledger.positives, vocabulary)
    if earlier:
        earlier.adopt(scratch.path(path.name) for path in shards)
    publish_pieces(scratch, out)
    if earlier:
        earlier.finish()
    return ledger


def _progress_key(shards: list[Path], form: Form, limits: Limits) -> str:
    # The media themselves are not read again: their hashes stand for them.
    digest = hashlib.sha256()
    for shard in shards:
        digest.update(shard.name.encode())
        for row in read_columns(shard, _INPUTS):
            digest.update(repr(row).encode())
    return fingerprint(digest.hexdigest(), vars(form), vars(limits), ffmpeg.version(), *_CODE)
