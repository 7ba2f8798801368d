"""A continuous distribution cut into levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.arrays import as_numpy
from genfast.distributions.base import Distribution
from genfast.distributions.combinator import NEAR_HALF, Combinator, compute, mapped
from genfast.distributions.convert import as_distribution
from genfast.distributions.elementary import log

__all__ = ["Discretized"]


class Discretized(Combinator):
    """The level that X falls into: what a discretised-logistic-mixture pixel head is.

    Parameters
    ----------
    d : Distribution
        Distribution of X, or what `from_scipy` and `from_torch` take.
    edges : array_like of shape (levels + 1,)
        Increasing. Level k is edges[k] < X <= edges[k + 1]; the first and the last level also take the tails beyond.

    Raises
    ------
    ValueError, TypeError
        For edges that do not increase, naming the index, and a `d` that is no distribution.

    Notes
    -----
    Values are 0 … levels - 1. A mass is the difference of F or of 1 - F, whichever is small there (Salimans et al.,
    *PixelCNN++*, ICLR 2017, do it for logistics), with an error of about 1e-16 of that; it is 0, and log_prob -inf,
    where they underflow. `icdf(u)` is the smallest level k with F(edges[k + 1]) >= u, by bisection.

    Examples
    --------
    >>> gf.Discretized(gf.Logistic(0.5, 0.1), np.linspace(0, 1, 257)).sample(4, rng=0).tolist()
    [179.0, 138.0, 198.0, 129.0]
    """

    is_discrete = True
    _integers = True

    def __init__(self, d: Any, edges: Any) -> None:
        self.d = as_distribution(d, "d")
        self.edges = np.array(as_numpy(edges, "edges"), np.float64)
        if self.edges.ndim != 1 or self.edges.size < 2:
            raise ValueError(f"edges must have shape (levels + 1,), at least (2,), got {self.edges.shape}")
        bad = ~(np.diff(self.edges) > 0)
        if bad.any():
            k = int(np.argmax(bad))
            raise ValueError(f"edges must increase, got {self.edges[k]} and {self.edges[k + 1]} at index {k}")
        self.batch_shape, self.kind = self.d.batch_shape, self.d.kind
        # What a level's ends really are.
        self._ends = np.concatenate([[-np.inf], self.edges[1:-1], [np.inf]])

    def __repr__(self) -> str:
        return f"Discretized({self.d!r}, {self.levels} levels)"

    @property
    def levels(self) -> int:
        """The number of levels."""
        return self.edges.size - 1

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        part = object.__new__(Discretized)
        part.edges, part._ends, part.d = self.edges, self._ends, mapped(self.d, change)
        part.batch_shape = part.d.batch_shape
        return part

    def _search(self, p: np.ndarray, upper: np.ndarray) -> np.ndarray:
        shape = np.broadcast_shapes(p.shape, self.batch_shape)
        # Level 0 only with mass: F >= 5e-324 is F > 0.
        p = np.where(upper, p, np.maximum(p, 5e-324))
        low, high = np.zeros(shape, np.int64), np.full(shape, self.levels - 1)
        some_upper, some_lower = bool(upper.any()), not bool(upper.all())
        for _ in range(int(self.levels - 1).bit_length()):
            middle = (low + high) // 2
            edge = self._ends[middle + 1]
            f = compute(self.d, "cdf", edge) if some_lower or (p > NEAR_HALF).any() else np.ones(())
            s = compute(self.d, "ccdf", edge) if some_upper else np.zeros(())
            holds = np.where(upper, (s <= p) & ((p <= NEAR_HALF) | (f >= 0.5)), f >= p)
            high, low = np.where(holds, middle, high), np.where(holds, low, np.minimum(middle + 1, high))
        return high.astype(np.float64)

    def _level(self, x: np.ndarray) -> np.ndarray:
        return np.clip(np.floor(np.where(np.isnan(x), 0.0, x)), -1, self.levels - 1).astype(np.int64)

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(x), np.nan, compute(self.d, "cdf", self._ends[self._level(x) + 1]))

    def _ccdf(self, x: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(x), np.nan, compute(self.d, "ccdf", self._ends[self._level(x) + 1]))

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        return self._compute(function, np.ceil(x) - 1.0)

    def _mass(self, level: np.ndarray) -> np.ndarray:
        a, b = self._ends[level], self._ends[level + 1]
        f_a, f_b = compute(self.d, "cdf", a), compute(self.d, "cdf", b)
        s_a, s_b = compute(self.d, "ccdf", a), compute(self.d, "ccdf", b)
        return np.maximum(np.where(s_a < f_b, s_a - s_b, f_b - f_a), 0.0)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        level = self._level(x)
        found = log(self._mass(np.maximum(level, 0)))
        return np.where(np.isnan(x), np.nan, np.where((level == x) & (level >= 0), found, -np.inf))

    def _masses(self) -> tuple[np.ndarray, np.ndarray]:
        """Levels and their masses, along a new first axis."""
        level = np.arange(self.levels).reshape(-1, *(1 for _ in self.batch_shape))
        return level, self._mass(level)

    @property
    def mean(self) -> np.ndarray:
        """The sum of the levels weighted by their masses."""
        level, mass = self._masses()
        return self._full((level * mass).sum(axis=0))

    @property
    def var(self) -> np.ndarray:
        """The sum of the squared distances from the mean weighted by the masses."""
        level, mass = self._masses()
        return self._full(((level - (level * mass).sum(axis=0)) ** 2 * mass).sum(axis=0))

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last level of positive mass."""
        return self._full(self._icdf(np.zeros(()))), self._full(self._iccdf(np.zeros(())))
