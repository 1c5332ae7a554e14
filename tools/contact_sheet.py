"""Draw docs/events.png: for every class of the demo set, frames over spectrograms of three clips.

`python -m tools.contact_sheet` reads params.yaml; every clip holds the one event, heard and seen,
among the background and noise that the demo gives it, without its distractors.
"""

import dataclasses
import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from mmlib.params.data import EventsData
from mmlib.params.whole import file as whole
from mmlib.sources.events import render
from mmlib.sources.events.classes import CLASSES
from mmlib.sources.events.scene import Scene, plan

OUT = Path("docs/events.png")
CLIPS = 3
FRAMES = 6


def scenes(settings: EventsData, seed: int, name: str) -> list[Scene]:
    """The first clips of the train split whose only event is of this class, heard and seen."""
    found: list[Scene] = []
    number = 0
    while len(found) < CLIPS:
        scene = plan(settings, seed, "train", number, single=True)
        number += 1
        (event,) = scene.events
        if event.name == name and event.heard and event.seen:
            found.append(dataclasses.replace(scene, distractors=()))
    return found


def main() -> None:
    """Write the contact sheet."""
    matplotlib.use("Agg")
    settings = whole.load()
    events = settings.data.events
    figure, axes = plt.subplots(
        2 * len(CLASSES), CLIPS, figsize=(13, 22), gridspec_kw={"height_ratios": [1, 0.7] * 12}
    )
    for row, name in enumerate(CLASSES):
        for column, scene in enumerate(scenes(events, settings.seed, name)):
            (event,) = scene.events
            frames, sound = render.frames(scene, events), render.samples(scene, events) / 32768
            last = min(len(frames) - 1, event.end_s * events.fps)
            picks = np.linspace(event.onset_s * events.fps, last, FRAMES).astype(int)
            above, below = axes[2 * row, column], axes[2 * row + 1, column]
            above.imshow(np.concatenate([frames[pick] for pick in picks], axis=1))
            above.set_axis_off()
            _, _, _, image = below.specgram(
                sound, NFFT=512, Fs=events.sample_rate_hz, noverlap=384, cmap="magma"
            )
            # The loudest 55 dB of each clip: levels differ by more than a shared scale can show.
            image.set_clim(image.get_array().max() - 55, image.get_array().max())
            below.set_yticks([0, 4000, 8000], ["0", "4", "8 kHz"], fontsize=6)
            below.set_xticks([])
            above.set_title(name if column == 0 else "", fontsize=10, loc="left", pad=2)
    figure.tight_layout(pad=0.3, h_pad=0.2)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=62)
    Image.open(picture).convert("RGB").quantize(256).save(OUT, optimize=True)
    print(OUT)


if __name__ == "__main__":
    main()
