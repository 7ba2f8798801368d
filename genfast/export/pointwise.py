"""Pointwise ops on views: which positions × channels they are computed over, and the map nodes for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..reference import MAP_OPS
from .contract import Contract
from .graph import DIRECT
from .view import MASK, SHIFT, Rectangle, Steps, View
from .views import Views

Operand = Any  # View, constant tensor or number


class Pointwise:
    """Emits map nodes.

    With one operand that is not a single number, the op moves through the layout: it is computed once per element of
    the values behind the view, whatever padding, unfolding or flattening lies between. Otherwise the op takes over the
    layout of an operand that is a rectangle of one value, or failing that makes positions of the axes along which
    positions change.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self.graph = views.graph

    def emit(self, op: str, *operands: Operand, params: Sequence[float] = ()) -> View:
        """The view of `op(operands…)`, broadcast as PyTorch broadcasts; ops are those of docs/format.md."""
        params = [float(p) for p in params]
        affine = self._affine(op, operands, params)
        if affine is not None:
            return affine
        views = [x if isinstance(x, View) else self.views.constant(x) for x in operands]
        shape = torch.broadcast_shapes(*(v.shape for v in views))
        numbers = [self._number(v) for v in views]
        rest = [i for i, n in enumerate(numbers) if n is None]
        if not rest or all(not bool((views[i].addr > 0).any()) for i in rest):
            arrays = [self.views.constants(v.addr.expand(shape).numpy()) for v in views]
            return self.views.constant(torch.from_numpy(np.asarray(MAP_OPS[op](*arrays, *params), np.float32)))
        if len(rest) == 1:
            view = self._through(op, views[rest[0]], numbers, params)
            return View(view.addr.expand(shape))
        return self._joined(op, [v.addr.expand(shape).contiguous() for v in views], params, shape)

    def _number(self, view: View) -> float | None:
        addr = view.addr
        if addr.numel() == 0 or bool((addr > 0).any()):
            return None
        values = self.views.constants(np.unique(addr.numpy()))
        return float(values[0]) if (values == values[0]).all() else None

    # -- affine operands: the same, by strides

    def _affine(self, op: str, operands: Sequence[Operand], params: list[float]) -> View | None:
        """The result where no addresses are needed to find it."""
        views = [x for x in operands if isinstance(x, View)]
        if not views or any(v.meta is None for v in views):
            return None
        constants = [None if isinstance(x, View) else torch.as_tensor(x).detach().float() for x in operands]
        numbers = [None if t is None or not _uniform(t) else float(t.reshape(-1)[0]) for t in constants]
        shape = torch.broadcast_shapes(*(v.shape for v in views), *(t.shape for t in constants if t is not None))
        if len(views) == 1 and sum(n is None for n in numbers) == 1:
            through = self._affine_through(op, views[0], numbers, params)
            return None if through is None else through.expand(*shape)
        expanded = [v.expand(*shape) for v in views]
        steps = [self.views.steps(v) for v in expanded]
        for layout in [Rectangle.of(s) for s in steps if s is not None]:
            if layout is None:
                continue
            reads = [None if s is None else self._read(v, s, layout) for v, s in zip(expanded, steps, strict=True)]
            if None in reads:
                continue
            rest = iter(reads)
            args = []
            for t, number in zip(constants, numbers, strict=True):
                if t is None:
                    args.append(next(rest))
                elif number is None:
                    args.append(self.views.constant_operand(layout.arrange(t.expand(shape))))
                else:
                    args.append(self._number_operand(number, layout.channels))
            out = self.graph.node("map", layout.positions, layout.channels, op=op, args=args, params=params)
            return layout.view(out)
        return None

    def _number_operand(self, number: float, channels: int) -> list[int]:
        return self.views.constant_operand(np.full((1, channels), number, np.float32))

    def _read(self, view: View, steps: Steps, layout: Rectangle) -> list[int] | None:
        """How a map laid out so reads an affine view: its channels one by one, or one for all; None for neither."""
        if any(steps.channels[d] for d in layout.rows):
            return None
        wide = len(layout.columns) > 0 and not any(steps.channels[d] or steps.positions[d] for d in layout.columns)
        if not wide and steps.run(layout.columns) != layout.channels:
            spread = self._spread(view, steps, layout)
            return None if spread is None else [spread, DIRECT, 0, 0]
        table = self.graph.table(steps.table(layout.rows), view.value)
        return [view.value, table, steps.channel, int(wide)]

    def _spread(self, view: View, steps: Steps, layout: Rectangle) -> int | None:
        """A value that repeats channels as a view does (one number a head): a product with 0s and 1s."""
        kept = [d for d in layout.columns if steps.channels[d]]
        if not kept or not steps.run(kept) or any(steps.positions[d] for d in layout.columns):
            return None
        sizes = [layout.shape[d] for d in layout.columns]
        index = np.indices(sizes).reshape(len(sizes), -1)
        source = np.array([steps.channels[d] for d in layout.columns]) @ index
        weight = np.zeros((steps.run(kept), layout.channels), np.float32)
        weight[source, np.arange(layout.channels)] = 1
        dropped = [d for d in range(len(layout.shape)) if d not in layout.rows and d not in kept]
        # What is the same at all positions is needed once.
        once = dropped if any(steps.positions[d] for d in layout.rows) else [*dropped, *layout.rows]
        first = view.map(lambda t: t[tuple(slice(0, 1) if d in once else slice(None) for d in range(t.dim()))])
        m = first.permute(*dropped, *layout.rows, *kept).reshape(-1, len(weight))
        if self.views.place(m) is None:
            return None
        return Contract(self.views).gemm(m, [None], weight[None], None).value

    def _affine_through(self, op: str, view: View, numbers: list[float | None], params: list[float]) -> View | None:
        steps = self.views.steps(view)
        if steps is None or any(p and c for p, c in zip(steps.positions, steps.channels, strict=True)):
            return None
        total = self.graph.values[view.value][0]
        table = np.unique(steps.table([d for d in range(len(view.shape)) if steps.positions[d]]))
        width = 1 + sum((n - 1) * c for n, c in zip(steps.shape, steps.channels, strict=True))
        position, jumps = steps.position, steps.positions
        if len(table) * 2 >= total:
            table = np.arange(total, dtype=np.int32)
        elif len(table) > 1:  # positions are numbered anew, which keeps strides only where they lie evenly
            step = int(table[1] - table[0])
            if (np.diff(table) != step).any():
                return None
            position, jumps = 0, tuple(p // step for p in jumps)
        else:
            position = 0
        args = [
            [view.value, self.graph.table(table, view.value), steps.channel, 0]
            if n is None
            else self._number_operand(n, width)
            for n in numbers
        ]
        out = self.graph.node("map", len(table), width, op=op, args=args, params=params)
        strides = [p * width + c for p, c in zip(jumps, steps.channels, strict=True)]
        return View.strided(out, len(table) * width, view.shape, strides, position * width)

    # -- one operand

    def _through(self, op: str, view: View, numbers: list[float | None], params: list[float]) -> View:
        addr = view.flat()
        top = addr >> SHIFT
        out = np.zeros_like(addr)
        same = bool((top == top[0]).all())
        keys = top[:1] if same else np.unique(top)
        for key in keys.tolist():
            chosen: Any = slice(None) if same else top == key
            if key > 0:
                out[chosen] = self._through_value(op, key - 1, addr[chosen] & MASK, numbers, params)
        constant = addr <= 0
        if constant.any():
            arrays = [self.views.constants(addr[constant]) if n is None else np.float32(n) for n in numbers]
            result = np.asarray(MAP_OPS[op](*arrays, *params), np.float32)
            out[constant] = self.views.constant(torch.from_numpy(result)).flat()
        return View(torch.from_numpy(out.reshape(view.shape)))

    def _through_value(
        self, op: str, value: int, flat: np.ndarray, numbers: list[float | None], params: list[float]
    ) -> np.ndarray:
        positions, channels = self.graph.values[value]
        hit = np.zeros(positions * channels, bool)
        hit[flat] = True
        used = hit.reshape(positions, channels)
        rows, columns = used.any(axis=1), np.flatnonzero(used.any(axis=0))
        if rows.sum() * 2 >= positions:
            rows = np.ones(positions, bool)
        first, count = int(columns[0]), int(columns[-1] - columns[0] + 1)
        table = None if rows.all() else np.flatnonzero(rows).astype(np.int32)
        args = [
            [value, self.graph.table(table, value), first, 0]
            if n is None
            else self.views.constant_operand(np.full((1, count), n, np.float32))
            for n in numbers
        ]
        out = self.graph.node("map", int(rows.sum()), count, op=op, args=args, params=params)
        place = np.cumsum(rows) - 1
        return ((out + 1) << SHIFT) | (place[flat // channels] * count + flat % channels - first)

    # -- several operands

    def _joined(self, op: str, addrs: list[torch.Tensor], params: list[float], shape: Sequence[int]) -> View:
        flats = [a.numpy().reshape(-1) for a in addrs]
        best: tuple[int, Any] | None = None
        for layout in self._layouts(flats, shape):
            cost = sum(self.views.cost(place(f, layout)) for f in flats)
            if best is None or cost < best[0]:
                best = cost, layout
            if cost == 0:
                break
        assert best is not None
        layout = best[1]
        slot, positions, channels = layout
        args = [self.views.operand(place(f, layout)) for f in flats]
        out = self.graph.node("map", positions, channels, op=op, args=args, params=params)
        return View(torch.from_numpy(((out + 1) << SHIFT) | slot).reshape(tuple(shape)))

    def _layouts(self, flats: list[np.ndarray], shape: Sequence[int]) -> Any:
        for flat in flats:
            layout = rectangle(flat, self.views)
            if layout is not None:
                yield layout
        yield by_axes([f.reshape(tuple(shape)) for f in flats], self.views)


def _uniform(t: torch.Tensor) -> bool:
    return t.numel() > 0 and bool((t == t.reshape(-1)[0]).all())


Layout = tuple[np.ndarray, int, int]  # the slot (position · channels + channel) of each element, positions, channels


def place(flat: np.ndarray, layout: Layout) -> np.ndarray:
    """The matrix (positions, channels) of addresses under a layout."""
    slot, positions, channels = layout
    m = np.empty(positions * channels, np.int64)
    m[slot] = flat
    return m.reshape(positions, channels)


def rectangle(flat: np.ndarray, views: Views) -> Layout | None:
    """The layout of elements that are, one for one, positions × a range of channels of one value; else None."""
    if not len(flat) or flat[0] <= 0:
        return None
    top = flat >> SHIFT
    if (top != top[0]).any():
        return None
    positions, channels = views.graph.values[int(top[0]) - 1]
    position, channel = np.divmod(flat & MASK, channels)
    first, count = int(channel.min()), int(channel.max() - channel.min() + 1)
    rows = np.zeros(positions, bool)
    rows[position] = True
    total = int(rows.sum())
    if total * count != len(flat):
        return None
    slot = (np.cumsum(rows) - 1)[position] * count + channel - first
    hit = np.zeros(len(flat), bool)
    hit[slot] = True
    return (slot, total, count) if hit.all() else None


def varies(array: np.ndarray, axis: int, views: Views) -> tuple[bool, bool]:
    """Whether positions, and whether channels or values, change along an axis of an array of addresses."""
    if array.shape[axis] < 2:
        return False, False
    a = np.take(array, range(array.shape[axis] - 1), axis)
    b = np.take(array, range(1, array.shape[axis]), axis)
    ta, tb = a >> SHIFT, b >> SHIFT
    same = (ta == tb) & (ta > 0) & (b > 0)
    width = views.widths(ta)
    moved = bool((same & ((a & MASK) // width != (b & MASK) // width)).any())
    other = bool(((a != b) & ~(same & ((a & MASK) % width == (b & MASK) % width))).any())
    return moved, other


def by_axes(arrays: Sequence[np.ndarray], views: Views) -> Layout:
    """Positions from the axes along which some operand's position changes, channels from the others."""
    shape = arrays[0].shape
    spatial = [d for d in range(len(shape)) if any(varies(a, d, views)[0] for a in arrays)]
    rest = [d for d in range(len(shape)) if d not in spatial]
    order = spatial + rest
    positions = int(np.prod([shape[d] for d in spatial], dtype=np.int64))
    size = int(np.prod(shape, dtype=np.int64))
    slot = (
        np.arange(size).reshape([shape[d] for d in order]).transpose(np.argsort(order)) if order else np.zeros(1, int)
    )
    return np.ascontiguousarray(slot).reshape(-1), positions, size // max(positions, 1)
