"""`make evaluate MODEL=file.py:function CLIPS=folder`: how robust is a model of one's own?

The evaluation has a folder of its own, evaluations/<NAME>, with a copy of the code, its params and
its results: params.yaml and the results here stay as they are. Called again with the same name, it
runs what has changed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mmlib.models.factory import make
from mmlib.params.training import BY_NAME, FRESH, ModelRow
from mmlib.params.whole import file as whole
from mmlib.runtime import stage
from mmlib.runtime.errors import UserError
from mmlib.runtime.settings import read, validate
from mmlib.runtime.stores import is_address
from mmlib.sources.catalogue import clip_list
from tools import profiles, watched
from tools.fitted import signals

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("evaluations")
CODE = ("mmlib", "stages", "profiles", "dvc.yaml", ".dvcignore", ".dvc/plots", "data/none")
EMPTY = ("data/models", "data/embeddings", "data/attacks", "data/theorem", "data/music")
CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
[cache]
    dir = {cache}
    type = "reflink,hardlink,symlink"
"""
AUDIBLE = 0.33
"""attack.scale.audio of an attack on waveforms, unless the params say another: README's."""


def main(arguments: list[str]) -> None:
    """Lay the params, run what is needed, print table and report."""
    options = _options(arguments)
    row = _row(options)
    name = options.name or re.sub(r"[^A-Za-z0-9_-]+", "-", Path(row.file or row.module).stem)
    folder = FOLDER / name
    _lay_code(folder)
    _lay_params(folder / "params.yaml", options, name, row)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _import_path(folder)},
        check=False,
    )
    if done.returncode:
        raise UserError(f"the evaluation in {folder} stopped: the line above says why")
    print((folder / "report/results.txt").read_text(encoding="utf-8"))
    print(f"report: {(folder / 'report/index.html').resolve()}")


def _import_path(folder: Path) -> str:
    """The code in the folder first; then what can be imported here, as package.module:function."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    places = [str(folder), str(Path.cwd()), *filter(None, known)]
    return os.pathsep.join(str(Path(place).resolve()) for place in places)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate", description=__doc__)
    parser.add_argument("model", help="file.py:function or package.module:function")
    parser.add_argument("clips", help="the folder with labels.csv (README, Your own clips)")
    parser.add_argument("--name", help="of the evaluation; else that of the file")
    parser.add_argument("--eps", type=float, help="attack.eps")
    parser.add_argument("--seconds", type=float, help="shard.seconds: how long the clips are")
    parser.add_argument("--domain", choices=("log_mel", "waveform"), help="attack.domain")
    parser.add_argument("--weights", help="the file that the factory is given")
    parser.add_argument("--classes", help="csv with the columns class and output")
    parser.add_argument("--options", default="", help="of the factory: a=1 b=two")
    parser.add_argument("--profiles", default="", help="laid over those of folder and own_model")
    options = parser.parse_args(arguments)
    for key in ("model", "clips"):
        if not getattr(options, key):
            raise UserError("usage: make evaluate MODEL=file.py:function CLIPS=folder")
    return options


def _row(options: argparse.Namespace) -> ModelRow:
    """The row of models, its paths such that they hold in any folder."""
    place, _, function = options.model.rpartition(":")
    path = str(Path(place).resolve()) if place.endswith(".py") else place
    for key in ("weights", "classes"):
        if (file := getattr(options, key)) and not Path(file).is_file():
            raise UserError(f"{key.upper()} is {file}, which is no file")
    values = {
        "factory": f"{path}:{function}" if place else options.model,
        "code": path if place.endswith(".py") else str(FRESH),
        "weights": str(Path(options.weights).resolve()) if options.weights else str(FRESH),
        "classes": str(Path(options.classes).resolve()) if options.classes else str(BY_NAME),
        "options": watched.absolute(_pairs(options.options)),
    }
    return validate(ModelRow, values, Path("MODEL"))


def _pairs(text: str) -> dict[str, Any]:
    found = {}
    for part in text.split():
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"OPTIONS holds {part!r}: write name=value, with blanks between")
        try:
            found[key] = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            found[key] = value
    return found


def _lay_code(folder: Path) -> None:
    """Bring the folder's copy of the code up to date; its results stay."""
    for name in CODE:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for name in EMPTY:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "data/guides").mkdir(exist_ok=True)
    for guide in ("none.json", "blend_reference.json"):
        shutil.copy2(ROOT / "data/guides" / guide, folder / "data/guides" / guide)
    config = CONFIG.format(cache=ROOT / ".dvc/cache")
    (folder / ".dvc/config").write_text(config, encoding="utf-8")


def _lay_params(path: Path, options: argparse.Namespace, name: str, row: ModelRow) -> None:
    """Write the params of the evaluation: those here, for one model, the folder and its signals."""
    shutil.copy2(ROOT / "params.yaml", path)
    profiles.apply(f"folder own_model {options.profiles}", ROOT / "profiles", path)
    shard: dict[str, Any] = {"untrained_classes": "keep"}
    if options.seconds:
        shard["seconds"] = options.seconds
    _set(path, {"data": _data(options.clips), "shard": shard})
    params = whole.load(path)
    classes = clip_list(params.data, params.seed).classes
    # As the stages will: a path relative to this folder is found out now.
    with watched.reading() as read_files, chdir(path.parent):
        net: Any = make(row, classes)
    made = {**row.model_dump(mode="json"), "watched": watched.fingerprints(row, read_files)}
    fitted = signals(net.inputs, read(path))
    waveform = "mel" in fitted["shard"]
    fitted["shard"]["seconds"] = max(fitted["shard"]["seconds"], options.seconds or 0.0)
    attack: dict[str, Any] = {"domain": options.domain or ("waveform" if waveform else "log_mel")}
    if options.eps is not None:
        attack["eps"] = options.eps
    if attack["domain"] == "waveform" and params.attack.domain != "waveform":
        attack["scale"] = {"audio": AUDIBLE}
    _set(path, {**fitted, "attack": attack}, {name: made})
    whole.load(path)


def _data(folder: str) -> dict[str, str]:
    """What section data says of the folder of clips, which may be on an object store."""
    if is_address(folder):
        return {"path": folder}
    clips = Path(folder).expanduser().resolve()
    table = clips / "labels.csv" if clips.is_dir() else clips
    return {"path": str(clips), "watch": str(table if table.is_file() else clips)}


def _set(path: Path, values: Mapping[str, Any], models: Mapping[str, Any] | None = None) -> None:
    """Change some params; rows of `models`, where given, take the place of those there."""
    yaml = profiles.round_trip_yaml()
    document = yaml.load(path.read_text(encoding="utf-8"))
    _merge(document, values)
    if models is not None:
        document["models"] = models
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(document, stream)


def _merge(document: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(document.get(key), Mapping):
            _merge(document[key], value)
        else:
            document[key] = value


if __name__ == "__main__":
    stage.run(main, check=False)
