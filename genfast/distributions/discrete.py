"""Discrete distributions on the integers.

`icdf(u)` is the smallest k in the support with F(k) >= u, `iccdf(q)` the smallest k with 1 - F(k) <= q; results are
floats that hold integers. F is what `cdf` and `ccdf` compute, with full relative accuracy in the smaller tail, and the
comparison is made in the smaller tail: icdf looks at F for u <= 1/2 and at 1 - F above. So k is the exact one unless u
lies within F's own rounding error of a step. The numerics are in csrc/numerics/discrete.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfast.distributions.base import Elementwise, Parameter, fraction, parameter
from genfast.distributions.continuous import require

__all__ = [
    "Bernoulli",
    "Binomial",
    "DiscreteUniform",
    "Geometric",
    "Hypergeometric",
    "NegativeBinomial",
    "Poisson",
]

_LARGEST = 2.0**53  # beyond it not every integer is a double
_LARGEST_POPULATION = 10.0**9


def _count(value: Any, name: str, most: float = _LARGEST, text: str = "2**53") -> Parameter:
    rule = f"an integer in [0, {text}]"
    return parameter(value, name, rule, lambda a: (a >= 0) & (a <= most) & (np.floor(a) == a))


def _probability(value: Any, name: str) -> Parameter:
    return parameter(value, name, "in (0, 1]", lambda a: (a > 0) & (a <= 1))


class Poisson(Elementwise):
    """Poisson with mean `rate`: P(k) = rate^k exp(-rate) / k!, k = 0, 1, ...

    Parameters
    ----------
    rate : array_like
        In [0, 2**53]; 0 is the point mass at 0.

    Notes
    -----
    F's relative error, measured: 5e-14 for F above 1e-30, 2.5e-13 down to 1e-290. The relative step p(k) / F(k) is at
    least about 1 / sqrt(rate), so no k is skipped or repeated up to 2**53. k is checked against 50 digits up to 1e12.
    """

    parameters = ("rate",)
    is_discrete = True
    rate: np.ndarray

    def __init__(self, rate: Any) -> None:
        super().__init__(parameter(rate, "rate", "in [0, 2**53]", lambda a: (a >= 0) & (a <= _LARGEST)))

    @property
    def mean(self) -> Any:
        """rate."""
        return self._full(self.rate)

    @property
    def var(self) -> Any:
        """rate."""
        return self._full(self.rate)

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class Binomial(Elementwise):
    """Number of successes in `n` trials of probability `p`: P(k) = C(n, k) p^k (1 - p)^(n - k), k = 0, ..., n.

    Parameters
    ----------
    n : array_like
        Integers in [0, 2**53].
    p : array_like
        In [0, 1].

    Notes
    -----
    F's relative error, measured: 5e-14 for F above 1e-30, 2.5e-13 down to 1e-290. k is checked against 50 digits up to
    n = 1e10.
    """

    parameters = ("n", "p")
    is_discrete = True
    n: np.ndarray
    p: np.ndarray

    def __init__(self, n: Any, p: Any) -> None:
        super().__init__(_count(n, "n"), fraction(p, "p"))

    @property
    def mean(self) -> Any:
        """n p."""
        return self._full(self.n * self.p)

    @property
    def var(self) -> Any:
        """n p (1 - p)."""
        return self._full(self.n * self.p * (1 - self.p))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, n."""
        return self._full(0.0), self._full(self.n)


class NegativeBinomial(Elementwise):
    """Failures before the `n`-th success of probability `p`: P(k) = C(k + n - 1, k) p^n (1 - p)^k, k = 0, 1, ...

    SciPy's and NumPy's convention (`p` is the probability of what `n` counts).

    Parameters
    ----------
    n : array_like
        Positive, not necessarily an integer.
    p : array_like
        In (0, 1].

    Notes
    -----
    F's relative error, measured: 5e-14 for F above 1e-30, 2.5e-13 down to 1e-290; for n below 0.1 it is 2e-16 relative
    to 1 in the upper tail.
    """

    parameters = ("n", "p")
    is_discrete = True
    n: np.ndarray
    p: np.ndarray

    def __init__(self, n: Any, p: Any) -> None:
        rule = "positive and at most 1e300"
        super().__init__(parameter(n, "n", rule, lambda a: (a > 0) & (a <= 1e300)), _probability(p, "p"))

    @property
    def mean(self) -> Any:
        """n (1 - p) / p."""
        return self._full(self.n * (1 - self.p) / self.p)

    @property
    def var(self) -> Any:
        """n (1 - p) / p^2."""
        return self._full(self.n * (1 - self.p) / self.p / self.p)

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class Geometric(Elementwise):
    """Trials up to and including the first success of probability `p`: P(k) = (1 - p)^(k - 1) p, k = 1, 2, ...

    SciPy's and NumPy's convention; torch's counts the failures and starts at 0.

    Parameters
    ----------
    p : array_like
        In (0, 1].
    """

    parameters = ("p",)
    is_discrete = True
    p: np.ndarray

    def __init__(self, p: Any) -> None:
        super().__init__(_probability(p, "p"))

    @property
    def mean(self) -> Any:
        """1 / p."""
        return self._full(1 / self.p)

    @property
    def var(self) -> Any:
        """(1 - p) / p^2."""
        return self._full((1 - self.p) / self.p / self.p)

    @property
    def support(self) -> tuple[Any, Any]:
        """1, inf."""
        return self._full(1.0), self._full(np.inf)


class Bernoulli(Elementwise):
    """1 with probability `p`, else 0. The comparison of u with 1 - p is exact.

    Parameters
    ----------
    p : array_like
        In [0, 1].
    """

    parameters = ("p",)
    is_discrete = True
    p: np.ndarray

    def __init__(self, p: Any) -> None:
        super().__init__(fraction(p, "p"))

    @property
    def mean(self) -> Any:
        """p."""
        return self._full(self.p)

    @property
    def var(self) -> Any:
        """p (1 - p)."""
        return self._full(self.p * (1 - self.p))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, 1."""
        return self._full(0.0), self._full(1.0)


class DiscreteUniform(Elementwise):
    """The integers low, low + 1, ..., high, all equally probable. Both ends are included. icdf is exact.

    Parameters
    ----------
    low, high : array_like
        Integers of magnitude at most 2**52, low <= high, less than 2**53 apart.
    """

    parameters = ("low", "high")
    is_discrete = True
    low: np.ndarray
    high: np.ndarray

    def __init__(self, low: Any, high: Any) -> None:
        def integer(value: Any, name: str) -> Parameter:
            rule = "an integer of magnitude at most 2**52"
            return parameter(value, name, rule, lambda a: (np.abs(a) <= _LARGEST / 2) & (np.floor(a) == a))

        super().__init__(integer(low, "low"), integer(high, "high"))
        require(self, lambda: self.low <= self.high, "high must not be below low")
        require(self, lambda: self.high - self.low < _LARGEST, "high - low must be below 2**53")

    @property
    def mean(self) -> Any:
        """(low + high) / 2."""
        return self._full(0.5 * (self.low + self.high))

    @property
    def var(self) -> Any:
        """((high - low + 1)^2 - 1) / 12."""
        width = self.high - self.low
        return self._full(width * (width + 2) / 12)

    @property
    def support(self) -> tuple[Any, Any]:
        """low, high."""
        return self._full(self.low), self._full(self.high)


class Hypergeometric(Elementwise):
    """Number of good items among `draws` drawn without replacement from `good` good and `bad` bad ones.

    Parameters
    ----------
    good, bad, draws : array_like
        Integers >= 0 with good + bad <= 10**9 and draws <= good + bad: NumPy's ngood, nbad, nsample.

    Notes
    -----
    F is a sum outwards from k, of about 8 standard deviations of terms: time grows with the standard deviation. F's
    relative error, measured against exact sums: 4e-14.
    """

    parameters = ("good", "bad", "draws")
    is_discrete = True
    good: np.ndarray
    bad: np.ndarray
    draws: np.ndarray

    def __init__(self, good: Any, bad: Any, draws: Any) -> None:
        counts = (
            _count(v, k, _LARGEST_POPULATION, "10**9") for v, k in ((good, "good"), (bad, "bad"), (draws, "draws"))
        )
        super().__init__(*counts)
        require(self, lambda: self.good + self.bad <= _LARGEST_POPULATION, "good + bad must be at most 10**9")
        require(self, lambda: self.draws <= self.good + self.bad, "draws must be at most good + bad")

    @property
    def mean(self) -> Any:
        """draws good / (good + bad)."""
        total = np.maximum(self.good + self.bad, 1)
        return self._full(self.draws * self.good / total)

    @property
    def var(self) -> Any:
        """mean (bad / total) (total - draws) / (total - 1), total = good + bad."""
        total = np.maximum(self.good + self.bad, 1)
        mean = self.draws * self.good / total
        return self._full(mean * (self.bad / total) * (total - self.draws) / np.maximum(total - 1, 1))

    @property
    def support(self) -> tuple[Any, Any]:
        """max(0, draws - bad), min(draws, good)."""
        return self._full(np.maximum(0, self.draws - self.bad)), self._full(np.minimum(self.draws, self.good))
