"""The public models once more, in numpy and float64, from papers and published code's behaviour."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.special import erf, log_softmax
from torch import nn

from mmlib.runtime.arrays import Floats

Tensors = Mapping[str, Floats]


def random_tensors(shapes: Mapping[str, Sequence[int]], seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors by name, with values that no part of a net may ignore and outputs of about 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        noise = torch.randn(tuple(shape), generator=generator)
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.endswith("running_var") or (noise.ndim == 1 and name.endswith("weight")):
            state[name] = 1.0 + 0.5 * torch.tanh(noise)
        elif noise.ndim < 2 or len(noise) == 1:  # biases, and what is added to every token
            state[name] = 0.2 * noise
        else:
            gain = 2.0 if noise.ndim > 3 else 1.0  # what a ReLU takes after a convolution
            state[name] = noise * (gain * len(noise) / noise.numel()) ** 0.5
    return state


def randomise(module: nn.Module) -> dict[str, torch.Tensor]:
    """Give a net such tensors and return them."""
    state = random_tensors({name: tensor.shape for name, tensor in module.state_dict().items()})
    module.load_state_dict(state)
    return state


def arrays(state: Mapping[str, torch.Tensor]) -> dict[str, Floats]:
    """The tensors in float64."""
    return {name: tensor.double().numpy() for name, tensor in state.items()}


def kaldi_log_mel(samples: Floats, bands: int = 128, rate_hz: int = 16000) -> Floats:
    """Kaldi's filter bank of one clip, (T, bands), window hanning, from its documentation."""
    window, hop = rate_hz * 25 // 1000, rate_hz // 100
    points = 1 << (window - 1).bit_length()
    starts = range(0, len(samples) - window + 1, hop)
    frames = np.stack([samples[start : start + window] for start in starts]).astype(np.float64)
    frames -= frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    power = np.abs(np.fft.rfft((frames - 0.97 * before) * np.hanning(window), points)) ** 2
    mel = 1127.0 * np.log1p(np.arange(points // 2 + 1) * rate_hz / points / 700.0)
    low, high = 1127.0 * np.log1p(np.array([20.0, rate_hz / 2]) / 700.0)
    step = (high - low) / (bands + 1)
    centres = low + step * np.arange(1, bands + 1)
    filters = np.clip(1.0 - np.abs(mel[:, None] - centres) / step, 0.0, None)
    return np.asarray(np.log(np.maximum(power @ filters, np.finfo(np.float32).eps)))


def padded(energies: Floats, frames: int) -> Floats:
    """Zeros after the last frame, or the frames beyond cut."""
    return np.pad(energies[:frames], ((0, max(0, frames - len(energies))), (0, 0)))


def linear(x: Floats, tensors: Tensors, name: str) -> Floats:
    """A dense layer; a bias that the checkpoint lacks is none."""
    bias = tensors.get(f"{name}.bias")
    out = x @ tensors[f"{name}.weight"].T
    return out if bias is None else out + bias


def layer_norm(x: Floats, tensors: Tensors, name: str, eps: float) -> Floats:
    """Over the last axis."""
    spread = np.sqrt(x.var(-1, keepdims=True) + eps)
    scaled = (x - x.mean(-1, keepdims=True)) / spread
    return np.asarray(scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"])


def attention(query: Floats, key: Floats, value: Floats, heads: int) -> Floats:
    """Each head on its slice of the N x D tokens."""
    out = []
    for q, k, v in zip(*(np.split(x, heads, 1) for x in (query, key, value)), strict=True):
        scores = np.exp(log_softmax(q @ k.T / np.sqrt(q.shape[1]), axis=1))
        out.append(scores @ v)
    return np.concatenate(out, 1)


def gelu(x: Floats) -> Floats:
    """By the error function, not by tanh."""
    return np.asarray(0.5 * x * (1.0 + erf(x / np.sqrt(2.0))))


def block(
    x: Floats, tensors: Tensors, names: Sequence[str], *, heads: int, eps: float, qkv: str = ""
) -> Floats:
    """A pre-norm layer; `names` are norm, query, key, value, out, norm, and the MLP's two."""
    first, query, key, value, out, second, wide, narrow = names
    normed = layer_norm(x, tensors, first, eps)
    if qkv:
        three = np.split(linear(normed, tensors, qkv), 3, 1)
    else:
        three = [linear(normed, tensors, name) for name in (query, key, value)]
    x = x + linear(attention(three[0], three[1], three[2], heads), tensors, out)
    hidden = gelu(linear(layer_norm(x, tensors, second, eps), tensors, wide))
    return x + linear(hidden, tensors, narrow)


def patches(image: Floats, tensors: Tensors, name: str, stride: int) -> Floats:
    """Tokens (N, D) of an image (C, ..., H, W), row by row; as large as the kernel."""
    kernel = tensors[f"{name}.weight"]
    side = kernel.shape[-1]
    tokens = [
        (kernel * image[..., top : top + side, left : left + side]).reshape(len(kernel), -1).sum(1)
        for top in range(0, image.shape[-2] - side + 1, stride)
        for left in range(0, image.shape[-1] - side + 1, stride)
    ]
    return np.stack(tokens) + tensors[f"{name}.bias"]


def slaney_filters(rate_hz: int, points: int, bands: int, low_hz: float, high_hz: float) -> Floats:
    """Triangles of equal area, (bands, points // 2 + 1), as librosa's filters.mel has them."""
    turn, step = 15.0, np.log(6.4) / 27.0  # below 1 kHz 15 mel, then 27 to a factor of 6.4

    def mel(hz: float) -> float:
        return hz * 3.0 / 200.0 if hz < 1000.0 else turn + float(np.log(hz / 1000.0)) / step

    mels = np.linspace(mel(low_hz), mel(high_hz), bands + 2)
    edges = np.where(mels < turn, mels * 200.0 / 3.0, 1000.0 * np.exp(step * (mels - turn)))
    hz = np.arange(points // 2 + 1) * rate_hz / points
    left, centre, right = (edges[first : first + bands, None] for first in range(3))
    slopes = np.minimum((hz - left) / (centre - left), (right - hz) / (right - centre))
    return np.asarray(np.maximum(slopes, 0.0) * 2.0 / (right - left))


def pann(samples: Floats, tensors: Tensors) -> Floats:
    """Logits of PANNs' CNN14 for one clip at 32 kHz, from tensors by their published names."""
    ends = np.pad(samples, 512, mode="reflect")
    frames = np.stack([ends[first : first + 1024] for first in range(0, len(samples) + 1, 320)])
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(1024) / 1024)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    filters = slaney_filters(32000, 1024, 64, 50.0, 14000.0)
    decibels = 10.0 * np.log10(np.maximum(filters @ power.T, 1e-10))
    state = {name: torch.from_numpy(array) for name, array in tensors.items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        shape = (1, -1, 1, 1)
        scale = state[f"{name}.weight"] / (var + 1e-5).sqrt()
        return (x - mean.view(shape)) * scale.view(shape) + state[f"{name}.bias"].view(shape)

    x = norm(torch.from_numpy(decibels)[None, :, :, None], "bn0").transpose(1, 3)
    for level in range(1, 7):
        for half in (1, 2):
            kernel = state[f"conv_block{level}.conv{half}.weight"]
            x = norm(nn.functional.conv2d(x, kernel, padding=1), f"conv_block{level}.bn{half}")
            x = x.clamp(min=0)
        if level < 6:
            x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
            x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).mean((3, 5))
    over_time = x.mean(3)[0].numpy()
    hidden = np.maximum(linear(over_time.max(1) + over_time.mean(1), tensors, "fc1"), 0.0)
    return linear(hidden, tensors, "fc_audioset")
