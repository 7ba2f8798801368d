"""Linear resampling: axis after axis, so that each is done at as few positions as it can be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .lower import Lowering, handles
from .ops import NotHere
from .record import Op
from .view import View


@handles("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def _linear(low: Lowering, op: Op, x: Any, *rest: Any, **kwargs: Any) -> Any:
    if not isinstance(x, View):
        raise NotHere("resampling of a constant")
    shape, target = x.shape, low.recording.metas[op.out].shape
    for d in reversed(range(2, len(shape))):
        first, second, weight = ends(op, shape, rest, kwargs, d)
        low.graph.grid(*shape[2:d], *target[d:])
        a, b = chosen(x, d, first), chosen(x, d, second)
        along = [-1 if e == d else 1 for e in range(len(shape))]
        x = low.emit("madd", low.emit("sub", b, a), weight.reshape(along), a)
    return x


def chosen(x: View, axis: int, index: torch.Tensor) -> View:
    """Elements of a view along an axis."""
    return x.map(lambda t: t.index_select(axis, index))


def ends(
    op: Op, shape: Sequence[int], rest: Sequence[Any], kwargs: dict[str, Any], axis: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of each result along an axis: the two elements it lies between, the same twice where it is one, and its way from
    the first to the second; found by resampling what is 1 at one place along the axis."""
    n = shape[axis]
    along = [n if d == axis else 1 for d in range(len(shape))]
    basis = torch.eye(n).reshape(n, *along[1:]).expand(n, 1, *shape[2:])
    parts = op.func(basis, *rest, **kwargs).movedim(axis, 1)
    matrix = parts.reshape(*parts.shape[:2], -1)[:, :, 0]
    read = (matrix != 0).byte()
    first, second = read.argmax(0), n - 1 - read.flip(0).argmax(0)
    weight = matrix.gather(0, second[None])[0]
    return first, second, torch.where(first == second, 0.0, weight)
