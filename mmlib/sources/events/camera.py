"""How a scene is filmed: the backdrop, the camera's shake, its exposure and its sensor's noise."""

import numpy as np

from mmlib.params.data import EventsData
from mmlib.runtime.arrays import Floats, Floats32
from mmlib.sources.events.scene import Scene


class Camera:
    """A hand-held camera before a textured wall; all its random draws are made at the start.

    `shift` is its movement in whole pixels, (2, T) as x and y.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scene: Scene,
        settings: EventsData,
        times_s: Floats,
    ) -> None:
        self._side, reach = settings.size, scene.shake * settings.size
        self._margin = int(np.ceil(reach))
        self._wall = _wall(rng, settings.clutter, self._side + 2 * self._margin)
        speeds, phases = rng.uniform(0.3, 2.5, (2, 3, 1)), rng.random((2, 3, 1))
        path = np.sin(2 * np.pi * (speeds * times_s + phases)).mean(axis=1)
        self.shift = np.rint(reach * path).astype(np.float32)
        self._flicker = 1 + rng.normal(0, 0.01, times_s.size).astype(np.float32)
        # Noise is cut at random places from one field of two frames: as good as fresh to the eye
        # and to the encoder, at a twentieth of the cost.
        self._frame = 3 * self._side**2
        self._noise = rng.standard_normal(2 * self._frame, np.float32) * np.float32(scene.grain)
        self._cuts = rng.integers(0, self._frame, times_s.size)

    def backdrop(self) -> Floats32:
        """The wall as seen in each frame: (3, T, H, W)."""
        corners = (self._margin - self.shift).astype(int).T
        side = self._side
        views = [self._wall[:, y : y + side, x : x + side] for x, y in corners]
        return np.stack(views, axis=1)

    def expose(self, pixels: Floats32) -> None:
        """Add a flickering exposure and the sensor's noise, in place."""
        pixels *= self._flicker[None, :, None, None]
        for index, cut in enumerate(self._cuts):
            noise = self._noise[cut : cut + self._frame]
            pixels[:, index] += noise.reshape(3, self._side, self._side)


def _wall(rng: np.random.Generator, clutter: float, side: int) -> Floats32:
    """A still texture (3, side, side): smooth noise at four scales, and a few boxes and ovals."""
    base = rng.uniform(0.08, 0.4)
    wall = base + 0.04 * rng.uniform(-1, 1, (3, 1, 1)) * np.ones((3, side, side))
    place = np.arange(side)
    for cells, strength in ((2, 0.5), (5, 0.4), (11, 0.3), (25, 0.2)):
        knots = np.linspace(0, side - 1, cells + 1)
        weights = np.maximum(1 - np.abs(place[:, None] - knots) * cells / (side - 1), 0)
        grid = rng.normal(0, clutter * strength, (3, cells + 1, cells + 1))
        wall += weights @ (1.6 * grid.mean(axis=0) + 0.2 * grid) @ weights.T
    for _ in range(int(rng.integers(2, 7))):
        x, y = ((place - rng.uniform(0, side)) / (side * rng.uniform(0.05, 0.3)) for _ in range(2))
        if rng.random() < 0.5:
            inside = x**2 + y[:, None] ** 2 < 1
        else:
            inside = (np.abs(x) < 1) & (np.abs(y[:, None]) < 1)
        wall[:, inside] += clutter * (rng.normal(0, 0.8) + rng.normal(0, 0.2, (3, 1)))
    return wall.astype(np.float32)
