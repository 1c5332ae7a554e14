"""AST (Gong et al. 2021) as Hugging Face's transformers has it: `pip install transformers`.

`weights` is the model.safetensors of a downloaded model, such as
MIT/ast-finetuned-audioset-10-10-0.4593, with its config.json beside it; `classes` are its labels
in their order. Without weights, `options` are those of ASTConfig.
"""

from pathlib import Path

from torch import Tensor, nn
from transformers import ASTConfig, ASTForAudioClassification

from mmlib.batch import Batch
from mmlib.models.contract import Waveform
from mmlib.models.kaldi import filter_bank

MEAN, STD = -4.2677393, 4.5689974


class Ast(nn.Module):
    """Waveform at 16 kHz -> logits; what is shorter than the net's 1024 frames is padded."""

    def __init__(self, net: ASTForAudioClassification, classes: list[str], seconds: float) -> None:
        super().__init__()
        self.classes, self.inputs = classes, {"audio": Waveform(16000, seconds)}
        self.net = net.audio_spectrogram_transformer
        self.head = net.classifier
        self.frames, self.bands = net.config.max_length, net.config.num_mel_bins

    def embed(self, batch: Batch) -> Tensor:
        heard = filter_bank(batch["audio"], bands=self.bands, frames=self.frames)
        embedding: Tensor = self.net((heard - MEAN) / (2 * STD)).pooler_output
        return embedding

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def factory(
    weights: Path | None, classes: list[str], *, seconds: float = 10.0, **options: int
) -> nn.Module:
    if weights:
        net = ASTForAudioClassification.from_pretrained(weights.parent)
    else:
        net = ASTForAudioClassification(ASTConfig(num_labels=len(classes), **options))
    return Ast(net, classes, seconds).eval()
