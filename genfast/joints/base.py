"""What every joint has: draws and log-probabilities by the chain rule, and Rosenblatt's transform both ways."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from genfast.arrays import as_numpy, check_size, check_uniforms, float_dtype, kind_of, output, result_dtype
from genfast.rng import RNG, uniforms
from genfast.stream import as_index

__all__ = ["Joint"]

# u = 0 and u = 1 count as these, so that what is drawn next has something finite to depend on.
LEAST, MOST = 2.0**-1022, 1 - 2.0**-53


class Joint(ABC):
    """A distribution of vectors x of `sites` numbers, as the conditionals of each given those before it.

    A draw is a function of `sites` uniforms: u[0] gives x[0] through its inverse CDF, u[k] gives x[k] through that of
    x[k] given x[:k] (0 and 1 count as 2**-1022 and 1 - 2**-53, so that x is finite). That function is
    `inverse_rosenblatt`, and `sample` is it of uniforms; `rosenblatt` is its inverse (Rosenblatt, *Remarks on a
    multivariate transformation*, Ann. Math. Stat. 23, 1952). Sample i of a seed takes u(seed, i, k) for x[k].

    A subclass defines `sites`, `_draw`, `_log_prob` and `_levels`, on float64 arrays with a site a row.
    """

    sites: int

    @abstractmethod
    def _draw(self, u: np.ndarray) -> np.ndarray:
        """x of shape (sites, n) from u of that shape, every element in [0, 1]."""

    @abstractmethod
    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        """Log-density (n,) of x (sites, n)."""

    @abstractmethod
    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Lower and upper ends (sites, n) of the intervals of u that give x; None for upper where all are points."""

    def sample(self, n: int, rng: RNG = None, *, u: Any = None, dtype: DTypeLike | None = None, out: Any = None) -> Any:
        """n draws.

        Parameters
        ----------
        n : int
            Number of draws; 0 gives an empty array.
        rng : int, Stream, numpy.random.Generator or BitGenerator, scipy QMCEngine of d = sites, or None
            Where the uniforms come from. None takes a fresh seed.
        u : array_like of shape (n, sites), optional
            The uniforms themselves, in [0, 1], instead of `rng`.
        dtype : float32 or float64, optional
            Default: that of `out`, else of `u`, else float64. float32 results are the float64 ones rounded.
        out : array of shape (n, sites), optional
            Where to write; it is returned.

        Returns
        -------
        ndarray of shape (n, sites)
            Of the kind of `u` (a tensor for a tensor). The same bits for any n and any number of threads.

        Raises
        ------
        TypeError, ValueError
            For wrong arguments, naming them.
        """
        n = as_index(n, "n", 1 << 62)
        check_size((n, self.sites), name="samples of shape")
        if u is None:
            values = uniforms(rng, n, self.sites)
        elif rng is not None:
            raise ValueError("give rng or u, not both")
        else:
            values = self._matrix(u, "u")
            if len(values) != n:
                raise ValueError(f"u must have shape ({n}, {self.sites}), got {values.shape}")
            check_uniforms(values, "u")
        return self._out(self._drawn(values), (u,), dtype, out)

    def log_prob(self, x: Any) -> Any:
        """Natural logarithm of the density (of the mass, where discrete).

        Parameters
        ----------
        x : array_like of shape (n, sites)

        Returns
        -------
        ndarray of shape (n,)
            -inf outside the support, NaN where x holds a NaN.
        """
        return self._out(self._log_prob(self._columns(x)), (x,))

    def rosenblatt(self, x: Any) -> Any:
        """The uniforms that x comes from: u[k] = F(x[k] given x[:k]).

        Parameters
        ----------
        x : array_like of shape (n, sites)

        Returns
        -------
        ndarray of shape (n, sites), or a pair of such
            The pair (lower, upper) when some conditionals are discrete: u in (lower, upper] gives x. They are equal
            where continuous.
        """
        lower, upper = self._levels(self._columns(x))
        if upper is None:
            return self._out(lower.T, (x,))
        return self._out(lower.T, (x,)), self._out(upper.T, (x,))

    def inverse_rosenblatt(self, u: Any) -> Any:
        """x from its uniforms.

        Parameters
        ----------
        u : array_like of shape (n, sites), or a tuple of two such
            In [0, 1]. A pair (lower, upper), as `rosenblatt` returns it, stands for its midpoint.

        Returns
        -------
        ndarray of shape (n, sites)
        """
        if not isinstance(u, tuple):
            return self.sample(len(self._matrix(u, "u")), u=u)
        if len(u) != 2:
            raise ValueError(f"u must be an array or a pair (lower, upper), got a tuple of {len(u)}")
        lower, upper = self._matrix(u[0], "lower"), self._matrix(u[1], "upper")
        if lower.shape != upper.shape:
            raise ValueError(f"lower and upper must have the same shape, got {lower.shape} and {upper.shape}")
        check_uniforms(lower, "lower")
        check_uniforms(upper, "upper")
        return self._out(self._drawn(0.5 * lower + 0.5 * upper), u)

    def _drawn(self, u: np.ndarray) -> np.ndarray:
        return self._draw(np.clip(np.ascontiguousarray(u.T), LEAST, MOST)).T

    def _matrix(self, x: Any, name: str) -> np.ndarray:
        array = as_numpy(x, name, np.float64)
        if array.ndim != 2 or array.shape[1] != self.sites:
            raise ValueError(f"{name} must have shape (n, {self.sites}), got {array.shape}")
        return array

    def _columns(self, x: Any) -> np.ndarray:
        return np.ascontiguousarray(self._matrix(x, "x").T)

    @staticmethod
    def _out(values: np.ndarray, inputs: tuple[Any, ...], dtype: DTypeLike | None = None, out: Any = None) -> Any:
        if out is None and dtype is None:
            dtype = result_dtype(*inputs)
        target = output(out, values.shape, float_dtype(dtype) if dtype is not None else None, kind_of(*inputs))
        target.array[...] = values
        return target.finish()
