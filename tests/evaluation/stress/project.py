"""A few real clips, from media files to shards, and small runs on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmlib.evaluation.stress.means import Origins
from mmlib.evaluation.stress.scores import Tables
from mmlib.evaluation.stress.stress import Places, measure
from mmlib.media.encode import encode
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.params.decode import Decode
from mmlib.params.shard import ClipTensor, Mel
from mmlib.params.stress import Stress
from mmlib.shards.decode import decode_clips
from mmlib.shards.make.shard import make_shards
from mmlib.shards.read.manifest import read_manifest
from mmlib.shards.rows.clips import CLIP_SCHEMA, Clip, Vocabulary, write_rows, write_vocabulary
from tests.decoded_shards import SETTINGS as SHARD
from tests.sweep_toys import AUDIO, VIDEO

CLASSES = ("bell", "horn", "rain")
CLIPS = 8
MUTE, BLIND, LOW = 2, 3, 5
"""Clips without sound, without pictures, and with a label that no other clip has alone."""
RATE, FPS, SIDE = 16000, 8.0, 32
DECODE = Decode(
    sample_rate_hz=RATE, fps=4.0, size=24, max_pixels=100000, max_seconds=10.0, timeout_s=60.0,
    memory_mb=1500, max_failed_share=0.5,
)  # fmt: skip
MEL = Mel(
    sample_rate_hz=RATE, window=400, hop=500, n_fft=1024, bands=32, min_hz=50.0, max_hz=8000.0,
    floor_db=80.0, frames=32,
)  # fmt: skip
SHARDS = SHARD.model_copy(
    update={
        "mel": MEL,
        "video": ClipTensor(frames=2, size=16),
        "untrained_classes": "keep",
    }
)
NOTHING: dict[str, Any] = {
    "runs": "all", "clips": None, "corruptions": [], "severities": [1, 3, 5],
    "encodings": {"h264_crf": [], "aac_kbps": [], "vp9_crf": [], "opus_kbps": []},
    "shifts_s": [], "swaps": [], "drops": [],
}  # fmt: skip
SOME: dict[str, Any] = {
    "corruptions": ["gaussian", "rain"],
    "encodings": {"h264_crf": [23, 51], "aac_kbps": [64, 16], "vp9_crf": [31], "opus_kbps": [24]},
    "shifts_s": [-0.5, 0.2],
    "swaps": ["same_class", "other_class"],
    "drops": ["audio", "video"],
}


def stress(**changes: Any) -> Stress:
    return Stress.model_validate(NOTHING | changes)


@dataclass(frozen=True)
class Project:
    """The folders of a project, with the runs audio, video, mid and mixup."""

    root: Path

    @property
    def places(self) -> Places:
        return Places(self.root / "clips", self.root / "shards", self.root / "models")

    def measure(
        self,
        settings: Stress,
        *runs: str,
        scratch: str = "scratch",
        seed: int = 3,
        origins: Origins | None = None,
        common_with: Path | None = None,
    ) -> Tables:
        return measure(
            self.places,
            runs or ("audio", "video", "mid", "mixup"),
            settings,
            DECODE,
            seed,
            confidence=0.95,
            common_with=common_with or self.root / "all.csv",
            origins=origins or {},
            scratch_root=self.root / scratch,
        )

    def add(self, run: str, net: Model) -> None:
        """Save a run on these classes."""
        facts = {"classes": list(CLASSES), "task": "multi_label"}
        checkpoint.save(net, self.root / "models" / run, facts)


def write(root: Path) -> Project:
    """Encode, decode and shard eight clips, and save four runs with random weights."""
    (root / "clips").mkdir()
    write_vocabulary(root / "clips/classes.json", Vocabulary(CLASSES, "multi_label"))
    rows = [_clip(number) for number in range(CLIPS)]
    write_rows(root / "clips/eval-00000.parquet", CLIP_SCHEMA, rows[:5], {})
    write_rows(root / "clips/eval-00001.parquet", CLIP_SCHEMA, rows[5:], {})
    form = Form(DECODE.sample_rate_hz, DECODE.fps, DECODE.size)
    scratch = root / "scratch"
    decode_clips(
        root / "clips", root / "decoded", form, Limits(), max_failed_share=0.0,
        scratch_root=scratch,
    )  # fmt: skip
    make_shards(root / "decoded", root / "shards", SHARDS, scratch_root=scratch)
    (root / "all.csv").write_text("clip_id,status,error\n")
    project = Project(root)
    for seed, (run, audio, video) in enumerate(
        (
            ("audio", True, False),
            ("video", False, True),
            ("mid", True, True),
            ("mixup", True, True),
        )
    ):
        project.add(run, net(root / "shards", seed, audio=audio, video=video))
    return project


def net(shards: Path, seed: int, *, audio: bool, video: bool, fusion: str = "mid") -> Model:
    """A small net with random weights that tell clips apart."""
    joined = {"name": fusion, "hidden": 8, "dropout": 0.0} if audio and video else None
    architecture = {
        "audio": AUDIO if audio else None,
        "video": VIDEO if video else None,
        "fusion": joined,
        "heads": False,
    }
    made = build(architecture, len(CLASSES), read_manifest(shards), seed=seed)
    with torch.no_grad():
        made.head.weight.mul_(10)
    return made.eval()


def _clip(number: int) -> Clip:
    """One second: a tone of its class's pitch in noise, and a moving bar of its class's colour."""
    rng = np.random.default_rng(number)
    kind = number % len(CLASSES)
    times = np.arange(RATE) / RATE
    sound = 0.2 * np.sin(2 * np.pi * (400 + 700 * kind) * times) * (0.3 + times)
    pcm = np.rint(32767 * (sound + 0.02 * rng.standard_normal(RATE))).astype(np.int16)
    frames = np.full((int(FPS), SIDE, SIDE, 3), 90, np.uint8)
    for place, frame in enumerate(frames):
        frame[:, 3 * place : 3 * place + 8, kind] = 220
    media = encode(
        None if number == BLIND else frames, None if number == MUTE else pcm, fps=FPS,
        sample_rate_hz=RATE, container="webm" if number == LOW else "mp4",
    )  # fmt: skip
    labels = (CLASSES[kind], "rain") if number == 1 else (CLASSES[kind],)
    return Clip(
        clip_id=f"clip-{number}", source_id=f"source-{number}", split="eval", labels=labels,
        start_s=None, end_s=None, media=media, path=None, sha256=f"{number:064d}", source="test",
        status="ok", error=None, message=None, attempts=1,
    )  # fmt: skip
