"""Splits that can be trusted: none empty, no recording in two of them, every class to be learnt."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from mmlib.clips import SPLITS, Vocabulary
from mmlib.errors import UserError
from mmlib.sources.base import Request

_NAMED = 5


def check_requests(requests: Iterable[Request], vocabulary: Vocabulary) -> None:
    """Refuse a list with unknown splits or labels, repeated ids, or a recording in two splits."""
    known = set(vocabulary.classes)
    seen: set[str] = set()
    split_of: dict[str, str] = {}
    leaks: list[str] = []
    for request in requests:
        if request.split not in SPLITS:
            raise UserError(f"clip {request.clip_id}: unknown split {request.split!r}")
        if request.clip_id in seen:
            raise UserError(f"clip id {request.clip_id} occurs twice: every clip needs its own")
        seen.add(request.clip_id)
        for label in request.labels:
            if label not in known:
                raise UserError(f"clip {request.clip_id}: unknown label {label!r}")
        if vocabulary.task == "single_label" and len(request.labels) != 1:
            raise UserError(
                f"clip {request.clip_id} has {len(request.labels)} labels: data.task=single_label "
                "needs exactly one; mend the list or set data.task=multi_label"
            )
        first = split_of.setdefault(request.source_id, request.split)
        if first != request.split:
            leaks.append(f"{request.source_id} ({first} and {request.split})")
    if leaks:
        raise UserError(
            f"the same recording is in two splits, {len(leaks)} times: {_some(leaks)}; "
            "put all clips of a recording into one split"
        )


def check_splits(
    clips: Mapping[str, int], positives: Mapping[str, Counter[str]], vocabulary: Vocabulary
) -> list[str]:
    """Refuse splits that cannot be used; `clips` and `positives` count clips a split, and a class.

    UserError for an empty split, a split without any label, and a class without a training clip. A
    class that no eval clip has is returned as a warning: it is left out of the means.
    """
    for split in SPLITS:
        if not clips.get(split):
            raise UserError(f"split {split} has no usable clip: give it some")
        if not positives.get(split):
            raise UserError(f"split {split} has no labels: every clip's list of labels is empty")
    absent = [name for name in vocabulary.classes if not positives["train"][name]]
    if absent:
        raise UserError(
            f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split "
            f"train: {_some(absent)}; add clips of them, or take the labels out of the list"
        )
    absent = [name for name in vocabulary.classes if not positives["eval"][name]]
    if not absent:
        return []
    return [
        f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split eval "
        f"and are left out of its means: {_some(absent)}"
    ]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
