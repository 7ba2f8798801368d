"""The parts of an image data set as a task of `genfast.zoo.train` needs them: seeded, in batches, as tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genfast.zoo.data import Dataset
from genfast.zoo.image_task import network_input
from genfast.zoo.task import validation_size

IMAGE = {"low": 0.0, "high": 1.0}  # what black and white are in the outputs of these networks


class ImageParts:
    """Training, validation and test part of `dataset`, the validation part a seeded share of the training images.

    Raises ValueError when an image is smaller than 4 × 4, or the labels that are asked for are not there.
    """

    def __init__(self, dataset: Dataset, validation: float, batch: int, seed: int, labelled: bool = False) -> None:
        height, width = dataset.train.shape[2:]
        if min(height, width) < 4:
            raise ValueError(f"{dataset.name}: images of {height} × {width}; this model takes 4 × 4 and larger ones")
        if labelled and dataset.train_labels is None:
            raise ValueError(
                f"{dataset.name}: the images have no labels, which this model learns; give each class a subfolder"
            )
        self.dataset, self.batch = dataset, batch
        order = np.random.Generator(np.random.PCG64([seed, 0])).permutation(len(dataset.train))
        cut = validation_size(len(order), validation)
        self.rows = {"train": order[cut:], "validation": order[:cut]}
        self.batches = -(-len(self.rows["train"]) // batch)

    def part(self, name: str, most: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None]:
        """Levels (n, 1, H, W) and labels (n,) of "train", "validation" or "test"; of the first `most` images."""
        data = self.dataset
        if name == "test":
            return data.test[:most], None if data.test_labels is None else data.test_labels[:most]
        rows = self.rows[name][:most]
        return data.train[rows], None if data.train_labels is None else data.train_labels[rows]

    def shuffled(self, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64] | None]]:
        """The training part in the batches of one epoch."""
        data, rows = self.dataset, rng.permutation(self.rows["train"])
        for start in range(0, len(rows), self.batch):
            part = rows[start : start + self.batch]
            yield data.train[part], None if data.train_labels is None else data.train_labels[part]

    def tensors(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> tuple[Tensor, Tensor | None]:
        """Images as networks take them, (n, 1, H, W) float in [0, 1], and labels (n,) int64."""
        return network_input(images, self.dataset.levels), None if labels is None else torch.from_numpy(labels)

    def example(self, labelled: bool = True) -> tuple[Tensor, ...]:
        """Two training images and their labels, for `genfast.compile`."""
        images, labels = self.dataset.train[:2], self.dataset.train_labels
        x, label = self.tensors(images, None if labels is None or not labelled else labels[:2])
        return (x,) if label is None else (x, label)

    def example_code(self, code: int, labelled: bool = True) -> tuple[Tensor, ...]:
        """As `example`, with codes (2, code) in the place of the images."""
        return torch.zeros(2, code), *self.example(labelled)[1:]
