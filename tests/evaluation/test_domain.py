"""Sound attacked as its waveform: the front end before the net, and all that follows from it."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.losses import bce
from mmlib.attacks.core.region import ORDERS
from mmlib.attacks.core.threat import (
    NORMS,
    Norm,
    scaled,
)
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import LabelledBatch, is_waveform
from mmlib.evaluation.attacked import domain
from mmlib.evaluation.attacked.budgets import shapes_of, threat_at
from mmlib.evaluation.sweep import attack, perceptibility
from mmlib.evaluation.sweep.chunk import ChunkSweep
from mmlib.evaluation.sweep.measures import measure
from mmlib.evaluation.theorem.theorem import measure as measure_radii
from mmlib.features import LogMel
from mmlib.models import checkpoint
from mmlib.models.base import Model
from mmlib.params.attacks import Attack
from mmlib.params.checks import RadiusSearch
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import Scratch, publish_json
from mmlib.shards.read.loader import ShardSet
from mmlib.shards.read.manifest import MANIFEST_NAME, read_manifest
from tests.evaluation.test_attack import project
from tests.sweep_toys import MEL, labelled, log_mel, model, settings, waveforms

CPU = torch.device("cpu")
SILENT, HALF = 1, 2


def heard(fusion: str | None = "mid", video: bool = True) -> Model:
    net = model(fusion, video=video)
    domain.hear(net, LogMel(MEL))
    return net.requires_grad_(False)


def on_waveforms(**changes: object) -> Attack:
    return settings(domain="waveform", **changes)


def clips_of(net: Model, clips: int = 3) -> LabelledBatch:
    return labelled(net, clips, sound=waveforms(clips))


def test_clean_scores_are_those_of_the_stored_log_mel() -> None:
    """The front end gives the stored log-mel exactly, before its rounding to float16."""
    sound = waveforms(6)
    plain, net = model(), heard()
    batch = clips_of(net, 6).inputs
    made: Tensor = LogMel(MEL)(sound)
    assert torch.equal(made.half().float(), log_mel(sound))
    assert not log_mel(sound)[SILENT].any()
    with torch.no_grad():
        scores, stored = net(batch), plain({**batch, "audio": log_mel(sound)})
        exact = plain({**batch, "audio": made})
    torch.testing.assert_close(scores, exact, atol=1e-6, rtol=1e-6)
    assert float((scores - stored).abs().max() / stored.abs().max()) < 5e-3


@pytest.mark.parametrize("fusion", ["mid", "early", "late"])
def test_every_fusion_hears(fusion: str) -> None:
    net, plain = heard(fusion), model(fusion)
    batch = clips_of(net).inputs
    with torch.no_grad():
        expected = plain({**batch, "audio": LogMel(MEL)(batch["audio"])})
        torch.testing.assert_close(net(batch), expected)


def test_the_gradient_equals_finite_differences() -> None:
    net = heard(None, video=False)
    batch = clips_of(net, 1)
    generator = torch.Generator().manual_seed(5)
    sound = batch.inputs["audio"].clone().requires_grad_()
    loss = bce(net({"audio": sound}), batch.labels).sum()
    (gradient,) = torch.autograd.grad(loss, sound)
    direction = torch.randn(sound.shape, generator=generator) + 30 * gradient.sign()
    step = 2e-7
    with torch.no_grad():
        ahead, behind = (
            bce(net({"audio": sound + side * step * direction}), batch.labels).double().sum()
            for side in (1, -1)
        )
    slope = float(ahead - behind) / (2 * step)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize("norm", NORMS)
def test_what_holds_for_every_clip_of_a_sweep(norm: Norm) -> None:
    """Silent clips, clips without sound and clips that end early among them."""
    net = heard()
    clips = clips_of(net, 4)
    clips.inputs["audio_present"] = torch.tensor([True, True, True, False])
    short = on_waveforms(norm=norm, scale={"audio": 0.2, "video": 1.0})
    sweep = ChunkSweep(net, clips, short, seed=7)
    records = {record.condition: record for record in sweep.run()}
    clean = records["clean", "clean", 0.0]
    torch.testing.assert_close(clean.scores, net(clips.inputs), atol=1e-5, rtol=1e-5)
    for name in ("A", "V", "AV"):
        losses = [clean.loss, *(records[name, "pgd", multiple].loss for multiple in short.sweep)]
        for smaller, larger in pairwise(losses):
            assert bool((larger >= smaller).all())
        for multiple in short.sweep:
            found = sweep.solutions[name, multiple].points
            for modality, budget in sweep.threat(name, multiple).items():
                delta = perceptibility.change(clips.inputs[modality], found[modality])
                change = perceptibility.norm(delta, ORDERS[norm])
                assert bool((change <= budget.eps).all())
                low = -1 if modality == "audio" else 0
                assert low <= float(found[modality].min()) <= float(found[modality].max()) <= 1
    under_sound = records["A", "pgd", 1.0]
    assert torch.equal(sweep.solutions["A", 1.0].points["audio"][3], clips.inputs["audio"][3])
    assert bool((under_sound.loss[:3] > clean.loss[:3]).all()), "silence too"
    assert torch.isnan(under_sound.measures["snr_waveform"]).tolist() == [False, True, False, True]
    assert "snr_log_mel" not in under_sound.measures
    assert "snr_waveform" in records["AV", "noise", 1.0].measures
    assert bool((under_sound.loss[:3] > records["A", "noise", 1.0].loss[:3]).all())


def test_silence_is_out_of_reach_without_noise_to_start_from() -> None:
    """Why a sweep raises it: from the clean clip the gradient is zero, and stays so."""
    net = heard(None, video=False)
    batch, labels = clips_of(net).inputs, clips_of(net).labels
    threat = threat_at("A", on_waveforms(), 1.0, shapes_of(batch))
    stuck = pgd(net, batch, labels, threat, steps=3, start={"audio": batch["audio"]})
    assert torch.equal(stuck["audio"][SILENT], batch["audio"][SILENT])
    assert not torch.equal(stuck["audio"][HALF], batch["audio"][HALF])


@pytest.mark.parametrize(
    "methods", [["pgd", "apgd", "square"], ["fgsm", "mim"], ["sparse", "misalign"]]
)
def test_other_methods_and_the_plane(methods: list[str]) -> None:
    """An ensemble beats its members; rounded to int16 the sound keeps within its budget."""
    from mmlib.evaluation.sweep.surface import attack_surface

    net = heard()
    surface = {"runs": ["mid"], "multiples": [0.5, 1.0]}
    several = on_waveforms(methods=methods, queries=5, surface=surface)
    sweep = ChunkSweep(net, clips_of(net), several, seed=1)
    records = {record.condition: record for record in sweep.run()}
    for method in methods:
        alone = records["A", f"{method} alone", 1.0]
        assert bool((records["A", "pgd", 1.0].loss >= alone.loss).all())
    points = list(attack_surface(sweep))
    assert len(points) == 3
    assert all(bool(torch.isfinite(point.scores).all()) for point in points)


def test_no_budget_changes_nothing() -> None:
    net = heard()
    clips = clips_of(net)
    threat = scaled(threat_at("AV", on_waveforms(), 1.0, shapes_of(clips.inputs)), 0.0)
    found = pgd(net, clips.inputs, clips.labels, threat, steps=2)
    assert all(torch.equal(found[name], clips.inputs[name]) for name in threat)


def test_the_snr_is_that_of_the_sound() -> None:
    clean = torch.full((1, 100), 0.5)
    threat = threat_at("A", on_waveforms(), 1.0, shapes_of({"audio": clean}))
    assert (threat["audio"].low, threat["audio"].high) == (-1, 1)
    found = measure({"audio": clean}, {"audio": clean + 0.05}, threat)
    assert set(found) == {"norm_audio", "mean_abs_audio", "max_abs_audio", "snr_waveform"}
    assert float(found["snr_waveform"]) == pytest.approx(20, abs=1e-3)


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return project(tmp_path, waveforms(7))[0]


def test_clips_are_gathered_in_the_form_that_is_attacked(shards: Path) -> None:
    clips = ShardSet(shards, "eval")
    rows = np.array([5, 0, 2])
    sound = domain.gather(clips, rows, domain="waveform").inputs
    levels = domain.gather(clips, rows, domain="log_mel").inputs
    assert is_waveform(sound["audio"])
    assert torch.equal(sound["audio"][:2], waveforms(7)[[5, 0]])
    assert not sound["audio"][2].any()
    assert sound["audio_present"].tolist() == levels["audio_present"].tolist()
    assert torch.equal(levels["audio"][:2], log_mel(waveforms(7))[[5, 0]])
    assert torch.equal(sound["video"], levels["video"])
    pictures = domain.gather(clips, rows, ("video",), domain="waveform").inputs
    assert "audio" not in pictures
    shapes = domain.input_shapes(clips, shards, "waveform")
    assert shapes["audio"] == tuple(sound["audio"].shape[1:])
    assert domain.input_shapes(clips, shards, "log_mel")["audio"] == (16, 32)


def test_a_manifest_without_the_front_end_is_an_error(shards: Path) -> None:
    publish_json({**read_manifest(shards), "mel": {}}, shards / MANIFEST_NAME)
    with pytest.raises(UserError, match="does not say how the log-mel was made"):
        domain.load_model(shards.parent / "mid", CPU, shards, "waveform")
    assert domain.load_model(shards.parent / "mid", CPU, shards, "log_mel")


def test_the_stage_s_tables(shards: Path) -> None:
    run, out = shards.parent / "mid", shards.parent / "out"
    attack.attack_split(shards, run, out, on_waveforms(), seed=3)
    table = pq.read_table(out / "mid.parquet")
    assert json.loads(table.schema.metadata[b"mmlib"])["domain"] == "waveform"
    assert table["snr_log_mel"].null_count == table.num_rows
    under_sound = [row for row in table.to_pylist() if (row["threat"], row["eps"]) == ("A", 0.02)]
    measured = [row["snr_waveform"] for row in under_sound if row["attack"] == "pgd"]
    assert [value is None for value in measured] == [False, True, True, False, True, False, False]
    examples = pq.read_table(out / "mid-examples.parquet")
    assert json.loads(examples.schema.metadata[b"mmlib"])["shapes"]["audio"] == [4096]
    stored = np.frombuffer(examples["clean_audio"][0].as_py(), np.float32)
    assert np.array_equal(stored, waveforms(7)[0].numpy())
    # The clean scores are those of a pass over the stored log-mel, to its rounding.
    net = checkpoint.load(run)[0]
    with torch.no_grad():
        expected = net(ShardSet(shards, "eval").gather(np.arange(7)).inputs).numpy()
    clean = [row["scores"] for row in table.to_pylist() if row["threat"] == "clean"]
    scores = np.stack([np.frombuffer(row, np.float32) for row in clean])
    assert np.abs(scores - expected).max() < 5e-3 * np.abs(expected).max()


def test_radii_of_waveforms(shards: Path) -> None:
    """The silent clips' radii are found too."""
    for name, net in (("audio", model(None, video=False)), ("video", model(None, audio=False))):
        described = {"classes": list("abcde"), "task": "multi_label"}
        checkpoint.save(net, shards.parent / name, described)
    folder = shards.parent
    search = RadiusSearch(clips=None, reach=8.0, steps=4, rounds=5, tolerance=0.05)
    found = measure_radii(
        shards,
        folder / "mid",
        {"audio": folder / "audio", "video": folder / "video"},
        on_waveforms(eps=0.1),
        search,
        seed=1,
        scratch=Scratch("theorem", "waveforms", folder / "scratch"),
    )
    radii = dict(zip(found["A"].clip_ids, found["A"].fused, strict=True))
    assert set(radii) == {f"clip-{row}" for row in (0, 1, 3, 4, 5, 6)}
    assert np.isfinite([radii["clip-1"], radii["clip-4"]]).all()
    assert len(found["V"].clip_ids) == 7
