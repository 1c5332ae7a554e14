"""Retraining by the method of a row: what it trains on, and what it minimises."""

from pathlib import Path

from mmlib.attacks.core.threat import build_threat
from mmlib.models import checkpoint, ranks
from mmlib.models.base import Model
from mmlib.params.retraining import AdversarialRun, MixupRun, RetrainRun, SmoothedRun
from mmlib.params.training import Learning
from mmlib.retraining.adversarial import (
    AdversarialObjective,
)
from mmlib.retraining.guide import read_guide
from mmlib.retraining.mixup import MixupBatches
from mmlib.retraining.smoothed import SmoothedObjective
from mmlib.runtime.errors import UserError
from mmlib.runtime.scratch import fingerprint
from mmlib.shards.read.loader import ShardSet
from mmlib.threats import THREATS
from mmlib.training.gblend import read_weights
from mmlib.training.objectives import (
    BlendedObjective,
    Objective,
    plain,
)
from mmlib.training.train import (
    Fitted,
    Recipe,
    fitted,
    plain_batches,
)

ATTACK_LOSS = {"multi_label": "bce", "single_label": "cross_entropy"}


def retrain(row: RetrainRun, learning: Learning, data: Path, *, name: str, seed: int) -> Fitted:
    """Go on training the run `init` of `data`/models by the row's method; else as `training.train`.

    Raises UserError when init, guide or shards do not fit the row.
    """
    guide, shards, models = data / f"guides/{row.guide}.json", data / "shards", data / "models"
    splits = ShardSet(shards, "train", pixels=True), ShardSet(shards, "val", pixels=True)
    model, description = checkpoint.load(models / row.init)
    if description["classes"] != splits[0].classes:
        raise UserError(
            f"{models / row.init}.json: its classes differ from the shards'; train it again"
        )
    method = recipe(row, model, splits[0], learning, guide, seed)
    mark = fingerprint(
        seed,
        *learning.marks,
        row,
        guide,
        shards / "manifest.json",
        models / f"{row.init}.safetensors",
        models / f"{row.init}.json",
    )
    return fitted(model, method, row, learning, splits, name=name, mark=mark, seed=seed)


def recipe(
    row: RetrainRun, model: Model, train: ShardSet, learning: Learning, guide: Path, seed: int
) -> Recipe:
    """Say how to retrain a trained model by the row's method, on the split `train`.

    `guide` is the file of the row's guide: steers mixup; for the other methods it may hold the
    weights of Gradient-Blending's heads, and training then goes on with them. Raises UserError when
    guide, threat or classes do not fit the model.
    """

    if isinstance(row, MixupRun):
        mixed = MixupBatches(
            train,
            read_guide(guide),
            modalities=model.modalities,
            batch_size=row.batch_size,
            seed=seed,
            anchors=row.anchors,
            partners=row.partners,
            beta=row.beta,
            shared_lambda=row.shared_lambda,
            place=ranks.place(),
            settings=learning.batches,
        )
        return Recipe(mixed, plain(train.task), None)
    objective = _supervised(model, train.task, guide)
    if isinstance(row, AdversarialRun):
        attacked = _adversarial(row, model, train, objective)
        # What is attacked are clips, not what mixing makes of them.
        batches = plain_batches(row, model, train, learning, seed, mixes=False)
        return Recipe(batches, attacked, attacked.begin_epoch)
    batches = plain_batches(row, model, train, learning, seed)
    if isinstance(row, SmoothedRun):
        return Recipe(batches, _smoothed(row, model, objective), None)
    return Recipe(batches, objective, None)


def _supervised(model: Model, task: str, guide: Path) -> Objective:
    weights = read_weights(guide)
    if weights is None:
        return plain(task)
    if not model.auxiliary:
        raise UserError(
            f"{guide} weighs the heads A, V and AV, but the model has one head: set guide to none, "
            "or init to a run that was trained with such a guide"
        )
    return BlendedObjective(weights, task)


def _smoothed(row: SmoothedRun, model: Model, objective: Objective) -> SmoothedObjective:
    sigma = {name: getattr(row.sigma, name) for name in model.modalities}
    if not any(sigma.values()):
        raise UserError(
            f"sigma is 0 for {' and '.join(model.modalities)}, which is all that the model reads: "
            "set the run's sigma to fit its init"
        )
    return SmoothedObjective(objective, sigma)


def _adversarial(
    row: AdversarialRun, model: Model, train: ShardSet, objective: Objective
) -> AdversarialObjective:
    attacked = THREATS[row.threat]
    absent = [name for name in attacked if name not in model.modalities]
    if absent:
        raise UserError(
            f"threat {row.threat} attacks {absent[0]}, but the model reads "
            f"{' and '.join(model.modalities)} only: set the run's threat to fit its init"
        )
    return AdversarialObjective(
        objective,
        build_threat(dict.fromkeys(attacked, row.eps), row.norm, train.input_shapes),
        loss=ATTACK_LOSS[train.task],
        attack=row.attack,
        steps=row.steps,
        share=row.adversarial_share,
        guard=row.guard,
    )
