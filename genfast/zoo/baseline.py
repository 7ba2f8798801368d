"""The simplest models of the data, each of which a network must beat: independent pixels, and a Markov chain."""

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


def markov_chain(train: NDArray[np.uint8], test: NDArray[np.uint8], levels: int, order: int = 2) -> float:
    """Test bits per token of the Markov chain of the given order, its counts smoothed by those of the order below
    (Witten & Bell, "The Zero-Frequency Problem", IEEE Trans. Inf. Theory 37, 1991, method C).

    train, test: (T,) uint8 in [0, levels), the test part right behind the training part.
    """
    tokens = np.concatenate([train, test]).astype(np.int64)
    p = np.full(len(test), 1 / levels)
    for k in range(order + 1):
        grams = tokens[k:].copy()  # the last k + 1 tokens before and at each place, as one number
        for back in range(1, k + 1):
            grams += levels**back * tokens[k - back : len(tokens) - back]
        counts = np.bincount(grams[: len(train) - k], minlength=levels ** (k + 1)).reshape(-1, levels)
        seen, kinds = counts.sum(1), (counts > 0).sum(1)
        context, token = np.divmod(grams[len(train) - k :], levels)
        weight = np.where(seen[context] > 0, kinds[context], 1)
        p = (counts[context, token] + weight * p) / (seen[context] + weight)
    return float(-np.log2(p).mean())
