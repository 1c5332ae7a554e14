"""Pieces are whole or absent, and settings do not share them."""

from pathlib import Path

import pytest

from mmlib.runtime.scratch import (
    Scratch,
    fingerprint,
    publish_directory,
    publish_json,
    write_whole,
)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail_halfway(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "out.bin", fail_halfway)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_piece_is_found_again_until_cleared(tmp_path: Path) -> None:
    scratch = Scratch("decode", "abc", tmp_path)
    assert not scratch.has("piece")
    scratch.write("piece", lambda path: path.touch())
    again = Scratch("decode", "abc", tmp_path)
    assert again.has("piece")
    assert not Scratch("decode", "other", tmp_path).has("piece")
    again.clear()
    assert not Scratch("decode", "abc", tmp_path).has("piece")


def other(scratch: Scratch, mark: str = "abc", code: str = "0123456789abcdef") -> Path:
    """A folder of progress beside that of a scratch of stage train-mid."""
    folder = scratch.root / f"train-mid-{mark}-{code}"
    folder.mkdir()
    (folder / "piece").touch()
    return folder


def test_progress_that_is_not_taken_up_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scratch = Scratch("train-mid", "abc", tmp_path)
    assert capsys.readouterr().err == ""
    folder = other(scratch)
    Scratch("train-mid", "abc", tmp_path)
    said = capsys.readouterr().err
    expected = "train-mid: progress of other code or params is there and is not used: "
    assert said == f"{expected}{folder}\n"
    Scratch("train", "abc", tmp_path)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    Scratch("train-mid", "abc", tmp_path)
    monkeypatch.delenv("RANK")
    # What is there of this code is taken up: nothing starts anew.
    scratch.write("piece", lambda path: path.touch())
    Scratch("train-mid", "abc", tmp_path)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("published", [True, False])
def test_finishing_forgets_progress_of_other_code_and_no_other_progress(
    tmp_path: Path, published: bool
) -> None:
    scratch = Scratch("train-mid", "abc", tmp_path / "scratch")
    stays = [
        Scratch(stage, mark, scratch.root).write("piece", lambda path: path.touch())
        for stage, mark in (("train-mid", "others"), ("train", "abc"), ("train-mid-two", "abc"))
    ]
    goes = [other(scratch), other(scratch, "others")]
    scratch.clear()
    assert all(folder.exists() for folder in goes)
    scratch = Scratch("train-mid", "abc", scratch.root)
    scratch.write("piece", lambda path: path.touch())
    if published:
        scratch.publish(tmp_path / "out")
        assert (tmp_path / "out/piece").exists()
    else:
        scratch.finish()
    assert not scratch.directory.exists()
    assert not any(folder.exists() for folder in goes)
    assert all(piece.exists() for piece in stays)


def test_the_fingerprint_follows_contents_not_places(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(content)
    first, same, other = (fingerprint({"x": 1}, tmp_path / name) for name in "abc")
    assert first == same != other
    assert fingerprint({"x": 1, "y": 2}) == fingerprint({"y": 2, "x": 1})
    assert fingerprint(["a", "b"]) != fingerprint("a", "b")


def test_publishing_replaces_a_read_only_out(tmp_path: Path) -> None:
    """DVC leaves outs as read-only links into its cache; the cached bytes must not change."""
    cached = tmp_path / "cache.json"
    cached.write_text("old")
    cached.chmod(0o444)
    out = tmp_path / "out.json"
    out.hardlink_to(cached)
    publish_json({"new": 1}, out)
    assert cached.read_text() == "old"
    assert "new" in out.read_text()


def test_publishing_a_directory_drops_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stale").write_text("x")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "fresh").write_text("y")
    publish_directory(tmp_path / "new", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fresh"]


def test_json_with_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        publish_json({"mAP": float("nan")}, tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []
