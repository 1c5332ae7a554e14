"""What every model promises, whatever its nets and its fusion."""

import pytest
import torch

from mmlib.models.base import Model
from mmlib.models.build import architecture, build
from mmlib.models.fusion import Gated, Late
from mmlib.params.whole.file import load
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT
from tests.models.examples import (
    FUSIONS,
    SMALL_CNN14,
    SMALL_CSN,
    SMALL_R2PLUS1D,
    clips,
    describe,
    manifest,
    small,
)

KINDS = ("audio", "video", *FUSIONS)


def make(kind: str) -> Model:
    return small(modality=kind) if kind in ("audio", "video") else small(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_an_affine_image_of_the_penultimate_vector(kind: str) -> None:
    model = make(kind).eval()
    batch = clips(3)
    embeddings = model.embed(batch)
    logits = model(batch)
    assert logits.shape == (3, 5)
    expected = embeddings[model.penultimate] @ model.head.weight.T + model.head.bias
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_encode_then_classify_is_forward(kind: str) -> None:
    model = make(kind).eval()
    batch = clips(3)
    encoded = {name: model.encode(name, batch[name]) for name in model.modalities}
    torch.testing.assert_close(model.classify(encoded), model(batch), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_scores_the_same_alone_and_in_company(kind: str) -> None:
    model = make(kind).eval()
    batch = clips(6)
    together = model(batch)
    alone = torch.cat([model({k: v[i : i + 1] for k, v in batch.items()}) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(together, model(batch))


@pytest.mark.parametrize("kind", KINDS)
def test_memory_layout_of_the_input_does_not_matter(kind: str) -> None:
    model = make(kind).eval()
    batch = clips(2)
    packed = {name: tensor.contiguous() for name, tensor in batch.items()}
    torch.testing.assert_close(model(packed), model(batch), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_and_every_input_gets_a_gradient(kind: str) -> None:
    model = make(kind).train()
    batch = {name: tensor.requires_grad_() for name, tensor in clips(4).items()}
    for name in model.modalities:
        batch[f"{name}_present"] = torch.tensor([True, True, True, False])
    model(batch).square().sum().backward()
    absent = [name for name, p in model.named_parameters() if p.grad is None]
    assert not absent
    for name in model.modalities:
        gradient = batch[name].grad
        assert gradient is not None
        assert gradient[:3].abs().sum() > 0
        assert not gradient[3].any(), "a missing clip's filler must not be read"


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_modality_is_not_zeros_and_its_filler_is_not_read(kind: str) -> None:
    model = make(kind)
    for vector in model.missing.values():
        torch.nn.init.normal_(vector)
    batch = clips(4)
    name = model.modalities[0]
    present = torch.tensor([True, False, True, False])
    other = {**batch, name: batch[name].clone()}
    other[name][~present] = torch.nan
    batch[name][~present] = 0.0
    model.train()
    model({**other, f"{name}_present": present})  # batch norm must not see the filler either
    model.eval()
    masked = model({**other, f"{name}_present": present})
    assert masked.isfinite().all()
    full = model(batch)
    torch.testing.assert_close(masked[present], full[present], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(masked[~present], full[~present], atol=1e-3)
    nobody = model({**other, f"{name}_present": torch.zeros(4, dtype=torch.bool)})
    torch.testing.assert_close(nobody[~present], masked[~present], rtol=1e-5, atol=1e-5)


def test_present_everywhere_equals_no_mask() -> None:
    model = small("mid").eval()
    batch = clips(3)
    masks = {f"{name}_present": torch.ones(3, dtype=torch.bool) for name in batch}
    assert torch.equal(model(batch), model({**batch, **masks}))


@pytest.mark.parametrize("kind", ["mid", "sum", "gated", "late"])
def test_embeddings_and_heads_of_a_fused_model(kind: str) -> None:
    model = small(kind, heads=True).eval()
    batch = clips(3)
    embeddings = model.embed(batch)
    assert list(embeddings) == ["audio", "video", "fused"]
    heads = model.heads(batch)
    assert list(heads) == ["A", "V", "AV"]
    torch.testing.assert_close(heads["AV"], model(batch))
    torch.testing.assert_close(heads["A"], model.auxiliary["A"](embeddings["audio"]))
    changed = {**batch, "video": torch.zeros_like(batch["video"])}
    assert torch.equal(model.heads(changed)["A"], heads["A"])
    assert not torch.equal(model.heads(changed)["V"], heads["V"])


def test_heads_without_auxiliary_ones_are_named_after_the_modalities() -> None:
    assert list(small(modality="audio").heads(clips(2))) == ["A"]
    assert list(small(modality="video").heads(clips(2))) == ["V"]
    assert list(small("mid").heads(clips(2))) == ["AV"]


def test_late_fusion_adds_the_logits_of_two_heads() -> None:
    model = small("late").eval()
    assert isinstance(model, Late)
    batch = clips(3)
    embeddings = model.embed(batch)
    split = embeddings["audio"].shape[1]
    audio = embeddings["audio"] @ model.head.weight[:, :split].T
    video = embeddings["video"] @ model.head.weight[:, split:].T
    torch.testing.assert_close(model(batch), audio + video + model.head.bias)


def test_a_saturated_gate_lets_one_modality_through() -> None:
    model = small("gated").eval()
    assert isinstance(model, Gated)
    torch.nn.init.zeros_(model.gate.weight)
    torch.nn.init.constant_(model.gate.bias, 100.0)
    batch = clips(3)
    changed = {**batch, "video": torch.zeros_like(batch["video"])}
    assert torch.equal(model(batch), model(changed))


def test_early_fusion_shows_each_frame_its_own_slice_of_sound() -> None:
    model = small("early").eval()
    sound = torch.zeros(1, 36, 32)
    sound[:, 9:18] = 1.0  # the second of four frames' quarter
    maps = model.encode("audio", sound) - model.encode("audio", torch.zeros_like(sound))
    loudness = maps.mean(dim=(0, 1, 3, 4))
    assert maps.shape == (1, 1, 4, 16, 16)
    assert loudness[1] > 0.8 * loudness.sum()


def test_normalisation_happens_inside_the_model() -> None:
    shapes = manifest()
    batch = clips(2)
    moved = manifest()
    moved["audio"]["mean"] = [m + 0.1 for m in shapes["audio"]["mean"]]
    plain = build(describe(SMALL_CSN), 5, shapes).eval()
    shifted = build(describe(SMALL_CSN), 5, moved).eval()
    torch.testing.assert_close(
        plain(batch), shifted({"audio": batch["audio"] + 0.1}), rtol=1e-4, atol=1e-5
    )


def test_a_constant_band_is_harmless() -> None:
    shapes = manifest()
    shapes["audio"]["std"][3] = 0.0
    model = build(describe(SMALL_CSN), 5, shapes).eval()
    batch = clips(2)
    other = batch["audio"].clone()
    other[:, :, 3] += 0.5
    assert torch.equal(model(batch), model({"audio": other}))


def test_build_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    one = build(describe(SMALL_CSN), 5, manifest(), seed=3)
    state = torch.random.get_rng_state()
    two = build(describe(SMALL_CSN), 5, manifest(), seed=3)
    other = build(describe(SMALL_CSN), 5, manifest(), seed=4)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(one.head.weight, two.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("run", ["audio", "video", "mid", "gblend"])
def test_every_row_of_params_builds(run: str) -> None:
    params = load(ROOT / "params.yaml")
    row = params.train[run]
    shapes = manifest(
        params.shard.mel.frames,
        params.shard.mel.bands,
        params.shard.video.frames,
        params.shard.video.size,
    )
    model = build(architecture(row, params.model, heads=run == "gblend"), 12, shapes).eval()
    assert model(clips(1, shapes)).shape == (1, 12)
    assert model.modalities == row.modalities


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="no audio net is named 'lstm'; there are: csn, cnn14"):
        build(describe({**SMALL_CSN, "name": "lstm"}), 5, manifest())
    with pytest.raises(UserError, match="no fusion is named 'middle'"):
        build(describe(SMALL_CSN, SMALL_R2PLUS1D, "middle"), 5, manifest())
    with pytest.raises(UserError, match="multiple of 32 mel bands, not 40"):
        build(describe(SMALL_CSN), 5, manifest(bands=40))
    with pytest.raises(UserError, match="cnn14, which needs at least 32 mel frames, not 20"):
        build(describe(SMALL_CNN14), 5, manifest(frames=20))
    with pytest.raises(UserError, match="one for video"):
        build(describe(SMALL_CSN, heads=True), 5, manifest())
    with pytest.raises(UserError, match="one for video"):
        build(describe(SMALL_CSN, SMALL_R2PLUS1D, "early", heads=True), 5, manifest())
