"""Cumulative sums and recurrent layers: nodes that read their own past through delayed reads (docs/format.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .contract import float32, pack
from .graph import DIRECT
from .lower import Lowering, handles
from .ops import NotHere
from .pointwise import by_axes, place, varies
from .record import Op
from .view import View


class State:
    """A value of a loop, read before the nodes that compute it are written.

    `before` is the position before each one, or -1; those that have none take the rows of `start` in turn.
    """

    def __init__(self, low: Lowering, channels: int, before: np.ndarray, start: np.ndarray | None = None) -> None:
        self.graph = low.graph
        self.positions, self.channels = len(before), channels
        self.value = self.graph.value(self.positions, channels)
        self.blocks: list[list[int]] = []  # of the copy that holds the state of the position before
        if (before >= 0).any():
            self.blocks.append([self.value, self.graph.table(before, self.value), 0, channels, 0])
        if start is not None and start.any():
            value, table, channel = low.views.block(start)
            direct = np.arange(len(start)) % self.graph.values[value][0]  # or all position 0
            rows = np.full(len(before), -1, np.int32)
            rows[before < 0] = direct if table == DIRECT else self.graph.tables[table]
            self.blocks.append([value, self.graph.table(rows, value), channel, channels, 0])

    def past(self) -> int:
        """The value that holds, at each position, the state of the position before."""
        if not self.blocks:
            return self.graph.const(np.zeros((1, self.channels), np.float32))
        return self.graph.node("copy", self.positions, self.channels, blocks=self.blocks, fill=0.0)

    def segments(self, k0: int) -> list[list[int]]:
        """What a gemm reads of the state of the position before, from row `k0` of its weights on."""
        if len(self.blocks) == 2:
            return [[self.past(), DIRECT, 0, self.channels, k0]]
        return [[*block[:4], k0] for block in self.blocks]

    def write(self, kind: str, **fields: Any) -> None:
        """The node that computes the state."""
        self.graph.write(self.value, kind, **fields)


# ---- cumulative sums


@handles("cumsum")
def _cumsum(low: Lowering, op: Op, x: Any, dim: Any, *rest: Any, **kwargs: Any) -> Any:
    dim %= max(len(x.shape), 1)
    array = np.ascontiguousarray(x.addr.numpy())
    if array.size == 0 or array.shape[dim] == 1:
        return x
    if not varies(array, dim, low.views)[0]:
        return _sum_of_channels(low, x, dim)
    slot, positions, channels = layout = by_axes([array], low.views)
    step = slot.reshape(array.shape).take(1, dim).reshape(-1)[0] - slot.reshape(array.shape).take(0, dim).reshape(-1)[0]
    index = np.empty(slot.size, np.int64)
    index[slot] = np.broadcast_to(
        np.arange(array.shape[dim]).reshape([-1 if d == dim else 1 for d in range(array.ndim)]), array.shape
    ).reshape(-1)
    first = index.reshape(positions, channels)[:, 0] == 0
    before = np.where(first, -1, np.arange(positions) - step // channels).astype(np.int32)
    state = State(low, channels, before)
    operand = low.views.operand(place(array.reshape(-1), layout))
    state.write("map", op="add", args=[[state.past(), DIRECT, 0, 0], operand], params=[])
    addr = low.views.of_value(state.value).reshape(-1)[slot]
    return View(torch.from_numpy(addr.reshape(array.shape)))


def _sum_of_channels(low: Lowering, x: View, dim: int) -> View:
    """A cumulative sum inside a position: a product with a triangle of ones."""
    moved = x.map(lambda t: t.movedim(dim, -1))
    n = moved.shape[-1]
    out = low.contract.linear(moved.reshape(-1, n), np.triu(np.ones((n, n), np.float32)), None)
    return out.reshape(*moved.shape).map(lambda t: t.movedim(-1, dim))


# ---- recurrent layers


def _gemm(low: Lowering, x: np.ndarray, state: State, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> int:
    """The value of x_t w + h_(t-1) u + b."""
    value, table, channel = low.views.block(x)
    segments = [[value, table, channel, len(w), 0], *state.segments(len(w))]
    return _product(low, len(x), segments, np.concatenate([w, u][: len(segments)]), b)


def _product(low: Lowering, positions: int, segments: list[list[int]], weight: np.ndarray, bias: np.ndarray) -> int:
    graph = low.graph
    if not segments:
        return graph.const(bias[None])
    padded = graph.weight(np.pad(bias, (0, -len(bias) % 16))) if bias.any() else -1
    data = graph.weight(pack(weight))
    return graph.node("gemm", positions, weight.shape[1], segments=segments, data=data, bias=padded)


def _lstm(low: Lowering, x: np.ndarray, p: Weights, h: State, c: State) -> None:
    """Hochreiter and Schmidhuber, *Long short-term memory*, 1997; gates in the order i, f, g, o."""
    n, positions, graph = c.channels, len(x), low.graph
    gates = _gemm(low, x, h, p.w, p.u, p.b + p.d)

    def act(op: str, first: int, count: int) -> int:
        return graph.node("map", positions, count * n, op=op, args=[[gates, DIRECT, first * n, 0]], params=[])

    i_f, g, o = act("sigmoid", 0, 2), act("tanh", 2, 1), act("sigmoid", 3, 1)
    gate = [i_f, DIRECT, 0, 0], [i_f, DIRECT, n, 0]
    new = graph.node("map", positions, n, op="mul", args=[gate[0], [g, DIRECT, 0, 0]], params=[])
    c.write("map", op="madd", args=[gate[1], [c.past(), DIRECT, 0, 0], [new, DIRECT, 0, 0]], params=[])
    squashed = graph.node("map", positions, n, op="tanh", args=[[c.value, DIRECT, 0, 0]], params=[])
    args = [[o, DIRECT, 0, 0], [squashed, DIRECT, 0, 0]]
    if p.projection is None:
        h.write("map", op="mul", args=args, params=[])
        return
    out = graph.node("map", positions, n, op="mul", args=args, params=[])
    data = graph.weight(pack(p.projection))
    h.write("gemm", segments=[[out, DIRECT, 0, n, 0]], data=data, bias=-1)


def _gru(low: Lowering, x: np.ndarray, p: Weights, h: State) -> None:
    """Cho et al., 2014, as PyTorch has it: the reset gate acts on the product; gates in the order r, z, n."""
    n, positions, graph = h.channels, len(x), low.graph

    def node(op: str, *args: tuple[int, int]) -> int:
        operands = [[value, DIRECT, first, 0] for value, first in args]
        return graph.node("map", positions, n, op=op, args=operands, params=[])

    rz = _gemm(low, x, h, p.w[:, : 2 * n], p.u[:, : 2 * n], (p.b + p.d)[: 2 * n])
    value, table, channel = low.views.block(x)
    of_x = _product(low, positions, [[value, table, channel, x.shape[1], 0]], p.w[:, 2 * n :], p.b[2 * n :])
    of_h = _product(low, positions, h.segments(0), p.u[:, 2 * n :], p.d[2 * n :])
    r, z = node("sigmoid", (rz, 0)), node("sigmoid", (rz, n))
    new = node("tanh", (node("madd", (r, 0), (of_h, 0), (of_x, 0)), 0))
    past = h.past()
    apart = node("sub", (past, 0), (new, 0))
    h.write("map", op="madd", args=[[z, DIRECT, 0, 0], [apart, DIRECT, 0, 0], [new, DIRECT, 0, 0]], params=[])


def _elman(activation: str) -> Callable[..., None]:
    def cell(low: Lowering, x: np.ndarray, p: Weights, h: State) -> None:
        """Elman, *Finding structure in time*, 1990."""
        both = _gemm(low, x, h, p.w, p.u, p.b + p.d)
        h.write("map", op=activation, args=[[both, DIRECT, 0, 0]], params=[])

    return cell


class Weights:
    """One layer and direction: x w + b and h u + d, and the projection of an LSTM's output."""

    def __init__(self, tensors: Sequence[torch.Tensor], biases: bool) -> None:
        if any(isinstance(t, View) for t in tensors):
            raise NotHere("a recurrent layer whose weights depend on the input")
        self.w, self.u = (float32(t).T.copy() for t in tensors[:2])
        none = torch.zeros(self.w.shape[1])
        self.b, self.d = (float32(t) for t in (tensors[2:4] if biases else (none, none)))
        rest = tensors[4 if biases else 2 :]
        self.projection = float32(rest[0]).T.copy() if rest else None
        self.output = self.u.shape[0]


CELLS: dict[str, tuple[Callable[..., None], int]] = {
    "lstm": (_lstm, 2),
    "gru": (_gru, 1),
    "rnn_tanh": (_elman("tanh"), 1),
    "rnn_relu": (_elman("relu"), 1),
}


@handles(*CELLS)
def _recurrent(
    low: Lowering,
    op: Op,
    x: Any,
    states: Any,
    params: Any,
    biases: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """torch.lstm, torch.gru and torch.rnn_*: (output, states…) of x (T, N, I), or (N, T, I) if `batch_first`.

    N is 1, or what the model makes of its positions, such as the rows of a picture.
    """
    cell, kinds = CELLS[op.name]
    x = x if isinstance(x, View) else low.views.constant(x)
    rows = np.ascontiguousarray((x.addr if batch_first else x.addr.transpose(0, 1)).numpy())
    starts = [low.views.constant(s) if isinstance(s, torch.Tensor) else s for s in (states if kinds == 2 else [states])]
    ends: list[list[np.ndarray]] = [[] for _ in range(kinds)]
    directions = 2 if bidirectional else 1
    each = len(params) // (layers * directions)
    for layer in range(layers):
        outputs = []
        for back in range(directions):
            at = layer * directions + back
            weights = Weights(params[at * each : (at + 1) * each], biases)
            order = slice(None, None, -1 if back else 1)
            start = [np.ascontiguousarray(s.addr[at].numpy()) for s in starts]
            runs = _looped if varies(rows, 1, low.views)[0] else _unrolled
            out = runs(low, cell, np.ascontiguousarray(rows[:, order]), weights, start)
            for end, last in zip(ends, out, strict=True):
                end.append(last[:, -1])
            outputs.append(out[0][:, order])
        rows = np.ascontiguousarray(np.concatenate(outputs, 2))
    output = torch.from_numpy(rows)
    last_states = (View(torch.from_numpy(np.stack(end))) for end in ends)
    return [View(output if batch_first else output.transpose(0, 1).contiguous()), *last_states]


def _looped(
    low: Lowering, cell: Callable[..., None], rows: np.ndarray, weights: Weights, start: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The states' addresses, (N, T, H) each, of a layer over positions (N, T, I): a loop of a few nodes."""
    n, steps, width = rows.shape
    before = np.arange(-1, n * steps - 1, dtype=np.int32)
    before[::steps] = -1
    sizes = [weights.output, *(s.shape[1] for s in start[1:])]
    states = [State(low, size, before, s) for size, s in zip(sizes, start, strict=True)]
    cell(low, rows.reshape(-1, width), weights, *states)
    return [low.views.of_value(s.value).reshape(n, steps, -1) for s in states]


def _unrolled(
    low: Lowering, cell: Callable[..., None], rows: np.ndarray, weights: Weights, start: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The same where time does not run over positions: step after step, each without a past of its own."""
    outs: list[list[np.ndarray]] = [[] for _ in start]
    for t in range(rows.shape[1]):
        step = _looped(low, cell, np.ascontiguousarray(rows[:, t : t + 1]), weights, start)
        start = [s[:, 0] for s in step]
        for out, s in zip(outs, start, strict=True):
            out.append(s)
    return [np.stack(out, 1) for out in outs]
