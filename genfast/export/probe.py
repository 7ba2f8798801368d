"""Inputs to trace and check a model with: the example, random draws, and the replays that prove a trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from ..errors import NotCausalError, UnsupportedOpError
from .outputs import by_row, output_of, tensors_of
from .record import Op, Recording, place
from .state import quiet_torch
from .trace import trace

FEW = 8  # how far counts are drawn
MAX_INT = 1 << 24  # beyond it float32, which carries every value, skips integers
LOW_PRECISION = (torch.bfloat16, torch.float16)
COMPARED = 1 << 20  # elements compared at a time: logits over a vocabulary are large
SAME_VALUES = {
    "view",
    "reshape",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "expand",
    "clone",
    "_to_copy",
    "detach",
    "alias",
    "slice",
    "select",
    "permute",
    "transpose",
    "t",
    "lift_fresh",
    "repeat",
    "contiguous",
    "flatten",
    "copy",
    "as_strided",
    "index_select",
    "split",
    "split_with_sizes",
    "unbind",
    "flip",
    "roll",
}


@dataclass
class Argument:
    """One tensor that the network is given: the sites' input or a condition."""

    name: str
    example: torch.Tensor  # batch 1
    place: int  # among the positional arguments
    size: int = MAX_INT  # of an integer condition

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.example.shape[1:])

    @property
    def integer(self) -> bool:
        return not self.example.dtype.is_floating_point


@dataclass
class Example:
    """One call of a model, cut to its first row: the values of its arguments, the last `keywords` passed by name."""

    items: list[Any]
    arguments: list[Argument]  # those that are tensors, the sites' input first
    keywords: tuple[str, ...] = ()

    def call(self, model: Callable[..., Any], tensors: Sequence[torch.Tensor]) -> Any:
        """What the model returns for other tensors."""
        items = list(self.items)
        for argument, tensor in zip(self.arguments, tensors, strict=True):
            items[argument.place] = tensor
        first = len(items) - len(self.keywords)
        return model(*items[:first], **dict(zip(self.keywords, items[first:], strict=True)))


def read_example(model: Callable[..., Any], example: Any) -> Example:
    """The example as `lower` describes it."""
    keywords = ()
    if isinstance(example, Mapping):
        keywords = tuple(example)
        items, names = list(example.values()), list(keywords)
    else:
        items = list(example) if isinstance(example, (tuple, list)) else [example]
        names = _parameter_names(model, len(items))
    arguments: list[Argument] = []
    for i, item in enumerate(items):
        if isinstance(item, np.ndarray):
            item = torch.from_numpy(np.ascontiguousarray(item))
        if not isinstance(item, torch.Tensor):
            if i == 0:
                raise TypeError(f"example must be a tensor or array, or a tuple that starts with one, got {type(item)}")
            items[i] = item
            continue
        if item.dim() == 0 or item.shape[0] == 0:
            raise ValueError(f"example for {names[i]!r} must have a batch of at least one row, got {tuple(item.shape)}")
        if item.is_complex():
            raise TypeError(f"example for {names[i]!r} is complex")
        if item.device.type != "cpu":
            raise ValueError(f"example for {names[i]!r} is on {item.device}: export on the CPU")
        row = item.detach()[:1].clone()
        row = row.to(_dtype(model)) if row.dtype.is_floating_point else row
        items[i] = row
        arguments.append(Argument(names[i], row, i))
    if not items:
        raise TypeError("example must have the model's input")
    return Example(items, arguments, keywords)


def _dtype(model: Any) -> torch.dtype:
    parameters = model.parameters() if isinstance(model, torch.nn.Module) else ()
    return next((p.dtype for p in parameters if p.dtype.is_floating_point), torch.float32)


def _parameter_names(model: Any, count: int) -> list[str]:
    forward = model.forward if isinstance(model, torch.nn.Module) else model
    names = []
    try:
        for p in inspect.signature(forward).parameters.values():
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                names.append(p.name)
            elif p.kind == p.VAR_POSITIONAL:
                names += [f"{p.name}{i}" for i in range(count - len(names))]
    except (TypeError, ValueError):
        names = []
    if len(names) < count and names:
        raise TypeError(
            f"the example has {count} arguments, the model's forward takes {len(names)}: {', '.join(names)}"
        )
    return names[:count] or ["x", *(f"condition{i}" for i in range(1, count))]


def default_levels(model: Callable[..., Any], example: Example) -> int:
    """The vocabulary that a token model's output speaks of: its last axis, for the example as it is."""
    x = example.arguments[0]
    if not x.integer or len(x.shape) != 1:
        raise ValueError(
            f"head= is needed: what the output means is clear for integer tokens (B, T) only, not {('B', *x.shape)}; "
            "a decoder, which computes its output from a latent, needs latent= instead"
        )
    with quiet_torch(), _indexing(x):
        found = tensors_of(example.call(model, [a.example for a in example.arguments]))
    shape = tuple(found[0].shape) if found else ()
    if len(shape) < 2 or prod(shape[:-1]) != x.shape[0]:
        raise ValueError(
            f"head= is needed: an output of shape {shape} has no last axis of logits for {x.shape[0]} tokens"
        )
    return shape[-1]


@contextmanager
def _indexing(x: Argument) -> Iterator[None]:
    """ValueError for a model that looks outside a table of its own."""
    try:
        yield
    except IndexError as error:
        longer = f", or the example's length of {x.shape[0]} is more than its positions" if len(x.shape) == 1 else ""
        raise ValueError(
            f"the model cannot index its tables with the example's tokens and conditions or the head's values{longer}: "
            f"{error}"
        ) from error


class Probe:
    """Runs a model on valid inputs: levels fed through the head's values, integer conditions inside their tables.

    `values` is None where the network is fed any number; `outputs` is how many numbers the head needs for a row.
    """

    causal = True  # whether the model must be

    def __init__(self, model: Callable[..., Any], example: Example, values: np.ndarray | None, outputs: int) -> None:
        self.model, self.example, self.outputs = model, example, outputs
        self.stacked = False  # whether the last output was several tensors put on a new axis
        self.arguments = example.arguments
        self.values = None if values is None else torch.from_numpy(np.asarray(values))
        self.random = torch.Generator().manual_seed(20240229)

    def sites(self, batch: int) -> torch.Tensor:
        x = self.arguments[0].example
        shape = (batch, *x.shape[1:])
        if self.values is not None:
            return self.values[torch.randint(len(self.values), shape, generator=self.random)].to(x.dtype)
        if self.arguments[0].integer:
            return torch.randint(min(self.arguments[0].size, FEW), shape, generator=self.random).to(x.dtype)
        return torch.randn(shape, generator=self.random).to(x.dtype)

    def condition(self, argument: Argument, batch: int) -> torch.Tensor:
        shape, dtype = (batch, *argument.shape), argument.example.dtype
        if dtype == torch.bool:
            return torch.randint(2, shape, generator=self.random).bool()
        if argument.integer:
            bound = argument.size if argument.size < MAX_INT else int(argument.example.max()) + 1
            return torch.randint(max(bound, 1), shape, generator=self.random).to(dtype)
        return torch.randn(shape, generator=self.random).to(dtype)

    def draw(self, batch: int) -> list[torch.Tensor]:
        return [self.sites(batch), *(self.condition(a, batch) for a in self.arguments[1:])]

    def run(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """The model's output for these arguments."""
        x = tensors[0]
        output, self.stacked = output_of(self.example.call(self.model, tensors), x, len(x) * self.outputs)
        return by_row(output, x)


def record(probe: Probe, lowers: Callable[[str], bool]) -> Recording:
    """Trace a model; the sizes of integer conditions are found on the way.

    Raises
    ------
    UnsupportedOpError
        From `trace`.
    ValueError
        If an integer condition of the example, or a level, is outside the table it indexes.
    """
    with quiet_torch():
        dtype = _dtype(probe.model)
        tensors = [probe.sites(1), *(a.example for a in probe.arguments[1:])]
        with _indexing(probe.arguments[0]):
            probe.run(tensors)  # models that create buffers do so on their first call
        named = [(a.name, t) for a, t in zip(probe.arguments, tensors, strict=True)]
        recording = trace(probe.model, named, lambda: probe.run(tensors), lowers)
        for argument, size in zip(probe.arguments, index_sizes(recording), strict=True):
            argument.size = size
        check_examples(probe)
    if dtype != torch.float32:
        recording.assumed.append(f"the model computes in {str(dtype).removeprefix('torch.')}, genfast in float32")
    return recording


def verify(probe: Probe, recording: Recording) -> None:
    """Prove a trace by replaying it on other inputs, and two batch-1 replays against one batch of 2.

    Raises
    ------
    NotCausalError
        If a BatchNorm in training mode couples positions and rows.
    UnsupportedOpError
        If a replay gives something else than the model does.
    ValueError
        If the model returns NaN or +inf.
    """
    with quiet_torch():
        pair = probe.draw(2)
        replays = []
        for i in range(2):
            row = [t[i : i + 1] for t in pair]
            replays.append(recording.replay(row))
            _compare(
                recording,
                probe.run(row),
                replays[-1],
                "another random input",
                "the model's control flow depends on values, or forward changes the model",
            )
        compare_batch(probe, recording, pair, replays)


def compare_batch(
    probe: Probe,
    recording: Recording,
    pair: Sequence[torch.Tensor],
    replays: Sequence[torch.Tensor],
) -> None:
    """A batch of two must be two batches of one: a trace at batch 1 hides `x.mean(0)` and batch statistics."""
    try:
        got = probe.run(pair)
    except Exception as error:  # whatever a model with its batch size written into it raises
        recording.assumed.append(
            f"the model fails on a batch of 2 ({type(error).__name__}), so its rows are taken to be independent"
        )
        return
    if got.shape[:1] != (2,):
        raise UnsupportedOpError(
            f"the output's first axis is not the batch: its shape is {tuple(replays[0].shape)} for one row and "
            f"{tuple(got.shape)} for two. Let the model return the batch first"
        )
    try:
        for i, row in enumerate(replays):
            _compare(recording, got[i : i + 1], row, "a batch of 2", "rows of a batch influence each other")
    except UnsupportedOpError:
        for op in recording.ops:
            if uses_batch_statistics(op):
                norm = (
                    f"{place(op.module, op.source)}, a BatchNorm in training mode, whose statistics run over all "
                    "positions and rows. Hint: call eval() on the model"
                )
                if not probe.causal:
                    raise UnsupportedOpError(f"rows of a batch influence each other in {norm}") from None
                raise NotCausalError(f"the model is not causal: causality is lost in {norm}") from None
        low = {str(m.dtype).removeprefix("torch.") for m in recording.metas if m.dtype in LOW_PRECISION}
        if low:
            raise UnsupportedOpError(
                f"a row alone gives other numbers than in a batch of 2, and the model computes in "
                f"{' and '.join(sorted(low))}, whose rounding does that. Hint: compile model.float(), without autocast"
            ) from None
        raise


def uses_batch_statistics(op: Op) -> bool:
    """Whether the op is a batch norm in training mode (or an instance norm, which is one inside)."""
    arguments = dict(zip((a.name for a in op.func._schema.arguments), op.args, strict=False)) | op.kwargs
    return "batch_norm" in op.name and bool(arguments.get("training", op.name.endswith("_with_update")))


def _compare(recording: Recording, model: torch.Tensor, replay: torch.Tensor, what: str, hint: str) -> None:
    model, replay = (t.float() if t.dtype == torch.bool else t for t in (model, replay))
    parts = list(zip(*(t.reshape(-1).split(COMPARED) for t in (model, replay)), strict=False))
    if any(bool(torch.isnan(a).any() or torch.isposinf(a).any()) for a, _ in parts):
        masks = ". A mask of -inf that a condition makes may hide everything: fill it with -1e9 instead"
        raise ValueError(f"the model returns NaN or +inf for {what}{masks if len(recording.inputs) > 1 else ''}")
    same = model.shape == replay.shape
    if same:
        scale = max(float(a.abs().nan_to_num(0, 0, 0).max()) for a, _ in parts) if model.numel() else 1.0
        same = all(torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5 + 1e-5 * scale) for a, b in parts)
    if not same:
        reads = "".join(f"\n  {line}" for line in recording.reads)
        raise UnsupportedOpError(f"the recorded ops do not reproduce the model on {what}: {hint}{reads}")


def index_sizes(recording: Recording) -> list[int]:
    """For each input, the rows of the smallest table or one-hot that its values index, MAX_INT where there is none."""
    carries = {v: {i} for i, v in enumerate(recording.inputs)}
    sizes = [MAX_INT] * len(recording.inputs)

    def bound(value: int, rows: int) -> None:
        for i in carries.get(value, ()):
            sizes[i] = min(sizes[i], rows)

    for op in recording.ops:
        if op.name in SAME_VALUES:
            sources = set().union(*(carries.get(r, set()) for r in op.refs()))
            for out in op.outs:
                if out is not None and sources:
                    carries[out] = sources
        elif op.name == "embedding" and hasattr(op.args[1], "id"):
            bound(op.args[1].id, _rows(recording, op.args[0], 0))
        elif op.name == "index" and not hasattr(op.args[0], "id"):
            for axis, index in enumerate(op.args[1]):
                if hasattr(index, "id"):
                    bound(index.id, _rows(recording, op.args[0], axis))
        elif op.name in ("index_select", "scatter") and hasattr(op.args[2], "id"):
            bound(op.args[2].id, _rows(recording, op.args[0], op.args[1]))
    for value, rows in recording.one_hot:
        bound(value, rows)
    return sizes


def _rows(recording: Recording, tensor: Any, axis: int) -> int:
    shape = tensor.shape if isinstance(tensor, torch.Tensor) else recording.metas[tensor.id].shape
    return shape[axis]


def check_examples(probe: Probe) -> None:
    """Integer conditions of the example must lie in the tables they index, and the head's values in the input's."""
    for argument in probe.arguments:
        if argument.integer and argument.size < MAX_INT:
            fed = probe.values if argument is probe.arguments[0] else None
            top = argument.example.max() if fed is None else fed.max()
            if int(top) >= argument.size:
                raise ValueError(
                    f"{argument.name!r} takes values up to {int(top)}, but the model's table for it has "
                    f"{argument.size} rows"
                )
