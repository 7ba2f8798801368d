"""Measures of generated images against real ones. NumPy only; points are rows of any features, pixels included."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 1024  # rows of a distance matrix that are computed at once


def _points(x: ArrayLike, name: str, least: int = 1) -> NDArray[np.float64]:
    """Rows as (n, d) float64. Raises ValueError naming the argument."""
    points = np.asarray(x, np.float64)
    if points.ndim < 2 or len(points) < least or not points.size:
        raise ValueError(f"{name} must be at least {least} rows of features, got shape {np.shape(x)}")
    points = points.reshape(len(points), -1)
    if not np.isfinite(points).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return points


def _pair(a: ArrayLike, b: ArrayLike, names: tuple[str, str], least: int = 1) -> tuple[NDArray, NDArray]:
    left, right = _points(a, names[0], least), _points(b, names[1], least)
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"{names[0]} has {left.shape[1]} features a row, {names[1]} {right.shape[1]}")
    return left, right


def distances(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Euclidean distances (n, m) between the rows of a (n, …) and of b (m, …).

    Differences are taken before they are squared, so that equal rows are exactly 0 apart. Raises ValueError for rows of
    unequal size, for none, and for NaN.
    """
    left, right = _pair(a, b, ("a", "b"))
    out = np.empty((len(left), len(right)))
    step = max(1, BLOCK * BLOCK // right.size)
    for start in range(0, len(left), step):
        difference = left[start : start + step, None] - right
        out[start : start + step] = np.sqrt(np.einsum("nmd,nmd->nm", difference, difference))
    return out


def nearest(x: ArrayLike, pool: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The distance (n,) of each row of x to the nearest row of the pool, and that row's index (n,); the first in ties.

    Raises ValueError as `distances`.
    """
    matrix = distances(x, pool)
    index = matrix.argmin(1)
    return np.take_along_axis(matrix, index[:, None], 1)[:, 0], index.astype(np.int64)


def closer_share(generated: ArrayLike, held_out: ArrayLike) -> float:
    """P(g < t) + P(g = t) / 2 for distances g (n,) and t (m,) to the training set of generated and of held-out data.

    The Mann–Whitney statistic that Meehan, Chaudhuri & Dasgupta, "A Non-Parametric Test to Detect Data-Copying in
    Generative Models", AISTATS 2020, build on: 0.5 where generated images are as far from the training set as new
    real ones are, 1 where all of them are nearer. Raises ValueError for none, or NaN.
    """
    ours, theirs = (
        _points(np.asarray(x)[:, None], name)[:, 0] for x, name in ((generated, "generated"), (held_out, "held_out"))
    )
    ranked = np.sort(theirs)
    below, upto = np.searchsorted(ranked, ours, "left"), np.searchsorted(ranked, ours, "right")
    return float(1 - (below + upto).mean() / (2 * len(ranked)))


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """Squared Fréchet distance between normal distributions fitted to features a (n, d) and b (m, d):
    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), the form of the FID.

    Dowson & Landau, "The Fréchet Distance between Multivariate Normal Distributions", 1982; Heusel et al., "GANs
    Trained by a Two Time-Scale Update Rule…", NIPS 2017. It is biased upwards for few rows: compare like with like.
    Raises ValueError for fewer than 2 rows, unequal d, or NaN.
    """
    left, right = _pair(a, b, ("a", "b"), least=2)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (left, right))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    # The eigenvalues of Σ_a Σ_b are those of this symmetric product, which no rounding makes complex.
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)).sum()
    apart = left.mean(0) - right.mean(0)
    return float(max(apart @ apart + np.trace(cov_a) + np.trace(cov_b) - 2 * cross, 0.0))


def _inside(x: NDArray, support: NDArray, k: int) -> float:
    """Share of x within the distance of some support point to its k-th nearest other support point."""
    radius = np.partition(distances(support, support), k, axis=1)[:, k]  # the 0th nearest is the point itself
    return float((distances(x, support) <= radius).any(1).mean())


def precision_recall(real: ArrayLike, generated: ArrayLike, k: int = 3) -> tuple[float, float]:
    """Share of generated features that lie in the support of the real ones, and the other way round.

    The support of a set is the union of balls around its points that reach their k-th nearest neighbour in the set:
    Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019 (k = 3).
    real (n, d), generated (m, d); they should be equally many. Raises ValueError unless 1 ≤ k < n, m, and as
    `distances`.
    """
    left, right = _pair(real, generated, ("real", "generated"))
    if not 1 <= k < min(len(left), len(right)):
        raise ValueError(f"k must be at least 1 and less than the rows of each set, got {k}")
    return _inside(right, left, k), _inside(left, right, k)


def class_entropy(labels: ArrayLike, classes: int) -> float:
    """Entropy in bits of the histogram of labels (n,) in 0 … classes − 1: log2(classes) where all are equally frequent,
    0 where there is only one.

    Raises ValueError for a label out of range and for none.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not len(array) or array.min() < 0 or array.max() >= classes:
        raise ValueError(f"labels must be a row of integers from 0 to {classes - 1}")
    p = np.bincount(array, minlength=classes) / len(array)
    return float(-(p[p > 0] * np.log2(p[p > 0])).sum() + 0.0)


def within_class_distance(x: ArrayLike, labels: ArrayLike) -> float:
    """Mean distance between two different rows of x (n, …) of one class, then the mean over classes: 0 where every
    class has collapsed to one image.

    labels (n,) int; classes with a single row are left out. Raises ValueError where that leaves none, and as
    `distances`.
    """
    points, groups = _points(x, "x"), np.asarray(labels)
    if groups.shape != (len(points),):
        raise ValueError(f"labels must have shape ({len(points)},), got {groups.shape}")
    means = []
    for group in np.unique(groups):
        rows = points[groups == group]
        if len(rows) > 1:
            means.append(distances(rows, rows).sum() / (len(rows) * (len(rows) - 1)))
    if not means:
        raise ValueError("no class has two rows")
    return float(np.mean(means))
