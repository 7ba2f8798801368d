"""What distributions made of others share: parts of a batch, and probabilities just below a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.arrays import NUMPY
from genfast.distributions.base import Distribution, Elementwise, Parameter

__all__ = ["NEAR_HALF", "Combinator", "below", "cdf_below", "compute", "mapped", "on_integers", "unchecked"]


# Where F and 1 - F, each rounded, could disagree on which side of the median x is.
NEAR_HALF = 0.49


def on_integers(d: Distribution) -> bool:
    """Whether all values are integers."""
    return getattr(d, "_integers", d.is_discrete)


def cdf_below(d: Distribution, x: np.ndarray) -> np.ndarray:
    """P(X < x): the lower end of the interval of u that gives x, where cdf(x) is the upper end."""
    return below(d, "cdf", x)


def below(d: Distribution, function: str, x: np.ndarray) -> np.ndarray:
    """`function` ("cdf" or "ccdf") just below x: P(X < x) or P(X >= x)."""
    if isinstance(d, Combinator):
        return d._compute_below(function, x)
    if d.is_discrete:
        # Past 2**53, x - 1 is x.
        x = np.minimum(np.ceil(x) - 1.0, np.nextafter(x, -np.inf))
    return compute(d, function, x)


def compute(d: Distribution, function: str, x: Any) -> np.ndarray:
    """`function` of `d` at x, NumPy to NumPy whatever the kind of the parameters; probabilities are not checked."""
    return d._compute(function, np.asarray(x, np.float64))


def unchecked(family: type[Elementwise], *arrays: np.ndarray) -> Elementwise:
    """A distribution of float64 parameters known to be valid."""
    d = object.__new__(family)
    Elementwise.__init__(d, *(Parameter(a, NUMPY) for a in arrays))
    return d


def mapped(d: Distribution, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
    """`d` with every array of parameters changed, unchecked: how a part of a batch is taken.

    Raises
    ------
    TypeError
        If `d` is of a class whose parameters are not plain arrays.
    """
    if not d.batch_shape:
        return d
    if isinstance(d, Elementwise):
        return unchecked(type(d), *map(change, d._arrays))
    if isinstance(d, Combinator):
        return d._mapped(change)
    raise TypeError(f"{type(d).__name__} has no parameters to take a part of")


class Combinator(Distribution):
    """A distribution made of others. Subclasses define `_cdf`, `_ccdf`, `_log_prob`, `_compute_below`, `_mapped`, and
    either `_icdf` and `_iccdf` or `_search`."""

    is_discrete: bool
    _integers: bool

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        return getattr(self, f"_{function}")(x)

    def _icdf(self, u: np.ndarray) -> np.ndarray:
        return self._search(np.where(u > 0.5, 1.0 - u, u), u > 0.5)

    def _iccdf(self, q: np.ndarray) -> np.ndarray:
        return self._search(np.where(q < 0.5, q, 1.0 - q), q < 0.5)

    def _search(self, p: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Quantiles at F = p or, where `upper`, at 1 - F = p; p <= 1/2."""
        raise NotImplementedError

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        """`function` ("cdf" or "ccdf") just below x."""
        raise NotImplementedError

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        raise NotImplementedError
