"""Silero's speech detector (`pip install silero-vad`), a TorchScript net that comes with weights.

What an adapter has to do with such a net. It keeps its state and the end of the last chunk from
call to call: here a clip begins with neither, and the inner net is given both. It returns
probabilities: here its last layers run without the sigmoid. Its gradient in digital silence is not
a number: here the step at fault is written anew. It is fed 32 ms at a time: here a clip counts as
speech if any chunk does, so the largest logit is the clip's. No vector of a clip stands before that
maximum, hence no `embed`. The package is found but not imported: importing it sets torch to one
thread. Its one output is called speech.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmlib.batch import Batch
from mmlib.models.contract import Waveform

CHUNK, CONTEXT, HOP, STATE = 512, 64, 128, 128


class Silero(nn.Module):
    """Waveform at 16 kHz -> the logit of speech, (B, 1)."""

    net: Any

    def __init__(self, net: Any, seconds: float) -> None:
        super().__init__()
        self.classes, self.inputs = ["speech"], {"audio": Waveform(16000, seconds)}
        self.net = net
        self.score = nn.Sequential(*list(net.decoder.decoder.children())[:-1])

    def spectra(self, chunks: Tensor) -> Tensor:
        """Magnitudes, as the net's own `stft`, whose root has no gradient in digital silence."""
        padded = functional.pad(chunks, (0, CONTEXT), "reflect")[:, None]
        parts = functional.conv1d(padded, self.net.stft.forward_basis_buffer, stride=HOP)
        real, imaginary = parts.chunk(2, dim=1)
        return (real.square() + imaginary.square() + 1e-20).sqrt()

    def forward(self, batch: Batch) -> Tensor:
        sound = batch["audio"]
        ends = functional.pad(sound, (CONTEXT, -sound.shape[1] % CHUNK))
        chunks = ends.unfold(1, CONTEXT + CHUNK, CHUNK)
        heard = self.net.encoder(self.spectra(chunks.flatten(0, 1)))[..., 0]
        state = 2 * (sound.new_zeros(len(sound), STATE),)
        logits = []
        for chunk in heard.view(*chunks.shape[:2], STATE).unbind(1):
            state = self.net.decoder.rnn(chunk, state)
            logits.append(self.score(state[0][..., None])[..., 0])
        return torch.cat(logits, 1).amax(1, keepdim=True)


def factory(weights: Path | None, classes: list[str], *, seconds: float = 1.0) -> Silero:
    """Build from `weights`, a silero_vad.jit, or else from the one in the package."""
    if weights is None:
        package = find_spec("silero_vad")
        if package is None or package.origin is None:
            raise ImportError("silero-vad is not installed: pip install silero-vad")
        weights = Path(package.origin).parent / "data" / "silero_vad.jit"
    loaded = torch.jit.load(weights)  # type: ignore[no-untyped-call]
    return Silero(loaded._model, seconds).eval()
