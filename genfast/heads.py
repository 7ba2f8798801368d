"""Heads: what the numbers a network puts out for one site mean, and what the network is fed for each level."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Bernoulli", "Categorical"]

MAX_LEVELS = 1 << 20
LAYOUTS = ("channel_major", "interleaved")


def _check_values(values: Sequence[float] | np.ndarray | None, levels: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"values must be real numbers, got an array of dtype {array.dtype}")
    if array.shape != (levels,):
        raise ValueError(f"values must have shape ({levels},), one per level, got {array.shape}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("values must be finite in float32")
    return tuple(array.tolist())


def _fed(values: tuple[float, ...] | None, levels: int, integer: bool) -> np.ndarray:
    if values is None:
        k = np.arange(levels)
        return (k if integer else k / max(levels - 1, 1)).astype(np.float32)
    array = np.asarray(values, np.float32)
    if integer and (array != np.round(array)).any():
        raise ValueError("values must be whole numbers: the model's input is an integer tensor")
    return array


@dataclass(frozen=True)
class Categorical:
    """One softmax over `levels` logits per site.

    Parameters
    ----------
    levels : int
        Number of levels L, from 2 to 2**20.
    values : array_like of shape (L,), optional
        What the network is fed for each level, stored as float32. Default: ``float32(k / (L - 1))`` for models with a
        float input, the integers 0 … L - 1 for models with an integer input.
    layout : "channel_major" or "interleaved", optional
        How an axis of the output that holds C * L numbers, for an input of C channels, is divided: the L logits of one
        channel together, or the C logits of one level together. Shapes with an axis for each need none.

    Raises
    ------
    TypeError
        If `levels` is not an integer or `values` are not real numbers.
    ValueError
        If `levels` is out of range, `values` has another shape or is not finite, or `layout` is unknown.

    Notes
    -----
    Sampling takes the smallest level k of positive probability with F(k) >= u (docs/format.md, "Heads"; inversion as in
    Devroye, *Non-Uniform Random Variate Generation*, 1986, III.2).
    """

    levels: int
    values: tuple[float, ...] | None = None
    layout: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.levels, bool):
            raise TypeError("levels must be an integer, got a bool")
        try:
            levels = operator.index(self.levels)
        except TypeError:
            raise TypeError(f"levels must be an integer, got {type(self.levels).__name__}") from None
        if not 2 <= levels <= MAX_LEVELS:
            raise ValueError(f"levels must be from 2 to {MAX_LEVELS}, got {levels}")
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "values", _check_values(self.values, levels))
        if self.layout not in (None, *LAYOUTS):
            raise ValueError(f"layout must be one of {LAYOUTS} or None, got {self.layout!r}")

    def fed(self, integer: bool) -> np.ndarray:
        """What the network is fed for each level.

        Parameters
        ----------
        integer : bool
            Whether the model's input is an integer tensor.

        Returns
        -------
        numpy.ndarray of shape (L,), float32

        Raises
        ------
        ValueError
            If the input is an integer tensor and a value is not a whole number.
        """
        return _fed(self.values, self.levels, integer)


@dataclass(frozen=True)
class Bernoulli:
    """One binary variable per site.

    Parameters
    ----------
    probs : bool
        False: the network puts out the logit of level 1. True: its probability (the network ends in a sigmoid).
    values : array_like of shape (2,), optional
        What the network is fed for level 0 and level 1, stored as float32; default 0 and 1.

    Raises
    ------
    TypeError
        If `probs` is not a bool or `values` are not real numbers.
    ValueError
        If `values` has another shape or is not finite.

    Notes
    -----
    Level 0 is drawn while u <= 1 - p, as in docs/format.md, "Heads".
    """

    probs: bool = False
    values: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.probs, bool):
            raise TypeError(f"probs must be a bool, got {type(self.probs).__name__}")
        object.__setattr__(self, "values", _check_values(self.values, 2))

    @property
    def levels(self) -> int:
        """The number of levels, 2."""
        return 2

    def fed(self, integer: bool) -> np.ndarray:
        """What the network is fed for each level: float32 of shape (2,); see `Categorical.fed`."""
        return _fed(self.values, 2, integer)
