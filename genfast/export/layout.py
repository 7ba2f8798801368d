"""Layout ops: each runs on addresses as it would on data, so it costs nothing and vanishes into position tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from .record import Meta, map_refs
from .view import Rectangle, View, same_storage
from .views import Views

aten = torch.ops.aten

LAYOUT = set(
    """
    view reshape _unsafe_view _reshape_alias permute transpose t numpy_T expand slice select unsqueeze squeeze clone
    contiguous alias detach cat stack concat split split_with_sizes chunk unbind tensor_split unsafe_split
    unsafe_split_with_sizes unsafe_chunk constant_pad_nd flip roll repeat repeat_interleave im2col as_strided
    as_strided_scatter slice_scatter select_scatter diagonal diagonal_scatter pixel_shuffle pixel_unshuffle
    channel_shuffle upsample_nearest1d upsample_nearest2d _upsample_nearest_exact1d _upsample_nearest_exact2d
    reflection_pad1d reflection_pad2d replication_pad1d replication_pad2d movedim swapaxes unfold unfold_copy
    lift_fresh lift tril triu rot90 copy expand_copy view_copy permute_copy slice_copy select_copy unsqueeze_copy
    squeeze_copy transpose_copy t_copy alias_copy detach_copy split_copy split_with_sizes_copy unbind_copy hstack
    vstack dstack flatten unflatten narrow index_select gather index index_put take_along_dim take
    """.split()  # noqa: SIM905
)
MAX_JOINED = 1 << 12  # blocks of a copy
# Of these a result that shares memory with its argument stays affine.
VIEWS = set(
    """
    view reshape _unsafe_view _reshape_alias permute transpose t numpy_T expand slice select unsqueeze squeeze alias
    detach split split_with_sizes chunk unbind tensor_split unsafe_split unsafe_split_with_sizes unsafe_chunk diagonal
    movedim swapaxes unfold flatten unflatten narrow
    """.split()  # noqa: SIM905
)
SAME = {"clone", "contiguous", "alias", "detach", "lift_fresh", "lift"}
# Their integer tensor arguments say which elements are read; the others are data.
INDEXED = {
    "index_select": (2,),
    "gather": (2,),
    "index": (1,),
    "index_put": (1,),
    "take_along_dim": (1,),
    "take": (1,),
    "repeat_interleave": (1,),
}


def run_layout(views: Views, op: Any, args: tuple, kwargs: dict, metas: list[Meta]) -> Any:
    """The op's results as views; args hold views in place of recorded tensors."""
    kwargs = {k: v for k, v in kwargs.items() if k not in ("memory_format", "dtype", "layout", "device", "pin_memory")}
    if op.name in SAME and isinstance(args[0], View):
        return args[0]
    if op.name in ("cat", "stack"):
        together = joined(views, op.name == "stack", *args, **kwargs)
        if together is not None:
            return together
    if isinstance(args[0], View) and args[0].meta is not None:
        affine = relaid(args[0].meta, op, args, kwargs)
        if affine is not None:
            return map_refs(lambda t: View.affine(args[0].value, t), affine)
    if op.name == "constant_pad_nd":
        value = args[2] if len(args) > 2 else kwargs.get("value", 0)
        args, kwargs = (args[0], args[1], int(views.constant(value).addr)), {}
    elif op.name in ("as_strided", "as_strided_scatter"):
        args = _restrided(views, args, op, metas)
    elif op.name == "copy":
        args, kwargs = args[:2], {}
    indices = INDEXED.get(op.name, ())

    def address(x: Any) -> Any:
        if isinstance(x, View):
            return x.addr
        return views.constant(x).addr if isinstance(x, torch.Tensor) else x

    run_args = tuple(a if i in indices else map_refs(address, a) for i, a in enumerate(args))
    func = _func(op)
    try:
        out = func(*run_args, **kwargs)
    except (RuntimeError, NotImplementedError):  # no integer kernel; float64 holds addresses exactly
        run_args = tuple(a if i in indices else map_refs(_double, a) for i, a in enumerate(run_args))
        out = func(*run_args, **kwargs)
    return map_refs(lambda t: View(t.to(torch.int64)) if isinstance(t, torch.Tensor) else t, out)


def joined(views: Views, stack: bool, pieces: list[Any], dim: int = 0) -> View | None:
    """Pieces joined without addresses: one that is alone, or channels that interleave, which are copied together.

    Heads cut in halves and joined again (rotary positions) would otherwise be runs of a few channels for all to come.
    """
    pieces = [x for x in pieces if isinstance(x, View) or x.numel()]
    if not all(isinstance(x, View) for x in pieces):
        return None
    if len(pieces) == 1 and not stack:
        return pieces[0]
    dim %= len(pieces[0].shape) + stack
    if stack:
        pieces = [x.map(lambda t: t.unsqueeze(dim)) for x in pieces]
    walks = [views.steps(x) for x in pieces]
    steps = [s for s in walks if s is not None]
    if len(steps) < len(pieces):
        return None
    shape = list(pieces[0].shape)
    shape[dim] = sum(s.shape[dim] for s in steps)
    rows = [d for d in range(len(shape)) if any(s.positions[d] for s in steps)]
    columns = [d for d in range(len(shape)) if d not in rows and shape[d] > 1]
    inner = any(s.channels[d] for s in steps for d in rows)
    if dim in rows or inner or not any(s.channels[d] for s in steps for d in columns if d < dim):
        return None
    layout = Rectangle(rows, columns, tuple(shape))
    slots = np.arange(layout.channels).reshape([shape[d] for d in columns])
    blocks, start = [], 0
    for x, s in zip(pieces, steps, strict=True):
        index = np.indices([s.shape[d] for d in columns]).reshape(len(columns), -1)
        source = s.channel + np.array([s.channels[d] for d in columns]) @ index
        at = tuple(i + start * (d == dim) for i, d in zip(index, columns, strict=True))
        target = slots[at]
        ends = np.flatnonzero((np.diff(source) != 1) | (np.diff(target) != 1)) + 1
        table = views.graph.table(s.table(rows), x.value)
        for begin, end in zip([0, *ends], [*ends, len(source)], strict=True):
            blocks.append([x.value, table, int(source[begin]), int(end - begin), int(target[begin])])
        start += s.shape[dim]
    if len(blocks) > MAX_JOINED:
        return None
    return layout.view(views.graph.node("copy", layout.positions, layout.channels, blocks=blocks, fill=0.0))


def relaid(meta: torch.Tensor, op: Any, args: tuple, kwargs: dict) -> Any:
    """What the op makes of a meta tensor in place of its first argument; None if that is no view of it."""
    if op.name not in VIEWS:
        return None
    out = _func(op)(meta, *args[1:], **kwargs)
    return out if all(same_storage(t, meta) for t in pytree.tree_leaves(out)) else None


def _func(op: Any) -> Any:
    return aten.reshape.default if op.name in ("view", "_unsafe_view") else op.func


def _double(x: Any) -> Any:
    return x.double() if isinstance(x, torch.Tensor) and x.dtype == torch.int64 else x


def _restrided(views: Views, args: tuple, op: Any, metas: list[Meta]) -> tuple:
    """as_strided reads memory, so the addresses must lie in memory as the recorded tensor did."""
    ref = op.args[0]
    first = args[0] if isinstance(args[0], View) else views.constant(args[0])
    meta = metas[ref.id] if hasattr(ref, "id") else Meta.of(args[0])
    if not meta.whole:
        raise ValueError("as_strided over part of a storage")
    laid = torch.empty_strided(meta.shape, meta.stride, dtype=torch.int64)
    laid.copy_(first.addr.expand(meta.shape))
    return (View(laid), *args[1:])
