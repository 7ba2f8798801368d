"""Distributions on a circle: von Mises.

The numerics are in csrc/numerics/von_mises.h: both tails by one Gauss-Legendre rule with a positive integrand, the
quantile by one or a few of them and a Taylor step inside a cell of a fixed grid, which keeps it monotone in u.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genfast.distributions.base import Elementwise, Parameter, parameter, real

__all__ = ["VonMises"]


def _concentration(value: Any) -> Parameter:
    return parameter(value, "concentration", "in [0, 1e300]", lambda a: (a >= 0) & (a <= 1e300))


class VonMises(Elementwise):
    """Von Mises with density exp(concentration cos(x - loc)) / (2 pi I0(concentration)), loc - pi <= x <= loc + pi.

    Parameters
    ----------
    loc : array_like
    concentration : array_like
        Not negative; 0 is the uniform distribution.

    Notes
    -----
    The circle is cut at loc +- pi: x is not wrapped, one beyond has density 0, and `mean` and `var` are those of x on
    this interval, not circular ones. ``scipy.stats.vonmises`` has the same quantiles and moments, but its pdf and cdf
    go on round the circle; torch's draws are wrapped into [-pi, pi), and its variance is the circular one.

    Relative error, measured for loc = 0 and concentrations from 0 to 1e7: icdf and iccdf 1.5e-15 for probabilities down
    to 5e-324; cdf and ccdf, each where it is the smaller, 1e-14 above 1e-10 and 3e-13 down to 1e-290.
    """

    parameters = ("loc", "concentration")
    loc: np.ndarray
    concentration: np.ndarray

    def __init__(self, loc: Any = 0.0, concentration: Any = 1.0) -> None:
        super().__init__(real(loc, "loc"), _concentration(concentration))

    @property
    def mean(self) -> Any:
        """loc."""
        return self._full(self.loc)

    @property
    def var(self) -> Any:
        """The mean of (x - loc)^2, from pi^2 / 3 down to 1 / concentration; not the circular variance."""
        kappa = self.concentration
        reach = np.minimum(np.pi, 15.0 / np.sqrt(np.maximum(kappa, 1.0)))
        mass, moment = np.zeros_like(kappa), np.zeros_like(kappa)
        # A half bell on [0, reach] by Gauss-Legendre, as smooth for every concentration.
        for node, weight in zip(*np.polynomial.legendre.leggauss(48), strict=True):
            x = reach * (0.5 + 0.5 * node)
            density = weight * np.exp(-2.0 * (np.sqrt(kappa) * np.sin(0.5 * x)) ** 2)
            mass += density
            moment += density * (x / reach) ** 2
        return self._full(reach**2 * (moment / mass))

    @property
    def support(self) -> tuple[Any, Any]:
        """loc - pi, loc + pi."""
        return self._full(self.loc - np.pi), self._full(self.loc + np.pi)
