"""Which of the project's code is at work: fingerprints of it, and what a file imports.

Imports are read off the text, not off the loaded modules: a fingerprint is then the same in every
process of a run and on every machine, whatever else is loaded, and holds what is imported late.
"""

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PACKAGES = ("mmlib", "stages")
ROOT = Path(__file__).resolve().parent.parent.parent
RUNNERS = ("mmlib/params/", "mmlib/runtime/")
_OURS = rf"(?:{'|'.join(PACKAGES)})\b[\w.]*"
_FROM = re.compile(rf"^[ \t]*from ({_OURS}) import (\([^)]*\)|.*)", re.MULTILINE)
# `python -m` takes a module by its name, as a string.
_NAMED = re.compile(rf"""^[ \t]*import ({_OURS})|["']({_OURS}\.\w+)["']""", re.MULTILINE)
# Named by runtime/stage.py, which checks all of params.yaml with it before a stage: that decides
# whether the stage runs, never what it writes.
_ONLY_REFUSES = "mmlib.params.whole.file"
_FOR_TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+.*\n|\n)*", re.MULTILINE)


def at_work(*functions: Callable[..., Any]) -> str:
    """Fingerprint the code that is at work, in 16 hex digits.

    That is: the files of the project on the call stack, from the stage's script down, those of
    `functions`, which it was handed, and all that these files import.
    """
    files = {_file(function) for function in functions}
    frame = inspect.currentframe()
    while frame is not None:
        files.add(Path(frame.f_code.co_filename))
        frame = frame.f_back
    return _fingerprint(import_closure(files))


def makes_rows(*functions: Callable[..., Any]) -> str:
    """Fingerprint the code by which functions make a row, in 16 hex digits.

    That is: their files and all that these import, except mmlib/params and mmlib/runtime. The
    values of params count by themselves, and how a stage is run decides no row. This fingerprint
    is stored in data/clips and data/decoded, and decides what `make retry` keeps: were it to cover
    more, an edit that changes no row would cost the later stages and every clip that was fetched.
    """
    return _fingerprint(import_closure(map(_file, functions), without=RUNNERS))


def import_closure(files: Iterable[Path], *, without: tuple[str, ...] = ()) -> set[Path]:
    """The project's files among `files`, and those that running them may reach.

    Folders of the project in `without` are left out, and what is reached through them alone.
    """
    ours = {file for file in _modules().values() if not _name(file).startswith(without)}
    found: set[Path] = set()
    waiting = [path for file in files if (path := file.resolve()) in ours]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting.extend(ours & imported(file))
    return found


@functools.cache
def imported(file: Path) -> frozenset[Path]:
    """The project's files that a file imports, their packages included, or runs by name."""
    return frozenset(path for name in _names(_text(file)) for path in _with_packages(name))


def _names(text: str) -> set[str]:
    text = _FOR_TYPES_ONLY.sub("", text)
    names = {name for found in _NAMED.findall(text) for name in found} - {"", _ONLY_REFUSES}
    for module, imports in _FROM.findall(text):
        names.add(module)
        names.update(f"{module}.{name}" for name in re.findall(r"\w+", imports))
    return names


def _with_packages(name: str) -> set[Path]:
    modules, parts = _modules(), name.split(".")
    if name not in modules:
        return set()
    parents = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return {modules[parent] for parent in parents if parent in modules}


@functools.cache
def _modules() -> dict[str, Path]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {
        _name(file).removesuffix(".py").removesuffix("/__init__").replace("/", "."): file
        for file in files
    }


@functools.cache
def _text(file: Path) -> str:
    # Read once: what is edited while a process runs is not the code that it runs.
    return file.read_text(encoding="utf-8")


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _file(function: Callable[..., Any]) -> Path:
    while isinstance(function, functools.partial):
        function = function.func
    return Path(inspect.getfile(function))


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files, key=_name):
        digest.update(f"{_name(file)}\0{_text(file)}\0".encode())
    return digest.hexdigest()[:16]
