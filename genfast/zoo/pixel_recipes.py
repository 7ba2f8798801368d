"""The recipes of the autoregressive models of images. Their sizes suit 8×8 digits and minutes of one core."""

from __future__ import annotations

from dataclasses import dataclass

from genfast.zoo.data import Dataset
from genfast.zoo.gated import GatedPixelCNN
from genfast.zoo.image_task import ImageRecipe
from genfast.zoo.imagegpt import ImageGPT
from genfast.zoo.independent import IndependentTask
from genfast.zoo.made import MADE
from genfast.zoo.pixelcnn import PixelCNN
from genfast.zoo.task import Recipe


@dataclass(frozen=True)
class IndependentRecipe(Recipe):
    """One histogram a pixel and class: counted, not trained. `smoothing`: how many images the histogram of all classes
    together weighs beside those of one class."""

    epochs: int = 1
    validation: float = 0.0
    smoothing: float = 8.0

    def task(self, dataset: Dataset) -> IndependentTask:
        """These images, counted."""
        return IndependentTask(dataset, self)


@dataclass(frozen=True)
class PixelCNNRecipe(ImageRecipe):
    """See `genfast.zoo.pixelcnn.PixelCNN`."""

    channels: int = 48
    blocks: int = 5
    head_channels: int = 48
    dropout: float = 0.2
    epochs: int = 120

    def network(self, dataset: Dataset, augmentations: int) -> PixelCNN:
        """A PixelCNN for the dataset's levels and classes."""
        return PixelCNN(
            dataset.levels,
            self.channels,
            self.blocks,
            self.head_channels,
            dataset.classes,
            augmentations,
            self.dropout,
        )


@dataclass(frozen=True)
class GatedRecipe(ImageRecipe):
    """See `genfast.zoo.gated.GatedPixelCNN`."""

    channels: int = 24
    layers: int = 5
    head_channels: int = 48
    dropout: float = 0.2
    epochs: int = 140

    def network(self, dataset: Dataset, augmentations: int) -> GatedPixelCNN:
        """A Gated PixelCNN for the dataset's levels and classes."""
        return GatedPixelCNN(
            dataset.levels,
            self.channels,
            self.layers,
            dataset.classes,
            self.head_channels,
            augmentations,
            self.dropout,
        )


@dataclass(frozen=True)
class ImageGPTRecipe(ImageRecipe):
    """See `genfast.zoo.imagegpt.ImageGPT`."""

    channels: int = 32
    layers: int = 3
    heads: int = 4
    dropout: float = 0.1
    epochs: int = 160

    def network(self, dataset: Dataset, augmentations: int) -> ImageGPT:
        """An ImageGPT for the dataset's levels, size and classes."""
        return ImageGPT(
            dataset.levels,
            dataset.train.shape[2:],
            self.channels,
            self.layers,
            self.heads,
            dataset.classes,
            augmentations,
            self.dropout,
        )


@dataclass(frozen=True)
class MADERecipe(ImageRecipe):
    """See `genfast.zoo.made.MADE`."""

    hidden: int = 128
    layers: int = 1
    features: int = 4
    head_channels: int = 32
    dropout: float = 0.0
    epochs: int = 150
    learning_rate: float = 5e-3

    def network(self, dataset: Dataset, augmentations: int) -> MADE:
        """A MADE for the dataset's levels, size and classes."""
        return MADE(
            dataset.levels,
            dataset.train.shape[2:],
            self.hidden,
            self.layers,
            self.features,
            self.head_channels,
            dataset.classes,
            augmentations,
            self.dropout,
        )
