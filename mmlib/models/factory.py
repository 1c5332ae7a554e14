"""Nets that users write: their file imported, their factory called, each fault in one line."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from mmlib.models.contract import Frames, LogMel, Waveform
from mmlib.models.users_code import contained, uncompiled, users_code
from mmlib.params.training import FRESH, ModelRow
from mmlib.runtime.errors import UserError
from mmlib.threats import MODALITIES

_KINDS = {"audio": (Waveform, LogMel), "video": (Frames,)}
_NAMED = 8
"""At most so many functions are named where the one that is asked for is not there."""
_FOLDERS: set[Path] = set()
"""Those of the users' files that this process has imported."""


def make(row: ModelRow, classes: Sequence[str], seed: int = 0) -> nn.Module:
    """Call the row's factory for data of these classes; the net comes in eval mode, on the CPU.

    Weights that the factory draws are the same ones every time, but for another seed. UserError for
    a factory that is not there, that raises, or whose net does not declare what docs/own_models.md
    asks for.
    """
    weights = None if Path(row.weights) == FRESH else Path(row.weights)
    with contained(seed), uncompiled(), users_code(f"the factory {row.factory}"):
        net = find(row)(weights, list(classes), **row.options)
    net = _bare(net)
    if not isinstance(net, nn.Module):
        kind = f"the class {net.__name__}" if isinstance(net, type) else type(net).__name__
        raise UserError(f"the factory {row.factory} returns {kind}: return an nn.Module")
    with users_code("its inputs and classes"):
        _declared(net)
    with users_code("its eval()"):
        net.eval()
    return net


def _bare(net: Any) -> Any:
    """The net inside what spreads it over GPUs, or compiles it anew for each number of clips."""
    if isinstance(net, nn.DataParallel):
        return _bare(net.module)
    return getattr(net, "_orig_mod", net)


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
        more = " and more" if len(known) > _NAMED else ""
        raise UserError(
            f"factory {row.factory}: there is no function {row.function!r}, only "
            f"{', '.join(known[:_NAMED]) or 'none'}{more}"
        )
    found: Callable[..., Any] = function
    return found


def source(row: ModelRow) -> Path:
    """The file of the factory, wherever it is."""
    if row.file:
        return row.file
    factory = find(row)
    try:
        file = inspect.getsourcefile(factory)
    except TypeError:  # a functools.partial, or an object that is called
        file = getattr(sys.modules[row.module], "__file__", None)
    return Path(file or row.module)


def neighbours(file: Path, modules: Iterable[str]) -> list[Path]:
    """The files beside a factory's, or below, that these modules were imported from."""
    folder, ours = file.resolve().parent, {"mmlib", "stages", "tools"}
    places = (
        getattr(sys.modules.get(name), "__file__", None)
        for name in modules
        if name.partition(".")[0] not in ours
    )
    found = {Path(place).resolve() for place in places if place}
    return sorted(
        path
        for path in found - {file.resolve()}
        if path.is_relative_to(folder) and "site-packages" not in path.parts
    )


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
    folder = Path(place).parent
    _forget_namesakes(folder)
    _FOLDERS.add(folder)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        with users_code(f"importing {file}"):
            spec.loader.exec_module(module)
    except UserError:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(folder))
        # What the factory itself imports is found too, after all else.
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return module


def _forget_namesakes(folder: Path) -> None:
    """Let go of modules beside other users' files that are called as modules of this folder."""
    others = _FOLDERS - {folder}
    ours = {path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir()}
    for name, module in list(sys.modules.items()):
        file, top = getattr(module, "__file__", None), name.partition(".")[0]
        if not file or top not in ours or top == "mmlib":
            continue
        if any(
            Path(file).is_relative_to(other / top) or Path(file) == other / f"{top}.py"
            for other in others
        ):
            del sys.modules[name]


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
        raise UserError(
            "it must have classes: a list of the names of its outputs, in their order, "
            f"{_instead(classes)}"
        )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if list(classes).count(name) > 1)
        raise UserError(f"its classes hold {twice!r} twice: give each output a name of its own")
    optional = getattr(net, "optional", ())
    if not isinstance(optional, list | tuple | set) or not set(optional) <= set(inputs):
        raise UserError(
            f"its optional is {optional!r}: a tuple of the inputs that clips may lack, such as "
            f'("{next(iter(inputs))}",), or ()'
        )
    tensors = (*net.named_parameters(), *net.named_buffers())
    lazy = [n for n, t in tensors if isinstance(t, UninitializedParameter | UninitializedBuffer)]
    if lazy:
        raise UserError(
            f"its lazy layers have no weights yet ({lazy[0]}): run one forward pass in the "
            "factory, then load the weights"
        )
    empty = [name for name, tensor in tensors if tensor.is_meta]
    if empty:
        raise UserError(
            f"its weights have no values ({empty[0]} is on the device meta): make the net on the "
            "CPU, and load them in the factory"
        )


def _instead(classes: Any) -> str:
    """What it has for classes, and how they become a list."""
    if isinstance(classes, Mapping) and all(isinstance(name, str) for name in classes.values()):
        return "not a dict: list(classes.values())"
    if not isinstance(classes, list | tuple):
        return f"not {type(classes).__name__}"
    return f"not of {type(next(iter(classes), None)).__name__}" if classes else "not an empty one"
