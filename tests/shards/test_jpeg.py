"""Frames stored as JPEG: close to the pixels, smaller, the same for all readers, or refused."""

import io
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import simplejpeg
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from mmlib.batch import Place
from mmlib.params.shard import Shard
from mmlib.runtime.arrays import Bytes
from mmlib.runtime.errors import UserError
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read import jpeg
from mmlib.shards.read.format import PAYLOADS, Payload, ShardReader, write_shard
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import read_manifest
from tests.decoded_shards import SETTINGS, clips, without_video, write_decoded
from tests.properties import examples
from tests.shards.test_format import JPEG_LAYOUT, LAYOUT, rows


def shaded(count: int, height: int, width: int, seed: int = 0) -> Bytes:
    """Pictures as cameras give them: smooth in every colour, from black to white, some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 10.0
    phases = rng.uniform(0, 6, (count, 3, 2))
    waves = [[np.sin(y + a) * np.sin(x + b) for a, b in colours] for colours in phases]
    levels = 127.5 + 140 * np.array(waves) + rng.normal(0, 1, (count, 3, height, width))
    return np.moveaxis(levels.round().clip(0, 255).astype(np.uint8), 1, -1)


def psnr(found: Bytes, true: Bytes) -> float:
    error = np.square(found.astype(float) - true).mean()
    return float(10 * np.log10(255.0**2 / error))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@example(16, 16, 0)
@examples(20)
def test_pictures_come_back_close_whatever_their_size(height: int, width: int, seed: int) -> None:
    frames = shaded(2, height, width, seed)
    found = jpeg.decode([jpeg.encode(frames, 95), None], ["a", "b"], frames.shape)
    assert found.shape == (2, *frames.shape)
    assert found.dtype == np.uint8
    assert psnr(found[0], frames) > 38
    assert not found[1].any()


@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_grey_stays_grey_from_black_to_white(level: int) -> None:
    frames = np.full((1, 9, 7, 3), level, np.uint8)
    found = jpeg.decode([jpeg.encode(frames, 95)], ["a"], frames.shape)
    assert np.abs(found.astype(int) - level).max() <= 1
    assert np.ptp(found, axis=-1).max() == 0
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=-1)
    found = jpeg.decode([jpeg.encode(ramp, 100)], ["a"], ramp.shape)[0].astype(int)
    assert np.abs(found - ramp[0]).max() <= 2


def test_more_quality_is_closer_and_larger() -> None:
    frames = shaded(1, 112, 112)
    sizes, errors = [], []
    for quality in (30, 75, 95):
        pictures = jpeg.encode(frames, quality)
        sizes.append(len(pictures[0]))
        errors.append(psnr(jpeg.decode([pictures], ["a"], frames.shape)[0], frames))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors)
    assert errors[-1] > 42
    assert sizes[-1] < frames.nbytes / 3


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([30, 95, 100]), st.integers(0, 99))
@examples(20)
def test_the_quick_way_gives_the_pixels_of_the_other(
    height: int, width: int, quality: int, seed: int
) -> None:
    frames = shaded(2, height, width, seed)
    with_both_decoders([jpeg.encode(frames, quality)], frames.shape, quick=2)


def test_other_kinds_of_jpeg_take_the_other_way() -> None:
    (frame,) = shaded(1, 24, 20)
    for options in ({"progressive": True}, {"subsampling": 2}, {"exif": b"Exif\0\0MM"}):
        stream = io.BytesIO()
        Image.fromarray(frame).save(stream, "JPEG", quality=95, **options)
        with_both_decoders(
            [[stream.getvalue()]], (1, *frame.shape), quick=int("subsampling" in options)
        )


def with_both_decoders(clips: list[list[bytes]], shape: tuple[int, ...], *, quick: int) -> None:
    """Hold that they agree, and that the quick one has decoded so many."""
    with mock.patch.object(jpeg, "decode_jpeg", wraps=simplejpeg.decode_jpeg) as decoder:
        found = jpeg.decode(clips, ["a"], shape)
        assert decoder.call_count == quick
    with mock.patch.object(jpeg, "decode_jpeg", None):
        assert np.array_equal(found, jpeg.decode(clips, ["a"], shape))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_a_picture_cut_short_is_refused_even_where_its_end_is_marked(share: float) -> None:
    frames = shaded(1, 24, 20)
    (whole,) = jpeg.encode(frames, 95)
    for end in (b"", b"\xff\xd9"):
        cut = whole[: int(share * len(whole))] + end
        with pytest.raises(ValueError, match=r"^clip a, frame 0: no such JPEG: [^\n]+$"):
            jpeg.decode([[cut]], ["a"], frames.shape)


@given(st.binary(max_size=60), st.integers(0, 700), st.integers(0, 255))
@examples(100)
def test_bytes_that_are_no_picture_end_in_one_error(noise: bytes, place: int, value: int) -> None:
    (picture,) = jpeg.encode(shaded(1, 8, 8), 90)
    damaged = bytearray(picture)
    damaged[place % len(picture)] = value
    for broken in (b"\xff\xd8" + noise + b"\xff\xd9", noise, bytes(damaged)):
        frames = np.empty((1, 1, 8, 8, 3), np.uint8)
        with suppress(ValueError):
            jpeg.decode_into(frames, [jpeg.Pictures("a", [broken])])


def test_threads_change_no_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [shaded(3, 24, 20, seed) for seed in range(5)]
    pictures = [jpeg.encode(one, 90) for one in frames]
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found.append(jpeg.decode(pictures, list("abcde"), frames[0].shape))
    assert np.array_equal(found[0], found[1])


def test_rows_come_back_and_the_rest_is_as_without(tmp_path: Path) -> None:
    written = rows(20)
    write_shard(tmp_path / "jpeg.parquet", JPEG_LAYOUT, written)
    write_shard(tmp_path / "raw.parquet", LAYOUT, written)
    found, raw = (ShardReader(tmp_path / f"{name}.parquet") for name in ("jpeg", "raw"))
    assert found.layout == JPEG_LAYOUT
    assert "jpeg" not in str(raw._file.schema.metadata), "raw shards are what they were"
    index, expected = found.index(), raw.index()
    assert index.clip_ids == expected.clip_ids
    assert np.array_equal(index.present["video"], expected.present["video"])
    for group, size in enumerate(found.sizes):
        assert np.array_equal(found.read(group, "log_mel"), raw.read(group, "log_mel"))
        assert np.array_equal(found.read(group, "waveform"), raw.read(group, "waveform"))
        frames = found.read(group, "frames")
        assert frames.shape == (size, *LAYOUT.frames.shape)
        assert frames.dtype == np.uint8
        assert not frames.flags.writeable
        for place, row in enumerate(written[16 * group : 16 * group + size]):
            if row.frames is None:
                assert not frames[place].any()
            else:
                pictures = jpeg.encode(row.frames, 95)
                assert np.array_equal(
                    frames[place], jpeg.decode([pictures], ["a"], row.frames.shape)[0]
                )


BROKEN: dict[str, tuple[Callable[[bytes], bytes] | None, str]] = {
    "cut off": (lambda one: one[: len(one) // 2], "frame 1: no such JPEG: "),
    "no picture": (lambda one: b"no picture", "frame 1: no such JPEG: "),
    "empty": (lambda one: b"", "frame 1: no such JPEG: "),
    "another size": (
        lambda one: jpeg._encoded(np.zeros((6, 8, 3), np.uint8), 95),
        "frame 1: no such JPEG: 8 x 6 RGB instead of 6 x 6 RGB",
    ),
    "grey": (
        lambda one: jpeg._encoded(np.zeros((6, 6), np.uint8), 95),
        "frame 1: no such JPEG: 6 x 6 L instead of 6 x 6 RGB",
    ),
    "missing": (None, "frames: 1 instead of 2"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_picture_is_one_line_with_file_and_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Written so, checksums and all: what the disk does to a shard is for tests/test_damage.py."""
    change, said = BROKEN[case]
    whole = jpeg.encode

    def broken(frames: Bytes, quality: int) -> list[bytes]:
        first, second = whole(frames, quality)
        return [first] if change is None else [first, change(second)]

    monkeypatch.setattr(jpeg, "encode", broken)
    write_shard(tmp_path / "x.parquet", JPEG_LAYOUT, rows(3)[1:])
    reader = ShardReader(tmp_path / "x.parquet")
    with pytest.raises(UserError, match=rf"x\.parquet: .*clip 1 é, {said}.*dvc repro") as caught:
        reader.read(0, PAYLOADS["video"])
    assert "\n" not in str(caught.value)


def made(folder: Path, settings: Shard) -> Path:
    """Shards of noise, some of it without pictures."""
    listed = clips(train=25)
    listed[3] = without_video(listed[3])
    decoded = write_decoded(folder / "decoded", listed)
    make_shards(decoded, folder / "shards", settings, scratch_root=folder / "scratch")
    return folder / "shards"


def of_quality(quality: int | None) -> Shard:
    video = SETTINGS.video.model_copy(update={"jpeg_quality": quality})
    return SETTINGS.model_copy(update={"video": video})


def test_the_stage_measures_what_readers_get(tmp_path: Path) -> None:
    """Statistics are of decoded pictures; ids, labels and what leaks are as without JPEG."""
    raw, found = (made(tmp_path / str(q), of_quality(q)) for q in (None, 60))
    manifest, plain = read_manifest(found), read_manifest(raw)
    assert manifest["video"]["jpeg_quality"] == 60
    assert "jpeg_quality" not in plain["video"]
    assert (manifest["clips"], manifest["audio"]) == (plain["clips"], plain["audio"])
    assert (found / "ledger.parquet").read_bytes() == (raw / "ledger.parquet").read_bytes()
    assert (found / "leaks.csv").read_bytes() == (raw / "leaks.csv").read_bytes()
    train = ShardSet(found, "train")
    batch = train.gather(np.arange(len(train))).inputs
    levels = batch["video"] * 255
    assert torch.equal(levels.round() / 255, batch["video"])
    seen = batch["video"][batch["video_present"]].double().transpose(0, 1).flatten(1).numpy()
    assert np.allclose(manifest["video"]["mean"], seen.mean(1), rtol=1e-6)
    assert np.allclose(manifest["video"]["std"], seen.std(1), rtol=1e-6)
    assert manifest["video"]["mean"] != plain["video"]["mean"]


def test_streamed_and_resident_sets_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = made(tmp_path, of_quality(90))
    whole = ShardSet(root, "train").gather(np.arange(25))
    monkeypatch.setenv("MMLIB_CACHE_GB", "0")
    streamed = ShardSet(root, "train")
    places = np.array([24, 3, 3, 17])
    found = streamed.gather(places).inputs["video"]
    assert torch.equal(found, whole.inputs["video"][places])
    batches = torch.cat([batch.inputs["video"] for batch in streamed.batches(7)])
    assert torch.equal(batches, whole.inputs["video"])


def test_only_the_clips_that_are_asked_for_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, though batches repeat them; so processes that share a batch share the work."""
    monkeypatch.setenv("MMLIB_CACHE_GB", "0")
    streamed = ShardSet(made(tmp_path, of_quality(90)), "train", pixels=True)
    decoded: list[str] = []
    fill = jpeg._fill

    def counted(frames: Bytes, pictures: Sequence[bytes], name: str) -> None:
        decoded.append(name)
        fill(frames, pictures, name)

    monkeypatch.setattr(jpeg, "_fill", counted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    batch = streamed.gather(np.array([9, 1, 9, 3, 1]))
    assert decoded == ["train-1", "train-9"], "train-3 has no pictures"
    assert torch.equal(batch.inputs["video"][0], batch.inputs["video"][2])
    decoded.clear()
    for rank in range(2):
        list(streamed.batches(7, ("video",), seed=0, place=Place(rank, 2)))
    assert sorted(decoded) == sorted(set(streamed.clip_ids) - {"train-3"})


def test_raw_shards_do_not_pass_for_jpeg(tmp_path: Path) -> None:
    root, other = made(tmp_path / "a", of_quality(90)), made(tmp_path / "b", of_quality(None))
    (root / "eval-00000.parquet").write_bytes((other / "eval-00000.parquet").read_bytes())
    with pytest.raises(UserError, match=r"eval-00000\.parquet: of another run"):
        ShardSet(root, "eval")


def test_a_shard_of_pictures_is_smaller(tmp_path: Path) -> None:
    shape = (4, 64, 64, 3)
    layout = LAYOUT.model_copy(update={"frames": Payload(shape=shape, dtype="uint8")})
    written = [row._replace(frames=shaded(4, 64, 64, n)) for n, row in enumerate(rows(8))]
    sizes = {}
    for quality in (None, 95):
        path = tmp_path / f"{quality}.parquet"
        write_shard(path, layout.model_copy(update={"jpeg_quality": quality}), written)
        sizes[quality] = path.stat().st_size
    assert sizes[95] < sizes[None] / 2
