"""Small real models and clips for them, with labels that the model gets partly right."""

import torch
from torch import Tensor

from mmlib.batch import Batch, LabelledBatch
from mmlib.features import LogMel
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.params.attacks import Attack
from mmlib.params.shard import Mel

CLASSES = 5
MANIFEST = {
    "audio": {"frames": 16, "bands": 32, "mean": [0.5] * 32, "std": [0.3] * 32},
    "video": {"frames": 2, "height": 16, "width": 16, "mean": [0.5] * 3, "std": [0.3] * 3},
}
MEL = Mel(
    sample_rate_hz=16000, window=400, hop=256, n_fft=1024, bands=32, min_hz=50.0, max_hz=8000.0,
    floor_db=80.0, frames=16,
)  # fmt: skip
"""A front end that gives the log-mel of MANIFEST's shape."""
AUDIO = {
    "name": "csn", "width": 1, "transformer_blocks": 1, "share_blocks": False, "dropout": 0.0,
}  # fmt: skip
VIDEO = {"name": "r2plus1d", "width": 2, "blocks": [1]}


def model(fusion: str | None = "mid", audio: bool = True, video: bool = True) -> Model:
    """A demo-shaped net with batch-norm statistics that are not the identity."""
    joined = {"name": fusion, "hidden": 8, "dropout": 0.0} if fusion else None
    architecture = {
        "audio": AUDIO if audio else None,
        "video": VIDEO if video else None,
        "fusion": joined,
        "heads": False,
    }
    net = build(architecture, CLASSES, MANIFEST, seed=1)
    generator = torch.Generator().manual_seed(4)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = 0.1 * torch.randn(module.num_features, generator=generator)
            module.running_var = 0.5 + torch.rand(module.num_features, generator=generator)
    return net.eval()


def inputs(clips: int = 3, seed: int = 0) -> Batch:
    """Clips as the loader gives them: float16 audio and grey levels, video laid out T, H, W, C."""
    generator = torch.Generator().manual_seed(seed)
    audio = torch.rand(clips, 16, 32, generator=generator).half().float()
    video = torch.randint(0, 256, (clips, 2, 16, 16, 3), generator=generator) / 255
    return {"audio": audio, "video": video.permute(0, 4, 1, 2, 3)}


def waveforms(clips: int = 3, seed: int = 0) -> Tensor:
    """Sound as stored, (B, N), whole multiples of 1 / 32768; the second clip is digital silence.

    The others are tones in noise, and the third of every three ends half-way.
    """
    generator = torch.Generator().manual_seed(seed)
    times = torch.arange(MEL.frames * MEL.hop) / MEL.sample_rate_hz
    pitch = 300 + 2000 * torch.rand(clips, 1, generator=generator)
    sound = 0.2 * torch.sin(2 * torch.pi * pitch * times)
    sound += 0.02 * torch.randn(clips, len(times), generator=generator)
    sound[1::3] = 0
    sound[2::3, len(times) // 2 :] = 0
    return (sound.clamp(-1, 0.999) * 32768).round() / 32768


def log_mel(sound: Tensor) -> Tensor:
    """What shards store of it: (B, T, F), in float16's steps."""
    with torch.no_grad():
        levels: Tensor = LogMel(MEL)(sound)
    return levels.half().float()


def labelled(
    net: Model, clips: int = 3, seed: int = 0, *, sound: Tensor | None = None
) -> LabelledBatch:
    """Clips labelled with the model's two highest classes, so that there is damage to do.

    `sound` takes the place of the audio, as the model reads it.
    """
    batch = {name: tensor for name, tensor in inputs(clips, seed).items() if name in net.modalities}
    batch |= {} if sound is None else {"audio": sound}
    with torch.no_grad():
        highest = net(batch).topk(2, dim=1).indices
    tags = torch.zeros(clips, CLASSES).scatter(1, highest, 1.0)
    return LabelledBatch(tuple(f"clip-{seed}-{row}" for row in range(clips)), batch, tags)


def settings(**changes: object) -> Attack:
    """A short sweep."""
    values = {
        "eps": 0.02, "scale": {"audio": 1.0, "video": 1.0}, "norm": "linf",
        "sweep": [0.5, 1.0, 4.0], "steps": 3, "sweep_steps": 2, "step_size": 0.5, "restarts": 2,
        "loss": "bce", "batch_size": 3, "examples": 2,
    }  # fmt: skip
    return Attack.model_validate({**values, **changes})
