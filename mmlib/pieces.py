"""Finished pieces of a stage become its out."""

from pathlib import Path

from mmlib.scratch import Scratch, publish_directory


def publish_pieces(scratch: Scratch, out: Path) -> None:
    """Put all finished pieces in the place of `out`; what a kill left half written is dropped."""
    for unfinished in scratch.directory.glob(".*.partial"):
        unfinished.unlink()
    publish_directory(scratch.directory, out)
