"""Arrays that are not in the CPU's memory: PyTorch's and CuPy's CUDA arrays, in and out, without copies.

A `Space` is a device as one library sees it: it makes arrays with that library's allocator, borrows them by DLPack on
that library's current stream, and says where a program of genfast._cuda runs. So results come out on the device and of
the kind that went in, in the order of the caller's stream; nothing here waits for the device. Whoever finds no space
computes on the CPU, by `genfast.arrays`. Neither library is ever imported: an array can only exist once somebody has.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, TypeVar

import numpy as np

from genfast.arrays import NUMPY, PLAIN, TORCH, Kind, as_numpy, check_size, named_dtype
from genfast.devices import EMULATED, extension, resolve
from genfast.errors import DeviceError, DeviceMemoryError

__all__ = [
    "DeviceOutput",
    "Space",
    "described",
    "dtype_name",
    "elsewhere",
    "gpu_of",
    "real_dtype",
    "space_of",
]

DLPACK_CUDA = 2
LIBRARIES = ("torch", "cupy")
IN_ORDER = -1  # for DLPack: work goes to the very stream that the array is made on, so that nothing need be waited for
QUICK = frozenset({type(None), np.ndarray, float, int, list, tuple, np.float64, np.float32})
M = TypeVar("M", bound=Callable[..., Any])


def allocates(method: M) -> M:
    """A method of a `Space` that asks the library for memory; that there is none becomes a DeviceMemoryError."""

    @wraps(method)
    def call(self: Any, *args: Any) -> Any:
        try:
            return method(self, *args)
        except self.exhausted as error:
            raise DeviceMemoryError(f"too little memory on {self.name}; fewer rows need less: {error}") from error

    return call  # type: ignore[return-value]


class Space(ABC):
    """A device and the library whose arrays live there.

    Attributes
    ----------
    name : str
        Of the device: "cuda:0", …, or "cuda-emulated".
    kind : Kind
        Of the arrays that come out.
    key : tuple
        Equal for spaces that can share memory; what caches are keyed by.
    """

    library: ClassVar[str]
    name: str
    kind: Kind

    @property
    def key(self) -> tuple[str, str]:
        return self.library, self.name

    @property
    def exhausted(self) -> Any:
        """What the library raises where it has no memory left."""
        return MemoryError

    @property
    @abstractmethod
    def place(self) -> Any:
        """A Place of genfast._cuda.sampling: the device, and the library's current stream there."""

    @abstractmethod
    def borrow(self, array: Any) -> Any:
        """A Tensor of genfast._cuda.sampling: the array's memory, which it keeps alive."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any: ...

    @abstractmethod
    def upload(self, array: np.ndarray) -> Any:
        """A copy of a NumPy array, ready for every stream. Waits for the device, and is no part of a captured graph."""

    @abstractmethod
    def download(self, array: Any) -> np.ndarray:
        """A copy for NumPy. Waits for the device."""

    @abstractmethod
    def cast(self, array: Any, dtype: str) -> Any: ...

    @abstractmethod
    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        """`array` broadcast to `shape`, contiguous."""

    @abstractmethod
    def arranged(self, array: Any, axes: list[int]) -> Any:
        """`array` with its axes in another order, contiguous."""

    @abstractmethod
    def as_bool(self, array: Any) -> Any:
        """Bytes of 0 and 1 as booleans."""

    def assign(self, out: Any, array: Any) -> None:
        """Copies `array` into `out`, of the same shape, converting it."""
        out[...] = array

    def fill(self, out: Any, number: float) -> None:
        out[...] = number

    def wrap(self, array: Any) -> Any:
        """A result as the caller gets it."""
        return array

    @property
    @abstractmethod
    def capturing(self) -> bool:
        """Whether the current stream records a graph, which reads what it was given for as long as it lives."""

    @abstractmethod
    def keep(self, array: Any) -> None:
        """Tells the allocator that the current stream uses an array that may be freed while it does."""

    @abstractmethod
    def direct(self, out: Any, inputs: tuple[Any, ...]) -> bool:
        """Whether a result may be written to `out` itself: it is contiguous, and apart from what is read meanwhile."""

    # --- shared

    def uploaded(self, owner: Any, name: str, make: Callable[[], np.ndarray]) -> Any:
        """What `make` makes, here: uploaded once, and kept with `owner`."""
        cache: dict[tuple[str, str, str], Any] = owner.__dict__.setdefault("_uploads", {})
        key = (*self.key, name)
        if key not in cache:
            cache[key] = self.upload(make())
        self.keep(cache[key])
        return cache[key]

    def floats(self, x: Any, name: str) -> Any:
        """Numbers there, as float32 or float64: half precision is widened, integers become float64. Arrays and lists on
        the CPU are uploaded, a number is not."""
        if gpu_of(x) is None:
            host = as_numpy(x, name)
            host = host.astype(np.float32 if host.dtype in (np.float16, np.float32) else np.float64, copy=False)
            if host.ndim:
                return self.upload(host)
            number = self.empty((), host.dtype.name)
            self.fill(number, host.item())
            return number
        dtype = real_dtype(x, name)
        return x if dtype_name(x) == dtype else self.cast(x, dtype)

    def holds(self, x: Any) -> bool:
        """Whether `x` is an array there, of what `space_of` was told of."""
        return gpu_of(x) is not None

    def repeated(self, array: Any, shape: tuple[int, ...]) -> Any:
        """Contiguous memory that, repeated, fills `shape`: `array` itself where only leading axes are missing."""
        own = tuple(array.shape)
        while own and own[0] == 1:
            own = own[1:]
        if own == shape[len(shape) - len(own) :]:
            return self.spread(array, tuple(array.shape))
        return self.spread(array, shape)

    def output(
        self, out: Any, shape: tuple[int, ...], dtype: str | None, allowed: Any = None, inputs: tuple[Any, ...] = ()
    ) -> DeviceOutput:
        """A new array for a result, or the caller's `out`. Errors as of `genfast.arrays.output`.

        dtype: of a new array, and of `out` unless None; `allowed`: of `out` where dtype is None. inputs: arrays there
        that are read while the result is written.
        """
        if out is None:
            check_size(shape, dtype or "float64")
            fresh = self.empty(shape, dtype or "float64")
            return DeviceOutput(fresh, lambda: self.wrap(fresh))
        if not hasattr(out, "shape") or not hasattr(out, "dtype"):
            raise TypeError(f"out must be an array on {self.name}, got {type(out).__name__}")
        if not self.holds(out):
            raise ValueError(f"the result is on {self.name} and out elsewhere: pass an array that is there")
        found = dtype_name(out)
        if found not in ((dtype,) if dtype else allowed):
            raise TypeError(f"out must have dtype {dtype or ' or '.join(allowed)}, got {found}")
        if tuple(out.shape) != shape:
            raise ValueError(f"out must have shape {shape}, got {tuple(out.shape)}")
        if getattr(out, "requires_grad", False):
            raise ValueError("out requires a gradient, which genfast does not compute: pass out.detach()")
        if self.direct(out, inputs):
            return DeviceOutput(out, lambda: out)
        strides = out.stride() if self.library == "torch" else out.strides
        if any(size > 1 and stride == 0 for size, stride in zip(shape, strides, strict=True)):
            raise ValueError("out overlaps itself (an expanded or broadcast array); pass a copy of it")
        buffer = self.empty(shape, found)

        def copy() -> Any:
            self.assign(out, buffer)
            return out

        return DeviceOutput(buffer, copy)


@dataclass(frozen=True)
class DeviceOutput:
    """Where a result goes, as `genfast.arrays.Output`: write all of `array`, then return ``finish()``."""

    array: Any
    finish: Callable[[], Any]


class TorchSpace(Space):
    """A GPU as PyTorch sees it."""

    library = "torch"
    kind = TORCH

    def __init__(self, index: int) -> None:
        self.name = resolve(f"cuda:{index}")
        self.index = index
        self.torch = sys.modules["torch"]
        if not torch_has_cuda():
            raise DeviceError(
                f"this PyTorch was built without CUDA and has no arrays on {self.name}: install another one"
            )

    @property
    def exhausted(self) -> Any:
        return self.torch.cuda.OutOfMemoryError

    def stream(self) -> int:
        # CUDA calls the default stream 1 where 0 could be misunderstood.
        return int(self.torch.cuda.current_stream(self.index).cuda_stream) or 1

    @property
    def place(self) -> Any:
        return extension().sampling.Place.on(self.index, self.stream())

    def here(self) -> Any:
        """A context in which the device is PyTorch's current one, as it must be to lend an array."""
        return self.torch.cuda.device(self.index)

    def borrow(self, array: Any) -> Any:
        with self.here():
            return borrowed(array.detach().resolve_neg(), IN_ORDER)

    @allocates
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        return self.torch.empty(shape, dtype=getattr(self.torch, dtype), device=self.name)

    @allocates
    def upload(self, array: np.ndarray) -> Any:
        host = np.array(array, order="C")  # from_numpy wants memory that may be written to
        return self.torch.from_numpy(host).to(self.name)

    def download(self, array: Any) -> np.ndarray:
        return array.cpu().numpy()

    @allocates
    def cast(self, array: Any, dtype: str) -> Any:
        return array.detach().to(getattr(self.torch, dtype))

    @allocates
    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        return array.detach().expand(shape).contiguous()

    @allocates
    def arranged(self, array: Any, axes: list[int]) -> Any:
        return array.permute(axes).contiguous()

    def as_bool(self, array: Any) -> Any:
        return array.view(self.torch.bool)

    def assign(self, out: Any, array: Any) -> None:
        out.copy_(array)

    def fill(self, out: Any, number: float) -> None:
        out.fill_(number)

    @property
    def capturing(self) -> bool:
        with self.here():
            return bool(self.torch.cuda.is_current_stream_capturing())

    def keep(self, array: Any) -> None:
        if not self.capturing:
            array.record_stream(self.torch.cuda.current_stream(self.index))

    def direct(self, out: Any, inputs: tuple[Any, ...]) -> bool:
        memory = out.untyped_storage().data_ptr()
        return out.is_contiguous() and all(x.untyped_storage().data_ptr() != memory for x in inputs)


class CupySpace(Space):
    """A GPU as CuPy sees it."""

    library = "cupy"
    kind = Kind("cupy")

    def __init__(self, index: int) -> None:
        self.name = resolve(f"cuda:{index}")
        self.index = index
        self.cupy = sys.modules["cupy"]

    def stream(self) -> int:
        with self.cupy.cuda.Device(self.index):
            return int(self.cupy.cuda.get_current_stream().ptr) or 1

    @property
    def place(self) -> Any:
        return extension().sampling.Place.on(self.index, self.stream())

    def borrow(self, array: Any) -> Any:
        with self.cupy.cuda.Device(self.index):
            return borrowed(array, IN_ORDER)

    @allocates
    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        with self.cupy.cuda.Device(self.index):
            return self.cupy.empty(shape, dtype)

    @allocates
    def upload(self, array: np.ndarray) -> Any:
        with self.cupy.cuda.Device(self.index):
            result = self.cupy.asarray(array)
            self.cupy.cuda.get_current_stream().synchronize()
            return result

    def download(self, array: Any) -> np.ndarray:
        return self.cupy.asnumpy(array)

    @allocates
    def cast(self, array: Any, dtype: str) -> Any:
        return array.astype(dtype)

    @allocates
    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        return self.cupy.ascontiguousarray(self.cupy.broadcast_to(array, shape)).reshape(shape)

    @allocates
    def arranged(self, array: Any, axes: list[int]) -> Any:
        return self.cupy.ascontiguousarray(self.cupy.transpose(array, axes))

    def as_bool(self, array: Any) -> Any:
        return array.view(self.cupy.bool_)

    @property
    def capturing(self) -> bool:
        with self.cupy.cuda.Device(self.index):
            return bool(self.cupy.cuda.get_current_stream().is_capturing())

    def keep(self, array: Any) -> None:
        # CuPy's allocator knows no other streams than the array's own: it must outlive the work, as CuPy's arrays do.
        pass

    def direct(self, out: Any, inputs: tuple[Any, ...]) -> bool:
        return out.flags.c_contiguous and not any(self.cupy.may_share_memory(out, x) for x in inputs)


class EmulatedSpace(Space):
    """The device programs on the host, over NumPy arrays; results are of the kind that the caller uses."""

    library = "numpy"
    name = EMULATED

    def __init__(self, kind: Kind = NUMPY) -> None:
        resolve(EMULATED)
        self.kind = kind

    @property
    def place(self) -> Any:
        return extension().sampling.Place.emulated()

    def borrow(self, array: Any) -> Any:
        # NumPy lends read-only memory from DLPack 1 on, which NumPy 1 and Python numbers' arrays do not speak.
        return borrowed(array if array.flags.writeable else array.copy(), None)

    def empty(self, shape: tuple[int, ...], dtype: str) -> Any:
        return np.empty(shape, dtype)

    def upload(self, array: np.ndarray) -> Any:
        return np.array(array, order="C")

    def download(self, array: Any) -> np.ndarray:
        return array

    def cast(self, array: Any, dtype: str) -> Any:
        return array.astype(dtype)

    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        return np.ascontiguousarray(np.broadcast_to(array, shape)).reshape(shape)

    def arranged(self, array: Any, axes: list[int]) -> Any:
        return np.ascontiguousarray(np.transpose(array, axes))

    def as_bool(self, array: Any) -> Any:
        return array.view(np.bool_)

    @property
    def capturing(self) -> bool:
        return False

    def keep(self, array: Any) -> None:
        pass

    def direct(self, out: Any, inputs: tuple[Any, ...]) -> bool:
        return False

    def holds(self, x: Any) -> bool:
        return isinstance(x, np.ndarray)

    def assign(self, out: Any, array: Any) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            out[...] = array

    def wrap(self, array: Any) -> Any:
        return self.kind.wrap(array)


def space_of(device: Any = None, kind: Kind = NUMPY, /, **arrays: Any) -> Space | None:
    """The space of the arrays that lie on a GPU, or of a device that the caller names; None where the CPU computes.

    device: what `genfast.devices.resolve` takes, or None. kind: of the arrays to make there, where that is torch or
    cupy; else whichever of the two the process has imported. arrays: by the names that messages call them.

    Raises
    ------
    ValueError
        If arrays lie on two devices (a GPU and the CPU too), genfast was built without CUDA, or one needs a gradient or
        is not dense.
    TypeError
        If they are of two libraries, or of one that genfast cannot write results with, or a result's library is not
        imported.
    DeviceError
        If genfast cannot use the device, saying why.
    """
    found: tuple[str, int] | None = None
    owner = ""
    for name, x in arrays.items():
        where = None if x is None or type(x) in PLAIN else gpu_of(x)
        if where is None:
            continue
        if found is not None and where[1] != found[1]:
            raise ValueError(f"{owner} is on cuda:{found[1]} and {name} on cuda:{where[1]}: bring them to one device")
        if found is not None and where != found:
            raise TypeError(f"{owner} is an array of {found[0]} and {name} of {where[0]}; convert them to one library")
        found, owner = where, name
    if found is None:
        return None if device is None else space_for(device, kind)
    library, index = found
    for name, x in arrays.items():
        if hasattr(x, "shape") and not isinstance(x, np.generic) and gpu_of(x) is None:
            raise ValueError(f"{owner} is on cuda:{index} and {name} on the CPU: bring them to one device")
        if getattr(x, "requires_grad", False) and library == "torch" and sys.modules["torch"].is_grad_enabled():
            raise ValueError(f"{name} requires a gradient, which genfast does not compute: pass {name}.detach()")
        if hasattr(x, "layout") and library == "torch" and x.layout != sys.modules["torch"].strided:
            raise ValueError(f"{name} has layout {x.layout}; pass a dense tensor")
    try:
        extension()
    except DeviceError as error:
        back = f"{owner}.cpu()" if library == "torch" else f"{library}.asnumpy({owner})"
        raise ValueError(f"{owner} is on cuda:{index}; genfast computes on the CPU: pass {back} ({error})") from None
    if device is not None and resolve(device) != f"cuda:{index}":
        raise ValueError(f"{owner} is on cuda:{index}, and device is {device}: bring it there")
    return library_space(library, index)


def space_for(device: Any, kind: Kind) -> Space | None:
    """The space of a named device; None for the CPU."""
    name = resolve(device)
    if name == "cpu":
        return None
    if name == EMULATED:
        return EmulatedSpace(kind)
    library = kind.name if kind.name in LIBRARIES else imported()
    if not library:
        raise TypeError(f"results on {name} are arrays of torch or cupy: import one of them first")
    return library_space(library, int(name.removeprefix("cuda:")))


def imported() -> str:
    """The library of results where no array says it: torch, or CuPy where torch is not imported or has no CUDA."""
    found = [library for library in LIBRARIES if library in sys.modules]
    return next((one for one in found if one != "torch" or torch_has_cuda()), "".join(found[:1]))


def torch_has_cuda() -> bool:
    return bool(sys.modules["torch"].backends.cuda.is_built())


def library_space(library: str, index: int) -> Space:
    if library == "torch":
        return TorchSpace(index)
    if library == "cupy":
        return CupySpace(index)
    raise TypeError(f"genfast writes results on a GPU with torch or cupy, not {library}: pass torch.from_dlpack(x)")


def gpu_of(x: Any) -> tuple[str, int] | None:
    """The library and the device index of an array in a GPU's memory; None for all else."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, getattr(torch, "Tensor", ())):
        device: Any = x.device  # type: ignore[union-attr]
        return ("torch", device.index or 0) if device.type == "cuda" else None
    if isinstance(x, PLAIN) or not hasattr(x, "__dlpack_device__"):
        return None
    kind, index = x.__dlpack_device__()
    return (type(x).__module__.partition(".")[0], int(index)) if int(kind) == DLPACK_CUDA else None


def elsewhere(*arrays: Any) -> bool:
    """Whether one of them lies on a GPU. Asked in every call on the CPU too, hence quickly answered."""
    return any(type(x) not in QUICK and gpu_of(x) is not None for x in arrays)


def borrowed(array: Any, stream: int | None) -> Any:
    """An array's memory by DLPack: version 1 where its library speaks that. stream: DLPack's word for who waits."""
    try:
        capsule = array.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:
        capsule = array.__dlpack__(stream=stream)
    return extension().sampling.Tensor(capsule)


def real_dtype(x: Any, name: str) -> str:
    """The one of float32 and float64 that an array's numbers are computed in. Raises TypeError if they are not real."""
    dtype = dtype_name(x)
    if dtype in ("float16", "bfloat16", "float32"):
        return "float32"
    if dtype == "float64" or dtype.startswith(("int", "uint")):
        return "float64"
    raise TypeError(f"{name} must hold real numbers, got dtype {dtype}")


def described(x: Any) -> str:
    """An array on a GPU in words that need none of its numbers."""
    gpu = gpu_of(x)
    return f"{dtype_name(x)} of shape {tuple(x.shape)}" + (f" on cuda:{gpu[1]}" if gpu else "")


def dtype_name(x: Any) -> str:
    """ "float32", "bfloat16", … of any library's array."""
    found = named_dtype(x.dtype)
    return found.name if found is not None else str(x.dtype).removeprefix("torch.")
