"""The training recipe: seeded, resumable, stopped by a validation part of the training set, never by the test set.

The same seed, data and thread count give the same weights, whether or not the training was cut off and resumed.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from genfast.errors import NumericalError
from genfast.whole_file import whole_file
from genfast.zoo.task import Task


@dataclass(frozen=True)
class Progress:
    """What `report` is told: after each batch (`figures` is None), and after each epoch the task's figures."""

    epoch: int
    epochs: int
    batch: int
    batches: int
    figures: dict[str, float] | None = None


@dataclass
class Trained:
    """The best network by validation (eval mode), its figures, and those of every epoch.

    `parameters` counts what the compiled models need."""

    model: nn.Module
    task: Task
    epoch: int
    figures: dict[str, float]
    parameters: int
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


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


PARTS = ("model", "average", "best")
IDENTITY = ("recipe", "dataset")
NUMBERS = ("history", "best_epoch", "seconds")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `train` wrote there. Raises ValueError for any other file, OSError when it cannot be read."""
    data = io.BytesIO(path.read_bytes())
    try:
        state = torch.load(data, weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError, OSError, ValueError, KeyError, AttributeError):
        state = None
    if not isinstance(state, dict) or not {*IDENTITY, *NUMBERS, "optimizers", *PARTS} <= state.keys():
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
        self.groups = list(zip(task.groups(self.model), task.groups(self.average), strict=True))
        self.optimizers = [
            torch.optim.AdamW(
                group.parameters(), recipe.learning_rate, betas=recipe.betas, weight_decay=recipe.weight_decay
            )
            for group, _ in self.groups
        ]
        self.history: list[dict[str, float]] = []
        self.best_epoch = 0
        self.seconds = 0.0

    def state(self) -> dict[str, Any]:
        modules = {name: getattr(self, name).state_dict() for name in PARTS}
        identity = {"recipe": asdict(self.recipe), "dataset": self.task.dataset.name}
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        numbers = {"history": self.history, "best_epoch": self.best_epoch, "seconds": self.seconds}
        return {**identity, **modules, "optimizers": optimizers, **numbers}

    def save(self, path: Path) -> None:
        """Whole or not at all. Raises OSError when it cannot be written."""
        data = io.BytesIO()  # torch.save tells a full disk by a RuntimeError of its own
        torch.save(self.state(), data)
        with whole_file(path) as file:
            file.write(data.getbuffer())

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
            for name in PARTS:
                getattr(self, name).load_state_dict(state[name])
            for optimizer, held in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(held)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{wrong}: its network has another shape (use --fresh, or another file)") from None
        self.history, self.best_epoch, self.seconds = state["history"], state["best_epoch"], state["seconds"]

    def epoch(self, number: int, report: Callable[[Progress], None]) -> None:
        recipe, batches = self.recipe, self.task.batches
        # The seed of an epoch is its own, so that a resumed training draws what an uninterrupted one does.
        torch.manual_seed(recipe.seed * 1_000_003 + number)
        rng = np.random.Generator(np.random.PCG64([recipe.seed, number]))
        self.model.train()
        for i, (group, loss) in enumerate(self.task.steps(self.model, rng)):
            if not bool(torch.isfinite(loss)):
                raise NumericalError(f"the loss is {loss.item()} in epoch {number}, batch {i + 1}")
            network, mean = self.groups[group]
            optimizer = self.optimizers[group]
            progress = (number - 1 + i / batches) / recipe.epochs
            decay = 0.5 * (1 + math.cos(math.pi * progress)) if recipe.schedule == "cosine" else 1.0
            for parameters in optimizer.param_groups:
                parameters["lr"] = recipe.learning_rate * decay
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
            optimizer.step()
            # The average starts short and grows, or it would remember the random start.
            steps = (number - 1) * batches + i
            keep = min(recipe.average, (1 + steps) / (10 + steps))
            with torch.no_grad():
                for old, new in zip(mean.parameters(), network.parameters(), strict=True):
                    old.lerp_(new, 1 - keep)
                for held, now in zip(mean.buffers(), network.buffers(), strict=True):
                    held.copy_(now)
            report(Progress(number, recipe.epochs, i + 1, batches))

    def improved(self, figures: dict[str, float]) -> bool:
        """Whether the epoch that these figures end is the best so far; without a validation the last always is."""
        if not self.best_epoch or "validation" not in figures:
            return True
        return figures["validation"] < self.history[self.best_epoch - 1]["validation"]


def train(
    dataset: Any,
    recipe: Any,
    checkpoint: str | Path | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
    threads: int | None = None,
    fresh: bool = False,
) -> Trained:
    """Train a recipe on its kind of data, a `data.Dataset` or a `text.Text`; or go on from `checkpoint` when that file
    is there, unless `fresh`. It is written after every epoch, so Ctrl-C loses at most one.

    Raises ValueError when the checkpoint is of another recipe or data set, NumericalError when the training diverges;
    the checkpoint is then that of the epoch before.
    """
    path = None if checkpoint is None else Path(checkpoint)
    with deterministic(threads):
        task: Task = recipe.task(dataset)
        run = _Run(task)
        if path is not None and path.exists() and not fresh:
            run.load(path)
        for number in range(len(run.history) + 1, recipe.epochs + 1):
            if number - 1 - run.best_epoch >= recipe.patience:
                break
            start = time.perf_counter()
            try:
                run.epoch(number, report)
                figures = task.figures(run.average)
                wrong = [f"{name} is {figure}" for name, figure in figures.items() if not math.isfinite(figure)]
                if wrong:
                    raise NumericalError(f"{wrong[0]} after epoch {number}")
            except NumericalError as error:
                raise NumericalError(f"the training diverged: {error}; {_way_out(number, path)}") from None
            run.seconds += time.perf_counter() - start
            if run.improved(figures):
                run.best_epoch = number
                run.best.load_state_dict(run.average.state_dict())
            run.history.append(figures)
            if path is not None:
                run.save(path)
            report(Progress(number, recipe.epochs, 0, 0, figures))
        named = run.best.named_parameters()
        parameters = sum(p.numel() for name, p in named if not any(word in name for word in task.unused))
        best = run.best.eval()
        return Trained(best, task, run.best_epoch, task.figures(best), parameters, run.history, run.seconds)


def _way_out(epoch: int, path: Path | None) -> str:
    """What to do about a training that diverged in this epoch."""
    lower = "lower the learning rate"
    if path is None or epoch == 1:
        return lower
    return f"{path} holds the {epoch - 1} epochs before: train anew and {lower}, or use them with --epochs {epoch - 1}"
