"""Feed-forward models, as files with an output: decoders and generators, whose input is drawn from a distribution, and
encoders and classifiers, whose input is given. Here layers may look over all positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch

from ..distributions.base import Distribution
from ..errors import UnsupportedOpError
from . import fold, inputs, latents, masked
from .exported import Exported
from .graph import DIRECT, Graph, identity, prune
from .lower import Lowering, lowers
from .outputs import output_of
from .probe import Argument, Example, Probe, read_example, record, verify
from .record import Op, Recording, Ref
from .scores import Scores
from .sites import Sites
from .spread import spread
from .view import View

GIVEN = "given"
# Ops that read axis 1 as channels and the others as positions.
CHANNELLED = ("convolution", "pool", "upsample", "group_norm", "batch_norm", "pixel", "_pad")
COMBINING = {"addmm", "mm", "bmm", "matmul", "native_layer_norm", "_softmax", "permute", "transpose", "t"}
RESHAPES = {"view", "reshape", "_unsafe_view", "unsqueeze", "unflatten"}


class FeedForwardProbe(Probe):
    """Runs a feed-forward model, whose output is its first tensor, on draws of its latent."""

    causal = False

    def __init__(self, model: Callable[..., Any], example: Example, latent: Distribution | None) -> None:
        super().__init__(model, example, None, 0)
        self.latent = latent

    def sites(self, batch: int) -> torch.Tensor:
        x = self.arguments[0].example
        if self.latent is None:
            return self.condition(self.arguments[0], batch)
        u = torch.rand((batch, *x.shape[1:]), generator=self.random, dtype=torch.float64).numpy()
        return torch.from_numpy(np.array(self.latent.icdf(u), np.float64)).to(x.dtype)

    def run(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        return output_of(self.example.call(self.model, tensors), tensors[0], 0)[0]


@torch.inference_mode(False)  # inside it, composite ops reach the tracer whole
@torch.no_grad()
def lower(
    model: Callable[..., Any],
    example: Any,
    latent: Any,
    name: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Exported:
    """Lower a feed-forward PyTorch model to a graph with an output.

    Parameters
    ----------
    model : torch.nn.Module or callable
        Called as ``model(x, *conditions)``, in eval mode. Its output is the first tensor that it returns, (B, …).
    example : array_like, tuple of array_like, or dict of str to array_like
        One input batch (B, …), of floats or integers, and the conditions; as for `api.lower`.
    latent : distribution or "given"
        What the input is drawn from, element by element: a family of genfast or a mixture of one, whose parameters
        broadcast to the shape of a row. "given": it has no distribution.
    name : str, optional
        Kept in the file's ``meta``.
    meta : mapping from str to JSON, optional
        What else the file's ``meta`` says.

    Returns
    -------
    Exported

    Raises
    ------
    UnsupportedOpError
        If the model does something that cannot be compiled, draws random numbers itself, or is in training mode; the
        message names op, shapes, module path and source line.
    ValueError, TypeError
        If an argument is wrong, or a weight is not finite.

    Notes
    -----
    BatchNorm in eval mode and whatever else is affine by channel goes into the weights next to it (`fold`).
    """
    model = getattr(model, "_orig_mod", model)
    inputs.check_parameters(model)
    check_mode(model)
    call = read_example(model, example)
    x = call.arguments[0]
    if x.integer and isinstance(latent, str) and x.example.dtype == torch.bool:
        raise TypeError(f"the input {x.name!r} is bool: give integers or floats")
    if isinstance(latent, str) and latent != GIVEN:
        raise ValueError(f'latent must be a distribution or "given", got {latent!r}')
    distribution = None if isinstance(latent, str) else latents.check(latent, x)
    probe = FeedForwardProbe(model, call, distribution)
    recording = record(probe, lowers)
    verify(probe, recording)

    graph = Graph()
    lowering = FeedForwardLowering(recording, graph)
    grid = layout(recording, x)
    graph.grid(*grid.space)
    sites = sites_view(lowering, graph.value(grid.positions, grid.channels), x.shape)
    lowering.env[recording.inputs[0]] = lowering.laid_out(recording.inputs[0], sites)
    for argument, tensor in zip(call.arguments[1:], recording.inputs[1:], strict=True):
        lowering.env[tensor] = inputs.condition_view(lowering, argument)
    view = lowering.run()
    graph.place = ("", "the output")
    roots = [[_output(lowering, view), DIRECT]]
    head: dict[str, Any] = {"kind": "none"}
    if distribution is not None:
        graph.place = ("", "the latent")
        head, numbers = latents.head(distribution, x.shape)
        roots.append([graph.const(numbers), DIRECT])
    prune(graph, roots, len(call.arguments), [])
    fold.affine(graph, roots)
    prune(graph, roots, len(call.arguments), [])
    table = np.zeros(0, np.int32)
    if distribution is not None:
        head["value"] = roots[1][0]
        table = np.zeros(grid.count, np.int32) if len(numbers) == 1 else identity(grid.count)
    description = {
        "producer": inputs.PRODUCER,
        "input": inputs.input_entry(x),
        "conditions": [inputs.condition_entry(i, a) for i, a in enumerate(call.arguments) if i],
        "meta": {**(meta or {}), **({} if name is None else {"name": name})},
        "output": {"value": roots[0][0], "shape": list(view.shape[1:])},
    }
    raster = np.arange(grid.count).reshape(grid.channels, -1).T.reshape(-1)
    return Exported(graph, grid, head, table, raster, description, recording.assumed, ("same",), False, 0)


def check_mode(model: Any) -> None:
    """UnsupportedOpError for a norm in training mode, which may not even run on one row, or change as it runs."""
    modules = model.named_modules() if isinstance(model, torch.nn.Module) else ()
    for path, module in modules:
        if not module.training:
            continue
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            why = "whose statistics run over the rows of a batch"
        elif isinstance(module, torch.nn.modules.instancenorm._InstanceNorm) and module.track_running_stats:
            why = "which updates its running statistics"
        else:
            continue
        raise UnsupportedOpError(
            f"module {path!r} is a {type(module).__name__} in training mode, {why}: call eval() on the model"
        )


def read_as(recording: Recording, tensor: int) -> tuple[tuple[int, ...], int | None] | None:
    """How the first op that combines a tensor's elements reads them: the shape, and the axis that holds channels.

    The axis is None for a row of numbers. None where nothing combines them on the way to the output.
    """
    size = prod(recording.metas[tensor].shape)
    same = {tensor}
    for op in recording.ops:
        read = [a.id for a in op.args if isinstance(a, Ref) and a.id in same]
        if not read:
            continue
        shape = recording.metas[read[0]].shape
        outs = [out for out in op.outs if out is not None and prod(recording.metas[out].shape) == size]
        channelled = any(word in op.name for word in CHANNELLED)
        if channelled or op.name in COMBINING or not outs:
            one = len(shape) < 3 or shape[0] != 1
            return shape, None if one else 1 if channelled or len(shape) > 3 else len(shape) - 1
        same.update(outs)
    return None


def layout(recording: Recording, argument: Argument) -> Sites:
    """How the input lies in value 0: element c · P + p, in C order, is channel c of position p.

    What an op takes for channels are channels, an image has its first axis; a vector, or an image that is read as one,
    is one position.
    """
    shape = argument.shape
    if argument.integer:
        return Sites(1, shape or (1,))
    read = read_as(recording, recording.inputs[0])
    if read is not None and read[1] == 1:
        return Sites(read[0][1], read[0][2:])
    if len(shape) < 3 or (read is not None and len(read[0]) < 3):
        return Sites(prod(shape), (1,))
    return Sites(shape[0], shape[1:])


class FeedForwardLowering(Lowering):
    """Lays the numbers of one position out over many where a view makes an image or a sequence of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.contract.narrow = True

    def lower(self, op: Op) -> Any:
        out = super().lower(op)
        if op.name not in RESHAPES or not isinstance(out, View) or isinstance(out, Scores) or out.meta is None:
            return out
        return self.laid_out(op.out, out)

    def laid_out(self, tensor: int, view: View) -> View:
        """A tensor's affine view, over many positions where one holds what is read as many."""
        read = read_as(self.recording, tensor) if self.graph.values[view.value][0] == 1 else None
        if read is None or read[0] != view.shape or read[1] is None or prod(view.shape) == view.shape[read[1]]:
            return view
        return spread(self.views, view, read[1])


def sites_view(lowering: Lowering, value: int, shape: tuple[int, ...]) -> View:
    """The view (1, *shape) of value 0."""
    positions, channels = lowering.graph.values[value]
    whole = View.strided(value, positions * channels, (channels, positions), (1, channels), 0)
    return whole.reshape(1, *shape)


def _output(lowering: Lowering, view: View) -> int:
    """The value whose channel c of position p is element c · P + p of the output; a copy where there is none."""
    graph, shape = lowering.graph, view.shape
    if not shape or shape[0] != 1:
        raise UnsupportedOpError(f"the output's first axis is not the batch: its shape is {shape} for one row")
    if 0 in shape:
        raise UnsupportedOpError(f"the output of shape {shape} has no elements")
    if masked.where(lowering.views, view) is not None:
        raise UnsupportedOpError("the output is -inf somewhere, whatever the input: fill it with -1e9 instead")
    flat = view.addr.contiguous().reshape(-1)
    value = int(flat[0] >> 32) - 1
    if value >= 0 and np.array_equal(lowering.views.of_value(value).T.reshape(-1), flat.numpy()):
        return value
    splits = [shape[1], len(flat)] if len(shape) > 2 else [len(flat)]
    laid = [np.ascontiguousarray(flat.reshape(channels, -1).T.numpy()) for channels in splits]
    cheapest = min(laid, key=lowering.views.cost)
    if cheapest is laid[0]:
        graph.grid(*shape[2:])
    return lowering.views.copy(cheapest)
