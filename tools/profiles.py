"""Profiles: params that belong together, laid over params.yaml with its comments kept."""

import io
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from mmlib.params.whole.file import Params, load
from mmlib.params.whole.names import ROWS
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_text
from mmlib.runtime.settings import read


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

    Returns one line `key: old -> new` for each change, and one for each row that is left out. A
    profile is a part of the params tree. Keys that the params file lacks are errors, and so is a
    result that does not pass the checks of mmlib.params; the file is then left as it was. Rows have
    names of the user's choice (`names.ROWS`): one that the file lacks is added where the
    profile has the whole of it, and left out where it only changes some of its keys. `{}` for a
    table of rows empties it, null for a row removes it.
    """
    read(params)  # says in one line what is no YAML
    yaml = round_trip_yaml()
    document = yaml.load(params.read_text(encoding="utf-8"))
    before = _flat(document)
    left_out: list[str] = []
    for name in chosen.split():
        source = folder / f"{name}.yaml"
        if not source.is_file():
            raise UserError(f"no profile {name!r}; there are: {', '.join(names(folder))}")
        left_out += _lay(document, read(source), "", source)
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
    return changes + left_out


def _flat(document: Any, where: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{where}{key}.")
        else:
            flat[f"{where}{key}"] = str(list(value)) if isinstance(value, list) else str(value)
    return flat


def _lay(document: Any, values: dict[str, Any], where: str, source: Path) -> list[str]:
    """Lay a part of a profile over the same part of the params; a line for each row left out."""
    table = where.removesuffix(".")
    left_out: list[str] = []
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in document:
            if table not in ROWS:
                raise UserError(f"{source}: {name} is no key of params.yaml")
            if value is not None and _is_whole(table, value):
                after = _take_after(document)
                document[key] = CommentedMap(value)
                _put_after(document, after)
            elif value is not None:
                left_out.append(
                    f"{name}: no such row here; the profile changes only some of its keys"
                )
        elif value is None and table in ROWS:
            after = _take_after(document)
            del document[key]
            _put_after(document, after)
        elif value == {}:
            after = _take_after(document[key])
            document[key].clear()
            if after is not None:
                _put_before(document, key, after[2])
        elif isinstance(value, dict):
            left_out += _lay(document[key], value, f"{name}.", source)
        elif isinstance(value, list) and isinstance(document[key], list):
            left = _replace(document[key], value)
            if left is not None:
                _put_before(document, key, left[0])
        elif document[key] != value:
            document[key] = value
    return left_out


def _is_whole(table: str, row: Any) -> bool:
    """Tell whether a row says all that a row of that table must say."""
    section: Any = Params
    for step in table.split("."):
        section = section.model_fields[step].annotation
    _, kind = get_args(section)
    try:
        TypeAdapter(kind).validate_python(row)
    except ValidationError:
        return False
    return True


def _take_after(table: Any) -> Any:
    """Take off what follows a table in the file: comments hang on its last key, rows deep."""
    if not table:
        return None
    node, key = _last(table)
    tokens = node.ca.items.get(key)
    # A comment on the key's own line stays with it.
    if not tokens or tokens[2] is None or not tokens[2].value.startswith("\n"):
        return None
    return node.ca.items.pop(key)


def _put_after(table: Any, tokens: Any) -> None:
    if tokens is not None and table:
        node, key = _last(table)
        node.ca.items[key] = tokens


def _put_before(document: Any, key: str, comment: Any) -> None:
    """Put what followed a table or list that is empty now before the key after it."""
    keys = list(document)
    following = keys[keys.index(key) + 1 :]
    if following:
        comment.value = comment.value.removeprefix("\n")
        document.ca.items.setdefault(following[0], [None] * 4)[1] = [comment]


def _last(table: Any) -> tuple[Any, str]:
    """The last mapping below a table, and its last key."""
    key = next(reversed(table))
    below = table[key]
    return _last(below) if isinstance(below, CommentedMap) and below else (table, key)


def _replace(old: Any, new: list[Any]) -> Any:
    """Put other items into a list; what followed it in the file, where there is none to hold it."""
    # What follows a list in the file, comments too, hangs on its last item.
    after = old.ca.items.pop(len(old) - 1, None)
    old[:] = new
    if after is not None and new:
        old.ca.items[len(new) - 1] = after
    return None if new else after
