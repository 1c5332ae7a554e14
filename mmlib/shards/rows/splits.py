"""Splits that can be trusted: none empty, no recording in two of them, every class to be learnt."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import (
    SPLITS,
    Vocabulary,
)

NAMED = 5


def check_splits(
    clips: Mapping[str, int],
    positives: Mapping[str, Counter[str]],
    vocabulary: Vocabulary,
    needed: Collection[str] = SPLITS,
) -> list[str]:
    """Refuse splits that cannot be used; `clips` and `positives` count clips a split, and a class.

    UserError for an empty split among those `needed`, and for one without any label. A class that
    no training or no eval clip has is returned as a warning.
    """
    for split in needed:
        if not clips.get(split):
            raise UserError(f"split {split} has no usable clip: give it some")
        if not positives.get(split):
            raise UserError(f"split {split} has no labels: every clip's list of labels is empty")
    warnings = []
    if "train" in needed:
        warnings = untrained_classes(positives["train"], vocabulary.classes, "keep")
    absent = [name for name in vocabulary.classes if not positives["eval"][name]]
    if absent:
        warnings.append(
            f"{len(absent)} of {len(vocabulary.classes)} classes have no usable clip in split eval "
            f"and are left out of its means: {some(absent)}"
        )
    return warnings


def needed_splits(untrained: str, listed: Mapping[str, int]) -> list[str]:
    """The splits that must have clips: all; those that are `listed` where nothing need be trained.

    `untrained` is shard.untrained_classes: with "keep" a list may have eval clips alone.
    """
    return [s for s in SPLITS if s == "eval" or untrained != "keep" or listed.get(s)]


def untrained_classes(trained: Counter[str], classes: Sequence[str], action: str) -> list[str]:
    """Warn of classes without a training clip; UserError when `action` is "stop".

    `trained` counts training clips a class; "drop" and "keep" are what stage shard does about it.
    """
    absent = [name for name in classes if not trained[name]]
    if not absent:
        return []
    line = (
        f"{len(absent)} of {len(classes)} classes have no usable clip in split train: "
        f"{some(absent)}"
    )
    if action == "stop":
        raise UserError(
            f"{line}; add clips of them, take the labels out of the list, or set "
            "shard.untrained_classes=drop (such classes are left out) or keep"
        )
    return [line]


def some(names: Sequence[str], count: int | None = None) -> str:
    """Name the first few of `names` and say how many more there are, of `count` in all."""
    count = len(names) if count is None else count
    more = f" and {count - NAMED} more" if count > NAMED else ""
    # AudioSet's names hold commas.
    shown = [f'"{name}"' if "," in name else name for name in names[:NAMED]]
    return ", ".join(shown) + more
