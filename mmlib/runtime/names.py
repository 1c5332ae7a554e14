"""Names as people write them: in one form in which they are compared, and what is no name."""

import re
import unicodedata

# Characters without width or meaning, which pasted text carries along: hyphens that do not show,
# blanks of no width, marks of the direction of writing, fillers, wishes for a coloured picture.
_INVISIBLE = dict.fromkeys(
    (
        *(0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x180E, 0x200B, 0x200E, 0x200F, 0x3164),
        *(*range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFE0E, 0xFE0F, 0xFEFF, 0xFFA0),
        *range(0xFFF9, 0xFFFC),
        *(code for code in (*range(0x20), *range(0x7F, 0xA0)) if not chr(code).isspace()),
    )
)
# Joiners have a meaning between letters of some scripts, and between the parts of a picture.
_IDLE_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")

FORMULA_ERROR = re.compile(r"#(?:\w[\w/]*[!?]|N/A|NV|N/D)")
"""What a spreadsheet leaves of a cell that begins with - or =, which it takes for a formula.

In any language: #NAME?, #REF!, #DIV/0!, #BEZUG!.
"""

NO_VALUE = frozenset({"nan", "none", "null", "nil", "na", "n/a", "n.a.", "<na>", "<null>", "nat"})
"""What pandas, R, numpy and databases write where there is nothing, in lower case."""


def clean(text: str) -> str:
    """A name in the one form in which it is compared: composed, single blanks, none at the ends.

    No-break spaces count as blanks; characters that nobody sees are dropped.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join(unicodedata.normalize("NFC", visible(text)).split())


def visible(text: str) -> str:
    """A text without the characters that nobody sees, and with a plain blank for no-break ones."""
    if text.isascii() and text.isprintable():
        return text
    return _IDLE_JOINER.sub("", text.translate(_INVISIBLE)).replace("\u00a0", " ")
