"""What every distribution is: batched parameters, and the functions of its inverse CDF."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from genfast import _core
from genfast.rng import Generator, as_seed, draw

__all__ = ["Distribution", "Elementwise", "fraction", "positive", "real"]

MAX_ELEMENTS = 1 << 40


def as_numpy(x: Any, name: str) -> np.ndarray:
    """`x` as a native array of float64 or float32 (which float32 and float16 input keep or widen to).

    Raises TypeError, naming `name`, when it holds no real numbers.
    """
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be real numbers, got {type(x).__name__} of dtype {array.dtype}")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return array.astype(np.float32 if single else np.float64, copy=False)


def result_dtype(dtype: Any, default: type = np.float64) -> np.dtype:
    """float32 or float64. Raises TypeError for any other `dtype`; None is `default`."""
    try:
        found = np.dtype(default if dtype is None else dtype)
    except TypeError:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}") from None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise TypeError(f"dtype must be float32 or float64, got {found}")
    return found


def as_shape(shape: Any) -> tuple[int, ...]:
    """A shape as a tuple. Raises TypeError for what is none and ValueError for negative or huge sizes."""
    try:
        sizes = (operator.index(shape),) if not isinstance(shape, tuple | list) else tuple(map(operator.index, shape))
    except TypeError:
        raise TypeError(f"shape must be an integer or a tuple of integers, got {shape!r}") from None
    if any(size < 0 for size in sizes):
        raise ValueError(f"shape must not be negative, got {sizes}")
    if math.prod(sizes) > MAX_ELEMENTS:
        raise ValueError(f"shape {sizes} has more than 2**40 elements; draw in parts")
    return sizes


def broadcast(name: str, shape: tuple[int, ...], batch_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of an argument and the parameters. Raises ValueError naming the argument."""
    try:
        return np.broadcast_shapes(shape, batch_shape)
    except ValueError:
        raise ValueError(
            f"{name} of shape {shape} does not broadcast with the parameters of shape {batch_shape}"
        ) from None


def first_index(mask: np.ndarray) -> tuple[int, ...]:
    """Index of the first true element."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def at(index: tuple[int, ...]) -> str:
    """ " at index (2, 0)", or nothing for the index of a scalar."""
    return f" at index {index}" if index else ""


def _parameter(value: Any, name: str, rule: str, allowed: Any) -> np.ndarray:
    array = np.array(as_numpy(value, name), np.float64, order="C")
    with np.errstate(invalid="ignore"):
        bad = ~(np.isfinite(array) & allowed(array))
    if bad.any():
        index = first_index(bad)
        raise ValueError(f"{name} must be {rule}, got {float(array[index])!r}{at(index)}")
    array.flags.writeable = False
    return array


def real(value: Any, name: str) -> np.ndarray:
    """A parameter: finite, float64, read-only. Raises TypeError or ValueError naming it and the first bad index."""
    return _parameter(value, name, "finite", lambda a: True)


def positive(value: Any, name: str) -> np.ndarray:
    """A parameter that must be positive and finite, as `real` otherwise."""
    return _parameter(value, name, "positive and finite", lambda a: a > 0)


def fraction(value: Any, name: str) -> np.ndarray:
    """A parameter that must be in [0, 1], as `real` otherwise."""
    return _parameter(value, name, "in [0, 1]", lambda a: (a >= 0) & (a <= 1))


def repeated(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Contiguous memory that, repeated, fills `shape`: `array` itself where only leading axes are missing."""
    own = array.shape
    while own and own[0] == 1:
        own = own[1:]
    if own == shape[len(shape) - len(own) :]:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(np.broadcast_to(array, shape))


class Distribution(ABC):
    """A distribution, or an array of them: `batch_shape` is the common shape of its parameters.

    Every function takes an array that broadcasts with the parameters and returns an array of the common shape: float32
    for float32 arguments, else float64, unless `dtype` or `out` says otherwise. float32 results are the float64 ones
    rounded, except where a class documents a kernel of its own.

    A subclass defines `_compute`, `mean`, `var` and `support`.
    """

    batch_shape: tuple[int, ...] = ()
    is_discrete: ClassVar[bool] = False

    # --- what a subclass defines

    @abstractmethod
    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        """`function` ("icdf", "iccdf", "cdf", "ccdf" or "log_prob") of float64 `x`, in their common shape.

        For "icdf" and "iccdf" every x is in [0, 1]; otherwise it is anything, NaN and infinities included.
        """

    @property
    @abstractmethod
    def mean(self) -> np.ndarray:
        """Mean, of shape `batch_shape`; NaN where it does not exist, inf where it is infinite."""

    @property
    @abstractmethod
    def var(self) -> np.ndarray:
        """Variance, of shape `batch_shape`; NaN where it does not exist, inf where it is infinite."""

    @property
    @abstractmethod
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest value, each of shape `batch_shape`."""

    def _fill(self, function: str, x: np.ndarray, out: np.ndarray) -> int:
        """`function` of float32 or float64 `x` into contiguous `out`; the first bad probability's flat index, or -1."""
        if function in ("icdf", "iccdf"):
            bad = np.broadcast_to(~((x >= 0) & (x <= 1)), out.shape)
            if bad.any():
                return int(np.argmax(bad))
        out[...] = self._compute(function, x.astype(np.float64, copy=False))
        return -1

    def _fill_sample(self, seed: int, row: int, first_site: int, out: np.ndarray) -> None:
        """Into contiguous `out`: icdf of u(seed, row, first_site + flat index)."""
        u = _core.kernels.uniforms(seed, row, first_site, out.size).reshape(out.shape)
        self._fill("icdf", u, out)

    # --- what users call

    def icdf(self, u: Any, *, dtype: Any = None, out: np.ndarray | None = None) -> Any:
        """Inverse CDF: the x with F(x) = u; for discrete distributions the smallest k in the support with F(k) >= u.

        Parameters
        ----------
        u : array_like
            Probabilities in [0, 1] that broadcast with `batch_shape`. 0 and 1 give the ends of the support.
        dtype : float32 or float64, optional
        out : ndarray, optional
            Contiguous, of the common shape, float32 or float64; it is returned.

        Returns
        -------
        ndarray or scalar
            Non-decreasing in `u`.

        Raises
        ------
        ValueError
            If a `u` is outside [0, 1] or NaN (the message has its index), or shapes do not broadcast.
        TypeError
            If `u` holds no real numbers.
        """
        return self._apply("icdf", u, "u", dtype, out)

    def iccdf(self, q: Any, *, dtype: Any = None, out: np.ndarray | None = None) -> Any:
        """Inverse of `ccdf`: icdf(1 - q), exact for tiny `q`, where 1 - q would round to 1. Otherwise as `icdf`."""
        return self._apply("iccdf", q, "q", dtype, out)

    def cdf(self, x: Any, *, dtype: Any = None, out: np.ndarray | None = None) -> Any:
        """F(x) = P(X <= x), accurate relative to itself in the lower tail; NaN for NaN. Arguments as in `icdf`."""
        return self._apply("cdf", x, "x", dtype, out)

    def ccdf(self, x: Any, *, dtype: Any = None, out: np.ndarray | None = None) -> Any:
        """1 - F(x) = P(X > x), accurate relative to itself in the upper tail; NaN for NaN. Arguments as in `icdf`."""
        return self._apply("ccdf", x, "x", dtype, out)

    def log_prob(self, x: Any, *, dtype: Any = None, out: np.ndarray | None = None) -> Any:
        """Natural logarithm of the density (of the mass, if discrete); -inf outside the support, NaN for NaN."""
        return self._apply("log_prob", x, "x", dtype, out)

    def sample(
        self, shape: Any = (), rng: Any = None, *, u: Any = None, dtype: Any = None, out: np.ndarray | None = None
    ) -> Any:
        """Draws: icdf of uniforms.

        Parameters
        ----------
        shape : int or tuple of int
            The result has shape ``shape + batch_shape``.
        rng : int, Stream, numpy.random.Generator or BitGenerator, scipy QMCEngine, or None
            Where the uniforms come from. A seed or a Stream gives element i (by flat index) the uniform of row 0,
            site i; a generator gives its next ones; None takes a fresh seed.
        u : array_like, optional
            The uniforms themselves, in [0, 1], instead of `rng`: of shape ``shape + batch_shape``, or, where `shape` is
            left out, of any shape that broadcasts with `batch_shape`.
        dtype : float32 or float64, optional
        out : ndarray, optional
            Contiguous, of the result's shape, float32 or float64; it is returned.

        Returns
        -------
        ndarray or scalar

        Raises
        ------
        ValueError, TypeError
            For bad arguments; the message names them.
        """
        sizes = as_shape(shape)
        full = as_shape(sizes + self.batch_shape)
        if u is not None:
            if rng is not None:
                raise ValueError("give rng or u, not both")
            given = as_numpy(u, "u").shape
            if sizes and given != full:
                raise ValueError(f"u must have shape {full}, the shape of the result, got {given}")
            return self.icdf(u, dtype=dtype, out=out)
        result = self._result(full, result_dtype(dtype), dtype, out)
        if isinstance(rng, Generator):
            self._fill("icdf", draw(rng, 1, result.size).reshape(full), result)
        else:
            self._fill_sample(as_seed(rng), 0, 0, result)
        return result if out is not None else result[()]

    # --- shared

    def _apply(self, function: str, x: Any, name: str, dtype: Any, out: np.ndarray | None) -> Any:
        array = as_numpy(x, name)
        shape = broadcast(name, array.shape, self.batch_shape)
        result = self._result(shape, result_dtype(dtype, array.dtype.type), dtype, out)
        bad = self._fill(function, array, result)
        if bad >= 0:
            index = tuple(int(i) for i in np.unravel_index(bad, shape))
            value = float(np.broadcast_to(array, shape)[index])
            raise ValueError(f"{name} must be in [0, 1], got {value!r}{at(index)}")
        return result if out is not None else result[()]

    @staticmethod
    def _result(shape: tuple[int, ...], default: np.dtype, dtype: Any, out: np.ndarray | None) -> np.ndarray:
        if out is None:
            return np.empty(shape, default)
        if not isinstance(out, np.ndarray) or out.dtype not in (np.float32, np.float64):
            raise TypeError("out must be an array of float32 or float64")
        if dtype is not None and out.dtype != default:
            raise TypeError(f"out has dtype {out.dtype}, but dtype={default} was asked for")
        if out.shape != shape:
            raise ValueError(f"out must have shape {shape}, got {out.shape}")
        if not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError("out must be contiguous and writeable")
        return out


class Elementwise(Distribution):
    """A distribution whose functions are native kernels: one of the families of csrc/base/families.h, by class name.

    A subclass lists its `parameters` in the order of the family's and passes their checked arrays to this constructor.
    Instances are immutable, can be compared, hashed and pickled.
    """

    parameters: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *arrays: np.ndarray) -> None:
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(self.parameters, arrays, strict=True))
            raise ValueError(f"the parameters do not broadcast: {shapes}") from None
        for name, array in zip(self.parameters, arrays, strict=True):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "batch_shape", shape)
        object.__setattr__(self, "_arrays", arrays)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one instead of setting {name}")

    def __repr__(self) -> str:
        def text(array: np.ndarray) -> str:
            return repr(array.item()) if array.ndim == 0 else np.array2string(array, threshold=6, separator=", ")

        inside = ", ".join(f"{n}={text(a)}" for n, a in zip(self.parameters, self._arrays, strict=True))
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(map(np.array_equal, self._arrays, other._arrays))

    def __hash__(self) -> int:
        return hash((type(self), *((a.shape, (a + 0.0).tobytes()) for a in self._arrays)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arrays

    _arrays: tuple[np.ndarray, ...]

    def _full(self, value: Any) -> np.ndarray:
        """`value` broadcast to `batch_shape`, as a new array."""
        return np.array(np.broadcast_to(value, self.batch_shape), np.float64)

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        out = np.empty(np.broadcast_shapes(x.shape, self.batch_shape))
        self._fill(function, x, out)
        return out

    def _fill(self, function: str, x: np.ndarray, out: np.ndarray) -> int:
        arrays = [repeated(a, out.shape) for a in self._arrays]
        return _core.distributions.evaluate(type(self).__name__, function, repeated(x, out.shape), arrays, out)

    def _fill_sample(self, seed: int, row: int, first_site: int, out: np.ndarray) -> None:
        arrays = [repeated(a, out.shape) for a in self._arrays]
        _core.distributions.sample(type(self).__name__, seed, row, first_site, arrays, out)
