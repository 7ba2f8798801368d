"""The simplest model of images: every pixel on its own. What a network must beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def independent_pixels(train: NDArray[np.uint8], test: NDArray[np.uint8], levels: int) -> float:
    """Test bits per dimension of one histogram a pixel, with one added to every count (Laplace smoothing).

    train, test: (n, ...) uint8 in [0, levels). The pixels' histograms are counted on `train` alone.
    """
    counts = np.ones((levels, *train.shape[1:]))
    for level in range(levels):
        counts[level] += (train == level).sum(axis=0)
    bits = -np.log2(counts / counts.sum(axis=0))
    return float(np.take_along_axis(bits, test.astype(np.int64), axis=0).mean())
