"""Categorical distributions from logits or probabilities: the last step of every autoregressive model."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import genfast._core as _core
from genfast.arrays import (
    NUMPY,
    TORCH,
    Kind,
    as_numpy,
    as_shape,
    bfloat16_bits,
    check_elements,
    check_size,
    check_uniforms,
    kind_of,
    named_dtype,
    output,
)
from genfast.device_arrays import Space, dtype_name, elsewhere, gpu_of, space_of
from genfast.devices import extension
from genfast.distributions.base import Distribution, broadcast, common_kind, shape_of
from genfast.distributions.device_rows import DeviceRows, OnlyDraws
from genfast.errors import NumericalError
from genfast.rng import RNG, as_seed, is_counted, uniforms

__all__ = ["Categorical"]

FLOAT32, FLOAT64, BFLOAT16, FLOAT16 = range(4)  # LogitType in csrc/kernels/kernels.h
TYPES = {np.dtype(np.float32): FLOAT32, np.dtype(np.float64): FLOAT64, np.dtype(np.float16): FLOAT16}
MOST_CATEGORIES = (1 << 31) - 1


class Categorical(Distribution):
    """Distributions over 0, 1, …, V − 1, one a row: `batch_shape` is the shape of the logits without their last axis.

    X = F⁻¹(U) with one uniform a draw: the smallest category of positive probability with F(k) ≥ u. Exponentials are
    taken in float32 (for float64 logits in float64), their sums in float64 and in a fixed order, so a draw depends on
    its row and uniform only: not on the batch, the threads or the instruction set. A category of probability 0 is never
    drawn. With float32 exponentials that includes logits more than 87.3 below the largest; each other probability is
    right to 1e-6 of itself, its interval of u to 1e-15 beside that.

    Parameters
    ----------
    logits : array_like or tensor of shape (…, V)
        Unnormalised log-probabilities in float64, float32, float16 or bfloat16 (integers become float64); −inf excludes
        a category. V is at least 1 and below 2³¹. Used in place, not copied, when contiguous: leave it unchanged.
    probs : array_like or tensor of shape (…, V)
        Instead of logits: non-negative weights of any positive total.
    temperature : float or array_like, default 1
        Divides the logits, in their precision (of half-precision ones, float32). Positive; like the filters one number,
        or an array that broadcasts to `batch_shape`.
    top_k : int or array_like, optional
        Keep the k most probable categories.
    top_p : float or array_like, optional
        Of those, keep the fewest most probable ones whose probabilities reach top_p (Holtzman et al., *The curious case
        of neural text degeneration*, ICLR 2020): the one that crosses it stays. In [0, 1].
    min_p : float or array_like, optional
        Of those, keep the ones with at least min_p times the largest probability (Nguyen et al., *Turning up the heat*,
        2024). In [0, 1].

    Among equal logits at a cut the lower indices are kept. What is left is renormalised, and F runs over it in index
    order.

    Logits in a GPU's memory (torch or CuPy) are drawn from there, by `sample` and `icdf`: the same categories as on the
    CPU, int64 on that GPU, in the order of the caller's stream, and nothing waits for them (docs/cuda.md). Weights too;
    with a temperature or filters their logarithms are taken by the constructor. Temperature and filters are numbers or
    arrays on the CPU.

    Raises
    ------
    ValueError, TypeError
        For wrong arguments, naming them. Rows that hold no distribution (NaN, +inf or all −inf; a negative, infinite or
        no positive weight) are found by the methods: they raise `NumericalError` with the row's index.

    Examples
    --------
    >>> gf.Categorical([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0]], temperature=0.8).icdf([0.1, 0.5]).tolist()
    [1, 0]
    >>> gf.Categorical(probs=[0.5, 0.25, 0.25]).sample(5, rng=0).tolist()
    [2, 1, 2, 1, 1]
    """

    is_discrete = True
    _weights = _filtered = False
    _temperature: np.ndarray | None = None
    _table: Any = None
    _filters: tuple[np.ndarray, ...] | None = None
    _there: Any = None  # the data where they are in a GPU's memory

    def __init__(
        self,
        logits: Any = None,
        *,
        probs: Any = None,
        temperature: Any = 1.0,
        top_k: Any = None,
        top_p: Any = None,
        min_p: Any = None,
    ) -> None:
        if (logits is None) == (probs is None):
            raise TypeError("give either logits or probs")
        self._arguments = logits, probs, temperature, top_k, top_p, min_p
        self._name = "logits" if probs is None else "probs"
        given = logits if probs is None else probs
        space = space_of(**{self._name: given}) if elsewhere(given) else None
        if space is None:
            self._data, self._type, self.kind = _floats(given, self._name)
        else:
            self._data = self._there = _floats_in(space, given, self._name)
            self._type, self.kind = FLOAT64 if dtype_name(self._data) == "float64" else FLOAT32, space.kind
        self.batch_shape = self._data.shape[:-1] if space is None else tuple(self._data.shape[:-1])
        self._count = math.prod(self.batch_shape)

        tempered = not (type(temperature) in (float, int) and temperature == 1)
        filtered = not (top_k is None and top_p is None and min_p is None)
        weights = probs is not None
        if weights and (tempered or filtered):
            if space is None:
                self._data = _core.categorical.log_weights(as_numpy(self._data, "probs", np.float64))
            else:
                self._data = self._there = _log_weights_in(space, self._data)
            self._type, weights = FLOAT64, False
        self._weights = weights
        if space is not None:
            self._rows = OnlyDraws(self._name, space.name)
        elif not tempered and not filtered:
            self._rows = _core.categorical.Rows(self._data, self._type, weights, None, None, None, None)
        if not tempered and not filtered:
            return
        self._filtered = filtered
        if tempered:
            single = self._type != FLOAT64
            self._temperature = self._parameter(
                temperature, "temperature", np.float64, "positive and finite", _positive
            )
            if single and not _positive(self._temperature.astype(np.float32)).all():
                raise ValueError("temperature must be positive and finite in float32, the precision of these logits")
        filters: list[Any] = [None, None, None]
        if filtered:
            k, p, m = (
                (MOST_CATEGORIES if top_k is None else top_k),
                (1.0 if top_p is None else top_p),
                (0.0 if min_p is None else min_p),
            )
            filters = [
                self._parameter(k, "top_k", np.int64, "at least 1", lambda k: k >= 1),
                self._parameter(p, "top_p", np.float64, "in [0, 1]", _fraction),
                self._parameter(m, "min_p", np.float64, "in [0, 1]", _fraction),
            ]
            self._filters = tuple(filters)
        if space is None:
            self._rows = _core.categorical.Rows(self._data, self._type, weights, self._temperature, *filters)

    def _parameter(self, value: Any, name: str, dtype: type, rule: str, allowed: Any) -> np.ndarray:
        if type(value) is float and dtype is np.float64 and allowed(value):
            return np.full(1, value)
        array = as_numpy(value, name, dtype)
        check_elements(array, allowed(array), name, rule)
        if array.ndim == 0:
            return array.reshape(1)
        try:
            full = np.broadcast_to(array, self.batch_shape)
        except ValueError:
            raise ValueError(
                f"{name} of shape {array.shape} does not broadcast to the rows of shape {self.batch_shape}"
            ) from None
        return np.require(full, requirements=("C", "A"))

    def __repr__(self) -> str:
        where = f" on cuda:{gpu[1]}" if (gpu := gpu_of(self._there)) else ""
        return f"Categorical({self._name} of shape {tuple(self._data.shape)}{where})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, self._arguments

    # --- draws

    def sample(
        self,
        shape: Any = (),
        rng: RNG = None,
        *,
        u: Any = None,
        dtype: Any = None,
        out: Any = None,
        check: str | None = None,
        device: Any = None,
    ) -> Any:
        """Draws.

        Parameters
        ----------
        shape : int or tuple of int
            The result has shape ``shape + batch_shape``.
        rng : int, Stream, numpy.random.Generator or BitGenerator, scipy QMCEngine, or None
            Where the uniforms come from. A row (by flat index in the batch) takes that row of a seed or Stream, and its
            draws take sites 0, 1, … in the order of `shape`; a generator is read row after row; a QMC engine gives a
            point a row, of as many dimensions as a row has draws. None takes a fresh seed.
        u : array_like or tensor, optional
            The uniforms themselves, in [0, 1]: of shape ``shape + batch_shape``, or, where `shape` is left out, of any
            shape that broadcasts with `batch_shape` (as in `icdf`).
        dtype : dtype, optional
            An integer or float one that holds every category exactly; int64 by default.
        out : array or tensor, optional
            Of the result's shape and of such a dtype; it is returned.
        check : "raise" or "mask", optional
            What to do about rows that hold no distribution: "raise" by default. On a GPU nothing, by default, because
            that would wait for it: such rows, and uniforms outside [0, 1], give -1 (in an unsigned dtype its largest
            number). There "raise" waits, "mask" does not.
        device : str or torch.device, optional
            Where to draw, and where the result is: "cpu", "cuda", "cuda:1", …. By default where the logits, `u` or
            `out` are, else the CPU, whose logits are uploaded once. Results as in `Gamma.sample`.

        Returns
        -------
        array or tensor of integers, or an integer
            With ``check="mask"`` a pair: the draws (0 in bad rows), and which rows are good, bool of `batch_shape`.

        Raises
        ------
        NumericalError
            If a row holds no distribution, naming it.
        ValueError, TypeError
            For wrong arguments, naming them.
        """
        if (
            type(rng) is int
            and type(shape) is tuple
            and not shape
            and u is None
            and dtype is None
            and out is None
            and (check is None or check == "raise")
            and device is None
            and self._there is None
            and 0 <= rng < 1 << 64
            and self._count
        ):
            # The commonest call, at small sizes all overhead.
            levels, bad, _ = self._rows.sample(self.batch_shape, rng, None, False)
            if bad >= 0:
                raise self._error(bad)
            return levels if self.batch_shape and self.kind is NUMPY else self.kind.wrap(levels)
        sizes = as_shape(shape)
        full = sizes + self.batch_shape
        if u is not None:
            if rng is not None:
                raise ValueError("give rng or u, not both")
            if sizes and shape_of(u, "u") != full:
                raise ValueError(f"u must have shape {full}, that of the result, got {shape_of(u, 'u')}")
            return self._icdf(u, dtype, out, check, device)
        space = self._space(device, out=out)
        if space is not None:
            draws = math.prod(sizes)
            if is_counted(rng):
                numbers: Any = as_seed(rng)
            else:
                numbers = space.upload(uniforms(rng, self._count, draws))
            return self._draw_in(space, full, draws, numbers, dtype, out, check)
        result = output(out, full, self._level_dtype(dtype, out), self.kind)
        if is_counted(rng):
            seed, numbers = as_seed(rng), None
        else:
            seed, numbers = 0, uniforms(rng, self._count, math.prod(sizes))
        result.array[...], valid = self._draw(full, seed, numbers, _masked(check))
        return result.finish() if valid is None else (result.finish(), self.kind.wrap(valid))

    def icdf(self, u: Any, *, dtype: Any = None, out: Any = None, check: str | None = None) -> Any:
        """Inverse CDF: the smallest k of positive probability with F(k) ≥ u.

        Parameters
        ----------
        u : array_like or tensor
            In [0, 1], of any shape that broadcasts with `batch_shape`. 0 gives the first possible category, 1 the last.
        dtype, out, check
            As in `sample`.

        Returns
        -------
        array or tensor of integers, or an integer
            Non-decreasing in `u`. With ``check="mask"`` a pair, as in `sample`.

        Raises
        ------
        ValueError
            If a u is outside [0, 1] or NaN (naming its index), or the shapes do not broadcast.
        NumericalError
            As in `sample`.
        """
        return self._icdf(u, dtype, out, check)

    def _icdf(self, u: Any, dtype: Any, out: Any, check: str | None, device: Any = None) -> Any:
        space = self._space(device, u=u, out=out)
        if space is not None:
            given = space.floats(u, "u")
            layout = self._layout("u", tuple(given.shape))
            moved = space.arranged(space.spread(given, layout.shape), layout.batch_axes + layout.draw_axes)
            draws = math.prod(layout.draw_sizes)
            return self._draw_in(space, layout.shape, draws, moved, dtype, out, check, layout)
        array = check_uniforms(as_numpy(u, "u", np.float64))
        return self._quantiles(array, "u", kind_of(u), dtype, out, _masked(check))

    def iccdf(self, q: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """The smallest k of positive probability with P(X > k) ≤ q, exact for tiny `q`. Otherwise as `icdf`."""
        array = check_uniforms(as_numpy(q, "q", np.float64), "q")
        return self._quantiles(array, "q", kind_of(q), dtype, out)

    def _quantiles(self, p: np.ndarray, name: str, kind: Kind, dtype: Any, out: Any, masked: bool = False) -> Any:
        shape = broadcast(name, p.shape, self.batch_shape)
        result = output(out, shape, self._level_dtype(dtype, out), common_kind(kind, self.kind))
        valid = None
        if name == "q":
            result.array[...] = self._compute("iccdf", p)
        else:
            result.array[...], valid = self._invert(p, masked)
        return result.finish() if valid is None else (result.finish(), common_kind(kind, self.kind).wrap(valid))

    # --- on a device

    def _space(self, device: Any, **arrays: Any) -> Space | None:
        if device is None and self._there is None and not elsewhere(*arrays.values()):
            return None
        return space_of(device, self.kind, **{self._name: self._there}, **arrays)

    def _draw_in(
        self,
        space: Space,
        shape: tuple[int, ...],
        draws: int,
        u: Any,
        dtype: Any,
        out: Any,
        check: str | None,
        layout: _Layout | None = None,
    ) -> Any:
        """A result of that shape; u: (rows, draws) in the layout's order there, or a seed."""
        masked = check is not None
        if masked:
            _masked(check)
        found = self._level_dtype(dtype, out).name
        read = tuple(x for x in (u, self._there) if space.holds(x))
        result = space.output(out, shape, found, inputs=read)
        straight = layout is None and found == "int64"
        levels = result.array if straight else space.empty((draws, self._count), "int64")
        flat = levels.reshape((draws, self._count))
        good = self._draw_rows(space, draws, u, flat, masked)
        if not straight:
            if layout is not None:
                axes = [int(a) for a in np.argsort([*layout.draw_axes, *layout.batch_axes])]
                levels = space.arranged(levels.reshape((*layout.draw_sizes, *layout.batch_sizes)), axes)
            space.assign(result.array, levels.reshape(shape))
        if check == "raise":
            valid = space.download(good)
            if not valid.all():
                raise self._error(int(valid.argmin()))
            bad = np.argwhere(space.download(flat) < 0)
            if len(bad):
                raise ValueError(f"u must lie in [0, 1]: draw {bad[0][0]} of row {bad[0][1]} does not")
        if check != "mask":
            return result.finish()
        return result.finish(), space.wrap(space.as_bool(good).reshape(self.batch_shape))

    def _draw_rows(self, space: Space, draws: int, u: Any, levels: Any, masked: bool) -> Any:
        if self._there is None and self._count == 1 and draws >= 64 and 16 * draws >= self._data.shape[-1]:
            table = self._guide_table()
            if table.valid:
                cumulative, guide, total, index = (table.cumulative, table.guide, table.total, table.index)
                extension().sampling.look_up(
                    space.place,
                    space.borrow(space.uploaded(self, "cumulative", lambda: cumulative)),
                    space.borrow(space.uploaded(self, "guide", lambda: guide)),
                    total,
                    space.borrow(space.uploaded(self, "index", lambda: index)) if len(index) else None,
                    (u, 0, 0) if isinstance(u, int) else space.borrow(u),
                    space.borrow(levels),
                )
                if not masked:
                    return None
                good = space.empty((1,), "uint8")
                space.fill(good, 1)
                return good
        data = self._there
        if data is None:
            data = space.uploaded(self, "data", lambda: _widened(self._data, self._type))
        data = data.reshape((self._count, self._data.shape[-1]))
        rows = DeviceRows(space, data, self._weights, self, self._temperature, self._filters)
        return rows.draw(draws, u, levels, masked)

    def _guide_table(self) -> Any:
        if self._table is None:
            self._table = _core.categorical.Table(self._rows)
        return self._table

    # --- shared by draws

    def _level_dtype(self, dtype: Any, out: Any) -> np.dtype:
        """That of a result, checked to hold every level."""
        if dtype is None:
            if out is None:
                return np.dtype(np.int64)
            name, found = "out.dtype", named_dtype(getattr(out, "dtype", np.int64))
        else:
            name, found = "dtype", named_dtype(dtype)
        if found is None or found.kind not in "iuf" or not found.isnative:
            raise TypeError(
                f"{name} must be an integer or float dtype, got {dtype if dtype is not None else out.dtype!r}"
            )
        most = np.iinfo(found).max if found.kind in "iu" else 2 ** (np.finfo(found).nmant + 1)
        if self._data.shape[-1] - 1 > most:
            raise ValueError(f"{name} {found} does not hold category {self._data.shape[-1] - 1}")
        return found

    def _draw(self, shape: tuple[int, ...], seed: int, u: np.ndarray | None, masked: bool) -> tuple[np.ndarray, Any]:
        """int64 levels of shape draws × batch, and the mask if it is asked for. u: (rows, draws), or None."""
        draws = check_size(shape, np.int64)
        if draws == 0:
            return np.zeros(shape, np.int64), self._good() if masked else None
        if self._count == 1 and draws >= 64 and 16 * draws >= self._data.shape[-1]:
            table = self._guide_table()
            if table.valid:
                return table.sample(shape, seed, u), np.ones(self.batch_shape, bool) if masked else None
        levels, bad, valid = self._rows.sample(shape, seed, u, masked)
        if masked:
            return levels, valid.reshape(self.batch_shape)
        if bad >= 0:
            raise self._error(bad)
        return levels, None

    def _invert(self, u: np.ndarray, masked: bool = False) -> tuple[np.ndarray, Any]:
        """int64 levels in the common shape of u and the batch, and the mask if it is asked for."""
        matrix, layout = self._align(u)
        levels, valid = self._draw((*layout.draw_sizes, *layout.batch_sizes), 0, matrix, masked)
        return levels.transpose(np.argsort([*layout.draw_axes, *layout.batch_axes])), valid

    # --- probabilities

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        if function == "icdf":
            return self._invert(x)[0].astype(np.float64, order="C")
        matrix, layout = self._align(x)
        if function == "iccdf":
            value = self._smallest(matrix)
        elif function == "log_prob":
            value = self._log_probs(matrix)
        else:
            value = self._look_up(matrix, *((self._sums[0], 0.0) if function == "cdf" else (self._sums[1], 1.0)))
        return layout.restore(value if function == "iccdf" else np.where(np.isnan(matrix), np.nan, value))

    def _look_up(self, k: np.ndarray, table: np.ndarray, below: float) -> np.ndarray:
        """Entries (rows, draws) of `table` (rows, V) at levels `k`, rounded down; `below` under the first."""
        with np.errstate(invalid="ignore"):
            index = np.clip(np.nan_to_num(np.floor(k)), -1, table.shape[1] - 1).astype(np.int64)
        return np.where(index < 0, below, np.take_along_axis(table, np.maximum(index, 0), 1))

    def _smallest(self, q: np.ndarray) -> np.ndarray:
        """The smallest possible levels whose tails are at most q (rows, draws), by bisection."""
        first, last = self._ends
        low, high = np.broadcast_to(first[:, None], q.shape), np.broadcast_to(last[:, None], q.shape)
        for _ in range((self._data.shape[-1] - 1).bit_length()):
            middle = (low + high) >> 1
            holds = np.take_along_axis(self._sums[1], middle, 1) <= q
            low, high = np.where(holds, low, np.minimum(middle + 1, high)), np.where(holds, middle, high)
        return high

    def _log_probs(self, k: np.ndarray) -> np.ndarray:
        """Log-probabilities of k (rows, draws), -inf for what is no level.

        They come from the logits, so they are finite too where the probability is too small to be drawn.
        """
        with np.errstate(invalid="ignore"):
            inside = (k >= 0) & (k < self._data.shape[-1]) & (k == np.floor(k))
            index = np.where(inside, k, 0).astype(np.int64)
        if self._filtered or self._weights:
            with np.errstate(divide="ignore"):
                value = np.log(np.take_along_axis(self._table_of_probs, index, 1))
        else:
            _, largest, totals = self._checked(dense=False)
            z = np.take_along_axis(self._data.reshape(self._count, self._data.shape[-1]), index, 1)
            value = (self._tempered(z) - largest[:, None]) - np.log(totals)[:, None]
        return np.where(inside, value, -np.inf)

    @property
    def probs(self) -> Any:
        """Probabilities after temperature and filters, float64 of shape ``batch_shape + (V,)``."""
        return self.kind.wrap(self._table_of_probs.reshape(self._data.shape).copy())

    @property
    def logits(self) -> Any:
        """Log-probabilities after temperature and filters, float64 of shape ``batch_shape + (V,)``."""
        if self._filtered or self._weights:
            with np.errstate(divide="ignore"):
                value = np.log(self._table_of_probs)
        else:
            _, largest, totals = self._checked(dense=False)
            z = self._tempered(self._data.reshape(self._count, self._data.shape[-1]))
            value = (z - largest[:, None]) - np.log(totals)[:, None]
        return self.kind.wrap(value.reshape(self._data.shape))

    @property
    def mean(self) -> Any:
        """Mean category, float64 of shape `batch_shape`."""
        return self._full((self._table_of_probs @ np.arange(self._data.shape[-1])).reshape(self.batch_shape))

    @property
    def var(self) -> Any:
        """Variance of the category, float64 of shape `batch_shape`."""
        p, k = self._table_of_probs, np.arange(self._data.shape[-1])
        return self._full(((k - (p @ k)[:, None]) ** 2 * p).sum(1).reshape(self.batch_shape))

    @property
    def support(self) -> tuple[Any, Any]:
        """First and last category of positive probability, each int64 of shape `batch_shape`."""
        first, last = (end.reshape(self.batch_shape).copy() for end in self._ends)
        return self.kind.wrap(first), self.kind.wrap(last)

    # --- shared

    def _error(self, row: int) -> NumericalError:
        index = tuple(int(i) for i in np.unravel_index(row, self.batch_shape)) if self.batch_shape else ()
        where = f"row {index[0] if len(index) == 1 else index}" if index else "the row"
        if self._name == "probs":
            return NumericalError(f"probs: {where} has a negative, NaN or infinite weight, or no positive one")
        return NumericalError(
            f"logits: {where} holds NaN or +inf, or no other than -inf"
            + ("" if self._temperature is None else ", or overflows at this temperature")
        )

    def _checked(self, dense: bool, cumulative: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        weights, largest, totals = self._rows.weights(dense, cumulative)
        bad = np.isnan(totals)
        if bad.any():
            raise self._error(int(bad.argmax()))
        return weights, largest, totals

    def _good(self) -> np.ndarray:
        totals = self._rows.weights(self._filtered or self._weights, False)[2]
        return ~np.isnan(totals).reshape(self.batch_shape)

    @cached_property
    def _table_of_probs(self) -> np.ndarray:
        weights, _, totals = self._checked(dense=True)
        return weights / totals[:, None]

    @cached_property
    def _sums(self) -> tuple[np.ndarray, np.ndarray]:
        sums, _, totals = self._checked(dense=True, cumulative=True)
        tails = np.zeros_like(sums)
        tails[:, :-1] = self._table_of_probs[:, :0:-1].cumsum(1)[:, ::-1]
        return sums / totals[:, None], tails

    @cached_property
    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        possible = self._table_of_probs > 0
        return possible.argmax(1), possible.shape[1] - 1 - possible[:, ::-1].argmax(1)

    def _tempered(self, x: np.ndarray) -> np.ndarray:
        """Logits divided by the rows' temperatures as the kernels do it, then widened to float64."""
        if self._type == BFLOAT16:
            x = (x.astype(np.uint32) << 16).view(np.float32)
        real = np.float64 if self._type == FLOAT64 else np.float32
        z = x.astype(real)
        if self._temperature is not None:
            z = z / self._temperature.reshape(-1, 1).astype(real)
        return z.astype(np.float64)

    def _layout(self, name: str, shape: tuple[int, ...]) -> _Layout:
        """How an argument of that shape broadcasts with the batch."""
        common = broadcast(name, shape, self.batch_shape) if self.batch_shape else shape
        check_size(common)
        lead = len(common) - len(self.batch_shape)
        batch_axes = [a for a in range(lead, len(common)) if self.batch_shape[a - lead] == common[a]]
        return _Layout(common, batch_axes, [a for a in range(len(common)) if a not in batch_axes])

    def _align(self, x: np.ndarray) -> tuple[np.ndarray, _Layout]:
        """`x` broadcast with the batch as a contiguous (rows, draws) matrix, and the way back."""
        layout = self._layout("x", x.shape)
        batch_axes = layout.batch_axes
        moved = np.broadcast_to(x, layout.shape).transpose(batch_axes + layout.draw_axes)
        return np.ascontiguousarray(moved).reshape(self._count, math.prod(layout.draw_sizes)), layout


@dataclass(frozen=True)
class _Layout:
    """How the axes of a broadcast argument split into rows of the batch and draws of a row."""

    shape: tuple[int, ...]
    batch_axes: list[int]
    draw_axes: list[int]

    @property
    def batch_sizes(self) -> list[int]:
        return [self.shape[a] for a in self.batch_axes]

    @property
    def draw_sizes(self) -> list[int]:
        return [self.shape[a] for a in self.draw_axes]

    def restore(self, matrix: np.ndarray) -> np.ndarray:
        order = np.argsort(self.batch_axes + self.draw_axes)
        return np.asarray(matrix.reshape(self.batch_sizes + self.draw_sizes).transpose(order), order="C")


def _floats(x: Any, name: str) -> tuple[np.ndarray, int, Kind]:
    """The array as the kernels read it, contiguous; its number among the types; the library it comes from."""
    torch = sys.modules.get("torch")
    if type(x) is np.ndarray and x.dtype in TYPES and x.flags.c_contiguous and x.flags.aligned:
        data, found, kind = x, TYPES[x.dtype], NUMPY
    elif (
        torch is not None
        and type(x) is torch.Tensor
        and x.dtype is torch.float32
        and x.is_cpu
        and not x.requires_grad
        and x.is_contiguous()
    ):
        data, found, kind = x.numpy(), FLOAT32, TORCH
    else:
        kind, bits = kind_of(x), bfloat16_bits(x)
        if bits is not None:
            data, found = np.require(bits, requirements=("C", "A")), BFLOAT16
        else:
            data = as_numpy(x, name, contiguous=True)
            if data.dtype not in TYPES:
                data = as_numpy(data, name, np.float64)
            found = TYPES[data.dtype]
    if data.ndim == 0:
        raise ValueError(f"{name} must have the categories on its last axis, got a single number")
    if not 1 <= data.shape[-1] <= MOST_CATEGORIES:
        raise ValueError(f"{name} must have 1 to 2**31 - 1 categories on its last axis, got shape {data.shape}")
    if name == "probs" and found in (BFLOAT16, FLOAT16):
        data, found = as_numpy(x, name, np.float32, contiguous=True), FLOAT32
    return data, found, kind


def _floats_in(space: Space, x: Any, name: str) -> Any:
    """The same of an array in a GPU's memory: as the kernels read it, contiguous."""
    dtype = dtype_name(x)
    if dtype.startswith(("int", "uint")):
        x = space.cast(x, "float64")
    elif dtype in ("float16", "bfloat16"):
        x = space.cast(x, "float32") if name == "probs" else x
    elif dtype not in ("float32", "float64"):
        raise TypeError(f"{name} must hold real numbers, got dtype {dtype}")
    if not x.shape:
        raise ValueError(f"{name} must have the categories on its last axis, got a single number")
    if not 1 <= x.shape[-1] <= MOST_CATEGORIES:
        raise ValueError(f"{name} must have 1 to 2**31 - 1 categories on its last axis, got shape {tuple(x.shape)}")
    return space.spread(x, tuple(x.shape))


def _log_weights_in(space: Space, weights: Any) -> Any:
    """Logarithms of contiguous weights there, as float64."""
    logits = space.empty(tuple(weights.shape), "float64")
    extension().sampling.log_weights(space.place, space.borrow(weights), space.borrow(logits))
    return logits


def _widened(data: np.ndarray, found: int) -> np.ndarray:
    """Logits with a dtype of NumPy's: bfloat16 as the float32 that it is."""
    return (data.astype(np.uint32) << 16).view(np.float32) if found == BFLOAT16 else data


def _positive(x: np.ndarray) -> Any:
    return (x > 0) & (x < np.inf)


def _fraction(x: np.ndarray) -> Any:
    return (x >= 0) & (x <= 1)


def _masked(check: str | None) -> bool:
    if check not in (None, "raise", "mask"):
        raise ValueError(f'check must be "raise" or "mask", got {check!r}')
    return check == "mask"


def _rebuild(logits: Any, probs: Any, temperature: Any, top_k: Any, top_p: Any, min_p: Any) -> Categorical:
    return Categorical(logits, probs=probs, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
