"""Gradients with respect to a layer's input, as autograd calls them: the ops that torch does not decompose.

Where a layer reads an element of its input, its gradient adds to that element of the result: `scattered`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from .contract import tap_tables
from .layout import run_layout
from .lower import Lowering, handles
from .ops import NotHere, rule
from .pointwise import Pointwise
from .pooling import adaptive_taps, each, maxima_so_far
from .record import Op
from .view import SHIFT, View

BASIS = 256  # elements of a plane whose gradients are asked for at a time


@rule("sgn")
def _sgn(e: Pointwise, x: View) -> View:
    return e.emit("sign", x)


def scattered(
    low: Lowering,
    source: torch.Tensor,
    target: torch.Tensor,
    shape: Sequence[int],
    onto: View | None = None,
    weight: torch.Tensor | None = None,
) -> View:
    """Sums of elements by where they go.

    Parameters
    ----------
    low : Lowering
    source : torch.Tensor of int64, (n,)
        Addresses.
    target : torch.Tensor of int64, (n,)
        For each its place, in C order, in the result; -1 drops it.
    shape : sequence of int
        Of the result.
    onto : View of that shape, optional
        What they are added to.
    weight : torch.Tensor, (n,), optional
        Factors of the elements.

    Returns
    -------
    View
        Each element the sum of its sources in their order.
    """
    kept = torch.nonzero((target >= 0) & (source != 0)).reshape(-1)
    kept = kept[torch.argsort(target[kept], stable=True)]
    source, target = source[kept], target[kept]
    counts = torch.bincount(target, minlength=prod(shape))
    rank = torch.arange(len(target)) - (torch.cumsum(counts, 0) - counts)[target]
    out = onto
    for layer in range(int(counts.max()) if len(target) else 0):
        chosen = rank == layer
        addr = torch.zeros(prod(shape), dtype=torch.int64)
        addr[target[chosen]] = source[chosen]
        part = laid_out(low, View(addr.reshape(tuple(shape))))
        if weight is not None:
            factor = torch.zeros(prod(shape))
            factor[target[chosen]] = weight[kept][chosen]
            part = low.emit("mul", part, factor.reshape(tuple(shape)))
        out = part if out is None else low.emit("add", out, part)
    return View(torch.zeros(tuple(shape), dtype=torch.int64)) if out is None else out


def laid_out(low: Lowering, x: View) -> View:
    """An image (1, C, …) of elements from several values copied together, positions by channels."""
    if len(x.shape) < 3 or x.shape[0] != 1 or len(torch.unique(x.addr >> SHIFT)) < 2:
        return x
    low.graph.grid(*x.shape[2:])
    m = np.ascontiguousarray(x.addr.reshape(x.shape[1], -1).T.numpy())
    return low.views.whole(low.views.copy(m)).permute(1, 0).reshape(*x.shape)


def places(shape: Sequence[int]) -> torch.Tensor:
    """The number of each element of a tensor, in C order."""
    return torch.arange(prod(shape)).reshape(tuple(shape))


def given(op: Op, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """An op's arguments by name."""
    return dict(zip((a.name for a in op.func._schema.arguments), args, strict=False)) | kwargs


# ---- activations


@handles("threshold_backward")
def _threshold_backward(low: Lowering, op: Op, grad: Any, x: Any, threshold: Any) -> Any:
    """What a relu let through is itself the condition: it is 0 or more."""
    if threshold == 0 and isinstance(x, View) and _rectified(low, x):
        return low.emit("where", x, grad, 0.0)
    return low.emit("where", low.emit("le", x, threshold), 0.0, grad)


def _rectified(low: Lowering, x: View) -> bool:
    """Whether all elements come out of a relu."""
    values = [x.value] if x.meta is not None else (np.unique(x.addr.numpy() >> SHIFT) - 1).tolist()
    nodes = {node["out"]: node for node in low.graph.nodes}
    return all(v in nodes and nodes[v].get("op") == "relu" for v in values)


# ---- convolutions


@handles("convolution_backward")
def _convolution_backward(low: Lowering, op: Op, *args: Any, **kwargs: Any) -> Any:
    """The gradient of a convolution is a transposed one with the same weights, and the other way round."""
    g = given(op, args, kwargs)
    grad, n = g["grad_output"], len(g["stride"])
    if isinstance(g["weight"], View) or any(g["output_mask"][1:]):
        raise NotHere("a convolution whose weight depends on the input")
    if not isinstance(grad, View):
        raise NotHere("the gradient of a convolution is constant")
    shape = low.recording.metas[op.args[1].id].shape
    stride, padding, dilation = ((list(g[k]) * n)[:n] for k in ("stride", "padding", "dilation"))
    transposed = not g["transposed"]
    out = low.contract.convolution(grad, g["weight"], None, stride, padding, dilation, transposed, shape, g["groups"])
    return out, None, None


# ---- linear layers over the positions of a plane: pooling by means, resampling, padding


def plane_entries(op: Op, args: dict[str, Any], grad: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a linear backward op does to one plane, found by running it on unit vectors: (from, to, factor)."""
    n = len(grad) - 2
    size = prod(grad[2:])
    found = []
    for first in range(0, size, BASIS):
        count = min(BASIS, size - first)
        basis = torch.zeros(count, 1, size)
        basis[torch.arange(count), 0, first + torch.arange(count)] = 1
        plain = dict(args, grad_output=basis.reshape(count, 1, *grad[2:]))
        if isinstance(args.get("self"), torch.Size):
            plain["self"] = torch.zeros(count, 1, *args["self"][-n:])
        if "input_size" in plain:
            plain["input_size"] = [count, 1, *plain["input_size"][2:]]
        rows = op.func(**plain).reshape(count, -1)
        source, target = rows.nonzero(as_tuple=True)
        found.append((source + first, target, rows[source, target]))
    return tuple(torch.cat(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


@handles(
    "avg_pool2d_backward",
    "avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "upsample_nearest1d_backward",
    "upsample_nearest2d_backward",
    "_upsample_nearest_exact1d_backward",
    "_upsample_nearest_exact2d_backward",
    "upsample_linear1d_backward",
    "upsample_bilinear2d_backward",
    "upsample_bicubic2d_backward",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "replication_pad1d_backward",
    "replication_pad2d_backward",
)
def _plane_backward(low: Lowering, op: Op, *args: Any, **kwargs: Any) -> Any:
    g = given(op, args, kwargs)
    grad, shape = g["grad_output"], low.recording.metas[op.out].shape
    if not isinstance(grad, View) or len(grad.shape) < 3:
        raise NotHere("this form of the op is not supported")
    if "self" in g:
        g["self"] = torch.Size(shape)
    source, target, factor = plane_entries(op, g, grad.shape)
    planes = torch.arange(prod(shape[:2]))[:, None]
    size = prod(shape[2:])
    same = bool((factor == factor[:1]).all())
    if same and len(factor) and float(factor[0]) != 1:
        grad = low.emit("mul", grad, float(factor[0]))
    addr = grad.addr.reshape(len(planes), -1)[:, source].reshape(-1)
    weight = None if same else factor.repeat(len(planes))
    return scattered(low, addr, (target + planes * size).reshape(-1), shape, weight=weight)


# ---- maxima


def first_maximum(low: Lowering, x: View, grad: View, windows: np.ndarray) -> View:
    """The gradient of maxima over windows: to the first element of each that equals its maximum.

    The largest of a window's first elements reaches the maximum at that element and stays there. So an element's part
    is what has not reached it before, less what has not with the element.

    Parameters
    ----------
    x : View (N, C, …)
    grad : View (N, C, …)
    windows : int (elements, results)
        For each element of each window its place in a plane of x, -1 for none.
    """
    planes, size = prod(x.shape[:2]), prod(x.shape[2:])
    index = torch.from_numpy(windows.astype(np.int64))
    largest = maxima_so_far(low, x, windows, grad.shape)
    parts, rest = [], grad
    for before in largest[:-1]:
        after = low.emit("where", low.emit("lt", before, largest[-1]), grad, 0.0)
        parts.append(low.emit("sub", rest, after))
        rest = after
    addr = torch.stack([p.addr.expand(grad.shape).reshape(planes, -1) for p in [*parts, rest]], 1)
    target = index + torch.arange(planes)[:, None, None] * size
    return scattered(low, addr.reshape(-1), torch.where(index >= 0, target, -1).reshape(-1), x.shape)


@handles("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward", reads=7)
def _max_pool_backward(low: Lowering, op: Op, *args: Any, **kwargs: Any) -> Any:
    g = given(op, args, kwargs)
    grad, x, n = g["grad_output"], g["self"], len(g["kernel_size"])
    if not isinstance(grad, View) or len(x.shape) != n + 2:
        raise NotHere("this form of the op is not supported")
    kernel, padding, dilation = (each(g[k], n) for k in ("kernel_size", "padding", "dilation"))
    stride = each(g["stride"], n) if g["stride"] else kernel
    taps = tap_tables(1, x.shape[2:], grad.shape[2:], kernel, stride, padding, dilation, False)
    return first_maximum(low, x, grad, np.stack(taps))


@handles("adaptive_max_pool2d_backward", "adaptive_max_pool3d_backward", reads=2)
def _adaptive_max_pool_backward(low: Lowering, op: Op, grad: Any, x: Any) -> Any:
    if not isinstance(grad, View) or len(x.shape) != len(grad.shape) or len(x.shape) < 4:
        raise NotHere("this form of the op is not supported")
    return first_maximum(low, x, grad, adaptive_taps(x.shape[2:], grad.shape[2:], 1))


# ---- indices


@handles("index_put", "_unsafe_index_put")
def _index_put(low: Lowering, op: Op, x: Any, indices: Any, source: Any, accumulate: Any = False) -> Any:
    if any(isinstance(i, View) for i in indices):
        raise NotHere("an index that depends on the input")
    if not accumulate:
        return run_layout(low.views, op, (x, indices, source), {}, low.recording.metas)
    return _added(low, x, places(x.shape)[tuple(slice(None) if i is None else i for i in indices)], source)


@handles("scatter_add")
def _scatter_add(low: Lowering, op: Op, x: Any, dim: Any, index: Any, source: Any) -> Any:
    if isinstance(index, View):
        raise NotHere("an index that depends on the input")
    cut = tuple(slice(0, n) for n in index.shape)
    chosen = source.map(lambda t: t[cut]) if isinstance(source, View) else source[cut]
    around = tuple(slice(None) if d == dim % len(x.shape) else s for d, s in enumerate(cut))
    return _added(low, x, places(x.shape)[around].gather(dim, index), chosen)


def _added(low: Lowering, x: Any, target: torch.Tensor, source: Any) -> View:
    """A tensor with the elements of another added at places."""
    source = source if isinstance(source, View) else low.views.constant(source)
    onto = x if isinstance(x, View) else low.views.constant(x) if bool(x.any()) else None
    return scattered(low, source.addr.expand(target.shape).reshape(-1), target.reshape(-1), x.shape, onto)
