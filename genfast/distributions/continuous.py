"""Continuous distributions whose quantile function is closed, or as good as closed (Normal).

Parameters broadcast as in NumPy, are finite, and keep the names of the field. Sources: Johnson, Kotz & Balakrishnan,
*Continuous Univariate Distributions*, 2nd ed., 1994-95, for the formulas; the numerics are in csrc/numerics/.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfast.distributions.base import Elementwise, at, first_index, positive, real

__all__ = ["Exponential", "Normal", "Uniform"]


class Uniform(Elementwise):
    """Uniform on [low, high].

    Parameters
    ----------
    low, high : array_like
        With low < high and a finite difference.
    """

    parameters = ("low", "high")
    low: np.ndarray
    high: np.ndarray

    def __init__(self, low: Any = 0.0, high: Any = 1.0) -> None:
        super().__init__(real(low, "low"), real(high, "high"))
        with np.errstate(over="ignore"):
            width = self.high - self.low
        bad = ~((width > 0) & np.isfinite(width))
        if bad.any():
            index = first_index(bad)
            raise ValueError(f"high must be above low, by a finite difference; it is not{at(index)}")

    @property
    def mean(self) -> np.ndarray:
        """(low + high) / 2."""
        return self._full(0.5 * self.low + 0.5 * self.high)

    @property
    def var(self) -> np.ndarray:
        """(high - low)^2 / 12."""
        return self._full((self.high - self.low) ** 2 / 12)

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """low, high."""
        return self._full(self.low), self._full(self.high)


class Normal(Elementwise):
    """Normal (Gaussian) with mean `loc` and standard deviation `scale`.

    Parameters
    ----------
    loc : array_like
    scale : array_like
        Positive.
    """

    parameters = ("loc", "scale")
    loc: np.ndarray
    scale: np.ndarray

    def __init__(self, loc: Any = 0.0, scale: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), positive(scale, "scale"))

    @property
    def mean(self) -> np.ndarray:
        """loc."""
        return self._full(self.loc)

    @property
    def var(self) -> np.ndarray:
        """scale^2."""
        return self._full(self.scale**2)

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """-inf, inf."""
        return self._full(-np.inf), self._full(np.inf)


class Exponential(Elementwise):
    """Exponential with mean `scale`, which is 1 / rate (NumPy's and SciPy's convention).

    Parameters
    ----------
    scale : array_like
        Positive.
    """

    parameters = ("scale",)
    scale: np.ndarray

    def __init__(self, scale: Any = 1.0) -> None:
        super().__init__(positive(scale, "scale"))

    @property
    def mean(self) -> np.ndarray:
        """scale."""
        return self._full(self.scale)

    @property
    def var(self) -> np.ndarray:
        """scale^2."""
        return self._full(self.scale**2)

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """0, inf."""
        return self._full(0.0), self._full(np.inf)
