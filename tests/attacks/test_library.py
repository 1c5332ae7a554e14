"""The library as its documentation shows it, and as type checkers see it."""

import ast
import doctest
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from mypy import api

import mmlib.attacks
from mmlib.attacks import Budget, on_tensor, pgd
from mmlib.runtime.errors import UserError
from tests.conftest import ROOT

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/attack_your_model.md").read_text(), re.S)
FACE = sorted(mmlib.attacks.__all__)


@pytest.mark.parametrize("block", BLOCKS, ids=["one input", "two inputs", "sound"])
def test_examples_run(block: str) -> None:
    torch.manual_seed(0)
    names: dict[str, object] = {}
    exec(block, names)


@pytest.mark.parametrize("name", FACE)
def test_examples_in_docstrings_give_what_they_show(name: str) -> None:
    home = import_module(getattr(mmlib.attacks, name).__module__)
    tests = [
        test
        for test in doctest.DocTestFinder(recurse=False).find(getattr(home, name), name, home)
        if test.examples
    ]
    assert tests, f"{name} has no example in its docstring"
    for test in tests:
        assert doctest.DocTestRunner().run(test).failed == 0, name


def test_every_name_is_there() -> None:
    assert set(FACE) <= set(dir(mmlib.attacks))
    for name in FACE:
        assert callable(getattr(mmlib.attacks, name))
    with pytest.raises(AttributeError, match="has no 'cw'; it has AmongTop, Budget"):
        getattr(mmlib.attacks, "cw")  # noqa: B009


def test_type_checkers_are_told_of_the_same_names() -> None:
    tree = ast.parse(Path(mmlib.attacks.__file__).read_text(encoding="utf-8"))
    told = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mmlib.attacks.")
        for alias in node.names
    }
    assert sorted(told) == FACE
    for name, module in told.items():
        assert module == f"mmlib.attacks.{mmlib.attacks._HOMES[name]}"


def test_type_checkers_see_the_true_types(tmp_path: Path) -> None:
    code = tmp_path / "user.py"
    lines = ["from mmlib import attacks", *(f"reveal_type(attacks.{name})" for name in FACE)]
    code.write_text("\n".join([*lines, "attacks.cw"]))
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports", "silent"]
    out, _, _ = api.run([*options, "--cache-dir", str(ROOT / ".mypy_cache"), str(code)])
    revealed = re.findall(r"Revealed type is \"(.*)\"", out)
    assert len(revealed) == len(FACE), out
    assert not [kind for kind in revealed if kind == "Any"]
    assert revealed[FACE.index("pgd")].endswith("-> dict[str, torch._tensor.Tensor]"), out
    assert 'has no attribute "cw"' in out


class _Normed(torch.nn.Module):
    """Reads "audio" (B, 8); left in training mode, its batch norm would learn and mix clips."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 3), torch.nn.Dropout(0.5)
        )

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits: torch.Tensor = self.layers(batch["audio"])
        return logits


@pytest.mark.parametrize("seed", range(2))
def test_a_net_in_training_mode_is_attacked_in_eval_mode_and_left_as_it_was(seed: int) -> None:
    torch.manual_seed(seed)
    net, batch = _Normed(), {"audio": torch.rand(6, 8)}
    labels, budget = torch.randint(3, (6,)), {"audio": Budget(0.1)}
    net.layers[1].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    found = pgd(net, batch, labels, budget, loss="top", steps=3)
    on_one = on_tensor(
        pgd, net.layers, batch["audio"], labels, budget["audio"], loss="top", steps=3
    )
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    expected = pgd(net.eval(), batch, labels, budget, loss="top", steps=3)
    assert torch.equal(found["audio"], expected["audio"])
    assert torch.equal(on_one, expected["audio"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda logits: (logits, None), "returns a tuple: wrap it"),
        (lambda logits: {"logits": logits}, "returns a dict: wrap it"),
        (lambda logits: logits.sum(1), r"returns \(6,\) for 6 clips"),
        (lambda logits: logits[:2], r"returns \(2, 3\) for 6 clips"),
    ],
)
def test_a_model_that_gives_no_logits_is_refused_in_one_line(
    wrong: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    net = _Normed().eval()
    labels, budget = torch.randint(3, (6,)), {"audio": Budget(0.1)}
    with pytest.raises(UserError, match=said):
        pgd(lambda batch: wrong(net(batch)), {"audio": torch.rand(6, 8)}, labels, budget)
