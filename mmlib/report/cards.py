"""A model card of each run: Markdown with Hugging Face's metadata block, for who takes the model.

https://huggingface.co/docs/hub/model-cards: what can be read by a program stands in `model-index`.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from mmlib.evaluation.threat_card import threat_card
from mmlib.report import threats, wording
from mmlib.report.inputs import Inputs, Run, band
from mmlib.report.positives import warning
from mmlib.report.sections.checks import CHECK_STATES, outcomes

FOLDER = "cards"
FIGURES = {"mAP": "mAP", "AUC": "AUC", "dprime": "d′", "accuracy": "accuracy"}
TAGS = {"audio": "audio-classification", "video": "video-classification"}


def cards(inputs: Inputs) -> dict[str, str]:
    """File name in report/cards -> text, a card for each run with scores."""
    return {f"{run.name}.md": _card(inputs, run) for run in inputs.runs}


def _card(inputs: Inputs, run: Run) -> str:
    parts = [
        f"---\n{_yaml(_metadata(inputs, run))}---",
        f"# {run.name}",
        _what(inputs, run),
        "## Scores",
        _scores(inputs, run),
        " ".join(filter(None, _read(inputs))),
        "## Data",
        _data(inputs),
        "## Threats",
        _facts(threat_card(inputs.params.attack, inputs.params.shard.mel.floor_db)),
        "## Checks",
        _checks(inputs, run),
        "## How to reproduce",
        _reproduce(inputs, run),
    ]
    return "\n\n".join(parts) + "\n"


def _read(inputs: Inputs) -> Iterator[str]:
    """How the scores are to be read, sentence by sentence."""
    confidence = wording.percent(inputs.params.score.confidence)
    source = _source(inputs)
    yield f"Eval clips of {source}; {confidence} intervals of what a larger set would give."
    yield warning(inputs)
    yield "An attacked score is an upper bound: a stronger attack may find more."


def _metadata(inputs: Inputs, run: Run) -> dict[str, Any]:
    """What the hub reads: tags, and each score with the data it was measured on."""
    results = []
    for condition in ("clean", *run.threats):
        name = "clean" if condition == "clean" else f"attacked: {threats.WORDS[condition]}"
        metrics = [
            {"type": key.lower(), "name": f"{shown}, {name}", "value": value}
            for key, shown in FIGURES.items()
            if (value := run.value(condition, key)) is not None
        ]
        results.append(
            {
                "task": {"type": TAGS.get("-".join(run.modalities), "multimodal"), "name": name},
                "dataset": {
                    "type": inputs.params.data.source,
                    "name": _source(inputs),
                    "split": "eval",
                    "revision": _hash(inputs),
                },
                "metrics": metrics,
            }
        )
    tags = ["adversarial-robustness", *run.modalities, inputs.params.data.task]
    return {"tags": tags, "model-index": [{"name": run.name, "results": results}]}


def _what(inputs: Inputs, run: Run) -> str:
    own = inputs.params.models.get(run.name)
    made = f"made by `{own.factory}`" if own else f"trained here, in the role of {run.role}"
    init = f", from the run {run.init}" if run.init else ""
    return f"Reads {' and '.join(run.modalities)}; {made}{init}."


def _scores(inputs: Inputs, run: Run) -> str:
    shown = [key for key in FIGURES if run.value("clean", key) is not None]
    heads = ["attack", *(FIGURES[key] for key in shown), "interval of mAP", "mAP lost"]
    rows = []
    for condition in ("clean", *run.threats):
        ends = band(run, condition, inputs.params.attack.eps)
        rows.append(
            [
                "none" if condition == "clean" else threats.SHORT[condition],
                *(wording.number(run.value(condition, key)) for key in shown),
                wording.interval(*ends) if ends else wording.MISSING,
                wording.percent(run.value(condition, "relative_drop")),
            ]
        )
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _data(inputs: Inputs) -> str:
    clips = inputs.manifest.get("clips", {})
    counts = [f"{wording.count(part['count'])} {split}" for split, part in clips.items()]
    classes = list(inputs.manifest.get("classes", []))
    return _facts(
        [
            ("Source", _source(inputs)),
            ("Clips", ", ".join(counts) or wording.MISSING),
            ("SHA-256 of the eval clips' ids", _hash(inputs)),
            ("Classes", f"{len(classes)}: {', '.join(classes[:40])}"),
        ]
    )


def _checks(inputs: Inputs, run: Run) -> str:
    found = outcomes(inputs.checks).get(run.name)
    if not found:
        return "None was made: `dvc repro check` makes them."
    states = [each["status"] for each in found.values()]
    said = [
        f"- {name.replace('_', ' ')}, {each['status']}: {each['message']}"
        for name, each in found.items()
        if each["status"] != "pass"
    ]
    counted = ", ".join(f"{states.count(key)} {key}" for key in CHECK_STATES)
    return "\n".join([f"{counted}.", *([""] if said else []), *said])


def _reproduce(inputs: Inputs, run: Run) -> str:
    params = inputs.params
    sections: Mapping[str, Mapping[str, BaseModel]] = {
        "train": params.train,
        "retrain": params.retrain,
        "models": params.models,
    }
    settings: dict[str, Any] = {"seed": params.seed}
    for name, rows in sections.items():
        if run.name in rows:
            settings[name] = {run.name: rows[run.name].model_dump(mode="json")}
    if run.name in params.models:  # whose declared inputs these were set for
        settings["decode"] = params.decode.model_dump(mode="json")
        settings["shard"] = params.shard.model_dump(mode="json")
    settings["attack"] = params.attack.model_dump(mode="json")
    return f"`dvc repro` with, in params.yaml:\n\n```yaml\n{_yaml(settings)}```"


def _source(inputs: Inputs) -> str:
    data = inputs.params.data
    return f"{data.source}, {data.task.replace('_', '-')}"


def _hash(inputs: Inputs) -> str:
    digest = inputs.manifest.get("clips", {}).get("eval", {}).get("sha256", wording.MISSING)
    return str(digest)


def _facts(entries: Any) -> str:
    return "\n".join(f"- {title}: {text}" for title, text in entries)


def _yaml(values: Any) -> str:
    stream, yaml = io.StringIO(), YAML()
    yaml.width, yaml.default_flow_style, yaml.allow_unicode = 100, False, True
    yaml.dump(values, stream)
    return stream.getvalue()
