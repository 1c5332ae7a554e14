"""Files damaged by structure: units of their container cut, dropped, doubled, moved, renumbered."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.media.making import PICTURES, SOUND, make
from tests.media.units import KINDS, Field, Unit

Damage = Callable[[bytearray, list[Unit], np.random.Generator], bytes]


@cache
def whole(kind: str) -> bytes:
    """Two seconds of pictures and a tone, in a container, as far as it can hold them."""
    with TemporaryDirectory() as folder:
        return make(Path(folder) / f"a.{kind}", PICTURES, SOUND, KINDS[kind][0]).read_bytes()


def damaged(kind: str, damage: str, seed: int) -> bytes:
    """A file of the kind with a damage of that name; the seed says where and how."""
    data = whole(kind)
    return DAMAGES[damage](bytearray(data), list(KINDS[kind][1](data)), np.random.default_rng(seed))


def _pick(units: Sequence[Unit], generator: np.random.Generator) -> Unit:
    return units[int(generator.integers(len(units)))]


def _cut_end(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    """The file ends within a unit, or between two."""
    unit = _pick(units, generator)
    return bytes(data[: max(1, int(generator.integers(unit.begin, unit.end + 1)))])


def _drop(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    unit = _pick(units, generator)
    return bytes(data[: unit.begin] + data[unit.end :])


def _drop_many(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    share = generator.choice([0.02, 0.1, 0.4])
    keep = np.ones(len(data), bool)
    for unit in units[1:]:
        if generator.random() < share:
            keep[unit.begin : unit.end] = False
    return bytes(np.frombuffer(data, np.uint8)[keep])


def _shorten(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    """A unit loses bytes of its middle, but keeps its size."""
    unit = _pick(units, generator)
    low, high = np.sort(generator.integers(unit.begin, unit.end + 1, 2))
    return bytes(data[:low] + data[high:])


def _overwrite(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    unit = _pick(units, generator)
    low, high = np.sort(generator.integers(unit.begin, unit.end + 1, 2))
    noise = generator.bytes(high - low) if generator.random() < 0.5 else bytes(high - low)
    data[low:high] = noise
    return bytes(data)


def _resize(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    """A unit's size is another number."""
    sized = [unit.size for unit in units if unit.size is not None]
    if not sized:
        return _overwrite(data, units, generator)
    field = sized[generator.integers(len(sized))]
    most = (1 << (8 * field.length)) - 1
    value = _read(data, field)
    choices = [0, 1, most, most // 2, value - 1, value + 1, value // 2, 2 * value, value ^ 0x100]
    _write(data, field, choices[generator.integers(len(choices))] & most)
    return bytes(data)


def _double(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    unit = _pick(units, generator)
    return bytes(data[: unit.end] + data[unit.begin : unit.end] + data[unit.end :])


def _swap(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    one, other = _pick(units, generator), _pick(units, generator)
    if one.begin > other.begin:
        one, other = other, one
    if one.end > other.begin:
        return _double(data, units, generator)
    between = data[one.end : other.begin]
    moved = data[other.begin : other.end] + between + data[one.begin : one.end]
    return bytes(data[: one.begin] + moved + data[other.end :])


def _shuffle_stamps(data: bytearray, units: list[Unit], generator: np.random.Generator) -> bytes:
    """Time stamps change places, or one is another number."""
    stamps = [unit.stamp for unit in units if unit.stamp is not None]
    if not stamps:
        return _swap(data, units, generator)
    if generator.random() < 0.5:
        field = stamps[generator.integers(len(stamps))]
        _write(data, field, int.from_bytes(generator.bytes(field.length)))
    else:
        chosen = [stamp for stamp in stamps if generator.random() < 0.5 and stamp.length > 0]
        values = [_read(data, field) for field in chosen]
        for field, place in zip(chosen, generator.permutation(len(chosen)), strict=True):
            _write(data, field, values[place] & ((1 << (8 * field.length)) - 1))
    return _checked(data, units)


def _read(data: bytearray, field: Field) -> int:
    return int.from_bytes(data[field.begin : field.begin + field.length], field.order)


def _write(data: bytearray, field: Field, value: int) -> None:
    data[field.begin : field.begin + field.length] = value.to_bytes(field.length, field.order)


_OGG_TABLE = [0] * 256
for _byte in range(256):
    _value = _byte << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value & 0x80000000 else 0)) & 0xFFFFFFFF
    _OGG_TABLE[_byte] = _value


def _checked(data: bytearray, units: Sequence[Unit]) -> bytes:
    """With the check sums of Ogg pages made good: else a reader skips the page."""
    for unit in units:
        if data[unit.begin : unit.begin + 4] == b"OggS":
            data[unit.begin + 22 : unit.begin + 26] = bytes(4)
            check = 0
            for byte in data[unit.begin : unit.end]:
                check = (check << 8 & 0xFFFFFFFF) ^ _OGG_TABLE[check >> 24 ^ byte]
            data[unit.begin + 22 : unit.begin + 26] = check.to_bytes(4, "little")
    return bytes(data)


DAMAGES: dict[str, Damage] = {
    "cut_end": _cut_end,
    "drop": _drop,
    "drop_many": _drop_many,
    "shorten": _shorten,
    "overwrite": _overwrite,
    "resize": _resize,
    "double": _double,
    "swap": _swap,
    "shuffle_stamps": _shuffle_stamps,
}
