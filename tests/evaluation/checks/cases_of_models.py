"""Cases of the checks that run the model: nets of the demo's architecture, its number of clips."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from mmlib.attacks.core.search import Search
from mmlib.attacks.core.threat import Budget, Threat
from mmlib.attacks.methods.pgd import lengths, pgd
from mmlib.batch import Batch, Forward
from mmlib.evaluation.checks import model as checks
from mmlib.evaluation.checks import stored
from mmlib.evaluation.checks.outcome import Outcome
from mmlib.evaluation.checks.strongest import silent_success
from tests.evaluation.checks import demo_size as demo
from tests.evaluation.checks.cases import Case

_PATH_CLIPS = 8
Make = Callable[[Forward], Forward]


def as_is(model: Forward) -> Forward:
    """The model itself."""
    return model


def quantised(model: Forward) -> Forward:
    """The model behind a rounding of its input to 16 levels, which has no gradient."""
    return lambda batch: model(
        {name: (16 * x).round() / 16 if x.is_floating_point() else x for name, x in batch.items()}
    )


def squashed(model: Forward) -> Forward:
    """A sigmoid left on the outputs."""
    return lambda batch: torch.sigmoid(model(batch))


def saturated(model: Forward) -> Forward:
    """A sigmoid of logits 10,000 times as large: no clip has a gradient."""
    return lambda batch: torch.sigmoid(1e4 * model(batch))


def detached(model: Forward) -> Forward:
    """The video branch is cut off the graph."""
    return lambda batch: model({**batch, "video": batch["video"].detach()})


def faded(model: Forward) -> Forward:
    """A gradient of a fifth of its true length."""

    def forward(batch: Batch) -> Tensor:
        parts = {
            name: 0.2 * x + 0.8 * x.detach() for name, x in batch.items() if x.is_floating_point()
        }
        return model({**batch, **parts})

    return forward


def _dropout(run: str) -> Forward:
    """Dropout left on."""
    model = demo.fresh(run)
    for module in model.modules():
        module.training = isinstance(module, nn.Dropout)
    return model


def _batch_norm(run: str) -> Forward:
    """Batch norms left in training mode: a clip's logits depend on the others of its batch."""
    model = demo.fresh(run)
    for module in model.modules():
        module.training = isinstance(module, nn.modules.batchnorm._BatchNorm)
    return model


def _of_model(check: Callable[..., Outcome], run: str, make: Make = as_is) -> Outcome:
    clips = demo.few(demo.CHECKS.clips)
    arguments = (demo.tags(run)[: demo.CHECKS.clips], demo.threat(run), demo.ATTACK.loss)
    return check(make(demo.attacked_net(run)), clips, *arguments)


def _outputs(check: Callable[..., Outcome], model: Forward) -> Outcome:
    return check(model, demo.few(demo.CHECKS.clips))


def _with_a_least_radius(*arguments: Any, **settings: Any) -> Batch:
    """A radius kept away from 0, as is done where something is divided by it."""
    model, batch, labels, threat = arguments
    kept = {name: Budget(max(float(budget.eps), 1e-4)) for name, budget in threat.items()}
    return pgd(model, batch, labels, kept, **settings)


def _last_point(
    model: Forward, batch: Batch, labels: Tensor, threat: Threat, **settings: Any
) -> Batch:
    """PGD that returns where its path ends."""
    search = Search(model, batch, labels, threat, settings["loss"])
    points = search.clean
    for length in lengths(settings["steps"], settings["step_size"], "constant"):
        points = search.ascend(points, search.gradients(points)[1], length)
    search.losses(points)
    return {**batch, **points}


def _watched(attack: Callable[..., Batch]) -> Outcome:
    return silent_success(
        demo.attacked_net("video"),
        demo.few(_PATH_CLIPS),
        demo.tags("video")[:_PATH_CLIPS],
        demo.threat("video"),
        demo.ATTACK.loss,
        attack,
        steps=demo.ATTACK.total_steps,
        step_size=1.0,
        schedule="constant",
    )


def _examples(change: float) -> Outcome:
    """As many clips as are kept whole, at the corners of their budget times `change`."""
    clean = demo.few(demo.ATTACK.examples)
    threat = demo.threat("mid")
    moved = {
        name: value + change * demo.ATTACK.eps * (1 - 2 * (value > 0.5).float())
        for name, value in clean.items()
    }
    return stored.budget_exact(clean, moved, threat)


def _rescored(model: Forward) -> Outcome:
    """What the sweep stored, of a batch, beside the kept clips scored one by one."""
    with torch.no_grad():
        logits = model(demo.few(demo.ATTACK.batch_size))[: demo.ATTACK.examples]
    return stored.reload_rescore(model, demo.few(demo.ATTACK.examples), logits, batch_size=1)


def _least_radius() -> Outcome:
    with patch.object(checks, "pgd", _with_a_least_radius):
        return _of_model(checks.eps0_equals_clean, "mid")


_OUTPUTS, _SAME = checks.logits_not_probabilities, checks.deterministic_forward
_ZERO, _FLOW = checks.zero_or_nan_gradient, checks.gradient_flow

CASES = [
    Case(
        "logits_not_probabilities",
        "logits",
        "pass",
        lambda: _outputs(_OUTPUTS, demo.attacked_net("mid")),
    ),
    Case(
        "logits_not_probabilities",
        "a sigmoid",
        "fail",
        lambda: _outputs(_OUTPUTS, squashed(demo.attacked_net("mid"))),
    ),
    Case(
        "deterministic_forward",
        "eval mode",
        "pass",
        lambda: _outputs(_SAME, demo.attacked_net("mid")),
    ),
    Case("deterministic_forward", "dropout", "fail", lambda: _outputs(_SAME, _dropout("mid"))),
    Case("zero_or_nan_gradient", "a sound net", "pass", lambda: _of_model(_ZERO, "mid")),
    Case("zero_or_nan_gradient", "16 levels", "fail", lambda: _of_model(_ZERO, "mid", quantised)),
    Case(
        "zero_or_nan_gradient",
        "a saturated sigmoid",
        "fail",
        lambda: _of_model(_ZERO, "mid", saturated),
    ),
    Case(
        "zero_or_nan_gradient",
        "a branch cut off",
        "fail",
        lambda: _of_model(_ZERO, "mid", detached),
    ),
    Case("gradient_flow", "a sound net", "pass", lambda: _of_model(_FLOW, "mid")),
    Case("gradient_flow", "16 levels", "fail", lambda: _of_model(_FLOW, "video", quantised)),
    Case("gradient_flow", "a faded gradient", "fail", lambda: _of_model(_FLOW, "video", faded)),
    Case(
        "eps0_equals_clean",
        "a budget of 0",
        "pass",
        lambda: _of_model(checks.eps0_equals_clean, "mid"),
    ),
    Case("eps0_equals_clean", "a least radius", "fail", _least_radius),
    Case("silent_success", "PGD", "pass", lambda: _watched(pgd)),
    Case(
        "silent_success", "PGD that returns the last point", "fail", lambda: _watched(_last_point)
    ),
    Case("budget_exact", "clips within", "pass", lambda: _examples(0.9999)),
    Case("budget_exact", "clips 1 % over", "fail", lambda: _examples(1.01)),
    Case("reload_rescore", "eval mode", "pass", lambda: _rescored(demo.net("mid"))),
    Case(
        "reload_rescore",
        "batch norm in training mode",
        "fail",
        lambda: _rescored(_batch_norm("mid")),
    ),
]
