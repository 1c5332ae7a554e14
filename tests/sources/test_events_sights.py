"""What a sight paints: all of it within the brush's window, which would cut it straight."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from mmlib.runtime.arrays import Floats
from mmlib.sources.events.canvas import Brush, Canvas
from mmlib.sources.events.classes import CLASSES, EVENTS
from tests.sources.test_events import SETTINGS, alone

SIDE = 96


@pytest.mark.parametrize("name", CLASSES)
def test_no_sight_is_cut_by_its_window(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    edges: list[float] = []
    glaze = Brush.glaze

    def spied(brush: Brush, cover: Floats, *rest: Any) -> None:
        opacity = np.broadcast_to(rest[1] if len(rest) > 1 else 1.0, (len(cover), 1, 1))
        shown = cover * brush._fade * opacity
        edges.extend(float(shown[:, at].max()) for at in (0, -1))
        edges.extend(float(shown[:, :, at].max()) for at in (0, -1))
        glaze(brush, cover, *rest)

    monkeypatch.setattr(Brush, "glaze", spied)
    times = np.arange(30) / SETTINGS.fps
    for number in range(2):
        (event,) = alone(name, number, x=0.5, y=0.5, size=0.3, drift=(0.0, 0.0)).events
        for tilt in (-EVENTS[name].tilt, EVENTS[name].tilt):
            canvas = Canvas(
                np.zeros((3, times.size, SIDE, SIDE), np.float32), times, np.zeros((2, times.size))
            )
            leant = dataclasses.replace(event, tilt=tilt)
            EVENTS[name].sight(canvas, leant, np.random.default_rng(number))
    assert max(edges) < 0.25
