"""A profile changes what it names, keeps every comment, and `demo` leads back."""

import shutil
from pathlib import Path

import pytest

from mmlib.params.retraining import AdversarialRun
from mmlib.params.training import OFF
from mmlib.params.whole.file import load
from mmlib.runtime.errors import UserError
from mmlib.shards.read.format import ROW_GROUP_CLIPS
from tests.conftest import ROOT
from tools import profiles
from tools.planning import Rates, shard_sizes

FOLDER = ROOT / "profiles"


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


@pytest.mark.parametrize("name", [n for n in profiles.names(FOLDER) if n != "own_model"])
def test_every_profile_is_valid_and_demo_leads_back(params: Path, name: str) -> None:
    before = params.read_text(encoding="utf-8")
    profiles.apply(name, FOLDER, params)
    load(params)
    comments = [line.strip() for line in before.splitlines() if line.strip().startswith("#")]
    after = params.read_text(encoding="utf-8")
    assert [line.strip() for line in after.splitlines() if line.strip().startswith("#")] == comments
    profiles.apply("demo", FOLDER, params)
    assert params.read_text(encoding="utf-8") == before


def test_a_profile_of_own_models_trains_nothing_and_keeps_the_comments_of_what_is_left(
    params: Path,
) -> None:
    """The comments between the rows that it removes go with them; git brings them back."""

    def comments(depth: int) -> list[str]:
        lines = params.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith(depth * " " + "#")]

    before = comments(0), comments(2)
    profiles.apply("tiny own_model", FOLDER, params)
    assert load(params).runs == ()
    assert comments(0) == before[0]
    kept = {line.strip() for line in params.read_text(encoding="utf-8").splitlines()}
    of_rows = [line for line in before[1] if line.strip() not in kept]
    assert len(of_rows) == 3, "those before the row gblend"


def test_a_change_is_named(params: Path) -> None:
    changes = profiles.apply("paper", FOLDER, params)
    assert any(line.startswith("model.csn.width: ") and line.endswith("-> 32") for line in changes)
    assert profiles.apply("paper", FOLDER, params) == []


@pytest.mark.parametrize("source", ["audioset", "kinetics_sounds", "folder"])
@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_a_size_goes_over_a_source(params: Path, source: str, size: str) -> None:
    changes = profiles.apply(f"{source} {size}", FOLDER, params)
    assert f"data.source: events -> {source}" in changes
    assert profiles.apply(size, FOLDER, params) == []
    # What the size leaves alone is as the source says.
    assert all(
        change.startswith("train.") or change.startswith("retrain.")
        for change in profiles.apply(source, FOLDER, params)
    )


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_a_size_goes_over_the_clips_of_an_adapter(params: Path, size: str) -> None:
    before = params.read_text(encoding="utf-8")
    for adapters in ("panns_cnn14 r2plus1d_18", "cav_mae videomae", "ast_transformer"):
        profiles.apply(f"{adapters} {size}", FOLDER, params)
        video = load(params).shard.video
        assert video.rate_hz is None
        assert video.jpeg_quality == (95 if size == "paper" else None)
    profiles.apply("demo", FOLDER, params)
    assert params.read_text(encoding="utf-8") == before


def test_an_empty_table_takes_the_rows_of_a_profile_and_gives_them_back(params: Path) -> None:
    profiles.apply("folder small study", FOLDER, params)
    found = load(params)
    assert set(found.study.table.rows) <= set(found.study.rows)
    assert found.study.rows["mixup_shared_10"].guide == "none"
    assert profiles.apply("study", FOLDER, params) == []
    changes = profiles.apply("demo", FOLDER, params)
    assert "study.rows.plain.epochs: 4 -> none" in changes
    assert load(params).study.rows == {}
    assert set(load(params).temperature.guides) == {"temperature"}


def test_a_row_that_a_profile_adds_stands_with_its_table(params: Path) -> None:
    """What follows the table in the file, comments too, still follows it."""
    before = params.read_text(encoding="utf-8")
    profiles.apply("panns", FOLDER, params)
    after = params.read_text(encoding="utf-8")
    start = next(k for k, (old, new) in enumerate(zip(before, after, strict=False)) if old != new)
    added = after[: len(after) - len(before) + start][start:]
    assert before == after[:start] + after[start + len(added) :]
    row = load(params).train["audio_cnn14"]
    assert (row.audio, row.modalities) == ("cnn14", ("audio",))
    assert added.count("\n") == len(type(row).model_fields)
    profiles.apply("demo", FOLDER, params)
    assert params.read_text(encoding="utf-8") == before


CERTIFIED = """\
  rows:
    first:
      run: mid
      threats: all
      sigma:
        audio: 0.1
        video: 0.2
    # the second
    second:
      run: mid
      sigma:
        audio: 0.1
        video: 0.2
      threats:
        - A
        - V
"""


@pytest.fixture
def ending_in_a_list(params: Path, tmp_path: Path) -> tuple[str, Path]:
    """The params with rows of certify, the last of which ends in a list, and profiles."""
    empty = params.read_text(encoding="utf-8")
    start = empty.index("\n  rows: {}", empty.index("\ncertify:")) + 1
    filled = CERTIFIED
    params.write_text(empty[:start] + filled + empty[start:].removeprefix("  rows: {}\n"))
    for name, rows in {
        "none": "{}", "first": "{second: null}", "second": "{first: null}",
        "all": "{second: {threats: all}}", "third": "{third: {run: mid, sigma: {audio: 0.1, video: "
        "0.2}, threats: [V]}}", "nobody": "{first: null, second: null}",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.yaml").write_text(f"certify:\n  rows: {rows}\n")
    return empty, tmp_path


@pytest.mark.parametrize("name", ["none", "nobody"])
def test_a_table_whose_last_row_ends_in_a_list_is_emptied(
    params: Path, ending_in_a_list: tuple[str, Path], name: str
) -> None:
    """What follows it follows it still, whether it is emptied at once or row by row."""
    empty, folder = ending_in_a_list
    profiles.apply(name, folder, params)
    assert params.read_text(encoding="utf-8") == empty


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("all", "threats:\n        - A\n        - V\n", "threats: all\n"),
        ("third", "- V\n", "- V\n    third:\n      run: mid\n      sigma:\n        audio: 0.1\n"
         "        video: 0.2\n      threats:\n        - V\n"),
        ("second", CERTIFIED[CERTIFIED.index("    first") : CERTIFIED.index("    # the")], ""),
        ("first", CERTIFIED[CERTIFIED.index("    # the") :], ""),
    ],
)  # fmt: skip
def test_a_row_that_ends_in_a_list_is_changed_followed_and_removed(
    params: Path, ending_in_a_list: tuple[str, Path], name: str, old: str, new: str
) -> None:
    before, old = params.read_text(encoding="utf-8"), old
    profiles.apply(name, ending_in_a_list[1], params)
    start = before.index("\ncertify:")
    assert params.read_text(encoding="utf-8") == before[:start] + before[start:].replace(
        old, new, 1
    )


def test_cnn14_goes_over_every_source_and_size(params: Path) -> None:
    for chosen in ("panns", "tiny panns", "audioset paper panns", "folder small panns"):
        profiles.apply(f"demo {chosen}", FOLDER, params)
        assert list(load(params).train) == ["audio", "video", "mid", "gblend", "audio_cnn14"]
        assert load(params).model.cnn14.width == 64


def test_rows_of_the_study_cost_what_they_say(params: Path) -> None:
    """10 epochs of plain training make as many passes as 4 of PGD-AT: (1 + share x steps) each."""
    profiles.apply("study", FOLDER, params)
    rows = load(params).study.rows
    robust = rows["adversarial"]
    assert isinstance(robust, AdversarialRun)
    passes = robust.epochs * (1 + robust.adversarial_share * robust.steps)
    assert {rows[name].epochs for name in ("plain_long", "mixup_long")} == {passes}
    assert rows["plain"].epochs == rows["mixup"].epochs == robust.epochs


def test_a_row_that_is_not_there_is_left_out_and_said(params: Path) -> None:
    """After a row was renamed or removed, every profile still applies."""
    text = params.read_text(encoding="utf-8").replace("  adversarial:\n", "  robust:\n", 1)
    params.write_text(text, encoding="utf-8")
    for name in profiles.names(FOLDER):
        if name == "own_model":
            continue
        said = profiles.apply(name, FOLDER, params)
        if name in ("demo", "tiny", "small", "folder"):
            assert any(line.startswith("retrain.adversarial: no such row") for line in said)
        assert "robust" in load(params).retrain
        assert "adversarial" not in load(params).retrain


def test_profiles_apply_where_parts_are_switched_off(params: Path) -> None:
    text = params.read_text(encoding="utf-8")
    start, end = text.index("\nretrain:\n") + 1, text.index("\nattack:\n")
    params.write_text(text[:start] + "retrain: {}\n" + text[end:], encoding="utf-8")
    for name in ("demo", "small", "tiny", "demo"):
        profiles.apply(name, FOLDER, params)
        assert load(params).retrain == {}


def test_broken_params_are_said_in_a_line(params: Path) -> None:
    params.write_text("a: [1\n", encoding="utf-8")
    with pytest.raises(UserError, match="not YAML"):
        profiles.apply("demo", FOLDER, params)


def test_one_label_a_clip(params: Path) -> None:
    for chosen in ("kinetics_sounds", "folder single_label", "demo single_label"):
        profiles.apply(chosen, FOLDER, params)
        found = load(params)
        assert (found.data.task, found.attack.loss) == ("single_label", "cross_entropy")


def test_recipes_of_both_sets_are_whole(params: Path) -> None:
    """Every run of either set says its own pace; what the one switches on the other has off."""
    profiles.apply("audioset paper", FOLDER, params)
    found = load(params)
    assert found.batches.epoch_steps == 2500 // found.batches.accumulation
    assert {row.batch_size for row in (*found.train.values(), *found.retrain.values())} == {100}
    bands = found.augment.band_mask * found.shard.mel.bands, found.augment.time_mask * 400
    assert bands == pytest.approx((12, 60))
    profiles.apply("kinetics_sounds paper paper_kinetics", FOLDER, params)
    found = load(params)
    assert (found.data.task, found.shard.video.size) == ("single_label", 112)
    assert found.batches == OFF
    assert {row.batch_size for row in (*found.train.values(), *found.retrain.values())} == {64}


def test_shards_of_the_paper_have_the_size_that_disks_like(params: Path) -> None:
    """128 to 512 MB each, with what JPEG leaves of real pictures, in row groups that are full."""
    profiles.apply("audioset paper", FOLDER, params)
    found = load(params)
    for _, size in shard_sizes(found, 527, Rates()):
        assert 128e6 < size < 512e6
    assert found.data.shard_clips % ROW_GROUP_CLIPS == 0


def test_the_sizes_are_those_of_the_paper(params: Path) -> None:
    profiles.apply("audioset paper", FOLDER, params)
    shard = load(params).shard
    assert (shard.seconds, shard.mel.frames, shard.mel.bands) == (10.0, 400, 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attack:\n  epss: 1\n", "attack.epss is no key"),
        ("attack:\n  eps: -1\n", "attack.eps"),
    ],
)
def test_a_bad_profile_changes_nothing(
    params: Path, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    before = params.read_text(encoding="utf-8")
    with pytest.raises(UserError, match=message):
        profiles.apply("bad", tmp_path, params)
    assert params.read_text(encoding="utf-8") == before
    assert not list(tmp_path.glob(".params*"))


def test_an_unknown_profile_lists_the_known(params: Path) -> None:
    with pytest.raises(UserError, match="audioset, cav_mae, certify, demo, folder"):
        profiles.apply("huge", FOLDER, params)
