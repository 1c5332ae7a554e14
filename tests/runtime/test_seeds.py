"""Seeds are fixed numbers: every stored metric rests on them."""

import pytest

from mmlib.runtime.seeds import derive


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((2022, "mid"), 9050206180629191001),
        ((2022, "clip-1", "AV", "0.5"), 7054913752527438857),
        ((7, "square", "audio"), 3323288841814990560),
        ((0,), 7520536977032167579),
    ],
)
def test_seeds_of_uses(parts: tuple[int | str, ...], seed: int) -> None:
    assert derive(*parts) == seed


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((2022, "restart", 1), 5228829273287657388),
        ((7, "audio"), 5563735216424879798),
        ((5, 0), 1248755623252317243),
        ((3, "noise", 2), 2114245580693620473),
        ((0, "é"), 8176042963696254801),
    ],
)
def test_seeds_of_draws(parts: tuple[int | str, ...], seed: int) -> None:
    assert derive(*parts, draw=True) == seed


def test_every_part_counts() -> None:
    parts: list[tuple[int | str, ...]] = [(1, "a"), (1, "b"), ("1", "a"), (1, "a", 0)]
    seeds = {derive(*each, draw=draw) for each in parts for draw in (False, True)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
