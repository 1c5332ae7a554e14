"""Answers, claims, examples and the way to reproduce the page."""

import json
from collections.abc import Sequence

from mmlib.report import examples, wording
from mmlib.report.answers import Answer
from mmlib.report.comparison.claim import Claim
from mmlib.report.findings import NOISE_KEY, Findings, main_run
from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Head, Row, Table, state

VERDICTS = {
    "supported": "● supported",
    "undecided": "◐ undecided",
    "not supported": "○ not supported",
}
CLAIM_GROUPS = (
    (
        "1. Fusion against its parts",
        (*("fusion_", "gblend", "order_", "fused_", "matched_"), "theorem_"),
    ),
    ("2. Prediction from the class-wise metrics", ("predicts_",)),
    ("3. Mixup against adversarial training", ("mixup_", "adversarial_")),
    ("The same over several seeds", ("study_",)),
)


def answer_box(inputs: Inputs, answers: Sequence[Answer]) -> Section:
    """The three questions, each with a verdict, sentences and the effects behind them."""
    confidence = wording.percent(inputs.params.score.confidence)
    note = (
        f"Effects with their {confidence} bootstrap intervals; differences of mAP are paired: both"
        " runs are scored on the same resampled clips. The dashed line is zero; grey where the"
        " interval holds zero. Robustness against an attack is an upper bound: a stronger attack"
        " may find more."
    )
    return Section("answers", "Answers", [Block("answers", answers), Block("note", note)])


def claims(findings: Findings) -> Section | None:
    """Each claim of the paper as a row, by question."""
    blocks: list[Block] = []
    for title, prefixes in CLAIM_GROUPS:
        rows = findings.starting(*prefixes)
        if rows:
            blocks += [Block("heading", title), Block("table", _claims(rows, title))]
    noise = findings.starting(NOISE_KEY)
    if noise:
        beaten = sum(row.verdict == "supported" for row in noise)
        blocks += [
            Block("heading", "The floor under every attack"),
            Block("text", f"{beaten} of {len(noise)} attacks surely beat noise of equal norm."),
            Block("details", _claims(noise, "Attacks against noise"), "Show each attack"),
        ]
    if not blocks:
        return None
    intro = (
        "An effect is defined so that the claim says it is above 0. ● supported: its interval lies"
        " above 0; ○ not supported: below; ◐ undecided: this many clips or classes cannot tell. n"
        " counts clips, classes for correlations, or seeds where there are several. Effects are"
        " differences of mAP unless the claim names another figure."
    )
    return Section("claims", "The paper's claims", [Block("text", intro), *blocks])


def _claims(rows: Sequence[Claim], title: str) -> Table:
    texts = [Head(name, "text") for name in ("claim", "paper", "this data")]
    return Table(
        title=title,
        head=(*texts, Head("effect"), Head("n"), Head("verdict", "word")),
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
        state(VERDICTS[claim.verdict]),
    ]


def adversarial_clips(inputs: Inputs) -> Section | None:
    """A few clips, clean and perturbed, of the run that stands for fusion, or any run."""
    for run in (main_run(inputs), *inputs.runs):
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
                f"Clips of the eval split, attacked in all that run {run.name} sees, at the"
                " headline budget. The difference is magnified: in the sound, red is louder and"
                " blue softer; in the picture, grey is no change. The number after a tag is its"
                " probability; ✓ marks the true ones."
            )
            blocks = [Block("example", card) for card in cards]
            return Section("examples", "Adversarial examples", [Block("text", intro), *blocks])
    return None


def reproduce(inputs: Inputs) -> Section:
    """The commands, and the params that made this page."""
    params = inputs.params
    half = f"-S attack.eps={params.attack.eps / 2:g}"
    commands = {
        "make repro": "everything, from nothing",
        "dvc repro": "what a change made stale",
        f"dvc exp run {half}": "the same models, half the budget",
        "dvc metrics diff": "what changed",
        "dvc plots show": "the curves again, drawn by DVC",
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
        "The page is made from stored artefacts alone: the same artefacts give the same bytes. The"
        " same seed on the same machine gives the same artefacts, wall-clock times aside."
    )
    return Section(
        "reproduce",
        "How to reproduce this page",
        [
            Block("text", text),
            Block("code", lines),
            Block("text", "The settings that decide the numbers; params.yaml has them all:"),
            Block("code", json.dumps(chosen, indent=2)),
        ],
    )
