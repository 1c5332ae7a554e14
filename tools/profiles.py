"""Profiles: params that belong together, laid over params.yaml with its comments kept."""

import io
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

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
                document[key] = _commented(value)
            elif value is not None:
                left_out.append(
                    f"{name}: no such row here; the profile changes only some of its keys"
                )
        elif value is None and table in ROWS:
            _remove(document, key)
        else:
            # Whatever becomes of the value, what follows it in the file follows it afterwards.
            after = _take_after(document, key)
            if isinstance(value, dict) and value:
                left_out += _lay(document[key], value, f"{name}.", source)
            elif document[key] != value:
                document[key] = _commented(value)
            _put_after(document, key, after)
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


def _remove(table: Any, key: str) -> None:
    """Take out a row with the comment before it; the one before the next row stays."""
    after, keys = _take_after(table, key), list(table)
    place = keys.index(key)
    del table[key]
    if place:
        _take_after(table, keys[place - 1])
        _put_after(table, keys[place - 1], after)
    elif after is not None:
        _put_before(table, keys[1], after)


def _take_after(table: Any, key: str) -> Any:
    """Take off the comment that follows a value: it hangs on the last part of it, however deep."""
    node, last = _end(table, key)
    tokens, place = node.ca.items.get(last), _place(node)
    # A comment on the line of the last part stays with it.
    if not tokens or tokens[place] is None or not tokens[place].value.startswith("\n"):
        return None
    comment, tokens[place] = tokens[place], None
    if not any(tokens):
        del node.ca.items[last]
    return comment


def _put_after(table: Any, key: str, comment: Any) -> None:
    if comment is not None:
        node, last = _end(table, key)
        node.ca.items.setdefault(last, [None] * 4)[_place(node)] = comment


def _put_before(table: Any, key: str, comment: Any) -> None:
    """Put a comment, as `_take_after` gives it, before the first key of a table."""
    lines = comment.value.lstrip("\n")
    comment.value = lines.lstrip(" ")
    comment.column = len(lines) - len(comment.value)
    table.ca.items.setdefault(key, [None] * 4)[1] = [comment]


def _end(node: Any, key: Any) -> tuple[Any, Any]:
    """The table or list that holds the last part of a value, and that part's key or place."""
    below = node[key]
    if not isinstance(below, CommentedMap | CommentedSeq) or not below or below.fa.flow_style():
        return node, key
    last = len(below) - 1 if isinstance(below, CommentedSeq) else next(reversed(below))
    return _end(below, last)


def _place(node: Any) -> int:
    """Where ruamel keeps the comment after a part of a list, or of a table."""
    return 0 if isinstance(node, CommentedSeq) else 2


def _commented(value: Any) -> Any:
    """A part of a profile in ruamel's own tables and lists, on which comments can hang."""
    if isinstance(value, dict):
        return CommentedMap({key: _commented(below) for key, below in value.items()})
    return CommentedSeq(map(_commented, value)) if isinstance(value, list) else value
