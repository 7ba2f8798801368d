"""A recorded tensor as addresses: where each of its elements lives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

SHIFT = 32
MASK = (1 << SHIFT) - 1


class View:
    """The addresses of a tensor's elements: int64, in the tensor's shape.

    An address > 0 names an element of a graph value, 0 is the constant zero, an address < 0 names an element of the
    pool of other constants. A view of one value may be *affine*: then `meta` is a tensor without data whose strides
    and storage offset are the addresses, layout ops cost nothing, and `addr` is made only when something asks for it.
    """

    meta: torch.Tensor | None = None
    value: int = -1

    def __init__(self, addr: torch.Tensor) -> None:
        self.addr = addr

    @staticmethod
    def affine(value: int, meta: torch.Tensor) -> View:
        """The view of a graph value through the strides of a meta tensor over its elements."""
        view = View.__new__(View)
        view.value, view.meta = value, meta
        return view

    @staticmethod
    def strided(value: int, size: int, shape: Sequence[int], stride: Sequence[int], offset: int) -> View:
        """The view of a graph value of `size` elements through strides."""
        return View.affine(value, torch.empty(size, device="meta").as_strided(shape, stride, offset))

    @cached_property
    def addr(self) -> torch.Tensor:
        meta = self.meta
        assert meta is not None
        out = torch.full([1] * meta.dim(), ((self.value + 1) << SHIFT) + int(meta.storage_offset()), dtype=torch.int64)
        for d, (n, stride) in enumerate(zip(meta.shape, meta.stride(), strict=True)):
            out = out + (torch.arange(n) * stride).reshape([-1 if e == d else 1 for e in range(meta.dim())])
        return out.expand(meta.shape).contiguous()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.addr.shape if self.meta is None else self.meta.shape)

    def flat(self) -> np.ndarray:
        """The addresses in C order."""
        return self.addr.contiguous().numpy().reshape(-1)

    def map(self, layout: Callable[[torch.Tensor], torch.Tensor]) -> View:
        """The view that a layout function of tensors makes of this one."""
        if self.meta is not None:
            out = layout(self.meta)
            if same_storage(out, self.meta):
                return View.affine(self.value, out)
        return View(layout(self.addr))

    def reshape(self, *shape: int) -> View:
        return self.map(lambda t: t.reshape(shape))

    def permute(self, *dims: int) -> View:
        return self.map(lambda t: t.permute(dims))

    def expand(self, *shape: int) -> View:
        return self.map(lambda t: t.expand(shape))


def same_storage(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.untyped_storage()._cdata == b.untyped_storage()._cdata


@dataclass(frozen=True)
class Steps:
    """How an affine view walks through a value.

    Along dim d it moves `positions[d]` positions and `channels[d]` channels, from `position` and `channel` on; the
    channel never runs over the end of a position.
    """

    shape: tuple[int, ...]
    positions: tuple[int, ...]
    channels: tuple[int, ...]
    position: int
    channel: int

    @staticmethod
    def of(meta: torch.Tensor, width: int) -> Steps | None:
        """The steps of a view of a value of `width` channels; None if channels wrap around."""
        position, channel = divmod(int(meta.storage_offset()), width)
        steps = [divmod(s, width) if n > 1 else (0, 0) for n, s in zip(meta.shape, meta.stride(), strict=True)]
        shape = tuple(meta.shape)
        if 0 in shape or channel + sum((n - 1) * c for n, (_, c) in zip(shape, steps, strict=True)) >= width:
            return None
        return Steps(shape, tuple(p for p, _ in steps), tuple(c for _, c in steps), position, channel)

    def table(self, dims: Sequence[int]) -> np.ndarray:
        """The positions along some dims, in C order."""
        out = np.full(1, self.position, np.int64)
        for d in dims:
            out = (out[:, None] + np.arange(self.shape[d]) * self.positions[d]).reshape(-1)
        return out.astype(np.int32)

    def run(self, dims: Sequence[int]) -> int:
        """How many channels in a row the elements along `dims`, in C order, are; 0 if they are not."""
        count = 1
        for d in reversed(dims):
            if self.positions[d] or (self.shape[d] > 1 and self.channels[d] != count):
                return 0
            count *= self.shape[d]
        return count


@dataclass(frozen=True)
class Rectangle:
    """A layout: `rows`, in C order, are the dims that number positions, `columns` those that number channels."""

    rows: list[int]
    columns: list[int]
    shape: tuple[int, ...]

    @staticmethod
    def of(steps: Steps) -> Rectangle | None:
        """The layout in which each element of a view has a place of its own, as in its value; None if there is none."""
        rows: list[int] = []
        columns: list[int] = []
        for d, n in enumerate(steps.shape):
            if n == 1:
                continue
            if (steps.positions[d] > 0) == (steps.channels[d] > 0):
                return None  # repeated, or diagonal
            (rows if steps.positions[d] else columns).append(d)
        rows.sort(key=lambda d: -steps.positions[d])
        columns.sort(key=lambda d: -steps.channels[d])
        reach = 0
        for d in reversed(rows):
            if steps.positions[d] <= reach:
                return None
            reach += (steps.shape[d] - 1) * steps.positions[d]
        return Rectangle(rows, columns, steps.shape) if steps.run(columns) else None

    @property
    def positions(self) -> int:
        return math.prod(self.shape[d] for d in self.rows)

    @property
    def channels(self) -> int:
        return math.prod(self.shape[d] for d in self.columns)

    def view(self, value: int) -> View:
        """The view, in the tensor's shape, of a value laid out so."""
        stride, step = [0] * len(self.shape), 1
        for d in reversed([*self.rows, *self.columns]):
            stride[d] = step
            step *= self.shape[d]
        return View.strided(value, step, self.shape, stride, 0)

    def arrange(self, t: torch.Tensor) -> np.ndarray:
        """A constant of the tensor's shape as (positions, channels); one row where all are the same."""
        rows = [d for d in self.rows if t.stride(d)]
        if not rows:
            t = t[tuple(slice(0, 1) if d in self.rows else slice(None) for d in range(t.dim()))]
        rest = [d for d in range(t.dim()) if d not in self.rows and d not in self.columns]
        t = t.permute(*rest, *self.rows, *self.columns)
        return t.reshape(-1, self.channels).numpy()
