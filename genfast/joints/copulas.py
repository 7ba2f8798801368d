"""Copulas: the dependence of a normal or Student-t vector with any marginals."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from genfast.distributions.base import Distribution, positive, real
from genfast.distributions.combinator import compute
from genfast.distributions.continuous import Normal
from genfast.distributions.convert import as_distribution
from genfast.distributions.elementary import log
from genfast.joints.base import LEAST, Joint
from genfast.joints.linalg import apply_lower, cholesky, inverse_lower, sum_rows

__all__ = ["GaussianCopula", "StudentTCopula"]


class _Elliptical(Joint):
    """x[k] = F_k⁻¹(T(y[k])), with y = L z of correlation L Lᵀ, T the cdf of each y[k], and z spherical."""

    def __init__(self, corr: Any, marginals: Sequence[Any]) -> None:
        if not isinstance(marginals, Sequence) or isinstance(marginals, str):
            raise TypeError(f"marginals must be a list of distributions, got {type(marginals).__name__}")
        if not marginals:
            raise ValueError("marginals must not be empty")
        self.marginals = tuple(as_distribution(d, f"marginals[{k}]") for k, d in enumerate(marginals))
        for k, d in enumerate(self.marginals):
            if d.batch_shape:
                raise ValueError(f"marginals[{k}] must be one distribution, its batch shape is {d.batch_shape}")
        self.sites = len(self.marginals)
        self.corr = real(corr, "corr").array
        if self.corr.shape != (self.sites, self.sites):
            raise ValueError(
                f"corr must have shape ({self.sites}, {self.sites}), as marginals has it, got {self.corr.shape}"
            )
        off = np.abs(np.diagonal(self.corr) - 1) > 1e-8
        if off.any():
            k = int(np.argmax(off))
            raise ValueError(f"corr must have 1 on its diagonal, got {float(self.corr[k, k])!r} at {k}")
        self._factor = cholesky(self.corr, "corr")
        self._inverse = inverse_lower(self._factor)
        self._log_scales = log(np.diagonal(self._factor))

    @property
    @abstractmethod
    def _common(self) -> Distribution:
        """That of every y[k]."""

    @abstractmethod
    def _spherical(self, u: np.ndarray) -> np.ndarray:
        """z from u, site by site."""

    @abstractmethod
    def _uniforms(self, z: np.ndarray) -> np.ndarray:
        """u from z."""

    @abstractmethod
    def _log_density(self, z: np.ndarray) -> np.ndarray:
        """Of z."""

    def _draw(self, u: np.ndarray) -> np.ndarray:
        x = apply_lower(self._factor, self._spherical(u))
        for y, d in zip(x, self.marginals, strict=True):
            # Either tail by its own probability; one that underflows must not become an infinite x.
            lower = np.maximum(compute(self._common, "cdf", np.minimum(y, 0.0)), LEAST)
            upper = np.maximum(compute(self._common, "ccdf", np.maximum(y, 0.0)), LEAST)
            y[:] = np.where(y < 0, compute(d, "icdf", lower), compute(d, "iccdf", upper))
        return x

    def _latent(self, x: np.ndarray) -> np.ndarray:
        y = np.empty(x.shape)
        for k, d in enumerate(self.marginals):
            if d.is_discrete:
                raise ValueError(
                    f"marginals[{k}] is discrete: log_prob and rosenblatt would need probabilities of rectangles; only "
                    f"sample works"
                )
            lower, upper = compute(d, "cdf", x[k]), compute(d, "ccdf", x[k])
            below = lower <= 0.5
            y[k] = np.where(
                np.isnan(x[k]),
                np.nan,
                np.where(
                    below,
                    self._common.icdf(np.where(below, lower, 0.5)),
                    self._common.iccdf(np.where(below | np.isnan(x[k]), 0.5, upper)),
                ),
            )
        return y

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        y = self._latent(x)
        single = np.stack([compute(d, "log_prob", row) for d, row in zip(self.marginals, x, strict=True)])
        outside = (single == -np.inf).any(axis=0)
        with np.errstate(invalid="ignore"):
            z = apply_lower(self._inverse, y)
            joint = self._log_density(z) - np.add.accumulate(self._log_scales)[-1]
            return np.where(outside, -np.inf, joint + sum_rows(single - self._common.log_prob(y)))

    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        with np.errstate(invalid="ignore"):
            return self._uniforms(apply_lower(self._inverse, self._latent(x))), None


class GaussianCopula(_Elliptical):
    """Any marginals, joined by the copula of a multivariate normal.

    Parameters
    ----------
    corr : array_like of shape (d, d)
        Correlations of the normal vector: symmetric, positive definite, 1 on the diagonal.
    marginals : sequence of d Distribution
        Each of batch shape (). With a discrete one there is `sample` (and `inverse_rosenblatt`) only.

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric or not positive definite, or whose diagonal is not 1, naming the entry or
        coordinate; for marginals that are no distributions, or not d of them.

    Notes
    -----
    x[k] = F_k⁻¹(Φ(y[k])), y normal with these correlations by its conditionals (Nelsen, *An Introduction to Copulas*,
    2nd ed., 2006). Both tails are exact: the smaller of Φ(y) and 1 - Φ(y) is what is inverted.

    Examples
    --------
    >>> joint = gf.GaussianCopula([[1, 0.7], [0.7, 1]], [gf.Exponential(2.0), gf.Uniform()])
    >>> x = joint.sample(1000, rng=0)
    >>> u = joint.rosenblatt(x)
    >>> bool(np.allclose(joint.inverse_rosenblatt(u), x, rtol=1e-9))
    True
    """

    def __init__(self, corr: Any, marginals: Sequence[Any]) -> None:
        super().__init__(corr, marginals)
        self._unit = Normal()

    @property
    def _common(self) -> Distribution:
        return self._unit

    def _spherical(self, u: np.ndarray) -> np.ndarray:
        return np.asarray(self._unit.icdf(u))

    def _uniforms(self, z: np.ndarray) -> np.ndarray:
        return np.asarray(self._unit.cdf(z))

    def _log_density(self, z: np.ndarray) -> np.ndarray:
        return sum_rows(np.asarray(self._unit.log_prob(z)))


class StudentTCopula(_Elliptical):
    """Any marginals, joined by the copula of a multivariate Student t.

    Parameters
    ----------
    corr : array_like of shape (d, d)
        Scale matrix of the t vector: symmetric, positive definite, 1 on the diagonal.
    df : float
        Degrees of freedom, positive.
    marginals : sequence of d Distribution
        Each of batch shape (). With a discrete one there is `sample` (and `inverse_rosenblatt`) only.

    Raises
    ------
    ValueError, TypeError
        For a matrix that is not symmetric or not positive definite, or whose diagonal is not 1, naming the entry or
        coordinate; for marginals that are no distributions, or not d of them.

    Notes
    -----
    d uniforms a draw and no chi-square: given k coordinates z of a spherical t vector, the next is sqrt((df + |z|²) /
    (df + k)) times a Student t with df + k degrees of freedom (Ding, *On the conditional distribution of the
    multivariate t distribution*, The American Statistician 70, 2016).
    """

    def __init__(self, corr: Any, df: float, marginals: Sequence[Any]) -> None:
        from genfast.distributions import StudentT

        super().__init__(corr, marginals)
        degrees = positive(df, "df").array
        if degrees.ndim:
            raise ValueError(f"df must be one number, got shape {degrees.shape}")
        self.df = float(degrees)
        self._t = [StudentT(self.df + k) for k in range(self.sites)]

    @property
    def _common(self) -> Distribution:
        return self._t[0]

    def _scale(self, k: int, squares: np.ndarray) -> np.ndarray:
        return np.sqrt((self.df + squares) / (self.df + k))

    def _spherical(self, u: np.ndarray) -> np.ndarray:
        z, squares = np.empty(u.shape), np.zeros(u.shape[1])
        for k, t in enumerate(self._t):
            z[k] = self._scale(k, squares) * t.icdf(u[k])
            with np.errstate(over="ignore"):
                squares += z[k] * z[k]
        return z

    def _uniforms(self, z: np.ndarray) -> np.ndarray:
        u, squares = np.empty(z.shape), np.zeros(z.shape[1])
        for k, t in enumerate(self._t):
            u[k] = t.cdf(z[k] / self._scale(k, squares))
            with np.errstate(over="ignore"):
                squares += z[k] * z[k]
        return u

    def _log_density(self, z: np.ndarray) -> np.ndarray:
        total, squares = np.zeros(z.shape[1]), np.zeros(z.shape[1])
        for k, t in enumerate(self._t):
            scale = self._scale(k, squares)
            total += t.log_prob(z[k] / scale) - log(scale)
            with np.errstate(over="ignore"):
                squares += z[k] * z[k]
        return total
