"""All checks of a run, on a small project that was attacked for real."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
import pytest

from mmlib.checks.outcome import Outcome
from mmlib.checks.run import check_run
from mmlib.errors import UserError
from mmlib.sweep import work
from tests.sweep_toys import settings
from tests.test_sweep_work import project

NAMES = [
    "logits_not_probabilities", "deterministic_forward", "zero_or_nan_gradient", "gradient_flow",
    "eps0_equals_clean", "monotone_eps", "large_eps_collapse", "iterated_beats_single",
    "random_noise", "joint_beats_single", "budget_exact", "reload_rescore",
]  # fmt: skip


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    root = tmp_path_factory.mktemp("run")
    shards, run = project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        work.attack_split(shards, run, root / "attacks", settings(), seed=3)
    return shards, run, root / "attacks"


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in outcomes}


def test_a_sound_run(attacked: tuple[Path, Path, Path]) -> None:
    outcomes = check_run(*attacked, settings())
    assert [outcome.name for outcome in outcomes] == NAMES
    found = by_name(outcomes)
    for name in set(NAMES) - {"large_eps_collapse", "gradient_flow", "monotone_eps"}:
        assert found[name].status == "pass", found[name]


def test_tampered_examples_are_found_out(attacked: tuple[Path, Path, Path], tmp_path: Path) -> None:
    shards, run, attacks = attacked
    for name in ("mid.parquet", "mid-examples.parquet"):
        (tmp_path / name).write_bytes((attacks / name).read_bytes())
    table = pq.read_table(tmp_path / "mid-examples.parquet")
    place = table.schema.get_field_index("adversarial_audio")
    swapped = pa.array(table["adversarial_audio"].to_pylist()[::-1])
    changed = table.set_column(place, "adversarial_audio", swapped)
    pq.write_table(changed, tmp_path / "mid-examples.parquet")
    found = by_name(check_run(shards, run, tmp_path, settings()))
    assert found["budget_exact"].status == "fail"
    assert found["reload_rescore"].status == "fail"


def test_no_examples_warn(attacked: tuple[Path, Path, Path], tmp_path: Path) -> None:
    shards, run, attacks = attacked
    (tmp_path / "mid.parquet").write_bytes((attacks / "mid.parquet").read_bytes())
    pq.write_table(
        pa.table({"clip_id": pa.array([], pa.string())}), tmp_path / "mid-examples.parquet"
    )
    found = by_name(check_run(shards, run, tmp_path, settings()))
    assert found["reload_rescore"].status == "warn"


def test_other_clips_are_refused(attacked: tuple[Path, Path, Path], tmp_path: Path) -> None:
    shards, run, attacks = attacked
    table = pq.read_table(attacks / "mid.parquet")
    kept = table.filter(pa.compute.not_equal(table["clip_id"], "clip-3"))
    pq.write_table(kept, tmp_path / "mid.parquet")
    with pytest.raises(UserError, match="attacked other clips"):
        check_run(shards, run, tmp_path, settings())
