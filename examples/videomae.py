"""VideoMAE (Tong et al. 2022) as Hugging Face's transformers has it: `pip install transformers`.

`weights` is the model.safetensors of a downloaded model, such as
MCG-NJU/videomae-base-finetuned-kinetics, with its config.json beside it, which names the outputs.
Without weights the net is random: the data's classes, and `options` of VideoMAEConfig.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

from mmlib.batch import Batch
from mmlib.models.contract import Frames

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class VideoMae(nn.Module):
    """Frames -> logits; the net wants time before channels."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: VideoMAEForVideoClassification, rate_hz: float) -> None:
        super().__init__()
        self.classes = list(net.config.id2label.values())
        self.inputs = {"video": Frames(net.config.num_frames, rate_hz, net.config.image_size)}
        self.net, self.norm, self.head = net.videomae, net.fc_norm, net.classifier
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    def embed(self, batch: Batch) -> Tensor:
        seen = (batch["video"].transpose(1, 2) - self.mean) / self.std  # B, T, 3, H, W
        tokens: Tensor = self.net(seen).last_hidden_state
        embedding: Tensor = self.norm(tokens.mean(1)) if self.norm else tokens[:, 0]
        return embedding

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def factory(
    weights: Path | None, classes: list[str], *, rate_hz: float = 7.5, **options: int
) -> VideoMae:
    if weights:
        net = VideoMAEForVideoClassification.from_pretrained(weights.parent)
    else:
        names = dict(enumerate(classes))
        net = VideoMAEForVideoClassification(VideoMAEConfig(id2label=names, **options))
    return VideoMae(net, rate_hz).eval()
