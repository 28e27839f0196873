"""TorchJD on the network of `weighting_cost.py`, which runs this with `--torchjd`."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torchjd import aggregation
from torchjd.autojac import jac_to_grad, mtl_backward

METHODS = ["AlignedMTL", "CAGrad", "IMTLG", "MGDA", "NashMTL", "PCGrad", "UPGrad"]


Batch = tuple[np.ndarray, dict[str, np.ndarray]]


def network(convolutions: tuple[tuple[int, int], ...]) -> tuple[nn.Module, int]:
    """Returns the trunk, a dense one without convolutions, and its features' size."""
    if not convolutions:
        trunk = [nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        return nn.Sequential(*trunk), 64
    trunk, before = [], 3
    for width, stride in convolutions:
        trunk.append(nn.Conv2d(before, width, 3, stride, 1, bias=False))
        trunk += [nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten()), before


def aggregator(name: str, count: int) -> aggregation.Aggregator:
    """Makes TorchJD's method of that name."""
    given = {"CAGrad": {"c": 0.4}, "NashMTL": {"n_tasks": count}}
    return getattr(aggregation, name)(**given.get(name, {}))


def side(
    method: str | None,
    batch: Batch,
    convolutions: tuple[tuple[int, int], ...],
    classes: int,
) -> Callable[[], None]:
    """Returns what does one training step and waits for its loss."""
    torch.manual_seed(0)
    trunk, size = network(convolutions)
    x, labels = batch
    heads = nn.ModuleList(nn.Linear(size, classes) for _ in labels)
    parameters = [*trunk.parameters(), *heads.parameters()]
    optimizer = torch.optim.Adam(parameters, 1e-3)
    x = torch.from_numpy(np.moveaxis(x, -1, 1).copy() if x.ndim == 4 else x)
    targets = [torch.from_numpy(y.astype("int64")) for y in labels.values()]
    combine = method and aggregator(method, len(labels))

    def step() -> None:
        features = trunk(x)
        losses = [
            nn.functional.cross_entropy(head(features), target)
            for head, target in zip(heads, targets, strict=True)
        ]
        if combine:
            mtl_backward(losses, features=features)
            jac_to_grad(trunk.parameters(), combine)
        else:
            sum(losses).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses[0].item()

    return step


def sides(
    method: str,
    batch: Batch,
    convolutions: tuple[tuple[int, int], ...],
    classes: int,
    threads: int,
) -> tuple[Callable[[], None], Callable[[], None]]:
    """Prepares TorchJD's step and PyTorch's plain one."""
    torch.set_num_threads(threads)
    made = [side(one, batch, convolutions, classes) for one in (method, None)]
    return made[0], made[1]
