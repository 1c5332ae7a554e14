"""What weather, places and people put before a camera.

Each is a picture that is blended over the clip's: `cover` (T, H, W, 1) in [0, 1] says how far, and
grows everywhere with the level, so that the error does too. Places and sizes are shares of the
picture's side, so that any size of picture is covered alike. Times are in seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from mmlib.evaluation.stress.corruptions.fields import (
    axes,
    clouds,
    even,
    ranks,
    specks,
    within,
)
from mmlib.evaluation.stress.corruptions.pixels import stored
from mmlib.runtime.arrays import Bytes, Floats


class Veil(NamedTuple):
    """What is seen in the place of the clip, (T, H, W, 3) or of fewer axes, and how far."""

    picture: Floats
    cover: Floats


Scenery = Callable[[np.random.Generator, Floats, Floats, Sequence[float]], list[Veil]]


def snow(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """`level` flakes in the picture that drift down, near ones large and fast."""
    most = int(max(levels))
    near = rng.random(most)
    x, y = rng.random((2, most))
    sway = 0.03 * np.sin(2 * np.pi * (rng.random(most) + times_s[:, None] * rng.random(most)))
    path = np.stack([(x + sway) % 1, (y + times_s[:, None] * (0.2 + 0.4 * near)) % 1], axis=2)
    white = np.array([0.95, 0.97, 1.0])
    sizes = np.where(near > 0.6, 1, 0)
    veils = []
    for level in levels:
        there = np.arange(most) < level
        covers = [
            specks(path[:, there & (sizes == size)], frames.shape, radius)
            for size, radius in enumerate((0.012, 0.025))
        ]
        veils.append(Veil(white, np.maximum(*covers)))
    return veils


def rain(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """`level` streaks that fall aslant."""
    most, points = int(max(levels)), np.linspace(0, 0.14, 9)
    x, y = rng.random((2, most))
    speed, lean = rng.uniform(1.5, 2.5, most), rng.uniform(-0.3, 0.3)
    fallen = (y + times_s[:, None] * speed) % 1.2 - 0.1
    veils = []
    for level in levels:
        there = np.arange(most) < level
        down = fallen[:, there, None] + points
        across = np.broadcast_to(x[there, None] + lean * points, down.shape)
        path = np.stack([across % 1, down], axis=-1).reshape(len(times_s), -1, 2)
        veils.append(Veil(np.array([0.75, 0.8, 0.88]), 0.85 * specks(path, frames.shape, 0.006)))
    return veils


def frost(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """Ice on the lens that covers the share `level` of it, from the edges inwards."""
    field = clouds(rng, frames.shape, (5, 11, 23))
    grain = clouds(rng, frames.shape, (17, 37))
    row, column = (np.abs(2 * axis - 1) for axis in axes(frames.shape))
    order = ranks(0.5 * field + np.maximum(row, column))
    picture = 0.75 + 0.25 * grain[..., None] * np.array([0.9, 0.97, 1.0])
    return [Veil(picture, 0.9 * within(order, level)) for level in levels]


def spatter(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """Mud on the lens in blots that cover the share `level` of it."""
    order = ranks(clouds(rng, frames.shape, (6, 13)))
    mud = np.array([0.26, 0.18, 0.1]) + 0.08 * clouds(rng, frames.shape, (9, 19))[..., None]
    return [Veil(mud, 0.95 * within(order, level)) for level in levels]


def wind(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """A camera that the wind shakes: the share `level` of the light smeared and displaced."""
    width = frames.shape[2]
    shift = np.rint(0.12 * width * rng.standard_normal(len(frames))).astype(int)
    moved = [np.roll(frame, by, axis=1) for frame, by in zip(frames, shift, strict=True)]
    smeared = gaussian_filter(np.stack(moved), (0, 0, 0.06 * width, 0), mode="nearest")
    return [Veil(smeared, even(level)) for level in levels]


def underwater(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """Water: blue-green, blurred, in waves; the share `level` of the light comes through it."""
    height, width = frames.shape[1:3]
    row, column = np.mgrid[:height, :width]
    phase = 2 * np.pi * (2.5 * column / width + 0.6 * times_s[:, None, None] + rng.random())
    rows = np.clip(np.rint(row + 0.05 * height * np.sin(phase)), 0, height - 1).astype(int)
    waved = frames[np.arange(len(frames))[:, None, None], rows, column]
    side = 0.03 * height
    blurred = gaussian_filter(waved, (0, side, side, 0), mode="nearest")
    tinted = blurred * np.array([0.35, 0.75, 0.85]) + np.array([0.0, 0.08, 0.12])
    return [Veil(tinted, even(level)) for level in levels]


def concert(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """A dark hall and coloured beams that sweep it: the share `level` of the light is theirs."""
    row, column = axes(frames.shape)
    lit = 0.25 * frames
    for hue in rng.permutation(np.eye(3) + 0.25):
        foot, swing, pace = rng.random(), rng.uniform(0.3, 0.8), rng.uniform(0.2, 0.6)
        lean = swing * np.sin(2 * np.pi * (pace * times_s + rng.random()))
        away = column - foot - lean[:, None, None] * (1 - row)
        beam = np.exp(-0.5 * (away / 0.09) ** 2)
        lit = lit + 0.8 * beam[..., None] * hue
    return [Veil(np.clip(lit, 0, 1), even(level)) for level in levels]


def smoke(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """Drifting smoke that hides up to the share `level` of the light."""
    field = clouds(rng, frames.shape, (3, 7, 15))
    pace = rng.uniform(-0.3, 0.3, 2) * frames.shape[1:3]
    steps = np.rint(times_s[:, None] * pace).astype(int)
    drifted = np.stack([np.roll(field, tuple(step), (0, 1)) for step in steps])
    thick = np.clip(1.6 * ranks(drifted), 0, 1)[..., None]
    return [Veil(np.array([0.62, 0.62, 0.64]), level * thick) for level in levels]


def crowd(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """Heads before the camera, up to the share `level` of its height."""
    row, column = axes(frames.shape)
    line = np.zeros((len(frames), 1, frames.shape[2]))
    for _ in range(7):
        place, size = rng.random(), rng.uniform(0.07, 0.12)
        middle = place + 0.03 * np.sin(2 * np.pi * (0.5 * times_s + rng.random()))
        reach = np.clip(1 - ((column - middle[:, None, None]) / size) ** 2, 0, 1)
        line = np.maximum(line, rng.uniform(0.8, 1.0) * np.sqrt(reach))
    shade = 0.04 + 0.1 * clouds(rng, frames.shape, (4, 9))[..., None] * np.array([1.0, 0.9, 0.8])
    soft = 1.0 / frames.shape[1]
    return [
        Veil(shade, np.clip((row - 1 + level * (0.4 + 0.6 * line)) / soft, 0, 1)[..., None])
        for level in levels
    ]


def interference(
    rng: np.random.Generator, frames: Floats, times_s: Floats, levels: Sequence[float]
) -> list[Veil]:
    """The share `level` of the lines torn: displaced, or of noise."""
    count, height, width = frames.shape[:3]
    lines = np.tile((np.arange(height) + 0.5) / height, (count, 1))
    order = rng.permuted(lines, axis=1)[:, :, None, None]
    shifts = rng.integers(0, width, (count, height))
    places = (np.arange(width) + shifts[..., None]) % width
    torn = np.take_along_axis(frames, places[..., None], axis=2)
    noise = rng.random((count, height, width, 1)) * np.ones(3)
    picture = np.where(rng.random((count, height, 1, 1)) < 0.5, torn, noise)
    return [Veil(picture, (order < level).astype(np.float64)) for level in levels]


SCENERIES: Mapping[str, Scenery] = {
    "snow": snow,
    "frost": frost,
    "spatter": spatter,
    "wind": wind,
    "rain": rain,
    "underwater": underwater,
    "concert": concert,
    "smoke": smoke,
    "crowd": crowd,
    "interference": interference,
}


def veiled(
    rng: np.random.Generator,
    frames: Bytes,
    times_s: Floats,
    kind: str,
    levels: Sequence[float],
) -> list[Bytes]:
    """Frames (T, H, W, 3), shown at `times_s` (T,), behind one of `SCENERIES` at each level."""
    clean = frames / 255.0
    return [
        stored(clean + cover * (picture - clean))
        for picture, cover in SCENERIES[kind](rng, clean, times_s, levels)
    ]
