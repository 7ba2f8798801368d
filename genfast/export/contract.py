"""Convolutions and matrix products with one constant operand, as gemm nodes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from .graph import Graph, identity
from .view import View
from .views import Views

# The groups of a convolution become at most MAX_GEMMS gemms, bundled with zero blocks; fewer than WIDTH columns cost as
# much as WIDTH.
MAX_GEMMS = 8
WIDTH = 16


def pack(weight: np.ndarray) -> np.ndarray:
    """Weights (K, N) as docs/format.md packs them: blocks of 64 columns, the last rounded up to 16, each (K, width)."""
    k, n = weight.shape
    padded = np.zeros((k, -(-n // 16) * 16), np.float32)
    padded[:, :n] = weight
    blocks = [padded[:, i : i + 64].reshape(-1) for i in range(0, padded.shape[1], 64)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def float32(t: torch.Tensor) -> np.ndarray:
    return t.detach().to(torch.float32).numpy()


def _diagonal(parts: np.ndarray) -> np.ndarray:
    """Weights (taps, C, N) of some groups (groups, taps, C / groups, N / groups) side by side."""
    groups, taps, size, each = parts.shape
    out = np.zeros((taps, groups, size, groups, each), np.float32)
    for g, part in enumerate(parts):
        out[:, g, :, g] = part
    return out.reshape(taps, groups * size, groups * each)


def _by_address(m: np.ndarray) -> np.ndarray:
    """An order of the columns of addresses in which those that can be one run are neighbours.

    They are constant (padding, per-position masks) in the same rows, and lie side by side in the others.
    """
    constant = m <= 0
    first = m[constant.argmin(0), np.arange(m.shape[1])]
    kind = np.zeros(m.shape[1], np.int64)
    if constant.any():
        kind = np.unique(np.packbits(constant, axis=0), axis=1, return_inverse=True)[1].reshape(-1)
    order = np.lexsort((first, kind))

    def joined(columns: Any) -> int:
        return int(((np.diff(first[columns]) == 1) & (np.diff(kind[columns]) == 0)).sum())

    return order if joined(order) > joined(slice(None)) else np.arange(m.shape[1])


class Contract:
    """Emits gemm nodes.

    With `narrow`, a convolution to few channels may become two: one that makes the products of all taps where the
    source is, and one that adds them up. It looks over positions in the first, so it is not for causal models.
    """

    def __init__(self, views: Views) -> None:
        self.views = views
        self.graph: Graph = views.graph
        self.narrow = False

    def gemm(self, m: View, taps: Sequence[np.ndarray | None], weight: np.ndarray, bias: np.ndarray | None) -> View:
        """The view (positions, N) of a gemm.

        Parameters
        ----------
        m : (rows, C)
            The source.
        taps : sequence of (positions,) int32
            For each tap the row of `m` that each output position reads, or -1; None is the identity.
        weight : (taps, C, N) float32
        bias : (N,) float32, optional
        """
        positions, n = m.shape[0] if taps[0] is None else len(taps[0]), weight.shape[2]
        segments, parts = [], []
        blocks = list(self._sources(m))
        for t, tap in enumerate(taps):
            for value, channel, table, start, count in blocks:
                rows = np.flatnonzero(weight[t, start : start + count].any(1))
                reach = table if tap is None else np.where(tap >= 0, table[tap], -1).astype(np.int32)
                if not len(rows) or (reach < 0).all():
                    continue
                low, high = int(rows[0]), int(rows[-1]) + 1
                k0 = t * m.shape[1] + start + low
                segments.append([value, self.graph.table(reach, value), channel + low, high - low, k0])
                parts.append(weight[t, start + low : start + high])
        bias = None if bias is None or not bias.any() else bias
        if not segments:
            row = self.views.constant(torch.from_numpy(np.zeros(n, np.float32) if bias is None else bias.copy()))
            return row.expand(positions, n)
        data = self.graph.weight(pack(np.concatenate(parts)))
        padded = -1 if bias is None else self.graph.weight(np.pad(bias, (0, -n % 16)))
        out = self.graph.node("gemm", positions, n, segments=segments, data=data, bias=padded)
        return self.views.whole(out)

    def in_two(self, m: View, taps: Sequence[np.ndarray], weight: np.ndarray, bias: np.ndarray | None) -> View:
        """What `gemm` gives, from the products of all taps side by side."""
        count, _, n = weight.shape
        wide = self.gemm(m, [None], np.ascontiguousarray(weight.transpose(1, 0, 2)).reshape(1, -1, count * n), None)
        chosen = np.eye(count * n, dtype=np.float32).reshape(count, n, count * n).transpose(0, 2, 1)
        return self.gemm(wide, taps, np.ascontiguousarray(chosen), bias)

    def _sources(self, view: View) -> Any:
        """(value, channel, table, first column, columns) of a matrix's runs; a run that is all zero is left out."""
        placed = self.views.place(view)
        if placed is not None:
            value, table, channel = placed
            return [(value, channel, table, 0, view.shape[1])]
        m = view.addr.contiguous().numpy()
        runs = list(self.views.runs(m))
        blocks = []
        for run in runs:
            columns = m[:, run.start : run.start + run.count]
            if not run.groups:
                data = self.views.constants(columns)
                if data.any():
                    same = not (data != data[:1]).any()
                    value = self.graph.const(data[:1] if same else data)
                    table = np.zeros(len(m), np.int32) if same else identity(len(m))
                    blocks.append((value, 0, table, run.start, run.count))
            elif len(run.groups) == 1 and (run.constant is None or not columns[run.constant].any()):
                value, channel, table = run.groups[0]
                blocks.append((value, channel, table, run.start, run.count))
            else:
                return [(self.views.copy(m, runs), 0, identity(len(m)), 0, m.shape[1])]
        return blocks

    def linear(self, view: View, weight: np.ndarray, bias: np.ndarray | None) -> View:
        """The view (rows, N) of `m @ weight + bias` for a view `m` (rows, K) and weights (K, N).

        Columns that lie scattered (a flattened image) are taken in the order of their addresses, so that they join
        into runs.
        """
        if self.views.place(view) is not None:
            return self.gemm(view, [None], weight[None], bias)
        m = view.addr.contiguous().numpy()
        if len(m) and m.shape[1] > 1 and not (m[0, 1:] - m[0, :-1] == 1).all():
            order = _by_address(m)
            m, weight = m[:, order], weight[order]
        return self.gemm(View(torch.from_numpy(np.ascontiguousarray(m))), [None], weight[None], bias)

    def convolution(
        self,
        x: View,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        output_shape: Sequence[int],
        groups: int,
    ) -> View:
        """aten::convolution for addresses (N, C, …) and a constant weight."""
        n, channels, *space = x.shape
        out_channels, out_space = output_shape[1], list(output_shape[2:])
        w = float32(weight)
        kernel = w.shape[2:]
        taps = tap_tables(n, space, out_space, kernel, stride, padding, dilation, transposed)
        w = w.reshape(*w.shape[:2], -1)
        if transposed:  # (C, O / groups, taps) -> groups × (taps, C / groups, O / groups)
            parts = w.reshape(groups, channels // groups, -1, w.shape[2]).transpose(0, 3, 1, 2)
        else:  # (O, C / groups, taps)
            parts = w.reshape(groups, out_channels // groups, -1, w.shape[2]).transpose(0, 3, 2, 1)
        b = None if bias is None else float32(bias)
        self.graph.grid(*space)
        self.graph.grid(*out_space)
        m = x.map(lambda t: t.movedim(1, -1)).reshape(-1, channels)
        size, each = channels // groups, out_channels // groups
        bundle = min(max(-(-groups // MAX_GEMMS), -(-WIDTH // each)), groups)
        out = []
        for g in range(0, groups, bundle):
            low, high = g * each, min(g + bundle, groups) * each
            columns = m.map(partial(_columns, g * size, (g + bundle) * size))
            weights, biases = _diagonal(parts[g : g + bundle]), None if b is None else b[low:high]
            narrow = self.narrow and _is_cheaper_in_two(weights.shape, m.shape[0], taps)
            out.append((self.in_two if narrow else self.gemm)(columns, taps, weights, biases))
        joined = out[0] if len(out) == 1 else View(torch.cat([part.addr for part in out], 1))
        return joined.map(lambda t: t.reshape(n, *out_space, out_channels).movedim(-1, 1))


def _is_cheaper_in_two(shape: Sequence[int], rows: int, taps: Sequence[np.ndarray]) -> bool:
    """Whether a product of all taps and then their sum is less than half of the work, columns being paid by `WIDTH`."""
    count, channels, n = shape
    read = sum(int((tap >= 0).sum()) for tap in taps)
    width, wide = (-(-c // WIDTH) * WIDTH for c in (n, count * n))
    return 2 * (rows * channels * wide + read * n * width) < read * channels * width


def _columns(low: int, high: int, t: torch.Tensor) -> torch.Tensor:
    return t[:, low:high]


def tap_tables(
    n: int,
    space: Sequence[int],
    out_space: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
) -> list[np.ndarray]:
    """For each tap, in C order, the source position of every output position (batch-major), or -1."""
    tables = []
    total = int(np.prod(space, dtype=np.int64))
    for tap in itertools.product(*(range(k) for k in kernel)):
        table = np.zeros([1] * len(space), np.int64)
        valid = np.ones([1] * len(space), bool)
        for d, (size, out) in enumerate(zip(space, out_space, strict=True)):
            y = np.arange(out)
            if transposed:
                source, rest = np.divmod(y + padding[d] - tap[d] * dilation[d], stride[d])
                good = (rest == 0) & (source >= 0) & (source < size)
            else:
                source = y * stride[d] - padding[d] + tap[d] * dilation[d]
                good = (source >= 0) & (source < size)
            shape = [-1 if a == d else 1 for a in range(len(space))]
            table = table * size + source.reshape(shape)
            valid = valid & good.reshape(shape)
        flat = np.where(valid, table, -1).reshape(-1)
        rows = [np.where(flat >= 0, flat + i * total, -1) for i in range(n)]
        tables.append(np.concatenate(rows).astype(np.int32))
    return tables
