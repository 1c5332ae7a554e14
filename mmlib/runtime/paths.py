"""Paths that a person writes into params.yaml or an environment variable, in full."""

import os
from pathlib import Path


def full_path(written: str | Path) -> Path:
    """A path as absolute: ~ is the home folder, a relative path begins at the project's folder.

    Experiments that are queued, or run with --temp, run in a copy of the project below its folder
    .dvc/tmp, which holds tracked files only. A relative path there means the same file as in the
    project itself, so that clips are found, and fetched ones kept, in one place.
    """
    return project() / with_home(written)


def with_home(written: str | Path) -> Path:
    """A path in which ~ is the home folder, and ~name that of a user, if there is one."""
    try:
        return Path(written).expanduser()
    except RuntimeError:
        return Path(written)


def checkpoint_files(model: Path) -> list[Path]:
    """The description and the weights of a checkpoint, which is named without suffix."""
    return [model.with_name(f"{model.name}{suffix}") for suffix in (".json", ".safetensors")]


def project() -> Path:
    """The folder of the project; from within DVC's copy of it, that of the original."""
    here = Path.cwd()
    # DVC names the project that was copied, and its own root elsewhere.
    root = Path(os.environ.get("DVC_ROOT") or here)
    return root.absolute() if is_copy(here, root) else here


def is_copy(folder: Path, root: Path) -> bool:
    """Tell whether a folder is a copy that DVC made of the project at `root`."""
    return folder.resolve().is_relative_to((root / ".dvc" / "tmp").resolve())
