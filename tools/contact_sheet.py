"""Draw docs/events.png: for every class of the demo set, two frames over the log-mel of a clip.

`python -m tools.contact_sheet` reads params.yaml; every clip holds the one event, heard and seen,
against the background that the demo gives it: at the best level and contrast that it has, without
distractors and without the sensor's noise, which would cost most of the file. A family of classes
stands in one row.
"""

import dataclasses
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mmlib.features import LogMel
from mmlib.params.data import EventsData
from mmlib.params.shard import Mel
from mmlib.params.whole import file as whole
from mmlib.runtime.arrays import Floats
from mmlib.sources.events import render
from mmlib.sources.events.classes import families
from mmlib.sources.events.scene import Scene, plan

OUT = Path("docs/events.png")
COLUMNS = 4
HEADING, TITLE, SOUND, GAP = 16, 16, 64, 8
"""Heights and the space between cells, in pixels."""
SHOWN_DB = 55.0
"""Of each clip the loudest so many dB: levels differ by more than a shared scale can show."""
FINE_FPS = 50.0


def main() -> None:
    """Write the contact sheet."""
    settings = whole.load()
    events, mel = settings.data.events, settings.shard.mel
    rows = packed({family: len(names) for family, names in families().items()})
    wide, high = 2 * events.size, HEADING + TITLE + events.size + SOUND
    size = (COLUMNS * (wide + GAP) - GAP, len(rows) * (high + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for row, group in enumerate(rows):
        column = 0
        for family in group:
            place = (column * (wide + GAP), row * (high + GAP))
            draw.text(place, family, fill="#888", font=ImageFont.load_default(12))
            for name in families()[family]:
                left, top = column * (wide + GAP), row * (high + GAP) + HEADING
                draw.text((left, top), name, fill="black", font=ImageFont.load_default(12))
                scene = first(events, settings.seed, name)
                sheet.paste(pictures(scene, events), (left, top + TITLE))
                heard = log_mel(scene, events, mel).resize((wide, SOUND), Image.Resampling.NEAREST)
                sheet.paste(heard, (left, top + TITLE + events.size))
                column += 1
    sheet.quantize(256).save(OUT, optimize=True)
    print(OUT)


def packed(sizes: dict[str, int]) -> list[list[str]]:
    """Lay families in rows of at most COLUMNS classes, each in the first row that has room."""
    rows: list[list[str]] = []
    for family, size in sizes.items():
        for row in rows:
            if sum(sizes[other] for other in row) + size <= COLUMNS:
                row.append(family)
                break
        else:
            rows.append([family])
    return rows


def first(settings: EventsData, seed: int, name: str) -> Scene:
    """The first train clip whose only event is of this class, heard and seen; made clear."""
    number = 0
    while True:
        scene = plan(settings, seed, "train", number, single=True)
        number += 1
        (event,) = scene.events
        if event.name == name and event.heard and event.seen:
            event = dataclasses.replace(event, snr_db=settings.snr_max_db, opacity=1.0)
            return dataclasses.replace(scene, events=(event,), distractors=(), grain=0.0)


def pictures(scene: Scene, settings: EventsData) -> Image.Image:
    """Side by side, the frame at a beat in the middle of the event and that half a beat later."""
    (event,) = scene.events
    fine = settings.model_copy(update={"fps": FINE_FPS})
    middle = (len(event.strikes) - 1) // 2
    beat, following = event.beats[middle + 1 : middle + 3]
    times = np.array([beat, (beat + min(following, event.end_s)) / 2])
    frames = render.frames(scene, fine)
    picks = np.minimum(np.ceil(times * FINE_FPS).astype(int), len(frames) - 1)
    return Image.fromarray(np.concatenate(list(frames[picks]), axis=1))


def log_mel(scene: Scene, settings: EventsData, mel: Mel) -> Image.Image:
    """What the nets hear, low bands at the bottom."""
    sound = torch.from_numpy(render.samples(scene, settings).astype(np.float32) / 32768)
    levels: Floats = LogMel(mel)(sound[None])[0].double().numpy().T[::-1]
    shown = 1 + (levels - levels.max()) * mel.floor_db / SHOWN_DB
    colours = matplotlib.colormaps["magma"](np.clip(shown, 0, 1), bytes=True)
    return Image.fromarray(colours[..., :3])


if __name__ == "__main__":
    main()
