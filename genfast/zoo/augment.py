"""Shifted copies of small images, with the kind of each, which the network is told (see GatedPixelCNN)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHIFTS = [(0, 0), *((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))]
AUGMENTATIONS = len(SHIFTS)


def augment(
    images: NDArray[np.uint8], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Shift about `share` of the images (n, 1, H, W) by one pixel in one of eight directions, filling with zeros.

    Returns new images and the kind of each, (n,) int64: 0 where the image is untouched.
    """
    kinds = np.where(rng.random(len(images)) < share, rng.integers(1, AUGMENTATIONS, len(images)), 0)
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    out = images.copy()
    for i, kind in enumerate(kinds):
        if kind:
            y, x = SHIFTS[kind]
            out[i] = padded[i, :, 1 - y : 1 - y + height, 1 - x : 1 - x + width]
    return out, kinds.astype(np.int64)
