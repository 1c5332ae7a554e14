"""Nets that users write: their file imported, their factory called, each fault in one line."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from mmlib.models.contract import Frames, LogMel, Waveform
from mmlib.params.training import FRESH, ModelRow
from mmlib.runtime.errors import UserError
from mmlib.threats import MODALITIES

_KINDS = {"audio": (Waveform, LogMel), "video": (Frames,)}


def make(row: ModelRow, classes: Sequence[str]) -> nn.Module:
    """Call the row's factory for data of these classes; the net comes in eval mode, on the CPU.

    Weights that the factory draws are the same ones every time. UserError for a factory that is not
    there, that raises, or whose net does not declare what docs/own_models.md asks for.
    """
    factory = find(row)
    weights = None if Path(row.weights) == FRESH else Path(row.weights)
    with torch.random.fork_rng(devices=[]), users_code(f"the factory {row.factory}"):
        torch.manual_seed(0)
        net = factory(weights, list(classes), **row.options)
    if not isinstance(net, nn.Module):
        raise UserError(
            f"the factory {row.factory} returns {type(net).__name__}: return an nn.Module"
        )
    _declared(net)
    with users_code("its eval()"):
        net.eval()
    return net


def find(row: ModelRow) -> Callable[..., Any]:
    """The factory itself."""
    if row.file is None:
        with users_code(f"importing {row.module}"):
            module = importlib.import_module(row.module)
    else:
        module = _imported(row.file)
    function = getattr(module, row.function, None)
    if not callable(function):
        known = [name for name, _ in inspect.getmembers(module, inspect.isfunction)]
        raise UserError(
            f"factory {row.factory}: there is no function {row.function!r}, only "
            f"{', '.join(known) or 'none'}"
        )
    found: Callable[..., Any] = function
    return found


def source(row: ModelRow) -> Path:
    """The file of the factory, wherever it is."""
    return row.file or Path(inspect.getsourcefile(find(row)) or row.module)


@contextmanager
def users_code(what: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a UserError of one line; `what` was being done."""
    try:
        yield
    except UserError:
        raise
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} needs the package {error.name}, which is not installed: pip install it"
        ) from error
    except Exception as error:  # whatever a user's code may raise
        raise UserError(f"{what} raised {_said(error)} (MMLIB_DEBUG=1 shows where)") from error


def _said(error: Exception) -> str:
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first.strip()[:300]}" if first else type(error).__name__


def _imported(file: Path) -> Any:
    """Import a file, which may import others beside it."""
    if not file.is_file():
        raise UserError(f"factory: {file} is no file")
    place = str(file.resolve())
    name = f"own_{file.stem}_{hashlib.sha256(place.encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise UserError(f"factory: {file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        with users_code(f"importing {file}"):
            spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(file.resolve().parent))
    return module


def _declared(net: Any) -> None:
    """Refuse a net without the attributes of the contract."""
    inputs, classes = getattr(net, "inputs", None), getattr(net, "classes", None)
    if not isinstance(inputs, dict) or not inputs or not set(inputs) <= set(MODALITIES):
        raise UserError(
            'it must have inputs: a dict of "audio", "video" or both to what it reads of them, '
            f"not {inputs!r}"
        )
    for name, declared in inputs.items():
        if not isinstance(declared, _KINDS[name]):
            known = " or ".join(kind.__name__ for kind in _KINDS[name])
            raise UserError(f"its inputs[{name!r}] must be {known}, not {declared!r}")
    texts = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
    if not texts or not classes:
        raise UserError("it must have classes: a list of the names of its outputs, in their order")
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise UserError(f"its classes hold {twice!r} twice: give each output a name of its own")
    optional = getattr(net, "optional", ())
    if not set(optional) <= set(inputs):
        raise UserError(f"its optional is {optional!r}: name inputs that clips may lack")
    lazy = [
        name
        for name, tensor in (*net.named_parameters(), *net.named_buffers())
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer)
    ]
    if lazy:
        raise UserError(
            f"its lazy layers have no weights yet ({lazy[0]}): run one forward pass in the "
            "factory, then load the weights"
        )
