"""Mean and variance from the quantile function alone, where no formula is at hand."""

from __future__ import annotations

import numpy as np

from genfast.distributions.base import Distribution
from genfast.distributions.combinator import compute
from genfast.errors import NumericalError

__all__ = ["atom_moments", "quantile_moments"]

MAX_ATOMS = 1 << 22
CHUNK = 1 << 12
STEP = 1 / 64


def _nodes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u, 1 - u and weights of the tanh-sinh rule on (0, 1) (Takahasi & Mori, 1974), u and 1 - u down to 1e-300."""
    t = np.arange(-388, 389) * STEP
    z = np.exp(-np.abs(np.pi * np.sinh(t)))
    small, large = z / (1 + z), 1 / (1 + z)
    u, q = np.where(t < 0, small, large), np.where(t < 0, large, small)
    return u, q, np.pi * np.cosh(t) * u * q * STEP


def quantile_moments(d: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) of a continuous distribution, each of shape `batch_shape`.

    E[X] is the integral of the quantile function over (0, 1), by the tanh-sinh rule, which ends at 1e-300: a tail that
    there grows like u^-b adds its closed-form rest to the mean if b < 1 and to the variance if 2 b < 1, and makes them
    infinite otherwise.
    """
    ones = (1,) * len(d.batch_shape)
    u, q, weight = (a.reshape(-1, *ones) for a in _nodes())
    x = np.where(u <= 0.5, compute(d, "icdf", np.minimum(u, 0.5)), compute(d, "iccdf", np.minimum(q, 0.5)))
    end = float(u.min())
    tails = []
    for quantile in ("icdf", "iccdf"):
        last, before = compute(d, quantile, end), compute(d, quantile, end * 1e100)
        with np.errstate(divide="ignore", invalid="ignore"):
            grown = np.log(np.abs(last) / np.abs(before)) / np.log(1e100)
        tails.append((last, np.nan_to_num(np.maximum(grown, 0.0))))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        mean = (weight * x).sum(axis=0)
        heavy = [grown >= 1 - 1e-9 for _, grown in tails]
        for (last, grown), infinite in zip(tails, heavy, strict=True):
            mean = np.where(infinite, mean, mean + last * end / np.maximum(1 - grown, 1e-9))
        mean = np.where(heavy[0] & heavy[1], np.nan, np.where(heavy[0], -np.inf, np.where(heavy[1], np.inf, mean)))
        centred = x - mean
        var = (weight * centred**2).sum(axis=0)
        for last, grown in tails:
            rest = (last - mean) * ((last - mean) * end) / np.maximum(1 - 2 * grown, 1e-9)
            var = np.where(2 * grown >= 1 - 1e-9, np.inf, var + rest)
    return mean, np.where(np.isnan(mean), np.nan, np.where(np.isinf(mean), np.inf, var))


def atom_moments(d: Distribution) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) of a discrete distribution on integers, by summing over all but 1e-20 of its mass at each end.

    Raises
    ------
    NumericalError
        If its values are no integers, or more than 2**22 of them matter.
    """
    low, high = compute(d, "icdf", 1e-20), compute(d, "iccdf", 1e-20)
    if not getattr(d, "_integers", True):
        raise NumericalError("mean and var of a truncated discrete distribution need values that are integers")
    if not low.size:
        return low, high
    first, last = float(low.min()), float(high.max())
    if not last - first < MAX_ATOMS:
        raise NumericalError(f"mean and var would sum over the integers from {first:.0f} to {last:.0f}: too many")
    middle = np.floor(0.5 * low + 0.5 * high)
    ones = (1,) * len(d.batch_shape)
    total, shifted, squares = (np.zeros(d.batch_shape) for _ in range(3))
    for start in range(0, int(last - first) + 1, CHUNK):
        count = min(CHUNK, int(last - first) + 1 - start)
        k = first + np.arange(start, start + count, dtype=np.float64).reshape(-1, *ones)
        mass = np.exp(compute(d, "log_prob", k))
        total += mass.sum(axis=0)
        shifted += ((k - middle) * mass).sum(axis=0)
        squares += ((k - middle) ** 2 * mass).sum(axis=0)
    offset = shifted / total
    return middle + offset, squares / total - offset**2
