"""Files as users write them: made into a net, or refused in one line that says what to do."""

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mmlib.models.contract import Frames, Waveform
from mmlib.models.factory import make, source
from mmlib.params.training import BY_NAME, FRESH, ModelRow
from mmlib.runtime.errors import UserError

NET = """
import functools, os, random, sys, warnings
import numpy as np
import torch
from torch import nn
from mmlib.models.contract import LogMel


class Net(nn.Module):
    def __init__(self, weights=None, classes=("a", "b"), **options):
        super().__init__()
        self.inputs, self.classes = {"audio": LogMel()}, list(classes)
        self.layer = nn.Linear(4, 2)
        if weights:
            self.load_state_dict(torch.load(weights, weights_only=True))


def factory(weights, classes, **options):
    return Net(weights, classes)
"""


def row(file: Path, function: str = "factory", **changes: Any) -> ModelRow:
    values = {"code": str(file), "weights": str(FRESH), "classes": str(BY_NAME), "options": {}}
    return ModelRow.model_validate({"factory": f"{file}:{function}"} | values | changes)


def written(folder: Path, more: str = "", name: str = "net.py") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(NET + more, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("function", "more"),
    [
        ("Net", ""),
        ("partial", "partial = functools.partial(factory)\n"),
        ("wrapped", "def wrapped(w, c): return nn.DataParallel(Net(w, c))\n"),
        # As torch.compile gives it, whose import takes seconds.
        (
            "compiled",
            "def compiled(w, c):\n    n = nn.Module()\n    n._orig_mod = Net(w, c)\n    return n\n",
        ),
        ("late", "def late(w, c):\n    from layers import kind\n    return kind(Net)(w, c)\n"),
        ("loud", "def loud(w, c):\n    print('# loading')\n    return Net(w, c)\n"),
    ],
)
def test_factories_of_any_kind_make_a_net(tmp_path: Path, function: str, more: str) -> None:
    (tmp_path / "layers.py").write_text("kind = lambda net: net\n", encoding="utf-8")
    net: Any = make(row(written(tmp_path, more, "my net (2).py"), function), ["a", "b"])
    assert net.classes == ["a", "b"]
    assert not net.training


def test_a_partial_in_a_package_is_found_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = written(tmp_path, "partial = functools.partial(factory)\n", "net_of_a_package.py")
    for function in ("partial", "factory"):
        assert source(row(FRESH, factory=f"net_of_a_package:{function}")) == file


COMPILED = """
def never(graph, inputs):
    raise AssertionError("compiled")


class Parts(Net):
    def __init__(self, weights, classes):
        super().__init__(None, classes)
        self.layer = torch.compile(self.layer, backend=never)
        if weights:
            self.load_state_dict(torch.load(weights, weights_only=True))

    @torch.compile(backend=never)
    def forward(self, batch):
        once = torch.compile(lambda x: 2 * x, backend=never)
        return once(self.layer(batch["audio"].mean(1)))
"""


def test_what_is_compiled_inside_a_net_runs_as_it_is_written(tmp_path: Path) -> None:
    """Its weights keep the names that they were saved by."""
    file, weights = written(tmp_path, COMPILED), tmp_path / "net.pth"
    held = {"layer._orig_mod.weight": torch.ones(2, 4), "layer._orig_mod.bias": torch.zeros(2)}
    torch.save(held, weights)
    try:
        for _ in range(2):
            net = make(row(file, "Parts", weights=str(weights)), ["a", "b"])
            found = net({"audio": torch.ones(3, 5, 4)})
            torch.testing.assert_close(found, torch.full((3, 2), 8.0))
    finally:
        torch.compiler.set_stance("default")


def test_files_beside_two_nets_may_have_one_name(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        file = written(tmp_path / name, "from layers import value\nNet.value = value\n")
        (tmp_path / name / "layers.py").write_text(f"value = {value}\n", encoding="utf-8")
        net: Any = make(row(file), ["a", "b"])
        assert net.value == value


def test_what_a_factory_sets_and_draws_stays_inside(tmp_path: Path) -> None:
    more = """
def drawing(weights, classes):
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    net = Net(weights, classes)
    net.drawn = [float(torch.rand(1)), np.random.rand(), random.random()]
    torch.set_default_dtype(torch.float64)
    os.chdir("/")
    warnings.simplefilter("error")
    torch.use_deterministic_algorithms(True)
    return net
"""
    file, drawn, threads = written(tmp_path, more), [], torch.get_num_threads()
    folder, filters = Path.cwd(), list(warnings.filters)
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        net: Any = make(row(file, "drawing"), ["a", "b"])
        drawn.append(net.drawn)
        random.seed(seed), np.random.seed(seed)  # noqa: NPY002
    assert drawn[0] == drawn[1]
    assert (torch.is_grad_enabled(), torch.get_default_dtype()) == (True, torch.float32)
    assert torch.get_num_threads() == threads
    assert (Path.cwd(), warnings.filters) == (folder, filters)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("from .layers import kind\n", "by their bare names: from layers import"),
        ("import no_such_package.part\n", "needs the package no_such_package, which is not"),
        ("sys.exit(2)\n", r"ends the process \(exit status 2\): a script's command line"),
        ("def factory(weights): pass\n", r"called as factory\(weights, classes, \*\*options\)"),
        ("def factory(w, c): return torch.zeros(1).to('cuda:9')\n", r"leave \.cuda\(\) and"),
        ("def factory(w, c): open('cuda.txt')\n", r"begin the path with Path\(__file__\)"),
        ("def factory(w, c): return Net\n", "returns the class Net: return an nn.Module"),
        ("def factory(w, c): return Net().to('meta')\n", "weights have no values .layer.weight is"),
        ("def factory(w, c): return Net(), {}\n", "returns tuple: return an nn.Module"),
        (
            "def factory(w, c): raise EOFError('EOF when reading a line')\n",
            "nobody answers in a stage",
        ),
        (
            "def factory(w, c):\n    net = Net()\n    net.optional = None\n    return net\n",
            r"a tuple of the inputs that clips may lack, such as \(\"audio\",\)",
        ),
        (
            "class Odd(Net):\n    def __getattr__(self, name):\n        if name == 'optional':\n"
            "            raise KeyError(name)\n        return super().__getattr__(name)\n"
            "def factory(w, c): return Odd()\n",
            "its inputs and classes raised KeyError: 'optional'",
        ),
        ("def factory(w, c): return Net(w, ())\n", "in their order, not an empty one"),
        ("def factory(w, c): return Net(w, (1, 2))\n", "in their order, not of int"),
        ("def factory(w, c) return Net()\n", "SyntaxError"),
        ("def factory(w, c): return factory(w, c)\n", "RecursionError"),
        (
            "def factory(w, c):\n    net = Net()\n    net.classes = {0: 'a'}\n    return net\n",
            r"not a dict: list\(classes\.values\(\)\)",
        ),
        (
            "def factory(w, c): return Net(torch.load(w))\n",
            "given no file of weights: WEIGHTS=file",
        ),
        (
            "def factory(w, c):\n    raise RuntimeError('Trouble:\\n  first\\n  second')\n",
            "RuntimeError: Trouble: first \\(MMLIB_DEBUG",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_says_what_to_do(
    tmp_path: Path, more: str, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        make(row(written(tmp_path, more)), ["a", "b"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"module.layer.weight": torch.ones(2, 4)}, "take `module.` off the names"),
        ({"model": {"layer.bias": torch.ones(2)}}, r"holds a dict around .*\['model'\]"),
        ({"epoch": 3, "net": {"layer.bias": torch.ones(2)}}, r"torch.load\(...\)\['net'\]"),
        (
            {"_orig_mod.layer.weight": torch.ones(2, 4), "_orig_mod.layer.bias": torch.ones(2)},
            "take `_orig_mod.` off the names",
        ),
        ({"weight": torch.ones(2, 4), "bias": torch.ones(2)}, "put `layer.` before the names"),
        ({"layer.weight": torch.ones(2, 5)}, "Missing key.*layer.bias"),
        (
            {"layer.weight": torch.ones(527, 4), "layer.bias": torch.ones(527)},
            "the file has 527 there and the net 2: where that is the number of classes",
        ),
        (nn.Linear(2, 2), "the file holds a whole net, not its tensors"),
        (b"<html>404</html>", "cut short or of another kind"),
        (b"", "cut short or of another kind"),
    ],
)
def test_weights_that_do_not_fit_say_why(tmp_path: Path, held: Any, said: str) -> None:
    file = tmp_path / "net.pth"
    if isinstance(held, bytes):
        file.write_bytes(held)
    else:
        torch.save(held, file)
    with pytest.raises(UserError, match=said) as caught:
        make(row(written(tmp_path), weights=str(file)), ["a", "b"])
    assert "\n" not in str(caught.value)


def test_no_signal_has_such_a_rate_or_size() -> None:
    assert Waveform(np.int64(8000), 1).samples == 8000  # type: ignore[arg-type]
    assert Frames(2.0, 4, 32).count == 2  # type: ignore[arg-type]
    for wrong in (
        lambda: Waveform(0, 1.0),
        lambda: Waveform("8000", 1.0),  # type: ignore[arg-type]
        lambda: Waveform(8000, float("nan")),
        lambda: Frames(2, 4.0, (32, 32)),  # type: ignore[arg-type]
        lambda: Frames(1, 0.0, 32),
        lambda: Frames(1.5, 1.0, 32),  # type: ignore[arg-type]
    ):
        with pytest.raises(UserError, match="must be a"):
            wrong()
