"""Encoding and decoding, against signals that are known in closed form."""

import pickle
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlib.media import ffmpeg
from mmlib.media.decode import decode
from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits, MediaError, binary
from mmlib.media.graph import Form
from mmlib.media.length import measure
from mmlib.runtime.errors import UserError
from tests.properties import examples
from tests.samples import FORM, LIMITS, RATE_HZ, media, numbered, numbers, tone


def convert(file: bytes, folder: Path, *arguments: str, name: str = "out.mkv") -> Path:
    """Let ffmpeg write the file anew."""
    source, out = folder / "source.bin", folder / name
    source.write_bytes(file)
    subprocess.run([binary(), "-y", "-v", "error", "-i", source, *arguments, out], check=True)
    return out


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """4 s of 25 fps in which every frame shows its number, in several containers."""
    folder, frames, sound = tmp_path_factory.mktemp("counting"), numbered(100), tone(4.0)
    files = {kind: encode(frames, sound, fps=25.0, container=kind) for kind in ("mp4", "webm")}
    for name, codecs in {
        "a.ts": "-c:v mpeg2video -q:v 1 -c:a mp2",
        "a.avi": "-c:v mjpeg -q:v 1 -c:a pcm_s16le",
    }.items():
        out = convert(files["webm"], folder, *codecs.split(), name=name)
        files[out.suffix[1:]] = out.read_bytes()
    return files


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_encoding_is_deterministic(container: str) -> None:
    first, again = (
        encode(numbered(8), tone(0.5), fps=16.0, container=container, sample_rate_hz=RATE_HZ)
        for _ in range(2)
    )
    assert first == again


def test_encode_refuses_nothing_and_the_unknown() -> None:
    with pytest.raises(ValueError, match="nothing to encode"):
        encode(None, None)
    with pytest.raises(ValueError, match="known are mp4, webm"):
        encode(numbered(2), None, container="gif")
    with pytest.raises(MediaError, match="encode: width not divisible by 2"):
        encode(np.zeros((2, 33, 33, 3), np.uint8), None)


@pytest.mark.parametrize("container", ["mp4", "webm", "ts", "avi"])
def test_whole_file(counting: dict[str, bytes], container: str) -> None:
    decoded = decode(counting[container], FORM, LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    assert decoded.frames.dtype == np.uint8
    assert decoded.frames.shape[1:] == (16, 16, 3)
    assert decoded.pcm.dtype == np.int16
    assert decoded.video_s == pytest.approx(4.0, abs=0.04)
    assert decoded.audio_s == pytest.approx(4.0, abs=0.06)
    assert decoded.offset_s == pytest.approx(0.0, abs=0.04)
    assert decoded.damage is None
    # Frame k shows source frame floor(k / 4 * 25): never one from the future.
    shown = numbers(decoded.frames)[:16]
    due = np.floor(np.arange(16) * 25 / 4)
    if container == "ts":
        # Its pictures begin some milliseconds after its sound.
        assert np.all((due - shown >= 0) & (due - shown <= 1))
    else:
        np.testing.assert_array_equal(shown, due)


@pytest.mark.parametrize("container", ["mp4", "webm"])
@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 1.0), (1.0, 3.0), (1.99, 3.37), (3.5, 4.0)])
def test_sections_are_exact(
    counting: dict[str, bytes], container: str, start_s: float, end_s: float
) -> None:
    decoded = decode(counting[container], FORM, LIMITS, start_s=start_s, end_s=end_s)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    times = start_s + np.arange(len(decoded.frames)) / FORM.fps
    assert len(times) == np.ceil((end_s - start_s) * FORM.fps)
    np.testing.assert_array_equal(numbers(decoded.frames), np.floor(times * 25 + 1e-6))
    assert len(decoded.pcm) == round((end_s - start_s) * RATE_HZ)
    # A sine's phase tells where it was cut; time stamps of webm are whole milliseconds.
    times = np.arange(len(decoded.pcm)) / RATE_HZ
    phase = np.angle(np.sum(decoded.pcm * np.exp(-2j * np.pi * 440 * times)))
    late = (phase + np.pi / 2 - 2 * np.pi * 440 * start_s) / (2 * np.pi * 440)
    assert abs((late + 0.5 / 440) % (1 / 440) - 0.5 / 440) < 0.0011
    assert decoded.damage is None


def test_section_of_a_stream_without_index(counting: dict[str, bytes]) -> None:
    decoded = decode(counting["ts"], FORM, LIMITS, start_s=2.1, end_s=3.1)
    assert decoded.frames is not None
    due = np.floor((2.1 + np.arange(4) / FORM.fps) * 25)
    assert np.all(np.abs(numbers(decoded.frames) - due) <= 1)
    assert decoded.damage is None


def test_section_beyond_the_end(counting: dict[str, bytes]) -> None:
    partly = decode(counting["mp4"], FORM, LIMITS, start_s=3.5, end_s=6.0)
    assert partly.video_s == pytest.approx(0.5)
    assert partly.pcm is not None
    assert len(partly.pcm) == pytest.approx(0.5 * RATE_HZ, abs=32)
    with pytest.raises(MediaError, match="empty_section"):
        decode(counting["mp4"], FORM, LIMITS, start_s=6.0, end_s=7.0)


@given(
    fps=st.sampled_from([1.0, 2.5, 4.0, 12.5, 25.0, 30.0]),
    rate_hz=st.sampled_from([8000, 16000, 22050, 44100]),
    count=st.integers(1, 20),
)
@examples(8)
def test_lengths_and_grid(fps: float, rate_hz: int, count: int) -> None:
    seconds = count / 10
    file = encode(numbered(count), tone(seconds), fps=10.0)
    decoded = decode(file, Form(rate_hz, fps, 16), LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    assert len(decoded.frames) == np.ceil(round(seconds * fps, 6))
    times = np.arange(len(decoded.frames)) / fps
    np.testing.assert_array_equal(numbers(decoded.frames), np.floor(times * 10 + 1e-6))
    assert len(decoded.pcm) == pytest.approx(seconds * rate_hz, abs=0.005 * rate_hz)


@pytest.mark.parametrize("container", ["mp4", "webm"])
@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_sound_and_pictures_stay_together(container: str, rate_hz: int) -> None:
    frames = np.full((50, 32, 32, 3), 20, np.uint8)
    sound = np.zeros(2 * rate_hz, np.int16)
    for onset in (10, 30):
        frames[onset : onset + 3] = 235
        begin = round(onset / 25 * rate_hz)
        sound[begin : begin + rate_hz // 20] = tone(0.05, 1000.0, rate_hz)
    file = encode(frames, sound, fps=25.0, sample_rate_hz=rate_hz, container=container)
    decoded = decode(file, Form(RATE_HZ, 25.0, 16), LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    bright = decoded.frames.mean((1, 2, 3)) > 128
    flashes = np.flatnonzero(bright[1:] & ~bright[:-1]) + 1
    np.testing.assert_array_equal(flashes, [10, 30])
    loud = np.abs(decoded.pcm.astype(float)).reshape(-1, 80).max(1) > 3000
    clicks = (np.flatnonzero(loud[1:] & ~loud[:-1]) + 1) * 80 / RATE_HZ
    np.testing.assert_allclose(clicks, [0.4, 1.2], atol=0.006)


@pytest.mark.parametrize("late", ["sound", "pictures"])
def test_a_late_track_keeps_its_place(tmp_path: Path, late: str) -> None:
    """One track starts 0.5 s late: it is padded in front, and the offset says so."""
    file = tmp_path / "source.bin"
    maps = ["-map", "0:v", "-map", "1:a"] if late == "sound" else ["-map", "1:v", "-map", "0:a"]
    shifted = ["-itsoffset", "0.5", "-i", str(file), *maps, "-c", "copy"]
    out = convert(encode(numbered(50), tone(2.0), fps=25.0), tmp_path, *shifted)
    decoded = decode(out, FORM, LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    assert decoded.offset_s == pytest.approx(0.5 if late == "sound" else -0.5, abs=0.03)
    assert decoded.video_s == pytest.approx(2.0, abs=0.05)
    assert decoded.audio_s == pytest.approx(2.0, abs=0.05)
    if late == "sound":
        assert np.abs(decoded.pcm[: RATE_HZ * 2 // 5]).max() == 0
        assert np.abs(decoded.pcm[RATE_HZ * 3 // 5 :]).max() > 10000
        assert numbers(decoded.frames)[:3].tolist() == [0, 6, 12]
    else:
        assert np.abs(decoded.pcm[: RATE_HZ // 10]).max() > 10000
        assert numbers(decoded.frames)[:4].tolist() == [0, 0, 0, 6]


@pytest.mark.parametrize(
    ("layout", "gains", "due"),
    [
        ("stereo", [1.0, 1.0], 1.0),
        ("stereo", [1.0, 0.0], 0.5),
        ("stereo", [1.0, -1.0], 0.0),
        # Front left and right, centre, bass, surround left and right.
        ("5.1", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 1.0),
        ("5.1", [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 0.29),
        ("5.1", [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.21),
    ],
)
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le", "flac"])
def test_downmix(layout: str, gains: list[float], due: float, codec: str) -> None:
    """Weights sum to 1 whatever the sample format: the mix is as loud as a common signal."""
    channels = (tone(1.0)[:, None] * np.array(gains)).astype("<i2")
    command = [binary(), "-v", "error", "-f", "s16le", "-ar", str(RATE_HZ), "-ch_layout", layout]
    command += ["-i", "-", "-c:a", codec, "-f", "matroska", "-"]
    file = subprocess.run(command, input=channels.tobytes(), capture_output=True, check=True).stdout
    decoded = decode(file, FORM, LIMITS)
    assert decoded.pcm is not None
    rms = np.sqrt(np.mean(decoded.pcm[100:-100].astype(float) ** 2))
    assert rms / (16384 / np.sqrt(2)) == pytest.approx(due, abs=0.01)
    assert decoded.frames is None


@pytest.mark.parametrize(
    ("name", "codecs", "tracks"),
    [
        ("a.mkv", "-c copy", "av"),
        ("a.mov", "-c:v mjpeg -c:a pcm_s16le", "av"),
        ("a.m4a", "-vn -c:a aac", "a"),
        ("a.3gp", "-c:v h263 -s 176x144 -c:a aac", "av"),
        ("a.mpg", "-c:v mpeg1video -c:a mp2", "av"),
        ("a.wmv", "-c:v wmv2 -c:a wmav2", "av"),
        ("a.flv", "-c:v flv -c:a libmp3lame -ar 44100", "av"),
        ("a.mxf", "-c:v mpeg2video -c:a pcm_s16le -ar 48000", "av"),
        ("a.nut", "-c:v ffv1 -c:a flac", "av"),
        ("a.gif", "-an", "v"),
        ("a.ivf", "-an -c:v libvpx", "v"),
        ("a.ogg", "-vn -c:a libvorbis", "a"),
        ("a.opus", "-vn -c:a libopus", "a"),
        ("a.caf", "-vn -c:a pcm_s16le", "a"),
        ("a.w64", "-vn -c:a pcm_s16le", "a"),
        ("a.au", "-vn -c:a pcm_s16be", "a"),
        ("a.aiff", "-vn -c:a pcm_s16be", "a"),
        ("a.ac3", "-vn -c:a ac3", "a"),
        ("a.eac3", "-vn -c:a eac3", "a"),
        ("a.wv", "-vn -c:a wavpack", "a"),
        ("a.tta", "-vn -c:a tta", "a"),
    ],
)
def test_containers_of_the_field(
    counting: dict[str, bytes], tmp_path: Path, name: str, codecs: str, tracks: str
) -> None:
    decoded = decode(convert(counting["mp4"], tmp_path, *codecs.split(), name=name), FORM, LIMITS)
    assert (decoded.frames is not None) == ("v" in tracks)
    assert (decoded.pcm is not None) == ("a" in tracks)
    for seconds in (decoded.video_s, decoded.audio_s):
        assert seconds is None or abs(seconds - 4.0) < 0.2


def test_missing_tracks_are_none_not_zeros() -> None:
    silent = decode(encode(numbered(8), None, fps=8.0), FORM, LIMITS)
    assert silent.pcm is None
    assert silent.audio_s is None
    assert silent.offset_s is None
    assert silent.frames is not None
    blind = decode(encode(None, tone(1.0)), FORM, LIMITS)
    assert blind.frames is None
    assert blind.video_s is None
    assert blind.pcm is not None
    assert blind.damage is None


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    sound, cover, song = (tmp_path / name for name in ("a.wav", "a.png", "a.mp3"))
    sine = ["-f", "lavfi", "-i", "sine=d=1", str(sound)]
    picture = ["-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", str(cover)]
    both = ["-i", str(sound), "-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy"]
    for arguments in (sine, picture, [*both, "-disposition:v", "attached_pic", str(song)]):
        subprocess.run([binary(), "-v", "error", *arguments], check=True)
    decoded = decode(song, FORM, LIMITS)
    assert decoded.frames is None
    assert decoded.pcm is not None
    assert measure(song, 10.0, LIMITS) == pytest.approx(1.0, abs=0.06)


def test_pictures_are_cropped_as_displayed(tmp_path: Path) -> None:
    """A 2:1 picture whose middle is white: of it remains the middle, also with oblong pixels."""
    wide = np.zeros((4, 32, 64, 3), np.uint8)
    wide[:, :, 16:48] = 255
    frames = decode(encode(wide, None, fps=4.0), FORM, LIMITS).frames
    assert frames is not None
    assert frames.mean() > 250
    # The same samples, shown half as wide: a square picture, nothing to crop.
    narrow = convert(encode(wide, None, fps=4.0), tmp_path, "-vf", "setsar=1/2")
    frames = decode(narrow, FORM, LIMITS).frames
    assert frames is not None
    assert frames[..., 5:11, :].mean() > 250
    assert frames[..., :3, :].mean() < 5
    assert frames[..., -3:, :].mean() < 5


def test_picture_size_may_change_midway(tmp_path: Path) -> None:
    codecs = ["-c:v", "mpeg2video", "-q:v", "1", "-c:a", "mp2"]
    parts = [
        convert(
            encode(numbered(25, side), tone(1.0), fps=25.0), tmp_path, *codecs, name="a.ts"
        ).read_bytes()
        for side in (32, 48)
    ]
    decoded = decode(b"".join(parts), FORM, LIMITS)
    assert decoded.frames is not None
    assert decoded.pcm is not None
    assert len(decoded.frames) in (8, 9)
    # Pictures begin 30 ms late in each part, and the decoder drops the last one of the first.
    assert numbers(decoded.frames)[:8].tolist() == [0, 5, 11, 17, 23, 5, 11, 17]
    assert decoded.video_s == pytest.approx(2.0, abs=0.05)
    assert decoded.damage is None
    assert len(decoded.pcm) == pytest.approx(2 * RATE_HZ, abs=0.1 * RATE_HZ)


def test_bytes_and_path_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "clip with 'quotes' & $(touch x).mp4"
    file.write_bytes(media())
    one, other = decode(file, FORM, LIMITS), decode(file.read_bytes(), FORM, LIMITS)
    assert one.frames is not None
    assert one.pcm is not None
    np.testing.assert_array_equal(one.frames, other.frames)
    np.testing.assert_array_equal(one.pcm, other.pcm)


def test_cut_file_is_marked_as_damaged() -> None:
    file = encode(numbered(50), tone(2.0), fps=25.0)
    decoded = decode(file[: len(file) * 6 // 10], FORM, LIMITS)
    assert decoded.damage is not None
    assert decoded.video_s is not None
    assert decoded.video_s < 1.9


def test_limits() -> None:
    file = media(seconds=2.0)
    with pytest.raises(MediaError, match=r"too_large.*32x32"):
        decode(file, FORM, Limits(max_pixels=1000))
    with pytest.raises(MediaError, match=r"too_long.*2\.0 s"):
        decode(file, FORM, Limits(max_seconds=1.0))
    with pytest.raises(MediaError, match="too_long"):
        decode(file, FORM, Limits(max_seconds=1.0), start_s=0.0, end_s=1.5)
    assert decode(file, FORM, Limits(max_seconds=1.0), start_s=0.5, end_s=1.5).frames is not None
    with pytest.raises(MediaError, match=r"timeout.*1e-06 s"):
        decode(file, FORM, Limits(timeout_s=1e-6))
    with pytest.raises(MediaError, match=r"memory|crashed|undecodable"):
        decode(file, FORM, Limits(memory_mb=220))


def test_a_length_that_the_header_hides_is_found_out(tmp_path: Path) -> None:
    file = encode(numbered(100), tone(10.0), fps=10.0)
    out = convert(file, tmp_path, "-c", "copy", "-live", "1")
    assert measure(out, 20.0, LIMITS) == pytest.approx(10.0, abs=0.1)
    assert decode(out, FORM, LIMITS).video_s == pytest.approx(10.0, abs=0.1)
    with pytest.raises(MediaError, match="too_long"):
        decode(out, FORM, Limits(max_seconds=5.0))


@pytest.mark.parametrize("container", ["mp4", "webm", "ts", "avi"])
@pytest.mark.parametrize("most_s", [1.0, 3.0, 10.0])
def test_files_are_measured(counting: dict[str, bytes], container: str, most_s: float) -> None:
    length = measure(counting[container], most_s, LIMITS)
    assert length == pytest.approx(min(most_s, 4.0), abs=0.12)
    assert (length >= most_s) == (most_s < 4.0)


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="missing_file"):
        measure(tmp_path / "absent.mp4", 1.0, LIMITS)
    with pytest.raises(MediaError, match="not_media"):
        measure(b"no media at all", 1.0, LIMITS)


def test_binary_can_be_overridden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def program(answer: str) -> str:
        own = tmp_path / "ffmpeg"
        own.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
        own.chmod(0o755)
        monkeypatch.setenv("MMLIB_FFMPEG", str(own))
        ffmpeg.binary.cache_clear()
        ffmpeg.version.cache_clear()
        return str(own)

    try:
        own = program("echo ffmpeg version 7.1-custom")
        assert (binary(), ffmpeg.version()) == (own, "7.1")
        program("echo ffmpeg version 5.1.9-0+deb12u1")
        with pytest.raises(UserError, match=r"version 5\.1\.9: 6\.0 or later"):
            binary()
        program("exit 3")
        with pytest.raises(UserError, match="does not run"):
            binary()
        program("")
        monkeypatch.setenv("MMLIB_FFMPEG", str(tmp_path / "absent"))
        with pytest.raises(UserError, match="no such program"):
            binary()
    finally:
        ffmpeg.binary.cache_clear()
        ffmpeg.version.cache_clear()


def test_a_stalled_decoder_is_ended_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "ffmpeg"
    own.write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    own.chmod(0o755)
    monkeypatch.setattr("mmlib.media.graph.binary", lambda: str(own))
    begin = time.monotonic()
    with pytest.raises(MediaError, match="timeout"):
        decode(media(), FORM, Limits(timeout_s=0.3))
    assert time.monotonic() - begin < 300, "it waited for the decoder"


def test_media_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(MediaError("too_long", "61 s")))
    assert (error.kind, error.message) == ("too_long", "61 s")
