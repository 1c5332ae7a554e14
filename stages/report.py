"""Write the report: one page that answers the three questions, and its numbers as csv."""

from pathlib import Path

from mmlib.params.whole import file as whole
from mmlib.report import exports, findings, inputs, page, plots
from mmlib.report.answers import answer
from mmlib.report.cards import FOLDER, cards
from mmlib.runtime import stage
from mmlib.runtime.scratch import (
    publish_directory,
    publish_text,
)

OUT = Path("report")
PLOTS = Path("plots")


def main(arguments: list[str]) -> None:
    """Write the page, a card of each run, the csv of report/ and of plots/; print the results."""
    stage.no_row(arguments, "report")
    found = inputs.load(whole.load(), Path())
    drawn = findings.find(found)
    answers = answer(found, drawn)
    results = exports.results_text(found, answers)
    unfinished = Path("scratch/report")
    for name, text in (
        ("index.html", page.render(found, drawn, answers)),
        ("results.txt", results),
        ("claims.csv", exports.claims_csv(drawn)),
        ("comparisons.csv", exports.comparisons_csv(drawn)),
        ("study.csv", exports.study_csv(found.study)),
        ("predictions.csv", exports.predictions_csv(drawn)),
    ):
        publish_text(text, unfinished / name)
    for name, text in cards(found).items():
        publish_text(text, unfinished / FOLDER / name)
    publish_directory(unfinished, OUT)
    for name, text in plots.tables(found).items():
        publish_text(text, PLOTS / name)
    print(results)
    print((OUT / "index.html").resolve())


if __name__ == "__main__":
    stage.run(main)
