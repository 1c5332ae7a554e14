"""ffmpeg turns every clip into samples and frames."""

from pathlib import Path

from mmlib.media.ffmpeg import Limits
from mmlib.media.graph import Form
from mmlib.params.decode import Decode
from mmlib.runtime import stage
from mmlib.runtime.settings import StageSettings
from mmlib.shards.decode import decode_clips


class Settings(StageSettings):
    """What this stage reads of params.yaml."""

    decode: Decode


def main(arguments: list[str]) -> None:
    """Write data/decoded."""
    stage.no_row(arguments, "decode")
    decode = Settings.load().decode
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
