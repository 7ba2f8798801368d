"""How long an image takes in PyTorch and in genfast: the same network, one thread, medians of warm calls."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import genfast as gf
from genfast.zoo.classifier import ASCENT
from genfast.zoo.comparison_measures import is_conditional
from genfast.zoo.data import Dataset
from genfast.zoo.recipes import RECIPES

PATIENCE = 3.0  # seconds after which a median has enough calls; three at least


def draw_level(logits: Tensor, u: Tensor) -> Tensor:
    """The smallest level with F(level) ≥ u, along axis 1 of the logits."""
    return (logits.softmax(1).cumsum(1) < u.unsqueeze(1)).sum(1).clamp(max=logits.shape[1] - 1)


@torch.no_grad()
def pixel_by_pixel(network: nn.Module, labels: Tensor, levels: int, height: int, width: int) -> Tensor:
    """The usual loop over an autoregressive network: a whole forward pass for each pixel. Images (n, 1, H, W)."""
    x = torch.zeros(len(labels), 1, height, width)
    for y in range(height):
        for column in range(width):
            level = draw_level(network(x, labels)[:, :, y, column], torch.rand(len(labels)))
            x[:, 0, y, column] = level / (levels - 1)
    return x


@torch.no_grad()
def at_once(network: nn.Module, labels: Tensor, levels: int, height: int, width: int) -> Tensor:
    """Pixels that do not read each other: one pass draws them all. Images (n, 1, H, W)."""
    logits = network(torch.zeros(len(labels), 1, height, width), labels)
    return draw_level(logits, torch.rand(len(labels), height, width)).unsqueeze(1) / (levels - 1)


def climb(network: nn.Module, labels: Tensor, height: int, width: int) -> Tensor:
    """Gradient ascent on log p(label | image) as `genfast.zoo.classifier` has it compiled. Images (n, 1, H, W)."""
    x = (0.5 + 0.25 * torch.randn(len(labels), 1, height, width)).requires_grad_()
    optimizer = torch.optim.Adam([x], ASCENT["step_size"], maximize=True)
    for _ in range(ASCENT["steps"]):
        objective = -F.cross_entropy(network(x), labels, reduction="sum")
        (x.grad,) = torch.autograd.grad(objective, [x])
        optimizer.step()
        with torch.no_grad():
            x.clamp_(*ASCENT["clip"])
    return x.detach()


def median(call: Callable[[], Any], repeats: int) -> float:
    """Median seconds of at most `repeats` calls after one that is not timed."""
    call()
    seconds: list[float] = []
    while len(seconds) < repeats and (len(seconds) < 3 or sum(seconds) < PATIENCE):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def cpu() -> str:
    """The processor's name, where Linux says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "an unknown CPU"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unknown CPU"


def machine() -> dict[str, str]:
    """What the times were measured on and with."""
    return {"cpu": cpu(), "torch": torch.__version__, "target": gf.cpu_target()}


def torch_way(recipe: str, model: gf.Model, dataset: Dataset, batch: int) -> tuple[str, Callable[[], Any]]:
    """How `batch` images are made in PyTorch, in words, and the call that does it with an untrained network."""
    labels = torch.arange(batch) % dataset.classes
    height, width = dataset.train.shape[2:]
    shape = dataset.levels, height, width
    task = RECIPES[recipe].recipe.task(dataset)
    network = task.build().eval()
    if recipe == "classifier":
        return f"{ASCENT['steps']} steps of autograd", lambda: climb(network, labels, height, width)
    if recipe == "independent":
        return "one pass", lambda: at_once(network, labels, *shape)
    if not model.output_shape:
        return f"{shape[1] * shape[2]} passes", lambda: pixel_by_pixel(network, labels, *shape)
    decoder: Any = getattr(network, "generator", None) or network.decoder

    code = task.recipe.code

    @torch.no_grad()
    def decode() -> Tensor:
        images: Tensor = decoder(torch.randn(batch, code), labels)
        return images

    return "one pass", decode


def times(
    recipe: str, model: gf.Model, dataset: Dataset, batches: Sequence[int], repeats: int
) -> dict[str, dict[str, Any]]:
    """By batch: `how` PyTorch makes it, and the seconds of one image in `torch` and in `genfast`, on one thread."""
    out = {}
    threads = gf.num_threads(), torch.get_num_threads()
    gf.set_num_threads(1)
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            for batch in batches:
                how, theirs = torch_way(recipe, model, dataset, batch)
                labels = np.arange(batch) % dataset.classes
                condition = {"label": labels} if is_conditional(model) else None
                ours = functools.partial(model.sample, batch, rng=0, condition=condition)
                seconds = {"torch": median(theirs, repeats) / batch, "genfast": median(ours, repeats) / batch}
                out[str(batch)] = {"how": how, **seconds}
    finally:
        gf.set_num_threads(threads[0])
        torch.set_num_threads(threads[1])
    return out
