"""Claims, examples and the way to reproduce the page."""

import json
from collections.abc import Sequence

from markupsafe import Markup

from mmlib.report import examples, wording
from mmlib.report.cards import FOLDER
from mmlib.report.comparison.predictors import WEAK
from mmlib.report.comparison.verdict import EQUAL, NO_VERDICT, NOT_TESTED, Claim
from mmlib.report.findings import NOISE_KEY, Findings, main_runs
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Head, Row, Table, state

VERDICTS = {
    "supported": "● supported",
    "undecided": "◐ undecided",
    "not supported": "○ not supported",
    NO_VERDICT: "– no verdict",
    NOT_TESTED: "– not tested",
}
FLAT = (
    " An interval without width says that not one of these clips was ranked otherwise, not that no"
    " other would be."
)
SEVERAL_SEEDS = "The same over several seeds"
CLAIM_GROUPS = (
    (
        "1. Fusion against its parts",
        ("fusion_", "gblend", "order_", "fused_", "matched_", "theorem_"),
    ),
    ("2. Prediction from the class-wise metrics", ("predicts_",)),
    ("3. Mixup against adversarial training", ("mixup_", "adversarial_")),
    (SEVERAL_SEEDS, ("study_",)),
)


def claims(findings: Findings, confidence: float) -> Section | None:
    """Each claim of the paper as a row, by question; those that lack a run are left out."""
    blocks: list[Block] = []
    untested = []
    for title, prefixes in CLAIM_GROUPS:
        rows = findings.starting(*prefixes)
        if rows:
            blocks += [Block("heading", title), Block("table", _claims(rows, title))]
        elif title != SEVERAL_SEEDS:
            untested.append(title)
    noise = findings.starting(NOISE_KEY)
    if noise:
        beaten = sum(row.verdict == "supported" for row in noise)
        blocks += [
            Block("heading", "Attacks against random noise"),
            Block(
                "text",
                f"{beaten} of {len(noise)} attacks are significantly stronger than random noise of"
                " equal norm.",
            ),
            Block("details", _claims(noise, "Attacks against noise"), "Show each attack"),
        ]
    if not blocks:
        return None
    return Section(
        "claims",
        "The paper's claims",
        [Block("text", _intro(findings, confidence, untested)), *blocks],
    )


def _intro(findings: Findings, confidence: float, untested: Sequence[str]) -> str:
    """How to read the tables of claims."""
    level = 1 - confidence
    listed = wording.listed([f"“{title}”" for title in untested])
    flat = any(row.effect.lo == row.effect.hi for row in findings.claims.values())
    return (
        "Each effect is defined so that the claim says it is above 0. ● supported: it is, ○ not"
        " supported: it is below 0, ◐ undecided: these clips, classes or seeds do not tell, which"
        " does not mean that there is no effect. Holm's p,"
        f" corrected for all rows with a p, decides: a verdict asks p < {level:.2g}. Intervals are"
        " each row's own, not corrected, so that a row can be undecided although its interval"
        f" excludes 0.{FLAT if flat else ''} A claim that two figures are about equal allows"
        f" {EQUAL:g} either way, and is not supported where they differ by more. A correlation is"
        f" ● where r and partial r are above 0, ○ where either is below {WEAK}, which need not be"
        " 0. Rows on fusion are about these models, each trained once. By construction an attack on"
        " A+V is no weaker than those on A and on V alone, so that its row is never ○. – no"
        " verdict: two models trained in different ways, one seed: no verdict on the method, which"
        " takes the study's several seeds. – not tested: what the claim is about was all but"
        " absent. Rows without a p are counts. n counts clips; for"
        " correlations, classes; where there are several seeds, seeds. Effects are differences in"
        " mAP unless the claim names another figure. Claims that these runs cannot test are left"
        f" out{f': all of {listed}' if untested else ''}."
    )


def _claims(rows: Sequence[Claim], title: str) -> Table:
    texts = [Head(name, "text") for name in ("claim", "paper", "this data")]
    return Table(
        title=title,
        head=(*texts, Head("effect"), Head("n"), Head("p, Holm"), Head("verdict", "word")),
        rows=[Row(claim.statement, _claim_cells(claim)) for claim in rows],
        wrap=True,
    )


def _claim_cells(claim: Claim) -> list[Cell]:
    effect = claim.effect
    return [
        Cell(claim.paper or wording.MISSING, kind="text"),
        Cell(claim.compared, kind="text"),
        Cell(wording.signed(effect.estimate), wording.interval(effect.lo, effect.hi, sign=True)),
        Cell(wording.count(claim.n)),
        Cell(wording.p_value(claim.p_adjusted)),
        state(VERDICTS[claim.verdict]),
    ]


def adversarial_clips(inputs: Inputs) -> Section | None:
    """A few clips, clean and perturbed, of the run that stands for fusion, or of any other."""
    for run in main_runs(inputs):
        found = list(examples.read(inputs.root / f"data/attacks/{run.name}-examples.parquet"))
        if found:
            shard = inputs.params.shard
            cards = [
                examples.card(
                    example, task=inputs.params.data.task, mel=shard.mel, seconds=shard.seconds
                )
                for example in found
            ]
            intro = (
                f"Clips of the eval split, attacked in every modality that run {run.name} reads, at"
                " the headline budget. Differences are magnified: in audio, red is louder and blue"
                " quieter; in video, grey means no change. The number after a tag is its"
                " probability; ✓ marks true tags."
            )
            blocks = [Block("example", card) for card in cards]
            return Section("examples", "Adversarial examples", [Block("text", intro), *blocks])
    return None


def _cards(inputs: Inputs) -> Markup:
    """Links to the cards that stand beside the page."""
    links = [
        Markup('<a href="{}/{}.md">{}</a>').format(FOLDER, run.name, run.name)
        for run in inputs.runs
    ]
    return Markup("Model cards, for publishing a run, lie beside this page: {}").format(
        Markup(" · ").join(links)
    )


def reproduce(inputs: Inputs) -> Section:
    """The commands, and the params that made this page."""
    params = inputs.params
    half = f"-S attack.eps={params.attack.eps / 2:g}"
    commands = {
        "make repro": "everything, from scratch",
        "dvc repro": "only what a change made stale",
        f"dvc exp run {half}": "the same models under half the budget",
        "dvc metrics diff": "what changed since the last commit",
        "dvc plots show": "the same curves, drawn by DVC",
    }
    width = max(map(len, commands)) + 3
    lines = "\n".join(f"{command:<{width}}# {text}" for command, text in commands.items())
    chosen = {
        "seed": params.seed,
        "data": params.data.model_dump(mode="json"),
        "attack": params.attack.model_dump(mode="json"),
        "runs": list(params.runs),
    }
    text = (
        "This page is built from stored artefacts alone: the same artefacts give the same page,"
        " byte for byte. The same seed on the same machine gives the same artefacts, except for"
        " wall-clock times."
    )
    return Section(
        "reproduce",
        "How to reproduce this page",
        [
            Block("text", text),
            Block("code", lines),
            Block("text", "The settings behind the numbers; params.yaml holds all of them:"),
            Block("code", json.dumps(chosen, indent=2)),
            *([Block("text", _cards(inputs))] if inputs.runs else []),
        ],
    )
