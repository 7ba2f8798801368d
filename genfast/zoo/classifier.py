"""Classifiers of small images: a convolutional one, and a perceptron, which makes an independent judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genfast.zoo.augment import augment
from genfast.zoo.data import Dataset
from genfast.zoo.image_parts import ImageParts
from genfast.zoo.task import Recipe, Task

if TYPE_CHECKING:
    import genfast as gf

KINDS = ("convolutional", "perceptron")


@dataclass(frozen=True)
class ClassifierRecipe(Recipe):
    """A classifier and how to train it. `kind`: "convolutional" or "perceptron"; `augmented`: share of training images
    that are shifted by a pixel."""

    kind: str = "convolutional"
    channels: int = 16
    dropout: float = 0.2
    augmented: float = 0.2
    epochs: int = 30
    learning_rate: float = 3e-3
    average: float = 0.99

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


# Sure of every one of 200 images; half as many steps of plain gradient ascent leave some below 99 %.
ASCENT: dict[str, Any] = {"step_size": 0.05, "steps": 200, "optimizer": "adam", "clip": (0.0, 1.0)}


class ClassifierTask(Task):
    """See `genfast.zoo.task.Task`. Figures are cross-entropies in nats.

    Raises ValueError for images without labels and for an unknown kind.
    """

    unit = "nats"
    pictured = ("-ascent",)

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

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The cross-entropy of each batch of an epoch."""
        for images, labels in self.parts.shuffled(rng):
            shifted, _ = augment(images, self.recipe.augmented, rng)
            x, label = self.parts.tensors(shifted, labels)
            assert label is not None
            yield F.cross_entropy(model(x), label)

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Cross-entropy on the training, validation and test images, and the share of the test images classified
        right."""
        out = {}
        for name in ("train", "validation", "test"):
            x, label = self.parts.tensors(*self.parts.part(name))
            assert label is not None
            logits = model(x)
            out[name] = float(F.cross_entropy(logits, label))
        return {**out, "accuracy": float((logits.argmax(1) == label).double().mean())}

    def headline(self, figures: dict[str, float]) -> dict[str, float]:
        """The accuracy on the test images."""
        return {"accuracy": figures["accuracy"]}

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """From images to logits; and "-ascent", from noise up the gradient to images that the classifier is sure of."""
        import genfast as gf

        example = self.parts.example(labelled=False)
        ascent = gf.compile_ascent(
            model,
            example,
            **ASCENT,
            name=f"{name}-ascent",
            meta={**meta, "image": {"low": 0.0, "high": 1.0}},
        )
        return {"": gf.compile(model, example, latent="given", name=name, meta=meta), "-ascent": ascent}
