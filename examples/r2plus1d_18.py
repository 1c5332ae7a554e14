"""R(2+1)D-18 (Tran et al. 2018) as torchvision has it, 16 frames at 15 a second and 112 pixels.

`weights` is the state dict that torchvision published (r2plus1d_18-91a641e6.pth, with the 400
classes of Kinetics) or one of the same net with the data's classes in their order.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.video import R2Plus1D_18_Weights, VideoResNet, r2plus1d_18

from mmlib.batch import Batch
from mmlib.models.contract import Frames

MEAN, STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


class R2plus1d18(nn.Module):
    """Frames -> logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: VideoResNet, classes: list[str], frames: Frames) -> None:
        super().__init__()
        self.classes, self.inputs = classes, {"video": frames}
        self.net, self.head = net, net.fc
        self.net.fc = nn.Identity()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None, None], persistent=False)

    def embed(self, batch: Batch) -> Tensor:
        embedding: Tensor = self.net((batch["video"] - self.mean) / self.std)
        return embedding

    def forward(self, batch: Batch) -> Tensor:
        logits: Tensor = self.head(self.embed(batch))
        return logits


def factory(
    weights: Path | None,
    classes: list[str],
    *,
    count: int = 16,
    rate_hz: float = 15.0,
    size: int = 112,
) -> R2plus1d18:
    state = torch.load(weights, map_location="cpu") if weights else {}
    if state and len(state["fc.bias"]) == 400:
        classes = R2Plus1D_18_Weights.KINETICS400_V1.meta["categories"]
    net = r2plus1d_18(num_classes=len(classes))
    if state:
        net.load_state_dict(state)
    return R2plus1d18(net, classes, Frames(count, rate_hz, size)).eval()
