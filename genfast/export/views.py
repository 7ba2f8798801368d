"""Tensors as addresses: where each element of a recorded tensor lives.

Layout ops run on a `View`'s addresses as they would on data; consumers then factor a matrix of addresses
(positions × channels) into runs of channels that share a position table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import UnsupportedOpError
from .graph import DIRECT, Graph, identity
from .view import MASK, SHIFT, Steps, View

MAX_BLOCKS = 1 << 15
MAX_ENTRIES = 1 << 25


@dataclass
class Run:
    """Channels `start … start + count - 1` of a matrix of addresses.

    Each group (value, first channel, table) serves the rows where its table is not -1; the other rows are constants.
    """

    start: int
    count: int
    groups: list[tuple[int, int, np.ndarray]]
    constant: np.ndarray | None  # which rows are constants, None for none

    @property
    def simple(self) -> bool:
        return len(self.groups) == 1 and self.constant is None


class Views:
    """Makes views and turns them into what nodes read. Holds the pool of constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.chunks: list[np.ndarray] = [np.zeros(1, np.float32)]
        self.pooled = 1
        self._widths = np.ones(1, np.int64)

    # -- making views

    def of_value(self, value: int) -> np.ndarray:
        """The addresses of a whole value, (positions, channels)."""
        positions, channels = self.graph.values[value]
        base = (value + 1) << SHIFT
        return np.arange(base, base + positions * channels, dtype=np.int64).reshape(positions, channels)

    def whole(self, value: int) -> View:
        """The view (positions, channels) of a whole value."""
        return View.affine(value, torch.empty(self.graph.values[value], device="meta"))

    def steps(self, view: View) -> Steps | None:
        """How a view walks through its value; None if it is not affine."""
        return None if view.meta is None else Steps.of(view.meta, self.graph.values[view.value][1])

    def constant(self, x: Any) -> View:
        """A view of a constant tensor or number."""
        array = np.asarray(torch.as_tensor(x).detach().to(torch.float32))
        if not array.size:
            return View(torch.zeros(array.shape, dtype=torch.int64))
        zero = array == 0
        if zero.all():
            return View(torch.zeros(array.shape, dtype=torch.int64))
        if (array == array.flat[0]).all():
            return View(torch.full(array.shape, -self._pool(array.reshape(-1)[:1]), dtype=torch.int64))
        addr = -(self._pool(array.reshape(-1)) + np.arange(array.size)).reshape(array.shape)
        return View(torch.from_numpy(np.where(zero, 0, addr)))

    def _pool(self, values: np.ndarray) -> int:
        self.chunks.append(values.astype(np.float32))
        self.pooled += len(values)
        return self.pooled - len(values)

    def constants(self, addr: np.ndarray) -> np.ndarray:
        """The float32 values behind constant addresses."""
        if len(self.chunks) > 1:
            self.chunks = [np.concatenate(self.chunks)]
        return self.chunks[0][-addr]

    def widths(self, top: np.ndarray) -> np.ndarray:
        """The channels of the value that an address's upper half names."""
        if len(self._widths) <= len(self.graph.values):
            self._widths = np.array([1] + [c for _, c in self.graph.values], np.int64)
        return self._widths[np.maximum(top, 0)]

    # -- factoring matrices of addresses

    def runs(self, m: np.ndarray) -> Iterator[Run]:
        """The runs of a (positions, channels) matrix, left to right."""
        starts = [0]
        if m.shape[1] > 1:
            left, right = m[:, :-1], m[:, 1:]
            width = self.widths(left >> SHIFT)
            joined = (right - left == 1) & (left > 0)
            if (width > 1).all() and len(np.unique(width[0])) == 1 and (width == width[0, 0]).all():
                joined &= (left & MASK) % int(width[0, 0]) != int(width[0, 0]) - 1
            else:
                joined &= (left & MASK) % width != width - 1
            joined |= (left <= 0) & (right <= 0)
            starts += (np.flatnonzero(~joined.all(0)) + 1).tolist()
        if len(starts) > MAX_BLOCKS or len(starts) * m.shape[0] > MAX_ENTRIES:
            raise UnsupportedOpError(
                f"{self.graph.where()} mixes positions and channels too irregularly to compile "
                f"({len(starts)} runs of channels at {m.shape[0]} positions)"
            )
        for start, end in zip(starts, [*starts[1:], m.shape[1]], strict=True):
            yield self._run(m[:, start], start, end - start)

    def _run(self, column: np.ndarray, start: int, count: int) -> Run:
        top = column >> SHIFT
        width = self.widths(top)
        flat = column & MASK
        position, channel = flat // width, flat % width
        constant = column <= 0
        some = bool(constant.any())
        keys = np.where(constant, -1, (top << SHIFT) | channel)
        groups = []
        for key in np.unique(keys) if some or (keys != keys[0]).any() else keys[:1]:
            if key >= 0:
                table = np.where(keys == key, position, -1).astype(np.int32)
                groups.append((int(key >> SHIFT) - 1, int(key & MASK), table))
        return Run(start, count, groups, constant if some else None)

    def operand(self, m: np.ndarray) -> list[int]:
        """What a map reads for addresses: `[value, table, c0, broadcast]`, of a copy where they do not factor."""
        if not (m > 0).any():
            return self.constant_operand(self.constants(m))
        wide = m.shape[1] > 1 and not (m[:, 1:] != m[:, :1]).any()
        if wide:
            m = m[:, :1]
        value, table, channel = self.block(m)
        return [value, table, channel, int(wide)]

    def constant_operand(self, data: np.ndarray) -> list[int]:
        wide = data.shape[1] > 1 and not (data[:, 1:] != data[:, :1]).any()
        if wide:
            data = data[:, :1]
        if not (data != data[:1]).any():
            data = data[:1]
        return [self.graph.const(data), DIRECT, 0, int(wide)]

    def cost(self, m: np.ndarray) -> int:
        """Roughly how many table entries `operand` has to copy; 0 where the matrix can be read in place."""
        if not (m > 0).any() or (m.shape[1] > 1 and not (m[:, 1:] != m[:, :1]).any()):
            return 0
        if len(m) > 1 and (m == m[:1]).all():
            m = m[:1]
        try:
            runs = list(self.runs(m))
        except UnsupportedOpError:
            return MAX_ENTRIES
        return 0 if len(runs) == 1 and runs[0].simple else sum(len(r.groups) for r in runs) * m.shape[0]

    def place(self, view: View) -> tuple[int, np.ndarray, int] | None:
        """(value, table, first channel) of an affine matrix that is rows of channels of a value, else None."""
        steps = self.steps(view)
        if steps is None or steps.channels[0] or not steps.run([1]):
            return None
        return view.value, steps.table([0]), steps.channel

    def block(self, m: np.ndarray | View) -> tuple[int, int, int]:
        """One (value, table, first channel) that holds a whole matrix, copied together where there is none."""
        if isinstance(m, View):
            placed = self.place(m)
            if placed is not None:
                value, table, channel = placed
                return value, self.graph.table(table, value), channel
            m = np.ascontiguousarray(m.addr.numpy())
        runs = list(self.runs(m))
        if len(runs) == 1 and runs[0].simple:
            value, channel, table = runs[0].groups[0]
            return value, self.graph.table(table, value), channel
        if len(m) > 1 and (m == m[:1]).all():  # the same at every position, so one is enough
            m, runs = m[:1], list(self.runs(m[:1]))
        return self.copy(m, runs), DIRECT, 0

    def copy(self, m: np.ndarray, runs: list[Run] | None = None) -> int:
        """A value that gathers a matrix of addresses."""
        runs = list(self.runs(m)) if runs is None else runs
        parts = [m[r.constant, r.start : r.start + r.count] for r in runs if r.constant is not None]
        distinct = np.unique(self.constants(np.concatenate([p.reshape(-1) for p in parts]))) if parts else np.zeros(1)
        fill = float(distinct[0]) if len(distinct) == 1 else 0.0
        blocks = []
        for run in runs:
            for value, channel, table in run.groups:
                blocks.append([value, self.graph.table(table, value), channel, run.count, run.start])
            if run.constant is not None and len(distinct) > 1:
                data = self.constants(m[run.constant, run.start : run.start + run.count])
                table = np.full(len(m), -1, np.int32)
                table[run.constant] = identity(len(data)) if (data != data[:1]).any() else 0
                value = self.graph.const(data if table.max() > 0 else data[:1])
                blocks.append([value, self.graph.table(table, value), 0, run.count, run.start])
        if not np.isfinite(fill):
            raise ValueError(f"a constant used in {self.graph.where()} is not finite")
        return self.graph.node("copy", *m.shape, blocks=blocks, fill=fill)
