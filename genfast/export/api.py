"""The exporter's front door: what the user says about input, head and order becomes the file's description."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from .. import orders
from ..errors import UnsupportedOpError
from ..heads import Categorical
from . import feedforward, inputs, masked, sites
from .columns import in_order
from .exported import Exported
from .graph import DIRECT, Graph, identity, prune
from .lower import Lowering, lowers
from .probe import Argument, Probe, default_levels, read_example, record, verify
from .record import Recording
from .sites import Sites
from .view import View

ALIGNMENTS = ("infer", "same", "next")


@torch.inference_mode(False)  # inside it, composite ops reach the tracer whole
@torch.no_grad()
def lower(
    model: Callable[..., Any],
    example: Any,
    head: Any = None,
    order: Any = "raster",
    name: str | None = None,
    alignment: str = "infer",
    bos: int = 0,
    meta: Mapping[str, Any] | None = None,
    latent: Any = None,
) -> Exported:
    """Lower a causal PyTorch model to a graph whose alignment and order may still be open; or, with `latent`, a
    feed-forward one (see `feedforward.lower`).

    Parameters
    ----------
    model : torch.nn.Module or callable
        Called as ``model(x, *conditions)``, or with the example's keywords, in the state it is in; call ``eval()``
        first if it has dropout or BatchNorm. Its parameters are left as they are, but for what its forward itself does
        to them.
    example : array_like, tuple of array_like, or dict of str to array_like
        One input batch, torch tensor or numpy array: (B, C, H, W), (B, C, L), (B, H, W) or (B, T), of floats (what the
        network is fed) or integers. In a tuple, the further entries are conditions known before sampling, (B,), (B, D)
        or (B, C, H, W), named by the parameters of ``forward``; a dict passes its entries by keyword, in which order
        the input comes first. Entries that are not arrays are passed on as they are.
        (B, C, L) is told from (B, H, W) by a 1-d convolution that reads it, by ``order="subpixel"`` or by the head's
        layout.
    head : genfast.heads head, optional
        What the network's output means. The numbers of a site lie on axis 1, (B, N, H, W), (B, N, C, H, W),
        (B, C, N, H, W) or (B, N, T), or on the last axis, (B, H, W, N), (B, C, H, W, N), (B, H, W, C, N) or (B, T, N);
        where both fit, images use axis 1 and integer tokens the last. Where one axis holds C * N numbers, the head's
        layout divides it. None: a Categorical over the last axis, for integer tokens (B, T).
    order : str or array_like of int
        The order of sampling; see `genfast.orders.resolve`.
    name : str, optional
        Kept in the file's ``meta``.
    meta : mapping from str to JSON, optional
        What else the file's ``meta`` says.
    latent : distribution or "given", optional
        For a feed-forward model: what its input is drawn from. `head`, `order`, `alignment` and `bos` stay unset.
    alignment : "infer", "same" or "next"
        Whether the output at p predicts site p, or the site after it in the input's own order.
    bos : int
        With alignment "next": the level of the first site, which nothing predicts.

    Returns
    -------
    Exported

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
    if latent is not None:
        plain = isinstance(order, str) and order == "raster"
        if head is not None or not plain or alignment not in ("infer", "same") or bos != 0:
            raise ValueError("latent= is for feed-forward models, which have no head, order, alignment or bos")
        return feedforward.lower(model, example, latent, name, meta)
    _check_alignment(alignment)
    model = getattr(model, "_orig_mod", model)
    inputs.check_parameters(model)
    call = read_example(model, example)
    arguments = call.arguments
    x = arguments[0]
    if head is None:
        head = Categorical(default_levels(model, call))
    if isinstance(head, type) or not hasattr(head, "entry"):
        got = f"the class {head.__name__}: call it" if isinstance(head, type) else type(head).__name__
        raise TypeError(f"head must be one of genfast.heads, got {got}")
    _check_vocabulary(meta, head.levels)
    values = _fed(head, x)
    layout = getattr(head, "layout", None)
    said = layout is not None or (isinstance(order, str) and order == "subpixel")
    grid = sites.of_input(x.shape, said)
    per = grid.flat() if head.by_position else grid
    probe = Probe(model, call, values, per.count * head.channels(grid.channels))
    recording = record(probe, lowers)
    grid = sites.of_input(x.shape, said or sites.reads_channels(recording))
    layout = "interleaved" if probe.stacked else layout
    resolved = orders.resolve(order, grid.space, grid.channels)

    graph = Graph()
    lowering = Lowering(recording, graph)
    for argument, tensor in zip(arguments, recording.inputs, strict=True):
        lowering.env[tensor] = _input_view(lowering, argument, grid)
    output = lowering.run()
    verify(probe, recording)
    graph.place = ("", "the output")
    entry, table = _head(lowering, head, output, x, grid, layout)

    levels = [] if values is None else [graph.weight(values)]
    root = [entry["value"], DIRECT]
    _, weights = prune(graph, [root], len(arguments), levels)
    entry.update(value=root[0], **({"values": weights[levels[0]]} if levels else {}))
    description = {
        "producer": inputs.PRODUCER,
        "input": inputs.input_entry(x),
        "conditions": [inputs.condition_entry(i, a) for i, a in enumerate(arguments) if i],
        "meta": {**(meta or {}), **({} if name is None else {"name": name})},
    }
    either = alignment == "infer" and _tokens(x) and entry["kind"] == "categorical"
    if either:
        own = _sees_itself(probe, recording, lambda out: _numbers(head, out, x, grid, layout))
        alignments = ("next",) if own else ("same", "next")
    else:
        alignments = ("same" if alignment == "infer" else alignment,)
    exported = Exported(
        graph, grid, entry, table, resolved, description, recording.assumed, alignments, either, _check_bos(bos, x)
    )
    if alignment == "next":
        exported.check_next()
    return exported


def export(
    model: Callable[..., Any],
    example: Any,
    head: Any = None,
    order: Any = "raster",
    name: str | None = None,
    alignment: str = "same",
    bos: int = 0,
) -> bytes:
    """The `.genfast` file of a model for a known alignment and order; arguments and errors are those of `lower`.

    Whether it is causal is not asked; an order to be inferred is left at raster.
    """
    return lower(model, example, head, order, name, alignment, bos).to_bytes(alignment)


def _check_alignment(alignment: str) -> None:
    if alignment not in ALIGNMENTS:
        raise ValueError(f"alignment must be one of {', '.join(map(repr, ALIGNMENTS))}, got {alignment!r}")


def _check_bos(bos: Any, argument: Argument) -> int:
    try:
        level = operator.index(bos)
    except TypeError:
        raise TypeError(f"bos must be an integer, got {type(bos).__name__}") from None
    if isinstance(bos, bool) or not 0 <= level < argument.size:
        raise ValueError(f"bos must be a level from 0 to {argument.size - 1}, got {bos}")
    return level


def _check_vocabulary(meta: Mapping[str, Any] | None, levels: int | None) -> None:
    """Raises ValueError where some level would have no text."""
    vocabulary = (meta or {}).get("vocabulary")
    if levels is None or not isinstance(vocabulary, str | list | tuple) or len(vocabulary) >= levels:
        return
    raise ValueError(
        f"meta: the vocabulary has {len(vocabulary)} entries, and the head {levels} levels: give one entry a level, '' "
        "for those without text"
    )


def _input_view(lowering: Lowering, argument: Argument, grid: Sites) -> View:
    """A new value for the sites or, after it, a condition, and where the elements of its tensor lie in it."""
    if lowering.graph.values:
        return inputs.condition_view(lowering, argument)
    value = lowering.graph.value(grid.positions, grid.channels)
    lowering.graph.grid(*grid.space)
    return inputs.placed(lowering, value, argument.shape)


def _fed(head: Any, argument: Argument) -> np.ndarray | None:
    """What the network is fed for each level; None for a head without levels, which feeds what it draws."""
    return None if head.levels is None else head.fed(argument.integer)


def _tokens(argument: Argument) -> bool:
    return argument.integer and len(argument.shape) == 1


def _numbers(head: Any, output: Any, argument: Argument, grid: Sites, layout: str | None) -> Any:
    """The head's matrix (sites, numbers) of an output of one row, a view or a tensor."""
    numbers, per = head.channels(grid.channels), grid.flat() if head.by_position else grid
    categorical = isinstance(head, Categorical)
    what = f"a head of {numbers} levels" if categorical else f"a {type(head).__name__} head"
    return sites.gather(output, per, numbers, _tokens(argument), layout, what)


def _head(
    lowering: Lowering, head: Any, output: View, argument: Argument, grid: Sites, layout: str | None
) -> tuple[dict[str, Any], np.ndarray]:
    """The head's entry, its matrix copied together where it cannot be read in place, and its table."""
    graph = lowering.graph
    if masked.where(lowering.views, output) is not None:
        raise UnsupportedOpError("the output is -inf somewhere, whatever the input: fill it with -1e9 instead")
    m = in_order(graph, _numbers(head, output, argument, grid, layout), 1 if head.by_position else grid.channels)
    if m.meta is None and not (m.addr > 0).any():
        raise UnsupportedOpError("the model's output does not depend on its input")
    value, table, channel = lowering.views.block(m)
    count = m.shape[0]
    broadcast = np.zeros(count, np.int32) if graph.values[value][0] == 1 else identity(count)
    where = broadcast if table == DIRECT else graph.tables[table]
    return {**head.entry(grid.channels), "value": value, "channel": channel}, where


def _sees_itself(probe: Probe, recording: Recording, numbers: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    """Whether the output at some token changes with that token: then it cannot be what predicts it.

    One token is tried, which spares most models of text the planning of the alignment that they do not have; a token
    that changes nothing proves nothing.
    """
    tensors = probe.draw(1)
    other = [tensors[0].clone(), *tensors[1:]]
    middle = tensors[0].shape[1] // 2
    other[0][0, middle] = int(tensors[0][0, middle] == 0)
    a, b = (numbers(recording.replay(t))[middle] for t in (tensors, other))
    return not torch.equal(a, b)


__all__ = ["Exported", "export", "lower"]
