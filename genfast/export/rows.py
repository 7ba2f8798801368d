"""Reductions and norms: row nodes where the reduced elements are channels of a position, trees of maps elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from .contract import Contract
from .graph import DIRECT
from .pointwise import Pointwise, varies
from .view import Rectangle, View
from .views import Views

GROUPS_APART = 64


class Rows:
    """Emits row nodes."""

    def __init__(self, views: Views, pointwise: Pointwise) -> None:
        self.views = views
        self.graph = views.graph
        self.pointwise = pointwise

    def _split(self, view: View, dims: Sequence[int]) -> tuple[list[int], list[int]]:
        """The dims along which only positions change, and the others."""
        steps = self.views.steps(view)
        if steps is not None:
            spatial = [d for d in dims if steps.positions[d] and not steps.channels[d]]
            return spatial, [d for d in dims if d not in spatial]
        array = view.addr.numpy()
        kinds = {d: varies(array, d, self.views) for d in dims}
        spatial = [d for d in dims if kinds[d][0] and not kinds[d][1]]
        return spatial, [d for d in dims if d not in spatial]

    def _row(self, op: str, view: View, params: Sequence[float] = (), weight: int = -1, bias: int = -1) -> View:
        """A row op over a matrix: rows that start at different channels become nodes of their own."""
        columns = 1 if op in ("sum", "mean", "max") else view.shape[1]

        def node(m: np.ndarray | View) -> int:
            value, table, channel = self.views.block(m)
            return self.graph.node(
                "row",
                m.shape[0],
                columns,
                op=op,
                **{"in": [value, table, channel, m.shape[1]]},
                params=[float(p) for p in params],
                weight=weight,
                bias=bias,
            )

        if self.views.place(view) is not None:
            return self.views.whole(node(view))
        m = view.addr.contiguous().numpy()
        out = np.empty((len(m), columns), np.int64)
        for rows in self._parts(m):
            out[rows] = self.views.of_value(node(m[rows]))
        return View(torch.from_numpy(out))

    def _parts(self, m: np.ndarray) -> list:
        runs = list(self.views.runs(m))
        if len(runs) == 1 and not runs[0].simple and runs[0].constant is None and len(runs[0].groups) <= GROUPS_APART:
            return [np.flatnonzero(table >= 0) for _, _, table in runs[0].groups]
        return [slice(None)]

    def _matrix(self, view: View, dims: Sequence[int]) -> tuple[View, list[int]]:
        rest = [d for d in range(len(view.shape)) if d not in dims]
        size = int(np.prod([view.shape[d] for d in dims], dtype=np.int64))
        return view.permute(*rest, *dims).reshape(-1, size), rest

    def reduce(self, op: str, view: View, dims: Sequence[int], keep: bool) -> View:
        """`sum` or `max` over some dims."""
        dims = [d % len(view.shape) for d in dims]
        spatial, others = self._split(view, [d for d in dims if view.shape[d] > 1])
        fold = "add" if op == "sum" else "maximum"
        if view.meta is not None:  # while channels lie side by side, a position is added to another in one go
            for d in spatial:
                view = self.halves(fold, view, d)
            spatial = []
        kept = [1 if d in others else n for d, n in enumerate(view.shape)]
        if others:
            heads = self._sum_of_heads(view, others) if op == "sum" else None
            view = self._sum_or_max(op, view, others).reshape(*kept) if heads is None else heads
        for d in spatial:
            view = View(self.tree(fold, view.addr, d).contiguous())
        return view if keep else view.reshape(*(n for d, n in enumerate(kept) if d not in dims))

    def _sum_or_max(self, op: str, view: View, dims: Sequence[int]) -> View:
        m, _ = self._matrix(view, dims)
        if self.views.place(m) is None:  # neither op minds the order, and sorted addresses join into runs
            m = View(m.addr[:, torch.argsort(m.addr[0], stable=True)].contiguous())
        return self._row(op, m)

    def _sum_of_heads(self, view: View, dims: Sequence[int]) -> View | None:
        """Sums of the runs of channels of each head, dims kept: a product with 0s and 1s; None where it is no such."""
        steps = self.views.steps(view)
        layout = None if steps is None else Rectangle.of(steps)
        if layout is None or any(d in layout.rows for d in dims) or not set(layout.columns) - set(dims):
            return None
        sizes = [view.shape[d] for d in layout.columns]
        index = np.indices(sizes).reshape(len(sizes), -1)
        heads = [1 if d in dims else n for d, n in zip(layout.columns, sizes, strict=True)]
        target = np.ravel_multi_index([i * (n > 1) for i, n in zip(index, heads, strict=True)], heads)
        weight = np.zeros((layout.channels, int(np.prod(heads))), np.float32)
        weight[np.arange(layout.channels), target] = 1
        rest = [d for d in range(len(view.shape)) if d not in layout.rows and d not in layout.columns]
        m = view.permute(*rest, *layout.rows, *layout.columns).reshape(layout.positions, layout.channels)
        if self.views.place(m) is None:
            return None
        out = Contract(self.views).gemm(m, [None], weight[None], None)
        columns = [d for d in layout.columns if d not in dims]
        shape = tuple(1 if d in dims else n for d, n in enumerate(view.shape))
        return Rectangle(layout.rows, columns, shape).view(out.value)

    def _of_heads(self, view: View, dims: Sequence[int]) -> bool:
        """Whether several runs of channels of one value lie along the other dims."""
        steps = self.views.steps(view)
        if steps is None or Rectangle.of(steps) is None:
            return False
        return any(steps.channels[d] for d in range(len(view.shape)) if d not in dims)

    def halves(self, op: str, view: View, dim: int) -> View:
        """The fold of an associative map op along a dim, left with size 1, of a view that stays affine: half is joined
        with half as long as there are two, what is left over last."""

        def part(whole: View, first: int, count: int) -> View:
            return whole.map(lambda t: t.narrow(dim, first, count))

        rest = []
        while view.shape[dim] > 1:
            half = view.shape[dim] // 2
            if view.shape[dim] % 2:
                rest.append(part(view, 2 * half, 1))
            view = self.pointwise.emit(op, part(view, 0, half), part(view, half, half))
        for left in reversed(rest):
            view = self.pointwise.emit(op, view, left)
        return view

    def tree(self, op: str, addr: torch.Tensor, dim: int) -> torch.Tensor:
        """Addresses of an associative map op folded along a dim, which is left with size 1."""
        while addr.shape[dim] > 1:
            half = addr.shape[dim] // 2
            pair = [View(addr.narrow(dim, i * half, half).contiguous()) for i in range(2)]
            joined = self.pointwise.emit(op, *pair).addr
            odd = addr.narrow(dim, 2 * half, addr.shape[dim] - 2 * half)
            addr = torch.cat([joined, odd], dim)
        return addr

    def mean(self, view: View, dims: Sequence[int], keep: bool) -> View:
        count = int(np.prod([view.shape[d] for d in dims], dtype=np.int64))
        return self.pointwise.emit("mul", self.reduce("sum", view, dims, keep), 1.0 / count)

    def moments(self, view: View, dims: Sequence[int], correction: float = 0.0) -> tuple[View, View, View]:
        """Mean, variance (dims kept) and the deviations from the mean."""
        emit = self.pointwise.emit
        count = int(np.prod([view.shape[d] for d in dims], dtype=np.int64))
        mean = self.mean(view, dims, True)
        deviation = emit("sub", view, mean)
        total = self.reduce("sum", emit("square", deviation), dims, True)
        return mean, emit("mul", total, 1.0 / max(count - correction, 1e-30)), deviation

    def normalise(self, view: View, dims: Sequence[int], eps: float) -> View:
        """(x - mean) / sqrt(variance + eps), over dims of any kind."""
        _, variance, deviation = self.moments(view, dims)
        emit = self.pointwise.emit
        return emit("mul", deviation, emit("rsqrt", emit("add", variance, eps)))

    def softmax(self, view: View, dim: int, log: bool) -> View:
        dim %= len(view.shape)
        emit = self.pointwise.emit
        spatial, _ = self._split(view, [dim])
        if not spatial:
            return self._over_channels(view, [dim], lambda m: self._row("log_softmax" if log else "softmax", m))
        shifted = emit("sub", view, self.reduce("max", view, [dim], True))
        total = self.reduce("sum", emit("exp", shifted), [dim], True)
        return emit("sub", shifted, emit("log", total)) if log else emit("div", emit("exp", shifted), total)

    def masked_softmax(self, view: View, dim: int, hidden: torch.Tensor) -> View:
        """A softmax that reads only what is not hidden; a row that is hidden whole is a softmax of its constants."""
        emit = self.pointwise.emit
        dim %= len(view.shape)
        hidden = hidden & ~hidden.all(dim, keepdim=True)
        seen = View(torch.where(hidden, view.addr.gather(dim, hidden.byte().argmin(dim, keepdim=True)), view.addr))
        powers = emit("exp", emit("sub", seen, self.reduce("max", seen, [dim], True)))
        powers = View(torch.where(hidden, 0, powers.addr))
        weights = emit("div", powers, self.reduce("sum", powers, [dim], True))
        return View(torch.where(hidden, 0, weights.addr))

    def layer_norm(
        self,
        view: View,
        dims: Sequence[int],
        weight: np.ndarray | None,
        bias: np.ndarray | None,
        eps: float,
        rms: bool = False,
    ) -> View:
        """Layer or rms norm over trailing dims; one row node where they are channels."""
        emit = self.pointwise.emit
        spatial, _ = self._split(view, dims)
        if not spatial and not self._of_heads(view, dims):
            w = DIRECT if weight is None else self.graph.weight(weight)
            b = DIRECT if bias is None else self.graph.weight(bias)
            op = "rms_norm" if rms else "layer_norm"
            return self._over_channels(view, dims, lambda m: self._row(op, m, [eps], w, b))
        if rms:
            power = self.mean(emit("square", view), dims, True)
            out = emit("mul", view, emit("rsqrt", emit("add", power, eps)))
        else:
            out = self.normalise(view, dims, eps)
        shape = [view.shape[d] for d in dims]
        if weight is not None:
            out = emit("mul", out, torch.from_numpy(weight.reshape(shape)))
        return out if bias is None else emit("add", out, torch.from_numpy(bias.reshape(shape)))

    def _over_channels(self, view: View, dims: Sequence[int], row: Callable[[View], View]) -> View:
        m, rest = self._matrix(view, dims)
        order = [*rest, *dims]
        return row(m).reshape(*(view.shape[d] for d in order)).permute(*np.argsort(order).tolist())
