"""Log-mel speed and agreement, side by side: ours, torchaudio, librosa, kaldi-native-fbank.

One thread, one clip at a time, float32 in memory to float32 in memory, in CPU time. In each round
every peer, in random order, takes the same few clips one after the other; a ratio is taken within a
round, so that a busy machine slows both sides of it. librosa's melspectrogram makes its filter bank
anew at every call; "bank kept" is for those who put its parts together themselves, with a bank made
once. "FFT alone" is ours on frames that are cut and weighed already: what no log-mel falls below.
"""

import argparse
import importlib
import importlib.util
import random
import time
from collections.abc import Callable

import librosa
import numpy as np
import torch
import torchaudio
from threadpoolctl import threadpool_limits

from bench.tables import quartiles, table
from mmlib.features import LogMel
from mmlib.params.shard import Mel

PROFILES = {
    "paper": Mel(
        sample_rate_hz=16000,
        window=1024,
        hop=400,
        n_fft=4096,
        bands=64,
        min_hz=0.0,
        max_hz=8000.0,
        floor_db=80.0,
        frames=400,
    ),
    "demo": Mel(
        sample_rate_hz=16000,
        window=1600,
        hop=960,
        n_fft=2048,
        bands=64,
        min_hz=50.0,
        max_hz=8000.0,
        floor_db=80.0,
        frames=50,
    ),
}
CLIPS = 8
Spectrogram = Callable[[np.ndarray], np.ndarray]


def ours(mel: Mel) -> Spectrogram:
    module = LogMel(mel)
    return lambda waveform: module(torch.from_numpy(waveform)[None])[0].numpy()


def with_torchaudio(mel: Mel) -> Spectrogram:
    module = torchaudio.transforms.MelSpectrogram(
        mel.sample_rate_hz,
        n_fft=mel.n_fft,
        win_length=mel.window,
        hop_length=mel.hop,
        f_min=mel.min_hz,
        f_max=mel.max_hz,
        n_mels=mel.bands,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    decibels = torchaudio.transforms.AmplitudeToDB()

    def run(waveform: np.ndarray) -> np.ndarray:
        levels: np.ndarray = decibels(module(torch.from_numpy(waveform))).numpy()
        return levels[:, : mel.frames].T

    return run


def with_librosa(mel: Mel) -> Spectrogram:
    def run(waveform: np.ndarray) -> np.ndarray:
        power = librosa.feature.melspectrogram(
            y=waveform,
            sr=mel.sample_rate_hz,
            n_fft=mel.n_fft,
            win_length=mel.window,
            hop_length=mel.hop,
            n_mels=mel.bands,
            fmin=mel.min_hz,
            fmax=mel.max_hz,
            pad_mode="constant",
        )
        levels: np.ndarray = librosa.power_to_db(power, top_db=None)
        return levels[:, : mel.frames].T

    return run


def with_kept_bank(mel: Mel) -> Spectrogram:
    """As `librosa.feature.melspectrogram` does it, but for making the filter bank."""
    bank = librosa.filters.mel(
        sr=mel.sample_rate_hz, n_fft=mel.n_fft, n_mels=mel.bands, fmin=mel.min_hz, fmax=mel.max_hz
    )

    def run(waveform: np.ndarray) -> np.ndarray:
        spectrum = librosa.stft(
            waveform,
            n_fft=mel.n_fft,
            win_length=mel.window,
            hop_length=mel.hop,
            pad_mode="constant",
        )
        power = np.einsum("ft,mf->mt", np.abs(spectrum) ** 2, bank, optimize=True)
        levels: np.ndarray = librosa.power_to_db(power, top_db=None)
        return levels[:, : mel.frames].T

    return run


def fft_alone(mel: Mel) -> Spectrogram:
    frames = torch.randn(mel.frames, LogMel(mel).n_fft)
    return lambda _: torch.fft.rfft(frames).numpy()


def with_kaldi(mel: Mel) -> Spectrogram:
    """Kaldi's features: another scale, window placement and FFT length; for the time only."""
    kaldi_native_fbank = importlib.import_module("kaldi_native_fbank")

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq = mel.sample_rate_hz
    options.frame_opts.dither = 0.0
    options.frame_opts.frame_length_ms = 1000.0 * mel.window / mel.sample_rate_hz
    options.frame_opts.frame_shift_ms = 1000.0 * mel.hop / mel.sample_rate_hz
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = mel.bands
    options.mel_opts.low_freq = mel.min_hz
    options.mel_opts.high_freq = mel.max_hz

    def run(waveform: np.ndarray) -> np.ndarray:
        bank = kaldi_native_fbank.OnlineFbank(options)
        bank.accept_waveform(mel.sample_rate_hz, waveform.tolist())
        bank.input_finished()
        return np.stack([bank.get_frame(i) for i in range(bank.num_frames_ready)])

    return run


def disagreement_db(ours_db: np.ndarray, peer_db: np.ndarray) -> float:
    """Largest difference above our floor, up to the constant between the two references."""
    inside = (ours_db > -79.9) & (ours_db < 0.0)
    difference = (peer_db - ours_db)[inside]
    return float(np.abs(difference - np.median(difference)).max())


def _clip(mel: Mel, seed: int) -> np.ndarray:
    """A decaying tone in noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(mel.frames * mel.hop) / mel.sample_rate_hz
    tone = np.sin(2 * np.pi * rng.uniform(100, 4000) * times) * np.exp(-times)
    return (0.5 * tone + 0.01 * rng.standard_normal(len(times))).astype(np.float32)


def measure(mel: Mel, rounds: int) -> list[list[str]]:
    peers = {
        "ours": ours(mel),
        "FFT alone": fft_alone(mel),
        "torchaudio": with_torchaudio(mel),
        "librosa": with_librosa(mel),
        "librosa, bank kept": with_kept_bank(mel),
    }
    if importlib.util.find_spec("kaldi_native_fbank"):
        peers["kaldi-native-fbank"] = with_kaldi(mel)
    clips = [_clip(mel, seed) for seed in range(CLIPS)]
    results = {name: run(clips[0]) for name, run in peers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    order = list(peers)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            start = time.process_time()
            for clip in clips:
                peers[name](clip)
            seconds[name].append((time.process_time() - start) / CLIPS)
    levels = results["ours"] * mel.floor_db - mel.floor_db
    rows = []
    for name in peers:
        ratio = np.array(seconds[name]) / np.array(seconds["ours"])
        comparable = name.startswith(("torchaudio", "librosa"))
        away = f"{disagreement_db(levels, results[name]):.5f}" if comparable else ""
        rate = 1.0 / np.array(seconds[name])
        rows.append([name, quartiles(rate, "{:.0f}"), quartiles(ratio, "{:.2f}"), away])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for profile, mel in PROFILES.items():
        # librosa's products are NumPy's, whose threads would wait in CPU time.
        with threadpool_limits(1), torch.inference_mode():
            rows = measure(mel, rounds)
        seconds = mel.frames * mel.hop / mel.sample_rate_hz
        print(f"\n{profile}: {seconds:g} s clips, {rounds} rounds, 1 thread")
        print(
            table(
                ["log-mel", "clips a CPU second", "time / ours", "dB from ours, above the floor"],
                rows,
            )
        )
    if not importlib.util.find_spec("kaldi_native_fbank"):
        print("\nkaldi-native-fbank is missing (not a dependency): install it to have its row")


if __name__ == "__main__":
    main()
