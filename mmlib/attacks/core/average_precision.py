"""A loss for what is scored: the average precision of a whole set, as one clip's damage to it."""

import torch
from torch import Tensor

WIDE, NARROW = 0.7, 0.02
"""Widths of the soft ranks in the first and the last round, in standard deviations [choice].

On a demo of 12 classes, from wide to narrow takes mAP to 0.391 in 30 steps, where one width of 0.3
needs 60 for 0.411 (run mid, audio attacked with eps 0.003, clean 0.745).
"""


def width_of_round(number: int, rounds: int) -> float:
    """The width of ranks in round `number`, from 0, of `rounds`: they sharpen geometrically."""
    share = number / max(1, rounds - 1)
    return float(WIDE ** (1 - share) * NARROW**share)


_MOST_PAIRS = 1 << 22
"""Pairs of a clip and a positive that are compared at once: tens of MB with their gradients."""


class SetPrecision:
    """What clips take from the mean average precision of a set whose other clips stay put.

    `reference` (N, K) holds the logits of all clips of the set and `labels` (N, K) their classes;
    the logits that are passed to the loss belong to the rows `places` (B,) of it. The loss of a
    clip, (B,), is minus the mean over classes of the set's average precision with that clip's row
    replaced: the clips of a set can be attacked in batches, one after another or side by side, and
    all the same lower one figure. Ranks are smooth (Brown et al. 2020, Smooth-AP): that a clip
    stands above another is a sigmoid of the difference of their logits, over `width` standard
    deviations of the class's reference logits. Classes without positives or without negatives do
    not count.
    """

    def __init__(self, reference: Tensor, labels: Tensor, places: Tensor, width: float) -> None:
        self.of_set = reference, labels, places, width
        truth = labels > 0.5
        counted = torch.nonzero(truth.any(0) & ~truth.all(0))[:, 0]
        widths = width * reference.std(0, correction=0).clamp_min(1e-12)
        self.count = max(1, len(counted))
        groups = _groups(truth.sum(0)[counted].tolist(), len(places))
        self.groups = [
            _Group(counted[members], reference, truth, places, widths) for members in groups
        ]

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The losses (B,) of logits (B, K); `labels` are those of the set, and not read again."""
        # Where no class counts, a gradient of zero rather than none.
        total = 0 * logits.sum(1)
        for group in self.groups:
            total = total + group.precisions(logits).sum(1)
        return -total / self.count

    def rows(self, index: Tensor) -> "SetPrecision":
        """The loss of the clips at `index` (R,) of the batch alone."""
        reference, labels, places, width = self.of_set
        return SetPrecision(reference, labels, places[index], width)


def _groups(positives: list[int], batch: int) -> list[list[int]]:
    """Places of classes that are computed side by side: about as many positives, not too many.

    Rows of positives are as long as the longest of their group, so the others' must be at least
    half as long, or a common class would make all the rare ones of a large set as costly.
    """
    groups: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(positives)), key=lambda place: -positives[place]):
        fits = groups and (len(groups[-1]) + 1) * longest * batch <= _MOST_PAIRS
        if fits and 2 * positives[place] >= longest:
            groups[-1].append(place)
        else:
            groups.append([place])
            longest = positives[place]
    return groups


class _Group:
    """Some classes of the reference (G,): their positives (G, P), and the soft ranks of each.

    Shorter rows end in positives that no clip stands above, and that do not count.
    """

    def __init__(
        self, classes: Tensor, reference: Tensor, truth: Tensor, places: Tensor, widths: Tensor
    ) -> None:
        self.classes, self.width = classes, widths[classes][:, None]
        scores, truth = reference.T[classes], truth.T[classes]
        self.positives, self.valid = _rows(scores, truth, torch.inf)
        self.negatives, _ = _rows(scores, ~truth, -torch.inf)
        self.level, self.beaten = self._ranks()
        self.own = scores.T[places]
        self.positive = truth.T[places]
        # Where the clips of the batch stand among the positives, a line each: row, class, place.
        rows, members = torch.nonzero(self.positive).unbind(1)
        self.standing = rows, members, (truth.cumsum(1) - 1)[members, places[rows]]
        self.before = self._above(self.own)

    def precisions(self, logits: Tensor) -> Tensor:
        """The classes' average precisions, (B, G), with the row of each clip replaced in turn."""
        scores = logits[:, self.classes]
        gained = self._above(scores) - self.before
        positive = self.positive[:, :, None]
        level = self.level + torch.where(positive, gained, 0)
        beaten = self.beaten + torch.where(positive, 0, gained)
        terms = (1 + level) / (1 + level + beaten)
        if len(self.standing[0]):
            terms = terms.index_put(self.standing, self._own(scores))
        return (terms * self.valid).sum(2) / self.valid.sum(1)

    def _above(self, scores: Tensor) -> Tensor:
        """How far each clip of scores (B, G) stands above each positive, (B, G, P) in [0, 1)."""
        return torch.sigmoid((scores[:, :, None] - self.positives) / self.width)

    def _ranks(self) -> tuple[Tensor, Tensor]:
        """How many positives, and how many negatives, stand above each positive: (G, P) each."""
        level, beaten = torch.zeros_like(self.positives), torch.zeros_like(self.positives)
        for place in range(self.positives.shape[1]):
            one = self.positives[:, place : place + 1]
            above = torch.sigmoid((self.positives - one) / self.width)
            above = torch.where(self.valid, above, 0)
            above[:, place] = 0
            level[:, place] = above.sum(1)
            beaten[:, place] = torch.sigmoid((self.negatives - one) / self.width).sum(1)
        return level, beaten

    def _own(self, scores: Tensor) -> Tensor:
        """The precision at each positive of the batch, moved to its score, the others in place."""
        rows, members, turn = self.standing
        moved, width = scores[rows, members][:, None], self.width[members]
        others = torch.sigmoid((self.positives[members] - moved) / width)
        others = torch.where(self.valid[members], others, 0).scatter(1, turn[:, None], 0.0).sum(1)
        beaten = torch.sigmoid((self.negatives[members] - moved) / width).sum(1)
        return (1 + others) / (1 + others + beaten)


def _rows(scores: Tensor, chosen: Tensor, filler: float) -> tuple[Tensor, Tensor]:
    """The chosen scores of each row (G, N) to its left end, then `filler`; and which are scores."""
    counts = chosen.sum(1)
    valid = torch.arange(int(counts.max()), device=scores.device) < counts[:, None]
    found = scores.new_full(valid.shape, filler)
    found[valid] = scores[chosen]
    return found, valid
