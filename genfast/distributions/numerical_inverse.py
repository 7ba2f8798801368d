"""The inverse CDF of any density, distribution function, sample or histogram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import genfast._core as _core
from genfast.arrays import as_numpy, kind_of
from genfast.device_arrays import Space
from genfast.devices import extension
from genfast.distributions.base import Distribution
from genfast.distributions.combinator import compute
from genfast.distributions.convert import as_distribution
from genfast.distributions.inversion import cumulative, linear, panels, table
from genfast.distributions.inversion.density import Density, Function
from genfast.errors import NumericalError

__all__ = ["NumericalInverse"]

ROWS_AT_ONCE = 64  # of a construction: bounds its memory
MAX_ROWS = 1 << 18  # 12 KiB each at least
BLOCK = 1 << 17
# The arrays of an InverseTableView of csrc/numerics/inverse_table_view.h, in its order.
TABLE = {
    "cells": np.float64,
    "cell_refs": np.int32,
    "segment_start": np.int64,
    "segment_exponent": np.int32,
    "segment_ref": np.int32,
    "nodes": np.int32,
    "pieces": np.float64,
    "tail_pieces": np.float64,
    "low": np.float64,
    "middle": np.float64,
    "high": np.float64,
}


class NumericalInverse(Distribution):
    """Any univariate distribution, inverted numerically.

    Exactly one of `dist`, `pdf`, `logpdf`, `cdf`, `samples` and `histogram` says which. Densities need not be
    normalised.

    Parameters
    ----------
    dist : genfast, frozen scipy.stats or torch.distributions distribution, optional
        One continuous distribution, not an array of them. SciPy's are inverted from their own pdf and logpdf.
    pdf, logpdf : callable, optional
        The density or its logarithm: ``pdf(x, *params)`` of a one-dimensional array gives an array like it. A function
        of single numbers is called for each number. `logpdf` follows tails farther, since it does not underflow.
    cdf : callable, optional
        The distribution function, likewise. It may jump.
    ccdf : callable, optional
        With `cdf`: 1 - cdf, accurate where that is small. Without it the upper tail ends where cdf rounds to 1.
    samples : array_like, optional
        Its empirical quantile function, linear between the order statistics x(0) … x(n - 1) with F(x(i)) = i / (n - 1)
        (type 7 of Hyndman & Fan 1996, numpy's default). Nothing is smoothed, nothing lies outside the sample.
    histogram : (counts, edges), optional
        As numpy.histogram returns it: uniform in each bin.
    domain : (low, high), optional
        Ends of the support; infinite ones by default. With `params`, each may be an array of shape (rows,).
    center : float or (rows,) array, optional
        A point with typical density. Needed where the density is so narrow and far from 0 and from the ends of
        the domain that it underflows to 0 at all of some thousand points tried, spaced by 2 % of their distance from
        those.
    points : sequence of float or (rows, k) array, optional
        Jumps, kinks, poles and narrow spikes inside the domain. A density that is not smooth is found out and resolved
        without them, with more work, except where it is infinite or too narrow to be seen.
    u_error : float
        Largest \\|F(x(u)) - u\\|, in [1e-13, 1e-4]. Below u = 2**-11, and above 1 - 2**-11, it is 2**11 · `u_error`
        relative to the tail's probability. Where doubles cannot resolve F, x is within four units in its last place
        instead.
    params : sequence of array_like, optional
        Parameters for `pdf`, `logpdf` or `cdf`, broadcast to one shape () or (rows,): one distribution a row. The
        function gets them as arrays of the length of x and must be elementwise in all of them. More than 64 rows are
        built on `num_threads()` threads, which call it at the same time; the result does not depend on their number.

    Attributes
    ----------
    batch_shape : tuple
        () or (rows,).
    u_error : ndarray of `batch_shape`
        The largest error seen at nine test points in every piece.
    intervals : ndarray of `batch_shape`
        Number of pieces.

    Raises
    ------
    ValueError, TypeError
        For bad arguments, and functions that do not return one real number for each x.
    genfast.NumericalError
        If the density is NaN, negative, infinite, not integrable or zero everywhere, or F no distribution function; the
        message says at which x and in which row. Also if the work exceeds its bound: the message says where, and what
        was reached.

    Notes
    -----
    F is integrated on panels of a logarithmic distance from the ends of the domain and `points`, by Chebyshev
    interpolation. Its inverse is a table of polynomials, refined until the error measured at test points is small
    enough, after Derflinger, Hörmann & Leydold, "Random variate generation by numerical inversion when only the density
    is known", ACM TOMACS 20 (2010); other than there, pieces are chosen in u, so that the bits of u find them without a
    search. Tails go on to u = 2**-1022 (polynomials in log2 u), smaller u count as that; x then may be the end of the
    domain or the largest double. `icdf` is monotone in u to the last bit.

    `cdf` and `ccdf` of one distribution come from the integral itself; of many rows, from inverting the table by
    bisection. With `cdf=`, `log_prob` is a difference quotient with about 9 digits.

    Examples
    --------
    >>> d = gf.NumericalInverse(pdf=lambda x: np.exp(-x**4))
    >>> float(d.icdf(0.9)), float(d.var)  # doctest: +ELLIPSIS
    (0.77625096..., 0.33798912...)
    >>> rows = gf.NumericalInverse(logpdf=lambda x, rate: -rate * x, params=[[1.0, 2.0]], domain=(0, np.inf))
    >>> rows.icdf(0.5).round(6).tolist()
    [0.693147, 0.346574]
    """

    u_error: Any
    intervals: Any
    _linear: linear.PiecewiseLinear | None
    _functions: Any
    _source: Any

    def __init__(
        self,
        dist: Any = None,
        /,
        *,
        pdf: Callable[..., Any] | None = None,
        logpdf: Callable[..., Any] | None = None,
        cdf: Callable[..., Any] | None = None,
        ccdf: Callable[..., Any] | None = None,
        samples: Any = None,
        histogram: Any = None,
        domain: Any = None,
        center: Any = None,
        points: Any = None,
        u_error: float = 1e-12,
        params: Sequence[Any] | None = None,
    ) -> None:
        sources = {
            "dist": dist,
            "pdf": pdf,
            "logpdf": logpdf,
            "cdf": cdf,
            "samples": samples,
            "histogram": histogram,
        }
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            raise TypeError(f"give exactly one of {', '.join(sources)}; got {' and '.join(given) or 'none'}")
        kind = self._given = given[0]
        if ccdf is not None and kind != "cdf":
            raise TypeError("ccdf goes with cdf")
        for name in ("pdf", "logpdf", "cdf"):
            if sources[name] is not None and not callable(sources[name]):
                raise TypeError(f"{name} must be callable, got {type(sources[name]).__name__}")
        tolerance = as_numpy(u_error, "u_error")
        if tolerance.ndim or not 1e-13 <= tolerance <= 1e-4:
            raise ValueError(f"u_error must be a number in [1e-13, 1e-4], got {u_error!r}")
        if kind in ("dist", "samples", "histogram") and params is not None:
            raise TypeError(f"params goes with pdf, logpdf or cdf, not with {kind}")
        if kind in ("samples", "histogram"):
            for name, value in (("domain", domain), ("center", center), ("points", points)):
                if value is not None:
                    raise TypeError(f"{name} does not go with {kind}")
            self._linear = linear.from_samples(samples) if kind == "samples" else linear.from_histogram(histogram)
            self._low, self._high = self._linear.x[:1].copy(), self._linear.x[-1:].copy()
            self._mean, self._var = (np.array([m]) for m in self._linear.moments())
            self.kind = kind_of(samples) if kind == "samples" else kind_of(*histogram)
            self.u_error, self.intervals = np.float64(0), np.int64(len(self._linear.share))
            return

        self._linear = None
        self._set_params(params)
        if kind == "dist":
            logpdf, pdf, domain, center = self._from_dist(dist, domain, center)
        self._set_domain(domain, center, points)
        if kind == "cdf":
            self._functions = (cdf, ccdf)
            self._build_cdf(float(tolerance))
        else:
            self._build_density(pdf, logpdf, float(tolerance))

    # ---- arguments

    def _set_params(self, params: Sequence[Any] | None) -> None:
        if params is not None and not isinstance(params, tuple | list):
            raise TypeError(f"params must be a tuple or list of arrays, got {type(params).__name__}")
        arrays = [as_numpy(p, f"params[{i}]") for i, p in enumerate(params or ())]
        self.kind = kind_of(*(params or ()))
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            raise ValueError(f"params do not broadcast: shapes {', '.join(str(a.shape) for a in arrays)}") from None
        if len(shape) > 1 or shape == (0,):
            raise ValueError(f"params must broadcast to shape () or (rows,) with at least one row, got {shape}")
        self.batch_shape = shape
        self._rows = shape[0] if shape else 1
        if self._rows > MAX_ROWS:
            raise ValueError(f"params: at most {MAX_ROWS} rows (each takes 12 KiB or more), got {self._rows}")
        self._params = []
        for i, p in enumerate(arrays):
            a = np.array(np.broadcast_to(p, (self._rows,)), np.float64)
            bad = ~np.isfinite(a)
            if bad.any():
                raise ValueError(f"params[{i}] must be finite, got {float(a[bad][0])!r} at index {int(np.argmax(bad))}")
            self._params.append(a)

    def _set_domain(self, domain: Any, center: Any, points: Any) -> None:
        def per_row(value: Any, name: str) -> np.ndarray:
            array = np.array(as_numpy(value, name), np.float64)
            if array.shape not in ((), (1,), (self._rows,)):
                raise ValueError(f"{name} must be a number or have shape ({self._rows},), got {array.shape}")
            return np.broadcast_to(array, (self._rows,))

        try:
            low, high = (-np.inf, np.inf) if domain is None else domain
        except (TypeError, ValueError):
            raise ValueError(f"domain must be a pair (low, high), got {domain!r}") from None
        self._low, self._high = per_row(low, "domain[0]").copy(), per_row(high, "domain[1]").copy()
        bad = ~(self._low < self._high) | (self._low == np.inf) | (self._high == -np.inf)
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.maximum(np.abs(self._low), np.abs(self._high))
            bad |= np.isfinite(size) & (self._high / 2 - self._low / 2 < np.maximum(2.0**-40 * size, 2.0**-1000))
        if bad.any():
            r = int(np.argmax(bad))
            where = f" in row {r}" if self.batch_shape else ""
            raise ValueError(
                f"domain must be (low, high) with low < high, wide enough for doubles to tell its points apart, got "
                f"({float(self._low[r])!r}, {float(self._high[r])!r}){where}"
            )
        inner = [] if center is None else [per_row(center, "center")]
        if points is not None:
            array = np.array(as_numpy(points, "points"), np.float64)
            if array.ndim > 2 or (array.ndim == 2 and len(array) != self._rows):
                raise ValueError(f"points must have shape (k,) or ({self._rows}, k), got {array.shape}")
            inner += list(np.broadcast_to(np.atleast_1d(array), (self._rows, array.shape[-1] if array.ndim else 1)).T)
        if not inner and np.isinf(self._low).any() and (np.isinf(self._low) & np.isinf(self._high)).any():
            both = np.isinf(self._low) & np.isinf(self._high)
            inner = [np.where(both, 0.0, np.where(np.isinf(self._low), self._high, self._low))]
        for value in inner:
            bad = ~((value >= self._low) & (value <= self._high) & np.isfinite(value))
            if bad.any():
                r = int(np.argmax(bad))
                raise ValueError(f"center and points must be finite and inside the domain, got {float(value[r])!r}")
        self._points = np.sort(np.stack([self._low, *inner, self._high], axis=1), axis=1)

    def _from_dist(self, dist: Any, domain: Any, center: Any) -> tuple[Any, ...]:
        """logpdf, pdf, domain and center of a frozen distribution."""
        own = (callable(getattr(dist, "pdf", None)), callable(getattr(dist, "support", None)), not hasattr(dist, "pmf"))
        if not isinstance(dist, Distribution) and all(own):
            low, high = dist.support()
            if np.ndim(low) or np.ndim(high):
                raise ValueError("dist must be one distribution, not an array of them: use pdf= with params=")
            logpdf, pdf, median = getattr(dist, "logpdf", None), dist.pdf, dist.median()
        else:
            d = as_distribution(dist, "dist")
            if d.is_discrete or d.batch_shape:
                raise TypeError(f"dist must be one continuous distribution, got {dist!r}")
            self.kind = d.kind
            low, high = (float(end) for end in d.support)
            logpdf, pdf, median = partial(compute, d, "log_prob"), None, float(compute(d, "icdf", 0.5))
        if domain is None:
            domain = (float(low), float(high))
            if center is None and np.isfinite(median) and low < median < high:
                center = float(median)
        return logpdf, pdf, domain, center

    # ---- construction

    def _probe(self, first: int) -> np.ndarray:
        """Two points strictly inside the domain of row `first`."""
        p = self._points[first]
        i = int(np.argmax(np.diff(p) > 0))
        a, b = p[i], p[i + 1]
        if np.isinf(a):
            return np.array([b - 2, b - 1])
        return np.array([a + 1, a + 2]) if np.isinf(b) else np.array([a / 3 * 2 + b / 3, a / 3 + b / 3 * 2])

    def _density(self, rows: slice) -> Density:
        function, log = self._functions
        params, first = [p[rows] for p in self._params], rows.start or 0
        return Density(function, log, params, len(self._low[rows]), self._probe(first), first)

    def _build_density(self, pdf: Any, logpdf: Any, u_error: float) -> None:
        self._functions = (pdf, False) if pdf is not None else (logpdf, True)
        try:
            self._build_panels(u_error)
        except NumericalError:
            # Some of SciPy's densities overflow on their way where the logarithm does not.
            if self._given != "dist" or pdf is None or logpdf is None:
                raise
            self._functions = (logpdf, True)
            self._build_panels(u_error)

    def _by_rows(self, part: Callable[[slice], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """`part` of all rows, in parts of a fixed size, so that no row depends on the number of threads; its results
        transposed. What the first of the rows that fail raises is raised."""
        slices = [slice(r, min(r + ROWS_AT_ONCE, self._rows)) for r in range(0, self._rows, ROWS_AT_ONCE)]
        threads = min(_core.num_threads(), len(slices))
        if threads == 1:
            return list(zip(*map(part, slices), strict=True))
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(threads)
        try:
            return list(zip(*pool.map(part, slices), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)

    def _build_panels(self, u_error: float) -> None:
        def part(rows: slice) -> tuple[Any, ...]:
            density = self._density(rows)
            with np.errstate(all="ignore"):
                source = panels.integrate(density, panels.halves(self._points[rows]), u_error)
                built = table.build(source, u_error, self._low[rows], self._high[rows])
                log_total = np.log(source.total.astype(np.float64))
                log_total += density.scale if density.log else np.log(density.scale)
                return built, source if self._rows == 1 else None, log_total, *source.moments()

        built, sources, *moments = self._by_rows(part)
        self._log_total, self._mean, self._var = map(np.concatenate, moments)
        self._source = sources[0]
        if (
            self._given == "dist"
            and abs(self._log_total[0]) > 1e-6
            and np.array_equal(self._points[0, [0, -1]], [self._low[0], self._high[0]])
        ):
            raise NumericalError(
                f"the density of dist integrates to {np.exp(self._log_total[0]):.9g}: give points= where it is narrow"
            )
        self._set_table(list(built))

    def _build_cdf(self, u_error: float) -> None:
        def part(rows: slice) -> tuple[Any, ...]:
            source = self._cumulative(rows, u_error)
            built = table.build(source, u_error, self._low[rows], self._high[rows])
            return built, source if self._rows == 1 else None

        built, sources = self._by_rows(part)
        self._source = sources[0]
        self._set_table(list(built))
        self._mean, self._var = self._table_moments()

    def _cumulative(self, rows: slice, u_error: float) -> cumulative.Cumulative:
        params, n, first = [p[rows] for p in self._params], len(self._low[rows]), rows.start or 0
        lower, upper = (
            None if f is None else Function(f, name, params, n, self._probe(first), first)
            for f, name in zip(self._functions, ("cdf", "ccdf"), strict=True)
        )
        assert lower is not None
        return cumulative.Cumulative(lower, upper, self._low[rows], self._high[rows], u_error)

    def _set_table(self, built: list[table.Table]) -> None:
        self._parts = table.joined(built)
        self._core = _core.InverseTable(rows=self._rows, **self._parts)
        shape = self.batch_shape
        self.intervals = np.concatenate([b.pieces for b in built]).reshape(shape)[()]
        self.u_error = np.concatenate([b.u_error for b in built]).reshape(shape)[()]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_core", "_uploads")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._linear is None:
            self._core = _core.InverseTable(rows=self._rows, **self._parts)

    def __repr__(self) -> str:
        rows = f", {self._rows} rows" if self.batch_shape else ""
        reached = f"intervals={np.max(self.intervals)}, u_error={np.max(self.u_error):.2g}"
        return f"NumericalInverse({self._given}{rows}, {reached})"

    # ---- what a distribution does

    @property
    def mean(self) -> Any:
        """Mean, of shape `batch_shape`; infinite or NaN where the integral diverges."""
        return self._full(self._mean.reshape(self.batch_shape))

    @property
    def var(self) -> Any:
        """Variance, of shape `batch_shape`; infinite or NaN where the integral diverges."""
        return self._full(self._var.reshape(self.batch_shape))

    @property
    def support(self) -> tuple[Any, Any]:
        """The domain's ends, each of shape `batch_shape`."""
        return self._full(self._low.reshape(self.batch_shape)), self._full(self._high.reshape(self.batch_shape))

    def _fill(self, function: str, x: np.ndarray, out: np.ndarray) -> int:
        if not out.size:
            return -1
        if function not in ("icdf", "iccdf") or self._linear is not None or x.shape != out.shape:
            return super()._fill(function, x, out)
        complement = function == "iccdf"
        if self.batch_shape and out.size != self._rows:
            u = np.ascontiguousarray(np.moveaxis(x, -1, 0), np.float64)
            result = np.empty_like(u)
            bad = self._core.evaluate(u, result, complement)
            out[...] = np.moveaxis(result, 0, -1)
        else:
            u = np.ascontiguousarray(x, np.float64)
            result = out if out.dtype == np.float64 else np.empty(out.shape)
            bad = self._core.evaluate(u, result, complement)
            if result is not out:
                out[...] = result
        return -1 if bad < 0 else int(np.argmax(~((x >= 0) & (x <= 1))))

    def _fill_in(self, space: Space, function: str, x: Any, out: Any) -> None:
        if function not in ("icdf", "iccdf") or self._linear is not None:
            return super()._fill_in(space, function, x, out)
        u = x if isinstance(x, tuple) else space.borrow(space.repeated(x, tuple(out.shape)))
        parts = [space.borrow(space.uploaded(self, name, partial(self._part, name))) for name in TABLE]
        complement = function == "iccdf"
        extension().sampling.invert(space.place, parts, self._rows, complement, u, space.borrow(out))

    def _part(self, name: str) -> np.ndarray:
        return self._parts[name].astype(TABLE[name])

    def _fill_sample(self, seed: int, row: int, first_site: int, out: np.ndarray) -> None:
        if self.batch_shape:
            super()._fill_sample(seed, row, first_site, out)
            return
        flat = out.reshape(-1)
        for first in range(0, flat.size, BLOCK):
            part = flat[first : first + BLOCK]
            u = np.empty((1, part.size))
            _core.fill_uniforms(u, seed, row, first_site + first)
            self._fill("icdf", u[0], part)

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        if self._linear is not None:
            return getattr(self._linear, function)(x)
        shape = np.broadcast_shapes(x.shape, self.batch_shape)
        x = np.ascontiguousarray(np.broadcast_to(x, shape))
        out = np.empty(shape)
        if function in ("icdf", "iccdf"):
            self._fill(function, x, out)
            return out
        row = np.broadcast_to(np.arange(self._rows), shape).ravel() if self.batch_shape else np.zeros(x.size, int)
        flat, result = x.ravel(), out.reshape(-1)
        if function == "log_prob":
            result[:] = self._log_prob(row, flat)
        else:
            upper = np.full(flat.size, function == "ccdf")
            result[:] = self._tail(row, flat, upper)
        result[np.isnan(flat)] = np.nan
        return out

    def _tail(self, row: np.ndarray, x: np.ndarray, upper: np.ndarray) -> np.ndarray:
        out = np.where((x >= self._high[row]) ^ upper, 1.0, 0.0)
        some = np.flatnonzero((x > self._low[row]) & (x < self._high[row]))
        if not len(some):
            return out
        row, x, upper = row[some], x[some], upper[some]
        with np.errstate(all="ignore"):
            out[some] = self._source.tail(row, x, upper) if self._source is not None else self._invert(row, x, upper)
        return out

    def _invert(self, row: np.ndarray, x: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The tails by bisection in the bits of v, on that side of the median where v is the smaller tail."""
        order = np.argsort(row, kind="stable")
        width = int(np.bincount(row, minlength=self._rows).max())
        sorted_row = row[order]
        place = np.arange(len(row)) - np.searchsorted(sorted_row, sorted_row)
        side = x > self._parts["middle"][row]
        result = np.empty(len(row))
        for right in (False, True):
            low = np.zeros((self._rows, width), np.int64)
            high = np.full((self._rows, width), np.float64(0.5).view(np.int64))
            target = np.zeros((self._rows, width))
            target[sorted_row, place] = x[order]
            value = np.empty((self._rows, width))
            for _ in range(63):
                middle = (low + high + 1) // 2
                self._core.evaluate(middle.view(np.float64), value, right)
                inside = value >= target if right else value <= target
                low, high = np.where(inside, middle, low), np.where(inside, high, middle - 1)
            here = side[order] == right
            result[order[here]] = low.view(np.float64)[sorted_row, place][here]
        return np.where(side == upper, result, 1 - result)

    def _log_prob(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        out = np.full(len(x), -np.inf)
        some = np.flatnonzero((x >= self._low[row]) & (x <= self._high[row]) & np.isfinite(x))
        if not len(some):
            return out
        row, x = row[some], x[some]
        if self._given == "cdf":
            out[some] = self._log_slope(row, x)
            return out
        density = self._density(slice(None))
        y = density.raw(x, row)
        bad = np.isnan(y) | (False if density.log else y < 0)
        if bad.any():
            i = int(np.argmax(bad))
            raise NumericalError(f"{density.name} is {y[i]:.6g} at {density.where(float(x[i]), int(row[i]))}")
        with np.errstate(divide="ignore"):
            out[some] = (y if density.log else np.log(y)) - self._log_total[row]
        return out

    def _log_slope(self, row: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Logarithm of the difference quotient of the smaller tail, over 1e-5 of the quartiles' distance or more."""
        source = self._cumulative(slice(None), 1e-2)
        quartiles = np.empty((self._rows, 2))
        self._core.evaluate(np.tile([0.25, 0.75], (self._rows, 1)), quartiles)
        step = 1e-5 * np.maximum(np.abs(np.diff(quartiles, axis=1)[:, 0])[row], np.abs(x) / 64)
        a, b = np.maximum(x - step, self._low[row]), np.minimum(x + step, self._high[row])
        upper = x > self._parts["middle"][row]
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.where(upper, -1.0, 1.0) * (source.tail(row, b, upper) - source.tail(row, a, upper))
            return np.log(np.maximum(rise, 0) / (b - a))

    def _table_moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Gauss's rule in eight points for the integrals of x(u) and its square, on octaves of v cut into 64 parts."""
        nodes, weights = np.polynomial.legendre.leggauss(8)
        bits = (np.arange((1023 - 1022) * 64, (1023 - 1) * 64 + 1, dtype=np.int64) << 46).view(np.float64)
        half = np.diff(bits) / 2
        v = (bits[:-1] + half)[:, None] + half[:, None] * nodes
        w = (half[:, None] * weights).ravel()
        x = np.empty((2, self._rows, v.size))
        for side in (0, 1):
            self._core.evaluate(np.tile(v.ravel(), (self._rows, 1)), x[side], bool(side))
        with np.errstate(over="ignore", invalid="ignore"):
            mean = (x * w).sum(axis=(0, 2))
            square = ((x - mean[:, None]) ** 2 * w).sum(axis=(0, 2))
            # Where x(v) v (or x² v) does not fall towards v = 0, the integral diverges.
            tiny = [int(np.searchsorted(v.ravel(), 2.0**-e)) for e in (400, 800)]
            first, second = ((np.abs(x[:, :, tiny]) ** k * v.ravel()[tiny]) for k in (1, 2))
            endless = first[:, :, 1] > 0.5 * first[:, :, 0]
            wide = second[:, :, 1] > 0.5 * second[:, :, 0]
        both, any_ = endless.all(axis=0), endless.any(axis=0)
        mean = np.where(both, np.nan, np.where(any_, np.where(endless[0], -np.inf, np.inf), mean))
        return mean, np.where(any_, np.nan, np.where(wide.any(axis=0), np.inf, square))
