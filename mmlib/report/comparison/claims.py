"""The paper's claims, tested on the runs at hand."""

from collections.abc import Iterator, Mapping

from mmlib.metrics.intervals import Interval
from mmlib.report import threats
from mmlib.report.comparison.paired import (
    PairedRuns,
    Where,
    noise_of,
)
from mmlib.report.comparison.verdict import (
    EQUAL,
    Claim,
    about_zero,
    adjusted,
    claim,
    difference_row,
    words,
)
from mmlib.threats import SINGLE

Costs = Mapping[str, Mapping[str, float]]

# The roles that stand for the paper's mid fusion (trained with G-Blend), best first.
FUSED = ("gblend", "fusion")


def claims(
    runs: PairedRuns, costs: Costs | None = None, *, starts: Mapping[str, str] | None = None
) -> list[Claim]:
    """Every claim that the runs at hand can test; those that lack a run are left out.

    `costs` maps roles to their metrics/costs/<run>.json, `starts` the role of a retrained run to
    that of the run that it started from. Roles: audio, video, fusion, gblend, plain, mixup,
    adversarial; others only take part in the comparison with noise.
    """
    rows = [*_fusion(runs), *_order(runs), *_uni_modal(runs), *_retrained(runs, starts or {})]
    if costs is not None and _alike(runs, "mixup", "adversarial"):
        rows += _costs(runs, costs)
    rows += _noise(runs)
    return adjusted(rows)


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
    if fused == "gblend":
        statement = "Gradient-Blending has a higher clean mAP than joint training with one loss."
        yield from difference_row(runs, "gblend", statement, "", Where("gblend"), Where("fusion"))


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
        "With the audio attacker's budget split evenly between audio and video, fusion retains a "
        "higher mAP than audio alone.",
        "",
        Where(fused, "AV", multiple=0.5),
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


def _retrained(runs: PairedRuns, starts: Mapping[str, str]) -> Iterator[Claim]:
    """Mixup against adversarial training, and each against where it started."""
    for role, method, paper in (
        ("mixup", "Mixup", "0.234 against 0.182"),
        ("adversarial", "Adversarial training", "0.199 against 0.182"),
    ):
        yield from _protects(runs, role, method, paper, starts.get(role))
    if not _alike(runs, "mixup", "adversarial"):
        return
    threat = runs.threats("mixup")[-1]
    yield from difference_row(
        runs,
        "mixup_adversarial",
        f"Under {threats.WORDS[threat]}, mixup protects at least as well as adversarial training.",
        "0.234 against 0.199" if threat == "AV" else "",
        Where("mixup", threat),
        Where("adversarial", threat),
    )
    yield from difference_row(
        runs,
        "mixup_clean",
        "Mixup costs less clean mAP than adversarial training.",
        "0.424 against 0.397",
        Where("mixup"),
        Where("adversarial"),
    )


def _protects(
    runs: PairedRuns, role: str, method: str, paper: str, start: str | None
) -> Iterator[Claim]:
    """Does the method protect, under an attack on all that the run reads?"""
    for threat in runs.threats(role)[-1:]:
        retrained = Where(role, threat)
        if start is not None:
            yield from difference_row(
                runs,
                f"{role}_protects",
                f"{method} protects {'fusion ' if threat == 'AV' else ''}against"
                f" {threats.WORDS[threat]}.",
                paper if threat == "AV" else "",
                retrained,
                Where(start, threat),
            )
        if _alike(runs, role, "plain"):
            yield from difference_row(
                runs,
                f"{role}_plain",
                f"{method} protects better than the same amount of further training without it.",
                "",
                retrained,
                Where("plain", threat),
            )


def _alike(runs: PairedRuns, first: str, second: str) -> bool:
    """Tell whether both are there and read the same modalities: were attacked in the same ways."""
    return bool(runs.threats(first)) and set(runs.threats(first)) == set(runs.threats(second))


def _costs(runs: PairedRuns, costs: Costs) -> Iterator[Claim]:
    """Is mixup cheap? Passes are counted, so there is no interval."""
    if "mixup" not in costs or "adversarial" not in costs:
        return
    passes = {
        role: costs[role]["forward_passes"] + costs[role]["backward_passes"]
        for role in ("mixup", "adversarial")
    }
    if not passes["adversarial"]:
        return
    saved = 1 - passes["mixup"] / passes["adversarial"]
    nan = float("nan")
    names = {role: runs.names.get(role, role) for role in passes}
    yield Claim(
        key="mixup_cost",
        statement="Mixup costs a fraction of adversarial training (forward and backward passes).",
        paper="“cheap”, no figure",
        compared=", ".join(f"{names[role]} {count:,.0f} passes" for role, count in passes.items()),
        unit="share of passes saved",
        effect=Interval(saved, nan, nan),
        n=int(costs["mixup"].get("clips_seen", 0)),
        p=nan,
        p_adjusted=nan,
        verdict="supported" if saved > 0 else "not supported",
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
