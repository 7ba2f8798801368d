"""Chain: a joint from any list of conditionals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genfast.distributions.base import Distribution
from genfast.distributions.combinator import cdf_below, compute
from genfast.distributions.convert import as_distribution
from genfast.joints.base import Joint

__all__ = ["Chain"]


class Chain(Joint):
    """The joint of x[0], x[1] given x[0], x[2] given x[0] and x[1], …

    Parameters
    ----------
    conditionals : sequence of Distribution or callable
        Entry k is the distribution of x[k]: a Distribution of batch shape () where it does not depend on the rest; or a
        callable that takes x[:, :k], a read-only float64 NumPy array of shape (n, k), and returns the n distributions
        given each row, of batch shape (n,), or () if they are all the same. What `from_scipy` and `from_torch` take
        will do wherever a Distribution does.

    Raises
    ------
    TypeError, ValueError
        Here and in every method, for an entry that is or returns something else; the message has its index.

    Examples
    --------
    >>> joint = gf.Chain([gf.Normal(0, 1), lambda x: gf.Normal(x[:, 0], 0.5)])
    >>> x = joint.sample(1000, rng=0)
    >>> u = joint.rosenblatt(x)
    """

    def __init__(self, conditionals: Sequence[Distribution | Callable[[np.ndarray], Distribution]]) -> None:
        if not isinstance(conditionals, Sequence) or isinstance(conditionals, str):
            raise TypeError(f"conditionals must be a list, got {type(conditionals).__name__}")
        if not conditionals:
            raise ValueError("conditionals must not be empty")
        self._entries: list[Any] = []
        for k, entry in enumerate(conditionals):
            if callable(entry) and not isinstance(entry, Distribution):
                self._entries.append(entry)
                continue
            fixed = as_distribution(entry, f"conditionals[{k}], if not a callable,")
            if fixed.batch_shape:
                raise ValueError(f"conditionals[{k}] must be one distribution, its batch shape is {fixed.batch_shape}")
            self._entries.append(fixed)
        self.sites = len(self._entries)

    def _conditional(self, k: int, x: np.ndarray) -> Distribution:
        """That of site k, given x of shape (sites, n)."""
        entry, n = self._entries[k], x.shape[1]
        if isinstance(entry, Distribution):
            return entry
        before = np.ascontiguousarray(x[:k].T)
        before.flags.writeable = False
        try:
            given = entry(before)
        except Exception as error:
            error.add_note(f"raised in conditionals[{k}], called with an array of shape {before.shape}")
            raise
        found = as_distribution(given, f"what conditionals[{k}] returns")
        if found.batch_shape not in ((), (n,)):
            raise ValueError(
                f"conditionals[{k}] returned distributions of batch shape {found.batch_shape} for {n} rows; it must be "
                f"({n},), or ()"
            )
        return found

    def _draw(self, u: np.ndarray) -> np.ndarray:
        x = np.empty(u.shape)
        for k in range(self.sites):
            x[k] = compute(self._conditional(k, x), "icdf", u[k])
        return x

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        total = np.zeros(x.shape[1])
        for k in range(self.sites):
            total += compute(self._conditional(k, x), "log_prob", x[k])
        return total

    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        lower, upper = np.empty(x.shape), np.empty(x.shape)
        discrete = False
        for k in range(self.sites):
            d = self._conditional(k, x)
            upper[k] = compute(d, "cdf", x[k])
            lower[k] = cdf_below(d, x[k]) if d.is_discrete else upper[k]
            discrete |= d.is_discrete
        return (lower, upper) if discrete else (upper, None)
