"""The task of learning a text: the recipe of a small GPT, its batches and its loss, for `genfast.zoo.train`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genfast.zoo.gpt import GPT
from genfast.zoo.task import Recipe, Task
from genfast.zoo.text import Text

if TYPE_CHECKING:
    import genfast as gf


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """A character-level GPT and how to train it. `length`: characters of context."""

    length: int = 256
    channels: int = 64
    layers: int = 4
    heads: int = 4
    dropout: float = 0.1
    epochs: int = 30
    batch: int = 4
    learning_rate: float = 5e-3
    weight_decay: float = 0.1
    average: float = 0.995
    validation: float = 0.05
    patience: int = 10
    seed: int = 0

    def task(self, text: Text) -> TextTask:
        """This text, learnt by this recipe."""
        return TextTask(text, self)


def windows(tokens: NDArray[np.uint8], starts: NDArray[np.int64], length: int) -> tuple[Tensor, Tensor]:
    """What the network is fed and what it should predict, (n, length) int64 each, from the given places on."""
    both = torch.from_numpy(tokens[starts[:, None] + np.arange(length + 1)].astype(np.int64))
    return both[:, :-1], both[:, 1:]


def example(text: Text, recipe: TextRecipe) -> Tensor:
    """Two rows of the training text as the network takes them, for `genfast.compile`."""
    return windows(text.train, np.array([0, 1]), recipe.length)[0]


@torch.no_grad()
def bits_per_character(model: nn.Module, before: NDArray[np.uint8], tokens: NDArray[np.uint8], length: int) -> float:
    """Mean bits of `tokens` (T,) given what stands before them, each with a context of `length` / 2 characters or more
    (as far as the text reaches). `model` is put in eval mode and back."""
    training = model.training
    model.eval()
    text, half = np.concatenate([before[-length:], tokens]), length // 2
    first = len(text) - len(tokens)
    total = 0.0
    for target in range(max(first, 1), len(text), length - half):
        begin = max(target - half, 0)
        x, y = windows(text, np.array([begin]), min(length, len(text) - 1 - begin))
        skipped = target - 1 - begin
        nats = F.cross_entropy(model(x)[0, skipped:], y[0, skipped:], reduction="none")[: length - half]
        total += float(nats.sum())
    model.train(training)
    return total / math.log(2) / (len(text) - max(first, 1))


class TextTask(Task):
    """See `genfast.zoo.task.Task`. The validation part is the end of the training text."""

    unit = "bits/char"

    def __init__(self, text: Text, recipe: TextRecipe) -> None:
        self.dataset, self.recipe = text, recipe
        cut = len(text.train) - round(len(text.train) * recipe.validation)
        self.train, self.validation = text.train[:cut], text.train[cut:]
        if cut <= recipe.length:
            raise ValueError(f"{text.name}: {cut} characters of training text are too few for {recipe.length} a row")
        self.batches = -(-cut // (recipe.length * recipe.batch))

    def build(self) -> GPT:
        """The recipe's network for the text's vocabulary, freshly initialised from torch's generator."""
        recipe = self.recipe
        return GPT(
            len(self.dataset.vocabulary), recipe.length, recipe.channels, recipe.layers, recipe.heads, recipe.dropout
        )

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The training loss of each batch of an epoch, of rows that start anywhere."""
        recipe = self.recipe
        for _ in range(self.batches):
            starts = rng.integers(0, len(self.train) - recipe.length, recipe.batch)
            x, y = windows(self.train, starts, recipe.length)
            yield F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / math.log(2)

    def figures(self, model: nn.Module) -> dict[str, float]:
        """Bits per character; of the training text, its end, as long as the validation part."""
        train, length, size = self.train, self.recipe.length, len(self.validation)
        return {
            "train": bits_per_character(model, train[:-size], train[-size:], length),
            "validation": bits_per_character(model, train, self.validation, length),
            "test": bits_per_character(model, self.dataset.train, self.dataset.test, length),
        }

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """One model of the characters, with its vocabulary. A text begins as if a line had just ended."""
        import genfast as gf

        vocabulary = self.dataset.vocabulary
        told = {**meta, "vocabulary": vocabulary}
        start = max(vocabulary.find("\n"), 0)
        example_rows = example(self.dataset, self.recipe)
        return {"": gf.compile(model, example_rows, alignment="next", bos=start, name=name, meta=told)}
