"""What the evaluation checked about itself: every check of every run, and which did not pass."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mmlib.report.inputs import Inputs
from mmlib.report.sections.blocks import Block, Section
from mmlib.report.tables import Cell, Head, Row, Table, state

CHECK_STATES = {"pass": "✓ pass", "warn": "! warn", "fail": "✗ fail"}
MARKS = {"pass": "✓", "warn": "!", "fail": "✗"}
MISSING = "–"

Outcomes = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Run -> check -> its status and message."""


def checks(inputs: Inputs) -> Section | None:
    """The counts, a mark for each check and run, and in words what warns or fails."""
    found = outcomes(inputs.checks)
    if not found:
        return None
    states = [each["status"] for checked in found.values() for each in checked.values()]
    failing = states.count("fail")
    line = ", ".join(f"{states.count(key)} {key}" for key in CHECK_STATES)
    verdict = (
        " Read the numbers of the runs that fail a check with the reasons below in mind."
        if failing
        else ""
    )
    blocks = [Block("text", f"{line}.{verdict}"), Block("table", _matrix(found))]
    tripped = _worded(found, ("fail", "warn"))
    if tripped:
        blocks.append(Block("table", _details("Warnings and failures", tripped)))
    everything = _details("Findings of every check", _worded(found, tuple(CHECK_STATES)))
    blocks.append(Block("details", everything, "Show the findings of every check"))
    return Section("checks", "Checks", blocks)


def outcomes(value: Mapping[str, Any]) -> Outcomes:
    """The outcomes of metrics/checks.json by run and check."""
    return {
        run: {each["name"]: each for each in part["outcomes"] if each["status"] in CHECK_STATES}
        for run, part in value.items()
        if isinstance(part, Mapping) and part.get("outcomes")
    }


def _matrix(found: Outcomes) -> Table:
    names = dict.fromkeys(name for checked in found.values() for name in checked)
    rows = [
        Row(
            name.replace("_", " "),
            [_mark(checked.get(name, {}).get("status", "")) for checked in found.values()],
        )
        for name in names
    ]
    return Table(
        title="Checks by run",
        head=(Head("check", "word"), *(Head(run, "word") for run in found)),
        rows=rows,
        caption="✓ pass, ! warn, ✗ fail. docs/metrics.md defines each check.",
    )


def _mark(status: str) -> Cell:
    title, mark = CHECK_STATES.get(status, "not run"), MARKS.get(status, MISSING)
    html = Markup('<span class="state" title="{}">{}</span>').format(title, mark)
    return Cell(html, kind="word")


def _worded(found: Outcomes, statuses: Sequence[str]) -> list[Row]:
    return [
        Row(
            f"{run}: {name.replace('_', ' ')}",
            [state(CHECK_STATES[each["status"]]), Cell(str(each["message"]), kind="text")],
        )
        for status in statuses
        for run, checked in found.items()
        for name, each in checked.items()
        if each["status"] == status
    ]


def _details(title: str, rows: Sequence[Row]) -> Table:
    heads = (Head("check", "word"), Head("state", "word"), Head("finding", "text"))
    return Table(title=title, head=heads, rows=rows)
