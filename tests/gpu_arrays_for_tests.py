"""Stand-ins for libraries whose arrays lie on a GPU, for machines without one: their memory is the host's, and the
programs run interpreted. Whoever asks one of their arrays for its elements, as only those may who wait, is counted."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from genfast import device_arrays, device_calls
from genfast.distributions import categorical

STREAM = 77
MODULES = (device_arrays, device_calls, categorical)


class Waits:
    """How often somebody waited for the device."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: Any) -> None:
        self.count += 1


class Current:
    """A context in which a library's current device is that of `wanted`."""

    index = -1

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted

    def __enter__(self) -> None:
        self.before, Current.index = Current.index, self.wanted

    def __exit__(self, *error: Any) -> None:
        Current.index = self.before


class CupyArray:
    """A NumPy array that says it is on a GPU. Tells nothing of its elements but by `Fake.asnumpy`."""

    def __init__(self, array: Any, index: int = 0) -> None:
        self.array, self.index = np.asarray(array), index
        self.shape, self.dtype, self.flags = self.array.shape, self.array.dtype, self.array.flags
        self.strides = self.array.strides

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.index

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None) -> Any:
        assert stream == -1, "the array is made on the stream that reads it: nothing is to be waited for"
        assert Current.index == self.index, "a library lends arrays of its current device alone"
        if max_version is not None:
            raise TypeError("an older CuPy")
        return self.array.__dlpack__()

    def __setitem__(self, key: Any, value: Any) -> None:
        assert isinstance(value, CupyArray | int | float), "CuPy takes no NumPy arrays"
        with np.errstate(over="ignore", invalid="ignore"):
            self.array[key] = value.array if isinstance(value, CupyArray) else value

    def astype(self, dtype: Any) -> CupyArray:
        with np.errstate(over="ignore", invalid="ignore"):
            return self.like(self.array.astype(dtype))

    @property
    def T(self) -> CupyArray:
        return self.like(self.array.T)

    def like(self, array: Any) -> CupyArray:
        return type(self)(array, self.index)

    # NumPy would take such an array apart.
    __array_ufunc__ = None
    __array_priority__ = 1000


def passed_on(name: str) -> Callable[..., CupyArray]:
    """A method of NumPy's arrays whose arguments may be stand-ins, and whose result is one."""

    def call(self: CupyArray, *arguments: Any) -> CupyArray:
        plain = [x.array if isinstance(x, CupyArray) else x for x in arguments]
        with np.errstate(all="ignore"):
            return self.like(getattr(self.array, name)(*plain))

    return call


for method in ("reshape", "view", "clip", "__getitem__", "__neg__", "__add__", "__sub__", "__mul__", "__invert__"):
    setattr(CupyArray, method, passed_on(method))
for method in ("__truediv__", "__and__", "__ge__", "__le__"):
    setattr(CupyArray, method, passed_on(method))
CupyArray.__module__ = "cupy._core.core"


def fake_cupy(cuda: Any, monkeypatch: pytest.MonkeyPatch, waits: Callable[[], None], index: int = 0) -> Any:
    """A module that stands for CuPy, with what genfast uses of it, and one device of that index."""

    class Device(Current):
        def __init__(self, wanted: int) -> None:
            assert wanted == index
            super().__init__(wanted)

    def waited(result: Any) -> Any:
        waits()
        return result

    fake: Any = types.ModuleType("cupy")
    stream = types.SimpleNamespace(ptr=STREAM, synchronize=waits, is_capturing=lambda: fake.recording)
    fake.recording = False
    fake.cuda = types.SimpleNamespace(Device=Device, get_current_stream=lambda: stream)
    fake.empty = lambda shape, dtype: CupyArray(garbage(shape, dtype), index)
    fake.asarray = lambda array: CupyArray(np.array(array), index)
    fake.asnumpy = lambda x: waited(x.array)
    fake.broadcast_to = lambda x, shape: CupyArray(np.array(np.broadcast_to(x.array, shape)), index)
    fake.ascontiguousarray = lambda x: CupyArray(np.ascontiguousarray(x.array), index)
    fake.transpose = lambda x, axes: CupyArray(np.transpose(x.array, axes), index)
    fake.may_share_memory = lambda a, b: np.may_share_memory(a.array, b.array)
    fake.bool_, fake.from_dlpack = np.bool_, lambda x: x
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(device_arrays, "resolve", resolve)
    place = property(lambda self: cuda.sampling.Place.emulated("shuffled"))
    monkeypatch.setattr(device_arrays.CupySpace, "place", place)
    return fake


def fake_torch_gpu(torch: Any, cuda: Any, monkeypatch: pytest.MonkeyPatch, waits: Callable[[], None]) -> Any:
    """A function that makes of a CPU tensor's memory what genfast takes for a GPU's, cuda:0 unless said otherwise."""
    where: dict[int, tuple[Any, int]] = {}
    real = device_arrays.gpu_of

    def gpu_of(x: Any) -> tuple[str, int] | None:
        memory = x.untyped_storage().data_ptr() if isinstance(x, torch.Tensor) else -1
        return ("torch", where[memory][1]) if memory in where else real(x)

    def put(x: Any, index: int = 0) -> Any:
        where[x.untyped_storage().data_ptr()] = (x, index)  # kept alive, so that the memory is nobody else's
        return x

    class Space(device_arrays.TorchSpace):
        def __init__(self, index: int) -> None:
            self.name, self.index, self.torch = "cpu", index, torch

        recording = False

        def here(self) -> Current:
            return Current(self.index)

        @property
        def capturing(self) -> bool:
            return self.recording

        @property
        def place(self) -> Any:
            return cuda.sampling.Place.emulated("falling")

        def keep(self, array: Any) -> None:
            pass

        def empty(self, shape: Any, dtype: str) -> Any:
            fresh = super().empty(shape, dtype)
            fresh.untyped_storage().fill_(1 if dtype == "bool" else 0xFF)
            return put(fresh, self.index)

        def upload(self, *arguments: Any) -> Any:
            waits()
            return put(super().upload(*arguments), self.index)

        def download(self, *arguments: Any) -> Any:
            waits()
            return super().download(*arguments)

        def cast(self, *arguments: Any) -> Any:
            return put(super().cast(*arguments), self.index)

        def spread(self, *arguments: Any) -> Any:
            return put(super().spread(*arguments), self.index)

        def arranged(self, *arguments: Any) -> Any:
            return put(super().arranged(*arguments), self.index)

    for module in MODULES:
        monkeypatch.setattr(module, "gpu_of", gpu_of)
    monkeypatch.setattr(device_arrays, "TorchSpace", Space)
    monkeypatch.setattr(device_arrays, "resolve", resolve)
    return put


def resolve(device: Any) -> str:
    return "cuda:0" if device == "cuda" else device


def garbage(shape: Any, dtype: Any) -> np.ndarray:
    """What an allocator gives: bytes that are no number of anybody's."""
    array = np.empty(shape, dtype)
    array.reshape(-1).view(np.uint8)[:] = 0xFF if np.dtype(dtype) != np.bool_ else 1
    return array
