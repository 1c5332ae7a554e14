"""Profiles: params that belong together, laid over params.yaml with its comments kept."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from mmlib.params.whole.file import load
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_text


def round_trip_yaml() -> YAML:
    """A reader and writer that keeps comments, order and the project's block style."""
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def names(folder: Path) -> list[str]:
    """The profiles that the folder holds."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def apply(chosen: str, folder: Path, params: Path) -> list[str]:
    """Lay profiles over the params file, each over the one before; `chosen` has names and spaces.

    Returns one line `key: old -> new` for each change. A profile is a part of the params tree. Keys
    that the params file lacks are errors, and so is a result that does not pass the checks of
    mmlib.params; the file is then left as it was. Tables of rows are exempt: one that is empty,
    `{}`, takes all the rows of a profile, and `{}` in a profile empties it again.
    """
    yaml = round_trip_yaml()
    document = yaml.load(params.read_text(encoding="utf-8"))
    before = _flat(document)
    for name in chosen.split():
        source = folder / f"{name}.yaml"
        if not source.is_file():
            raise UserError(f"no profile {name!r}; there are: {', '.join(names(folder))}")
        _lay(document, YAML(typ="safe").load(source.read_text(encoding="utf-8")), "", source)
    after = _flat(document)
    changes = [
        f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]
    stream = io.StringIO()
    yaml.dump(document, stream)
    trial = params.with_name(f".{params.name}.trial")
    publish_text(stream.getvalue(), trial)
    try:
        load(trial)
        if changes:
            trial.replace(params)
    finally:
        trial.unlink(missing_ok=True)
    return changes


def _flat(document: Any, where: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = str(list(value)) if isinstance(value, list) else str(value)
    return flat


def _lay(document: Any, values: dict[str, Any], where: str, source: Path) -> None:
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in document:
            raise UserError(f"{source}: {name} is no key of params.yaml")
        if value == {} or document[key] == {}:
            document[key].clear()
            document[key].update(value)
        elif isinstance(value, dict):
            _lay(document[key], value, f"{name}.", source)
        elif isinstance(value, list) and isinstance(document[key], list):
            _replace(document[key], value)
        elif document[key] != value:
            document[key] = value


def _replace(old: Any, new: list[Any]) -> None:
    # What follows a list in the file, comments too, hangs on its last item.
    after = old.ca.items.pop(len(old) - 1, None)
    old[:] = new
    if after is not None:
        old.ca.items[len(new) - 1] = after
