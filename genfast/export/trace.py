"""Taint tracer: run the model once and record the ATen ops that touch input-dependent data.

Everything else (masks, weight norm, position tables, numpy code) simply executes, which folds constants for free.
In-place writes to input-dependent data are recorded as their functional twin and a scatter into a flat image of the
storage, from which aliases are read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import UnsupportedOpError
from .functions import Functions
from .masks import vanished
from .record import Op, Recording, Ref, place
from .state import unfused_torch
from .where import ModuleStack, is_check, source_line

READS = {"_local_scalar_dense", "item", "is_nonzero", "equal", "allclose"}
VALUE_SHAPED = {
    "nonzero",
    "nonzero_numpy",
    "masked_select",
    "unique_dim",
    "_unique",
    "_unique2",
    "unique_consecutive",
    "unique_dim_consecutive",
    "bincount",
    "histc",
    "repeat_interleave.Tensor",
}
# Only the shape of their argument matters, so their result is not input-dependent.
SHAPE_ONLY = {
    "empty_like",
    "zeros_like",
    "ones_like",
    "full_like",
    "new_empty",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_empty_strided",
    "sym_size",
    "rand_like",
    "randn_like",
    "randint_like",
}
SCANS = {"cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"}  # their decompositions are quadratic
METADATA = {"squeeze_", "unsqueeze_", "t_", "transpose_", "swapaxes_", "detach_"}
RESHAPES = {"view.default", "_unsafe_view.default", "_reshape_alias.default"}
DROPOUTS = {"bernoulli", "dropout", "native_dropout", "alpha_dropout", "feature_dropout", "rrelu_with_noise"}
BATCH_NORMS = {"native_batch_norm", "_native_batch_norm_legit", "_batch_norm_with_update"}


def trace(
    model: Callable[..., Any],
    inputs: Sequence[tuple[str, torch.Tensor]],
    run: Callable[[], torch.Tensor],
    lowers: Callable[[str], bool],
) -> Recording:
    """Record one run of a model.

    Parameters
    ----------
    model : callable
        Usually a `torch.nn.Module`, whose modules' names the ops get.
    inputs : sequence of (name, tensor)
        The input-dependent tensors, batch 1.
    run : callable
        Calls the model, in the state it is in, on these tensors by identity, and returns its output.
    lowers : callable
        Tells by name whether an ATen op can be lowered; others are recorded as their decomposition where there is one.

    Returns
    -------
    Recording
        The ops that the output needs.

    Raises
    ------
    UnsupportedOpError
        If the model reads values in Python, makes shapes of values, draws random numbers, or its output does not
        depend on its inputs.

    Notes
    -----
    Design section 3; the method is that of `torch.fx`'s dispatch tracing reduced to tainted data.
    """
    modules = ModuleStack()
    tracer = Tracer(modules, lowers)
    with ExitStack() as stack:
        if isinstance(model, torch.nn.Module):
            stack.enter_context(modules.watching(model))
        for name, tensor in inputs:
            tracer.recording.inputs.append(tracer.track(tensor))
            tracer.recording.names.append(name)
        stack.enter_context(unfused_torch())
        stack.enter_context(tracer)
        stack.enter_context(Functions(tracer))
        output = run()
    if tracer.refused is not None:  # the model caught it and went on
        raise tracer.refused
    if not tracer.tainted(output):
        raise UnsupportedOpError("the model's output does not depend on its input")
    tracer.recording.output = tracer.ref(output).id
    tracer.recording.prune()
    return tracer.recording


class Tracer(TorchDispatchMode):
    """The dispatch mode that records; `recording` grows as the model runs."""

    def __init__(self, modules: ModuleStack, lowers: Callable[[str], bool]) -> None:
        super().__init__()
        self.recording = Recording()
        self.refused: UnsupportedOpError | None = None
        self.modules = modules
        self.lowers = lowers
        self.known: dict[int, tuple[int, int]] = {}  # id(tensor) -> (recorded id, storage version)
        self.first: dict[int, tuple[int, torch.Tensor]] = {}  # storage -> the first tensor recorded on it
        self.image: dict[int, tuple[int, torch.Tensor]] = {}  # storage -> its flat contents after in-place writes
        self.version: dict[int, int] = {}
        self.copies: dict[Any, torch.Tensor] = {}
        self.kept: list[Any] = []  # so that ids and storages stay unique
        self.forward: dict[int, tuple[str, str]] = {}  # autograd's number of an op -> where it was called
        self.inside = False  # a call that is recorded whole

    @staticmethod
    def storage(t: torch.Tensor) -> int:
        return t.untyped_storage()._cdata

    def track(self, t: torch.Tensor) -> int:
        key = self.storage(t)
        new = self.recording.new(t)
        self.known[id(t)] = (new, self.version.get(key, 0))
        self.first.setdefault(key, (new, t))
        self.kept.append((t, t.untyped_storage()))
        return new

    def tainted(self, t: Any) -> bool:
        return isinstance(t, torch.Tensor) and (
            id(t) in self.known or self.storage(t) in self.first or self.storage(t) in self.image
        )

    def here(self) -> tuple[str, str]:
        """Module path and source line of what runs now; of a backward op those of the op that it is the gradient of."""
        node = torch._C._current_autograd_node()
        if node is not None:
            return self.forward.get(node._sequence_nr(), ("", ""))
        found = self.modules.path(), source_line()
        if torch.is_grad_enabled():
            self.forward.setdefault(torch._C._autograd._get_sequence_nr() - 1, found)
        return found

    def where(self) -> str:
        return place(*self.here())

    def record(self, func: Any, args: tuple, kwargs: dict, out: Any) -> Op:
        op = Op(func, args, kwargs, *self.here())
        for t in pytree.tree_leaves(out):
            op.outs.append(self.recording.new(t) if isinstance(t, torch.Tensor) else None)
        self.recording.ops.append(op)
        return op

    def ref(self, t: torch.Tensor) -> Ref:
        """What `t` is now; an alias of something written in place is read from the storage's image."""
        key = self.storage(t)
        known = self.known.get(id(t))
        if known is not None and known[1] == self.version.get(key, 0):
            return Ref(known[0])
        image, flat = self.storage_image(t)
        where = (list(t.shape), list(t.stride()), t.storage_offset())
        op = self.record(torch.ops.aten.as_strided.default, (image, *where), {}, torch.as_strided(flat, *where))
        self.known[id(t)] = (op.out, self.version.get(key, 0))
        self.kept.append((t, t.untyped_storage()))
        return Ref(op.out)

    def storage_image(self, t: torch.Tensor) -> tuple[Any, torch.Tensor]:
        key = self.storage(t)
        if key in self.image:
            recorded, flat = self.image[key]
            return Ref(recorded), flat
        count = t.untyped_storage().nbytes() // t.element_size()
        if key not in self.first:
            flat = torch.as_strided(t.detach(), [count], [1], 0).clone()
            return flat.clone(), flat
        recorded, base = self.first[key]
        zeros = torch.zeros(count, dtype=t.dtype)
        where = (list(base.shape), list(base.stride()), base.storage_offset())
        flat = torch.as_strided_scatter(zeros, base, *where)
        op = self.record(torch.ops.aten.as_strided_scatter.default, (zeros, Ref(recorded), *where), {}, flat)
        return Ref(op.out), flat

    def argument(self, a: Any) -> Any:
        if not isinstance(a, torch.Tensor):
            return a
        return self.ref(a) if self.tainted(a) else self.constant(a)

    def constant(self, t: torch.Tensor) -> torch.Tensor:
        """A copy, for the model may write to the tensor later; shared where it has not since the last one."""
        key = (t.data_ptr(), t.shape, t.stride(), t.dtype)
        copy = self.copies.get(key)
        if copy is None or not torch.equal(copy, t):
            copy = self.copies[key] = t.detach().clone()
        return copy

    def value_read(self, name: str) -> None:
        line = f"{name} reads the value of an input-dependent tensor in {self.where()}"
        self.recording.reads.append(line)
        if not is_check():
            raise UnsupportedOpError(
                f"{line}: control flow must not depend on values, and values cannot leave the model"
            )
        note = f"{line}: taken for a check, not compiled"
        if note not in self.recording.assumed:
            self.recording.assumed.append(note)

    def whole(self, func: Any, args: tuple) -> Any:
        """Record a call as one op, whatever it is made of."""
        self.inside = True
        try:
            return self.plain(func, func._schema.name.split("::")[1], args, {})
        finally:
            self.inside = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.inside:
            return func(*args, **(kwargs or {}))
        try:
            return self.dispatch(func, args, kwargs or {})
        except UnsupportedOpError as error:
            self.refused = self.refused or error
            raise

    def dispatch(self, func: Any, args: tuple, kwargs: dict) -> Any:
        name = func._schema.name.split("::")[1]
        if torch.Tag.nondeterministic_seeded in func.tags and "scaled_dot_product" not in name:
            dropout = name.rstrip("_") in DROPOUTS
            hint = (
                "is dropout in training mode? call eval() on the model"
                if dropout
                else "a sample must be a function of its sites. Let the model take the noise as an input, for a "
                "feed-forward model as part of its latent"
            )
            raise UnsupportedOpError(f"aten::{name} draws random numbers in {self.where()}: {hint}")
        tensors = [a for a in pytree.tree_leaves((args, kwargs)) if isinstance(a, torch.Tensor)]
        if name in SHAPE_ONLY or not any(self.tainted(a) for a in tensors):
            return func(*args, **kwargs)
        if name in READS:
            self.value_read(name)
            return func(*args, **kwargs)
        self.refuse_value_shapes(func, name, args)
        if func._schema.is_mutable and name not in BATCH_NORMS:
            return self.in_place(func, name, args, kwargs)
        if not self.lowers(name) and name not in SCANS and func in torch._decomp.decomposition_table:
            with self:
                return torch._decomp.decomposition_table[func](*args, **kwargs)
        return self.plain(func, name, args, kwargs)

    def refuse_value_shapes(self, func: Any, name: str, args: tuple) -> None:
        masks = args[1] if name == "index" else ()
        by_mask = any(m is not None and m.dtype in (torch.bool, torch.uint8) and self.tainted(m) for m in masks)
        if by_mask or name in VALUE_SHAPED or f"{name}.{func._overloadname}" in VALUE_SHAPED:
            raise UnsupportedOpError(f"aten::{name} makes a shape that depends on input values, in {self.where()}")

    def plain(self, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        recorded_args, recorded_kwargs = pytree.tree_map(self.argument, (tuple(args), dict(kwargs)))
        out = func(*args, **kwargs)
        if f"{name}.{func._overloadname}" in RESHAPES:
            func = torch.ops.aten.reshape.default  # a functional twin may have other strides than the tensor had
            recorded_args = recorded_args[:2]
        op = Op(func, recorded_args, recorded_kwargs, *self.here())
        op.vanished = vanished(func, args, kwargs, out)
        for t in pytree.tree_leaves(out):
            op.outs.append(self.track(t) if isinstance(t, torch.Tensor) else None)
        self.recording.ops.append(op)
        return out

    def in_place(self, func: Any, name: str, args: tuple, kwargs: dict) -> Any:
        written = [
            i for i, a in enumerate(func._schema.arguments) if a.alias_info is not None and a.alias_info.is_write
        ]
        twins = getattr(torch.ops.aten, name[:-1], None) if name.endswith("_") else None
        twin = next((getattr(twins, o) for o in (func._overloadname, "default", "int") if hasattr(twins, o)), None)
        if written != [0] or twin is None:
            raise UnsupportedOpError(
                f"aten::{name} writes into input-dependent data in a way that is not recorded, in {self.where()}"
            )
        x = args[0]
        if name in METADATA:
            source = self.ref(x)
            func(*args, **kwargs)
            op = self.record(twin, (source, *args[1:]), kwargs, x)
            self.known[id(x)] = (op.out, self.version.get(self.storage(x), 0))
            return x
        image, flat = self.storage_image(x)
        with self:
            result = twin(*args, **kwargs)
            if result.dtype != x.dtype:
                result = result.to(x.dtype)
        source = self.argument(result)
        x.copy_(result)
        where = (list(x.shape), list(x.stride()), x.storage_offset())
        patched = torch.as_strided_scatter(flat, x, *where)
        op = self.record(torch.ops.aten.as_strided_scatter.default, (image, source, *where), {}, patched)
        key = self.storage(x)
        self.image[key] = (op.out, patched)
        self.version[key] = self.version.get(key, 0) + 1
        self.kept.append((x, x.untyped_storage()))
        if isinstance(source, Ref):
            self.known[id(x)] = (source.id, self.version[key])
        return x
