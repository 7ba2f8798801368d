"""Gradient ascent compiled, against the straightforward PyTorch loop: the same steps, threads and numbers.

The loop asks autograd for the gradient with respect to x alone; SGD's step is done by hand (`x += lr * g`), which is
faster than `torch.optim`. `python benchmarks/bench_ascent.py [--threads N] [--steps N]` prints a table; each time is
the median of several runs, PyTorch and genfast in turns.

"apart" is the largest difference between the two results, "itself" that between PyTorch's own for a batch and for its
rows one by one: where a network is piecewise linear, a rounding may decide on which piece a step ends, and Adam, which
divides by the gradient's size, takes it far.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import genfast as gf
from genfast.zoo.classifier import Classifier


def mnist() -> nn.Module:
    """Two convolutions with maximum pooling, two linear layers: what tutorials train on MNIST."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1568, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


MODELS = {"digits 8×8": (lambda: Classifier(8, 8), 8), "convolutions 28×28": (mnist, 28), "MLP 28×28": (mlp, 28)}


def loop(net: nn.Module, x: torch.Tensor, label: torch.Tensor, steps: int, optimizer: str) -> torch.Tensor:
    """The PyTorch loop."""
    x = x.clone().requires_grad_()
    adam = torch.optim.Adam([x], lr=0.01, maximize=True) if optimizer == "adam" else None
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(-F.cross_entropy(net(x), label, reduction="sum"), x)
        if adam is None:
            with torch.no_grad():
                x.add_(gradient, alpha=0.01)
        else:
            x.grad = gradient
            adam.step()
    return x.detach()


def median(runs: list[float]) -> float:
    return statistics.median(runs) * 1e3


def timed(f: Callable[[], object]) -> float:
    begin = time.perf_counter()
    f()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    gf.set_num_threads(options.threads)
    print(f"{options.steps} steps, {options.threads} threads, {gf.cpu_target()}, torch {torch.__version__}; ms")
    times = f"{'PyTorch':>9} {'genfast':>9} {'times':>6}"
    print(f"{'classifier':20} {'steps by':8} {'batch':>5} {times} {'apart':>8} {'itself':>8}")
    for name, (make, size) in MODELS.items():
        torch.manual_seed(0)
        net = make().eval()
        for optimizer in ("sgd", "adam"):
            example = torch.zeros(1, 1, size, size)
            model = gf.compile_ascent(net, example, step_size=0.01, steps=options.steps, optimizer=optimizer)
            for batch in (1, 16):
                x = 0.5 + 0.25 * torch.randn(batch, 1, size, size)
                label = torch.arange(batch) % 10
                numpy = {"x": x.numpy(), "condition": {"label": label.numpy()}}
                pytorch = partial(loop, net, x, label, options.steps, optimizer)
                genfast = partial(model.apply, **numpy)
                theirs, ours = pytorch(), genfast()
                runs = [(timed(pytorch), timed(genfast)) for _ in range(options.repeats)]
                a, b = (median(list(side)) for side in zip(*runs, strict=True))
                apart = float(np.abs(ours - theirs.numpy()).max())
                alone = [loop(net, x[i : i + 1], label[i : i + 1], options.steps, optimizer) for i in range(batch)]
                itself = float((torch.cat(alone) - theirs).abs().max())
                times = f"{a:9.1f} {b:9.1f} {a / b:6.2f}"
                print(f"{name:20} {optimizer:8} {batch:5} {times} {apart:8.1e} {itself:8.1e}", flush=True)


if __name__ == "__main__":
    main()
