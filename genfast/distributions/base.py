"""What every distribution is: batched parameters, and the functions of its inverse CDF."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from genfast import _core
from genfast.arrays import (
    NUMPY,
    Kind,
    as_numpy,
    as_shape,
    at,
    check_elements,
    check_size,
    float_dtype,
    kind_of,
    output,
    result_dtype,
)
from genfast.device_arrays import Space, described, dtype_name, elsewhere, real_dtype, space_of
from genfast.devices import extension
from genfast.rng import as_seed, is_counted, uniforms

__all__ = ["Distribution", "Elementwise", "Parameter", "fraction", "parameter", "positive", "real"]


FLOAT_KERNELS = {name for name, _, has_float_kernel in _core.distributions.families() if has_float_kernel}


def broadcast(name: str, shape: tuple[int, ...], batch_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of an argument and the parameters. Raises ValueError naming the argument."""
    if shape == batch_shape or not batch_shape:
        return shape
    try:
        return np.broadcast_shapes(shape, batch_shape)
    except ValueError:
        raise ValueError(f"{name} of shape {shape} does not broadcast with parameters of shape {batch_shape}") from None


def common_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that the parameters of these shapes broadcast to. Raises ValueError naming them."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"the parameters do not broadcast: {listed}") from None


def common_kind(*kinds: Kind) -> Kind:
    """The one kind beside NumPy among `kinds`. Raises TypeError when there are two."""
    others = {kind for kind in kinds if kind != NUMPY}
    if len(others) > 1:
        names = " and of ".join(sorted(kind.name for kind in others))
        raise TypeError(f"arrays of {names} meet; convert them to one library")
    return others.pop() if others else NUMPY


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    checked: its elements, read-only float64; None where they lie on a GPU, and could not be checked without waiting.
    kind: of array that the user gave. given: what the user gave.
    """

    checked: np.ndarray | None
    kind: Kind
    given: Any = None
    name: str = ""

    @property
    def array(self) -> np.ndarray:
        """The elements, for those who compute on the CPU. Raises ValueError if they are elsewhere."""
        if self.checked is None:
            raise ValueError(f"{self.name} is {described(self.given)}, and is used on the CPU: bring it there")
        return self.checked


def parameter(value: Any, name: str, rule: str, allowed: Callable[[np.ndarray], Any]) -> Parameter:
    """A parameter whose elements are finite and `allowed`, unless they lie on a GPU.

    Raises TypeError when it holds no real numbers, ValueError ("`name` must be `rule`, got … at index …") else.
    """
    if elsewhere(value):
        real_dtype(value, name)
        return Parameter(None, kind_of(value), value, name)
    array = np.array(as_numpy(value, name, np.float64), order="C")
    check_elements(array, np.isfinite(array) & allowed(array), name, rule)
    array.flags.writeable = False
    return Parameter(array, kind_of(value), value)


def real(value: Any, name: str) -> Parameter:
    """A finite parameter; errors as in `parameter`."""
    return parameter(value, name, "finite", lambda a: True)


def positive(value: Any, name: str) -> Parameter:
    """A positive, finite parameter; errors as in `parameter`."""
    return parameter(value, name, "positive and finite", lambda a: a > 0)


def fraction(value: Any, name: str) -> Parameter:
    """A parameter in [0, 1]; errors as in `parameter`."""
    return parameter(value, name, "in [0, 1]", lambda a: (a >= 0) & (a <= 1))


def repeated(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Contiguous memory that, repeated, fills `shape`: `array` itself where only leading axes are missing."""
    own = array.shape
    while own and own[0] == 1:
        own = own[1:]
    if own == shape[len(shape) - len(own) :]:
        return np.ascontiguousarray(array)
    return np.ascontiguousarray(np.broadcast_to(array, shape))


def shape_of(x: Any, name: str) -> tuple[int, ...]:
    """Of an array on any device, or of what can be made one. Errors as of `as_numpy`."""
    return tuple(x.shape) if elsewhere(x) else as_numpy(x, name).shape


class Distribution(ABC):
    """A distribution, or an array of them: `batch_shape` is the common shape of its parameters.

    Every function takes an array that broadcasts with the parameters and returns an array of the common shape: float32
    for float32 (or narrower) arguments, else float64, unless `dtype` or `out` says otherwise. float32 results are the
    float64 ones rounded, except where a class documents a kernel of its own. Tensors in, whether parameters or
    arguments, give tensors out.

    Parameters are real arrays of any dtype that broadcast with each other, computed with as float64. Constructors raise
    ValueError for a value that is not finite or outside its range, naming the parameter and the index, or for shapes
    that do not broadcast, and TypeError for what holds no real numbers.

    Tensors in a GPU's memory are computed with there (docs/cuda.md), by the families with native kernels and
    `NumericalInverse`: results have the bits of the CPU's, come out on that GPU and in the order of the caller's
    stream, and nothing waits for them. So a probability outside [0, 1] cannot raise: it gives NaN. Parameters of the
    families may lie there too, those that are arrays all on one GPU. They are not copied: every call reads what they
    hold by then, and where they make no distribution it gives NaN. What computes on the CPU alone, moments among it,
    raises ValueError for them.

    Examples
    --------
    >>> d = gf.Gamma([1.0, 2.0], 3.0)
    >>> d.batch_shape, d.mean.tolist(), d.sample((1000,), rng=0).shape
    ((2,), [3.0, 6.0], (1000, 2))
    >>> d.icdf([[0.1], [0.9]]).round(4).tolist()
    [[0.3161, 1.5954], [6.9078, 11.6692]]

    A subclass defines `_compute`, `mean`, `var` and `support`.
    """

    batch_shape: tuple[int, ...] = ()
    kind: Kind = NUMPY  # of the parameters
    is_discrete: bool = False
    _elsewhere: Mapping[str, Any] = MappingProxyType({})  # the parameters that lie on a GPU, by name

    # --- what a subclass defines

    @abstractmethod
    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        """`function` ("icdf", "iccdf", "cdf", "ccdf" or "log_prob") of float64 `x`, in their common shape.

        For "icdf" and "iccdf" every x is in [0, 1]; otherwise it is anything, NaN and infinities included.
        """

    @property
    @abstractmethod
    def mean(self) -> Any:
        """Mean, of shape `batch_shape`; NaN where it does not exist, inf where it is infinite."""

    @property
    @abstractmethod
    def var(self) -> Any:
        """Variance, of shape `batch_shape`; NaN where it does not exist, inf where it is infinite."""

    @property
    @abstractmethod
    def support(self) -> tuple[Any, Any]:
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
        u = np.empty((1, out.size))
        _core.fill_uniforms(u, seed, row, first_site)
        self._fill("icdf", u.reshape(out.shape), out)

    def _fill_in(self, space: Space, function: str, x: Any, out: Any) -> None:
        """`function` into contiguous `out` of the space. x: a float array there that broadcasts with it, or (seed, row,
        site), from which the uniforms count on. NaN for a probability outside [0, 1]."""
        raise ValueError(
            f"{type(self).__name__}.{function} computes on the CPU, not on {space.name}: pass arrays that are there"
        )

    # --- what users call

    def icdf(self, u: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """Inverse CDF: the x with F(x) = u; for discrete distributions the smallest k in the support with F(k) >= u.

        Parameters
        ----------
        u : array_like
            Probabilities in [0, 1] that broadcast with `batch_shape`. 0 and 1 give the ends of the support.
        dtype : float32 or float64, optional
        out : array or tensor, optional
            Of the common shape, float32 or float64; it is returned.

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

    def iccdf(self, q: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """Inverse of `ccdf`: icdf(1 - q), exact for tiny `q`, where 1 - q would round to 1. Otherwise as `icdf`."""
        return self._apply("iccdf", q, "q", dtype, out)

    def cdf(self, x: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """F(x) = P(X <= x), accurate relative to itself in the lower tail; NaN for NaN. Arguments as in `icdf`."""
        return self._apply("cdf", x, "x", dtype, out)

    def ccdf(self, x: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """1 - F(x) = P(X > x), accurate relative to itself in the upper tail; NaN for NaN. Arguments as in `icdf`."""
        return self._apply("ccdf", x, "x", dtype, out)

    def log_prob(self, x: Any, *, dtype: Any = None, out: Any = None) -> Any:
        """Natural logarithm of the density (of the mass, if discrete); -inf outside the support, NaN for NaN."""
        return self._apply("log_prob", x, "x", dtype, out)

    def sample(
        self,
        shape: Any = (),
        rng: Any = None,
        *,
        u: Any = None,
        dtype: Any = None,
        out: Any = None,
        device: Any = None,
    ) -> Any:
        """Draws: icdf of uniforms.

        Parameters
        ----------
        shape : int or tuple of int
            The result has shape ``shape + batch_shape``.
        rng : int, Stream, numpy.random.Generator or BitGenerator, scipy QMCEngine, or None
            Where the uniforms come from. A seed or a Stream gives element i (by flat index) the uniform of row 0,
            site i; a generator gives its next ones; None takes a fresh seed. A QMC engine of dimension 1 fills the
            result in order; of dimension d, it gives the first axis its points and the others, d in all, their
            coordinates.
        u : array_like, optional
            The uniforms themselves, in [0, 1], instead of `rng`: of shape ``shape + batch_shape``, or, where `shape` is
            left out, of any shape that broadcasts with `batch_shape`.
        dtype : float32 or float64, optional
        out : array or tensor, optional
            Of the result's shape, float32 or float64; it is returned.
        device : str or torch.device, optional
            Where to draw, and where the result is: "cpu", "cuda", "cuda:1", …. By default where `u` or `out` is, else
            the CPU. A `u` on the CPU is brought to a GPU, an `out` has to be there. On a GPU the result is a torch
            tensor or CuPy array: of the library of the parameters, or of the one that is imported (torch, if both
            are and it is built for CUDA).

        Returns
        -------
        ndarray or scalar

        Raises
        ------
        ValueError, TypeError
            For bad arguments; the message names them.
        DeviceError
            If the device cannot be used, saying why; out of memory: a subclass, `DeviceMemoryError`.
        """
        sizes = as_shape(shape)
        full = sizes + self.batch_shape
        if u is not None:
            if rng is not None:
                raise ValueError("give rng or u, not both")
            if sizes and shape_of(u, "u") != full:
                raise ValueError(f"u must have shape {full}, that of the result, got {shape_of(u, 'u')}")
            return self._apply("icdf", u, "u", dtype, out, device)
        check_size(full)
        space = self._space_of(device, out=out)
        if space is not None:
            want = None if dtype is None and out is not None else float_dtype(dtype).name
            there = space.output(out, full, want, ("float64", "float32"), tuple(self._elsewhere.values()))
            if is_counted(rng):
                self._fill_in(space, "icdf", (as_seed(rng), 0, 0), there.array)
            else:
                kind = self._uniform_dtype(np.dtype(dtype_name(there.array)))
                given = uniforms(rng, full[0] if full else 1, math.prod(full[1:]), dtype=kind)
                self._fill_in(space, "icdf", space.upload(given.reshape(full)), there.array)
            return there.finish()
        result = output(out, full, None if dtype is None and out is not None else float_dtype(dtype), self.kind)
        if is_counted(rng):
            self._fill_sample(as_seed(rng), 0, 0, result.array)
        else:
            points = full[0] if full else 1
            given = uniforms(rng, points, math.prod(full[1:]), dtype=self._uniform_dtype(result.array.dtype))
            self._fill("icdf", given.reshape(full), result.array)
        return result.finish()

    # --- shared

    def _spread(self, value: Any) -> np.ndarray:
        """`value` broadcast to `batch_shape`, as a new float64 array."""
        return np.array(np.broadcast_to(value, self.batch_shape), np.float64)

    def _full(self, value: Any) -> Any:
        """The same, of the parameters' kind."""
        return self.kind.wrap(self._spread(value))

    def _uniform_dtype(self, dtype: np.dtype) -> np.dtype:
        """The dtype of the uniforms behind samples of `dtype`: float32 only where a native kernel reads it."""
        return np.dtype(np.float64)

    def _space_of(self, device: Any, **arrays: Any) -> Space | None:
        if device is None and not self._elsewhere and not elsewhere(*arrays.values()):
            return None
        return space_of(device, self.kind, **self._elsewhere, **arrays)

    def _apply(self, function: str, x: Any, name: str, dtype: Any, out: Any, device: Any = None) -> Any:
        space = self._space_of(device, **{name: x, "out": out})
        if space is not None:
            given = space.floats(x, name)
            shape = broadcast(name, tuple(given.shape), self.batch_shape)
            wanted = float_dtype(dtype) if dtype is not None else result_dtype(x) if out is None else None
            read = (given, *self._elsewhere.values())
            there = space.output(out, shape, wanted and wanted.name, ("float64", "float32"), read)
            self._fill_in(space, function, given, there.array)
            return there.finish()
        array = as_numpy(x, name)
        if array.dtype != np.float32:
            array = array.astype(np.float32 if array.dtype == np.float16 else np.float64, copy=False)
        shape = broadcast(name, array.shape, self.batch_shape)
        want = float_dtype(dtype) if dtype is not None else result_dtype(x) if out is None else None
        result = output(out, shape, want, common_kind(kind_of(x), self.kind), inputs=(array,))
        bad = self._fill(function, array, result.array)
        if bad >= 0:
            index = tuple(int(i) for i in np.unravel_index(bad, shape))
            value = float(np.broadcast_to(array, shape)[index])
            raise ValueError(f"{name} must be in [0, 1], got {value!r}{at(index)}")
        return result.finish()


def _is_here(array: Any) -> bool:
    return isinstance(array, np.ndarray)


def _on_the_cpu(name: str, compute: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A getter of a family that computes with NumPy."""

    def get(d: Elementwise) -> Any:
        if d._elsewhere:
            where = ", ".join(f"{n} is {described(x)}" for n, x in d._elsewhere.items())
            raise ValueError(f"{type(d).__name__}.{name} is computed on the CPU, and {where}: bring it there")
        # Moments are infinite, or NaN, where they overflow or do not exist; NumPy would warn too.
        with np.errstate(all="ignore"):
            return compute(d)

    return get


class Elementwise(Distribution):
    """A distribution whose functions are native kernels: one of the families of csrc/base/families.h, by class name.

    A subclass lists its `parameters` in the order of the family's and passes them, checked, to this constructor; they
    become its attributes, read-only NumPy arrays of float64, or, on a GPU, the arrays that were given. Instances are
    immutable, can be compared (arrays on a GPU by identity), hashed and pickled.
    """

    parameters: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # A subclass of a family, which has no parameters of its own, stays that family.
        if "parameters" in cls.__dict__:
            cls._family = cls.__name__
        for name in ("mean", "var", "support"):
            found = cls.__dict__.get(name)
            if isinstance(found, property) and found.fget is not None:
                setattr(cls, name, property(_on_the_cpu(name, found.fget), doc=found.__doc__))

    def __init__(self, *given: Parameter) -> None:
        there = {p.name: p.given for p in given if p.checked is None}
        if there:
            space_of(**{name: p.given for name, p in zip(self.parameters, given, strict=True)})
            object.__setattr__(self, "_elsewhere", MappingProxyType(there))
        arrays = tuple(p.given if p.checked is None else p.checked for p in given)
        shape = common_shape(**{name: tuple(a.shape) for name, a in zip(self.parameters, arrays, strict=True)})
        for name, array in zip(self.parameters, arrays, strict=True):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "batch_shape", shape)
        object.__setattr__(self, "kind", common_kind(*(p.kind for p in given)))
        object.__setattr__(self, "_arrays", arrays)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: make another one instead of setting {name}")

    def __repr__(self) -> str:
        def text(array: Any) -> str:
            if not _is_here(array):
                return f"<{described(array)}>"
            return repr(array.item()) if array.ndim == 0 else np.array2string(array, threshold=6, separator=", ")

        inside = ", ".join(f"{n}={text(a)}" for n, a in zip(self.parameters, self._arrays, strict=True))
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = zip(self._arrays, other._arrays, strict=True)
        return all(a is b or (_is_here(a) and _is_here(b) and np.array_equal(a, b)) for a, b in pairs)

    def __hash__(self) -> int:
        return hash((type(self), *((a.shape, (a + 0.0).tobytes()) if _is_here(a) else id(a) for a in self._arrays)))

    def __reduce__(self) -> tuple[Any, ...]:
        if self._elsewhere:  # where arrays on the CPU are numbers and lists
            return type(self), tuple(a.tolist() if _is_here(a) else a for a in self._arrays)
        return type(self), tuple(self.kind.wrap(a.copy()) for a in self._arrays)

    _family: ClassVar[str]
    _arrays: tuple[Any, ...]  # of float64 on the CPU, or those that lie on a GPU

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        out = np.empty(np.broadcast_shapes(x.shape, self.batch_shape))
        self._fill(function, x, out)
        return out

    def _fill(self, function: str, x: np.ndarray, out: np.ndarray) -> int:
        arrays = [repeated(a, out.shape) for a in self._arrays]
        return _core.distributions.evaluate(self._family, function, repeated(x, out.shape), arrays, out)

    def _fill_in(self, space: Space, function: str, x: Any, out: Any) -> None:
        shape = tuple(out.shape)
        borrowed = x if isinstance(x, tuple) else space.borrow(space.repeated(x, shape))
        params = [self._parameter_in(space, name, shape) for name in self.parameters]
        unchecked = bool(self._elsewhere)
        extension().sampling.evaluate(
            space.place, self._family, function, borrowed, params, space.borrow(out), unchecked
        )

    def _parameter_in(self, space: Space, name: str, shape: tuple[int, ...]) -> Any:
        """A parameter as programs take it: a number, or memory there that, repeated, fills `shape`."""
        array = getattr(self, name)
        if name in self._elsewhere:
            there = space.floats(array, name)
        elif array.size == 1:
            return float(array.reshape(()))
        else:
            there = space.uploaded(self, name, lambda: array)
        return space.borrow(space.repeated(there, shape))

    def _uniform_dtype(self, dtype: np.dtype) -> np.dtype:
        return dtype if self._family in FLOAT_KERNELS else np.dtype(np.float64)

    def _fill_sample(self, seed: int, row: int, first_site: int, out: np.ndarray) -> None:
        arrays = [repeated(a, out.shape) for a in self._arrays]
        _core.distributions.sample(self._family, seed, row, first_site, arrays, out)
