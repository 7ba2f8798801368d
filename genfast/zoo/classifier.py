"""Classifiers of small images: a convolutional one, and a perceptron, which makes an independent judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genfast.zoo.augment import augment
from genfast.zoo.data import Dataset
from genfast.zoo.image_parts import ImageParts

KINDS = ("convolutional", "perceptron")


@dataclass(frozen=True)
class ClassifierRecipe:
    """A classifier and how to train it. `kind`: "convolutional" or "perceptron"; `augmented`: share of training images
    that are shifted by a pixel; the other fields are those of `genfast.zoo.image_task.Recipe`."""

    kind: str = "convolutional"
    channels: int = 16
    dropout: float = 0.2
    augmented: float = 0.2
    epochs: int = 30
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    average: float = 0.99
    validation: float = 0.1
    patience: int = 30
    seed: int = 0

    def task(self, dataset: Dataset) -> ClassifierTask:
        """These images, learnt by this recipe."""
        return ClassifierTask(dataset, self)


class Classifier(nn.Module):
    """Two 3×3 convolutions, each with a ReLU and a 2×2 maximum, and one linear layer.

    forward: x (n, 1, H, W) float in [0, 1] → logits (n, classes).
    """

    def __init__(self, height: int, width: int, classes: int = 10, channels: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.logits = nn.Linear(2 * channels * (height // 4) * (width // 4), classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


class Perceptron(nn.Module):
    """Two hidden layers of tanh units: no weight, and no idea of what is near what, in common with `Classifier`.

    forward: x (n, 1, H, W) float in [0, 1] → logits (n, classes).
    """

    def __init__(self, height: int, width: int, classes: int = 10, channels: int = 64, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(height * width, channels),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(channels, channels),
            nn.Tanh(),
            nn.Dropout(dropout),
        )
        self.logits = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(self.features(x))


class ClassifierTask:
    """See `genfast.zoo.train.Task`. Figures are cross-entropies in nats.

    Raises ValueError for images without labels and for an unknown kind.
    """

    unused = ()
    players = ("",)

    def __init__(self, dataset: Dataset, recipe: ClassifierRecipe) -> None:
        if recipe.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, got {recipe.kind!r}")
        self.dataset, self.recipe = dataset, recipe
        self.parts = ImageParts(dataset, recipe.validation, recipe.batch, recipe.seed, labelled=True)
        self.batches = self.parts.batches

    def build(self) -> nn.Module:
        """The recipe's network for the dataset's images and classes, freshly initialised from torch's generator."""
        network = Classifier if self.recipe.kind == "convolutional" else Perceptron
        height, width = self.dataset.train.shape[2:]
        return network(height, width, self.dataset.classes, self.recipe.channels, self.recipe.dropout)

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
        """The cross-entropy of each batch of an epoch."""
        for images, labels in self.parts.shuffled(rng):
            shifted, _ = augment(images, self.recipe.augmented, rng)
            x, label = self.parts.tensors(shifted, labels)
            yield "", F.cross_entropy(model(x), label)

    @torch.no_grad()
    def bits(self, model: nn.Module) -> dict[str, float]:
        """Cross-entropy in nats on the training, validation and test images."""
        out = {}
        for name in ("train", "validation", "test"):
            x, label = self.parts.tensors(*self.parts.part(name))
            out[name] = float(F.cross_entropy(model(x), label))
        return out

    @torch.no_grad()
    def accuracy(self, model: nn.Module) -> float:
        """Share of the test images that are classified right."""
        x, label = self.parts.tensors(*self.parts.part("test"))
        return float((model(x).argmax(1) == label).double().mean())
