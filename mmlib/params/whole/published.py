"""Starts that torchvision publishes: the files data/torchvision/<its name>.pth, fetched when asked.

A file, since DVC depends on one: its hash is in dvc.lock, and a run becomes stale with it.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import publish_file

FOLDER = Path("data/torchvision")
R2PLUS1D_18 = FOLDER / "r2plus1d_18.pth"
"""The one net of torchvision's that is one of ours."""
SIZE = (64, (2, 2, 2, 2))
"""Its `model.r2plus1d.width` and `blocks`."""


def fetch(files: Iterable[tuple[str, str]]) -> None:
    """Put those of torchvision's files in place that are named and not there: (key, file).

    From torch's own cache, else from the address that torchvision gives. UserError with the key,
    and what to do by hand, where neither can be had.
    """
    for key, file in files:
        if Path(file) == R2PLUS1D_18 and not R2PLUS1D_18.is_file():
            _fetch(key)


def address() -> str:
    """Where torchvision publishes it; the name ends with the first digits of its SHA-256."""
    from torchvision.models.video import R2Plus1D_18_Weights

    return str(R2Plus1D_18_Weights.KINETICS400_V1.url)


def _fetch(key: str) -> None:
    # Seconds of import, which only who asks for such a start pays for.
    import torch

    url = address()
    name = url.rpartition("/")[2]
    found = re.search(r"-([0-9a-f]{8,})\.", name)
    sha256 = found[1] if found else ""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        if not (cached.is_file() and _sha256(cached).startswith(sha256)):
            cached.parent.mkdir(parents=True, exist_ok=True)
            print(f"fetching {url}", flush=True)
            torch.hub.download_url_to_file(url, str(cached), hash_prefix=sha256)
    # No network, no such address, a certificate, a connection that broke, another file.
    except (OSError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{key} is {R2PLUS1D_18}, which cannot be fetched ({reason}): download {url} elsewhere "
            f"and put it there, or set {key} to where it is"
        ) from None
    publish_file(lambda path: _copy(cached, path), R2PLUS1D_18)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
