"""interpolate: what a decoder makes of the latents between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from genfast.model import Model
from genfast.model_arguments import check_sites, count

__all__ = ["interpolate"]


def interpolate(
    model: Model, a: Any, b: Any, n: int, spherical: bool = False, *, condition: Mapping[str, Any] | None = None
) -> np.ndarray:
    """The outputs of n latents in equal steps from a to b, both included.

    Parameters
    ----------
    model : Model
        With an output and sites that hold numbers: a decoder or generator.
    a, b : array_like of shape (\\*input_shape)
        Latents, drawn (``sample(..., return_latent=True)``) or made by an encoder.
    n : int
        Number of outputs, at least 2.
    spherical : bool
        Along the great circle through a and b, the angle in equal steps and the length from that of a to that of b
        (Shoemake, 1985, *Animating rotation with quaternion curves*; for latents White, 2016, *Sampling generative
        networks*): between draws of a normal, in many dimensions, the points of the straight line are shorter than
        any draw. Of parallel latents it is the straight line.
    condition : mapping from str to array_like, optional
        As in `Model.sample`.

    Returns
    -------
    numpy.ndarray of shape (n, \\*output_shape), float32

    Raises
    ------
    ValueError, TypeError
        For wrong arguments, naming them, and latents that are opposite or 0 with `spherical`.
    NumericalError
        As `Model.apply`.
    """
    if not isinstance(model, Model):
        raise TypeError(f"model must be a genfast.Model, got {type(model).__name__}: load it first")
    if model.output_shape is None or model.levels is not None or model._core.integer_input:
        raise ValueError("interpolate is for models with an output whose sites hold numbers, such as decoders")
    n = count(n)
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    start, end = _latent(model, a, "a"), _latent(model, b, "b")
    t = np.linspace(0, 1, n)
    rows = _arc(start, end, t) if spherical else (1 - t)[:, None] * start + t[:, None] * end
    return model.apply(rows.astype(np.float32).reshape(n, *model.input_shape), condition=condition)


def _latent(model: Model, x: Any, name: str) -> np.ndarray:
    """float64 (sites,)."""
    array = np.asarray(x.detach() if hasattr(x, "detach") else x)
    if array.shape != model.input_shape:
        raise ValueError(f"{name} must have shape {model.input_shape}, got {array.shape}")
    return check_sites(model, array[None])[0].reshape(-1).astype(np.float64)


def _arc(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points (len(t), sites) on the great circle, times a length that goes straight from |a| to |b|."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not min(lengths) > 0:
        raise ValueError("spherical: a latent of 0 has no direction; leave spherical at False")
    x, y = a / lengths[0], b / lengths[1]
    # From the chord: exact for small angles, where the arccosine of the product is not.
    angle = 2 * np.arctan2(np.linalg.norm(x - y), np.linalg.norm(x + y))
    if np.pi - angle < 1e-6:
        raise ValueError("spherical: a and b are opposite, and no great circle between them is theirs alone")
    if angle < 1e-6:
        weights = 1 - t, t
    else:
        weights = np.sin((1 - t) * angle) / np.sin(angle), np.sin(t * angle) / np.sin(angle)
    direction = weights[0][:, None] * x + weights[1][:, None] * y
    return ((1 - t) * lengths[0] + t * lengths[1])[:, None] * direction
