import base64
import io
import json
import wave
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmlib.params.whole import file as whole
from mmlib.report import data_uri, examples, shown
from mmlib.runtime.parquet import write_table
from tests.report import fake_project

MEL = whole.load(fake_project.REPOSITORY / "params.yaml").shard.mel
CLASSES = ("bell", "rain", "bird", "train", "siren", "car")


def example(**changes: np.ndarray) -> examples.Example:
    rng = np.random.default_rng(0)
    audio = rng.random((MEL.frames, MEL.bands), np.float32)
    video = rng.random((3, 8, 32, 32), np.float32)
    attacked = {"audio": audio, "video": video, **changes}
    return examples.Example(
        "clip-7",
        "AV",
        CLASSES,
        np.array([1, 0, 0, 0, 0, 1], np.uint8),
        np.array([2, 1, 0, -1, -2, -3], np.float32),
        np.array([-2, 1, 0, -1, 2, -3], np.float32),
        {"audio": audio, "video": video},
        attacked,
    )


def card(found: examples.Example, task: str = "multi_label") -> examples.Card:
    return examples.card(found, task=task, mel=MEL, seconds=3.0)


def pixels(picture: shown.Picture) -> np.ndarray:
    kind, data = picture.source.split(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def samples(sound: shown.Sound) -> tuple[np.ndarray, int]:
    kind, data = sound.source.split(",")
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data))) as stream:
        assert (stream.getnchannels(), stream.getsampwidth()) == (1, 2)
        pcm = np.frombuffer(stream.readframes(stream.getnframes()), "<i2")
        return pcm / 32768, stream.getframerate()


def test_tags_are_the_highest_and_the_true_ones() -> None:
    before, after = card(example()).tags
    assert [tag.name for tag in before.rows] == ["bell", "rain", "bird", "train", "car"]
    assert [tag.name for tag in after.rows] == ["siren", "rain", "bird", "train", "bell", "car"]
    assert [tag.name for tag in after.rows if tag.true] == ["bell", "car"]
    assert before.rows[0].value == "0.88"


def test_single_label_probabilities_sum_to_one() -> None:
    (before, _) = card(example(), "single_label").tags
    assert sum(float(tag.width) for tag in before.rows) < 100.1
    assert before.rows[0].value == "0.63"


def test_magnified_difference_fills_the_scale_and_is_named() -> None:
    clean = example().clean["video"]
    delta = np.zeros_like(clean)
    delta[:, :, :16], delta[:, :, 16:] = 0.02, -0.02
    pictures = card(example(video=clean + delta)).pictures[1]
    difference = pixels(pictures[2])
    assert "× 25" in pictures[2].caption
    assert "5.1 grey levels" in pictures[2].caption
    assert difference[:16, :32].min() > 250
    assert difference[16:, :32].max() < 5


def test_untouched_modality_says_so() -> None:
    audio, video = card(example()).pictures
    assert "not attacked" in audio[2].caption
    assert np.ptp(pixels(video[2])[:, :32].astype(int)) == 0
    assert len(card(example()).sounds) == 1


def test_spectrogram_has_low_notes_below() -> None:
    audio = np.zeros((MEL.frames, MEL.bands), np.float32)
    audio[:, :8] = 1.0
    quiet = example()._replace(clean={"audio": audio}, adversarial={"audio": audio})
    picture = pixels(card(quiet).pictures[0][0]).sum(axis=2)
    assert picture[-1].min() > picture[0].max()


def test_inversion_keeps_the_pitch() -> None:
    """A band that sounds comes back as a tone of its frequency."""
    import librosa

    log_mel = np.zeros((MEL.frames, MEL.bands), np.float32)
    log_mel[:, 20] = 0.9
    sound = data_uri.invert(log_mel, MEL)
    spectrum = np.abs(np.fft.rfft(sound))
    heard = np.fft.rfftfreq(len(sound), 1 / MEL.sample_rate_hz)[spectrum.argmax()]
    centres = librosa.mel_frequencies(MEL.bands + 2, fmin=MEL.min_hz, fmax=MEL.max_hz)
    assert centres[20] < heard < centres[22]


def test_sounds_are_wav_of_the_clips_length_and_the_same_each_time() -> None:
    changed = example().clean["audio"].copy()
    changed[:, 10] = 0.9
    first, second = card(example(audio=changed)), card(example(audio=changed))
    assert first == second
    assert len(first.sounds) == 2
    heard, rate = samples(first.sounds[0])
    assert rate == MEL.sample_rate_hz
    assert len(heard) == pytest.approx(3.0 * rate, rel=0.02)
    assert np.abs(heard).max() == pytest.approx(shown.PEAK, abs=0.01)


def test_silence_stays_silent() -> None:
    silent = np.zeros((MEL.frames, MEL.bands), np.float32)
    quiet = example()._replace(clean={"audio": silent}, adversarial={"audio": silent})
    heard, _ = samples(card(quiet).sounds[0])
    assert np.abs(heard).max() == 0


def attacked_sound(eps: float) -> tuple[examples.Example, np.ndarray, np.ndarray]:
    """A clip whose waveform was attacked, and the two waveforms."""
    rng = np.random.default_rng(3)
    times = np.arange(MEL.frames * MEL.hop) / MEL.sample_rate_hz
    clean = (np.rint(3277 * np.sin(2 * np.pi * 440 * times)) / 32768).astype(np.float32)
    perturbed = clean + np.float32(eps) * rng.choice([-1, 1], len(clean)).astype(np.float32)
    found = example()._replace(clean={"audio": clean}, adversarial={"audio": perturbed})
    return found, clean, perturbed


def test_an_attacked_waveform_is_heard_as_it_is() -> None:
    found, clean, perturbed = attacked_sound(1 / 128)
    before, after, added = card(found).sounds
    for sound, expected in ((before, clean), (after, perturbed)):
        heard, rate = samples(sound)
        assert rate == MEL.sample_rate_hz
        assert np.array_equal(heard, expected)
    # a sine of a tenth against signs of 1 / 128: 10 log10(0.005 / 0.000061)
    assert "SNR 19.1 dB" in after.caption
    assert "× 25: at most −42.1 dBFS" in added.caption
    assert np.abs(samples(added)[0]).max() == pytest.approx(25 / 128, abs=1e-4)


def test_an_attacked_waveform_is_seen_as_the_nets_hear_it() -> None:
    found, _, _ = attacked_sound(1 / 128)
    clean, perturbed, difference = card(found).pictures[0]
    assert pixels(clean).shape == (MEL.bands, MEL.frames, 3)
    silent, noisy = (pixels(picture)[:10].astype(int).sum() for picture in (clean, perturbed))
    assert noisy > silent
    assert "dB" in difference.caption
    untouched = found._replace(adversarial=found.clean)
    assert "not attacked" in card(untouched).pictures[0][2].caption
    assert len(card(untouched).sounds) == 1


def test_reading_what_the_attack_stage_stores(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=20)
    found = list(examples.read(root / "data/attacks/mid-examples.parquet"))
    assert [item.clip_id for item in found] == ["eval-00000", "eval-00001"]
    assert found[0].clean["audio"].shape == (fake_project.FRAMES, fake_project.BANDS)
    assert found[0].clean["video"].shape == (3, 8, 32, 32)
    assert list(examples.read(tmp_path / "absent.parquet")) == []
    assert json.dumps(found[0].classes) == json.dumps(list(fake_project.CLASSES))


def test_a_track_that_the_clip_lacks_is_not_shown(tmp_path: Path) -> None:
    root = fake_project.write(tmp_path, runs=("mid",), clips=20)
    path = root / "data/attacks/mid-examples.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("video_present")
    write_table(table.set_column(place, "video_present", [[True, False]]), path)
    first, second = examples.read(path)
    assert set(first.clean) == {"audio", "video"}
    assert set(second.clean) == {"audio"}
    assert len(card(second).pictures) == 1
