"""Kinetics-Sounds: clips of Kinetics whose class is seen and heard, one label each.

From Kinetics' annotation files and a local tree, or YouTube (docs/sources.md).
"""

import numpy as np

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.sources.base import ClipList
from mmlib.sources.kinetics_classes import CLASS_LISTS, plain
from mmlib.sources.kinetics_lists import annotation_files, read_annotations
from mmlib.sources.places import lists_at
from mmlib.sources.videos import video_list


def clip_list(data: Data, seed: int) -> ClipList:
    """Read the annotations in `data.path`, a CSV file or a folder of such files.

    Classes are those of the list `data.kinetics_sounds.classes`, sorted. UserError for another task
    than single_label, a bad line, and a class without annotations unless those are dropped. `seed`
    chooses the clips of a smaller list (see `subset`).
    """
    settings = data.kinetics_sounds
    if data.task != "single_label":
        raise UserError(
            "data.source=kinetics_sounds has one label a clip: set data.task=single_label and "
            "attack.loss=cross_entropy (`make profile NAME=kinetics_sounds` does both)"
        )
    if not data.path:
        raise UserError("data.source=kinetics_sounds needs data.path: Kinetics' annotation CSVs")
    path, _ = lists_at(data.path)
    names = CLASS_LISTS[settings.classes]
    files = annotation_files(path)
    segments = read_annotations(files, {plain(name): i for i, name in enumerate(names)})
    counts = np.bincount(segments.labels, minlength=len(names))
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    if absent:
        if settings.absent_classes == "stop":
            raise UserError(
                f"{path} has no clips of {len(absent)} of the {len(names)} classes: "
                f"{', '.join(absent)}; choose another data.kinetics_sounds.classes, or set "
                "data.kinetics_sounds.absent_classes=drop"
            )
        names = tuple(name for name in names if name not in absent)
        segments = read_annotations(files, {plain(name): i for i, name in enumerate(names)})
    return video_list("kinetics_sounds", segments, names, settings, data, seed)
