"""A distribution given that the value lies in an interval, exact in the tails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.arrays import as_numpy, at, first_index, kind_of
from genfast.distributions.base import Distribution, common_kind, common_shape
from genfast.distributions.combinator import Combinator, below, compute, mapped, on_integers
from genfast.distributions.convert import as_distribution
from genfast.distributions.elementary import log
from genfast.distributions.moments import atom_moments, quantile_moments

__all__ = ["Truncated"]


class Truncated(Combinator):
    """X given low <= X <= high.

    Parameters
    ----------
    d : Distribution
        Distribution of X, or what `from_scipy` and `from_torch` take.
    low, high : array_like
        low < high (low <= high if discrete); infinities allowed. Both ends belong to the interval.

    Raises
    ------
    ValueError
        If an interval has no mass, or less than the smallest normal double, 2.2e-308.

    Notes
    -----
    An interval in one tail is worked with that tail's probabilities, F below the median of X and 1 - F above it, so
    that nothing cancels: Normal() truncated to [30, 31] is as exact as to [-1, 1]. `mean` and `var` are sums if X is
    discrete and else tanh-sinh quadrature of the quantile function (Takahasi & Mori, Publ. RIMS 9, 1974), with relative
    error below 1e-9 where the density is smooth.

    Examples
    --------
    >>> gf.Truncated(gf.Normal(), 30, 31).icdf([0.1, 0.9]).round(6).tolist()
    [30.003508, 30.07657]
    """

    def __init__(self, d: Any, low: Any = -np.inf, high: Any = np.inf) -> None:
        self.d = as_distribution(d, "d")
        self.is_discrete, self._integers = self.d.is_discrete, on_integers(self.d)
        self.low, self.high = _bound(low, "low"), _bound(high, "high")
        self.kind = common_kind(self.d.kind, kind_of(low), kind_of(high))
        self.batch_shape = common_shape(d=self.d.batch_shape, low=self.low.shape, high=self.high.shape)
        bad = (self.low > self.high) | ((self.low == self.high) & (not self.is_discrete))
        if np.any(bad):
            raise ValueError(f"low must be below high; it is not{at(first_index(np.asarray(bad)))}")
        low_array, high_array = self._spread(self.low), self._spread(self.high)
        # Below low and up to high; F and 1 - F, because each is exact where it is small.
        self._f_low, self._s_low = below(self.d, "cdf", low_array), below(self.d, "ccdf", low_array)
        self._f_high, self._s_high = compute(self.d, "cdf", high_array), compute(self.d, "ccdf", high_array)
        left, right = self._f_high <= 0.5, self._s_low <= 0.5
        self._side = np.where(left, -1, np.where(right, 1, 0)).astype(np.int8)
        self._mass = np.where(
            left,
            self._f_high - self._f_low,
            np.where(right, self._s_low - self._s_high, (1.0 - self._f_low) - self._s_high),
        )
        empty = ~(self._mass >= np.finfo(np.float64).tiny)
        if empty.any():
            index = first_index(empty)
            raise ValueError(
                f"[low, high] = [{float(low_array[index])!r}, {float(high_array[index])!r}]{at(index)} has no mass "
                f"that float64 can hold: it is {float(self._mass[index])!r}"
            )
        ends = [np.asarray(end) for end in self.d.support]
        self._bottom = self._spread(np.maximum(ends[0], low_array))
        self._top = self._spread(np.minimum(ends[1], high_array))
        if self.is_discrete:
            first = self._base(np.nextafter(self._f_low, 1.0), np.nextafter(self._s_low, 0.0))
            self._bottom = np.where(self._f_low > 0, first, ends[0])
            self._top = np.where(self._s_high > 0, self._base(self._f_high, self._s_high), self._top)
            if self._integers:
                self._bottom, self._top = np.maximum(self._bottom, np.ceil(low_array)), np.floor(self._top)

    def __repr__(self) -> str:
        return f"Truncated({self.d!r}, low={self.low.tolist()!r}, high={self.high.tolist()!r})"

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        part = object.__new__(Truncated)
        part.__dict__.update(self.__dict__)
        part.d = mapped(self.d, change)
        for name in ("low", "high", "_f_low", "_s_low", "_f_high", "_s_high", "_side", "_mass", "_bottom", "_top"):
            setattr(part, name, change(getattr(self, name)))
        part.batch_shape = np.shape(part._mass)
        return part

    def _base(self, f: np.ndarray, s: np.ndarray) -> np.ndarray:
        """The quantile of X with F = f, 1 - F = s, by the smaller of the two."""
        lower = f <= 0.5
        if lower.all():
            return compute(self.d, "icdf", f)
        if not lower.any():
            return compute(self.d, "iccdf", s)
        return np.where(
            lower, compute(self.d, "icdf", np.minimum(f, 0.5)), compute(self.d, "iccdf", np.minimum(s, 0.5))
        )

    def _quantile(self, u: np.ndarray, q: np.ndarray) -> np.ndarray:
        """The quantile at u = 1 - q. The halves of the interval count from their own ends; both are monotone, and the
        bounds below make them meet."""
        upper = u > 0.5
        half_f, half_s = self._f_low + 0.5 * self._mass, self._s_low - 0.5 * self._mass
        f = np.where(upper, np.maximum(self._f_high - q * self._mass, half_f), self._f_low + u * self._mass)
        s = np.where(upper, np.minimum(self._s_high + q * self._mass, half_s), self._s_low - u * self._mass)
        # Across the median each formula is exact on its own side.
        across = self._side == 0
        f = np.where(across, self._f_low + u * self._mass, f)
        s = np.where(across, self._s_high + q * self._mass, s)
        f = np.where(self._side > 0, 1.0, np.where(self._side < 0, np.minimum(f, 0.5), f))
        # A probability that underflows must not become an infinite x.
        f, s = np.clip(f, 5e-324, 1.0), np.clip(s, 5e-324, 1.0)
        x = self._base(f, s)
        x = np.minimum(np.maximum(x, self._bottom), self._top)
        if self._integers:
            # At a step of F the arithmetic above may land one off; the rule is about F as this class computes it.
            x = np.where(self._reached(x - 1.0, u, q), np.maximum(x - 1.0, self._bottom), x)
            x = np.where(self._reached(x, u, q), x, np.minimum(x + 1.0, self._top))
        return np.where(u == 0, self._bottom, np.where(q == 0, self._top, x))

    def _reached(self, k: np.ndarray, u: np.ndarray, q: np.ndarray) -> np.ndarray:
        f, s = self._probabilities(compute(self.d, "cdf", k), compute(self.d, "ccdf", k))
        return np.where(u > 0.5, (s <= q) & (f >= 0.5), f >= u)

    def _icdf(self, u: np.ndarray) -> np.ndarray:
        return self._quantile(u, 1.0 - u)

    def _iccdf(self, q: np.ndarray) -> np.ndarray:
        return self._quantile(1.0 - q, q)

    def _probabilities(self, f: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(cdf, ccdf) of the truncated X from those of X."""
        across = self._side == 0
        left = np.where(across, s > 0.5, self._side < 0)
        under = np.where(left, f - self._f_low, self._s_low - s)
        above = np.where(left, self._f_high - f, s - self._s_high)
        # Across the median, the far end is counted on the other scale.
        under = np.where(across & ~left, self._mass - above, under)
        above = np.where(across & left, self._mass - under, above)
        return np.clip(under / self._mass, 0.0, 1.0), np.clip(above / self._mass, 0.0, 1.0)

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        return self._probabilities(compute(self.d, "cdf", x), compute(self.d, "ccdf", x))[0]

    def _ccdf(self, x: np.ndarray) -> np.ndarray:
        return self._probabilities(compute(self.d, "cdf", x), compute(self.d, "ccdf", x))[1]

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        pair = self._probabilities(below(self.d, "cdf", x), below(self.d, "ccdf", x))
        return pair[0 if function == "cdf" else 1]

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        outside = (x < self.low) | (x > self.high)
        return np.where(outside, -np.inf, compute(self.d, "log_prob", x) - log(self._mass))

    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return atom_moments(self) if self.is_discrete else quantile_moments(self)

    @property
    def mean(self) -> np.ndarray:
        """Computed (class notes); ±inf or NaN where a tail is too heavy."""
        return self._full(self._moments()[0])

    @property
    def var(self) -> np.ndarray:
        """Computed (class notes); inf or NaN where a tail is too heavy."""
        return self._full(self._moments()[1])

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and largest value in [low, high]."""
        return self._full(self._bottom), self._full(self._top)


def _bound(value: Any, name: str) -> np.ndarray:
    array = np.array(as_numpy(value, name), np.float64)
    if np.isnan(array).any():
        raise ValueError(f"{name} must not be NaN{at(first_index(np.isnan(array)))}")
    return array
