"""Published weights as starts: the published net's numbers, or the first difference."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from mmlib.models import checkpoint, public
from mmlib.models.build import build
from mmlib.models.cnn14 import Cnn14
from mmlib.models.csn import Csn
from mmlib.models.r2plus1d import R2plus1d
from mmlib.runtime.errors import UserError
from tests.models.examples import SMALL_CNN14, describe, manifest


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = torchvision.models.video.r2plus1d_18().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net


@pytest.mark.parametrize("form", ["pth", "safetensors", "wrapped"])
def test_torchvision_s_weights_give_torchvision_s_numbers(
    published: nn.Module, tmp_path: Path, form: str
) -> None:
    held: Any = published.state_dict()
    file = tmp_path / f"weights.{'safetensors' if form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file(held, file)
    else:
        wrapped = {"model": {f"module.{name}": tensor for name, tensor in held.items()}, "epoch": 3}
        torch.save(wrapped if form == "wrapped" else held, file)
    encoder = R2plus1d().eval()
    public.start(encoder, file)
    kept = [name for name in held if not name.startswith("fc.")]
    assert len(kept) == len(encoder.state_dict()) == 222
    if form == "pth":
        published.fc = nn.Identity()
        clip = torch.randn(1, 3, 8, 40, 40)
        with torch.no_grad():
            expected, found = published(clip), encoder(clip)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def panns(encoder: Cnn14) -> dict[str, Tensor]:
    """The tensors of a CNN14 under the names that PANNs publishes, with what is not ours."""
    held = {}
    for name, tensor in encoder.state_dict().items():
        kind, *rest = name.split(".")
        if kind == "blocks":
            part = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}[rest[1]]
            held[f"conv_block{int(rest[0]) + 1}.{part}.{rest[2]}"] = tensor
        else:
            held[name.replace("dense.", "fc1.")] = tensor
    extra = {"bn0.weight": torch.ones(64), "fc_audioset.weight": torch.ones(527, 2048)}
    return held | extra | {"logmel_extractor.melW": torch.ones(513, 64)}


def test_panns_weights_come_back_and_start_a_run(tmp_path: Path) -> None:
    theirs = Cnn14(width=2)
    torch.save({"model": panns(theirs)}, tmp_path / "Cnn14.pth")
    model = build(describe(SMALL_CNN14), 5, manifest())
    checkpoint.start_encoder(model, "audio", tmp_path / "Cnn14.pth")
    for name, tensor in model.encoders["audio"].state_dict().items():
        assert torch.equal(tensor, theirs.state_dict()[name]), name


@pytest.mark.parametrize(
    ("encoder", "change", "said"),
    [
        (Cnn14(width=4), {}, r"blocks.0.0.weight is \(2, 1, 3, 3\), not \(4, 1, 3, 3\); PANNs'"),
        (Cnn14(width=2), {"fc1.bias": None}, "holds no dense.bias, which Cnn14 has"),
        (Cnn14(width=2), {"late.bias": torch.ones(1)}, "holds late.bias, which Cnn14 lacks"),
        (R2plus1d(width=2, blocks=(1,)), {}, "holds no stem.space.weight, which R2plus1d has; tor"),
        (
            Csn(32, width=2, transformer_blocks=1, share_blocks=False, dropout=0.0),
            {},
            "published weights for r2plus1d and cnn14 alone",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_first_difference(
    tmp_path: Path, encoder: Any, change: dict[str, Any], said: str
) -> None:
    held = panns(Cnn14(width=2)) | change
    torch.save({n: t for n, t in held.items() if t is not None}, tmp_path / "Cnn14.pth")
    with pytest.raises(UserError, match=said) as caught:
        public.start(encoder, tmp_path / "Cnn14.pth")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_weights_is_refused_and_not_run(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save(Cnn14(width=2), file)
    with pytest.raises(UserError, match="holds more than tensors, and is not run"):
        public.start(Cnn14(width=2), file)
    file.write_bytes(b"not a file of weights")
    with pytest.raises(UserError, match=r"net\.pth: "):
        public.start(Cnn14(width=2), file)
    torch.save([1, 2], file)
    with pytest.raises(UserError, match="holds no state_dict"):
        public.start(Cnn14(width=2), file)
