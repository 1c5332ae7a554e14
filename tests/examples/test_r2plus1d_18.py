"""torchvision's R(2+1)D-18 from pixels, against the project's own, which has 2-D convolutions."""

from pathlib import Path

import torch
from torchvision.models.video import R2Plus1D_18_Weights, r2plus1d_18

from examples.r2plus1d_18 import factory
from mmlib.models.r2plus1d import R2plus1d
from tests.examples.agreement import (
    CLASSES,
    assert_contract,
    assert_gradient,
    assert_logits,
    clips,
)
from tests.examples.references import randomise


def test_it_equals_the_projects_net_from_pixels_and_so_does_its_gradient(tmp_path: Path) -> None:
    state = randomise(r2plus1d_18(num_classes=len(CLASSES)))
    torch.save(state, tmp_path / "net.pth")
    model = factory(tmp_path / "net.pth", CLASSES, count=2, size=16)
    batch = clips(model)

    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    ours = R2plus1d().eval()
    for mine, value in zip(ours.state_dict().values(), trunk.values(), strict=True):
        mine.copy_(value.reshape(mine.shape))
    published = R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    mean, std = torch.tensor([published.mean, published.std])[..., None, None, None]
    with torch.no_grad():
        features = ours.double()((batch["video"].double() - mean) / std)
        expected = features @ state["fc.weight"].double().T + state["fc.bias"]

    assert_contract(model, batch)
    assert_logits(model, batch, expected)
    assert_gradient(model, batch)


def test_published_weights_bring_kinetics_and_what_torchvision_documents(tmp_path: Path) -> None:
    torch.save(r2plus1d_18(num_classes=400).state_dict(), tmp_path / "net.pth")
    model = factory(tmp_path / "net.pth", ["dog"])
    form = model.inputs["video"]
    assert model.classes[:2] == ["abseiling", "air drumming"]
    assert len(model.classes) == model.head.out_features
    assert [form.size, form.size] == R2Plus1D_18_Weights.KINETICS400_V1.transforms().crop_size
    assert (form.count, form.rate_hz) == (16, 15.0)
