"""The distribution of a feed-forward model's input as the head of the file: numbers that depend on nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..distributions.base import Distribution, Elementwise
from ..distributions.convert import as_distribution
from ..distributions.mixture import Mixture
from .probe import Argument

HIDDEN = -1e30  # the logit of a component of weight 0: exp of it beside any other is 0


def check(latent: Any, argument: Argument, name: str = "latent") -> Distribution:
    """The distribution of a latent (`name`, for messages) whose parameters broadcast to the network's input.

    Raises
    ------
    TypeError
        For what is no family of genfast and no mixture of one, and for continuous numbers where integers go in.
    ValueError
        If the parameters do not broadcast to the input's shape.
    """
    distribution = as_distribution(latent, name)
    components(distribution, name)
    try:
        fits = np.broadcast_shapes(distribution.batch_shape, argument.shape) == argument.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: parameters of shape {distribution.batch_shape} do not broadcast to the input's {argument.shape}"
        )
    if argument.integer and not distribution.is_discrete:
        raise TypeError(
            f"{name}: the input {argument.name!r} takes integers, {type(distribution).__name__} is continuous"
        )
    return distribution


def components(distribution: Distribution, name: str = "latent") -> list[Elementwise]:
    """The distributions of one family that it is a mixture of; itself alone for a family. TypeError for any other."""
    given = distribution.components if isinstance(distribution, Mixture) else [distribution]
    parts = [d for d in given if isinstance(d, Elementwise)]
    if len(parts) < len(given) or any(d._family != parts[0]._family for d in parts):
        raise TypeError(
            f"{name} must be one family of genfast or a mixture of one, got {distribution!r}. Put what "
            "is done to its draws into the model; for equally likely categories take a DiscreteUniform"
        )
    return parts


def head(distribution: Distribution, shape: tuple[int, ...]) -> tuple[dict[str, Any], np.ndarray]:
    """The head's entry in the file but for value and table, and the numbers it reads: (sites, n), or (1, n) where all
    sites have the same.

    Parameters that are one number are in the entry, in float64; the others are numbers that the head reads, in float32.
    """
    parts = components(distribution)
    columns: list[np.ndarray] = []

    def channels(arrays: list[np.ndarray]) -> int:
        columns.extend(np.broadcast_to(a, shape).reshape(-1) for a in arrays)
        return len(columns) - len(arrays)

    logits = -1
    if len(parts) > 1 and isinstance(distribution, Mixture):
        weights = np.moveaxis(np.broadcast_to(distribution.weights, (*distribution.batch_shape, len(parts))), -1, 0)
        with np.errstate(divide="ignore"):
            logits = channels([np.maximum(np.log(w), HIDDEN) for w in weights])
    params: list[list[Any]] = []
    for name in parts[0].parameters:
        arrays = [np.asarray(getattr(d, name), np.float64) for d in parts]
        first = arrays[0].reshape(-1)[0]
        if all((a == first).all() for a in arrays):
            params.append([0, "identity", 0.0, float(first)])
        else:
            params.append([channels(arrays), "identity", 1.0, 0.0])
    numbers = np.stack(columns, 1).astype(np.float32) if columns else np.zeros((1, len(parts)), np.float32)
    if not (numbers != numbers[:1]).any():
        numbers = numbers[:1]
    entry = {"kind": "family", "components": len(parts), "family": parts[0]._family, "logits": logits, "params": params}
    return {**entry, "channel": 0}, numbers
