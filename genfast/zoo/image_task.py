"""The task of learning images pixel after pixel: batches and loss of an autoregressive network that puts out the logits
of every pixel's level, for `genfast.zoo.train`."""

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

from genfast.zoo.augment import AUGMENTATIONS, augment
from genfast.zoo.data import Dataset
from genfast.zoo.task import Recipe, Task, validation_size

if TYPE_CHECKING:
    import genfast as gf


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """An autoregressive network of images and how to train it. `augmented`: share of training images that are
    augmented."""

    augmented: float = 0.5

    def task(self, dataset: Dataset) -> ImageTask:
        """These images, learnt by this recipe."""
        return ImageTask(dataset, self)

    def network(self, dataset: Dataset, augmentations: int) -> nn.Module:
        """forward(x, label, augmentation) → logits (n, levels, H, W), x as `network_input` gives it; without classes
        label is None, and with `augmentations` kinds of training images augmentation is (n,) int64 or None."""
        raise NotImplementedError


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


class ImageTask(Task):
    """See `genfast.zoo.task.Task`. The validation part is a seeded share of the training images."""

    unused = ("augmentation",)

    def __init__(self, dataset: Dataset, recipe: ImageRecipe) -> None:
        self.dataset, self.recipe = dataset, recipe
        order = np.random.Generator(np.random.PCG64([recipe.seed, 0])).permutation(len(dataset.train))
        cut = validation_size(len(order), recipe.validation)
        self.parts = {"validation": order[:cut], "train": order[cut:]}
        self.batches = -(-len(self.parts["train"]) // recipe.batch)

    def build(self) -> nn.Module:
        """The recipe's network for the dataset's levels, size and classes."""
        return self.recipe.network(self.dataset, AUGMENTATIONS if self.recipe.augmented else 0)

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The training loss of each batch of an epoch, to be differentiated before the next is asked for."""
        data, recipe = self.dataset, self.recipe
        rows = rng.permutation(self.parts["train"])
        for start in range(0, len(rows), recipe.batch):
            part = rows[start : start + recipe.batch]
            images, kind = augment(data.train[part], recipe.augmented, rng)
            label = None if data.train_labels is None else torch.from_numpy(data.train_labels[part])
            told = torch.from_numpy(kind) if recipe.augmented else None
            yield loss(model, images, data.levels, label, told)

    def figures(self, model: nn.Module) -> dict[str, float]:
        """Bits per dimension on the training, validation and test images."""
        data = self.dataset
        out = {}
        for name, rows in (("train", self.parts["train"]), ("validation", self.parts["validation"])):
            labels = None if data.train_labels is None else data.train_labels[rows]
            out[name] = bits_per_dim(model, data.train[rows], labels, data.levels)
        out["test"] = bits_per_dim(model, data.test, data.test_labels, data.levels)
        return out

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """One model of the levels, given the label."""
        import genfast as gf

        head = gf.heads.Categorical(self.dataset.levels)
        return {"": gf.compile(model, example(self.dataset), head=head, name=name, meta=meta)}
