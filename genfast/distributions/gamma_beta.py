"""The gamma and beta families: Gamma, InverseGamma, Chi2, Beta, F and Student's t.

The numerics are in csrc/numerics/gamma.h, beta.h and student.h, after Temme (1979, 1982, 1992), DiDonato & Morris
(1986, 1992), Gautschi (1979), Loader (2000) and Gil, Segura & Temme (2012). A quantile is found by one or a few
evaluations of F and a Taylor step inside a cell of a fixed grid, which keeps it monotone in u. Probabilities
below 2**-1000 (9e-302) count as 2**-1000, 0 apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfast.distributions.base import Elementwise, Parameter, parameter, positive, real
from genfast.distributions.continuous import require

__all__ = ["Beta", "Chi2", "F", "Gamma", "InverseGamma", "StudentT"]


def _shape(value: Any, name: str) -> Parameter:
    return parameter(value, name, "positive and at most 1e300", lambda a: (a > 0) & (a <= 1e300))


# Beyond these, sums for the incomplete beta function cancel, and quantiles would be wrong.
_LEAST, _MOST, _RATIO = 1e-10, 1e15, 1e18


def _beta_shape(value: Any, name: str) -> Parameter:
    return parameter(value, name, "in [1e-10, 1e15]", lambda a: (a >= _LEAST) & (a <= _MOST))


def _require_ratio(d: Elementwise, a: np.ndarray, b: np.ndarray) -> None:
    names = " and ".join(d.parameters)
    require(d, lambda: (a <= _RATIO * b) & (b <= _RATIO * a), f"{names} must be within a factor of 1e18")


class Gamma(Elementwise):
    """Gamma with density x^(shape - 1) exp(-x / scale) / (Gamma(shape) scale^shape), x >= 0.

    Parameters
    ----------
    shape, scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured for shapes from 1e-3 to 1e8: icdf and iccdf 5e-15 for probabilities above 1e-10 and 1.4e-13
    down to 1e-300, where the exponent's rounding is magnified, or 1.5e-16 / shape if that is more (the effect of one
    rounding of u); cdf and ccdf, each relative to itself where it is the smaller, 6e-15 above 1e-10 and 2.5e-13 down to
    1e-290. A quantile below 1e-308, which small shapes have, is 0.
    """

    parameters = ("shape", "scale")
    shape: np.ndarray
    scale: np.ndarray

    def __init__(self, shape: Any, scale: Any = 1.0) -> None:
        super().__init__(_shape(shape, "shape"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """shape scale."""
        return self._full(self.shape * self.scale)

    @property
    def var(self) -> Any:
        """shape scale^2."""
        return self._full(self.shape * self.scale * self.scale)

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class InverseGamma(Elementwise):
    """scale / Z, Z a standard gamma variable: density scale^shape x^(-shape - 1) exp(-scale / x) / Gamma(shape), x > 0.

    Parameters
    ----------
    shape, scale : array_like
        Positive.

    Notes
    -----
    Errors are those of `Gamma`.
    """

    parameters = ("shape", "scale")
    shape: np.ndarray
    scale: np.ndarray

    def __init__(self, shape: Any, scale: Any = 1.0) -> None:
        super().__init__(_shape(shape, "shape"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """scale / (shape - 1); inf for shape <= 1."""
        with np.errstate(divide="ignore"):
            return self._full(np.where(self.shape > 1, self.scale / np.abs(self.shape - 1), np.inf))

    @property
    def var(self) -> Any:
        """mean^2 / (shape - 2); inf for 1 < shape <= 2, NaN below."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = (self.scale / (self.shape - 1)) ** 2 / np.abs(self.shape - 2)
        return self._full(np.where(self.shape > 2, value, np.where(self.shape > 1, np.inf, np.nan)))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class Chi2(Elementwise):
    """Chi-squared with `df` degrees of freedom: Gamma(df / 2, 2).

    Parameters
    ----------
    df : array_like
        Positive, not necessarily an integer.

    Notes
    -----
    Errors are those of `Gamma`.
    """

    parameters = ("df",)
    df: np.ndarray

    def __init__(self, df: Any) -> None:
        super().__init__(_shape(df, "df"))

    @property
    def mean(self) -> Any:
        """df."""
        return self._full(self.df)

    @property
    def var(self) -> Any:
        """2 df."""
        return self._full(2 * self.df)

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class Beta(Elementwise):
    """Beta with density x^(a - 1) (1 - x)^(b - 1) / B(a, b), 0 <= x <= 1.

    Parameters
    ----------
    a, b : array_like
        In [1e-10, 1e15], within a factor of 1e18 of each other.

    Notes
    -----
    Relative error, measured for shapes from 0.1 to 1e8: icdf and iccdf 1e-14 for probabilities above 1e-10 and 2e-13
    down to 1e-300; cdf and ccdf, each relative to itself where it is the smaller, 2e-14 above 1e-10 and 2.5e-13 down to
    1e-290. Of smaller shapes, down to 1e-3, quantiles are good to 1e-15 / shape, and a cdf or ccdf that is small only
    because a shape is has an error of 2e-16 relative to 1. Where x is near 1, x itself is rounded: ask for
    ``Beta(b, a)``, or for `F`, if 1 - x matters.
    """

    parameters = ("a", "b")
    a: np.ndarray
    b: np.ndarray

    def __init__(self, a: Any, b: Any) -> None:
        super().__init__(_beta_shape(a, "a"), _beta_shape(b, "b"))
        _require_ratio(self, self.a, self.b)

    @property
    def mean(self) -> Any:
        """a / (a + b)."""
        return self._full(self.a / (self.a + self.b))

    @property
    def var(self) -> Any:
        """a b / ((a + b)^2 (a + b + 1))."""
        n = self.a + self.b
        return self._full((self.a / n) * (self.b / n) / (n + 1))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, 1."""
        return self._full(0.0), self._full(1.0)


class F(Elementwise):
    """F (Fisher, Snedecor) with `dfn` and `dfd` degrees of freedom: the ratio of two Chi2(df) / df.

    Parameters
    ----------
    dfn, dfd : array_like
        Degrees of freedom of the numerator and of the denominator, not necessarily integers; in [1e-10, 1e15], within
        a factor of 1e18 of each other.

    Notes
    -----
    Errors are those of `Beta` with a = dfn / 2, b = dfd / 2, relative to x in both tails. A quantile beyond the range
    of doubles is 0 or inf.
    """

    parameters = ("dfn", "dfd")
    dfn: np.ndarray
    dfd: np.ndarray

    def __init__(self, dfn: Any, dfd: Any) -> None:
        super().__init__(_beta_shape(dfn, "dfn"), _beta_shape(dfd, "dfd"))
        _require_ratio(self, self.dfn, self.dfd)

    @property
    def mean(self) -> Any:
        """dfd / (dfd - 2); inf for dfd <= 2."""
        with np.errstate(divide="ignore"):
            return self._full(np.where(self.dfd > 2, self.dfd / np.abs(self.dfd - 2), np.inf))

    @property
    def var(self) -> Any:
        """2 mean^2 (dfn + dfd - 2) / (dfn (dfd - 4)); inf for 2 < dfd <= 4, NaN below."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self.dfd / (self.dfd - 2)
            value = 2 * mean * mean * (self.dfn + self.dfd - 2) / (self.dfn * (self.dfd - 4))
        return self._full(np.where(self.dfd > 4, value, np.where(self.dfd > 2, np.inf, np.nan)))

    @property
    def support(self) -> tuple[Any, Any]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)


class StudentT(Elementwise):
    """loc + scale T, T Student's t with `df` degrees of freedom.

    Parameters
    ----------
    df : array_like
        Positive, not necessarily an integer.
    loc : array_like
    scale : array_like
        Positive.

    Notes
    -----
    Relative error, measured for df from 0.01 to 1e5, with loc = 0: icdf and iccdf 2e-13 outside of the central tenth of
    the probability, and inside an absolute error of 1.5e-15 scale; cdf and ccdf 1e-14 above 1e-10 and 2.5e-13 down to
    1e-290. A quantile beyond 1e308, which small df have, is infinite.
    """

    parameters = ("df", "loc", "scale")
    df: np.ndarray
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(_shape(df, "df"), real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> Any:
        """loc; NaN for df <= 1."""
        return self._full(np.where(self.df > 1, self.loc, np.nan))

    @property
    def var(self) -> Any:
        """scale^2 df / (df - 2); inf for 1 < df <= 2, NaN below."""
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.scale**2 * (self.df / (self.df - 2))
        return self._full(np.where(self.df > 2, value, np.where(self.df > 1, np.inf, np.nan)))

    @property
    def support(self) -> tuple[Any, Any]:
        """-inf, inf."""
        return self._full(-np.inf), self._full(np.inf)
