"""Categorical draws on a device: what `Categorical` does where its logits, its uniforms or its caller are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from genfast.device_arrays import Space
from genfast.devices import extension

__all__ = ["DeviceRows", "OnlyDraws"]


@dataclass(frozen=True)
class DeviceRows:
    """Rows of logits or weights in a space, ready to be drawn from.

    data: (rows, categories), contiguous, there. temperature and the filters: as `Categorical` has checked them, on the
    CPU; uploaded with `owner`.
    """

    space: Space
    data: Any
    weights: bool
    owner: Any
    temperature: np.ndarray | None
    filters: tuple[np.ndarray, ...] | None

    def draw(self, draws: int, u: Any, levels: Any, masked: bool) -> Any:
        """Draws of every row into int64 `levels` (draws, rows), there. u: (rows, draws) there, or a seed.

        A row without a distribution gives -1; if masked, 0, and the rows that have one are returned, as bytes.
        """
        space, rows = self.space, int(self.data.shape[0])
        good = space.empty((rows,), "uint8") if masked else None
        if not (rows and draws):
            return self.draw(1, 0, space.empty((1, rows), "int64"), True) if masked and rows else good
        sampling, data = extension().sampling, space.borrow(self.data)
        filtered = self.filters is not None
        top_k, top_p, min_p = self.filters or (np.ones(1, np.int64), np.ones(1), np.zeros(1))
        room = sampling.row_workspace(space.place, data, filtered)
        sampling.sample_rows(
            space.place,
            data,
            self.weights,
            1.0 if self.temperature is None else self.of_row("temperature", self.temperature),
            filtered,
            self.of_row("top_k", top_k),
            self.of_row("top_p", top_p),
            self.of_row("min_p", min_p),
            u if isinstance(u, int) else space.borrow(u),
            space.borrow(levels),
            0 if masked else -1,
            None if good is None else space.borrow(good),
            space.borrow(self.aligned(room)) if room else None,
        )
        return good

    def of_row(self, name: str, array: np.ndarray) -> Any:
        """One number, or the memory of one a row."""
        if array.size == 1:
            return array.reshape(()).item()
        return self.space.borrow(self.space.uploaded(self.owner, name, lambda: array))

    def aligned(self, size: int) -> Any:
        """Working memory. Allocators of GPUs align to 256 bytes and more, NumPy's to 16."""
        return self.space.empty((size,), "uint8")


@dataclass(frozen=True)
class OnlyDraws:
    """In the place of the CPU's rows where the logits are on a device: says what is not computed there."""

    name: str
    device: str

    def __getattr__(self, wanted: str) -> Any:
        if wanted.startswith("__"):
            raise AttributeError(wanted)
        raise ValueError(
            f"{self.name} are on {self.device}, where genfast computes sample and icdf alone: for all else make the "
            f"distribution of {self.name} on the CPU"
        )
