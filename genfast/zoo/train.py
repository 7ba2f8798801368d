"""The training recipe: seeded, resumable, stopped by a validation part of the training set, never by the test set.

The same seed, data and thread count give the same weights, whether or not the training was cut off and resumed.
"""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genfast.zoo.augment import AUGMENTATIONS, augment
from genfast.zoo.data import Dataset
from genfast.zoo.gated import GatedPixelCNN


@dataclass(frozen=True)
class Recipe:
    """A Gated PixelCNN and how to train it. `augmented`: share of training images that are augmented; `average`: decay
    of the moving average of the weights, which is what is evaluated and kept; `patience`: epochs without a better
    validation."""

    channels: int = 24
    layers: int = 5
    head_channels: int = 48
    dropout: float = 0.2
    epochs: int = 140
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    augmented: float = 0.5
    average: float = 0.998
    validation: float = 0.1
    patience: int = 40
    seed: int = 0


RECIPES = {"digits": Recipe()}


@dataclass(frozen=True)
class Progress:
    """What `report` is told: after each batch (`bits` is None) and after each epoch (bits per dimension by part)."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    bits: dict[str, float] | None = None


@dataclass
class Trained:
    """The best network by validation (eval mode), its bits per dimension by part, and the figures of every epoch."""

    model: GatedPixelCNN
    recipe: Recipe
    epoch: int
    bits: dict[str, float]
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """What the compiled model needs: the augmentations' biases are for training only."""
        return sum(p.numel() for name, p in self.model.named_parameters() if "augmentation" not in name)


def build(dataset: Dataset, recipe: Recipe) -> GatedPixelCNN:
    """The recipe's network for the dataset's levels and classes, freshly initialised from torch's generator."""
    return GatedPixelCNN(
        dataset.levels,
        recipe.channels,
        recipe.layers,
        dataset.classes,
        recipe.head_channels,
        AUGMENTATIONS if recipe.augmented else 0,
        recipe.dropout,
    )


def network_input(images: NDArray[np.uint8], levels: int) -> Tensor:
    """Levels (n, 1, H, W) uint8 to what the network is fed: float32(k / (levels − 1))."""
    return torch.from_numpy((images / np.float64(levels - 1)).astype(np.float32))


def example(dataset: Dataset) -> tuple[Tensor, ...]:
    """Two training images and their labels as the network takes them, for `genfast.compile`."""
    images = network_input(dataset.train[:2], dataset.levels)
    return (images,) if dataset.train_labels is None else (images, torch.from_numpy(dataset.train_labels[:2]))


def loss(model: nn.Module, images: NDArray[np.uint8], levels: int, *conditions: Tensor | None) -> Tensor:
    """Mean negative log-likelihood in bits per dimension."""
    logits = model(network_input(images, levels), *conditions)
    target = torch.from_numpy(images[:, 0].astype(np.int64))
    return F.cross_entropy(logits, target) / math.log(2)


@torch.no_grad()
def bits_per_dim(
    model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, levels: int, batch: int = 256
) -> float:
    """Mean bits per dimension of images (n, 1, H, W) under `model`, which is put in eval mode and back."""
    training = model.training
    model.eval()
    total = 0.0
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        label = None if labels is None else torch.from_numpy(labels[part])
        total += float(loss(model, images[part], levels, label)) * len(images[part])
    model.train(training)
    return total / len(images)


@contextmanager
def deterministic(threads: int | None) -> Iterator[None]:
    """Deterministic torch kernels on `threads` threads; the caller's settings and random state are given back."""
    before, threads_before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    torch.set_num_threads(threads or threads_before)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_num_threads(threads_before)


PARTS = ("model", "average", "best", "optimizer")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `train` wrote there. Raises ValueError for any other file, OSError when it cannot be read."""
    try:
        state = torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError, AttributeError):
        state = None
    if not isinstance(state, dict) or not {"recipe", "dataset", "history", "best_epoch", *PARTS} <= state.keys():
        raise ValueError(f"{path}: not a checkpoint of this recipe (use --fresh)")
    return state


class _Run:
    """The state of a training: what a checkpoint holds."""

    def __init__(self, dataset: Dataset, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.dataset, self.recipe = dataset, recipe
        self.model = build(dataset, recipe)
        self.average = copy.deepcopy(self.model).eval()
        self.best = copy.deepcopy(self.average)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        order = np.random.Generator(np.random.PCG64([recipe.seed, 0])).permutation(len(dataset.train))
        cut = round(len(order) * recipe.validation)
        self.parts = {"validation": order[:cut], "train": order[cut:]}

    def state(self) -> dict[str, Any]:
        modules = {name: getattr(self, name).state_dict() for name in PARTS}
        identity = {"recipe": asdict(self.recipe), "dataset": self.dataset.name}
        return {**identity, **modules, "history": self.history, "best_epoch": self.best_epoch}

    def save(self, path: Path) -> None:
        """Writes beside and renames, so that a cut-off never leaves half a checkpoint."""
        beside = path.with_name(path.name + ".part")
        torch.save(self.state(), beside)
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        """Raises ValueError when the checkpoint is of another recipe or dataset; more epochs are no difference."""
        state = read_checkpoint(path)
        mine = {**asdict(self.recipe), "dataset": self.dataset.name}
        other = {**state["recipe"], "dataset": state["dataset"]}
        names = [name for name in (mine | other) if name != "epochs" and mine.get(name) != other.get(name)]
        wrong = f"{path}: the checkpoint of another recipe or data set"
        if names:
            said = ", ".join(f"{name} {other.get(name)}, not {mine.get(name)}" for name in names)
            raise ValueError(f"{wrong}: {said} (use --fresh, or another file)")
        try:
            for name in PARTS:
                getattr(self, name).load_state_dict(state[name])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{wrong}: its network has another shape (use --fresh, or another file)") from None
        self.history, self.best_epoch = state["history"], state["best_epoch"]

    def bits(self, model: nn.Module) -> dict[str, float]:
        """Bits per dimension on the training, validation and test images."""
        data = self.dataset
        out = {}
        for name, rows in (("train", self.parts["train"]), ("validation", self.parts["validation"])):
            labels = None if data.train_labels is None else data.train_labels[rows]
            out[name] = bits_per_dim(model, data.train[rows], labels, data.levels)
        out["test"] = bits_per_dim(model, data.test, data.test_labels, data.levels)
        return out

    def epoch(self, number: int, report: Callable[[Progress], None]) -> None:
        recipe, data = self.recipe, self.dataset
        # The seed of an epoch is its own, so that a resumed training draws what an uninterrupted one does.
        torch.manual_seed(recipe.seed * 1_000_003 + number)
        rng = np.random.Generator(np.random.PCG64([recipe.seed, number]))
        rows = rng.permutation(self.parts["train"])
        batches = -(-len(rows) // recipe.batch)
        self.model.train()
        for i in range(batches):
            progress = (number - 1 + i / batches) / recipe.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            part = rows[i * recipe.batch : (i + 1) * recipe.batch]
            images, kind = augment(data.train[part], recipe.augmented, rng)
            label = None if data.train_labels is None else torch.from_numpy(data.train_labels[part])
            told = torch.from_numpy(kind) if recipe.augmented else None
            self.optimizer.zero_grad(set_to_none=True)
            loss(self.model, images, data.levels, label, told).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            # The average starts short and grows, or it would remember the random start.
            steps = (number - 1) * batches + i
            decay = min(recipe.average, (1 + steps) / (10 + steps))
            with torch.no_grad():
                for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                    mean.lerp_(now, 1 - decay)
            report(Progress(number, recipe.epochs, i + 1, batches))


def train(
    dataset: Dataset,
    recipe: Recipe,
    checkpoint: str | Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    threads: int | None = None,
) -> Trained:
    """Train, or go on from `checkpoint` when that file is there; it is written after every epoch, so Ctrl-C loses at
    most one.

    Raises ValueError when the checkpoint is of another recipe or data set, FloatingPointError when the loss is not
    finite.
    """
    path = None if checkpoint is None else Path(checkpoint)
    with deterministic(threads):
        run = _Run(dataset, recipe)
        if path is not None and path.exists():
            run.load(path)
        for number in range(len(run.history) + 1, recipe.epochs + 1):
            if number - 1 - run.best_epoch >= recipe.patience:
                break
            run.epoch(number, report)
            bits = run.bits(run.average)
            if not math.isfinite(bits["train"]):
                raise FloatingPointError(f"the loss is not finite in epoch {number}; lower the learning rate")
            run.history.append(bits)
            if number == 1 or bits["validation"] < run.history[run.best_epoch - 1]["validation"]:
                run.best_epoch = number
                run.best.load_state_dict(run.average.state_dict())
            if path is not None:
                run.save(path)
            report(Progress(number, recipe.epochs, 0, 0, bits))
        return Trained(run.best.eval(), recipe, run.best_epoch, run.bits(run.best), run.history)
