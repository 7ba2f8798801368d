"""The figures of one generator on the comparison page: its images against the training images of the same data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import genfast as gf
from genfast.zoo import metrics
from genfast.zoo.data import Dataset
from genfast.zoo.judge import Judge

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def to_levels(images: NDArray[Any], levels: int, low: float = 0.0, high: float = 1.0) -> NDArray[np.uint8]:
    """Numbers in [low, high] to the nearest of `levels` grey levels; what lies outside takes the nearest end.

    Raises ValueError for NaN.
    """
    if np.isnan(images).any():
        raise ValueError("images hold NaN")
    scaled = (np.asarray(images, np.float64) - low) / (high - low) * (levels - 1)
    return np.rint(np.clip(scaled, 0, levels - 1)).astype(np.uint8)


def is_conditional(model: gf.Model) -> bool:
    return any(condition["name"] == "label" for condition in model.conditions)


def draw(model: gf.Model, labels: NDArray[np.int64], levels: int, seed: int) -> NDArray[np.uint8]:
    """Grey levels (n, 1, H, W), one image for each label; a model that takes no label ignores them."""
    condition = {"label": labels} if is_conditional(model) else None
    samples = model.sample(len(labels), rng=seed, condition=condition)
    if model.output_shape is None:
        return samples.astype(np.uint8)
    limits = model.meta.get("image", {})
    return to_levels(samples, levels, limits.get("low", 0.0), limits.get("high", 1.0))


@dataclass(frozen=True)
class Reference:
    """What every generator is measured against.

    dataset, judge. sets: numbers of disjoint training images, as many as one set of generated images holds.
    labels: those to generate, set after set. train_spread: of the training images, see `within_class_distance`.
    test_distances: of the test images to the training images.
    """

    dataset: Dataset
    judge: Judge
    sets: list[NDArray[np.int64]]
    labels: NDArray[np.int64]
    train_spread: float
    test_distances: NDArray[np.float64]

    @classmethod
    def of(cls, dataset: Dataset, judge: Judge, sets: int, images: int) -> Reference:
        """Raises ValueError where the data has no labels or too few images for the sets."""
        if dataset.train_labels is None or dataset.test_labels is None:
            raise ValueError(f"{dataset.name}: the comparison needs labels")
        if images > len(dataset.test) or sets * images > len(dataset.train):
            raise ValueError(f"{dataset.name}: too few images for {sets} sets of {images}")
        train, test = unit(dataset.train, dataset.levels), unit(dataset.test, dataset.levels)
        return cls(
            dataset,
            judge,
            list(np.arange(sets * images).reshape(sets, images)),
            np.tile(dataset.test_labels[:images], sets),
            metrics.within_class_distance(train, dataset.train_labels),
            metrics.nearest(test, train)[0],
        )

    def figures(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> dict[str, Any]:
        """Of images (sets · n, 1, H, W), or of n that are compared with every set of training images. labels: those
        that were asked for; None where the model takes none, and the judge's opinion stands for them."""
        levels = self.dataset.levels
        pixels = unit(images, levels)
        features, probabilities = self.judge.look(pixels)
        train_features = self.judge.look(unit(self.dataset.train, levels))[0]
        parts = np.split(features, len(self.sets)) if len(features) > len(self.sets[0]) else [features] * len(self.sets)
        pairs = [(train_features[rows], part) for rows, part in zip(self.sets, parts, strict=True)]
        precision, recall = np.transpose([metrics.precision_recall(*pair) for pair in pairs])
        judged = probabilities.argmax(1)
        away = metrics.nearest(pixels, unit(self.dataset.train, levels))[0]
        spread = metrics.within_class_distance(pixels, judged if labels is None else labels)
        return {
            "frechet": mean_and_deviation([metrics.frechet_distance(*pair) for pair in pairs]),
            "precision": mean_and_deviation(precision),
            "recall": mean_and_deviation(recall),
            "nearest": np.quantile(away, QUANTILES).tolist(),
            "closer_share": metrics.closer_share(away, self.test_distances),
            "accuracy": None if labels is None else float((judged == labels).mean()),
            "entropy": metrics.class_entropy(judged, self.dataset.classes),
            "histogram": np.bincount(judged, minlength=self.dataset.classes).tolist(),
            "spread": spread / self.train_spread,
        }

    def real(self) -> dict[str, Any]:
        """The figures of the test images."""
        images = len(self.sets[0])
        assert self.dataset.test_labels is not None
        return self.figures(self.dataset.test[:images], self.dataset.test_labels[:images])


def unit(images: NDArray[np.uint8], levels: int) -> NDArray[np.float32]:
    """Grey levels to float32 in [0, 1]."""
    return (images / np.float64(levels - 1)).astype(np.float32)


def mean_and_deviation(values: Any) -> list[float]:
    """Mean, and standard deviation of one value (0 for a single one)."""
    array = np.asarray(values, np.float64)
    return [float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0]


def bits_per_dim(model: gf.Model, dataset: Dataset) -> float | None:
    """Test bits per dimension of a model of the images themselves; None where a sample's density is not known."""
    if model.output_shape is not None:
        return None
    condition = {"label": dataset.test_labels} if is_conditional(model) else None
    return float(model.bits_per_dim(dataset.test, condition=condition).mean())


def measure(model: gf.Model, drawn: NDArray[np.uint8], reference: Reference) -> dict[str, Any]:
    """All figures of a model and of its images, drawn for the labels of the reference."""
    labels = reference.labels if is_conditional(model) else None
    return {"bits": bits_per_dim(model, reference.dataset), **reference.figures(drawn, labels)}
