"""Arrays in and out: NumPy, Python numbers, PyTorch tensors and anything with DLPack, without copies on the CPU.

What comes in decides what goes out: ``kind_of(*inputs)`` remembers it and ``output`` makes, or checks, the array a
result is written to. PyTorch is never imported: a tensor can only exist once somebody else has imported it.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

__all__ = [
    "NUMPY",
    "Kind",
    "Output",
    "as_numpy",
    "as_shape",
    "at",
    "bfloat16_bits",
    "borrow",
    "check_elements",
    "check_size",
    "check_uniforms",
    "first_index",
    "float_dtype",
    "kind_of",
    "named_dtype",
    "output",
    "result_dtype",
]

DLPACK_CPU = 1
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
# What is of NumPy's kind without a further look.
PLAIN = (np.ndarray, np.generic, int, float, list, tuple)


@dataclass(frozen=True)
class Kind:
    """Which library an array belongs to.

    Attributes
    ----------
    name : str
        "numpy", "torch", or the module whose ``from_dlpack`` makes such arrays.
    """

    name: str

    def wrap(self, array: np.ndarray) -> Any:
        """`array` as an array of this kind, sharing its memory; a 0-d NumPy array becomes a scalar, as ufuncs do it."""
        if self.name == "numpy":
            return array[()]
        if self.name == "torch":
            return sys.modules["torch"].from_numpy(array)
        return _from_dlpack(self.name)(array)


NUMPY, TORCH = Kind("numpy"), Kind("torch")


def kind_of(*inputs: Any) -> Kind:
    """The kind of a result computed from `inputs`: that of the arrays among them, NumPy when there is no other.

    Raises
    ------
    TypeError
        If two libraries beside NumPy meet.
    """
    found = NUMPY
    for x in inputs:
        kind = _kind(x)
        if kind is NUMPY or kind == found:
            continue
        if found != NUMPY:
            raise TypeError(f"arguments are arrays of {found.name} and of {kind.name}; convert them to one library")
        found = kind
    return found


def as_numpy(x: Any, name: str, dtype: DTypeLike | None = None, *, contiguous: bool = False) -> np.ndarray:
    """Real numbers as a NumPy array on the CPU, sharing memory with `x` where nothing has to be converted.

    Parameters
    ----------
    x : array_like, torch.Tensor, or object with DLPack
        Integers or floats; any shape and strides, read-only too. bfloat16 is widened to float32.
    name : str
        What error messages call it.
    dtype : dtype, optional
        Convert to it. An integer dtype takes integers that fit, never floats. Default: that of `x`.
    contiguous : bool
        Also make it C-contiguous and aligned.

    Returns
    -------
    numpy.ndarray
        Native byte order. Not to be written to.

    Raises
    ------
    TypeError
        If the elements are no real numbers (bool, complex, strings, objects), or `x` is a masked array.
    ValueError
        If `x` is ragged, on another device, or needs a gradient (detach it).
    """
    array = borrow(x, name)
    if array.dtype.kind not in "iuf":
        bits = bfloat16_bits(x)
        if bits is None:
            raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
        array = (bits.astype(np.uint32) << 16).view(np.float32)
    if dtype is None:
        want = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
    else:
        want = np.dtype(dtype)
    if want.kind in "iu" and array.dtype.kind == "f":
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if want.kind in "iu" and array.dtype != want and array.size and not np.can_cast(array.dtype, want):
        limits, low, high = np.iinfo(want), int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise ValueError(f"{name} holds {low if low < limits.min else high}, which does not fit {want}")
    if array.dtype != want:
        # A longdouble beyond the range becomes an infinity; a signalling NaN a quiet one.
        with np.errstate(over="ignore", invalid="ignore"):
            array = array.astype(want)
    if contiguous and not (array.flags.c_contiguous and array.flags.aligned):
        array = np.require(array, requirements=("C", "A"))
    return array


def bfloat16_bits(x: Any) -> np.ndarray | None:
    """The uint16 bit patterns of a bfloat16 array, a view of its memory; None when `x` holds anything else."""
    if isinstance(x, np.ndarray | np.generic):
        # The package ml_dtypes; NumPy knows no such kind itself.
        return np.asarray(x).view(np.uint16) if x.dtype.kind == "V" and x.dtype.name == "bfloat16" else None
    if _kind(x) is not TORCH:
        return None
    torch = sys.modules["torch"]
    return _torch_numpy(x, "x", view=torch.int16).view(np.uint16) if x.dtype == torch.bfloat16 else None


def named_dtype(dtype: Any) -> np.dtype | None:
    """The NumPy dtype of a NumPy dtype, its name, or a torch dtype; None for anything else, bfloat16 too."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(dtype, getattr(torch, "dtype", ())):
        dtype = str(dtype).removeprefix("torch.")
    try:
        return np.dtype(dtype)
    except TypeError:
        return None


def float_dtype(dtype: DTypeLike | Any, name: str = "dtype") -> np.dtype:
    """float64 or float32 from a NumPy dtype, its name, a torch dtype, or None (float64).

    Raises
    ------
    TypeError
        If it is any other dtype, or none.
    """
    if dtype is None or dtype is np.float64 or dtype is F64:
        return F64
    found = named_dtype(dtype)
    if found is not None and found in (F32, F64):  # a dtype equals None where None means float64
        return found
    raise TypeError(f"{name} must be float64 or float32, got {dtype!r}")


def result_dtype(*inputs: Any) -> np.dtype:
    """The dtype of a result computed from `inputs`: float32 when they hold floats and none is wider, else float64.

    Python numbers and integers do not count, float16 and bfloat16 count as float32.
    """
    widest = 0
    for x in inputs:
        dtype = getattr(x, "dtype", None)
        # NumPy's dtypes have a kind, torch's say it in a word; bfloat16 has kind V in NumPy.
        if dtype is not None and (getattr(dtype, "is_floating_point", False) or "float" in _dtype_name(dtype)):
            widest = max(widest, dtype.itemsize)
    return F32 if 0 < widest <= 4 else F64


def as_shape(shape: Any, name: str = "shape") -> tuple[int, ...]:
    """A shape from an int or a sequence of ints; torch.Size too.

    Raises
    ------
    TypeError, ValueError
        If it is no integer or sequence of integers, one of them is negative, or there are more than 64.
    """
    sizes: Iterable[Any] = shape if isinstance(shape, Iterable) and not isinstance(shape, str | bytes) else (shape,)
    try:
        result = tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(f"{name} must be an integer or a tuple of integers, got {shape!r}") from None
    if min(result, default=0) < 0:
        raise ValueError(f"{name} must not be negative, got {result}")
    if len(result) > 64:
        raise ValueError(f"{name} must have at most 64 axes, got {len(result)}")
    return result


def check_size(shape: tuple[int, ...], dtype: DTypeLike = np.float64, name: str = "shape") -> int:
    """The number of elements of an array, before it is made.

    Raises
    ------
    ValueError
        If its bytes pass 2**60, which no machine holds. (What only this machine cannot hold is NumPy's MemoryError.)
    """
    count = math.prod(shape)
    # An empty array may still have an axis that NumPy's own arithmetic overflows on.
    nonzero = count or math.prod(size for size in shape if size)
    if nonzero * np.dtype(dtype).itemsize > 1 << 60:
        raise ValueError(f"{name} {shape} of {np.dtype(dtype)} is too large for an array")
    return count


def check_uniforms(u: np.ndarray, name: str = "u") -> np.ndarray:
    """`u` itself, once every element is known to lie in [0, 1].

    Raises
    ------
    ValueError
        If one does not, naming the first and its index.
    """
    # min and max hand on a NaN, and allocate nothing.
    if u.size and not (u.min() >= 0 and u.max() <= 1):
        index = first_index(~((u >= 0) & (u <= 1)))
        raise ValueError(f"{name} must lie in [0, 1], got {u[index]}{at(index)}")
    return u


def first_index(found: np.ndarray) -> tuple[int, ...]:
    """The index of the first True, in row-major order."""
    return tuple(int(i) for i in np.unravel_index(np.argmax(found), found.shape))


def at(index: tuple[int, ...]) -> str:
    """ " at index (2, 0)", or nothing for the index of a scalar."""
    return f" at index {index if len(index) > 1 else index[0]}" if index else ""


def check_elements(array: np.ndarray, good: Any, name: str, rule: str) -> None:
    """ValueError "`name` must be `rule`, got … at index …" for the first element that is not `good`."""
    good = np.asarray(good)
    if not good.all():
        index = first_index(~good)
        raise ValueError(f"{name} must be {rule}, got {array[index].item()!r}{at(index)}")


@dataclass(frozen=True)
class Output:
    """Where a result goes. Write all of `array`, then return ``finish()``.

    Attributes
    ----------
    array : numpy.ndarray
        C-contiguous, aligned, writable, and apart from every input it was declared with.
    """

    array: np.ndarray
    _finish: Callable[[], Any]

    def finish(self) -> Any:
        """The result as the caller wants it: `out` itself where one was given, else `array` as its kind."""
        return self._finish()


def output(
    out: Any,
    shape: tuple[int, ...],
    dtype: DTypeLike | None = None,
    kind: Kind = NUMPY,
    *,
    inputs: Iterable[np.ndarray] = (),
    name: str = "out",
) -> Output:
    """A new array for a result, or the caller's `out`.

    Parameters
    ----------
    out : None, numpy.ndarray, torch.Tensor, or object with writable DLPack
        Of the result's very shape and dtype; any strides. Results that cannot be written there directly are copied.
    shape : tuple of int
    dtype : dtype, optional
        Default: that of `out` if it is float64 or float32, else float64.
    kind : Kind
        Of a new array.
    inputs : iterable of numpy.ndarray
        What the result is computed from: where `out` overlaps one of them it is written to last.
    name : str
        What error messages call it.

    Raises
    ------
    TypeError
        If `out` is no array, or its dtype is another.
    ValueError
        If its shape is another, it is read-only, overlaps itself, is on another device or needs a gradient; or if a new
        array would be too large.
    MemoryError
        If a new array does not fit memory.
    """
    if out is None:
        check_size(shape, dtype or np.float64)
        fresh = np.empty(shape, dtype)
        return Output(fresh, lambda: kind.wrap(fresh))
    if not isinstance(out, np.ndarray) and _kind(out) is NUMPY:
        raise TypeError(f"{name} must be a NumPy array or a tensor, got {type(out).__name__}")
    if bfloat16_bits(out) is not None:
        raise TypeError(f"{name} must have dtype {np.dtype(dtype or np.float64)}, got bfloat16")
    target = borrow(out, name)
    want = float_dtype(target.dtype, f"{name}.dtype") if dtype is None else np.dtype(dtype)
    if target.dtype != want or not target.dtype.isnative:
        raise TypeError(f"{name} must have dtype {want}, got {target.dtype}")
    if target.shape != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {target.shape}")
    if not target.flags.writeable:
        raise ValueError(f"{name} is read-only")
    if target.flags.carray and not any(np.may_share_memory(target, x) for x in inputs):
        return Output(target, lambda: out)
    if any(size > 1 and stride == 0 for size, stride in zip(target.shape, target.strides, strict=True)):
        raise ValueError(f"{name} overlaps itself (an expanded or broadcast array); pass a copy of it")
    buffer = np.empty(shape, want)

    def copy() -> Any:
        target[...] = buffer
        return out

    return Output(buffer, copy)


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, np.dtype) and dtype.kind != "V":
        return "float" if dtype.kind == "f" else ""
    return str(dtype)


def _kind(x: Any) -> Kind:
    if isinstance(x, PLAIN):
        return NUMPY
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, getattr(torch, "Tensor", ())):
        return TORCH
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__"):
        namespace = getattr(x, "__array_namespace__", None)
        module = namespace().__name__ if namespace else type(x).__module__.split(".")[0]
        return Kind(module) if _from_dlpack(module) else NUMPY
    return NUMPY


def _from_dlpack(module: str) -> Any:
    return getattr(sys.modules.get(module), "from_dlpack", None)


def borrow(x: Any, name: str) -> np.ndarray:
    """`x` as a NumPy array of whatever dtype, sharing memory where it has any to share. Raises TypeError, ValueError
    where it has no such form: masked, ragged, on another device, or in need of a gradient."""
    # numpy.ma is imported on demand, so without it there is no masked array.
    if isinstance(x, getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())):
        raise TypeError(f"{name} is a masked array; fill or compress it first")
    if isinstance(x, np.ndarray):
        return np.asarray(x)
    if _kind(x) is TORCH:
        return _torch_numpy(x, name)
    if hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__") and not isinstance(x, np.generic):
        if int(x.__dlpack_device__()[0]) != DLPACK_CPU:
            raise ValueError(f"{name} is not in the CPU's memory; genfast computes there: copy it first")
        try:
            return np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError) as error:
            raise TypeError(f"{name}: NumPy cannot read this {type(x).__name__}: {error}") from None
    try:
        return np.asarray(x)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:  # RuntimeError: tensors in a list
        raise ValueError(f"{name} cannot be made an array: {error}") from None


def _torch_numpy(x: Any, name: str, view: Any = None) -> np.ndarray:
    torch = sys.modules["torch"]
    if view is None and not x.requires_grad and x.dtype != torch.bfloat16:
        try:
            return x.numpy()
        except (RuntimeError, TypeError):  # said better below
            pass
    if x.device.type != "cpu":
        raise ValueError(f"{name} is on {x.device}; genfast computes on the CPU: pass {name}.cpu()")
    if x.requires_grad and torch.is_grad_enabled():
        raise ValueError(f"{name} requires a gradient, which genfast does not compute: pass {name}.detach()")
    if x.layout != torch.strided:
        raise ValueError(f"{name} has layout {x.layout}; pass a dense tensor")
    plain = x.detach()
    if view is None and x.dtype == torch.bfloat16:
        return plain.float().numpy()
    try:
        return (plain if view is None else plain.view(view)).resolve_conj().resolve_neg().numpy()
    except (RuntimeError, TypeError) as error:
        raise TypeError(f"{name}: this tensor has no NumPy form: {error}") from None
