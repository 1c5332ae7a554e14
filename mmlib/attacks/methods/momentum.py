"""A running sum of gradients, which an attack may climb along instead of the last one."""

from mmlib.attacks.core.search import (
    Points,
    Search,
)


def gathered(search: Search, gradients: Points, running: Points | None, decay: float) -> Points:
    """`decay` times the running sum, plus the gradients, each clip's scaled to mean |g| = 1.

    Dong et al. 2018. Without a running sum it begins with these gradients.
    """
    found = {}
    for name, gradient in gradients.items():
        size = gradient.abs().flatten(1).mean(1).clamp_min(1e-38)
        scaled = gradient / search.regions[name].column(size)
        found[name] = scaled if running is None else decay * running[name] + scaled
    return found
