"""The exporter's front door: what the user says about input, head and order becomes the file's description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from .. import orders
from ..errors import UnsupportedOpError
from ..heads import Bernoulli, Categorical
from .file import to_bytes
from .graph import Graph, prune
from .lower import Lowering, lowers
from .probe import Argument, Probe, read_example, record, verify
from .views import View

PRODUCER = "genfast 0.1.0"


def export(
    model: Callable[..., Any],
    example: Any,
    head: Categorical | Bernoulli,
    order: Any = "raster",
    name: str | None = None,
) -> bytes:
    """Export a causal PyTorch model.

    Parameters
    ----------
    model : torch.nn.Module or callable
        Called as ``model(x, *conditions)``, in the state it is in; call ``eval()`` first if it has dropout or
        BatchNorm. Its parameters are left as they are, but for what its forward itself does to them.
    example : array_like or tuple of array_like
        One input batch, torch tensor or numpy array: (B, 1, H, W), (B, 1, L), (B, H, W) or (B, T), of floats (what the
        network is fed) or integers. In a tuple, the further entries are conditions known before sampling, (B,), (B, D)
        or (B, C, H, W), named by the parameters of ``forward``. Entries that are not arrays are passed on as they are.
    head : Categorical or Bernoulli
        What the network's output means. Categorical logits lie on axis 1, (B, L, H, W), (B, L, 1, H, W) or (B, L, T),
        or on the last axis, (B, H, W, L) or (B, T, L); where both fit, images use axis 1 and integer tokens the last.
        A Bernoulli output has one number a site.
    order : "raster" or array_like of int, (sites,)
        The order of sampling; see `genfast.orders.resolve`.
    name : str, optional
        Kept in the file's ``meta``.

    Returns
    -------
    bytes
        A `.genfast` file (docs/format.md).

    Raises
    ------
    UnsupportedOpError
        If the model does something that cannot be compiled; the message names op, shapes, module path and source line.
    ValueError, TypeError
        If an argument is wrong, the output has another shape than the head needs, or a weight is not finite.

    Notes
    -----
    Whether the model is causal for the order is for the planner to say. Design section 3 has the method.
    """
    if not isinstance(head, (Categorical, Bernoulli)):
        raise TypeError(f"head must be heads.Categorical or heads.Bernoulli, got {type(head).__name__}")
    model = getattr(model, "_orig_mod", model)
    _check_parameters(model)
    arguments, items = read_example(model, example)
    site_shape = _site_shape(arguments[0].shape)
    site_order = orders.resolve(order, int(np.prod(site_shape)))
    values = head.fed(arguments[0].integer)
    probe = Probe(arguments, items, values)
    recording = record(model, probe, lowers)

    graph = Graph()
    lowering = Lowering(recording, graph)
    for argument, tensor in zip(arguments, recording.inputs, strict=True):
        lowering.env[tensor] = _input_view(lowering, argument, site_shape)
    with torch.no_grad():
        output = lowering.run()
        verify(model, probe, recording)
        graph.place = ("", "the output")
        entry = _head(lowering, head, output, arguments[0], site_shape)

    levels = graph.weight(values)
    root = [entry["value"], entry["table"]]
    raster = bool((site_order == np.arange(len(site_order))).all())
    order_root = [0, -1]
    if not raster:
        order_root[1] = len(graph.tables)
        graph.tables.append(site_order)
        graph.sources.append(len(site_order))
    _, weights = prune(graph, [root, order_root], len(arguments), [levels])
    entry.update(value=root[0], table=root[1], values=weights[levels])
    description = {
        "producer": PRODUCER,
        "input": {
            "value": 0,
            "shape": list(arguments[0].shape),
            "dtype": _dtype(arguments[0]),
            "name": arguments[0].name,
        },
        "conditions": [_condition(i, a) for i, a in enumerate(arguments) if i],
        "head": entry,
        "order": {"kind": "raster"} if raster else {"kind": "permutation", "table": order_root[1]},
        "assumed": recording.assumed,
        "meta": {} if name is None else {"name": name},
    }
    return to_bytes(graph, description)


def _check_parameters(model: Any) -> None:
    if not isinstance(model, torch.nn.Module):
        if not callable(model):
            raise TypeError(f"model must be a torch.nn.Module or a callable, got {type(model).__name__}")
        return
    for name, parameter in model.named_parameters():
        if parameter.device.type != "cpu":
            raise ValueError(f"parameter {name!r} is on {parameter.device}: export on the CPU")
        if not torch.isfinite(parameter).all():
            raise ValueError(f"parameter {name!r} is not finite")


def _site_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The sites of a row of input: its shape without the one channel."""
    if not shape or 0 in shape:
        raise ValueError(f"a row of the example must have sites, got shape {tuple(shape)}")
    if len(shape) == 1 or (len(shape) == 2 and shape[0] != 1):
        return tuple(shape)
    if shape[0] == 1 and len(shape) <= 3:
        return tuple(shape[1:])
    raise UnsupportedOpError(
        f"an input of shape {tuple(shape)} a row has more than one channel: genfast compiles one-channel "
        "inputs, (1, H, W), (1, L), (H, W) or (T,); more channels come later"
    )


def _dtype(argument: Argument) -> str:
    return "int" if argument.integer else "float"


def _condition(value: int, argument: Argument) -> dict[str, Any]:
    entry = {"name": argument.name, "value": value, "shape": list(argument.shape), "dtype": _dtype(argument)}
    if argument.integer:
        entry["size"] = 2 if argument.example.dtype == torch.bool else argument.size
    return entry


def _input_view(lowering: Lowering, argument: Argument, site_shape: Sequence[int]) -> View:
    """A new value for an input or condition, and where the elements of its tensor lie in it."""
    graph, shape = lowering.graph, argument.shape
    if not graph.values:
        value = graph.value(int(np.prod(site_shape)), 1)
        graph.grid(*site_shape)
    elif len(shape) > 3:
        raise UnsupportedOpError(
            f"condition {argument.name!r} has shape {shape} a row; at most three dimensions are supported"
        )
    elif len(shape) >= 2:
        value = graph.value(int(np.prod(shape[1:])), shape[0])
        graph.grid(*shape[1:])
        addr = lowering.views.of_value(value).T
        return View(torch.from_numpy(np.ascontiguousarray(addr)).reshape(1, *shape))
    else:
        value = graph.value(1, int(np.prod(shape, dtype=int)))
    return View(torch.from_numpy(lowering.views.of_value(value)).reshape(1, *shape))


def _head(
    lowering: Lowering, head: Categorical | Bernoulli, output: View, argument: Argument, sites: tuple[int, ...]
) -> dict[str, Any]:
    """The head's entry, its matrix copied together where it cannot be read in place."""
    shape, count = output.shape[1:], int(np.prod(sites))
    if isinstance(head, Bernoulli):
        if [n for n in shape if n != 1] != [n for n in sites if n != 1] and shape != (count,):
            raise ValueError(
                f"a Bernoulli head needs one number a site, an output of shape {('B', *argument.shape)}, "
                f"got {('B', *shape)}"
            )
        m = output.reshape(count, 1)
    else:
        first, last = _axes(shape, sites, head.levels)
        if not first and not last:
            raise ValueError(
                f"a head of {head.levels} levels needs logits of shape {('B', head.levels, *sites)} or "
                f"{('B', *sites, head.levels)}, got {('B', *shape)}"
            )
        tokens = argument.integer and len(argument.shape) == 1
        rows = last and (tokens or not first)
        m = output.reshape(count, -1) if rows else output.reshape(-1, count).permute(1, 0)
    if m.meta is None and not (m.addr > 0).any():
        raise UnsupportedOpError("the model's output does not depend on its input")
    value, table, channel = lowering.views.block(m)
    entry: dict[str, Any] = {"kind": "categorical", "value": value, "table": table, "channel": channel}
    if isinstance(head, Bernoulli):
        return {**entry, "kind": "bernoulli", "probs": head.probs}
    return {**entry, "levels": head.levels}


def _axes(shape: Sequence[int], sites: tuple[int, ...], levels: int) -> tuple[bool, bool]:
    """Whether the logits of an output of this shape can lie on axis 1, and on the last axis."""
    shape, count = tuple(shape), int(np.prod(sites))
    first = shape in ((levels, *sites), (levels, 1, *sites), (1, levels, *sites), (levels, count))
    last = shape in ((*sites, levels), (1, *sites, levels), (*sites, 1, levels), (count, levels))
    return first, last


__all__ = ["export"]
