"""What `rng=` accepts: a seed, whose uniforms are counted by row and site, or a NumPy generator, read in order."""

from __future__ import annotations

import operator
import secrets
from typing import Any

import numpy as np

__all__ = ["Generator", "as_seed", "draw"]

Generator = np.random.Generator | np.random.BitGenerator


def as_seed(rng: Any) -> int:
    """The 64-bit seed that `rng` stands for.

    Parameters
    ----------
    rng : int or None
        A seed in [0, 2**64); None takes a fresh one from the operating system.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `rng` is no integer (a NumPy generator has no seed: use `draw`).
    ValueError
        If the seed is outside [0, 2**64).
    """
    if rng is None:
        return secrets.randbits(64)
    try:
        seed = operator.index(rng)
    except TypeError:
        raise TypeError(
            f"rng must be an integer seed, a numpy.random.Generator or BitGenerator, or None, got {type(rng).__name__}"
        ) from None
    if isinstance(rng, bool) or not 0 <= seed < 1 << 64:
        raise ValueError(f"rng: a seed must be an integer in [0, 2**64), got {rng!r}")
    return seed


def draw(generator: Generator, rows: int, sites: int) -> np.ndarray:
    """The next uniforms of a NumPy generator, read natively under its lock.

    Parameters
    ----------
    generator : numpy.random.Generator or numpy.random.BitGenerator
    rows, sites : int

    Returns
    -------
    numpy.ndarray of shape (rows, sites), float64
        In [0, 1), row after row: what ``Generator.random((rows, sites))`` returns.
    """
    from genfast._bitgen import fill_uniforms

    u = np.empty(rows * sites)
    fill_uniforms(generator, u)
    return u.reshape(rows, sites)
