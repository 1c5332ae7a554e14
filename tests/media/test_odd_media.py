"""Ordinary media that are odd in one way: nothing is lost, nothing is called damaged for it."""

from pathlib import Path

import numpy as np
import pytest

from mmlib.media.decode import Decoded, decode
from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits, MediaError
from mmlib.media.graph import Form
from tests.media.making import PICTURES, SOUND, join, make, wav
from tests.samples import FORM, LIMITS, RATE_HZ, numbered, numbers, tone

FINE = Form(RATE_HZ, 100.0, 16)


def both(decoded: Decoded) -> tuple[np.ndarray, np.ndarray]:
    assert decoded.frames is not None
    assert decoded.pcm is not None
    return decoded.frames, decoded.pcm.astype(float)


def level(pcm: np.ndarray) -> float:
    """Amplitude of a sine."""
    return float(np.sqrt(2 * np.mean(pcm[200:-200] ** 2)))


# One track's trouble is not the other's.


@pytest.mark.parametrize("channels", [9, 20])
@pytest.mark.parametrize("container", ["wav", "mov", "mkv"])
def test_channels_without_places_are_averaged(
    tmp_path: Path, channels: int, container: str
) -> None:
    sound = np.zeros((2 * RATE_HZ, channels), np.int16)
    sound[:, 0] = tone(2.0)
    source = wav(tmp_path / "source.wav", sound)
    if container == "wav":
        decoded = decode(source, FORM, LIMITS)
    else:
        codecs = "-map 0 -map 1 -c:v mjpeg -c:a copy"
        file = make(tmp_path / f"a.{container}", PICTURES, "-i", source, codecs)
        decoded = decode(file, FORM, LIMITS)
        assert decoded.frames is not None
        assert len(decoded.frames) == 8
        assert decoded.video_s == pytest.approx(2.0, abs=0.01)
    assert decoded.pcm is not None
    assert len(decoded.pcm) == 2 * RATE_HZ
    assert level(decoded.pcm.astype(float)) == pytest.approx(16384 / channels, rel=0.02)
    assert decoded.damage is None


def test_ambisonic_sound(tmp_path: Path) -> None:
    sound = Path("aevalsrc=0.5*sin(2764*t)|0|0|0:d=2:c=ambisonic 1:s=48000")
    codecs = "-c:v mjpeg -c:a libopus -mapping_family 2"
    file = make(tmp_path / "a.mkv", PICTURES, "-f lavfi -i", sound, codecs)
    frames, pcm = both(decode(file, FORM, LIMITS))
    assert len(frames) == 8
    assert level(pcm) == pytest.approx(16384 / 4, rel=0.05)


@pytest.mark.parametrize("second", ["-ar 44100 -ac 2", "-ar 8000 -ac 1", "-ar 48000 -ac 6"])
def test_sound_that_changes_its_form_midway(tmp_path: Path, second: str) -> None:
    """The second part begins where the first ends, to 10 ms, and is as long as it is."""
    parts = [
        make(tmp_path / f"{name}.aac", f"-f lavfi -i sine=f={hz}:d=1", form)
        for name, hz, form in (("a", 400, "-ar 16000 -ac 1"), ("b", 1600, second))
    ]
    file = tmp_path / "joined.aac"
    file.write_bytes(b"".join(part.read_bytes() for part in parts))
    decoded = decode(file, FORM, LIMITS)
    assert decoded.pcm is not None
    pcm = decoded.pcm.astype(float)
    low, high = (bands(pcm, hz) for hz in (400, 1600))
    assert decoded.audio_s == pytest.approx(2.1, abs=0.15)
    turn = np.flatnonzero(high > low)[0] * 0.01
    assert turn == pytest.approx(1.05, abs=0.1)
    # The encoder's delay comes first.
    assert np.mean(low[10 : int(100 * turn) - 8] > 500) > 0.95
    assert np.mean(high[int(100 * turn) + 8 : -15] > 500) > 0.95


def test_sound_that_changes_its_form_in_a_stream(tmp_path: Path) -> None:
    """Transport streams joined: flashes and clicks of both parts stay together."""
    parts = []
    for number, form in enumerate(("-ar 48000 -ac 2", "-ar 32000 -ac 1")):
        source, file = tmp_path / "source.mp4", tmp_path / f"{number}.ts"
        source.write_bytes(flashes(2.0, (0.5, 1.5)))
        make(file, "-i", source, "-c:v mpeg2video -q:v 2 -c:a mp2", form)
        parts.append(file.read_bytes())
    decoded = decode(b"".join(parts), FINE, LIMITS)
    seen, heard = onsets(decoded)
    assert len(seen) == 4
    np.testing.assert_allclose(heard, seen, atol=0.05)
    np.testing.assert_allclose(np.diff(heard), [1.0, 1.0, 1.0], atol=0.06)


def flashes(seconds: float, times: tuple[float, ...], rate_hz: int = 48000) -> bytes:
    """A clip of 25 fps with a flash and a click at each time."""
    frames = np.full((round(25 * seconds), 32, 32, 3), 20, np.uint8)
    sound = np.zeros(round(seconds * rate_hz), np.int16)
    for time in times:
        frames[round(25 * time) : round(25 * time) + 3] = 235
        begin = round(time * rate_hz)
        sound[begin : begin + rate_hz // 20] = tone(0.05, 1000.0, rate_hz)
    return encode(frames, sound, fps=25.0, sample_rate_hz=rate_hz)


def onsets(decoded: Decoded) -> tuple[np.ndarray, np.ndarray]:
    """Times, in seconds, at which it flashes and at which it clicks, decoded in the form `FINE`."""
    frames, pcm = both(decoded)
    bright = frames.mean((1, 2, 3)) > 128
    loud = np.abs(pcm[: len(pcm) // 32 * 32]).reshape(-1, 32).max(1) > 3000
    loud = np.convolve(loud, np.ones(5), "full")[: len(loud)] > 0
    seen, heard = (np.flatnonzero(on[1:] & ~on[:-1]) + 1 for on in (bright, loud))
    return seen / FINE.fps, heard * 32 / RATE_HZ


def bands(pcm: np.ndarray, hz: float) -> np.ndarray:
    """How strong a frequency is in each 10 ms."""
    wave = np.exp(-2j * np.pi * hz * np.arange(len(pcm)) / RATE_HZ)
    blocks = (pcm * wave)[: len(pcm) // 160 * 160].reshape(-1, 160)
    return np.asarray(np.abs(blocks.mean(1)))


def test_trouble_in_the_sound_leaves_the_pictures_alone(tmp_path: Path) -> None:
    """Packets of noise where sound should be: every picture is there, and the damage is told."""
    make(tmp_path / "whole.mkv", PICTURES, SOUND, "-c:v mjpeg -c:a ac3")
    noise = "noise=amount=1:drop=0"
    file = make(tmp_path / "a.mkv", "-i", tmp_path / "whole.mkv", "-c copy -bsf:a", Path(noise))
    results = [decode(file, FORM, LIMITS) for _ in range(5)]
    for decoded in results:
        assert decoded.frames is not None
        assert len(decoded.frames) == 8
        assert decoded.video_s == pytest.approx(2.0, abs=0.02)
        assert decoded.damage is not None
    assert len({repr(decoded.damage) for decoded in results}) == 1
    assert len({decoded.pcm.tobytes() for decoded in results if decoded.pcm is not None}) <= 1


@pytest.mark.parametrize("lost", ["the key picture", "all pictures"])
def test_pictures_of_unknown_form_leave_the_sound_alone(tmp_path: Path, lost: str) -> None:
    """A recording that was joined after its only key picture; a track that holds nothing."""
    codecs = "-c:v libx264 -pix_fmt yuv420p -c:a mp2"
    stream = make(tmp_path / "a.ts", PICTURES, SOUND, codecs)
    if lost == "the key picture":
        packets = stream.read_bytes()
        stream.write_bytes(packets[188 * 20 :])
    else:
        drop = Path("noise=drop=1")
        stream = make(tmp_path / "a.mkv", "-i", stream, "-c copy -bsf:v", drop)
    decoded = decode(stream, FORM, LIMITS)
    assert decoded.frames is None
    assert decoded.pcm is not None
    assert decoded.audio_s == pytest.approx(2.0, abs=0.06)
    assert level(decoded.pcm.astype(float)) == pytest.approx(4096, rel=0.03)
    assert decoded.damage_kinds == ("empty_video", "video_errors")


# Values that are no sound.


@pytest.mark.parametrize(
    ("factor", "name"), [(32767.0, "times full scale"), (127.0, "times full scale")]
)
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floats_of_another_range_are_damage(
    tmp_path: Path, factor: float, name: str, dtype: str
) -> None:
    samples = (0.3 * factor * tone(1.0) / 16384).astype(dtype)
    file = wav(tmp_path / "a.wav", samples)
    assert name in (decode(file, FORM, LIMITS).damage or "")
    other = make(tmp_path / "a.mkv", "-i", file, "-c copy")
    assert name in (decode(other, FORM, LIMITS).damage or "")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_damage(tmp_path: Path, value: float) -> None:
    samples = (0.3 * tone(1.0) / 16384).astype("<f4")
    samples[7000] = value
    decoded = decode(wav(tmp_path / "a.wav", samples), FORM, LIMITS)
    assert decoded.damage == "the sound has values that are not finite"
    assert decoded.damage_kinds == ("audio_values",)


@pytest.mark.parametrize("name", ["a.wav", "a.mkv"])
def test_values_outside_a_section_are_not_its_damage(tmp_path: Path, name: str) -> None:
    samples = (0.3 * np.sin(np.arange(32000) / 10)).astype("<f4")
    samples[8000] = np.nan
    file = wav(tmp_path / "source.wav", samples)
    file = file if name == "a.wav" else make(tmp_path / name, "-i", file, "-c copy")
    for start_s, end_s, within in ((0.4, 0.6, True), (0.1, 0.4, False), (0.6, 1.0, False)):
        decoded = decode(file, FORM, LIMITS, start_s=start_s, end_s=end_s)
        assert decoded.damage_kinds == ("audio_values",) * within


def test_damage_is_named_by_what_it_is_and_by_its_track(tmp_path: Path) -> None:
    file = make(tmp_path / "a.mkv", PICTURES, SOUND, "-c:v mpeg4 -c:a flac")
    whole = file.read_bytes()
    assert decode(whole, FORM, LIMITS).damage_kinds == ()
    cut = decode(whole[: len(whole) * 7 // 10], FORM, LIMITS)
    assert cut.damage_kinds == ("video_errors", "audio_errors", "cut_short")
    # Each of FLAC's frames begins with these bytes.
    broken = whole.replace(b"\xff\xf8", b"\xff\x00")
    assert decode(broken, FORM, LIMITS).damage_kinds == ("empty_audio", "audio_errors")


def test_every_value_of_16_bit_comes_back(tmp_path: Path) -> None:
    every = np.random.default_rng(1).permutation(np.arange(-32768, 32768)).astype(np.int16)
    for samples in (every, (every / np.float32(32768)).astype("<f4")):
        decoded = decode(wav(tmp_path / "a.wav", samples), FORM, LIMITS)
        assert decoded.pcm is not None
        np.testing.assert_array_equal(decoded.pcm, every)
        assert decoded.damage is None


def test_sound_beyond_full_scale_is_cut_off_there(tmp_path: Path) -> None:
    decoded = decode(
        wav(tmp_path / "a.wav", np.array([1.5, -1.5, 0.5] * 4000, "<f4")), FORM, LIMITS
    )
    assert decoded.pcm is not None
    assert decoded.pcm[:3].tolist() == [32767, -32768, 16384]


@pytest.mark.parametrize(
    ("name", "codecs", "video", "audio"),
    [
        ("a.mkv", "-c:v mpeg4 -c:a flac", b"V_MPEG4/ISO/ASP", b"A_FLAC"),
        ("a.mov", "-c:v mjpeg -c:a pcm_s16le", b"jpeg", b"sowt"),
    ],
)
def test_a_track_in_an_unknown_code_is_there(
    tmp_path: Path, name: str, codecs: str, video: bytes, audio: bytes
) -> None:
    data = make(tmp_path / name, PICTURES, SOUND, codecs).read_bytes()
    unseen, unheard = (data.replace(code, code[:-2] + b"zz") for code in (video, audio))
    for start_s, end_s in ((None, None), (1.0, 1.5)):
        seen = decode(unheard, FORM, LIMITS, start_s=start_s, end_s=end_s)
        heard = decode(unseen, FORM, LIMITS, start_s=start_s, end_s=end_s)
        assert seen.pcm is None
        assert heard.frames is None
        assert "empty_audio" in seen.damage_kinds
        assert "empty_video" in heard.damage_kinds
    with pytest.raises(
        MediaError, match="undecodable: nothing tells how to decode its audio and vi"
    ):
        decode(unseen.replace(audio, audio[:-2] + b"zz"), FORM, LIMITS)


@pytest.mark.parametrize(("kind", "name"), [("a", "audio"), ("v", "video")])
def test_a_track_without_packets_is_there(tmp_path: Path, kind: str, name: str) -> None:
    codecs = f"-c:v mpeg2video -c:a mp2 -bsf:{kind} noise=drop=1"
    decoded = decode(make(tmp_path / "a.ts", PICTURES, SOUND, codecs), FORM, LIMITS)
    assert decoded.damage_kinds == (f"empty_{name}",)


def test_a_head_that_tells_of_thousands_of_channels(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "a.wav", SOUND, "-c:a adpcm_ms").read_bytes())
    data[22:24] = (0x8001).to_bytes(2, "little")
    with pytest.raises(MediaError, match="undecodable"):
        decode(bytes(data), FORM, LIMITS)


def test_loud_sound_is_no_damage(tmp_path: Path) -> None:
    loud = (2.0 * tone(1.0) / 16384).astype("<f4")
    assert decode(wav(tmp_path / "a.wav", loud), FORM, LIMITS).damage is None
    square = np.where(tone(1.0) > 0, 32767, -32768).astype(np.int16)
    assert decode(wav(tmp_path / "b.wav", square), FORM, LIMITS).damage is None


# Covers.


@pytest.mark.parametrize("name", ["a.mp3", "a.mp4", "a.flac", "a.m4a"])
@pytest.mark.parametrize("broken", [False, True])
def test_a_cover_has_no_say(tmp_path: Path, name: str, broken: bool) -> None:
    """Neither its size, over the limit, nor its being broken."""
    cover = make(tmp_path / "cover.jpg", "-f lavfi -i color=red:s=400x400 -frames:v 1")
    pictures = PICTURES if name == "a.mp4" else ""
    maps = "-map 0 -map 1 -map 2 -disposition:v:1" if pictures else "-map 0 -map 1 -disposition:v"
    video = "-c:v:0 libx264 -pix_fmt yuv420p -c:v:1 copy" if pictures else "-c:v copy"
    file = make(tmp_path / name, pictures, SOUND, "-i", cover, maps, f"attached_pic {video}")
    if broken:
        data = file.read_bytes()
        at = data.index(cover.read_bytes()[:200]) + 100
        file.write_bytes(data[:at] + bytes(100) + data[at + 100 :])
    decoded = decode(file, FORM, Limits(max_pixels=64 * 48))
    assert (decoded.frames is not None) == bool(pictures)
    assert decoded.audio_s == pytest.approx(2.0, abs=0.06)
    assert decoded.damage is None


# Tags.


@pytest.mark.parametrize(
    "language",
    [
        "pt br",
        "a) (b",
        "x): Video: h264, 9x9",
        "\u65e5\u672c \u8a9e",
        "e\nn",
        "\x1b[1;31m[error] no",
    ],
)
@pytest.mark.parametrize("name", ["a.mkv", "a.ogg", "a.nut"])
def test_languages_of_any_form(tmp_path: Path, language: str, name: str) -> None:
    codecs = {"a.ogg": "-c:v libtheora -c:a libvorbis"}.get(name, "-c:v mjpeg -c:a pcm_s16le")
    tags: list[str | Path] = []
    for track in "va":
        tags += [f"-metadata:s:{track}:0", Path(f"language={language}")]
    file = make(tmp_path / name, PICTURES, SOUND, codecs, *tags)
    decoded = decode(file, FORM, LIMITS)
    assert decoded.frames is not None
    assert len(decoded.frames) == 8
    assert decoded.audio_s == pytest.approx(2.0, abs=0.05)
    assert decoded.damage is None


@pytest.mark.parametrize("tag", ["title", "x\n[info]   Duration: 09:00:00.00, start"])
def test_tags_do_not_make_a_file_longer(tmp_path: Path, tag: str) -> None:
    line = "y\n[info]   Duration: 09:00:00.00, start: 0\n[info] Input #0, mpegts, from 'x':"
    file = make(tmp_path / "a.mkv", SOUND, "-metadata", Path(f"{tag}={line}"))
    decoded = decode(file, FORM, LIMITS)
    assert decoded.audio_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(("name", "codecs"), [("a.flv", "flv1"), ("a.nut", "mjpeg")])
def test_a_long_tag_is_no_damage(tmp_path: Path, name: str, codecs: str) -> None:
    description = Path("comment=" + "x" * 1100)
    file = make(tmp_path / name, PICTURES, SOUND, f"-c:v {codecs} -metadata", description)
    assert decode(file, FORM, LIMITS).damage is None


@pytest.mark.parametrize("terminal", ["dumb", "xterm-256color", ""])
def test_damage_is_seen_in_any_terminal(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal)
    whole = encode(numbered(50), tone(2.0), fps=25.0)
    assert decode(whole[: len(whole) * 6 // 10], FORM, LIMITS).damage is not None


# Lengths.


def test_a_guessed_length_refuses_nothing(tmp_path: Path) -> None:
    """Raw AAC, of which the header guesses a length from its first bit rate."""
    quiet = "aevalsrc='if(lt(t,4),0,random(0)-0.5)':s=44100:d=8"
    file = make(tmp_path / "a.aac", "-f lavfi -i", Path(quiet), "-q:a 2")
    decoded = decode(file, FORM, Limits(max_seconds=9.0))
    assert decoded.audio_s == pytest.approx(8.0, abs=0.1)
    assert decoded.damage is None
    loud = "aevalsrc='if(gt(t,4),0,random(0)-0.5)':s=44100:d=8"
    file = make(tmp_path / "b.aac", "-f lavfi -i", Path(loud), "-q:a 2")
    section = decode(file, FORM, LIMITS, start_s=6.0, end_s=7.0)
    assert section.audio_s == pytest.approx(1.0, abs=0.01)
    assert section.damage is None


@pytest.mark.parametrize("name", ["a.webm", "a.mp4", "a.mp3", "a.ts"])
def test_limits_have_a_hair_of_slack(tmp_path: Path, name: str) -> None:
    codecs = {"a.webm": "-c:v libvpx -c:a libopus"}.get(name, "-pix_fmt yuv420p")
    pictures = "" if name == "a.mp3" else PICTURES
    file = make(tmp_path / name, pictures, SOUND, codecs)
    assert decode(file, FORM, Limits(max_seconds=2.0)).damage is None
    with pytest.raises(MediaError, match="too_long"):
        decode(file, FORM, Limits(max_seconds=1.2))
    # 0.1 + 1.2 is more than 1.3 - 0.1 by a rounding.
    assert decode(file, FORM, Limits(max_seconds=1.2), start_s=0.1, end_s=1.3).damage is None


def test_the_length_of_another_track_is_not_the_clips(tmp_path: Path) -> None:
    lines = tmp_path / "a.srt"
    lines.write_text("1\n00:00:00,000 --> 00:05:00,000\nhello\n", encoding="utf-8")
    file = make(tmp_path / "a.mkv", PICTURES, SOUND, "-i", lines, "-map 0 -map 1 -map 2")
    decoded = decode(file, FORM, LIMITS)
    assert decoded.video_s == pytest.approx(2.0, abs=0.05)
    assert decoded.damage is None


# Tracks that hold, begin late or end early.


def test_a_last_picture_that_stays(tmp_path: Path) -> None:
    durations = Path("setts=duration='if(eq(N,19),5/TB,DURATION)'")
    file = make(tmp_path / "a.mp4", PICTURES, "-c:v libx264 -bf 0 -bsf:v", durations)
    decoded = decode(file, FORM, LIMITS)
    assert decoded.video_s == pytest.approx(6.9, abs=0.01)
    assert decoded.frames is not None
    assert len(decoded.frames) == 28
    assert decoded.damage is None
    held = decode(file, FORM, LIMITS, start_s=4.0, end_s=6.0)
    assert held.frames is not None
    assert len(held.frames) == 8
    assert np.array_equal(held.frames[0], decoded.frames[-1])
    assert held.damage is None


@pytest.mark.parametrize("late", ["video", "audio"])
def test_tracks_that_begin_late_or_end_early(tmp_path: Path, late: str) -> None:
    lengths = "-t 1" if late == "audio" else ""
    first, second = (PICTURES, SOUND) if late == "audio" else (SOUND, PICTURES)
    file = make(tmp_path / "a.mkv", first, "-itsoffset 5", second, lengths, "-t 7")
    decoded = decode(file, FORM, LIMITS)
    assert decoded.offset_s == pytest.approx(5.0 if late == "audio" else -5.0, abs=0.02)
    assert decoded.damage is None


def test_a_section_after_the_end_of_one_track_is_no_damage(tmp_path: Path) -> None:
    file = make(tmp_path / "a.mkv", "-f lavfi -i testsrc=s=64x48:r=10:d=6", SOUND)
    decoded = decode(file, FORM, LIMITS, start_s=4.0, end_s=5.0)
    assert decoded.frames is not None
    assert decoded.pcm is None
    assert decoded.damage is None


# Pictures that change their form.


@pytest.mark.parametrize("size", [16, 128])
def test_pictures_that_change_their_size(tmp_path: Path, size: int) -> None:
    """Each picture is where its time stamp says, to one frame, in its own crop."""
    parts = []
    for number in range(6):
        frames = numbered(60, 32 + 32 * (number % 2))[10 * number : 10 * number + 10]
        part = tmp_path / f"{number}.mp4"
        part.write_bytes(encode(frames, None, fps=10.0))
        codecs = "-c:v libvpx -b:v 1M -deadline realtime -cpu-used 8"
        parts.append(make(tmp_path / f"{number}.webm", "-i", part, codecs))
    decoded = decode(join(tmp_path / "a.webm", parts), Form(RATE_HZ, 4.0, size), LIMITS)
    assert decoded.frames is not None
    due = np.floor(np.arange(24) * 2.5 + 1e-6)
    np.testing.assert_array_equal(numbers(decoded.frames), due)
    assert decoded.video_s == pytest.approx(6.0, abs=0.02)
    assert decoded.damage is None


def test_slides_of_one_picture_each(tmp_path: Path) -> None:
    """Every picture has another size, so every one sets up the filters anew."""
    parts = []
    for number in range(5):
        size = f"{32 + 16 * number}x{32 + 16 * number}"
        colour = ["red", "lime", "blue", "white", "black"][number]
        source = f"-f lavfi -i color={colour}:s={size}:r=1:d=1 -c:v mjpeg"
        parts.append(make(tmp_path / f"{number}.mkv", source))
    decoded = decode(join(tmp_path / "a.mkv", parts), Form(RATE_HZ, 2.0, 16), LIMITS)
    assert decoded.frames is not None
    shown = (decoded.frames.mean((1, 2)) > 128).astype(int).tolist()
    colours = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0]]
    assert shown == [colour for colour in colours for _ in range(2)]
