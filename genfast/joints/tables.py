"""Discrete joints from tables of probabilities: Bayesian networks and Markov chains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genfast.arrays import as_numpy, check_elements
from genfast.distributions.categorical import Categorical
from genfast.distributions.elementary import log
from genfast.joints.base import Joint
from genfast.stream import as_index

__all__ = ["DiscreteBayesNet", "MarkovChain"]

# How far from 1 the sum of a distribution may be: rounding of float32 tables, not a transposed table.
SUM_TOLERANCE = 1e-6


def _table(given: Any, name: str) -> np.ndarray:
    return as_numpy(given.probs if isinstance(given, Categorical) else given, name)


class _Rows:
    """Discrete distributions on 0 … levels - 1, one a row; drawn, and measured, by arrays of row numbers."""

    def __init__(self, table: Any, name: str, shape: tuple[int, ...] | None = None) -> None:
        array = np.array(_table(table, name), np.float64, order="C")
        if not array.ndim or not array.shape[-1] or (shape is not None and array.shape[:-1] != shape):
            wanted = f"{(*shape, 'levels')}" if shape is not None else "(..., levels)"
            raise ValueError(f"{name} must have shape {wanted}, got {array.shape}".replace("'", ""))
        check_elements(array, np.isfinite(array) & (array >= 0), name, "finite and not negative")
        self.levels = array.shape[-1]
        array = array.reshape(-1, self.levels)
        # accumulate adds from the first to the last, whatever the machine.
        self._upto = np.add.accumulate(array, axis=1)
        total = self._upto[:, -1]
        wrong = np.abs(total - 1) > SUM_TOLERANCE
        if wrong.any():
            row = int(np.argmax(wrong))
            where = f" in row {tuple(int(i) for i in np.unravel_index(row, shape))}" if shape else ""
            raise ValueError(
                f"{name}: probabilities must sum to 1 along the last axis, got {float(total[row])!r}{where}"
            )
        self._total = total
        self._log = log(array) - log(total)[:, None]
        # Column 0 is the probability below the first level.
        self._ends = np.minimum(np.pad(self._upto, ((0, 0), (1, 0))) / total[:, None], 1.0)
        self._steps = (self.levels - 1).bit_length()

    def icdf(self, row: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The smallest level of positive probability with F >= u, int64."""
        # The first level with any probability at all is the first above 0.
        target = np.maximum(u * self._total[row], 5e-324)
        low = np.zeros(target.shape, np.int64)
        high = np.full(target.shape, self.levels - 1)
        for _ in range(self._steps):
            middle = (low + high) >> 1
            reached = self._upto[row, middle] >= target
            high = np.where(reached, middle, high)
            low = np.where(reached, low, np.minimum(middle + 1, high))
        return high

    def checked(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x as int64 levels, 0 where it is none, and where it is one."""
        valid = (x >= 0) & (x < self.levels) & (x == np.rint(x))
        return np.where(valid, x, 0.0).astype(np.int64), valid

    def log_prob(self, row: np.ndarray, level: np.ndarray) -> np.ndarray:
        return self._log[row, level]

    def interval(self, row: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """F just below x and at x, for any x."""
        at = np.clip(np.floor(np.nan_to_num(x)), -1, self.levels - 1).astype(np.int64)
        below = np.clip(np.ceil(np.nan_to_num(x)) - 1, -1, self.levels - 1).astype(np.int64)
        nan = np.isnan(x)
        return np.where(nan, np.nan, self._ends[row, below + 1]), np.where(nan, np.nan, self._ends[row, at + 1])


class _Tables(Joint):
    """A joint whose site k has a table, and a row of it for every sample: `_row` says which."""

    def _rows(self, k: int) -> _Rows:
        raise NotImplementedError

    def _row(self, k: int, levels: np.ndarray) -> np.ndarray:
        """Rows (n,) of site k's table, from the levels (sites, n) before it."""
        raise NotImplementedError

    def _draw(self, u: np.ndarray) -> np.ndarray:
        levels = np.empty(u.shape, np.int64)
        for k in range(self.sites):
            levels[k] = self._rows(k).icdf(self._row(k, levels), u[k])
        return levels.astype(np.float64)

    def _checked(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        levels, valid = np.empty(x.shape, np.int64), np.empty(x.shape, bool)
        for k in range(self.sites):
            levels[k], valid[k] = self._rows(k).checked(x[k])
        return levels, valid

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        levels, valid = self._checked(x)
        total = np.zeros(x.shape[1])
        for k in range(self.sites):
            total += np.where(valid[k], self._rows(k).log_prob(self._row(k, levels), levels[k]), -np.inf)
        return np.where(np.isnan(x).any(axis=0), np.nan, total)

    def _levels(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        levels, valid = self._checked(x)
        lower, upper = np.empty(x.shape), np.empty(x.shape)
        sound = np.ones(x.shape[1], bool)
        for k in range(self.sites):
            pair = self._rows(k).interval(self._row(k, levels), x[k])
            # Given something that is no level, nothing has a distribution.
            lower[k], upper[k] = (np.where(sound, end, np.nan) for end in pair)
            sound &= valid[k]
        return lower, upper


class DiscreteBayesNet(_Tables):
    """A Bayesian network of discrete nodes, each with a table of probabilities given its parents.

    Parameters
    ----------
    tables : sequence of (parents, probabilities)
        Entry k is node k: `parents` are the indices of earlier nodes, and `probabilities` an array of shape (levels of
        the first parent, …, levels of the last parent, levels of node k), with sums 1 along the last axis (to 1e-6;
        they are normalised), or a `Categorical` with such `probs`.

    Raises
    ------
    TypeError, ValueError
        For a table that is none; the message has its index and the entry.

    Notes
    -----
    Values are levels 0, 1, …, as floats. Draws follow the discrete rule: the smallest level of positive probability
    with F >= u.

    Examples
    --------
    >>> sprinkler = gf.DiscreteBayesNet([
    ...     ((), [0.8, 0.2]),                                             # rain
    ...     ((0,), [[0.6, 0.4], [0.99, 0.01]]),                           # sprinkler, given rain
    ...     ((1, 0), [[[1.0, 0.0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]]),  # wet grass, given both
    ... ])
    """

    def __init__(self, tables: Sequence[tuple[Sequence[int], Any]]) -> None:
        if not isinstance(tables, Sequence) or isinstance(tables, str):
            raise TypeError(f"tables must be a list of (parents, probabilities), got {type(tables).__name__}")
        if not tables:
            raise ValueError("tables must not be empty")
        self._nodes: list[_Rows] = []
        self.parents: list[tuple[int, ...]] = []
        for k, entry in enumerate(tables):
            if not isinstance(entry, tuple | list) or len(entry) != 2:
                raise TypeError(f"tables[{k}] must be a pair (parents, probabilities)")
            if not isinstance(entry[0], Sequence | np.ndarray) or isinstance(entry[0], str):
                raise TypeError(f"tables[{k}]: parents must be a sequence of node indices")
            parents = tuple(as_index(parent, f"tables[{k}]: a parent", 1 << 62) for parent in entry[0])
            for parent in parents:
                if parent >= k:
                    raise ValueError(f"tables[{k}]: parent {parent} must come before node {k}; order the nodes")
            shape = tuple(self._nodes[parent].levels for parent in parents)
            self._nodes.append(_Rows(entry[1], f"tables[{k}]", shape))
            self.parents.append(parents)
        self.sites = len(self._nodes)

    def _rows(self, k: int) -> _Rows:
        return self._nodes[k]

    def _row(self, k: int, levels: np.ndarray) -> np.ndarray:
        row = np.zeros(levels.shape[1], np.int64)
        for parent in self.parents[k]:
            row = row * self._nodes[parent].levels + levels[parent]
        return row


class MarkovChain(_Tables):
    """A Markov chain of a fixed length on states 0 … S - 1.

    Parameters
    ----------
    initial : array_like of shape (S,), or Categorical
        Distribution of the first state.
    transition : array_like of shape (S, S) or (length - 1, S, S), or Categorical of batch shape (S,) or (length - 1, S)
        transition[i, j] is the probability of state j after state i; one matrix, or one a step.
    length : int
        Number of states of a draw, at least 1.

    Raises
    ------
    TypeError, ValueError
        For tables that are none (sums must be 1 to 1e-6; they are normalised), naming the entry or row.

    Notes
    -----
    Values are states as floats; the discrete rule as in `DiscreteBayesNet`.

    Examples
    --------
    >>> gf.MarkovChain([1.0, 0.0], [[0.9, 0.1], [0.5, 0.5]], 4).sample(2, rng=0).tolist()
    [[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, initial: Any, transition: Any, length: int) -> None:
        self.sites = as_index(length, "length", 1 << 40)
        if not self.sites:
            raise ValueError("length must be at least 1, got 0")
        self._initial = _Rows(initial, "initial", ())
        states = self.states = self._initial.levels
        array = _table(transition, "transition")
        self._by_step = array.ndim == 3
        shape = (self.sites - 1, states) if self._by_step else (states,)
        if array.shape != (*shape, states):
            either = f"{(states, states)} or {(self.sites - 1, states, states)}"
            raise ValueError(f"transition must have shape {either}, got {array.shape}")
        self._transition = _Rows(array, "transition", shape) if array.size else self._initial

    def _rows(self, k: int) -> _Rows:
        return self._transition if k else self._initial

    def _row(self, k: int, levels: np.ndarray) -> np.ndarray:
        if not k:
            return np.zeros(levels.shape[1], np.int64)
        return levels[k - 1] + ((k - 1) * self.states if self._by_step else 0)
