"""The class lists of Kinetics-Sounds in circulation, by their lengths, with Kinetics' own names.

All are subsets of Kinetics-400 by what can be both seen and heard:

- 34: Arandjelovic and Zisserman, "Look, Listen and Learn" (ICCV 2017, arXiv 1705.08168), appendix.
  Its names are from before Kinetics was published; `RENAMED` says what they are called there. Two
  of them, "typing" and "patting", are in no published Kinetics.
- 32: those of the 34 that Kinetics-400 has, under its names (github.com/pritamqu/CrissCross, issue
  4). Kinetics-700 has no "strumming guitar".
- 31: the 32 without "strumming guitar"; the list of most papers on multi-modal training (OGM-GE,
  CRMT and others). Kinetics-400 and -700 have all of them.
- 27: Tian and Xu, "Can audio-visual integration strengthen robustness under multimodal attacks?"
  (CVPR 2021; github.com/YapengTian/AV-Robustness-CVPR21).
"""

import re

_LIST_32 = (
    "blowing nose",
    "blowing out candles",
    "bowling",
    "chopping wood",
    "dribbling basketball",
    "laughing",
    "mowing lawn",
    "playing accordion",
    "playing bagpipes",
    "playing bass guitar",
    "playing clarinet",
    "playing drums",
    "playing guitar",
    "playing harmonica",
    "playing keyboard",
    "playing organ",
    "playing piano",
    "playing saxophone",
    "playing trombone",
    "playing trumpet",
    "playing violin",
    "playing xylophone",
    "ripping paper",
    "shoveling snow",
    "shuffling cards",
    "singing",
    "stomping grapes",
    "strumming guitar",
    "tap dancing",
    "tapping guitar",
    "tapping pen",
    "tickling",
)

_NOT_IN_31 = ("strumming guitar",)
_NOT_IN_27 = (
    *_NOT_IN_31,
    "blowing out candles",
    "dribbling basketball",
    "mowing lawn",
    "stomping grapes",
)

RENAMED = {
    "blowing out": "blowing out candles",
    "dribbling ball": "dribbling basketball",
    # The one that is left over when all other names have found theirs.
    "fingerpicking": "strumming guitar",
    "mowing the lawn by pushing lawnmower": "mowing lawn",
    "stomping": "stomping grapes",
}
"""Names of the list of 34 -> what Kinetics-400, -600 and -700 call the class."""

CLASS_LISTS = {
    "27": tuple(name for name in _LIST_32 if name not in _NOT_IN_27),
    "31": tuple(name for name in _LIST_32 if name not in _NOT_IN_31),
    "32": _LIST_32,
    "34": tuple(sorted((*_LIST_32, "patting", "typing"))),
}
"""The classes of each list, sorted."""


def plain(name: str) -> str:
    """A class name without case, underscores, parentheses and spare spaces, under its new name."""
    words = " ".join(re.findall(r"[a-z0-9']+", name.lower()))
    return RENAMED.get(words, words)
