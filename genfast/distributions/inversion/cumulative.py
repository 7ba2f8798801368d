"""Quantiles of a user's distribution function, by bisection over the doubles themselves."""

from __future__ import annotations

import numpy as np

from genfast.distributions.inversion.density import Function
from genfast.distributions.search import double, rank
from genfast.errors import NumericalError

__all__ = ["Cumulative"]

LARGEST = np.finfo(np.float64).max


class Cumulative:
    """A distribution function F, and 1 − F if it is known, as a source of tables.

    Parameters
    ----------
    lower : Function
    upper : Function or None
        Without it the upper tail ends where F rounds to 1.
    low, high : (rows,) arrays
        The domain; infinities stand for the largest doubles.
    u_error : float
        How far F may be from 0 and 1 at the ends.

    Raises
    ------
    NumericalError
        If F is NaN, outside [0, 1] or decreasing, at about two thousand points, or not 0 and 1 at the ends.
    """

    def __init__(
        self, lower: Function, upper: Function | None, low: np.ndarray, high: np.ndarray, u_error: float
    ) -> None:
        self.lower, self.upper, self.rows, self.first = lower, upper, lower.rows, lower.first
        self.low, self.high = np.maximum(low, -LARGEST), np.minimum(high, LARGEST)
        self._inspect(u_error)
        # Is the tail accurate relative to itself, down to 2^-80, or does it go in steps like 1 - exp(-x) near 0?
        v, row = np.full(2 * self.rows, 2.0**-80), np.tile(np.arange(self.rows), 2)
        side = np.repeat([False, True], self.rows)
        reached = self.tail(row, self.quantile(row, v, side)[1], side)
        self._steps = np.where(np.abs(reached / v - 1) < 0.5, 0.0, 2.0**-50).reshape(2, self.rows)

    def resolution(self, row: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return self._steps[upper.astype(int), row]

    def _inspect(self, u_error: float) -> None:
        n = 2001
        row = np.arange(self.rows)
        ends = np.stack([rank(self.low), rank(self.high)]).astype(np.float64)
        share = np.linspace(0, 1, n)[:, None]
        ranks = ends[0] * (1 - share) + ends[1] * share
        even = self.low * (1 - share) + self.high * share
        x = np.stack([double(ranks.astype(np.int64)), even])
        x = np.sort(np.clip(x.reshape(2 * n, self.rows), self.low, self.high), axis=0).T
        for function, falling in ((self.lower, False), (self.upper, True)):
            if function is None:
                continue
            y = function.raw(x, row)
            bad = ~((y >= 0) & (y <= 1))
            if bad.any():
                r, i = np.argwhere(bad)[0]
                at = function.where(float(x[r, i]), int(r))
                raise NumericalError(f"{function.name} must be in [0, 1], but is {y[r, i]:.6g} at {at}")
            step = -np.diff(y, axis=1) if falling else np.diff(y, axis=1)
            # Rounding may shake a value by some units in the last place.
            if (step < -1e-14).any():
                r, i = np.argwhere(step < -1e-14)[0]
                at = function.where(float(x[r, i]), int(r))
                raise NumericalError(
                    f"{function.name} must not {'rise' if falling else 'fall'}, but is {float(y[r, i])!r} at {at} and "
                    f"{float(y[r, i + 1])!r} "
                    f"at x = {float(x[r, i + 1])!r}"
                )
            for end, value in ((0, 1.0 if falling else 0.0), (-1, 0.0 if falling else 1.0)):
                off = np.abs(y[:, end] - value) > u_error
                if off.any():
                    r = int(np.argmax(off))
                    raise NumericalError(
                        f"{function.name} must be {value:.0f} at the {'upper' if end else 'lower'} end of the "
                        f"domain, but is "
                        f"{float(y[r, end])!r} at {function.where(float(x[r, end]), r)}: give domain="
                    )

    def tail(self, row: np.ndarray, x: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """F(x), or 1 − F(x) where `upper`."""
        out = np.empty(len(x))
        for side, function in ((False, self.lower), (True, self.upper)):
            some = np.flatnonzero(upper == side)
            if len(some) and function is not None:
                out[some] = function.raw(x[some], row[some])
            elif len(some):
                out[some] = 1 - self.lower.raw(x[some], row[some])
        out[x < self.low[row]] = 0
        out[x > self.high[row]] = 1
        flip = upper & ((x < self.low[row]) | (x > self.high[row]))
        out[flip] = 1 - out[flip]
        bad = np.isnan(out)
        if bad.any():
            i = int(np.argmax(bad))
            raise NumericalError(f"{self.lower.name} is NaN at {self.lower.where(float(x[i]), int(row[i]))}")
        return out

    def quantile(self, row: np.ndarray, v: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Anchor 0 and the smallest x with F(x) >= v, or 1 − F(x) <= v where `upper`."""
        low, high = rank(self.low[row]), rank(self.high[row])
        for _ in range(65):
            open_ = low < high
            if not open_.any():
                break
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            value = self.tail(row, double(middle), upper)
            there = np.where(upper, value <= v, value >= v)
            high = np.where(open_ & there, middle, high)
            low = np.where(open_ & ~there, middle + 1, low)
        return np.zeros(len(v)), double(high)
