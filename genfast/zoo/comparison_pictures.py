"""The pictures of the comparison page: grids of images, and the distances to the training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import genfast as gf
from genfast.whole_file import whole_file
from genfast.zoo import metrics
from genfast.zoo.comparison_measures import draw
from genfast.zoo.data import Dataset

SCALE, GAP, PER_CLASS = 3, 2, 10


def grid(images: NDArray[np.uint8], columns: int, levels: int) -> NDArray[np.uint8]:
    """Grey levels (n, 1, H, W), row after row of `columns`, as one picture (bytes) on white."""
    height, width = (SCALE * side for side in images.shape[2:])
    rows = -(-len(images) // columns)
    out = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP), 255, np.uint8)
    shades = np.rint(images[:, 0] * (255 / (levels - 1))).astype(np.uint8)
    for i, shade in enumerate(shades.repeat(SCALE, 1).repeat(SCALE, 2)):
        y, x = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        out[y : y + height, x : x + width] = shade
    return out


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    """Bytes (H, W) as PNG. Raises ImportError without pillow."""
    from PIL import Image

    with whole_file(path) as file:
        Image.fromarray(picture).save(file, format="PNG", optimize=True)


def beside_nearest(images: NDArray[np.uint8], dataset: Dataset, columns: int) -> NDArray[np.uint8]:
    """Every row of images is followed by a row of the nearest training images, pixel by pixel."""
    near = dataset.train[metrics.nearest(images / 1.0, dataset.train / 1.0)[1]]
    shape = (-1, columns, *images.shape[1:])
    both = np.stack([images.reshape(shape), near.reshape(shape)], axis=1)
    return grid(both.reshape(-1, *images.shape[1:]), columns, dataset.levels)


def by_class(images: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, each: int) -> NDArray[np.uint8]:
    """The first `each` images of every class, class after class."""
    return np.concatenate([images[labels == label][:each] for label in range(classes)])


def save_real(folder: Path, dataset: Dataset) -> None:
    """real.png, test images by class, and real-nearest.png, some of them beside the nearest training images."""
    assert dataset.test_labels is not None
    save(
        folder / "real.png",
        grid(by_class(dataset.test, dataset.test_labels, dataset.classes, PER_CLASS), PER_CLASS, dataset.levels),
    )
    few = by_class(dataset.test, dataset.test_labels, dataset.classes, 3)
    save(folder / "real-nearest.png", beside_nearest(few, dataset, PER_CLASS))


def save_samples(folder: Path, name: str, model: gf.Model, dataset: Dataset, seed: int) -> None:
    """NAME.png, the first samples of the seed, a row for each class; NAME-nearest.png, the first three of each row
    beside the nearest training images."""
    labels = np.repeat(np.arange(dataset.classes), PER_CLASS)
    drawn = draw(model, labels, dataset.levels, seed)
    save(folder / f"{name}.png", grid(drawn, PER_CLASS, dataset.levels))
    few = by_class(drawn, labels, dataset.classes, 3)
    save(folder / f"{name}-nearest.png", beside_nearest(few, dataset, PER_CLASS))


def save_fooling(folder: Path, rows: list[dict[str, Any]], levels: int) -> None:
    """fooling.png: for each class the start, the ascent's image, and what both classifiers say of it."""
    plt = _pyplot()
    figure, axes = plt.subplots(2, len(rows), figsize=(1.05 * len(rows), 2.7))
    for row, (start, image) in zip(rows, axes.T, strict=True):
        start.imshow(row["start"], cmap="gray", vmin=0, vmax=1)
        image.imshow(np.array(row["image"]) / (levels - 1), cmap="gray", vmin=0, vmax=1)
        start.set_title(f"to be a {row['label']}", fontsize=8)
        judged, share = row["judged"], row["judged_confidence"]
        image.set_xlabel(f"attacked: {row['confidence']:.2%}\njudge: {judged}, {share:.0%}", fontsize=7)
        for axis in (start, image):
            axis.set_xticks([])
            axis.set_yticks([])
    figure.tight_layout(pad=0.4)
    figure.savefig(folder / "fooling.png", dpi=110)
    plt.close(figure)


def save_distances(folder: Path, result: dict[str, Any]) -> None:
    """distances.png: quantiles of the distance to the nearest training image, of every generator and of test images."""
    plt = _pyplot()
    entries = [("test images", result["real"])]
    entries += [(entry["title"], entry) for entry in result["generators"].values()]
    boxes = [
        {"label": title, "whislo": q[0], "q1": q[1], "med": q[2], "q3": q[3], "whishi": q[4]}
        for title, q in ((title, entry["nearest"]) for title, entry in entries)
    ]
    figure, axis = plt.subplots(figsize=(7, 0.6 + 0.32 * len(boxes)))
    axis.bxp(boxes[::-1], showfliers=False, orientation="horizontal")
    axis.axvline(result["real"]["nearest"][2], color="0.7", lw=0.8, zorder=0)
    axis.set(xlabel="distance to the nearest training image", xlim=(0, None))
    axis.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(folder / "distances.png", dpi=110)
    plt.close(figure)


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise ModuleNotFoundError("the comparison page needs matplotlib: pip install 'genfast[viz]'") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    return plt
