"""The linear head of a saved model, read without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from mmlib.runtime.arrays import Bools, Reals
from mmlib.runtime.errors import UserError
from mmlib.runtime.storage import check_weights

# How far cached logits may lie from head(embedding), as a share of the largest logit: another
# device's rounding stays within it, another model's head does not.
TOLERANCE = 0.01
# Rows compared; the rest were written by the same call.
ROWS = 4096


class Head(NamedTuple):
    """logits = vectors @ weight.T + bias, (K, D) and (K,); `missing` holds the learnt vector that
    stands for each modality where a clip lacks it."""

    weight: Reals
    bias: Reals
    missing: Mapping[str, Reals]

    def check(self, vectors: Reals, logits: Reals, where: str) -> None:
        """Make sure that this head turns vectors (N, D) into the logits (N, K).

        Raises UserError, with `where`, when the embeddings were cached from another model.
        """
        rows = slice(0, ROWS)
        if self.weight.shape == (logits.shape[1], vectors.shape[1]):
            gap = np.abs(vectors[rows] @ self.weight.T + self.bias - logits[rows]).max()
            if gap <= TOLERANCE * max(1.0, float(np.abs(logits[rows]).max())):
                return
        raise UserError(f"{where}: not made by this model; delete it and run `dvc repro`")

    def present(self, modality: str, vectors: Reals) -> Bools:
        """Which clips have the modality, (N,): those whose vector is not the learnt one."""
        learnt = self.missing.get(modality)
        if learnt is None or learnt.shape != vectors.shape[1:]:
            return np.ones(len(vectors), dtype=np.bool_)
        return np.asarray((vectors != learnt).any(axis=1))


def read_head(path: Path) -> Head:
    """Read `head.weight`, `head.bias` and `missing.*` of a safetensors file.

    Raises UserError when the file is absent, broken or has no linear head.
    """
    check_weights(path)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: {error}; delete it and run `dvc repro`") from None
    if "head.weight" not in weights or "head.bias" not in weights:
        raise UserError(f"{path}: has no linear head (head.weight, head.bias)")
    missing = {
        name.removeprefix("missing."): vector
        for name, vector in weights.items()
        if name.startswith("missing.")
    }
    return Head(weights["head.weight"], weights["head.bias"], missing)
