"""What `rng=` accepts: a seed or Stream, counted by row and site; a NumPy generator or QMC engine, read in order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from genfast.arrays import check_size, check_uniforms, float_dtype
from genfast.stream import Stream, as_index

__all__ = ["RNG", "as_seed", "is_counted", "uniforms"]

RNG = Any
"""int, Stream, numpy.random.Generator, numpy.random.BitGenerator, scipy.stats.qmc.QMCEngine or None."""

ACCEPTED = "an integer seed, a genfast.Stream, a numpy.random.Generator or BitGenerator, a scipy QMCEngine, or None"


def is_counted(rng: RNG) -> bool:
    """Whether the uniforms of `rng` are counted by row and site, so that `as_seed` says all about it.

    False for NumPy generators and QMC engines, whose numbers come from `uniforms` only.

    Raises
    ------
    TypeError
        If `rng` is nothing that `rng=` accepts.
    """
    if rng is None or isinstance(rng, Stream):
        return True
    if _is_generator(rng) or _is_engine(rng):
        return False
    if not hasattr(rng, "__index__"):
        raise TypeError(f"rng must be {ACCEPTED}, got {type(rng).__name__}")
    return True


def as_seed(rng: RNG) -> int:
    """The 64-bit seed that `rng` stands for.

    Parameters
    ----------
    rng : int, Stream or None
        A seed in [0, 2**64); None takes a fresh one from the operating system.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If `rng` is none of these (a NumPy generator or QMC engine has no seed: see `is_counted`).
    ValueError
        If the seed is outside [0, 2**64).
    """
    if rng is None or isinstance(rng, Stream):
        return (rng or Stream()).seed
    if not is_counted(rng):
        raise TypeError(f"rng must be an integer seed, a genfast.Stream or None here, got {type(rng).__name__}")
    return as_index(rng, "rng: a seed", 1 << 64)


def uniforms(rng: RNG, rows: int, sites: int, *, dtype: DTypeLike = np.float64, first_row: int = 0) -> np.ndarray:
    """Uniforms of anything `rng=` accepts.

    Parameters
    ----------
    rng : int, Stream, numpy.random.Generator, numpy.random.BitGenerator, scipy.stats.qmc.QMCEngine or None
        A seed or stream gives u(seed, first_row + i, j). A NumPy generator is read natively, row after row, under its
        lock: in float64 the numbers of ``Generator.random((rows, sites))``; in float32 (k + ½)·2⁻²³ with k the top 23
        bits of the next 32-bit word, so that 0, which an inverse distribution function may send to infinity, does not
        turn up once in 2²⁴ draws. A QMC engine of dimension d = sites gives a point a row; of dimension 1, one point an
        element.
    rows, sites : int
    dtype : float64 or float32
    first_row : int
        Row id of the first row; for a seed or stream only.

    Returns
    -------
    numpy.ndarray of shape (rows, sites)
        In [0, 1]; strictly inside for seeds and streams. Fresh, C-contiguous, writable.

    Raises
    ------
    TypeError, ValueError
        For wrong arguments, naming them; also for a QMC engine of another dimension or with points outside [0, 1].
    MemoryError
        If the result does not fit memory.
    """
    kind = float_dtype(dtype)
    if is_counted(rng):
        return Stream(as_seed(rng)).uniforms(rows, sites, first_row=first_row, dtype=kind)
    rows, sites = as_index(rows, "rows", 1 << 63), as_index(sites, "sites", 1 << 63)
    if first_row:
        raise ValueError("first_row numbers the rows of a seed; a NumPy generator or QMC engine is read in order")
    check_size((rows, sites))
    if _is_engine(rng):
        return _points(rng, rows, sites).astype(kind, copy=False)
    from genfast._bitgen import fill_uniforms

    u = np.empty(rows * sites, kind)
    fill_uniforms(rng, u)
    return u.reshape(rows, sites)


def _is_generator(rng: RNG) -> bool:
    bits = getattr(rng, "bit_generator", rng)
    return hasattr(bits, "capsule") and hasattr(bits, "lock")


def _is_engine(rng: RNG) -> bool:
    return callable(getattr(rng, "random", None)) and hasattr(rng, "d")


def _points(engine: Any, rows: int, sites: int) -> np.ndarray:
    d = as_index(engine.d, "rng: the engine's d", 1 << 63)
    if d not in (sites, 1):
        raise ValueError(
            f"rng: a QMC engine must have d={sites} here, one dimension a uniform of a row (or d=1, to fill rows in "
            f"order); this one has d={d}"
        )
    n = rows if d == sites else rows * sites
    # Engines refuse, or mishandle, zero points.
    points = np.asarray(engine.random(n) if n * d else np.empty((n, d)), np.float64)
    if points.shape != (n, d):
        raise ValueError(f"rng: the QMC engine's random({n}) has shape {points.shape} instead of {(n, d)}")
    check_uniforms(points, "rng: the QMC engine's points")
    return np.array(points, np.float64, order="C").reshape(rows, sites)
