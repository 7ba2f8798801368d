"""The judge of the comparison page: a classifier that no generator has met, and the features it judges by.

It is trained inside the command that needs it, in seconds, with its own seed and its own architecture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genfast.zoo.augment import augment
from genfast.zoo.data import Dataset
from genfast.zoo.image_task import network_input
from genfast.zoo.train import deterministic


class JudgeNetwork(nn.Module):
    """Two 3×3 convolutions, the second with stride 2, and a layer of `features`, before the classes.

    forward: x (n, 1, H, W) float in [0, 1] → features (n, features), non-negative, and logits (n, classes).
    """

    def __init__(self, height: int, width: int, classes: int, channels: int = 24, features: int = 32) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.features = nn.Linear(2 * channels * ((height + 1) // 2) * ((width + 1) // 2), features)
        self.logits = nn.Linear(features, classes)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.second(F.relu(self.first(x))))
        features = F.relu(self.features(self.dropout(hidden.flatten(1))))
        return features, self.logits(self.dropout(features))


@dataclass(frozen=True)
class Judge:
    """A trained network in eval mode, and the share of the held-out images that it classifies correctly."""

    network: JudgeNetwork
    test_accuracy: float

    @torch.no_grad()
    def look(self, images: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features (n, features) and class probabilities (n, classes) of images (n, 1, H, W) in [0, 1]."""
        parts = [self.network(part) for part in torch.from_numpy(np.ascontiguousarray(images, np.float32)).split(512)]
        features, logits = (torch.cat(each).double() for each in zip(*parts, strict=True))
        return features.numpy(), logits.softmax(1).numpy()


def train_judge(dataset: Dataset, seed: int = 0, epochs: int = 60, batch: int = 32) -> Judge:
    """A judge of the dataset's classes, trained on its training images, half of them shifted by a pixel.

    The same seed, data and thread count give the same judge. Raises ValueError for data without labels.
    """
    if dataset.train_labels is None or dataset.test_labels is None:
        raise ValueError(f"{dataset.name}: a judge needs labels")
    rng = np.random.Generator(np.random.PCG64([seed, 0]))
    with deterministic(1):
        torch.manual_seed(seed)
        height, width = dataset.train.shape[2:]
        network = JudgeNetwork(height, width, dataset.classes)
        optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
        steps = epochs * -(-len(dataset.train) // batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 * (1 + math.cos(math.pi * k / steps)))
        for _ in range(epochs):
            rows = rng.permutation(len(dataset.train))
            for start in range(0, len(rows), batch):
                part = rows[start : start + batch]
                images, _ = augment(dataset.train[part], 0.5, rng)
                logits = network(network_input(images, dataset.levels))[1]
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(logits, torch.from_numpy(dataset.train_labels[part])).backward()
                optimizer.step()
                schedule.step()
        judge = Judge(network.eval(), 0.0)
        probabilities = judge.look(network_input(dataset.test, dataset.levels).numpy())[1]
    return Judge(network, float((probabilities.argmax(1) == dataset.test_labels).mean()))
