"""Damaged artefacts: every reading gives what was written, or one line that names the file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmlib.runtime.errors import UserError
from tests.artefacts import ARTEFACTS, plain
from tests.conftest import ROOT
from tests.properties import examples

KINDS = ("flip", "cut", "zeros")


def damaged(whole: bytes, kind: str, seed: int) -> bytes:
    """A bit flipped, the end cut off, or up to 512 bytes zeroed, as by a disk's bad sector."""
    rng = np.random.default_rng(seed)
    if kind == "cut":
        return whole[: rng.integers(len(whole))]
    found = bytearray(whole)
    if kind == "flip":
        place, bit = divmod(rng.integers(8 * len(whole)).item(), 8)
        found[place] ^= 1 << bit
    else:
        start = rng.integers(len(whole)).item()
        found[start : start + 512] = bytes(len(found[start : start + 512]))
    return bytes(found)


class Trial:
    """An artefact in a folder of its own, and what its readers find while it is whole."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.path, self.artefact = folder, folder / name, ARTEFACTS[name]
        self.artefact.write(folder)
        self.whole = self.path.read_bytes()
        self.content = plain(self.artefact.read(folder))

    def outcome(self, held: bytes) -> str:
        """Read the file with other bytes in it: "" where the content is the same, else the line."""
        # A new file: arrays that were read may still be mapped to the one before.
        self.path.unlink()
        self.path.write_bytes(held)
        try:
            found = plain(self.artefact.read(self.folder))
        except UserError as error:
            return str(error)
        assert found == self.content
        return ""


@pytest.fixture(scope="module", params=sorted(ARTEFACTS))
def trial(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """Each artefact in turn."""
    return Trial(tmp_path_factory.mktemp("damage"), request.param)


@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1))
@example("flip", 5560)
@example("flip", 46060)
@examples(300)
def test_damage_is_never_read_as_data(trial: Trial, kind: str, seed: int) -> None:
    line = trial.outcome(damaged(trial.whole, kind, seed))
    assert not line or (trial.path.stem in line and "\n" not in line)


def test_parquet_has_one_door() -> None:
    """What pyarrow reads by itself, it reads without these checksums."""
    files = [file for name in ("mmlib", "stages", "tools") for file in (ROOT / name).rglob("*.py")]
    texts = {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}
    door, checksums = "mmlib/runtime/parquet.py", "mmlib/runtime/checksums.py"
    assert {file for file, text in texts.items() if "pyarrow.parquet" in text} == {door, checksums}
    assert [file for file, text in texts.items() if "import checksums" in text] == [door]


def test_the_whole_file_is_read(trial: Trial) -> None:
    assert trial.outcome(trial.whole) == ""


def test_no_flipped_bit_of_a_list_of_clips_is_read(tmp_path: Path) -> None:
    """The reader of lists forgives much: a header that has run into a row is not to be among it."""
    clips = Trial(tmp_path, "eval_clips.csv")
    for place in range(8 * len(clips.whole)):
        held = bytearray(clips.whole)
        held[place // 8] ^= 1 << place % 8
        line = clips.outcome(bytes(held))
        assert not line or ("eval_clips" in line and "\n" not in line)
