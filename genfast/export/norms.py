"""Reductions, softmax and norms: ATen ops that look along some dims."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from . import masked
from .contract import float32
from .lower import Lowering, constant, handles
from .ops import NotHere
from .record import Op
from .view import View


def _dims(x: View, dim: Any) -> list[int]:
    if dim is None or dim == []:
        return list(range(len(x.shape)))
    return [d % len(x.shape) for d in (dim if isinstance(dim, (list, tuple)) else [dim])]


@handles("sum")
def _sum(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False, **kwargs: Any) -> Any:
    return low.rows.reduce("sum", x, _dims(x, dim), keepdim)


@handles("mean")
def _mean(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False, **kwargs: Any) -> Any:
    return low.rows.mean(x, _dims(x, dim), keepdim)


@handles("amax")
def _amax(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    return low.rows.reduce("max", x, _dims(x, dim), keepdim)


@handles("amin")
def _amin(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    return low.emit("neg", _amax(low, op, low.emit("neg", x), dim, keepdim))


@handles("argmax")
def _argmax(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    """The first index of the largest, as PyTorch gives it."""
    if dim is None:
        x, dim = x.reshape(-1), 0
    dim %= len(x.shape)
    index = torch.arange(x.shape[dim], dtype=torch.float32).reshape(
        [-1 if d == dim else 1 for d in range(len(x.shape))]
    )
    top = low.emit("ge", x, low.rows.reduce("max", x, [dim], True))
    return _amin(low, op, low.emit("where", top, index, float(x.shape[dim])), dim, keepdim)


@handles("argmin")
def _argmin(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    return _argmax(low, op, low.emit("neg", x), dim, keepdim)


@handles("max")
def _max(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    if isinstance(dim, (View, torch.Tensor)):
        return low.emit("maximum", x, dim)
    out = _amax(low, op, x, dim, keepdim)
    return out if dim is None else (out, _argmax(low, op, x, dim, keepdim) if low.gradient else None)


@handles("min")
def _min(low: Lowering, op: Op, x: Any, dim: Any = None, keepdim: Any = False) -> Any:
    if isinstance(dim, (View, torch.Tensor)):
        return low.emit("minimum", x, dim)
    out = _amin(low, op, x, dim, keepdim)
    return out if dim is None else (out, _argmin(low, op, x, dim, keepdim) if low.gradient else None)


def _variance(low: Lowering, x: View, dim: Any, correction: Any, keepdim: bool) -> tuple[View, View]:
    dims = _dims(x, dim)
    mean, variance, _ = low.rows.moments(x, dims, 1 if correction is None else correction)
    if not keepdim:
        shape = [n for d, n in enumerate(x.shape) if d not in dims]
        mean, variance = mean.reshape(*shape), variance.reshape(*shape)
    return mean, variance


@handles("var", "std", "var_mean")
def _var(
    low: Lowering,
    op: Op,
    x: Any,
    dim: Any = None,
    unbiased: Any = True,
    keep: Any = False,
    *,
    correction: Any = None,
    keepdim: Any = False,
) -> Any:
    """All overloads: `unbiased`, by position, is a correction of 1 or 0."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    mean, variance = _variance(low, x, dim, int(unbiased) if correction is None else correction, keep or keepdim)
    return (variance, mean) if op.name == "var_mean" else low.emit("sqrt", variance) if op.name == "std" else variance


@handles("linalg_vector_norm", "norm")
def _norm(low: Lowering, op: Op, x: Any, p: Any = 2, dim: Any = None, keepdim: Any = False, **kwargs: Any) -> Any:
    p, dims = 2.0 if p is None else float(p), _dims(x, dim)
    if p == 2:
        return low.emit("sqrt", low.rows.reduce("sum", low.emit("square", x), dims, keepdim))
    if p == 1:
        return low.rows.reduce("sum", low.emit("abs", x), dims, keepdim)
    if p == float("inf"):
        return low.rows.reduce("max", low.emit("abs", x), dims, keepdim)
    raise NotHere(f"a norm of order {p} is not supported")


@handles("logsumexp")
def _logsumexp(low: Lowering, op: Op, x: Any, dim: Any, keepdim: Any = False) -> Any:
    dims = _dims(x, dim)
    top = low.rows.reduce("max", x, dims, True)
    total = low.rows.reduce("sum", low.emit("exp", low.emit("sub", x, top)), dims, True)
    out = low.emit("add", low.emit("log", total), top)
    return out if keepdim else out.reshape(*(n for d, n in enumerate(x.shape) if d not in dims))


@handles("_softmax", "softmax", "_safe_softmax")
def _softmax(low: Lowering, op: Op, x: Any, dim: Any, *rest: Any, **kwargs: Any) -> Any:
    hidden = masked.unseen(low, x, op.vanished)
    return low.rows.softmax(x, dim, False) if hidden is None else low.rows.masked_softmax(x, dim, hidden)


@handles("_log_softmax", "log_softmax")
def _log_softmax(low: Lowering, op: Op, x: Any, dim: Any, *rest: Any, **kwargs: Any) -> Any:
    return low.rows.softmax(x, dim, True)


@handles("glu")
def _glu(low: Lowering, op: Op, x: Any, dim: Any = -1) -> Any:
    a, b = (x.map(lambda t, i=i: torch.chunk(t, 2, dim)[i]) for i in range(2))
    return low.emit("mul", a, low.emit("sigmoid", b))


# ---- norms


def _affine(low: Lowering, x: View, weight: np.ndarray | None, bias: np.ndarray | None, axis: int = 1) -> View:
    """Scale and shift along an axis."""
    shape = [-1 if d == axis else 1 for d in range(len(x.shape))]
    w = None if weight is None else torch.from_numpy(weight.astype(np.float32)).reshape(shape)
    b = None if bias is None else torch.from_numpy(bias.astype(np.float32)).reshape(shape)
    if w is not None and b is not None:
        return low.emit("madd", x, w, b)
    return x if w is b is None else low.emit("mul", x, w) if b is None else low.emit("add", x, b)


@handles(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "_batch_norm_no_update",
)
def _batch_norm(low: Lowering, op: Op, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    training = False
    if op.name.endswith(("_no_training", "_with_update", "_no_update")):
        training, (_, eps) = op.name.endswith("_with_update"), rest
    elif op.func._overloadname == "no_stats":
        training, (_, _, eps) = True, (mean, variance, rest[0])
    else:
        training, _, eps = rest
    w, b = constant(weight, "a norm's weight"), constant(bias, "a norm's bias")
    if training:
        dims = [d for d in range(len(x.shape)) if d != 1]
        mean, variance, deviation = low.rows.moments(x, dims)
        scale = low.emit("rsqrt", low.emit("add", variance, eps))
        out = _affine(low, low.emit("mul", deviation, scale), w, b)
        return out, mean.reshape(-1), scale.reshape(-1)
    scale = 1 / np.sqrt(float32(variance).astype(np.float64) + eps)
    scale = scale if w is None else scale * w
    shift = -float32(mean) * scale + (0 if b is None else b)
    return _affine(low, x, scale, shift), None, None


@handles("native_layer_norm")
def _layer_norm(low: Lowering, op: Op, x: Any, shape: Any, weight: Any, bias: Any, eps: Any) -> Any:
    dims = list(range(len(x.shape) - len(shape), len(x.shape)))
    w, b = constant(weight, "a norm's weight"), constant(bias, "a norm's bias")
    return low.rows.layer_norm(x, dims, w, b, eps), None, None


@handles("rms_norm", "_fused_rms_norm")
def _rms_norm(low: Lowering, op: Op, x: Any, shape: Any, weight: Any = None, eps: Any = None) -> Any:
    dims = list(range(len(x.shape) - len(shape), len(x.shape)))
    eps = float(np.finfo(np.float32).eps) if eps is None else eps
    return low.rows.layer_norm(x, dims, constant(weight, "a norm's weight"), None, eps, rms=True), None


@handles("native_group_norm")
def _group_norm(
    low: Lowering, op: Op, x: Any, weight: Any, bias: Any, n: Any, channels: Any, size: Any, groups: Any, eps: Any
) -> Any:
    grouped = x.reshape(n, groups, channels // groups, *x.shape[2:])
    out = low.rows.normalise(grouped, list(range(2, len(grouped.shape))), eps)
    w, b = constant(weight, "a norm's weight"), constant(bias, "a norm's bias")
    return _affine(low, out.reshape(*x.shape), w, b), None, None
