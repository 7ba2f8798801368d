"""What `genfast.zoo.train` needs to know of a thing to learn: a recipe (numbers) and a task (data, network, loss)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

if TYPE_CHECKING:
    import genfast as gf


@dataclass(frozen=True)
class Recipe:
    """How to train. A recipe proper adds the network's sizes and defines `task`.

    `average`: decay of the moving average of the weights, which is what is evaluated and kept. `validation`: share of
    the training data that chooses the epoch. `patience`: epochs without a better validation. `schedule`: of the
    learning rate, "cosine" to zero at the last epoch, or "constant". `betas`: of AdamW. `clip`: largest norm of a
    gradient, 0 for any.
    """

    epochs: int = 100
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    average: float = 0.998
    validation: float = 0.1
    patience: int = 40
    seed: int = 0
    schedule: str = "cosine"
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be trained, naming the field."""
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in ("seed", "patience") else 1
            if type(value) is int and value < least:
                raise ValueError(f"{field.name} must be at least {least}, got {value}")
        for name in ("validation", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        if not self.clip >= 0:
            raise ValueError(f"clip must be at least 0, got {self.clip}")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got {self.schedule!r}")

    def task(self, dataset: Any) -> Task:
        """This data, learnt by this recipe."""
        raise NotImplementedError


def validation_size(images: int, share: float) -> int:
    """How many of the training images choose the epoch. Raises ValueError where none do, or none are left to teach."""
    size = round(images * share)
    if not 0 < size < images:
        raise ValueError(
            f"validation={share:g} is {size} of {images} training images: some must choose the epoch, some teach"
        )
    return size


class Task:
    """Data and a recipe to learn them by.

    recipe: a `Recipe`. dataset: has a name. batches: steps of an epoch. unit: of the figures. unused: words in the
    names of parameters that only training needs. pictured: endings of the compiled models whose samples are shown, see
    `compiled`.
    """

    recipe: Any
    dataset: Any
    batches: int
    unit = "bits/dim"
    unused: tuple[str, ...] = ()
    pictured: tuple[str, ...] = ("",)

    def build(self) -> nn.Module:
        """The network, freshly initialised from torch's generator."""
        raise NotImplementedError

    def groups(self, model: nn.Module) -> list[nn.Module]:
        """The parts of the network that have an optimizer each: generator and critic, for example."""
        return [model]

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The training loss of each batch of an epoch, to be differentiated before the next is asked for."""
        raise NotImplementedError

    def steps(self, model: nn.Module, rng: np.random.Generator) -> Iterator[tuple[int, Tensor]]:
        """As `losses`, each with the index of the group that it is for; tasks with several groups define this one."""
        return ((0, loss) for loss in self.losses(model, rng))

    def figures(self, model: nn.Module) -> dict[str, float]:
        """Figures of a network in eval mode. The epoch with the smallest "validation" is kept, or the last where there
        is none; one that is not finite ends the training as diverged."""
        raise NotImplementedError

    def headline(self, figures: dict[str, float]) -> dict[str, float]:
        """What `genfast models` shows of the figures, by unit."""
        return {self.unit: figures["test"]}

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """The compiled models by the ending of their names: "" is the model that bears the recipe's, "-encoder" one
        beside it. `meta` belongs into each file; a task may add to it."""
        raise NotImplementedError
