"""What threats and modalities are called on the page."""

from mmlib.metrics.stored import CLEAN
from mmlib.threats import SINGLE, THREATS, within

SHORT = {name: "+".join(part for part in SINGLE if within(part, name)) for name in THREATS}
"""In a table's cell: A, V, A+V."""

WORDS = {CLEAN: CLEAN, **SHORT}
"""In a sentence, clean among them."""

NAMES = {
    name: f"{attacked[0] if len(attacked) == 1 else 'both'} attacked"
    for name, attacked in THREATS.items()
}
"""As a heading: audio attacked, video attacked, both attacked."""
