"""exp and log of float64 arrays by the native kernels; NumPy's differ in the last bit between machines and strides."""

from __future__ import annotations

import numpy as np

from genfast.distributions.continuous import Exponential

__all__ = ["exp_nonpositive", "log", "log_sum_exp"]

LN2 = 0.6931471805599453
_unit = Exponential()


def exp_nonpositive(x: np.ndarray) -> np.ndarray:
    """exp(x) for x <= 0 (1 above): the exponential distribution's tail at -x."""
    return np.asarray(_unit.ccdf(-x))


def log(x: np.ndarray) -> np.ndarray:
    """Natural logarithm for x >= 0: -inf at 0, inf at inf, NaN for NaN; absolute error near 1 about 1e-16."""
    fraction, exponent = np.frexp(x)
    inside = (fraction >= 0) & (fraction <= 1)
    found = exponent * LN2 - _unit.iccdf(np.where(inside, fraction, 1.0))
    return np.where(inside, found, x)


def log_sum_exp(terms: list[np.ndarray]) -> np.ndarray:
    """log of the sum of exp(terms), added in the order of the list; terms broadcast."""
    top = terms[0]
    for term in terms[1:]:
        top = np.maximum(top, term)
    with np.errstate(invalid="ignore"):
        total = sum((exp_nonpositive(np.asarray(term - top)) for term in terms), start=np.zeros(()))
        return np.where(np.isfinite(top), top + log(np.asarray(total)), top)
