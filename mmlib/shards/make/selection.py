"""Which decoded clips become part of the shards, and why the others do not."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from mmlib.params.shard import Shard
from mmlib.runtime.arrays import Bools, Ints8, Ints32
from mmlib.runtime.errors import UserError
from mmlib.shards.make.leaks.audit import (
    PARAMS,
    Audited,
    Leaks,
    audit,
)
from mmlib.shards.make.survey import Listed
from mmlib.shards.rows.clips import (
    SPLITS,
    Vocabulary,
)
from mmlib.shards.rows.splits import untrained_classes

LEAK_WORDS = (
    "is cut from the same recording as",
    "is byte for byte the same as",
    "sounds like",
    "looks like",
)
# What a clip is dropped for; place 0: it is not.
REASONS = ("", "no_audio", "no_video", *(f"leak_{name}" for name in PARAMS[:3]), "untrained_class")


@dataclass(frozen=True)
class Selection:
    """What was decided: `reasons` (N,) places in REASONS, `classes` those that stay, `labels` as
    their places or -1; `leaks` all that were found, whatever was done about them."""

    listed: Listed
    reasons: Ints8
    classes: tuple[str, ...]
    labels: Ints32
    leaks: Leaks
    warnings: tuple[str, ...] = ()

    @property
    def kept(self) -> Bools:
        """The clips that become part of a shard, (N,)."""
        return np.asarray(self.listed.ok & (self.reasons == 0))

    def positives(self, split: str) -> Counter[str]:
        """Kept clips of a split, by class."""
        chosen = self.kept & (self.listed.splits == SPLITS.index(split))
        labels = self.labels[np.repeat(chosen, np.diff(self.listed.label_ends, prepend=0))]
        counts = np.bincount(labels[labels >= 0], minlength=len(self.classes))
        return Counter({n: int(c) for n, c in zip(self.classes, counts, strict=True) if c})


def select(listed: Listed, vocabulary: Vocabulary, settings: Shard) -> Selection:
    """Decide about every clip.

    A clip is dropped for a missing track, then for a leak, then for a class without training clips,
    as the params say. UserError where they say stop.
    """
    reasons = np.zeros(len(listed.ok), np.int8)
    if settings.missing_modality == "drop":
        for name in ("video", "audio"):
            reasons[listed.ok & ~listed.present[name]] = REASONS.index(f"no_{name}")
    usable = listed.ok & (reasons == 0)
    leaks = audit(
        Audited(
            listed.source_ids, listed.sha256, listed.splits, usable, listed.surveys, listed.ends
        ),
        sound_distance=settings.leaks.sound_distance,
        picture_distance=settings.leaks.picture_distance,
    )
    warnings = _act_on_leaks(listed, leaks, reasons, settings)
    selection = Selection(listed, reasons, vocabulary.classes, listed.labels, leaks, (*warnings,))
    return _without_untrained(selection, vocabulary, settings)


def leak_text(listed: Listed, leaks: Leaks, pair: int) -> str:
    """One pair in words."""
    ends = [int(leaks.earlier[pair]), int(leaks.later[pair])]
    one, two = (f"{listed.clip_ids[end]} ({SPLITS[listed.splits[end]]})" for end in ends)
    return f"{one} {LEAK_WORDS[leaks.kinds[pair]]} {two}"


def _leak_line(listed: Listed, leaks: Leaks, pairs: Bools) -> str:
    clips = np.unique(leaks.earlier[pairs])
    first = int(np.flatnonzero(pairs)[0])
    groups = len(np.unique(leaks.groups(len(listed.ok))[pairs]))
    verb = "clip leaks" if len(clips) == 1 else "clips leak"
    return (
        f"{len(clips)} {verb} into a later split, in {groups} group{'s' if groups > 1 else ''}; "
        f"for example {leak_text(listed, leaks, first)}"
    )


def _act_on_leaks(listed: Listed, leaks: Leaks, reasons: Ints8, settings: Shard) -> list[str]:
    """Do as shard.leaks says: stop, or mark the earlier clips in `reasons`, or only tell."""
    warnings = []
    for param in dict.fromkeys(PARAMS):
        pairs = np.isin(leaks.kinds, [k for k, name in enumerate(PARAMS) if name == param])
        if not pairs.any():
            continue
        action = getattr(settings.leaks, param)
        line = _leak_line(listed, leaks, pairs)
        if action == "stop":
            raise UserError(
                f"{line}; move or remove them, or set shard.leaks.{param}=drop (leaves the clip of "
                "the earlier split out) or warn"
            )
        warnings.append(f"{line} (shard.leaks.{param}={action})")
        if action == "drop":
            earlier = leaks.earlier[pairs]
            reasons[earlier[reasons[earlier] == 0]] = REASONS.index(f"leak_{param}")
    return warnings


def _without_untrained(selection: Selection, vocabulary: Vocabulary, settings: Shard) -> Selection:
    trained = selection.positives("train")
    if settings.untrained_classes == "keep" and not trained.total():
        # Nothing is to be trained.
        return selection
    warnings = untrained_classes(trained, vocabulary.classes, settings.untrained_classes)
    selection = replace(selection, warnings=(*selection.warnings, *warnings))
    if settings.untrained_classes != "drop":
        return selection
    classes = tuple(name for name in vocabulary.classes if trained[name])
    if not classes:
        raise UserError("no class has a usable clip in split train: give it some")
    places = np.array([classes.index(n) if n in classes else -1 for n in vocabulary.classes])
    labels = places[selection.labels].astype(np.int32)
    reasons = selection.reasons.copy()
    if vocabulary.task == "single_label":
        # Such a clip has one label, and it is gone.
        gone = np.zeros(len(reasons), np.bool_)
        counts = np.diff(selection.listed.label_ends, prepend=0)
        gone[np.repeat(np.arange(len(reasons)), counts)[labels < 0]] = True
        reasons[gone & selection.kept] = REASONS.index("untrained_class")
    return replace(selection, reasons=reasons, classes=classes, labels=labels)
