"""Recorded ops to a Graph: walks a recording and keeps a view of every live tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from . import complexes, masked
from .contract import Contract, float32
from .graph import Graph
from .layout import INDEXED, LAYOUT, run_layout
from .ops import RULES, NotHere
from .pointwise import Pointwise
from .record import Op, Recording, Ref, is_ref, map_refs
from .rows import Rows
from .scores import Scores, step
from .view import View
from .views import Views

HANDLERS: dict[str, Callable[..., Any]] = {}
READS: dict[str, int | None] = {}


def handles(*names: str, reads: int | None = None) -> Callable:
    """Registers what lowers some ops, of whose arguments it takes the first `reads`, by default all."""

    def add(f: Callable) -> Callable:
        HANDLERS.update(dict.fromkeys(names, f))
        READS.update(dict.fromkeys(names, reads))
        return f

    return add


def lowers(name: str) -> bool:
    """Whether an ATen op, by name, has a rule of its own."""
    return name in ("view_as_complex", "view_as_real") or name in HANDLERS or name in RULES or name in LAYOUT


class Lowering:
    """The state of a walk: `env` maps recorded tensors to views.

    With `gradient` the recording holds one, which reads intermediate results again: products of two input-dependent
    matrices are written out, and windows are searched for their maximum from the first element to the last.
    """

    def __init__(self, recording: Recording, graph: Graph, gradient: bool = False) -> None:
        self.recording = recording
        self.gradient = gradient
        self.graph = graph
        self.views = Views(graph)
        self.pointwise = Pointwise(self.views)
        self.rows = Rows(self.views, self.pointwise)
        self.contract = Contract(self.views)
        self.env: dict[int, View] = {}
        self.emit = self.pointwise.emit

    def run(self) -> View:
        """Lower every op; the view of the output."""
        last = {r: op for op in self.recording.ops for r in op.refs()}
        for op in self.recording.ops:
            self.graph.place = (op.module or op.name, op.source)
            try:
                out = self.lower(op)
            except NotHere as why:
                raise self.recording.unsupported(op, str(why)) from None
            for i, view in zip(op.outs, self._leaves(out), strict=False):
                if i is not None and isinstance(view, View):
                    self.env[i] = view
            for r in set(op.refs()):
                if last[r] is op and r != self.recording.output:
                    self.env.pop(r, None)
        return self.env[self.recording.output]

    @staticmethod
    def _leaves(out: Any) -> list[Any]:
        return list(out) if isinstance(out, (tuple, list)) else [out]

    def view(self, ref: Ref, op: Op) -> View:
        if ref.id not in self.env:
            raise NotHere("it reads a result (indices or statistics) that is not compiled")
        return self.env[ref.id]

    def lower(self, op: Op) -> Any:
        name = op.name
        read = op.args[: READS.get(name)]
        args, kwargs = map_refs(lambda x: self.view(x, op) if is_ref(x) else x, (read, op.kwargs))
        if any(isinstance(x, Scores) for x in args):
            scores = step(op, args, kwargs)
            if scores is not None:
                return scores
            lost = (name in RULES and name not in masked.KNOWN) or "log_softmax" in name
            if lost and any(isinstance(x, Scores) and bool((x.plus < masked.LOW).any()) for x in args):
                raise NotHere("masked scores may only go into a softmax; change them before the mask")
        paired = complexes.step(self, op, args)
        if paired is not None:
            return paired
        if name in masked.KNOWN:
            hidden = masked.step(self, op, args, kwargs)
            if hidden is not None:
                return hidden
        try:
            if name in HANDLERS:
                return HANDLERS[name](self, op, *args, **kwargs)
            if name in RULES:
                return RULES[name](self.pointwise, *args, **kwargs)
        except TypeError as error:
            raise NotHere(f"this form of the op is not supported ({error})") from error
        if name in LAYOUT and not self._indexed_by_input(name, args):
            try:
                return run_layout(self.views, op, args, kwargs, self.recording.metas)
            except ValueError as error:
                raise NotHere(str(error)) from None
        raise NotHere("the op is not supported")

    @staticmethod
    def _indexed_by_input(name: str, args: tuple) -> bool:
        picked = [args[i] for i in INDEXED.get(name, ()) if i < len(args)]
        return any(isinstance(x, View) for x in pytree.tree_leaves(picked))


def constant(x: Any, what: str) -> np.ndarray | None:
    """A constant tensor as float32, or a refusal if it depends on the input."""
    if isinstance(x, View):
        raise NotHere(f"{what} depends on the input")
    return None if x is None else float32(x)


# ---- contractions


@handles("convolution", "_convolution")
def _convolution(
    low: Lowering,
    op: Op,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: Any,
    output_padding: Any,
    groups: Any,
    *rest: Any,
) -> Any:
    if isinstance(weight, View) or isinstance(bias, View):
        raise NotHere("a convolution whose weight depends on the input")
    n = len(x.shape) - 2 if isinstance(x, View) else 0
    if not isinstance(x, View):
        raise NotHere("a convolution of a constant")
    shape = low.recording.metas[op.out].shape
    stride, padding, dilation = ((list(v) * n)[:n] for v in (stride, padding, dilation))
    return low.contract.convolution(x, weight, bias, stride, padding, dilation, transposed, shape, groups)


def _product(low: Lowering, a: Any, b: Any, bias: np.ndarray | None = None) -> View:
    """a @ b of matrices."""
    if isinstance(a, View) and isinstance(b, View):
        out = attention.product(low, a.reshape(1, *a.shape), b.reshape(1, *b.shape)).reshape(a.shape[0], b.shape[1])
        return out if bias is None else low.emit("add", out, torch.from_numpy(bias))
    if isinstance(a, View):
        return low.contract.linear(a, float32(b), bias)
    out = low.contract.linear(b.permute(1, 0), np.ascontiguousarray(float32(a).T), None).permute(1, 0)
    return out if bias is None else low.emit("add", out, torch.from_numpy(bias))


@handles("mm", "matmul")
def _mm(low: Lowering, op: Op, a: Any, b: Any) -> Any:
    return _product(low, a, b)


@handles("mv")
def _mv(low: Lowering, op: Op, a: Any, x: Any) -> Any:
    if isinstance(x, View):
        return _product(low, a, x.reshape(-1, 1)).reshape(-1)
    return _product(low, a, x.unsqueeze(1)).reshape(-1)


@handles("addmm")
def _addmm(low: Lowering, op: Op, bias: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    if beta == 1 and alpha == 1 and isinstance(a, View) and isinstance(bias, torch.Tensor) and bias.dim() == 1:
        n = b.shape[1]
        return _product(low, a, b, float32(bias.expand(n)).copy())
    out = _product(low, a, b)
    out = out if alpha == 1 else low.emit("mul", out, alpha)
    return low.emit("add", out, bias if beta == 1 else low.emit("mul", bias, beta))


@handles("bmm")
def _bmm(low: Lowering, op: Op, a: Any, b: Any) -> Any:
    if isinstance(a, View) and isinstance(b, View):
        return attention.product(low, a, b)
    n = a.shape[0]
    if isinstance(b, torch.Tensor) and bool((b == b[:1]).all()):
        return _product(low, a.reshape(-1, a.shape[2]), b[0]).reshape(n, a.shape[1], -1)
    if isinstance(a, torch.Tensor) and bool((a == a[:1]).all()):
        flat = b.permute(1, 0, 2).reshape(b.shape[1], -1)
        return _product(low, a[0], flat).reshape(a.shape[1], n, -1).permute(1, 0, 2)

    def row(x: Any, i: int) -> Any:
        return x.map(lambda t: t[i]) if isinstance(x, View) else x[i]

    return View(torch.stack([_product(low, row(a, i), row(b, i)).addr for i in range(n)]))


@handles("baddbmm")
def _baddbmm(low: Lowering, op: Op, c: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    out = _bmm(low, op, a, b)
    if isinstance(out, Scores) and not isinstance(c, View):
        scaled = out.scaled(alpha)
        scores = scaled if beta == 0 or scaled is None else scaled.shifted(c * beta)
        if scores is not None:
            return scores
    out = out if alpha == 1 else low.emit("mul", out, alpha)
    if beta == 0:
        return out
    hidden = masked.step(low, replace(op, func=torch.ops.aten.add.Tensor), (out, c), {"alpha": beta})
    if hidden is not None:
        return hidden
    return low.emit("add", out, c if beta == 1 else low.emit("mul", c, beta))


# ---- tables


def _lookup(low: Lowering, data: np.ndarray, index: View) -> View:
    """Rows of (rows, C) data at input-dependent indices: one position per distinct index."""
    flat = index.flat()
    distinct, inverse = np.unique(flat, return_inverse=True)
    value, table, channel = low.views.block(distinct[:, None])
    out = low.graph.node(
        "lookup",
        len(distinct),
        data.shape[1],
        **{"in": [value, table, channel]},
        data=low.graph.weight(data),
        rows=len(data),
    )
    low.graph.grid(*index.shape[1:])
    inverse = inverse.reshape(-1)
    if (inverse == np.arange(len(distinct))).all():
        return low.views.whole(out).reshape(*index.shape, data.shape[1])
    addr = low.views.of_value(out)[inverse]
    return View(torch.from_numpy(np.ascontiguousarray(addr)).reshape(*index.shape, data.shape[1]))


@handles("embedding")
def _embedding(low: Lowering, op: Op, weight: Any, index: Any, *rest: Any, **kwargs: Any) -> Any:
    table = constant(weight, "an embedding's table")
    assert table is not None
    return _lookup(low, table, index)


@handles("index", "index_select")
def _index(low: Lowering, op: Op, x: Any, *rest: Any) -> Any:
    if op.name == "index_select" and isinstance(rest[1], View):
        if rest[0] != 0 or isinstance(x, View):
            raise NotHere("an input-dependent index must select rows of a constant")
        return _rows_of(low, x, rest[1])
    if op.name == "index" and any(isinstance(i, View) for i in rest[0]):
        axis = next(d for d, i in enumerate(rest[0]) if i is not None)
        if isinstance(x, View) or sum(i is not None for i in rest[0]) != 1:
            raise NotHere("an input-dependent index must select rows of a constant, alone")
        rows = _rows_of(low, x.movedim(axis, 0), rest[0][axis]).addr
        n = len(rest[0][axis].shape)
        return View(rows.movedim(list(range(n)), list(range(axis, axis + n))).contiguous())
    return run_layout(low.views, op, (x, *rest), {}, low.recording.metas)


def _rows_of(low: Lowering, x: torch.Tensor, index: View) -> View:
    out = _lookup(low, float32(x.reshape(x.shape[0], -1)), index)
    return View(out.addr.reshape(*index.shape, *x.shape[1:]))


@handles("scatter")
def _scatter(low: Lowering, op: Op, x: Any, dim: Any, index: Any, source: Any, **kwargs: Any) -> Any:
    """A one-hot built by scatter: one index a row, a constant written there."""
    if not isinstance(index, View):
        raise NotHere("scatter at constant indices is not supported; write x[..., i] = y")
    dim %= len(x.shape)
    rows = [n for d, n in enumerate(x.shape) if d != dim]
    if kwargs or index.shape[dim] != 1 or rows != [n for d, n in enumerate(index.shape) if d != dim]:
        raise NotHere("scatter is supported for one-hot codes only: one index a row")
    levels = torch.arange(x.shape[dim]).reshape([-1 if d == dim else 1 for d in range(len(x.shape))])
    hit = low.emit("eq", index, levels)
    plain = not isinstance(source, View) and bool((torch.as_tensor(source) == 1).all())
    if plain and isinstance(x, torch.Tensor) and not x.any():
        return hit
    return low.emit("where", hit, source, x)


@handles("_to_copy", "to", "type_as")
def _to_copy(low: Lowering, op: Op, x: Any, *rest: Any, **kwargs: Any) -> Any:
    source = low.recording.metas[op.args[0].id].dtype
    target = low.recording.metas[op.out].dtype
    if target == torch.bool and source != torch.bool:
        return low.emit("ne", x, 0.0)
    if source.is_floating_point and not target.is_floating_point:
        return RULES["trunc"](low.pointwise, x)
    if target.is_complex:
        raise NotHere("complex numbers are not supported")
    return x


from . import attention, backward, loops, norms, pooling, resample  # noqa: E402, F401  (they register their ops)
