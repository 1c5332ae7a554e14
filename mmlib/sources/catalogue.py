"""The sources by name: what `data.source` may say."""

from collections.abc import Callable

from mmlib.params.data import Data
from mmlib.runtime.errors import UserError
from mmlib.sources import audioset, events, folder, kinetics_sounds
from mmlib.sources.base import ClipList

SOURCES: dict[str, Callable[[Data, int], ClipList]] = {
    "events": events.clip_list,
    "folder": folder.clip_list,
    "audioset": audioset.clip_list,
    "kinetics_sounds": kinetics_sounds.clip_list,
}


def clip_list(data: Data, seed: int) -> ClipList:
    """List the clips of the source `data.source`; UserError for an unknown name."""
    source = SOURCES.get(data.source)
    if source is None:
        raise UserError(f"data.source={data.source}: unknown; known are {', '.join(SOURCES)}")
    return source(data, seed)
