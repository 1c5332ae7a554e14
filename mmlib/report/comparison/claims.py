"""The paper's claims, tested on the runs at hand."""

from collections.abc import Iterator, Mapping

from mmlib.metrics.scores.surface import SHARED
from mmlib.report import threats
from mmlib.report.comparison import models
from mmlib.report.comparison.paired import (
    PairedRuns,
    Where,
    noise_of,
)
from mmlib.report.comparison.verdict import (
    EQUAL,
    Claim,
    about_zero,
    claim,
    difference_row,
    words,
)
from mmlib.threats import SINGLE

# The roles that stand for the paper's mid fusion (trained with G-Blend), best first.
FUSED = ("gblend", "fusion")


def claims(
    runs: PairedRuns, costs: models.Costs | None = None, *, starts: Mapping[str, str] | None = None
) -> list[Claim]:
    """Every claim that the runs at hand can test, not yet judged.

    Those that lack a run are left out.
    `costs` maps roles to their metrics/costs/<run>.json, `starts` the role of a retrained run to
    that of the run that it started from. Roles: audio, video, fusion, gblend, plain, mixup,
    adversarial; others only take part in the comparison with noise.
    """
    rows = [*_fusion(runs), *models.blended(runs), *_order(runs), *_uni_modal(runs)]
    return [*rows, *models.retrained(runs, costs, starts or {}), *_noise(runs)]


def fused_role(runs: PairedRuns) -> str | None:
    """The role of the run that stands for the paper's mid fusion."""
    return next((role for role in FUSED if role in runs.names), None)


def _fusion(runs: PairedRuns) -> Iterator[Claim]:
    """Does fusing help on clean clips?"""
    fused = fused_role(runs)
    if fused is None:
        return
    for role, paper in (("audio", "0.427 against 0.383"), ("video", "")):
        statement = f"Fusion has a higher clean mAP than {role} alone."
        yield from difference_row(
            runs, f"fusion_{role}", statement, paper, Where(fused), Where(role)
        )


def _order(runs: PairedRuns) -> Iterator[Claim]:
    """A+V < A < V < clean."""
    fused = fused_role(runs)
    if fused is None:
        return
    order = (
        ("AV", "A", "0.182 against 0.310"),
        ("A", "V", "0.310 against 0.339"),
        ("V", "clean", "0.339 against 0.427"),
    )
    for worse, better, paper in order:
        harm = f"An attack on {threats.WORDS[worse]} harms fusion"
        against = "at all" if better == "clean" else f"more than one on {threats.WORDS[better]}"
        yield from difference_row(
            runs,
            f"order_{worse}_{better}",
            f"{harm} {against}.",
            paper,
            Where(fused, better),
            Where(fused, worse),
        )


def _uni_modal(runs: PairedRuns) -> Iterator[Claim]:
    """Is fusion more robust than its parts, at unequal and at matched budgets?"""
    fused = fused_role(runs)
    if fused is None:
        return
    yield from difference_row(
        runs,
        "fused_as_low",
        f"Under A+V, fusion falls about as low as audio alone under A (within {EQUAL:g} mAP).",
        "0.182 against 0.183",
        Where(fused, "AV"),
        Where("audio", "A"),
        judge=about_zero,
    )
    for threat, role in SINGLE.items():
        inside, alone = Where(fused, threat), Where(role, threat)
        yield from difference_row(
            runs,
            f"matched_{threat}",
            f"Under the same attack on {role}, fusion retains a higher mAP than {role} alone.",
            "0.310 against 0.183" if threat == "A" else "",
            inside,
            alone,
        )
        if runs.has(inside, alone, Where(fused), Where(role)):
            yield _smaller_share(runs, threat, role, inside, alone)
    yield from difference_row(
        runs,
        "matched_total",
        "Under A+V with one budget for both, split as hurts most of what was tried, fusion retains "
        "a higher mAP than audio alone under A.",
        "",
        Where(fused, "AV", SHARED),
        Where("audio", "A"),
    )


def _smaller_share(runs: PairedRuns, threat: str, role: str, inside: Where, alone: Where) -> Claim:
    ours, theirs = runs.relative_drop(inside), runs.relative_drop(alone)
    return claim(
        runs,
        f"matched_{threat}_relative",
        f"Under the same attack on {role}, fusion loses a smaller share of its mAP than {role} "
        "alone.",
        "lost 27 % against 52 %" if threat == "A" else "",
        f"lost: {words(runs, inside)} {100 * ours.estimate:.0f} %, "
        f"{words(runs, alone)} {100 * theirs.estimate:.0f} %",
        "share of mAP",
        runs.difference(theirs, ours),
    )


def _noise(runs: PairedRuns) -> Iterator[Claim]:
    """The floor that every attack must beat."""
    for role, name in runs.names.items():
        for threat in runs.threats(role):
            where = Where(role, threat)
            yield from difference_row(
                runs,
                f"noise_{role}_{threat}",
                f"The attack on {threats.WORDS[threat]} of {name} is stronger than random noise of "
                "equal norm.",
                "",
                noise_of(where),
                where,
            )
