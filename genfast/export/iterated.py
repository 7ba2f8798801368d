"""A PyTorch function that is applied again and again to its own results, as a graph with rounds (docs/format.md)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from ..distributions.base import Distribution
from . import feedforward, fold, inputs, latents
from .file import to_bytes
from .graph import DIRECT, Graph, identity, prune
from .lower import Lowering, lowers
from .probe import Argument, Example, record, verify
from .sites import Sites
from .view import View

# A gradient reads the statistics of these again, which their decompositions keep.
WITH_STATISTICS = {"native_layer_norm", "native_group_norm"}

Step = Callable[..., Sequence[torch.Tensor]]


@dataclass(frozen=True)
class State:
    """What a round reads beside x and hands on to the next: as large as x, or one number a row; `initial` fills it."""

    name: str
    initial: float
    large: bool = True


class StepProbe(feedforward.FeedForwardProbe):
    """Runs one round on draws of x and random states; its output is all next states of a row side by side."""

    def __init__(self, model: Any, call: Example, step: Step, states: Sequence[State], start: Distribution) -> None:
        x = call.arguments[0].example
        self.step = step
        self.states = [
            Argument(s.name, torch.full(x.shape if s.large else (1, 1), s.initial, dtype=x.dtype), len(call.items) + i)
            for i, s in enumerate(states)
        ]
        super().__init__(model, Example(call.items, [*call.arguments, *self.states], call.keywords), start)

    def condition(self, argument: Argument, batch: int) -> torch.Tensor:
        if not any(argument is state for state in self.states):
            return super().condition(argument, batch)
        return torch.rand((batch, *argument.shape), generator=self.random).to(argument.example.dtype)

    def run(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([t.reshape(len(tensors[0]), -1) for t in self.step(*tensors)], 1)


def iterated(
    model: Any,
    call: Example,
    step: Step,
    states: Sequence[State],
    rounds: int,
    start: Distribution,
    jitter: int = 0,
    meta: Mapping[str, Any] | None = None,
    assumed: Sequence[str] = (),
) -> bytes:
    """The `.genfast` file of N rounds of a step.

    Parameters
    ----------
    model : callable
        What the step calls; a `torch.nn.Module` gives the ops their names.
    call : Example
        x, of floats, and then the conditions.
    step : callable
        ``step(x, *conditions, *states)`` for batches of rows: the next x and the next states, of the same shapes. It
        may call autograd.
    states : sequence of State
    rounds : int
    start : distribution
        What x begins as.
    jitter : int
        How far each round rolls an image (C, H, W) or (H, W) at most.
    meta : mapping from str to JSON, optional
    assumed : sequence of str
        What the file says was taken for granted, beside what the trace does.

    Raises
    ------
    UnsupportedOpError
        Naming the op, module and line that cannot be compiled.
    ValueError
        For weights that are not finite.
    """
    probe = StepProbe(model, call, step, states, start)
    recording = record(probe, lambda name: name not in WITH_STATISTICS and lowers(name))
    verify(probe, recording)
    x = call.arguments[0]
    grid = Sites(prod(x.shape[:-2]), x.shape[-2:]) if jitter else feedforward.layout(recording, x)
    graph = Graph()
    lowering = feedforward.FeedForwardLowering(recording, graph, gradient=True)
    graph.grid(*grid.space)
    for i, (argument, tensor) in enumerate(zip(probe.arguments, recording.inputs, strict=True)):
        large = i == 0 or (i >= len(call.arguments) and states[i - len(call.arguments)].large)
        if large:
            value = graph.value(grid.positions, grid.channels)
            lowering.env[tensor] = feedforward.sites_view(lowering, value, argument.shape)
        else:
            lowering.env[tensor] = inputs.condition_view(lowering, argument)
    packed = lowering.run()
    graph.place = ("", "the step")
    values = [0, *range(len(call.arguments), len(probe.arguments))]
    roots = [
        [_next(lowering, part, graph.values[value]), DIRECT]
        for value, part in zip(values, _parts(packed, [x, *probe.states]), strict=True)
    ]
    graph.place = ("", "the start")
    head, numbers = latents.head(start, x.shape)
    begin = [graph.const(numbers), DIRECT]
    for again in (True, False):
        prune(graph, [*roots, begin], len(probe.arguments), [])
        if again:
            fold.affine(graph, [*roots, begin])
    table = np.zeros(grid.count, np.int32) if len(numbers) == 1 else identity(grid.count)
    description = {
        "producer": inputs.PRODUCER,
        "input": inputs.input_entry(x),
        "conditions": [inputs.condition_entry(i, a) for i, a in enumerate(call.arguments) if i],
        "head": {**head, "value": begin[0], "table": graph.final_table(table, len(numbers))},
        "output": {"value": 0, "shape": list(x.shape)},
        "iterate": {
            "rounds": rounds,
            "states": [
                {"value": value, "next": root[0], "initial": initial}
                for value, root, initial in zip(values, roots, [0.0, *(s.initial for s in states)], strict=True)
            ],
            **({"jitter": jitter} if jitter else {}),
        },
        "order": {"kind": "raster"},
        "assumed": [*assumed, *recording.assumed],
        "meta": dict(meta or {}),
    }
    return to_bytes(graph, description)


def _parts(packed: View, arguments: Sequence[Argument]) -> list[View]:
    """The part (1, elements) of each argument in the probe's output."""
    bounds = np.cumsum([0, *(prod(a.shape) for a in arguments)]).tolist()

    def part(a: int, b: int) -> View:
        return packed.map(lambda t: t[:, a:b])

    return [part(a, b) for a, b in itertools.pairwise(bounds)]


def _next(lowering: Lowering, part: View, size: tuple[int, int]) -> int:
    """A value of a state's size that holds what it becomes; a copy where none does."""
    positions, channels = size
    m = np.ascontiguousarray(part.addr.reshape(channels, positions).T.numpy())
    value = int(m[0, 0] >> 32) - 1
    if value >= 0 and lowering.graph.values[value] == size and np.array_equal(lowering.views.of_value(value), m):
        return value
    return lowering.views.copy(m)
