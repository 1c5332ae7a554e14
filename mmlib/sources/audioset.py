"""AudioSet: its official lists, with clips from a local mirror and from YouTube (docs/sources.md).

Classes are the display names of class_labels_indices.csv, in the order of their indices.
"""

from pathlib import Path

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.sources.audioset_fetch import fetch_lists
from mmlib.sources.audioset_lists import (
    CLASSES_NAME,
    SEGMENT_NAMES,
    find_list,
    read_classes,
    read_segments,
)
from mmlib.sources.base import ClipList
from mmlib.sources.places import lists_at
from mmlib.sources.segments import join
from mmlib.sources.videos import video_list


def clip_list(data: Data, seed: int) -> ClipList:
    """Read the lists in the folder `data.path`. UserError names a missing list or a bad line.

    `seed` chooses the clips of a smaller list (see `subset`).
    """
    settings = data.audioset
    if data.task != "multi_label":
        raise UserError("data.source=audioset has several labels a clip: set data.task=multi_label")
    if not data.path:
        raise UserError(
            f"data.source=audioset needs data.path: the folder with {CLASSES_NAME} and the "
            "*_segments.csv, or with data.audioset.fetch_lists=true the one to put them in"
        )
    folder, _ = lists_at(data.path)
    both = settings.train == "both"
    train = ["balanced", "unbalanced"] if both else [settings.train]
    names = [CLASSES_NAME, *(SEGMENT_NAMES[part] for part in (*train, "eval"))]
    if settings.fetch_lists:
        fetch_lists(folder, names, settings.lists_url)
    classes_path, *paths = (_found(folder, name) for name in names)
    classes = read_classes(classes_path)
    places = {mid: place for place, mid in enumerate(classes)}
    splits = ["train"] * len(train) + ["eval"]
    segments = join(
        [read_segments(path, places, split) for path, split in zip(paths, splits, strict=True)]
    )
    return video_list("audioset", segments, tuple(classes.values()), settings, data, seed)


def _found(folder: Path, name: str) -> Path:
    path = find_list(folder, name)
    if path is None:
        raise UserError(
            f"data.path={folder} holds no {name}: get it from AudioSet's site, or set "
            "data.audioset.fetch_lists=true"
        )
    return path
