"""Files that params.yaml names and DVC itself reads, as dependencies of stages."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mmlib.params.whole import guides, published, starts
from mmlib.runtime.paths import is_copy, project, with_home

if TYPE_CHECKING:
    from mmlib.params.whole.file import Params


def files(params: "Params") -> Mapping[str, str]:
    """The key of each such file, as written, but for what stages make and for guides."""
    return {
        "data.watch": params.data.watch,
        "score.common_with": params.score.common_with,
        "survival.trial.code": params.survival.trial.code,
        **{
            f"train.{name}.{modality}_start": str(file)
            for name, row in params.train.items()
            for modality, file in row.starts.items()
            if not starts.is_made(file)
        },
        **{
            f"models.{name}.{key}": str(file)
            for name, model in params.models.items()
            for key, file in (
                ("factory", model.file),
                ("weights", model.weights),
                ("classes", model.classes),
            )
            if file is not None
        },
    }


def fault(key: str, file: str) -> str | None:
    """Why DVC would not find a file, in a line that begins with the key; None where it does."""
    if Path(file).is_file():
        return None
    if (meant := with_home(file)) != Path(file):
        return f"{key} is {file}: DVC reads this file and does not know ~: write {meant}"
    if file != file.strip():
        return f"{key} names {file!r}, which is no file: are the blanks part of its name?"
    if Path(file) == published.R2PLUS1D_18:
        return f"{key} names {file}, which is not there: `dvc repro -f params` fetches it"
    return f"{key} names {file}, which is no file"


def bring(params: "Params") -> None:
    """Copy these files and models' code into DVC's copy of the project, where git did not.

    Where it is in the project. In the project itself nothing is done.
    """
    original = project()
    if not is_copy(Path.cwd(), original):
        return
    given = (guides.FOLDER / f"{guide}.json" for _, guide, _ in guides.given_guides(params))
    codes = (Path(model.code) for model in params.models.values())
    for path in (*map(Path, files(params).values()), *given, *codes):
        # An absolute path means the same file in the copy.
        if not path.is_absolute() and not path.exists() and (original / path).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (original / path).is_dir() else shutil.copy2
            copy(original / path, path)
