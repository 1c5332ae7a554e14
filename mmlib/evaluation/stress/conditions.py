"""What is done to the clips, by name and in units: every condition that params ask for."""

from collections.abc import Iterator
from typing import NamedTuple, get_args

from mmlib.evaluation.stress.corruptions.kinds import KINDS
from mmlib.media.recode import Rung
from mmlib.params.stress import Corruption, Encodings, Stress
from mmlib.threats import MODALITIES, threat_names

CORRUPTION, ENCODING, SHIFT, SWAP, DROP = "corruption", "encoding", "shift", "swap", "drop"
FAMILIES = (CORRUPTION, ENCODING, SHIFT, SWAP, DROP)
CONTAINERS = {"h264_aac": "mp4", "vp9_opus": "webm"}
"""Kinds of encoding, and the file that each is in."""


class Condition(NamedTuple):
    """One way in which clips are changed.

    `step` is the severity (1 to 5), the rung of a ladder (from 1, the best), or the seconds by
    which the sound is late; 0 where there is one alone. `sound` and `picture` say in units what
    becomes of each, and are empty where it stays as it was.
    """

    family: str
    kind: str
    step: float
    sound: str
    picture: str

    @property
    def modalities(self) -> tuple[str, ...]:
        """What is changed."""
        changed = dict(zip(MODALITIES, (self.sound, self.picture), strict=True))
        return tuple(name for name in MODALITIES if changed[name])

    def threats(self, reads: tuple[str, ...]) -> list[str]:
        """The threats that a run of these modalities is scored under: each alone, and both."""
        return threat_names(tuple(name for name in self.modalities if name in reads))


def conditions(settings: Stress) -> list[Condition]:
    """All conditions, family by family and kind by kind, in the order of params."""
    return [
        *_corruptions(settings),
        *_encodings(settings.encodings),
        *(
            Condition(SHIFT, "sound", shift, f"{abs(shift):g} s {_side(shift)}", "")
            for shift in settings.shifts_s
        ),
        *(
            Condition(SWAP, swap, 0.0, f"of another clip, {_WHOSE[swap]}", "")
            for swap in settings.swaps
        ),
        *(
            Condition(DROP, track, 0.0, *(_gone(track, name) for name in MODALITIES))
            for track in settings.drops
        ),
    ]


_WHOSE = {"same_class": "a label in common", "other_class": "no label in common"}


def _corruptions(settings: Stress) -> Iterator[Condition]:
    kinds = get_args(Corruption) if settings.corruptions == "all" else settings.corruptions
    for kind in kinds:
        snr_db, levels, unit = KINDS[kind]
        for severity in settings.severities:
            sound, level = f"SNR {snr_db[severity - 1]:g} dB", levels[severity - 1]
            yield Condition(CORRUPTION, kind, float(severity), sound, f"{level:g} {unit}")


def _encodings(ladders: Encodings) -> Iterator[Condition]:
    for kind in CONTAINERS:
        picture, sound = kind.upper().split("_")
        for place, (crf, kbps) in enumerate(ladder(ladders, kind), start=1):
            sounds, looks = f"{sound} {kbps} kbit/s", f"{picture} CRF {crf}"
            yield Condition(ENCODING, kind, float(place), sounds, looks)


def ladder(ladders: Encodings, kind: str) -> list[Rung]:
    """The rungs of one kind of encoding."""
    both = {
        "h264_aac": (ladders.h264_crf, ladders.aac_kbps),
        "vp9_opus": (ladders.vp9_crf, ladders.opus_kbps),
    }
    return [Rung(crf, kbps) for crf, kbps in zip(*both[kind], strict=True)]


def _side(shift: float) -> str:
    return "late" if shift > 0 else "early"


def _gone(track: str, modality: str) -> str:
    return "absent" if track == modality else ""
