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
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from genfast.zoo.image_task import Recipe
from genfast.zoo.text_task import TextRecipe

RECIPES: dict[str, Any] = {"digits": Recipe(), "alice": TextRecipe()}


class Task(Protocol):
    """Data and a recipe to learn them by.

    `recipe`, a dataclass, has at least epochs, learning_rate, weight_decay, average, patience and seed; `dataset` has a
    name; `batches` is their number in an epoch; `unused`: words in the names of parameters for training only.
    `players`: names of the submodules that are trained one against the other, each by losses of its own; one player,
    the network itself (""), is the ordinary case.
    """

    recipe: Any
    dataset: Any
    batches: int
    unused: tuple[str, ...]
    players: tuple[str, ...]

    def build(self) -> nn.Module: ...

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
        """The training losses of an epoch, each with the player who lowers it, before the next is asked for."""
        ...

    def bits(self, model: nn.Module) -> dict[str, float]:
        """Figures by part, the lower the better; the best network is that of the lowest "validation"."""
        ...


@dataclass(frozen=True)
class Progress:
    """What `report` is told: after each batch (`bits` is None), and after each epoch the bits per dimension or
    character of each part."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    bits: dict[str, float] | None = None


@dataclass
class Trained:
    """The best network by validation (eval mode), its bits per dimension by part, and the figures of every epoch.

    `parameters` counts what the compiled model needs."""

    model: nn.Module
    recipe: Any
    epoch: int
    bits: dict[str, float]
    parameters: int
    history: list[dict[str, float]] = field(default_factory=list)


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


NETWORKS = ("model", "average", "best")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `train` wrote there. Raises ValueError for any other file, OSError when it cannot be read."""
    try:
        state = torch.load(path, weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError, AttributeError):
        state = None
    if (
        not isinstance(state, dict)
        or not {"recipe", "dataset", "history", "best_epoch", "optimizers", *NETWORKS} <= state.keys()
    ):
        raise ValueError(f"{path}: not a checkpoint of this recipe (use --fresh)")
    return state


class _Run:
    """The state of a training: what a checkpoint holds."""

    def __init__(self, task: Task) -> None:
        recipe = task.recipe
        torch.manual_seed(recipe.seed)
        self.task, self.recipe = task, recipe
        self.model = task.build()
        self.average = copy.deepcopy(self.model).eval()
        self.best = copy.deepcopy(self.average)
        self.players = {name: list(self.model.get_submodule(name).parameters()) for name in task.players}
        betas = getattr(recipe, "betas", (0.9, 0.999))
        self.optimizers = {
            name: torch.optim.AdamW(parameters, recipe.learning_rate, betas, weight_decay=recipe.weight_decay)
            for name, parameters in self.players.items()
        }
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0

    def state(self) -> dict[str, Any]:
        networks = {name: getattr(self, name).state_dict() for name in NETWORKS}
        optimizers = {"optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}}
        identity = {"recipe": asdict(self.recipe), "dataset": self.task.dataset.name}
        return {**identity, **networks, **optimizers, "history": self.history, "best_epoch": self.best_epoch}

    def save(self, path: Path) -> None:
        """Writes beside and renames, so that a cut-off never leaves half a checkpoint."""
        beside = path.with_name(path.name + ".part")
        torch.save(self.state(), beside)
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        """Raises ValueError when the checkpoint is of another recipe or dataset; more epochs are no difference."""
        state = read_checkpoint(path)
        mine = {**asdict(self.recipe), "dataset": self.task.dataset.name}
        other = {**state["recipe"], "dataset": state["dataset"]}
        names = [name for name in (mine | other) if name != "epochs" and mine.get(name) != other.get(name)]
        wrong = f"{path}: the checkpoint of another recipe or data set"
        if names:
            said = ", ".join(f"{name} {other.get(name)}, not {mine.get(name)}" for name in names)
            raise ValueError(f"{wrong}: {said} (use --fresh, or another file)")
        try:
            for name in NETWORKS:
                getattr(self, name).load_state_dict(state[name])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state["optimizers"][name])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{wrong}: its network has another shape (use --fresh, or another file)") from None
        self.history, self.best_epoch = state["history"], state["best_epoch"]

    def epoch(self, number: int, report: Callable[[Progress], None]) -> None:
        recipe, batches = self.recipe, self.task.batches
        # The seed of an epoch is its own, so that a resumed training draws what an uninterrupted one does.
        torch.manual_seed(recipe.seed * 1_000_003 + number)
        rng = np.random.Generator(np.random.PCG64([recipe.seed, number]))
        self.model.train()
        for i, (player, loss) in enumerate(self.task.losses(self.model, rng)):
            progress = (number - 1 + i / batches) / recipe.epochs
            optimizer, parameters = self.optimizers[player], self.players[player]
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            optimizer.zero_grad(set_to_none=True)
            loss.backward(inputs=parameters)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            # The average starts short and grows, or it would remember the random start.
            steps = (number - 1) * batches + i
            self.follow(min(recipe.average, (1 + steps) / (10 + steps)))
            report(Progress(number, recipe.epochs, i + 1, batches))

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """One step of the moving average: of the weights, and of what layers keep of their inputs (BatchNorm)."""
        for mean, now in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
            if not mean.is_floating_point():
                mean.copy_(now)
            elif not torch.equal(mean, now):  # a mask of infinities would become NaN
                mean.lerp_(now, 1 - decay)


def train(
    dataset: Any,
    recipe: Any,
    checkpoint: str | Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    threads: int | None = None,
) -> Trained:
    """Train a recipe on its kind of data, a `data.Dataset` or a `text.Text`; or go on from `checkpoint` when that file
    is there. It is written after every epoch, so Ctrl-C loses at most one.

    Raises ValueError when the checkpoint is of another recipe or data set, FloatingPointError when the loss is not
    finite.
    """
    path = None if checkpoint is None else Path(checkpoint)
    with deterministic(threads):
        task: Task = recipe.task(dataset)
        run = _Run(task)
        if path is not None and path.exists():
            run.load(path)
        for number in range(len(run.history) + 1, recipe.epochs + 1):
            if number - 1 - run.best_epoch >= recipe.patience:
                break
            run.epoch(number, report)
            bits = task.bits(run.average)
            if not math.isfinite(bits["train"]):
                raise FloatingPointError(f"the loss is not finite in epoch {number}; lower the learning rate")
            run.history.append(bits)
            if number == 1 or bits["validation"] < run.history[run.best_epoch - 1]["validation"]:
                run.best_epoch = number
                run.best.load_state_dict(run.average.state_dict())
            if path is not None:
                run.save(path)
            report(Progress(number, recipe.epochs, 0, 0, bits))
        named = run.best.named_parameters()
        parameters = sum(p.numel() for name, p in named if not any(word in name for word in task.unused))
        return Trained(run.best.eval(), recipe, run.best_epoch, task.bits(run.best), parameters, run.history)
