"""What stage stress leaves of a project's runs, made up."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmlib.runtime.storage import csv_text
from mmlib.threats import THREATS

HEADS = {
    "scores": "run,family,kind,step,threat,sound,picture,clips,mAP,mAP_lo,mAP_hi",
    "means": "run,family,kind,step,threat,conditions,mAP,mAP_lo,mAP_hi,kept,kept_lo,kept_hi",
    "differences": "run,beside,family,kind,threat,effect,lo,hi,p,p_adjusted",
}
READS = {"audio": ("A",), "video": ("V",)}
KINDS = ("gaussian", "rain")
SHIFTS = (-0.5, 0.5)
WORSE = -0.04
BETTER = 0.06


def write(root: Path, runs: Sequence[str], retrained: Sequence[str] = ()) -> None:
    """Write metrics/stress of these runs; of the retrained ones what they changed beside mid.

    mixup is better where corrupted and undecided elsewhere, any other one worse where encoded.
    """
    folder = root / "metrics/stress"
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "scores": [row for run in runs for row in _scores(run)],
        "means": [row for run in runs for row in _means(run)],
        "differences": [row for run in retrained for row in _differences(run)],
    }
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text(csv_text(HEADS[name].split(","), rows))
    (folder / "means.json").write_text(json.dumps({run: {"corruption": 0.3} for run in runs}))


def _threats(run: str, family: str) -> tuple[str, ...]:
    threats = READS.get(run, tuple(THREATS))
    if family in ("shift", "swap"):
        return tuple(threat for threat in threats if threat == "A")
    return threats


def _figures(value: float) -> tuple[float, float, float]:
    return value, round(value - 0.05, 3), round(value + 0.05, 3)


def _scores(run: str) -> Iterator[tuple[object, ...]]:
    for threat in _threats(run, "corruption"):
        for kind in KINDS:
            for step in (1, 2):
                figures = _figures(0.5 - 0.1 * step)
                yield (run, "corruption", kind, step, threat, "SNR 9 dB", "x", 60, *figures)
        for step, crf, kbps in ((1, 23, 64), (2, 51, 16)):
            sound = f"AAC {kbps} kbit/s" if threat != "V" else ""
            picture = f"H264 CRF {crf}" if threat != "A" else ""
            figures = _figures(0.5 - 0.15 * step)
            yield (run, "encoding", "h264_aac", step, threat, sound, picture, 60, *figures)
    for threat in _threats(run, "shift"):
        for shift in SHIFTS:
            yield (run, "shift", "sound", shift, threat, "0.5 s", "", 60, *_figures(0.42))


def _means(run: str) -> Iterator[tuple[object, ...]]:
    kept = (0.8, 0.7, 0.9)
    yield (run, "clean", "", "", "clean", 1, *_figures(0.5), 1, 1, 1)
    for threat in _threats(run, "corruption"):
        yield (run, "corruption", "", "", threat, 4, *_figures(0.35), *kept)
        for step in (1, 2):
            yield (run, "corruption", "", step, threat, 2, *_figures(0.5 - 0.1 * step), *kept)
        for kind in KINDS:
            yield (run, "corruption", kind, "", threat, 2, *_figures(0.35), *kept)
        for kind in ("", "h264_aac"):
            yield (run, "encoding", kind, "", threat, 2, *_figures(0.275), *kept)
        if threat != "AV":
            kind = {"A": "audio", "V": "video"}[threat]
            yield (run, "drop", kind, "", threat, 1, *_figures(0.111), *kept)
    for threat in _threats(run, "shift"):
        for kind in ("", "sound"):
            yield (run, "shift", kind, "", threat, 2, *_figures(0.42), *kept)
        for kind in ("", "same_class", "other_class"):
            yield (run, "swap", kind, "", threat, 1, *_figures(0.222), *kept)


def _differences(run: str) -> Iterator[tuple[object, ...]]:
    moved = {"corruption": BETTER} if run == "mixup" else {"encoding": WORSE}
    for family, threat in (
        ("clean", "clean"),
        ("corruption", "AV"),
        ("encoding", "AV"),
        ("shift", "A"),
        ("swap", "A"),
    ):
        effect, p = moved.get(family, 0.01), 0.001 if family in moved else 0.7
        yield (run, "mid", family, "", threat, effect, effect - 0.02, effect + 0.02, p, p)
