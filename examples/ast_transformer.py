"""AST (Gong et al. 2021) as Hugging Face's transformers has it: `pip install transformers`.

`weights` is the model.safetensors of a downloaded model, such as
MIT/ast-finetuned-audioset-10-10-0.4593, with its config.json beside it, which names the outputs.
Without weights the net is random: the data's classes, and `options` of ASTConfig.
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

    def __init__(self, net: ASTForAudioClassification, seconds: float) -> None:
        super().__init__()
        self.classes = list(net.config.id2label.values())
        self.inputs = {"audio": Waveform(16000, seconds)}
        self.net = net.audio_spectrogram_transformer
        self.norm, self.head = net.classifier.layernorm, net.classifier.dense
        self.frames, self.bands = net.config.max_length, net.config.num_mel_bins

    def embed(self, batch: Batch) -> Tensor:
        heard = filter_bank(batch["audio"], bands=self.bands, frames=self.frames)
        embedding: Tensor = self.norm(self.net((heard - MEAN) / (2 * STD)).pooler_output)
        return embedding

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def factory(
    weights: Path | None, classes: list[str], *, seconds: float = 10.0, **options: int
) -> Ast:
    if weights:
        net = ASTForAudioClassification.from_pretrained(weights.parent)
    else:
        names = dict(enumerate(classes))
        net = ASTForAudioClassification(ASTConfig(id2label=names, **options))
    return Ast(net, seconds).eval()
