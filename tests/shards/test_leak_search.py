"""The search for leaks finds what a comparison of every pair does, on made-up hashes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlib.runtime import parquet
from mmlib.runtime.arrays import Records
from mmlib.runtime.scratch import Scratch
from mmlib.shards.make.leaks import search, sieve
from mmlib.shards.make.leaks.audit import Audited, audit
from mmlib.shards.make.leaks.near import MOST_PARTNERS
from mmlib.shards.make.leaks.search import Pairs, near_pairs, pictures, sounds
from mmlib.shards.rows.ledger import PICTURE, SOUND

seeds = st.integers(0, 2**32 - 1)


def made_sounds(rng: np.random.Generator, count: int, origins: int) -> Records:
    """Vectors and codes that lie about a few, shifted; some silent, some with few sure bits."""
    found = np.zeros(count, SOUND)
    of = rng.integers(origins, size=count)
    vectors = np.random.default_rng(1).standard_normal((origins, 16, 8))[of]
    vectors += rng.uniform(0.5, 2, (count, 1, 1)) * rng.standard_normal((count, 16, 8))
    codes = np.random.default_rng(2).integers(2**32, size=(origins, 64), dtype=np.uint32)[of]
    for clip, shift in enumerate(rng.integers(-6, 7, count)):
        vectors[clip] = np.roll(vectors[clip], shift, axis=0)
        codes[clip] = np.roll(codes[clip], 2 * shift + rng.integers(-1, 2))
    wrong = rng.random((count, 64, 32)) < rng.uniform(0, 0.25, (count, 1, 1))
    found["code"] = codes ^ np.packbits(wrong, axis=2, bitorder="little").view("<u4")[..., 0]
    sure = rng.random((count, 64, 32)) < rng.uniform(0, 1, (count, 1, 1)) ** 2
    found["mask"] = np.packbits(sure, axis=2, bitorder="little").view("<u4")[..., 0]
    found["vector"] = vectors / np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    found[rng.random(count) < 0.1] = np.zeros((), SOUND)
    return found


def made_pictures(rng: np.random.Generator, count: int, origins: int) -> Records:
    """Pictures that lie about a few; some of them still for a while, some black."""
    found = np.zeros(count, PICTURE)
    of = rng.integers(origins, size=count)
    vectors = np.random.default_rng(1).standard_normal((origins, 1, 63))[of]
    vectors += 0.15 * rng.standard_normal((count, 1, 63))
    found["vector"] = vectors / np.linalg.norm(vectors, axis=(1, 2), keepdims=True)
    changes = np.random.default_rng(2).standard_normal((origins, 5, 143))[of]
    changes += rng.uniform(0, 1, (count, 1, 1)) * rng.standard_normal((count, 5, 143))
    changes[rng.random((count, 5)) < 0.3] = 0
    found["changes"] = np.clip(40 * changes, -127, 127)
    found[rng.random(count) < 0.1] = np.zeros((), PICTURE)
    return found


def near_in_sound(one: Records, two: Records, distance: float) -> float | None:
    """The distance of two clips at the best shift, or None: docs/data.md word for word."""
    shares = {}
    for shift in range(-10, 11):
        places = [(t + shift, t) for t in range(64) if 0 <= t + shift < 64]
        both = [int(one["mask"][a] & two["mask"][b]) for a, b in places]
        wrong = [int(one["code"][a] ^ two["code"][b]) for a, b in places]
        counted = sum(bits.bit_count() for bits in both)
        differing = sum((w & m).bit_count() for w, m in zip(wrong, both, strict=True))
        shares[shift] = differing / counted if counted >= 64 else 1.0
    vectors = [np.pad(each["vector"].astype(float), ((5, 5), (0, 0))) for each in (one, two)]
    for shift in range(-5, 6):
        cut = np.zeros_like(vectors[0])
        cut[5:21] = vectors[0][5 + shift : 21 + shift]
        length = np.linalg.norm(cut)
        alike = length > 0 and (cut * vectors[1]).sum() / length >= 0.45
        if alike and min(shares.get(2 * shift + half, 1.0) for half in (-1, 0, 1)) <= distance:
            return min(shares.values())
    return None


def near_in_pictures(one: Records, two: Records, distance: float) -> float | None:
    """The distance of two clips, or None: likewise."""
    cosine = float((one["vector"].astype(float) * two["vector"].astype(float)).sum())
    first, second = one["changes"].astype(float), two["changes"].astype(float)
    common = [step for step in range(5) if first[step].any() and second[step].any()]
    if cosine < 0.98 or len(common) < 2:
        return None
    first, second = first[common].ravel(), second[common].ravel()
    found = 1 - first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return float(found) if found <= distance else None


def brute(kind: str, one: Records, two: Records, distance: float) -> dict[tuple[int, int], float]:
    rule = near_in_sound if kind == "sound" else near_in_pictures
    pairs = {
        (a, b): rule(one[a], two[b], distance) for a in range(len(one)) for b in range(len(two))
    }
    return {pair: found for pair, found in pairs.items() if found is not None}


def as_dict(pairs: Pairs) -> dict[tuple[int, int], float]:
    keys = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    return dict(zip(keys, pairs.distances.tolist(), strict=True))


@pytest.mark.parametrize("rounded", [True, False])
@pytest.mark.parametrize("kind", ["sound", "picture"])
@settings(max_examples=6, deadline=None)
@given(seed=seeds)
def test_every_pair_that_is_near_is_found_and_no_other(kind: str, rounded: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    make, distance = (made_sounds, 0.15) if kind == "sound" else (made_pictures, 0.1)
    one, two = make(rng, 10, 3), make(rng, 8, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sieve, "has_bfloat16", lambda: rounded)
        patch.setattr(sieve, "_COLUMNS", int(rng.integers(1, 13)))
        patch.setattr(sieve, "_PAIRS", int(rng.integers(1, 40)))
        patch.setattr(search, "_ROWS", int(rng.integers(1, 16)))
        if kind == "sound":
            found = as_dict(near_pairs(sounds(one), sounds(two), distance))
        else:
            found = as_dict(near_pairs(pictures(one), pictures(two), distance))
    expected = brute(kind, one, two, distance)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-5)


@given(seed=seeds, most=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_only_the_nearest_partners_are_kept(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.permutation(60)[: rng.integers(61)]
    pairs = Pairs(one // 10, one % 10, rng.integers(4, size=len(one)).astype(np.float32))
    kept = search.nearest(pairs, most)
    expected = []
    for first in range(6):
        partners = sorted((d, s) for f, s, d in zip(*pairs, strict=True) if f == first)[:most]
        expected += sorted((first, s, d) for d, s in partners)
    assert list(zip(*kept, strict=True)) == expected


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_clips_that_share_a_value_leak_into_every_later_split(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    splits = np.sort(rng.integers(3, size=count)).astype(np.int8)
    usable, values = rng.random(count) < 0.8, rng.integers(6, size=count)
    shared = pa.chunked_array([pa.array([str(value) for value in values])])
    own = pa.chunked_array([pa.array([str(place) for place in range(count)])])
    nothing = pa.table(
        {name: pa.nulls(count, pa.binary(4)) for name in ("sound_hash", "picture_hash")}
    )
    folder = tmp_path_factory.mktemp("leaks")
    parquet.write_table(nothing, folder / "survey.parquet")
    clips = Audited(shared, own, splits, usable, [folder / "survey.parquet"], np.array([count]))
    scratch = Scratch("leaks", "test", folder / "scratch")
    leaks = audit(clips, sound_distance=0.15, picture_distance=0.1, scratch=scratch)
    expected = []
    for place in np.flatnonzero(usable):
        later = usable & (values == values[place]) & (splits > splits[place])
        expected += [(int(place), int(other)) for other in np.flatnonzero(later)[:MOST_PARTNERS]]
    assert list(zip(leaks.earlier.tolist(), leaks.later.tolist(), strict=True)) == expected
