"""Layers and sums of several processes against torch's own; `python -m` writes what came of it."""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmlib.batch import Rows
from mmlib.models import ranks
from mmlib.models.whole_batch import BatchNorm2d, Dropout, attend
from tests.training.together import together

HELD = (4, 0, 3)
"""Clips of each of three processes."""


def layers() -> dict[str, float]:
    """How far this process's rows are from those that torch's own layers make of the whole batch.

    In float64 where sums are taken in another order, else in float32, to the bit.
    """
    rank, generator = ranks.place().rank, torch.Generator().manual_seed(3)
    rows = Rows(sum(HELD[:rank]), sum(HELD[: rank + 1]), sum(HELD))

    def drawn(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def both(layer: nn.Module, own: nn.Module, x: Tensor, along: Tensor) -> list[Tensor]:
        """What differs: the output, the input's gradient, parameters' gradients and buffers."""
        part, whole = x[rows.slice].clone().requires_grad_(), x.clone().requires_grad_()
        torch.manual_seed(5)
        expected = layer(whole)
        (expected * along).sum().backward()
        torch.manual_seed(5)
        with ranks.sharing(rows):
            found = own(part)
        value, parameters = (found * along[rows.slice]).sum(), list(own.parameters())
        value.backward()
        assert part.grad is not None
        assert whole.grad is not None
        pairs = [(found, expected[rows.slice]), (part.grad, whole.grad[rows.slice])]
        if parameters:
            sums = ranks.add_up(parameters, value.detach())
            pairs.append((sums, (expected * along).sum()))
        for one, other in zip(parameters, layer.parameters(), strict=True):
            assert one.grad is not None
            assert other.grad is not None
            pairs.append((one.grad, other.grad))
        pairs += list(zip(own.buffers(), layer.buffers(), strict=True))
        return [a - b for a, b in pairs if a.numel()]

    x = (5 + drawn(7, 3, 5, 4)).to(memory_format=torch.channels_last)
    theirs, ours = nn.BatchNorm2d(3).double(), BatchNorm2d(3).double()
    for norm in (theirs, ours):
        nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(1))
    masks = both(nn.Dropout(0.4), Dropout(0.4), x.float(), drawn(7, 3, 5, 4).float())
    return {
        "norm": _largest(both(theirs, ours, x, drawn(7, 3, 5, 4))),
        "dropout": _largest(masks),
        "attend": _largest(
            both(
                _Attended(False),
                _Attended(True),
                drawn(7, 2, 6, 4).float(),
                drawn(7, 2, 6, 4).float(),
            )
        ),
    }


def lone() -> float:
    """How far one clip of one place, held by the second process, is from what eval makes of it."""
    held = int(ranks.place().rank == 1)
    norm, x = BatchNorm2d(3), torch.rand(1, 3, 1, 1)[:held].requires_grad_()
    assert norm.running_mean is not None
    nn.init.uniform_(norm.running_mean, generator=torch.Generator().manual_seed(1))
    with ranks.sharing(ranks.among(held)):
        found = norm(x)
    expected = norm.eval()(x)
    gradients = (torch.autograd.grad(each.square().sum(), x)[0] for each in (found, expected))
    return _largest([found - expected, torch.sub(*gradients)] if held else [])


class _Attended(nn.Module):
    def __init__(self, ours: bool) -> None:
        super().__init__()
        self.ours = ours

    def forward(self, x: Tensor) -> Tensor:
        """Attention of x to itself, twice as much, and its squares."""
        if self.ours:
            return attend(x, 2 * x, x.square(), 0.3)
        return F.scaled_dot_product_attention(x, 2 * x, x.square(), dropout_p=0.3)


def _largest(differences: list[Tensor]) -> float:
    return max((float(each.detach().abs().max()) for each in differences), default=0.0)


def unreached() -> list[float | None]:
    """The gradients of three parameters: of both processes, of one, and of none."""
    parameters = [nn.Parameter(torch.zeros(())) for _ in range(3)]
    rank = ranks.place().rank
    parameters[0].grad = torch.tensor(1.0 + rank)
    if rank == 1:
        parameters[1].grad = torch.tensor(0.0)
    total = ranks.add_up(parameters, torch.tensor(0.5))
    return [None if p.grad is None else float(p.grad) for p in parameters] + [float(total)]


def main(out: Path) -> None:
    """Write what each process found."""
    found = {
        "layers": together(len(HELD), layers),
        "lone": together(2, lone),
        "unreached": together(2, unreached),
    }
    out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
