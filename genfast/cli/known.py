"""What `genfast complete` keeps: a mask from the command line, and the levels of given images."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

SIDES = {"top": 0, "bottom": 0, "left": 1, "right": 1}


def mask(text: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels of an image (H, W) are known: `top-half` (or bottom, left, right), `top=3` (so many rows or
    columns), or @FILE.npy with zeros and ones.

    Raises ValueError for anything else, OSError when the file cannot be read.
    """
    if text.startswith("@"):
        try:
            table = np.load(text[1:], allow_pickle=False)
        except (ValueError, EOFError, BadZipFile):
            table = None
        if not isinstance(table, np.ndarray) or table.dtype.kind not in "biu" or table.shape != shape:
            raise ValueError(f"--known {text}: not an .npy file of {' × '.join(map(str, shape))} zeros and ones")
        return table != 0
    found = re.fullmatch(r"(top|bottom|left|right)(?:-half|=(\d+))", text)
    if not found:
        raise ValueError(f"--known {text!r}: write top-half, top=3 (rows), likewise bottom, left, right; or @FILE.npy")
    side, number = found.groups()
    axis = SIDES[side]
    size = shape[axis]
    count = size // 2 if number is None else int(number)
    if count > size:
        raise ValueError(f"--known {text}: the images have {size} {'columns' if axis else 'rows'}")
    line = np.arange(size) < count if side in ("top", "left") else np.arange(size) >= size - count
    return np.broadcast_to(line[None, :] if axis else line[:, None], shape).copy()


def read_images(path: Path, model: Any) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Images (n, *input_shape) as the model's levels, and the conditions that came with them: an .npz file that
    `genfast sample` or `genfast generate` wrote, an .npy file of levels, a picture or a folder of pictures in the
    model's size.

    Raises ValueError for other contents, OSError when the file cannot be read.
    """
    shape = model.input_shape
    if path.suffix == ".npz" or path.suffix == ".npy":
        try:
            with open(path, "rb") as stream:
                loaded = np.load(stream, allow_pickle=False)
                table = loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
        except (ValueError, EOFError, KeyError, RuntimeError, BadZipFile, zlib.error):
            raise ValueError(f"{path}: not an .npy file, nor an .npz file of genfast") from None
        samples = table if isinstance(table, np.ndarray) else table.get("samples")
        if samples is None or samples.shape[1:] != shape:
            given = "no samples" if samples is None else f"an array of {samples.shape}"
            raise ValueError(f"{path}: images of shape (n, {', '.join(map(str, shape))}) are needed, got {given}")
        told = {} if isinstance(table, np.ndarray) else table
        if not len(samples):
            raise ValueError(f"{path}: no images")
        start = "condition_"
        conditions = {name.removeprefix(start): rows for name, rows in told.items() if name.startswith(start)}
        if "labels" in told:  # as `genfast generate` writes them
            conditions.setdefault("label", told["labels"])
        for name, rows in conditions.items():
            if len(np.atleast_1d(rows)) != len(samples):
                raise ValueError(f"{path}: {len(samples)} images, and a {name} of {len(np.atleast_1d(rows))}")
        return samples, conditions
    from PIL import Image, UnidentifiedImageError

    from genfast.cli import images

    files = sorted(path.glob("*.png")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no .png files in this folder")
    blank = images.to_bytes(np.zeros((1, *shape), np.uint8), model.levels)  # its error for what is no picture
    pictures = []
    for file in files:
        try:
            with Image.open(file) as image:
                picture = np.asarray(image.convert("RGB" if blank.ndim == 4 else "L"))
        except UnidentifiedImageError:
            raise ValueError(f"{file}: not a picture") from None
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow says of damaged files
            if isinstance(error, OSError) and error.filename:
                raise
            raise ValueError(f"{file}: {error}") from None
        if picture.shape != blank.shape[1:]:
            size = " × ".join(map(str, picture.shape[:2]))
            raise ValueError(f"{file}: {size} pixels; the model's images have {' × '.join(map(str, blank.shape[1:3]))}")
        pictures.append(picture)
    levels = np.rint(np.array(pictures) * ((model.levels - 1) / 255)).astype(np.uint8)
    return (np.moveaxis(levels, -1, 1) if levels.ndim == 4 else levels).reshape(-1, *shape), {}
