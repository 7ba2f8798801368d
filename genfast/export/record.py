"""What a trace leaves behind: the ATen ops that touched input-dependent data, in the order they ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import UnsupportedOpError


@dataclass(frozen=True)
class Ref:
    """Stands for a recorded tensor among the arguments of an op."""

    id: int


@dataclass(frozen=True)
class Meta:
    """Shape, strides and dtype of a recorded tensor."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    whole: bool  # it covers its storage from the first element to the last

    @staticmethod
    def of(t: torch.Tensor) -> Meta:
        whole = t.storage_offset() == 0 and t.numel() * t.element_size() == t.untyped_storage().nbytes()
        return Meta(tuple(t.shape), tuple(t.stride()), t.dtype, whole)


def is_ref(x: Any) -> bool:
    return isinstance(x, Ref)


def map_refs(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `f` applied to every leaf, a Ref being a leaf."""
    return pytree.tree_map(f, tree, is_leaf=is_ref)


@dataclass
class Op:
    """One recorded call.

    `outs` holds the id of each result, None for those that are not new tensors; `vanished` says where a softmax was
    exactly 0 (`masks.py`).
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    module: str
    source: str
    outs: list[int | None] = field(default_factory=list)
    vanished: torch.Tensor | None = None

    @property
    def name(self) -> str:
        return self.func._schema.name.split("::")[1]

    @property
    def out(self) -> int:
        """The id of the first result."""
        assert self.outs[0] is not None
        return self.outs[0]

    def refs(self) -> Iterator[int]:
        for leaf in pytree.tree_leaves((self.args, self.kwargs), is_leaf=is_ref):
            if is_ref(leaf):
                yield leaf.id


@dataclass
class Recording:
    """The recorded ops with the tensors they read and write."""

    ops: list[Op] = field(default_factory=list)
    metas: list[Meta] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    output: int = -1
    assumed: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    one_hot: list[tuple[int, int]] = field(default_factory=list)

    def new(self, t: torch.Tensor) -> int:
        """The id of a new recorded tensor shaped like `t`."""
        self.metas.append(Meta.of(t))
        return len(self.metas) - 1

    def prune(self) -> None:
        """Drop the ops that the output does not need."""
        live, kept = {self.output}, []
        for op in reversed(self.ops):
            if any(o in live for o in op.outs):
                kept.append(op)
                live.update(op.refs())
        self.ops = kept[::-1]

    def replay(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """The output for other inputs (batch 1, in the order of `inputs`)."""
        env = dict(zip(self.inputs, inputs, strict=True))

        def value(x: Any) -> Any:
            return env[x.id] if is_ref(x) else x

        last: dict[int, Op] = {r: op for op in self.ops for r in op.refs()}
        with torch.no_grad():
            for op in self.ops:
                args, kwargs = map_refs(value, (op.args, op.kwargs))
                out = op.func(*args, **kwargs)
                for i, t in zip(op.outs, pytree.tree_leaves(out), strict=False):
                    if i is not None:
                        env[i] = t
                for r in set(op.refs()):
                    if last[r] is op and r != self.output:
                        env.pop(r, None)
        return env[self.output]

    def describe(self, op: Op) -> str:
        """`aten::sort(float32[1, 4, 8, 8]) in module 'layers.3' at model.py:41`."""

        def show(x: Any) -> str:
            if isinstance(x, (list, tuple)):
                return f"[{', '.join(map(show, x))}]"
            if is_ref(x):
                x = self.metas[x.id]
            elif not isinstance(x, torch.Tensor):
                return repr(x)
            return f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}"

        args = [show(a) for a in op.args] + [f"{k}={show(v)}" for k, v in op.kwargs.items()]
        return f"aten::{op.name}({', '.join(args)}) in {place(op.module, op.source)}"

    def unsupported(self, op: Op, why: str) -> UnsupportedOpError:
        """The error that says which op cannot be compiled and why."""
        return UnsupportedOpError(f"{self.describe(op)}: {why}")


def place(module: str, source: str) -> str:
    """Where in the model: module path and source line."""
    name = f"module {module!r}" if module else "the model's forward"
    return f"{name} at {source}" if source else name
