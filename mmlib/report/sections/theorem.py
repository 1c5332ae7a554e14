"""Theorem 1 clip by clip: how many clips each model still gets right, budget by budget."""

import numpy as np
from markupsafe import Markup

from mmlib.evaluation.threat_card import scales
from mmlib.report import theme, wording
from mmlib.report.figures import SMALL, WIDE
from mmlib.report.inputs import Inputs, Run, table_at
from mmlib.report.sections.blocks import Block, Panel, Section, legend
from mmlib.runtime.arrays import Floats
from mmlib.runtime.storage import Table
from mmlib.threats import SINGLE


def theorem(inputs: Inputs) -> Section | None:
    """A panel per fused run and modality whose radii were searched; None where none were."""
    panels: list[Panel] = []
    shown: dict[int, Run] = {}
    for name, parts in inputs.params.theorem.fused.items():
        radii = table_at(inputs.root / f"data/theorem/{name}.csv")
        fused = inputs.named(name)
        for threat, modality in SINGLE.items():
            alone = inputs.named(getattr(parts, modality))
            counts = inputs.theorem.get(name, {}).get(threat, {})
            if radii and fused and alone and counts.get("counted"):
                panels.append(_panel(inputs, radii, threat, alone, fused))
                shown |= {run.index: run for run in (alone, fused)}
    if not panels:
        return None
    caption = (
        "Share of clips whose top-ranked tag is still a true one when one modality may change by"
        " the given budget: the security curve of each model, from the smallest radius that a"
        f" bisection with {inputs.params.theorem.search.steps}-step attacks found for each clip."
        " Such radii are upper bounds, so the true curves lie at or below these."
        f"{scales(inputs.params.attack)}"
    )
    return Section(
        "theorem",
        "Theorem 1: which model breaks first, clip by clip",
        [legend([shown[index] for index in sorted(shown)]), Block("panels", panels, caption)],
    )


def _panel(inputs: Inputs, radii: Table, threat: str, alone: Run, fused: Run) -> Panel:
    modality, rows = SINGLE[threat], radii["threat"] == threat
    counts = inputs.theorem[fused.name][threat]
    note = (
        f"Of {counts['counted']} clips that both get right, {fused.name} breaks first on"
        f" {counts['fused_first']} ({wording.percent(counts['share_lo'])} to"
        f" {wording.percent(counts['share_hi'])}), {alone.name} on {counts['alone_first']}."
    )
    attack = inputs.params.attack
    drawing = survival(
        {alone.index: radii["radius_alone"][rows], fused.index: radii["radius_fused"][rows]},
        headline=attack.eps,
        reach=inputs.params.theorem.search.reach,
        name=f"survival-{fused.index}-{threat}",
        label=f"share of clips still right against the {modality} budget",
    )
    return Panel(f"{fused.name} and {alone.name}, only {modality} attacked", drawing, note)


def survivors(radii: Floats, reach: float) -> tuple[Floats, Floats]:
    """The steps of a security curve: budgets from 0 to `reach`, and the share right at each.

    `radii` (N,): 0 for a clip that is wrong when clean, inf for one that nothing broke.
    """
    broken = np.sort(radii[(radii > 0) & (radii <= reach)])
    right = (radii > 0).sum() - np.arange(len(broken) + 1)
    budgets = np.concatenate([[0.0], broken, [reach]])
    return budgets, np.append(right, right[-1]) / len(radii)


def survival(
    radii: dict[int, Floats], *, headline: float, reach: float, name: str, label: str
) -> Markup:
    """Draw security curves: a run's place in params.yaml -> radii in multiples of `headline`."""
    with theme.style():
        figure = theme.new_figure(WIDE, 2.75)
        axes = figure.subplots()
        for run, values in radii.items():
            x, y = survivors(values, reach)
            axes.step(x * headline, y, where="post", color=theme.series_colour(run), linewidth=1.6)
        axes.axvline(headline, color=theme.MUTED, linewidth=0.8, zorder=0)
        axes.annotate(
            "headline",
            (headline, 1.0),
            xytext=(3, -8),
            textcoords="offset points",
            fontsize=SMALL,
            color=theme.MUTED,
        )
        # Nothing happens beyond the last radius that broke a clip.
        last = max((float(v[v <= reach].max(initial=1.0)) for v in radii.values()), default=1.0)
        axes.set_xlim(0, min(1.05 * last, reach) * headline)
        axes.set_ylim(0, 1)
        axes.set_xlabel("budget ε, share of full scale")
        axes.set_ylabel("share of clips right")
        return theme.to_svg(figure, name, label)
