"""How many examples a property test draws.

In `make test` they are few, and the same on every machine. `make fuzz` draws fifty times as many at
random; what it finds is kept as an `@example` of its test.
"""

from hypothesis import settings


def examples(count: int) -> settings:
    """So many examples in `make test`, and as many times more elsewhere as the profile says."""
    return settings(max_examples=max(1, count * settings().max_examples // 100))
