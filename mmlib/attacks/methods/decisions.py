"""Goals judged by a tagger's decision: which tags it shows, and how far each is from changing.

A goal of `goals` is a matter of more or less; here it is reached or not, by the rule by which the
tags of a clip are chosen: a threshold for each tag, or the highest scores.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mmlib.attacks.methods.goals import Wish

Margins = Callable[[Tensor], Tensor]
"""Logits (B, K) -> how far above the decision each tag is, (B, K): above 0, the tag is shown."""


@dataclass(frozen=True)
class ByThreshold:
    """A tag is shown where its logit is above its own threshold, (K,) logits.

    >>> import torch
    >>> from mmlib.attacks import ByThreshold
    >>> ByThreshold(torch.tensor([0.0, 2.0]))(torch.tensor([[1.0, 1.0]]))  # shown, not shown
    tensor([[ 1., -1.]])
    """

    thresholds: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """The margins, (B, K)."""
        return logits - self.thresholds.to(logits)


@dataclass(frozen=True)
class AmongTop:
    """A tag is shown where it is among the `count` highest; 1 is the class of a classifier.

    >>> import torch
    >>> from mmlib.attacks import AmongTop
    >>> AmongTop(1)(torch.tensor([[3.0, 1.0, 2.0]]))
    tensor([[ 1., -2., -1.]])
    """

    count: int = 1

    def __call__(self, logits: Tensor) -> Tensor:
        """The margins, (B, K): to the highest logit that is left out, or the lowest shown one."""
        classes = logits.shape[1]
        if self.count >= classes:
            return torch.full_like(logits, torch.inf)
        highest = logits.topk(self.count + 1, dim=1).values
        last, following = highest[:, -2:-1], highest[:, -1:]
        return logits - torch.where(logits >= last, following, last)


@dataclass(frozen=True)
class Crossing:
    """A loss that is above 0 for a clip once every wished tag is on the wished side.

    It is the least of their margins, so that raising it works on the tag that is furthest from the
    wish. A clip of which nothing is wished has -inf. For `loss` and `broken` alike: see `pgd`.

    >>> import torch
    >>> from mmlib.attacks import AmongTop, Budget, Crossing, pgd
    >>> from mmlib.attacks.methods.goals import wish
    >>> model = lambda batch: 10 * batch["x"]
    >>> batch, tags = {"x": torch.tensor([[0.6, 0.4, 0.1]])}, torch.tensor([[1.0, 0.0, 0.0]])
    >>> goal = Crossing(AmongTop(1), wish(tags, hidden=[], shown=[1]))
    >>> found = pgd(model, batch, tags, {"x": Budget(0.2)}, loss=goal, broken=goal)
    >>> bool(goal(model(found), tags) > 0)
    True
    """

    margins: Margins
    wished: Wish

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """How far beyond the decision the clips are, (B,); `labels` are not read."""
        side = torch.where(self.wished.target > 0.5, 1.0, -1.0)
        beyond = side * self.margins(logits)
        left = torch.where(self.wished.weight > 0, beyond, torch.inf).amin(1)
        return torch.where(torch.isposinf(left), -torch.inf, left)

    def rows(self, index: Tensor) -> "Crossing":
        """The loss of the clips at `index` (R,) of the batch alone."""
        return Crossing(self.margins, Wish(*(part[index] for part in self.wished)))
