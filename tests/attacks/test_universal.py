"""Universal perturbations: optimal where that is known, projected, one for all clips."""

import pytest
import torch

from mmlib.attacks.core.region import Region
from mmlib.attacks.core.threat import (
    NORMS,
    Budget,
    Norm,
)
from mmlib.attacks.methods.universal import fit, play, universal
from mmlib.batch import Batch
from mmlib.runtime.errors import UserError
from tests.attacks import toys

EPS = {"linf": 0.1, "l2": 0.5, "l1": 1.5}


def inner(clips: int = 6, seed: int = 0) -> Batch:
    """Clips so far inside the box that it stops nothing."""
    return {name: 0.3 + 0.4 * tensor for name, tensor in toys.batch(seed, clips).items()}


@pytest.mark.parametrize("norm", NORMS)
def test_linear_optimum(norm: Norm) -> None:
    """All clips share the gradient, so the best delta is the linear optimum around zero."""
    model, inputs = toys.Linear(), inner()
    eps = 0.2 if norm == "l1" else EPS[norm]  # one element may take all of it
    clips = [(inputs, toys.labels(6))]
    delta = fit(
        model, clips, {"video": Budget(eps, norm)}, loss=toys.first_logit, steps=40, step_size=40
    )
    weight = model.weights["video"]
    best = {
        "linf": weight.abs().sum(), "l2": weight.square().sum().sqrt(), "l1": weight.abs().max(),
    }[norm]  # fmt: skip
    gained = float((delta["video"] * weight).sum())
    assert gained == pytest.approx(eps * float(best), rel=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_fitted_on_some_clips_it_hurts_others(norm: Norm) -> None:
    net, fitted, others = toys.Net(), toys.batch(1, 30), toys.batch(2, 30)
    threat = {name: Budget(2 * EPS[norm], norm) for name in fitted}

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return logits[:, 0] - logits[:, 1]

    labels = toys.labels(30)
    parts = [
        ({name: tensor[rows] for name, tensor in fitted.items()}, labels[rows])
        for rows in (slice(0, 12), slice(12, 30))
    ]
    found = universal(net, others, labels, threat, fit_on=parts, loss=loss)
    with torch.no_grad():
        assert (
            float(loss(net(found), labels).mean()) > float(loss(net(others), labels).mean()) + 0.1
        )
    for name, budget in threat.items():
        region = Region(others[name], budget, None, name)
        assert bool((region.size(found[name]) <= region.eps).all())
        assert 0 <= float(found[name].min()) <= float(found[name].max()) <= 1
    delta = fit(net, parts, threat, loss=loss)
    for name, budget in threat.items():
        order = {"linf": torch.inf, "l2": 2, "l1": 1}[norm]
        size = torch.linalg.vector_norm(delta[name].double(), order)
        assert float(size) <= float(budget.eps) * (1 + 1e-6)
        assert delta[name].shape == others[name].shape[1:]


def test_batches_of_the_fit_do_not_matter() -> None:
    net, inputs, labels = toys.Net(), toys.batch(1, 10), toys.labels(10)
    threat = {"audio": Budget(0.1)}
    whole = fit(net, [(inputs, labels)], threat)["audio"]
    parts = [
        ({n: t[i : i + 3] for n, t in inputs.items()}, labels[i : i + 3]) for i in (0, 3, 6, 9)
    ]
    torch.testing.assert_close(fit(net, parts, threat)["audio"], whole, atol=1e-5, rtol=0)


def test_missing_modality_and_bad_calls() -> None:
    present = torch.tensor([True, False, True, True, False])
    inputs = {**toys.batch(), "audio_present": present}
    threat = {"audio": Budget(0.1)}
    delta = fit(toys.Net(), [(inputs, toys.labels())], threat)
    played = play(inputs, delta, threat)
    assert torch.equal(played["audio"][~present], inputs["audio"][~present])
    assert played["video"] is inputs["video"]
    with pytest.raises(UserError, match="needs clips"):
        fit(toys.Net(), [], threat)
    with pytest.raises(UserError, match="one radius"):
        fit(toys.Net(), [(inputs, toys.labels())], {"audio": Budget(torch.ones(5))})
