"""Multivariate normal distributions and their mixtures, by their conditionals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genfast.arrays import as_numpy
from genfast.distributions.base import real
from genfast.distributions.combinator import unchecked
from genfast.distributions.continuous import Normal
from genfast.distributions.elementary import exp_nonpositive, log, log_sum_exp
from genfast.distributions.mixture import Mixture, normalised_weights
from genfast.joints.base import Joint
from genfast.joints.linalg import apply_lower, cholesky, inverse_lower, sum_rows

__all__ = ["GaussianMixture", "MultivariateNormal"]

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# Samples a step of a mixture works on, which bounds its memory to components × sites × this.
ROWS = 1 << 12


class MultivariateNormal(Joint):
    """Multivariate normal.

    Parameters
    ----------
    mean : array_like of shape (d,)
    cov : array_like of shape (d, d)
        Symmetric and positive definite.

    Raises
    ------
    ValueError
        If `cov` is not symmetric or not positive definite, naming the entry or coordinate.

    Notes
    -----
    x = mean + L z with cov = L Lᵀ and z = Φ⁻¹(u), which is the chain of conditionals: row k of L holds the regression
    of x[k] on those before it and, on the diagonal, its conditional standard deviation.

    Examples
    --------
    >>> joint = gf.MultivariateNormal([0, 1], [[2, 0.5], [0.5, 1]])
    >>> joint.sample(3, rng=0).shape, joint.inverse_rosenblatt([[0.5, 0.5]]).tolist()
    ((3, 2), [[0.0, 1.0]])
    """

    def __init__(self, mean: Any, cov: Any) -> None:
        self.mean = real(mean, "mean").array
        self.cov = real(cov, "cov").array
        if self.mean.ndim != 1 or not self.mean.size:
            raise ValueError(f"mean must have shape (d,), got {self.mean.shape}")
        self.sites = self.mean.size
        if self.cov.shape != (self.sites, self.sites):
            raise ValueError(f"cov must have shape ({self.sites}, {self.sites}), as mean has it, got {self.cov.shape}")
        self._factor = cholesky(self.cov, "cov")
        self._inverse = inverse_lower(self._factor)
        self._log_det = float(np.add.accumulate(log(np.diagonal(self._factor)))[-1])
        self._unit = Normal()

    def _draw(self, u: np.ndarray) -> np.ndarray:
        return self.mean[:, None] + apply_lower(self._factor, self._unit.icdf(u))

    def _standard(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return apply_lower(self._inverse, x - self.mean[:, None])

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        z = self._standard(x)
        with np.errstate(over="ignore"):
            return -0.5 * sum_rows(z * z) - (self.sites * HALF_LOG_2PI + self._log_det)

    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return np.asarray(self._unit.cdf(self._standard(x))), None


class GaussianMixture(Joint):
    """A mixture of K multivariate normals.

    Parameters
    ----------
    weights : array_like of shape (K,)
        Non-negative, of any positive sum.
    means : array_like of shape (K, d)
    covs : array_like of shape (K, d, d)
        Each symmetric and positive definite.

    Raises
    ------
    ValueError, TypeError
        For arrays of other shapes, a negative weight or a matrix that is no covariance, naming the entry.

    Notes
    -----
    A draw takes d uniforms, not d + 1: x[k] comes from its own exact conditional, which is a one-dimensional mixture
    with the components' weights updated by x[:k]. Picking the component by a first uniform is cheaper, but then u is no
    function of x: `rosenblatt` would not invert `sample`, and quasi-random points would meet a jump at every change of
    component.
    """

    def __init__(self, weights: Any, means: Any, covs: Any) -> None:
        self.means, self.covs = real(means, "means").array, real(covs, "covs").array
        if self.means.ndim != 2 or not self.means.size:
            raise ValueError(f"means must have shape (K, d), got {self.means.shape}")
        count, self.sites = self.means.shape
        if self.covs.shape != (count, self.sites, self.sites):
            raise ValueError(f"covs must have shape {(count, self.sites, self.sites)}, got {self.covs.shape}")
        if as_numpy(weights, "weights").ndim != 1:
            raise ValueError(f"weights must have shape ({count},)")
        self.weights = normalised_weights(weights, "weights", count)
        # A component of weight 0 must not cost anything, nor make a NaN.
        self._kept = np.flatnonzero(self.weights > 0)
        self._factors = np.stack([cholesky(cov, f"covs[{c}]") for c, cov in enumerate(self.covs)])[self._kept]
        self._inverses = [inverse_lower(factor) for factor in self._factors]
        self._scales = np.stack([np.diagonal(factor) for factor in self._factors])
        self._log_scales = log(self._scales)
        self._log_weights = log(self.weights[self._kept])

    def _draw(self, u: np.ndarray) -> np.ndarray:
        x = np.empty(u.shape)
        for start in range(0, u.shape[1], ROWS):
            x[:, start : start + ROWS] = self._walk(u[:, start : start + ROWS], draw=True)
        return x

    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        u = np.empty(x.shape)
        for start in range(0, x.shape[1], ROWS):
            u[:, start : start + ROWS] = self._walk(x[:, start : start + ROWS], draw=False)
        return u, None

    def _walk(self, given: np.ndarray, draw: bool) -> np.ndarray:
        """x from u, or u from x, site by site: each component's conditional means and log-weights are carried along."""
        (d, n), count = given.shape, len(self._kept)
        # [component, site, sample]: what the sites so far make of the conditional mean.
        means = np.repeat(self.means[self._kept][:, :, None], n, axis=2)
        log_weights = np.repeat(self._log_weights[:, None], n, axis=1)
        found = np.empty((d, n))
        for k in range(d):
            top = log_weights.max(axis=0)
            with np.errstate(invalid="ignore"):
                weights = exp_nonpositive(log_weights - top)
            parts = [unchecked(Normal, means[c, k], self._scales[c, k]) for c in range(count)]
            mixture = Mixture.unchecked(weights.T / sum_rows(weights)[:, None], parts)
            found[k] = mixture.icdf(given[k]) if draw else mixture.cdf(given[k])
            x = found[k] if draw else given[k]
            with np.errstate(invalid="ignore", over="ignore"):
                # Far out, clipped: the squares must stay finite for the weights to have a largest.
                z = np.clip((x - means[:, k]) / self._scales[:, k, None], -1e150, 1e150)
                log_weights += -0.5 * z * z - self._log_scales[:, k, None]
                means[:, k + 1 :] += self._factors[:, k + 1 :, k, None] * z[:, None, :]
        return found

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        terms = []
        for c, inverse in enumerate(self._inverses):
            with np.errstate(invalid="ignore", over="ignore"):
                z = apply_lower(inverse, x - self.means[self._kept[c]][:, None])
                log_det = np.add.accumulate(self._log_scales[c])[-1]
                terms.append(self._log_weights[c] - 0.5 * sum_rows(z * z) - (self.sites * HALF_LOG_2PI + log_det))
        return log_sum_exp(terms)
