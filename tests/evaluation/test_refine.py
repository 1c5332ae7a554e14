"""Rounds against the score of the whole set: stronger, within the budgets, and in order."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from mmlib.attacks.core.average_precision import SetPrecision
from mmlib.attacks.core.losses import resolve
from mmlib.attacks.core.region import Region
from mmlib.batch import LabelledBatch
from mmlib.evaluation.sweep.chunk import Budgeted, ChunkSweep
from mmlib.evaluation.sweep.progress import read_points, write_points
from mmlib.evaluation.sweep.refine import Whole, refine, settle
from mmlib.metrics.ranking import present_mean, rank
from mmlib.runtime.errors import UserError
from tests.sweep_toys import CLASSES, labelled, model, settings

ROUNDS = 3
ATTACK = settings(
    eps=0.1, refine={"rounds": ROUNDS, "steps": 4, "sweep_steps": 2}, restarts=1, steps=6
)
CLIPS = 24


def clips_of(task: str) -> LabelledBatch:
    clips = labelled(model(), clips=CLIPS)
    if task == "multi_label":
        # The classes of the clips that rank highest, and some that do not.
        with torch.no_grad():
            logits = model()(clips.inputs)
        drawn = torch.rand(CLIPS, CLASSES, generator=torch.Generator().manual_seed(0))
        labels = (logits > logits.median(0).values) ^ (drawn < 0.2)
        return clips._replace(labels=labels.float())
    with torch.no_grad():
        classes = model()(clips.inputs).argmax(1)
    return clips._replace(labels=torch.nn.functional.one_hot(classes, CLASSES).float())


def whole_of(sweep: ChunkSweep, task: str) -> Whole:
    logits = {condition: found.logits for condition, found in sweep.solutions.items()}
    return Whole(task, sweep.labels, torch.arange(len(sweep.labels)), logits)


def refined(task: str) -> Iterator[ChunkSweep]:
    """The sweep before the rounds, then after them."""
    for rounds in (0, ROUNDS):
        sweep = ChunkSweep(model(), clips_of(task), ATTACK, seed=1)
        sweep.search()
        for number in range(rounds):
            refine(sweep, whole_of(sweep, task), number)
        if rounds:
            settle(sweep, whole_of(sweep, task))
        yield sweep


def mean_ap(sweep: ChunkSweep, condition: Budgeted) -> float:
    logits = sweep.solutions[condition].logits
    return present_mean(rank(sweep.labels.numpy() > 0.5, logits.numpy()).average_precision)


@pytest.fixture(scope="module")
def multi() -> list[ChunkSweep]:
    return list(refined("multi_label"))


def test_rounds_leave_the_set_less(multi: list[ChunkSweep]) -> None:
    before, after = multi
    gains = [mean_ap(before, c) - mean_ap(after, c) for c in after.conditions]
    assert min(gains) > -0.02
    assert sum(gains) / len(gains) > 0.01


def test_more_budget_never_leaves_more(multi: list[ChunkSweep]) -> None:
    _, after = multi
    scores = {condition: mean_ap(after, condition) for condition in after.conditions}
    for threat, multiple in after.conditions:
        for part in {threat, *threat}:
            for smaller in ATTACK.sweep:
                if smaller <= multiple:
                    assert scores[threat, multiple] <= scores[part, smaller] + 1e-6


def test_what_includes_conditions_goes_on_from_the_lowest_of_them(multi: list[ChunkSweep]) -> None:
    before, after = multi
    assert before.aim([("A", 1.0)]) == ATTACK.loss
    included = [("A", 1.0), ("V", 1.0)]
    lowest = min(included, key=lambda condition: mean_ap(after, condition))
    aim = after.aim(included)
    assert isinstance(aim, SetPrecision)
    assert torch.equal(aim.of_set[0], after.solutions[lowest].logits)


def test_points_keep_their_budgets_and_their_logits(multi: list[ChunkSweep]) -> None:
    _, after = multi
    for (threat, multiple), found in after.solutions.items():
        budgets = after.threat(threat, multiple)
        assert set(found.points) == set(budgets)
        for name, budget in budgets.items():
            region = Region(after.inputs[name], budget, None, name)
            assert bool((region.size(found.points[name]) <= region.eps).all())
        with torch.no_grad():
            logits = after.model({**after.inputs, **found.points})
        torch.testing.assert_close(logits, found.logits, atol=1e-4, rtol=1e-4)


def test_single_label_clips_break_further_with_every_round_and_budget() -> None:
    before, after = refined("single_label")
    top = resolve("top")

    def broken(sweep: ChunkSweep, condition: Budgeted) -> Tensor:
        return top(sweep.solutions[condition].logits, sweep.labels)

    for threat, multiple in after.conditions:
        found = broken(after, (threat, multiple))
        assert bool((found >= broken(before, (threat, multiple)) - 1e-5).all())
        for smaller in ATTACK.sweep:
            if smaller <= multiple:
                assert bool((found >= broken(after, (threat, smaller)) - 1e-5).all())


def test_what_a_chunk_hands_on_is_what_it_found(
    multi: list[ChunkSweep], tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, after = multi
    path = tmp_path_factory.mktemp("points") / "points.safetensors"
    write_points(path, after)
    again = ChunkSweep(model(), clips_of("multi_label"), ATTACK, seed=1)
    read_points(path, again)
    assert again.solutions.keys() == after.solutions.keys()
    for condition, found in after.solutions.items():
        assert torch.equal(again.solutions[condition].logits, found.logits)
        for name, points in found.points.items():
            assert torch.equal(again.solutions[condition].points[name], points)
            assert again.solutions[condition].points[name].stride() == points.stride()
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:5000] + bytes(4) + whole[5004:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"points\.safetensors: .*damaged.*dvc repro"):
            read_points(path, again)


def test_a_set_with_nothing_left_is_not_attacked_further() -> None:
    sweep = ChunkSweep(model(), clips_of("multi_label"), ATTACK, seed=1)
    sweep.search()
    whole = whole_of(sweep, "multi_label")
    condition = ("AV", 1.0)
    order = 0.01 * torch.arange(CLIPS)[:, None]
    lost = whole._replace(logits={**whole.logits, condition: -whole.labels - order})
    before = dict(sweep.solutions)
    refine(sweep, lost, 0)
    assert sweep.solutions[condition] is before[condition]
    assert sweep.solutions["A", 1.0] is not before["A", 1.0]
