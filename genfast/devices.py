"""Where genfast computes: the one place that knows what `device=` accepts, and that imports genfast._cuda.

Nothing here is needed on the CPU, and nothing of it runs before a device is asked for.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from genfast._core import backend_registry, cpu_target, interface, num_threads
from genfast.errors import DeviceError

__all__ = ["EMULATED", "Device", "devices", "extension", "for_models", "resolve", "why_unavailable"]

# The device programs interpreted on the host, for tests and debugging; never listed.
EMULATED = "cuda-emulated"
PRECISIONS = ("f32", "fast")
BUILD = f"GENFAST_CUDA=1 pip install . builds it where nvcc is, GENFAST_CUDA=host only {EMULATED!r} (docs/cuda.md)"


@dataclass(frozen=True)
class Device:
    """A device that `device=` takes.

    name: "cpu", "cuda:0", "cuda:1", …
    description: what it is, for people.
    memory: bytes in all.
    capability: compute capability of a GPU, such as (9, 0); None for the CPU.
    """

    name: str
    description: str
    memory: int
    capability: tuple[int, int] | None = None


def devices() -> list[Device]:
    """The devices that can be used here: the CPU first, then GPUs where genfast is built for CUDA and finds any.

    `genfast devices` on the command line also says why there is no GPU.

    >>> gf.devices()[0].name
    'cpu'
    """
    return [cpu(), *(described(found) for found in usable())] if built() else [cpu()]


def resolve(device: Any) -> str:
    """The full name of a device: "cpu", "cuda:0", … or "cuda-emulated".

    device: such a name, "cuda" for "cuda:0", or a torch.device. Raises DeviceError saying why a device cannot be had,
    ValueError for an unknown name, TypeError for what is no name.
    """
    name = device if isinstance(device, str) else named(device)
    if name == "cpu":
        return name
    known = re.fullmatch(r"cuda(?::(0|[1-9]\d*))?", name)
    if not known and name != EMULATED:
        raise ValueError(f"there is no device {name!r}: the devices here are {listed()}")
    try:
        return f"cuda:{gpu(int(known[1] or 0)).index}" if known else extension() and EMULATED
    except DeviceError as error:
        raise DeviceError(f"device {name!r} cannot be had: {error}") from None


def for_models(device: Any, precision: str = "f32") -> str:
    """The name that the core knows a device by, once models can run there with that precision.

    Raises as `resolve`, and ValueError for an unknown precision or one that the device does not have.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}")
    name = resolve(device)
    if name == "cpu":
        if precision != "f32":
            raise ValueError(f"precision={precision!r} is for GPUs; the CPU computes in f32")
        return name
    known = name if precision == "f32" else f"{name} {precision}"
    make_known(known, name, precision)
    return known


@cache
def make_known(known: str, name: str, precision: str) -> None:
    """Adds a device of the extension to the core's registry, once, under the name `known`."""
    if name == EMULATED:
        extension().register_emulated(backend_registry(), known, precision)
    else:
        extension().register_gpu(backend_registry(), known, int(name.partition(":")[2]), precision)


def gpu(index: int) -> Any:
    """The GPU of that index. Raises DeviceError saying why it cannot be used."""
    why = why_unavailable()
    if why:
        raise DeviceError(why)
    gpus = survey().devices
    if index >= len(gpus):
        raise DeviceError(f"the devices here are {listed()}")
    if too_old(gpus[index]):
        raise DeviceError(too_old(gpus[index]))
    return gpus[index]


def why_unavailable() -> str:
    """Why no GPU can be used; empty when one can. Raises DeviceError when genfast is built without CUDA."""
    cuda = extension()
    if not cuda.oldest_capability:
        return f"genfast was built without nvcc, for {EMULATED!r} alone; {BUILD}"
    found = survey()
    if found.devices:
        return "" if usable() else too_old(found.devices[0])
    if not found.driver:
        return "no NVIDIA driver is installed (libcuda.so.1 was not found)"
    if found.error == "cudaErrorInsufficientDriver":
        return (
            f"the NVIDIA driver is too old: it supports CUDA {version(found.driver)}, and this build needs "
            f"{version(found.runtime)}; update the driver, or build genfast with an older nvcc"
        )
    if found.error in ("", "cudaErrorNoDevice"):
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return "the NVIDIA driver sees no device" + (
            f" (CUDA_VISIBLE_DEVICES={hidden!r})" if hidden is not None else ""
        )
    return f"{found.error} ({found.meaning})"


@cache
def extension() -> Any:
    """The module genfast._cuda. Raises DeviceError when it was not built, or not together with the core."""
    try:
        cuda = import_module("genfast._cuda")
    except ModuleNotFoundError:
        raise DeviceError(f"genfast was built without CUDA; {BUILD}") from None
    except ImportError as error:
        raise DeviceError(f"genfast._cuda cannot be imported: {error}") from error
    if cuda.interface != interface:
        raise DeviceError("genfast._cuda and genfast._core were built from different sources: build both again")
    return cuda


def built() -> bool:
    """Whether genfast._cuda is there at all; one that is there and broken is an error elsewhere."""
    try:
        extension()
    except DeviceError:
        return False
    return True


def cpu() -> Device:
    """The CPU, with the instruction set that the kernels use."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        memory = 0
    threads = num_threads()
    return Device("cpu", f"{model}, {cpu_target()}, {threads} thread{'s' if threads > 1 else ''}", memory)


@cache
def survey() -> Any:
    """What the driver tells, asked once: it takes a while, and devices do not come and go."""
    return extension().survey()


def usable() -> list[Any]:
    """The GPUs that kernels of this build can run on."""
    return [found for found in survey().devices if not too_old(found)] if extension().oldest_capability else []


def too_old(found: Any) -> str:
    """Why kernels of this build cannot run on a GPU; empty when they can."""
    oldest = extension().oldest_capability
    if found.capability >= oldest:
        return ""
    has, needs = (f"{major}.{minor}" for major, minor in (found.capability, oldest))
    return f"cuda:{found.index} ({found.name}) of compute capability {has} is too old: this build needs {needs}"


def described(found: Any) -> Device:
    major, minor = found.capability
    text = f"{found.name}, compute capability {major}.{minor}, {found.processors} multiprocessors"
    return Device(f"cuda:{found.index}", text, found.memory, found.capability)


def named(device: Any) -> str:
    """The name of a torch.device, which has a type and an index or None."""
    kind, index = getattr(device, "type", None), getattr(device, "index", None)
    if not isinstance(kind, str):
        raise TypeError(f"a device is a name such as 'cpu' or 'cuda:0', or a torch.device, not {device!r}")
    return kind if index is None or kind == "cpu" else f"{kind}:{index}"


def listed() -> str:
    return ", ".join(repr(device.name) for device in devices())


def version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
