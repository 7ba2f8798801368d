"""Stream: uniforms that are a pure function of (seed, row, site)."""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from genfast import _core
from genfast.arrays import check_size, float_dtype, output
from genfast.device_arrays import elsewhere, space_of
from genfast.devices import extension

__all__ = ["Stream", "as_index"]

# Past 2**56 Philox blocks the layout of csrc/numerics/uniforms.h would repeat itself.
SITES = 1 << 57


class Stream:
    """The uniforms u(seed, row, site) of Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*,
    SC 2011), strictly inside (0, 1).

    A stream has no state: the same rows and sites are the same numbers, every time, on any machine. Rows that must not
    share numbers take different ``first_row``. Immutable, hashable, safe to use from several threads.

    Parameters
    ----------
    seed : int, optional
        In [0, 2**64). None takes a fresh one from the operating system.

    Raises
    ------
    TypeError, ValueError
        If the seed is no integer or out of range.
    """

    __slots__ = ("_seed",)
    _seed: int

    def __init__(self, seed: int | None = None) -> None:
        object.__setattr__(
            self, "_seed", int.from_bytes(os.urandom(8), "little") if seed is None else as_index(seed, "seed", 1 << 64)
        )

    @property
    def seed(self) -> int:
        """The seed, an int in [0, 2**64)."""
        return self._seed

    def uniforms(
        self,
        rows: int,
        sites: int,
        *,
        first_row: int = 0,
        first_site: int = 0,
        dtype: DTypeLike | None = None,
        out: Any = None,
        device: Any = None,
    ) -> Any:
        """The numbers u(seed, first_row + i, first_site + j).

        In float64 they are (k + ½)·2⁻⁵² and in float32 (k + ½)·2⁻²³, from different blocks of the generator: the one is
        not the other rounded.

        Parameters
        ----------
        rows, sites : int
            Shape of the result.
        first_row, first_site : int
            Coordinates of its first element; rows stay below 2**64 and sites below 2**57.
        dtype : float64 or float32
            Default: that of `out`, else float64.
        out : array or tensor of shape (rows, sites), optional
            Where to write.
        device : str or torch.device, optional
            Where to make them: the CPU by default, or where `out` is. On "cuda" and its like the result is a torch
            tensor or CuPy array, and nothing waits for it (docs/cuda.md).

        Returns
        -------
        numpy.ndarray of shape (rows, sites), or `out`

        Raises
        ------
        TypeError, ValueError
            For wrong arguments, naming them.
        MemoryError
            If the result does not fit memory.
        DeviceError
            If the device cannot be used, saying why.
        """
        rows, sites = as_index(rows, "rows", 1 << 63), as_index(sites, "sites", 1 << 63)
        first_row, first_site = as_index(first_row, "first_row", 1 << 64), as_index(first_site, "first_site", SITES)
        if first_row + rows > 1 << 64:
            raise ValueError(f"first_row + rows must be at most 2**64, got {first_row} + {rows}")
        if first_site + sites > SITES:
            raise ValueError(f"first_site + sites must be at most 2**57, got {first_site} + {sites}")
        kind = float_dtype(dtype) if dtype is not None or out is None else None
        check_size((rows, sites), kind or np.dtype(np.float64))
        space = space_of(device, out=out) if device is not None or elsewhere(out) else None
        if space is not None:
            there = space.output(out, (rows, sites), kind and kind.name, ("float64", "float32"))
            to, sampling = space.borrow(there.array), extension().sampling
            sampling.fill_uniforms(space.place, to, self._seed, first_row, first_site, rows, sites)
            return there.finish()
        result = output(out, (rows, sites), kind)
        if result.array.size:
            _core.fill_uniforms(result.array, self._seed, first_row, first_site)
        return result.finish()

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a Stream is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a Stream is immutable")

    def __repr__(self) -> str:
        return f"genfast.Stream({self._seed})"

    def __eq__(self, other: object) -> bool:
        return self._seed == other._seed if isinstance(other, Stream) else NotImplemented

    def __hash__(self) -> int:
        return hash((Stream, self._seed))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._seed,)


def as_index(value: Any, name: str, limit: int) -> int:
    """`value` as an int in [0, limit). Raises TypeError or ValueError naming the argument `name`."""
    try:
        index = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if value is True or value is False:
        raise TypeError(f"{name} must be an integer, got bool")
    if not 0 <= index < limit:
        bound = f"2**{limit.bit_length() - 1}" if limit & (limit - 1) == 0 else str(limit)
        raise ValueError(f"{name} must be an integer in [0, {bound}), got {index}")
    return index
