"""Pooling: reductions over windows of positions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .contract import tap_tables
from .lower import Lowering, handles
from .ops import NotHere
from .record import Op
from .view import View

LOWEST = float(np.finfo(np.float32).min)
DENSE = 32  # channels up to which an average is one product with a diagonal weight


def each(value: Any, n: int) -> list[int]:
    value = list(value) if isinstance(value, (list, tuple)) else [value]
    return (value * n)[:n]


def _windows(low: Lowering, x: View, taps: np.ndarray, outside: float) -> torch.Tensor:
    """Addresses (taps, rows, C) of a tensor (N, C, …) for tables of positions, -1 giving a constant."""
    source = x.addr.movedim(1, -1).reshape(-1, x.shape[1])
    rows = torch.from_numpy(taps).long()
    return torch.where((rows >= 0).unsqueeze(-1), source[rows.clamp(min=0)], low.views.constant(outside).addr)


def _reduced(low: Lowering, op: str, windows: torch.Tensor, shape: Sequence[int]) -> View:
    """The windows folded by an associative op, as a tensor (N, C, …)."""
    low.graph.grid(*shape[2:])
    out = low.rows.tree(op, windows, 0)[0].reshape(shape[0], *shape[2:], shape[1])
    return View(out.movedim(-1, 1).contiguous())


def _maximum(low: Lowering, x: View, taps: np.ndarray, shape: Sequence[int]) -> View:
    """The largest of windows, by halves, or in order where a gradient needs it so."""
    if low.gradient and shape[0] == 1:
        return maxima_so_far(low, x, taps, shape)[-1]
    return _reduced(low, "maximum", _windows(low, x, taps, LOWEST), shape)


def maxima_so_far(low: Lowering, x: View, taps: np.ndarray, shape: Sequence[int]) -> list[View]:
    """For each tap the largest of the windows' elements up to it, as tensors of the result's shape (1, C, …)."""
    low.graph.grid(*shape[2:])
    windows = _windows(low, x, taps, LOWEST)
    out: list[View] = []
    for window in windows:
        element = View(window.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1).contiguous())
        out.append(low.emit("maximum", out[-1], element) if out else element)
    return out


def _averaged(low: Lowering, x: View, taps: np.ndarray, counts: np.ndarray, shape: Sequence[int]) -> View:
    """Sums over windows divided by counts, (rows,)."""
    total = _reduced(low, "add", _windows(low, x, taps, 0.0), shape)
    factor = torch.from_numpy((1 / counts).astype(np.float32)).reshape(shape[0], 1, *shape[2:])
    return low.emit("mul", total, factor)


@handles("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    low: Lowering,
    op: Op,
    x: Any,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil: Any = False,
    count_pad: Any = True,
    divisor: Any = None,
) -> Any:
    n = len(x.shape) - 2
    if n != int(op.name[-2]):
        raise NotHere("this form of average pooling is not supported")
    kernel, padding = each(kernel, n), each(padding, n)
    stride = each(stride, n) if stride else kernel
    channels, shape = x.shape[1], low.recording.metas[op.out].shape
    if channels <= DENSE and not (ceil or divisor or (any(padding) and not count_pad)):
        weight = torch.zeros(channels, channels, *kernel)
        weight[range(channels), range(channels)] = 1 / float(np.prod(kernel))
        return low.contract.convolution(x, weight, None, stride, padding, [1] * n, False, shape, 1)
    taps = np.stack(tap_tables(shape[0], x.shape[2:], shape[2:], kernel, stride, padding, [1] * n, False))
    counts = (taps >= 0).sum(0)
    if divisor:
        counts = np.full(taps.shape[1], divisor)
    elif count_pad:  # the padding counts, what a window has beyond it does not
        sizes = []
        for d in range(n):
            start = np.arange(shape[2 + d]) * stride[d] - padding[d]
            sizes.append(np.minimum(start + kernel[d], x.shape[2 + d] + padding[d]) - start)
        counts = np.tile(np.prod(np.meshgrid(*sizes, indexing="ij"), 0).reshape(-1), shape[0])
    return _averaged(low, x, taps, counts, shape)


@handles("max_pool2d_with_indices", "max_pool2d", "max_pool3d_with_indices")
def _max_pool(
    low: Lowering,
    op: Op,
    x: Any,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil: Any = False,
) -> Any:
    n = len(x.shape) - 2
    kernel, padding, dilation = each(kernel, n), each(padding, n), each(dilation, n)
    stride = each(stride, n) if stride else kernel
    shape = low.recording.metas[op.out].shape
    taps = np.stack(tap_tables(x.shape[0], x.shape[2:], shape[2:], kernel, stride, padding, dilation, False))
    return _maximum(low, x, taps, shape), None


def adaptive_taps(space: Sequence[int], out: Sequence[int], rows: int) -> np.ndarray:
    """Tables (taps, positions) of adaptive pooling's windows, padded with -1.

    Window i of an axis reads floor(i · n / m) … ceil((i + 1) · n / m) - 1.
    """
    axes = []
    for n, m in zip(space, out, strict=True):
        i = np.arange(m)
        start, end = i * n // m, -(-(i + 1) * n // m)
        tap = np.arange((end - start).max())[:, None]
        axes.append(np.where(start + tap < end, start + tap, -1))
    tables = []
    for taps in itertools.product(*(range(len(a)) for a in axes)):
        table = np.zeros([1] * len(space), np.int64)
        inside = np.ones([1] * len(space), bool)
        for d, (axis, t, size) in enumerate(zip(axes, taps, space, strict=True)):
            y = axis[t].reshape([-1 if e == d else 1 for e in range(len(space))])
            table, inside = table * size + y, inside & (y >= 0)
        flat = np.where(inside, table, -1).reshape(-1)
        total = int(np.prod(space))
        tables.append(np.concatenate([np.where(flat >= 0, flat + r * total, -1) for r in range(rows)]))
    return np.stack(tables).astype(np.int32)


@handles("adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max_pool(low: Lowering, op: Op, x: Any, size: Any) -> Any:
    shape = low.recording.metas[op.out].shape
    return _maximum(low, x, adaptive_taps(x.shape[2:], shape[2:], shape[0]), shape), None


@handles("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool3d")
def _adaptive_avg_pool(low: Lowering, op: Op, x: Any, size: Any) -> Any:
    shape = low.recording.metas[op.out].shape
    taps = adaptive_taps(x.shape[2:], shape[2:], shape[0])
    return _averaged(low, x, taps, (taps >= 0).sum(0), shape)
