"""Paper-size PGD steps and training clips a second on this machine's GPU; one file, under 10 min.

Fused model (CSN width 32 on 400 x 64 log-mel, R(2+1)D-18 on 16 x 112 x 112), fresh weights, random
clips. For R(2+1)D three forms of the same net: ours (two 2-D convolutions), and torchvision's
Conv3d in NCDHW and in channels-last-3d; eager and compiled; float32 and bfloat16 autocast. Each
figure is the median of timed repeats after a warm-up, with quartiles; float32 means no TF32.
`--quick` shrinks everything, for a look on a CPU; its numbers mean nothing. What does not fit the
time is left out. Needs neither DVC nor shards.
"""

import argparse
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.tables import quartiles, table
from mmlib.attacks.core.losses import bce
from mmlib.attacks.core.threat import Budget
from mmlib.attacks.methods.pgd import pgd
from mmlib.attacks.methods.rechecked import rechecked
from mmlib.batch import Batch, Forward
from mmlib.evaluation.attacked import frozen
from mmlib.metrics.ranking import (
    present_mean,
    rank,
)
from mmlib.models import devices
from mmlib.models.base import Model
from mmlib.models.build import build
from mmlib.models.r2plus1d import R2plus1d
from mmlib.threats import THREATS

CLASSES = 527
EPS = 0.008
STEPS = 5


QUICK = {"width": 4, "frames": 4, "side": 32, "steps": 40}


def fused(width: int = 32, frames: int = 16, side: int = 112, steps: int = 400) -> Model:
    """The fused model, by default at the paper's size; R(2+1)D has twice CSN's width."""
    sizes = {
        "audio": {"name": "csn", "width": width, "transformer_blocks": 2, "share_blocks": False},
        "video": {"name": "r2plus1d", "width": 2 * width, "blocks": (2, 2, 2, 2)},
        "fusion": {"name": "mid", "hidden": 1024, "dropout": 0.2},
        "heads": False,
    }
    sizes["audio"] |= {"dropout": 0.2}  # type: ignore[operator]
    even = {"mean": [0.45] * 64, "std": [0.25] * 64}
    inputs = {
        "audio": {"frames": steps, "bands": 64, **even},
        "video": {
            "frames": frames, "height": side, "width": side, "mean": [0.45] * 3, "std": [0.25] * 3,
        },
    }  # fmt: skip
    return build(sizes, CLASSES, inputs)


def clips(model: Model, count: int, device: torch.device) -> tuple[Batch, Tensor]:
    """Random clips and labels of the model's shapes."""
    generator = torch.Generator().manual_seed(0)
    inputs = model.description["inputs"]
    audio, video = inputs["audio"], inputs["video"]
    shapes = {
        "audio": (count, audio["frames"], audio["bands"]),
        "video": (count, video["frames"], video["height"], video["width"], 3),
    }
    batch = {name: torch.rand(*s, generator=generator).to(device) for name, s in shapes.items()}
    batch["video"] = batch["video"].permute(0, 4, 1, 2, 3)
    labels = (torch.rand(count, CLASSES, generator=generator) < 0.01).float().to(device)
    return batch, labels


def settle(model: Model, batch: Batch) -> Tensor:
    """Give the norms the statistics of these clips; labels that the model finds right, (B, K).

    Without them a deep net of fresh weights is saturated, and random labels would show no damage.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        model.train()(batch)
        logits: Tensor = model.eval()(batch)
    return (logits > logits.median(0).values).float()


def rate(work: Callable[[], Any], units: float, device: torch.device, options: Any) -> str:
    """Units a second: median and quartiles over repeats that fill `options.seconds`."""
    if time.monotonic() > options.end:
        return "left out: time is up"
    work()
    times: list[float] = []
    while len(times) < 3 or sum(times) < options.seconds:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return quartiles(units / np.array(times), "{:.1f}")


def precision(name: str, device: torch.device) -> Any:
    """The context of a precision."""
    if name == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def attack_rows(model: Model, options: Any, device: torch.device) -> list[list[str]]:
    """PGD steps x clips a second, by threat, precision and compilation."""
    batch, labels = clips(model, options.clips, device)
    net = frozen.frozen(model, {name: tensor[:2] for name, tensor in batch.items()})
    with torch.no_grad():
        embeddings = net.encode_all(batch)
    rows = []
    for threat, names in THREATS.items():
        carried, forward = frozen.cached(net, batch, embeddings, names)
        budgets = {name: Budget(EPS) for name in names}
        for compiled in options.compile:
            run: Forward = torch.compile(forward) if compiled else forward
            for kind in ("float32", "bfloat16"):

                def cast(inputs: Batch, run: Forward = run, kind: str = kind) -> Tensor:
                    with precision(kind, device):
                        return run(inputs).float()

                def work(cast: Forward = cast, carried: Batch = carried, b: Any = budgets) -> Any:
                    return pgd(cast, carried, labels, b, steps=STEPS)

                found = rate(work, STEPS * options.clips, device, options)
                rows.append([threat, kind, "compiled" if compiled else "eager", found])
    return rows


def agreement(model: Model, options: Any, device: torch.device) -> list[str]:
    """A search in float32 beside one in bfloat16, both evaluated in float32."""
    batch, _ = clips(model, options.clips, device)
    labels = settle(model, batch)
    budgets = {name: Budget(EPS) for name in ("audio", "video")}

    def cast(inputs: Batch) -> Tensor:
        with precision("bfloat16", device):
            logits: Tensor = model(inputs).float()
        return logits

    found = {
        "float32": pgd(model, batch, labels, budgets, steps=STEPS),
        "bfloat16": rechecked(model, batch, labels, budgets, rough=cast, steps=STEPS),
    }
    lines, points = [], []
    for kind, attacked in {"clean": batch, **found}.items():
        with torch.no_grad():
            logits = model(attacked)
        ranking = rank(labels.cpu().numpy() > 0.5, logits.cpu().numpy())
        points.append(100 * float(present_mean(ranking.average_precision)))
        loss = float(bce(logits, labels).mean())
        lines.append(f"{kind}: loss {loss:.5f}, mAP {points[-1]:.2f} points")
    return [*lines, f"difference in mAP: {points[2] - points[1]:+.2f} points"]


def video_forms(model: Model) -> dict[str, nn.Module]:
    """R(2+1)D in three forms; each takes (B, 3, T, H, W) and gives a vector."""
    if not isinstance(model.encoders["video"], R2plus1d):
        raise TypeError("the fused model's video net is another one")
    theirs = torchvision.models.video.r2plus1d_18()
    theirs.fc = nn.Identity()
    last = torchvision.models.video.r2plus1d_18().to(memory_format=torch.channels_last_3d)
    last.fc = nn.Identity()
    return {
        "two conv2d (ours)": R2plus1d(width=64, blocks=(2, 2, 2, 2)).to(
            memory_format=torch.channels_last
        ),
        "Conv3d, NCDHW": theirs,
        "Conv3d, channels-last-3d": last,
    }


def training_rows(model: Model, options: Any, device: torch.device) -> list[list[str]]:
    """Training clips a second: the three forms of R(2+1)D-18, then the fused model."""
    batch, labels = clips(model, options.clips, device)
    video = batch["video"]
    rows = []
    for name, net in video_forms(model).items():
        net = net.to(device).train()
        x = video.contiguous(
            memory_format=torch.channels_last_3d if "last" in name else torch.contiguous_format
        )
        if "ours" in name:
            x = video
        for kind in ("float32", "bfloat16"):

            def work(net: nn.Module = net, x: Tensor = x, kind: str = kind) -> None:
                with precision(kind, device):
                    out: Any = net(x).float().square().mean()
                out.backward()
                net.zero_grad(set_to_none=True)

            found = rate(work, options.clips, device, options)
            rows.append([name, kind, "eager", found])
        del net
    model = model.to(device).train()
    for compiled in options.compile:
        run: Any = torch.compile(model) if compiled else model
        for kind in ("float32", "bfloat16"):

            def step(run: Any = run, kind: str = kind) -> None:
                with precision(kind, device):
                    out = run(batch)
                loss: Any = binary_cross_entropy_with_logits(out.float(), labels)
                loss.backward()
                model.zero_grad(set_to_none=True)

            found = rate(step, options.clips, device, options)
            rows.append(["fused model", kind, "compiled" if compiled else "eager", found])
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--clips", type=int)
    parser.add_argument("--seconds", type=float, help="of each figure")
    parser.add_argument("--limit", type=float, default=540, help="seconds after which none begins")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.quick:
        print("no GPU here; `python -m bench.gpu --quick` shows the tables on the CPU")
        return
    device = devices.select()
    options.clips = options.clips or (4 if options.quick else 64)
    options.seconds = options.seconds or (0.5 if options.quick else 6.0)
    options.end = time.monotonic() + options.limit
    options.compile = (False,) if options.quick else (False, True)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()})"
    print(f"{name}, torch {torch.__version__}, {options.clips} clips a batch")
    model = fused(**QUICK if options.quick else {}).to(device).eval()
    print("\nPGD: clips x steps a second")
    head = ["", "precision", "", "a second"]
    print(table(head, attack_rows(model, options, device)))
    print("\nAttack searched in either precision, scored in float32:")
    print("\n".join(agreement(model, options, device)))
    print("\nTraining: clips a second")
    print(table(head, training_rows(model, options, device)))


if __name__ == "__main__":
    main()
