"""A user's function as something that may be trusted: called on arrays, checked, and, if a density, scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genfast.errors import NumericalError

__all__ = ["Density", "Function"]


def elementwise(
    function: Callable[..., Any], x: np.ndarray, args: Sequence[np.ndarray], name: str
) -> Callable[..., Any]:
    """`function` itself if it maps arrays of the shape of `x` element by element, else a loop over it.

    Raises
    ------
    ValueError
        If it returns an array of another shape.
    """
    try:
        with np.errstate(all="ignore"):
            y = np.asarray(function(_read_only(x), *args))
    except (TypeError, ValueError):  # math.exp of an array; `if x < 0` of an array
        y = np.asarray(0.0)
    if y.shape == x.shape:
        return function
    if y.shape != ():
        raise ValueError(f"{name} must return one number for each x, got shape {y.shape} for x of shape {x.shape}")
    if y.dtype.kind not in "fiub":
        raise ValueError(f"{name} must return real numbers, got dtype {y.dtype}")
    return np.vectorize(function, otypes=[np.float64])


def _read_only(x: np.ndarray) -> np.ndarray:
    """A view of x that a function cannot compute in."""
    view = x.view()
    view.flags.writeable = False
    return view


class Function:
    """A function of x and parameters, of one or many rows.

    Parameters
    ----------
    function : callable
        ``function(x, *params)``, all one-dimensional arrays of one length.
    name : str
        For messages.
    params : sequence of (rows,) arrays
    rows : int
    probe : (m,) array
        Points inside the domain of the first row, at which the function may be tried.
    first : int
        What messages call the first row.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        params: Sequence[np.ndarray],
        rows: int,
        probe: np.ndarray,
        first: int = 0,
    ) -> None:
        self.name, self.params, self.rows, self.first = name, tuple(params), rows, first
        self.function = elementwise(function, probe, [np.full(probe.shape, p[0]) for p in self.params], name)

    def raw(self, x: np.ndarray, row: np.ndarray) -> np.ndarray:
        """What the function returns for `x` (m, k) or (m,) of rows `row` (m,), as float64."""
        repeat = x.size // max(len(row), 1)
        args = _read_only(x.ravel()), *(np.repeat(p[row], repeat) for p in self.params)
        with np.errstate(all="ignore"):
            try:
                y = np.asarray(self.function(*args))
            except ArithmeticError:  # math.exp(1000.0), (1e300)**2: Python's scalars raise where arrays say inf or nan
                y = np.vectorize(self._or_nan, otypes=[np.float64])(*args)
        if y.shape != (x.size,):
            raise ValueError(
                f"{self.name} must return one number for each x, got shape {y.shape} for x of shape {(x.size,)}"
            )
        if y.dtype.kind not in "fiub":
            raise ValueError(f"{self.name} must return real numbers, got dtype {y.dtype}")
        return y.astype(np.float64, copy=False).reshape(x.shape)

    def _or_nan(self, *args: float) -> float:
        try:
            return self.function(*args)
        except ArithmeticError:
            return np.nan

    def where(self, x: float, row: int) -> str:
        """ "x = …", with the row and its parameters if there are several."""
        values = ", ".join(f"{p[row]:.6g}" for p in self.params)
        return f"x = {x!r}" + (f", row {self.first + row} (params {values})" if self.params else "")


class Density(Function):
    """A density, or, if `log`, its logarithm."""

    def __init__(
        self,
        function: Callable[..., Any],
        log: bool,
        params: Sequence[np.ndarray],
        rows: int,
        probe: np.ndarray,
        first: int = 0,
    ) -> None:
        super().__init__(function, "logpdf" if log else "pdf", params, rows, probe, first)
        self.log = log
        # What weight() divides by, or its logarithm.
        self.scale = np.zeros(rows) if log else np.ones(rows)

    def check(self, y: np.ndarray, x: np.ndarray, row: np.ndarray) -> None:
        """Raise for the first value no density has: NumericalError."""
        bad = np.isnan(y) | (np.isposinf(y) if self.log else (y < 0) | np.isinf(y))
        if not bad.any():
            return
        i = np.argwhere(bad)[0]
        at, value = self.where(float(x[tuple(i)]), int(row[i[0]])), y[tuple(i)]
        if np.isnan(value):
            raise NumericalError(f"{self.name} is NaN at {at}")
        if np.isposinf(value):
            raise NumericalError(
                f"{self.name} is infinite at {at}: if it has a pole, name it by points= or the domain's ends"
            )
        raise NumericalError(f"{self.name} is negative at {at}: {value:.6g}")

    def weight(self, y: np.ndarray, d: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Density times distance, in units of the row's scale, of raw values `y` (m, k) at distances `d` from an
        anchor.
        """
        scale = self.scale[row][:, None]
        with np.errstate(all="ignore"):
            if self.log:
                return np.exp(np.minimum(y + np.log(d) - scale, 700.0))
            share = d / scale  # the product of y and d alone may leave the range of doubles, and so may this
            return np.where((share > 1e-290) & (share < 1e290), y * share, y * d / scale)

    def rescale(self, y: np.ndarray, d: np.ndarray, row: np.ndarray) -> None:
        """Raise the scales to the largest y · d."""
        with np.errstate(under="ignore", over="ignore"):
            np.maximum.at(self.scale, row, (y + np.log(d) if self.log else y * d).max(axis=1))
