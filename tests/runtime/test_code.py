"""What a fingerprint of the code covers, against what Python itself makes of the same files."""

import ast
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mmlib.runtime import code
from mmlib.runtime.scratch import Scratch
from mmlib.shards.decode_clip import decode_clip
from mmlib.sources import events
from mmlib.sources.fetched_clip import fetch_clip
from mmlib.sources.youtube import fetch
from tests.conftest import ROOT

RESUMING = ("download", "decode", "shard", "train", "retrain", "attack", "stress", "study")


def names(*files: Path) -> set[str]:
    return {file.relative_to(ROOT).as_posix() for file in files}


def by_ast(file: Path) -> set[str]:
    """The modules of the project that a file imports, at its top or later, as ast reads it."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert not node.level, f"{file}: a relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        waiting.extend([] if for_types else ast.iter_child_nodes(node))
    return {path for name in found for path in _paths(name)}


def _paths(module: str) -> list[str]:
    if module.split(".")[0] not in code.PACKAGES:
        return []
    path = module.replace(".", "/")
    return [name for name in (f"{path}.py", f"{path}/__init__.py") if (ROOT / name).is_file()]


def test_no_import_is_overlooked() -> None:
    files = [file for package in code.PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 200
    for file in files:
        assert by_ast(file) <= names(*code.imported(file)), file


@pytest.mark.slow
@pytest.mark.parametrize("stage", RESUMING)
def test_the_closure_holds_all_that_a_stage_has_loaded(stage: str) -> None:
    """In a process of its own, where nothing else has loaded a module."""
    script = (
        f"import sys, stages.{stage}\n"
        "for name, module in sys.modules.items():\n"
        "    if name.split('.')[0] in ('mmlib', 'stages'):\n"
        "        print(module.__file__)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = names(*map(Path, done.stdout.split()))
    closure = names(*code.import_closure([ROOT / "stages" / f"{stage}.py"]))
    assert f"stages/{stage}.py" in loaded
    assert loaded - {"stages/__init__.py"} <= closure


def test_what_is_run_by_name_counts() -> None:
    assert "mmlib/sources/youtube/child.py" in names(
        *code.import_closure([ROOT / "stages/download.py"])
    )


def test_the_check_of_all_params_decides_no_result() -> None:
    """Else an edit of the attacks' params would end the progress of a training."""
    closure = names(*code.import_closure([ROOT / "stages/train.py"]))
    assert not {"mmlib/params/attacks.py", "mmlib/params/whole/file.py"} & closure


def test_imports_for_a_type_checker_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text(
        "if TYPE_CHECKING:\n    from mmlib.batch import Batch\n\n    import mmlib.features\n\n"
        "def later():\n    from mmlib.media import (\n        decode,\n        graph as g,\n    )\n"
    )
    media = {f"mmlib/media/{name}.py" for name in ("__init__", "decode", "graph")}
    assert names(*code.imported(file)) == media | {"mmlib/__init__.py"}


def test_rows_are_told_by_what_makes_them_and_not_by_what_runs_it() -> None:
    fetched = code.makes_rows(fetch_clip, events.fetch)
    assert code.makes_rows(fetch_clip, partial(events.fetch)) == fetched
    others = code.makes_rows(fetch_clip, fetch.fetch), code.makes_rows(decode_clip)
    assert len({fetched, *others}) == 3
    for function, own in ((events.fetch, "sources/events/render"), (decode_clip, "media/graph")):
        source = Path(function.__code__.co_filename)
        files = names(*code.import_closure([source], without=code.RUNNERS))
        assert f"mmlib/{own}.py" in files
        assert "mmlib/shards/retry/work.py" not in files
        assert not [file for file in files if file.startswith(("mmlib/params", "mmlib/runtime"))]


def _scratch(root: Path) -> Scratch:
    return Scratch("train-mid", "abc", root)


def test_the_same_code_gives_the_same_folder_whatever_else_is_loaded(tmp_path: Path) -> None:
    first = _scratch(tmp_path)
    import stages.report  # noqa: F401

    assert _scratch(tmp_path).directory == first.directory
    with_a_function = Scratch("train-mid", "abc", tmp_path, uses=(events.fetch,))
    assert with_a_function.directory != first.directory


def test_code_on_the_call_stack_counts(tmp_path: Path) -> None:
    """Stages hand the work down: who made the folder is not all of the code at work."""
    called: dict[str, object] = {"make": lambda: _scratch(tmp_path)}
    exec(compile("made = make()", str(ROOT / "mmlib/metrics/ranking.py"), "exec"), called)
    assert called["made"].directory != _scratch(tmp_path).directory  # type: ignore[attr-defined]
