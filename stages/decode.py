"""Decode every clip to PCM and frames, one ffmpeg process a clip."""

from pathlib import Path

from mmlib import params
from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.runtime import stage
from mmlib.shards.decode import decode_clips


def main(arguments: list[str]) -> None:
    """Write data/decoded."""
    decode = params.load().decode
    ledger = decode_clips(
        Path("data/clips"),
        Path("data/decoded"),
        Form(decode.sample_rate_hz, decode.fps, decode.size),
        Limits(decode.max_pixels, decode.max_seconds, decode.timeout_s, decode.memory_mb),
        max_failed_share=decode.max_failed_share,
    )
    print("\n".join(ledger.lines()))


if __name__ == "__main__":
    stage.run(main)
