"""The embedded demo set: rendered clips of forty classes with synchronous sound and sight."""

import json
from collections.abc import Iterator

from mmlib.media.encode import encode
from mmlib.params.data import Data, EventsData
from mmlib.runtime.errors import UserError
from mmlib.shards.rows.clips import SPLITS
from mmlib.sources.base import ClipList, Fetched, Request
from mmlib.sources.events import render
from mmlib.sources.events.classes import CLASSES
from mmlib.sources.events.scene import plan

_COUNTS = frozenset(f"{split}_clips" for split in SPLITS)


def clip_list(data: Data, seed: int) -> ClipList:
    """List the clips of `data.events`; a clip depends on the seed, its split and its number alone.

    More clips in a split leave the earlier ones as they were. UserError for `data.media=in_place`.
    """
    if data.media != "copy":
        raise UserError(
            f"data.media={data.media}: the source events renders its clips, so there is no file to "
            "read in place; set data.media=copy"
        )
    return ClipList(
        source="events",
        classes=CLASSES,
        task=data.task,
        requests=list(_requests(data.events, seed, single=data.task == "single_label")),
        fetch=fetch,
    )


def fetch(request: Request) -> Fetched:
    """Render and encode one clip of `clip_list`."""
    values = json.loads(str(request.locator["settings"]))
    settings = EventsData.model_validate(values | dict.fromkeys(_COUNTS, 1))
    scene = plan(
        settings,
        int(request.locator["seed"] or 0),
        request.split,
        int(request.locator["number"] or 0),
        single=bool(request.locator["single"]),
    )
    media = encode(
        render.frames(scene, settings),
        render.samples(scene, settings),
        fps=settings.fps,
        sample_rate_hz=settings.sample_rate_hz,
        container="webm" if scene.webm else "mp4",
    )
    return Fetched(media=media)


def _requests(events: EventsData, seed: int, *, single: bool) -> Iterator[Request]:
    settings = json.dumps(events.model_dump(exclude=set(_COUNTS)), sort_keys=True)
    for split in SPLITS:
        for number in range(getattr(events, f"{split}_clips")):
            name = f"events-{split}-{number:05d}"
            yield Request(
                clip_id=name,
                source_id=name,
                split=split,
                labels=plan(events, seed, split, number, single=single).labels,
                locator={"settings": settings, "seed": seed, "number": number, "single": single},
            )
