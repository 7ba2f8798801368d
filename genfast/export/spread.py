"""The numbers of one position laid out over many: what a linear layer makes for an image, as positions × channels."""

from __future__ import annotations

import numpy as np

from ..reference import unpack
from .contract import pack
from .graph import DIRECT, Graph, identity
from .view import MASK, Rectangle, View
from .views import Views

MAX_FACTOR = 64  # positions that one copy makes of one
ALONG = ("layer_norm", "rms_norm", "softmax", "log_softmax")  # row ops whose channels may come in any order


def spread(views: Views, view: View, axis: int) -> View:
    """The same tensor as positions × channels.

    Parameters
    ----------
    views : Views
    view : View
        Elements of one position of a value.
    axis : int
        The axis that numbers channels; the others number positions.

    Returns
    -------
    View
        A copy, made in steps so that the tables stay small; the numbers are made in its order where their producer can.
    """
    graph = views.graph
    rows = [d for d in range(len(view.shape)) if d != axis]
    layout = Rectangle(rows, [axis], view.shape)
    channels = layout.channels
    order = view.permute(*rows, axis).flat() & MASK
    value = reordered(graph, view.value, order)
    if value is None:
        return layout.view(views.copy(view.permute(*rows, axis).addr.reshape(-1, channels).contiguous().numpy()))
    positions, width = 1, layout.positions * channels
    for factor in factors(layout.positions):
        width //= factor
        place = np.arange(positions * factor)
        blocks = []
        for r in range(factor):
            table = np.where(place % factor == r, place // factor, -1).astype(np.int32)
            blocks.append([value, graph.table(table, value), r * width, width, 0])
        positions *= factor
        value = graph.node("copy", positions, width, blocks=blocks, fill=0.0)
    return layout.view(value)


def factors(count: int) -> list[int]:
    """Factors of a count, from 2 to MAX_FACTOR where its prime factors allow it, few."""
    out: list[int] = []
    rest, prime = count, 2
    while rest > 1:
        if prime * prime > rest:
            prime = rest
        while rest % prime == 0:
            rest //= prime
            fits = [i for i, f in enumerate(out) if f * prime <= MAX_FACTOR]
            if fits:
                out[fits[0]] *= prime
            else:
                out.append(prime)
        prime += 1
    return out


def reordered(graph: Graph, value: int, order: np.ndarray) -> int | None:
    """A value of one position that holds channel order[i] of another as its channel i; None where there is none."""
    positions, channels = graph.values[value]
    if positions != 1 or len(order) != channels or len(np.unique(order)) != channels:
        return None
    if np.array_equal(order, identity(channels)):
        return value
    node = next((n for n in graph.nodes if n["out"] == value), None)
    if node is None:
        return None
    place, graph.place = graph.place, (node["name"], node["source"])
    try:
        return _written(graph, node, order)
    finally:
        graph.place = place


def _written(graph: Graph, node: dict, order: np.ndarray) -> int | None:
    channels = len(order)
    if node["kind"] == "const":
        return graph.const(graph.weights[node["data"]][:channels][None, order])
    if node["kind"] == "lookup":
        data = graph.weights[node["data"]].reshape(node["rows"], channels)[:, order]
        return graph.node("lookup", 1, channels, **{"in": node["in"]}, data=graph.weight(data), rows=node["rows"])
    if node["kind"] == "gemm":
        weight = unpack(graph.weights[node["data"]], sum(s[3] for s in node["segments"]), channels)
        bias = node["bias"]
        if bias >= 0:
            bias = graph.weight(np.pad(graph.weights[bias][:channels][order], (0, -channels % 16)))
        segments = [list(s) for s in node["segments"]]
        return graph.node("gemm", 1, channels, segments=segments, data=graph.weight(pack(weight[:, order])), bias=bias)
    if node["kind"] == "row" and node["op"] in ALONG and node["in"][1:3] == [DIRECT, 0]:
        new = reordered(graph, node["in"][0], order)
        if new is None:
            return None
        numbers = {
            name: graph.weight(graph.weights[node[name]][:channels][order]) if node[name] >= 0 else -1
            for name in ("weight", "bias")
        }
        source = [new, DIRECT, 0, channels]
        return graph.node("row", 1, channels, op=node["op"], **{"in": source}, params=node["params"], **numbers)
    if node["kind"] != "map":
        return None
    args = []
    for value, table, first, wide in node["args"]:
        if wide:
            args.append([value, table, first, wide])
            continue
        new = reordered(graph, value, order) if first == 0 and table == DIRECT else None
        if new is None:
            return None
        args.append([new, DIRECT, 0, 0])
    return graph.node("map", 1, channels, op=node["op"], args=args, params=node["params"])
