"""What is saved comes back the same, from its own files; what is broken says so."""

from pathlib import Path

import pytest
import torch

from mmlib.models import checkpoint
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_json
from tests.models.examples import clips, small

DESCRIPTION = {"classes": ["a", "b", "c", "d", "e"], "task": "multi_label", "run": "mid"}


@pytest.mark.parametrize("fusion", ["mid", "sum", "gated", "late", "early"])
def test_a_model_comes_back_with_the_same_output(tmp_path: Path, fusion: str) -> None:
    model = small(fusion, heads=fusion != "early")
    model.train()(clips(4))  # batch norm statistics that are not the initial ones
    model.eval()
    checkpoint.save(model, tmp_path / "mid", DESCRIPTION)
    loaded, description = checkpoint.load(tmp_path / "mid")
    batch = clips(3, seed=1)
    assert not loaded.training
    assert torch.equal(loaded(batch), model(batch))
    assert description["classes"] == DESCRIPTION["classes"]
    assert description["parameters"] == sum(p.numel() for p in model.parameters())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mid.json", "mid.safetensors"]


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        checkpoint.save(small("mid"), tmp_path / name, DESCRIPTION)
    for suffix in ("json", "safetensors"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mid"
    with pytest.raises(UserError, match=r"mid\.json: no such file"):
        checkpoint.load(path)
    checkpoint.save(small("mid"), path, DESCRIPTION)
    weights, described = tmp_path / "mid.safetensors", tmp_path / "mid.json"
    whole = weights.read_bytes()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"mid\.safetensors: .*delete it"):
        checkpoint.load(path)
    weights.unlink()
    with pytest.raises(UserError, match=r"mid\.safetensors: no such file"):
        checkpoint.load(path)
    weights.write_bytes(whole)

    facts = checkpoint.read_description(path)
    publish_json({**facts, "classes": ["a", "b"]}, described)
    with pytest.raises(UserError, match=r"does not fit mid\.json: size mismatch"):
        checkpoint.load(path)
    publish_json({**facts, "inputs": {}}, described)
    with pytest.raises(UserError, match=r"mid\.json: describes no model of this version"):
        checkpoint.load(path)
    del facts["architecture"]
    publish_json(facts, described)
    with pytest.raises(UserError, match="has no 'architecture'"):
        checkpoint.load(path)
    described.write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        checkpoint.load(path)
