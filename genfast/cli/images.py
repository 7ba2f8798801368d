"""Levels to pictures: a grid, a folder of PNGs or an .npz file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genfast.whole_file import whole_file

GAP = 2


def shown(model: Any, samples: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """A model's samples as levels, and how many levels there are: as they are, or where the model has an output, 256
    levels of what its file says are black and white, ``meta["image"] = {"low": …, "high": …}``.

    Raises ValueError where neither is known.
    """
    if model.output_shape is None:
        if model.levels is None:
            raise ValueError("the sites of this model are numbers without levels: write an .npz file")
        return samples, model.levels
    told = model.meta.get("image")
    low, high = (told.get("low"), told.get("high")) if isinstance(told, dict) else (None, None)
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low < high:
        raise ValueError("this model's file does not say that its output is an image: write an .npz file")
    return np.rint((samples.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8), 256


def to_bytes(samples: NDArray[Any], levels: int) -> NDArray[np.uint8]:
    """Levels (n, H, W), (n, 1, H, W) or (n, 3, H, W) to bytes (n, H, W) or (n, H, W, 3), black to white.

    Raises ValueError for any other shape, which is no picture.
    """
    if samples.ndim == 4 and samples.shape[1] == 1:
        samples = samples[:, 0]
    elif samples.ndim == 4 and samples.shape[1] == 3:
        samples = np.moveaxis(samples, 1, -1)
    elif samples.ndim != 3:
        raise ValueError(f"samples of shape {samples.shape[1:]} are no pictures; write an .npz file instead")
    return np.rint(samples * (255 / max(levels - 1, 1))).astype(np.uint8)


def beside(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures (H, W[, 3]) of like kinds side by side, on white."""
    height = max(picture.shape[0] for picture in pictures)
    out: list[NDArray[np.uint8]] = []
    for picture in pictures:
        below = ((0, height - picture.shape[0]), (0, 4 * GAP if len(out) < len(pictures) - 1 else 0))
        out.append(np.pad(picture, (*below, *((0, 0),) * (picture.ndim - 2)), constant_values=255))
    return np.concatenate(out, axis=1)


def grid(pictures: NDArray[np.uint8], columns: int | None = None, scale: int | None = None) -> NDArray[np.uint8]:
    """Pictures (n, H, W[, 3]) side by side on white, each pixel `scale` × `scale`; by default nearly square and
    legible."""
    count, height, width = pictures.shape[:3]
    columns = min(columns or math.ceil(math.sqrt(count)), max(count, 1))
    rows = math.ceil(count / columns)
    scale = scale or max(1, round(40 / max(height, width)))
    height, width = height * scale, width * scale
    pictures = pictures.repeat(scale, axis=1).repeat(scale, axis=2)
    shape = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, *pictures.shape[3:])
    out = np.full(shape, 255, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        y, x = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        out[y : y + height, x : x + width] = picture
    return out


def save_png(path: Path, picture: NDArray[np.uint8]) -> None:
    """Grey (H, W) or colour (H, W, 3) bytes to a PNG file, whole or not at all. Raises OSError when that fails."""
    from PIL import Image

    with whole_file(path) as file:
        Image.fromarray(picture).save(file, format="PNG", optimize=True)


def kind_of(path: Path) -> str:
    """ "png", "npz" or "folder" (no suffix, or a folder that exists). Raises ValueError for any other suffix, and for a
    file without one."""
    if path.is_dir() or not (path.suffix or path.exists()):
        return "folder"
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("png", "npz"):
        raise ValueError(f"{path}: the output is a .png file, an .npz file or a folder")
    return kind


def save(
    path: Path,
    samples: NDArray[Any],
    levels: int,
    first_row: int = 0,
    columns: int | None = None,
    scale: int | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write samples (n, ...) to what `path` names; `extra` goes into an .npz file only. Files of a folder carry row
    ids."""
    kind = kind_of(path)
    if kind == "npz":
        with whole_file(path) as file:
            np.savez_compressed(file, samples=samples, levels=levels, first_row=first_row, **(extra or {}))
        return
    pictures = to_bytes(samples, levels)
    if kind == "png":
        if not len(pictures):
            raise ValueError("no samples, no picture: ask for at least one")
        save_png(path, grid(pictures, columns, scale))
        return
    path.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        save_png(path / f"{first_row + i:06d}.png", picture.repeat(scale or 1, axis=0).repeat(scale or 1, axis=1))
