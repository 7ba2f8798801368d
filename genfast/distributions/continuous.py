"""Continuous distributions whose quantile function is closed, or as good as closed (Normal).

Parameters broadcast as in NumPy, are finite, and keep the names of the field. Sources: Johnson, Kotz & Balakrishnan,
*Continuous Univariate Distributions*, 2nd ed., 1994-95, for the formulas; the numerics are in csrc/numerics/.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.arrays import at, first_index
from genfast.distributions.base import Elementwise, positive, real

EULER = 0.5772156649015329  # Euler's constant
ZETA = (  # of 2, 3, ...
    1.6449340668482264,
    1.2020569031595942,
    1.0823232337111382,
    1.0369277551433699,
    1.0173430619844491,
    1.0083492773819228,
    1.0040773561979443,
    1.0020083928260822,
    1.0009945751278181,
    1.0004941886041195,
    1.0002460865533080,
    1.0001227133475785,
    1.0000612481350587,
    1.0000305882363070,
    1.0000152822594086,
    1.0000076371976379,
)
INFINITY = float("inf")

__all__ = [
    "Cauchy",
    "Exponential",
    "Gumbel",
    "HalfNormal",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Normal",
    "Pareto",
    "Rayleigh",
    "Triangular",
    "Uniform",
    "Weibull",
]


@np.vectorize(otypes=[float])
def log_gamma(x: float) -> float:
    """log Gamma(x), infinite where it overflows."""
    return math.lgamma(x) if x < 1e305 else INFINITY


def _log_gamma1p(x: np.ndarray) -> np.ndarray:
    """log Gamma(1 + x), x >= 0, relative to x where x is small (Taylor's series, DLMF 5.7.3)."""
    near = np.minimum(x, 0.1)
    series = np.zeros_like(near)
    for n in range(len(ZETA) + 1, 1, -1):
        series = near * ((-1) ** n * ZETA[n - 2] / n + series)
    return np.where(x <= 0.1, near * (series - EULER), log_gamma(1 + x))


def _log_gamma_rise(b: np.ndarray, k: np.ndarray) -> np.ndarray:
    """log Gamma(1 + b + k) - log Gamma(1 + b), b and k >= 0, with no large terms that cancel (Stirling's series)."""
    shift = np.zeros(np.broadcast_shapes(b.shape, k.shape))
    for i in range(1, 17):  # Gamma(1 + b) by Gamma(17 + b)
        shift = shift + np.log1p(k / (b + i))
    low = b + 17
    high = low + k

    def rest(z: np.ndarray) -> np.ndarray:
        return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / z**2) / z**2) / z**2) / z**2) / z

    return (low - 0.5) * np.log1p(k / low) - k + k * np.log(high) + (rest(high) - rest(low)) - shift


def _variance(log_first: np.ndarray, log_second: np.ndarray) -> np.ndarray:
    """Second moment less the square of the first, from their logarithms."""
    return np.exp(2 * log_first) * np.expm1(np.maximum(log_second - 2 * log_first, 0))


def require(distribution: Elementwise, holds: Callable[[], Any], rule: str) -> None:
    """Raises ValueError with the rule, the parameters and their index where it does not hold.

    holds: which elements are good. Not asked where parameters lie on a GPU: programs there look themselves.
    """
    if distribution._elsewhere:
        return
    with np.errstate(over="ignore"):
        good = np.broadcast_to(holds(), distribution.batch_shape)
    if not good.all():
        index = first_index(~good)
        values = (
            (name, float(np.broadcast_to(getattr(distribution, name), good.shape)[index]))
            for name in distribution.parameters
        )
        raise ValueError(f"{rule}, got {', '.join(f'{name}={value!r}' for name, value in values)}{at(index)}")


def _above(low: np.ndarray, high: np.ndarray) -> Any:
    width = high - low
    return (width > 0) & np.isfinite(width)


class Uniform(Elementwise):
    """Uniform on [low, high].

    Parameters
    ----------
    low, high : array_like
        With low < high and a finite difference.

    Notes
    -----
    Relative error, measured: icdf 6.7e-17, cdf 7.1e-17, log_prob 6.2e-17.
    """

    parameters = ("low", "high")
    low: np.ndarray
    high: np.ndarray

    def __init__(self, low: Any = 0.0, high: Any = 1.0) -> None:
        super().__init__(real(low, "low"), real(high, "high"))
        require(self, lambda: _above(self.low, self.high), "high must be above low, by a finite difference")

    @property
    def mean(self) -> Any:
        """(low + high) / 2."""
        return self._full(0.5 * self.low + 0.5 * self.high)

    @property
    def var(self) -> Any:
        """(high - low)^2 / 12."""
        return self._full((self.high - self.low) ** 2 / 12)

    @property
    def support(self) -> tuple[Any, Any]:
        """low, high."""
        return self._full(self.low), self._full(self.high)


class Normal(Elementwise):
    """Normal (Gaussian) with mean `loc` and standard deviation `scale`.

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 3.7e-16, cdf 1.5e-16, log_prob 2.4e-16.
    """

    parameters = ("loc", "scale")
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """loc."""
        return self._full(self.loc)

    @property
    def var(self) -> Any:
        """scale^2."""
        return self._full(self.scale**2)

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-INFINITY), self._full(INFINITY)


class Exponential(Elementwise):
    """Exponential with mean `scale`, which is 1 / rate (NumPy's and SciPy's convention).

    Parameters
    ----------
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 1.8e-16, cdf 1.2e-16, log_prob 1.6e-16.
    """

    parameters = ("scale",)
    scale: np.ndarray

    def __init__(self, scale: Any = 1.0) -> None:
        super().__init__(positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """scale."""
        return self._full(self.scale)

    @property
    def var(self) -> Any:
        """scale^2."""
        return self._full(self.scale**2)

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(INFINITY)


class LogNormal(Elementwise):
    """exp(Z) with Z normal of mean `loc` and standard deviation `scale`.

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 1.4e-14, cdf 2.3e-16, log_prob 4.6e-16.
    """

    parameters = (
        "loc",
        "scale",
    )
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """exp(loc + scale^2 / 2)."""
        return self._full(np.exp(self.loc + self.scale**2 / 2))

    @property
    def var(self) -> Any:
        """(exp(scale^2) - 1) exp(2 loc + scale^2)."""
        return self._full(np.expm1(self.scale**2) * np.exp(2 * self.loc + self.scale**2))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(INFINITY)


class HalfNormal(Elementwise):
    """|Z| with Z normal of mean 0 and standard deviation `scale`.

    Parameters
    ----------
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 2.3e-16, cdf 1.7e-16, log_prob 2.2e-16.
    """

    parameters = ("scale",)
    scale: np.ndarray

    def __init__(self, scale: Any = 1.0) -> None:
        super().__init__(positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """scale sqrt(2 / pi)."""
        return self._full(self.scale * np.sqrt(2 / np.pi))

    @property
    def var(self) -> Any:
        """scale^2 (1 - 2 / pi)."""
        return self._full(self.scale**2 * (1 - 2 / np.pi))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(INFINITY)


class Laplace(Elementwise):
    """Laplace (double exponential): density exp(-|x - loc| / scale) / (2 scale).

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 2.0e-16, cdf 1.1e-16, log_prob 1.2e-16.
    """

    parameters = (
        "loc",
        "scale",
    )
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """loc."""
        return self._full(self.loc)

    @property
    def var(self) -> Any:
        """2 scale^2."""
        return self._full(2 * self.scale**2)

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-INFINITY), self._full(INFINITY)


class Logistic(Elementwise):
    """Logistic: F(x) = 1 / (1 + exp(-(x - loc) / scale)).

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 2.1e-16, cdf 1.3e-16, log_prob 2.2e-16.
    """

    parameters = (
        "loc",
        "scale",
    )
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """loc."""
        return self._full(self.loc)

    @property
    def var(self) -> Any:
        """pi^2 scale^2 / 3."""
        return self._full((np.pi * self.scale) ** 2 / 3)

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-INFINITY), self._full(INFINITY)


class Cauchy(Elementwise):
    """Cauchy: F(x) = 1/2 + atan((x - loc) / scale) / pi.

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 2.0e-16, cdf 2.7e-16, log_prob 1.7e-16.
    """

    parameters = (
        "loc",
        "scale",
    )
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """It does not exist: NaN."""
        return self._full(np.nan)

    @property
    def var(self) -> Any:
        """It does not exist: NaN."""
        return self._full(np.nan)

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-INFINITY), self._full(INFINITY)


class Gumbel(Elementwise):
    """Gumbel, of largest values: F(x) = exp(-exp(-(x - loc) / scale)).

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 1.8e-16, cdf 9.0e-17, log_prob 5.3e-16.
    """

    parameters = (
        "loc",
        "scale",
    )
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """loc + 0.5772... scale."""
        return self._full(self.loc + EULER * self.scale)

    @property
    def var(self) -> Any:
        """pi^2 scale^2 / 6."""
        return self._full((np.pi * self.scale) ** 2 / 6)

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-INFINITY), self._full(INFINITY)


class Weibull(Elementwise):
    """Weibull: F(x) = 1 - exp(-(x / scale)^shape).

    Parameters
    ----------
    shape : array_like
        Positive.
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 5.5e-14, cdf 1.2e-14, log_prob 3.2e-15.
    """

    parameters = (
        "shape",
        "scale",
    )
    shape: np.ndarray
    scale: np.ndarray

    def __init__(self, shape: Any, scale: Any = 1.0) -> None:
        super().__init__(positive(shape, "shape"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """scale Gamma(1 + 1 / shape)."""
        with np.errstate(over="ignore"):
            return self._full(self.scale * np.exp(_log_gamma1p(np.asarray(1 / self.shape))))

    @property
    def var(self) -> Any:
        """scale^2 (Gamma(1 + 2 / shape) - Gamma(1 + 1 / shape)^2)."""
        k = np.asarray(1 / self.shape)
        with np.errstate(over="ignore"):
            return self._full(self.scale**2 * _variance(_log_gamma1p(k), _log_gamma1p(2 * k)))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(INFINITY)


class Pareto(Elementwise):
    """Pareto: F(x) = 1 - (scale / x)^shape for x >= scale.

    Parameters
    ----------
    shape : array_like
        Positive.
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 5.5e-14, cdf 8.3e-15, log_prob 3.6e-16.
    """

    parameters = (
        "shape",
        "scale",
    )
    shape: np.ndarray
    scale: np.ndarray

    def __init__(self, shape: Any, scale: Any = 1.0) -> None:
        super().__init__(positive(shape, "shape"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """shape scale / (shape - 1), infinite for shape <= 1."""
        a = self.shape
        with np.errstate(divide="ignore"):
            return self._full(np.where(a > 1, a * self.scale / (a - 1), INFINITY))

    @property
    def var(self) -> Any:
        """scale^2 shape / ((shape - 1)^2 (shape - 2)), infinite for shape <= 2."""
        a = self.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._full(np.where(a > 2, self.scale**2 * a / (a - 1) ** 2 / (a - 2), INFINITY))

    @property
    def support(self) -> tuple[Any, Any]:
        """scale, inf."""
        return self._full(self.scale), self._full(INFINITY)


class Rayleigh(Elementwise):
    """Rayleigh: F(x) = 1 - exp(-x^2 / (2 scale^2)).

    Parameters
    ----------
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 2.0e-16, cdf 8.8e-17, log_prob 2.5e-16.
    """

    parameters = ("scale",)
    scale: np.ndarray

    def __init__(self, scale: Any = 1.0) -> None:
        super().__init__(positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """scale sqrt(pi / 2)."""
        return self._full(self.scale * np.sqrt(np.pi / 2))

    @property
    def var(self) -> Any:
        """scale^2 (2 - pi / 2)."""
        return self._full(self.scale**2 * (2 - np.pi / 2))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(INFINITY)


class Triangular(Elementwise):
    """Triangular on [low, high] with its density's peak at `mode`.

    Parameters
    ----------
    low, mode, high : array_like
        With low <= mode <= high and low < high, by a finite difference.

    Notes
    -----
    Relative error, measured: icdf 1.2e-16, cdf 8.1e-17, log_prob 3.1e-16.
    """

    parameters = (
        "low",
        "mode",
        "high",
    )
    low: np.ndarray
    mode: np.ndarray
    high: np.ndarray

    def __init__(self, low: Any, mode: Any, high: Any) -> None:
        super().__init__(real(low, "low"), real(mode, "mode"), real(high, "high"))
        require(self, lambda: _above(self.low, self.high), "high must be above low, by a finite difference")
        require(self, lambda: (self.low <= self.mode) & (self.mode <= self.high), "mode must be from low to high")

    @property
    def mean(self) -> Any:
        """(low + mode + high) / 3."""
        return self._full(self.low / 3 + self.mode / 3 + self.high / 3)

    @property
    def var(self) -> Any:
        """(a^2 + a b + b^2) / 18 with a = mode - low, b = high - mode."""
        a, b = self.mode - self.low, self.high - self.mode
        return self._full((a * a + a * b + b * b) / 18)

    @property
    def support(self) -> tuple[Any, Any]:
        """low, high."""
        return self._full(self.low), self._full(self.high)


class Kumaraswamy(Elementwise):
    """Kumaraswamy on [0, 1]: F(x) = 1 - (1 - x^a)^b.

    Parameters
    ----------
    a : array_like
        Positive.
    b : array_like
        Positive.

    Notes
    -----
    Relative error, measured: icdf 6.5e-14, cdf 6.8e-15, log_prob 4.6e-16.
    """

    parameters = (
        "a",
        "b",
    )
    a: np.ndarray
    b: np.ndarray

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(positive(a, "a"), positive(b, "b"))

    def _log_moment(self, n: int) -> np.ndarray:
        k = np.asarray(n / self.a)
        return _log_gamma1p(k) - _log_gamma_rise(self.b, k)

    @property
    def mean(self) -> Any:
        """b B(1 + 1 / a, b)."""
        return self._full(np.exp(self._log_moment(1)))

    @property
    def var(self) -> Any:
        """b B(1 + 2 / a, b) - mean^2."""
        return self._full(_variance(self._log_moment(1), self._log_moment(2)))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, 1."""
        return self._full(0.0), self._full(1.0)
