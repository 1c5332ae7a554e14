"""Cases of the checks that attack anew: the demo's video net, attack and number of clips."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from mmlib.attacks.core.average_precision import SetPrecision
from mmlib.attacks.core.search import Search
from mmlib.attacks.methods.fgsm import fgsm
from mmlib.attacks.methods.pgd import pgd
from mmlib.batch import Forward
from mmlib.evaluation.checks import effort, probe
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.sweep.refine import Whole
from mmlib.runtime.seeds import derive, drawn
from tests.evaluation.checks import demo_size as demo
from tests.evaluation.checks.cases import Case
from tests.evaluation.checks.cases_of_models import quantised

RUN, CONDITION = "video", ("V", 1.0)
_again = effort.again


@cache
def _rows() -> Tensor:
    seed = derive(demo.PARAMS.seed, "checks")
    return torch.from_numpy(drawn(demo.CLIPS, demo.CHECKS.clips, seed))


def _probe(attacked: Tensor, model: Forward | None = None) -> probe.Probe:
    rows = _rows()
    clips = {name: value[rows] for name, value in demo.inputs().items()}
    return probe.Probe(
        model or demo.attacked_net(RUN),
        clips,
        demo.tags(RUN)[rows],
        demo.threat(RUN),
        demo.ATTACK,
        attacked,
        demo.PARAMS.seed,
    )


@cache
def _whole() -> Whole:
    """The set, after one step that lowers its mAP."""
    model, truth, places = demo.attacked_net(RUN), demo.tags(RUN), torch.arange(demo.CLIPS)
    with torch.no_grad():
        clean = model(demo.inputs())
        aim = SetPrecision(clean, truth, places, 0.1)
        logits = model(fgsm(model, demo.inputs(), truth, demo.threat(RUN), loss=aim))
    return Whole("multi_label", truth, _rows(), {CONDITION: logits})


def _clean() -> Tensor:
    with torch.no_grad():
        return demo.attacked_net(RUN)(_probe(torch.empty(0)).inputs)


def _sound() -> Tensor:
    """The sweep's own attack on these clips."""
    return effort.logits_of(_anew(_probe(torch.empty(0)), _whole(), CONDITION))


def _weak() -> Tensor:
    """A random start, and one step of a tenth of the budget."""
    return _probe(torch.empty(0)).run(pgd, steps=1, step_size=0.1)


_known: dict[str, Search] = {}


def _anew(held: probe.Probe, whole: Whole, condition: effort.Condition, **more: Any) -> Search:
    """The attack made anew: what was stored of these clips does not enter, so once will do."""
    key = str(more)
    if key not in _known:
        _known[key] = _again(held, whole, condition, **more)
    return _known[key]


def _effort(name: str, attacked: Callable[[], Tensor]) -> Outcome:
    """One check of effort, with one other loss; gradient_free has cases of its own."""
    checks = demo.CHECKS.model_copy(update={"queries": 2})
    losses = {"multi_label": ("bce", "ranking")}
    with patch.object(effort, "again", _anew), patch.object(effort, "_OTHER_LOSSES", losses):
        outcomes = effort.check_effort(
            _probe(attacked()), _whole(), CONDITION, checks, demo.attacked_net(RUN)
        )
    return next(outcome for outcome in outcomes if outcome.name == name)


def _blind(held: probe.Probe, ended: Search) -> Outcome:
    """A tenth of the demo's queries, which must do; what gradients miss grows with them."""
    checks = demo.CHECKS.model_copy(update={"queries": demo.CHECKS.queries // 10})
    return effort.check_gradient_free(held, _whole(), CONDITION, ended, checks, held.model)


def _unmasked() -> Outcome:
    held = _probe(torch.empty(0))
    return _blind(held, _anew(held, _whole(), CONDITION, factor=2))


def _masked() -> Outcome:
    """A net that rounds its input: an attack of any steps ends where it began."""
    held = _probe(torch.empty(0), quantised(demo.attacked_net(RUN)))
    ended = Search(held.model, held.inputs, held.labels, held.threat, demo.ATTACK.loss)
    ended.begin(None)
    return _blind(held, ended)


def _transfer(attacked: Tensor, source: Forward) -> Outcome:
    return probe.check_transfer(_probe(attacked), {"video": ("other", source)})


_EFFORTS = ("doubling_steps", "doubling_restarts", "other_losses", "optimality")

CASES = [
    Case(
        "iterated_beats_single",
        "the sweep's attack",
        "pass",
        lambda: probe.check_single_step(_probe(_sound())),
    ),
    Case(
        "iterated_beats_single",
        "a weak one",
        "fail",
        lambda: probe.check_single_step(_probe(_weak())),
    ),
    *(
        Case(name, "the sweep's attack", "pass", partial(_effort, name, _sound))
        for name in _EFFORTS
    ),
    *(Case(name, "a weak one", "fail", partial(_effort, name, _weak)) for name in _EFFORTS),
    Case("gradient_free", "a sound net", "pass", _unmasked),
    Case("gradient_free", "16 levels", "fail", _masked),
    Case(
        "transfer", "from another net", "pass", lambda: _transfer(_sound(), demo.fresh(RUN, seed=5))
    ),
    Case(
        "transfer",
        "a weak attack of the same net",
        "fail",
        lambda: _transfer(_weak(), demo.attacked_net(RUN)),
    ),
]
