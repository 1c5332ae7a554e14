"""A clip's picture in the making, and the brush that paints moving shapes on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmlib.runtime.arrays import Bytes, Floats, Reals
from mmlib.sources.events.event import Event

"""float32, where not said otherwise."""

LEAD_S = 0.16
"""A sight is there this long before its event begins and after it ends, faded in and out."""


class Canvas:
    """Pixels (3, T, H, W), float32 in about [0, 1], of a square picture at known times.

    `shift` is the camera's movement in pixels, (2, T) as x and y; all that is painted moves with
    it.
    """

    def __init__(self, pixels: Reals, times_s: Floats, shift: Reals) -> None:
        self.pixels = pixels
        self.times_s = times_s
        self.shift = shift
        self.side = pixels.shape[-1]

    def shows(self, event: Event) -> slice:
        """The frames in which the event's sight is there; may be none."""
        span = (event.onset_s - LEAD_S, event.end_s + LEAD_S)
        first, last = np.searchsorted(self.times_s, span)
        return slice(int(first), int(last))

    def to_bytes(self) -> Bytes:
        """Round to frames (T, H, W, 3), uint8."""
        frames = np.empty((*self.pixels.shape[1:], 3), np.uint8)
        for channel, plane in enumerate(self.pixels):
            level = plane * np.float32(255)
            level += np.float32(0.5)
            frames[..., channel] = np.clip(level, 0, 255, out=level)
        return frames


class Brush:
    """Paints one event's sight where and while it is to be seen.

    `x` (t, 1, w) and `y` (t, h, 1) are coordinates about the event's centre, in units of its size;
    both are (t, h, w) when leant by its tilt, which `level` prevents. `times_s`, `cycle` and
    `since` (t, 1, 1) are the event's clock at the frames that show it. Painted is where |x|
    and |y| are at most `reach`, and at times a little farther.
    """

    def __init__(
        self, canvas: Canvas, event: Event, *, reach: float = 1.1, level: bool = False
    ) -> None:
        run = canvas.shows(event)
        times = canvas.times_s[run]
        self._unit = event.size * canvas.side
        self._tilt = 0.0 if level else event.tilt
        middle = times - (event.onset_s + event.end_s) / 2
        centre_x = (event.x + event.drift[0] * middle) * canvas.side + canvas.shift[0, run]
        centre_y = (event.y + event.drift[1] * middle) * canvas.side + canvas.shift[1, run]
        # The square of this reach, leant, lies in an upright one of this half side.
        half = reach * self._unit * (abs(np.cos(self._tilt)) + abs(np.sin(self._tilt)))
        left, right = _window(centre_x, half, canvas.side)
        top, bottom = _window(centre_y, half, canvas.side)
        self._pixels = canvas.pixels[:, run, top:bottom, left:right]
        x = (np.arange(left, right) + 0.5 - centre_x[:, None]) / self._unit
        y = (np.arange(top, bottom) + 0.5 - centre_y[:, None]) / self._unit
        self.x: Reals = x.astype(np.float32)[:, None, :]
        self.y: Reals = y.astype(np.float32)[:, :, None]
        self._origin = (self.x[:, 0, :1], self.y[:, :1, 0])
        if self._tilt:
            self.x, self.y = turn(self.x, self.y, event.tilt)
        self.times_s = times[:, None, None]
        self.cycle = event.cycle(self.times_s)
        self.since = event.since_strike(self.times_s)
        inside = np.minimum(times - event.onset_s, event.end_s - times) + LEAD_S
        fade = np.clip(inside / (0.75 * LEAD_S), 0, 1) * event.opacity
        self._fade: Reals = fade.astype(np.float32)[:, None, None]

    @property
    def playing(self) -> Reals:
        """1 from the event's first strike on, 0 before: (t, 1, 1)."""
        return (self.cycle >= 0).astype(np.float32)

    def fill(
        self, distance: Reals, colour: Sequence[float] | Reals, opacity: float | Reals = 1.0
    ) -> None:
        """Fill a shape with soft edges: where its signed distance, in units of size, is below 0."""
        cover = distance * np.float32(-self._unit)
        cover += np.float32(0.5)
        np.clip(cover, 0, 1, out=cover)
        self.glaze(cover, colour, opacity)

    def glaze(
        self, cover: Reals, colour: Sequence[float] | Reals, opacity: float | Reals = 1.0
    ) -> None:
        """Blend towards a colour, (3,) or (3, t, 1, 1), by a cover in [0, 1] (t, h, w)."""
        rows, columns = _extent(cover)
        weight = cover[:, rows, columns] * (self._fade * opacity).astype(np.float32)
        for plane, level in zip(self._pixels, np.asarray(colour, np.float32), strict=True):
            part = plane[:, rows, columns]
            change = level - part
            change *= weight
            part += change

    def specks(self, x: Reals, y: Reals, weight: Reals, spread: float = 0.35) -> Reals:
        """Cover of specks about three pixels wide at x, y (t, n), with weights in [0, 1]."""
        turned_x, turned_y = turn(x, y, -self._tilt)
        count, height, width = self._pixels.shape[1:]
        column = np.floor((turned_x - self._origin[0]) * self._unit + 0.5).astype(np.int64)
        row = np.floor((turned_y - self._origin[1]) * self._unit + 0.5).astype(np.int64)
        inside = (column > 0) & (column < width - 1) & (row > 0) & (row < height - 1)
        place = (np.arange(count)[:, None] * height + row) * width + column
        cells = count * height * width
        dots = np.bincount(place[inside], np.broadcast_to(weight, place.shape)[inside], cells)
        cover = dots.astype(np.float32).reshape(count, height, width)
        for axis in (1, 2):
            near = np.float32(spread) * cover
            cover = cover + np.roll(near, 1, axis) + np.roll(near, -1, axis)
        return np.minimum(cover, 1, out=cover)


def turn(x: Reals, y: Reals, angle: float | np.floating[Any] | Reals) -> tuple[Reals, Reals]:
    """Coordinates in a frame that is turned clockwise (as seen) by an angle in radians."""
    radians = np.asarray(angle, np.float32)
    cos, sin = np.cos(radians), np.sin(radians)
    return x * cos + y * sin, y * cos - x * sin


def _extent(cover: Reals) -> tuple[slice, slice]:
    """The rows and the columns outside which the cover is 0 in all frames."""
    found = [np.flatnonzero(np.any(cover, axis=axes)) for axes in ((0, 2), (0, 1))]
    rows, columns = (slice(at[0], at[-1] + 1) if at.size else slice(0, 0) for at in found)
    return rows, columns


def _window(centre: Floats, reach: float, side: int) -> tuple[int, int]:
    """Pixels from the first to past the last that the shape can touch, within the picture."""
    low = int(np.clip(np.floor(centre.min() - reach), 0, side))
    high = int(np.clip(np.ceil(centre.max() + reach), low, side))
    return low, high
