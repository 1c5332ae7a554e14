"""Small AudioSet lists, and params that point at them."""

from pathlib import Path
from typing import Any

from mmlib.params.data import Data
from mmlib.params.whole.file import load
from tests.conftest import ROOT

HEADER = (
    "# Segments csv created Sun Mar  5 10:54:31 2017\n"
    "# num_ytids=3, num_segs=3, num_unique_labels=3, num_positive_labels=5\n"
    "# YTID, start_seconds, end_seconds, positive_labels\n"
)
CLASSES = (
    "index,mid,display_name\n"
    '0,/m/09x0r,"Speech"\n'
    '1,/m/05zppz,"Male speech, man speaking"\n'
    '2,/t/dd00088,"Gush ""loud"""\n'
)
MIDS = ("/m/09x0r", "/m/05zppz", "/t/dd00088")
NAMES = ("Speech", "Male speech, man speaking", 'Gush "loud"')
# Ids may begin with - and _, and hold what looks like times.
IDS = ("--PJHxphWEs", "_0-ab_30_40", "Yabcdefghij")


def line(video: str, start: float, end: float, *mids: str) -> str:
    """One line of a segment list, in the published form."""
    return f'{video}, {start:.3f}, {end:.3f}, "{",".join(mids)}"\n'


def write_lists(folder: Path, train: str, evaluation: str, classes: str = CLASSES) -> Path:
    """The three files that `data.audioset.train=balanced` needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "class_labels_indices.csv").write_text(classes, encoding="utf-8")
    for name, lines in (("balanced_train", train), ("eval", evaluation)):
        (folder / f"{name}_segments.csv").write_text(HEADER + lines, encoding="utf-8")
    return folder


def data_params(source: str, path: Path | None, media: str = "copy", **changed: Any) -> Data:
    """Section data of the project's own params, for another source; `changed` are its own keys."""
    data = load(ROOT / "params.yaml").data
    section = type(getattr(data, source)).model_validate(
        getattr(data, source).model_dump() | changed
    )
    task = "single_label" if source == "kinetics_sounds" else "multi_label"
    return data.model_copy(
        update={
            "source": source,
            "path": None if path is None else str(path),
            "media": media,
            "task": task,
            source: section,
        }
    )
