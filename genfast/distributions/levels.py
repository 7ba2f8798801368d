"""A Categorical, which works on rows of logits, as the elementwise Distribution that chains and combinators take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.arrays import kind_of
from genfast.distributions.base import Distribution
from genfast.distributions.combinator import Combinator

__all__ = ["Levels"]


class Levels(Combinator):
    """The levels of a `Categorical` as float64, with its batch shape; every function is the Categorical's own."""

    is_discrete = True
    _integers = True

    def __init__(self, categorical: Any) -> None:
        self.d = categorical
        self.batch_shape = tuple(categorical.batch_shape)
        self.kind = kind_of(categorical.mean)

    def __repr__(self) -> str:
        return f"Levels({self.d!r})"

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        raise TypeError("a Categorical has rows of logits, no parameters to take a part of")

    def _icdf(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(self.d.icdf(u), np.float64)

    def _iccdf(self, q: np.ndarray) -> np.ndarray:
        """The smallest level in the support with P(X > k) <= q, by bisection."""
        first, last = (self._spread(end) for end in self.d.support)
        shape = np.broadcast_shapes(q.shape, self.batch_shape)
        low, high = np.array(np.broadcast_to(first, shape)), np.array(np.broadcast_to(last, shape))
        while (low < high).any():
            middle = np.floor(0.5 * (low + high))
            holds = self._ccdf(middle) <= q
            low, high = np.where(holds, low, np.minimum(middle + 1.0, high)), np.where(holds, middle, high)
        return high

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.d.cdf(x), np.float64)

    def _ccdf(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.d.ccdf(x), np.float64)

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        return self._compute(function, np.ceil(x) - 1.0)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.d.log_prob(x), np.float64)

    @property
    def mean(self) -> np.ndarray:
        """The Categorical's."""
        return self._full(self.d.mean)

    @property
    def var(self) -> np.ndarray:
        """The Categorical's."""
        return self._full(self.d.var)

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last possible level."""
        return self._full(self.d.support[0]), self._full(self.d.support[1])
