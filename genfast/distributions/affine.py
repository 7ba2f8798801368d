"""loc + scale·X, with a scale of either sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.distributions.base import Distribution, common_kind, common_shape, parameter, real
from genfast.distributions.combinator import Combinator, below, compute, mapped, on_integers
from genfast.distributions.convert import as_distribution
from genfast.distributions.elementary import log

__all__ = ["Affine"]


class Affine(Combinator):
    """loc + scale·X.

    Parameters
    ----------
    d : Distribution
        Distribution of X, or what `from_scipy` and `from_torch` take.
    loc : array_like
        Finite.
    scale : array_like
        Finite and not 0. Where it is negative, the quantiles of `d` are read from the other end.

    Raises
    ------
    ValueError, TypeError
        For a `loc` or `scale` outside its range, naming the index, and a `d` that is no distribution.

    Notes
    -----
    A discrete X of integers stays exact: x counts as the value that loc + scale·k rounds to.

    Examples
    --------
    >>> gf.Affine(gf.Geometric(0.25), -1.0).icdf([0.1, 0.5, 0.9]).tolist()  # failures, not trials
    [0.0, 2.0, 8.0]
    """

    def __init__(self, d: Any, loc: Any = 0.0, scale: Any = 1.0) -> None:
        self.d = as_distribution(d, "d")
        place, factor = real(loc, "loc"), parameter(scale, "scale", "finite and not 0", lambda a: a != 0)
        self.loc, self.scale = place.array, factor.array
        self.kind = common_kind(self.d.kind, place.kind, factor.kind)
        self.batch_shape = common_shape(d=self.d.batch_shape, loc=self.loc.shape, scale=self.scale.shape)
        self._set()

    def _set(self) -> None:
        self.is_discrete = self.d.is_discrete
        unit = (np.abs(self.scale) == 1).all() and (self.loc == np.rint(self.loc)).all()
        self._integers = bool(on_integers(self.d) and unit)
        self._flip = bool((self.scale < 0).any())
        self._same = bool((self.scale > 0).any())

    def __repr__(self) -> str:
        return f"Affine({self.d!r}, loc={self.loc.tolist()!r}, scale={self.scale.tolist()!r})"

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        part = object.__new__(Affine)
        part.d, part.loc, part.scale = mapped(self.d, change), change(self.loc), change(self.scale)
        part.batch_shape = np.broadcast_shapes(part.d.batch_shape, part.loc.shape, part.scale.shape)
        part._set()
        return part

    def _either(self, same: Callable[[], np.ndarray], flipped: Callable[[], np.ndarray]) -> np.ndarray:
        if not self._flip:
            return same()
        if not self._same:
            return flipped()
        return np.where(self.scale > 0, same(), flipped())

    def _icdf(self, u: np.ndarray) -> np.ndarray:
        # Flipped and discrete: the largest y with P(Y >= y) >= u is the smallest with P(Y > y) < u.
        tail = np.nextafter(u, 0.0) if self.is_discrete else u
        return self.loc + self.scale * self._either(
            lambda: compute(self.d, "icdf", u), lambda: compute(self.d, "iccdf", tail)
        )

    def _iccdf(self, q: np.ndarray) -> np.ndarray:
        # Flipped and discrete: the largest y with P(Y < y) <= q is the smallest with F(y) > q.
        tail = np.nextafter(q, 1.0) if self.is_discrete else q
        return self.loc + self.scale * self._either(
            lambda: compute(self.d, "iccdf", q), lambda: compute(self.d, "icdf", tail)
        )

    def _inside(self, x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            y = (x - self.loc) / self.scale
            if on_integers(self.d):
                near = np.rint(y)
                y = np.where(self.loc + self.scale * near == x, near, y)
        return np.asarray(y)

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        y = self._inside(x)
        return self._either(lambda: compute(self.d, "cdf", y), lambda: below(self.d, "ccdf", y))

    def _ccdf(self, x: np.ndarray) -> np.ndarray:
        y = self._inside(x)
        return self._either(lambda: compute(self.d, "ccdf", y), lambda: below(self.d, "cdf", y))

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        y = self._inside(x)
        other = "ccdf" if function == "cdf" else "cdf"
        return self._either(lambda: below(self.d, function, y), lambda: compute(self.d, other, y))

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        inner = compute(self.d, "log_prob", self._inside(x))
        return inner if self.is_discrete else inner - log(np.abs(self.scale))

    @property
    def mean(self) -> np.ndarray:
        """loc + scale·E[X]."""
        return self._full(self.loc + self.scale * np.asarray(self.d.mean))

    @property
    def var(self) -> np.ndarray:
        """scale²·Var[X]."""
        return self._full(self.scale**2 * np.asarray(self.d.var))

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """The support of X, mapped."""
        ends = [self.loc + self.scale * end for end in map(np.asarray, self.d.support)]
        return self._full(np.minimum(*ends)), self._full(np.maximum(*ends))
