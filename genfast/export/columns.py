"""A product whose columns come in the order in which the head reads them."""

from __future__ import annotations

import numpy as np
import torch

from ..reference import unpack
from .contract import pack
from .graph import Graph
from .view import MASK, SHIFT, View


def in_order(graph: Graph, m: View, channels: int) -> View:
    """The numbers of each site side by side, so that one block of channels holds them.

    Where they lie scattered, level by level with the channels within, the product that made them is written again with
    its columns sorted; anything else stays as it is.

    Parameters
    ----------
    graph : Graph
    m : View
        (sites, numbers), the sites channel by channel.
    channels : int
        Channels of the input.
    """
    if m.meta is not None or channels == 1:
        return m
    addr = m.addr.numpy().reshape(channels, -1, m.shape[1])
    value = int(addr.flat[0] >> SHIFT) - 1
    if value < 0 or (addr >> SHIFT != value + 1).any() or (np.diff(addr[:, 0]) == 1).all():
        return m
    node = next((n for n in graph.nodes if n["out"] == value), None)
    position, column = np.divmod(addr & MASK, graph.values[value][1])
    regular = not (column != column[:, :1]).any() and not (position != position[:, :, :1]).any()
    if node is None or node["kind"] != "gemm" or not regular:
        return m
    columns = column[:, 0].reshape(-1)
    positions, width = graph.values[value]
    weight = unpack(graph.weights[node["data"]], sum(s[3] for s in node["segments"]), width)
    segments = [list(s) for s in node["segments"]]
    fields = {"segments": segments, "data": graph.weight(pack(weight[:, columns])), "bias": node["bias"]}
    if node["bias"] >= 0:
        bias = graph.weights[node["bias"]][:width][columns]
        fields["bias"] = graph.weight(np.pad(bias, (0, -len(bias) % 16)))
    graph.place = node["name"], node["source"]
    out = graph.node("gemm", positions, len(columns), **fields)
    place = np.arange(len(columns)).reshape(channels, 1, -1) + position * len(columns)
    return View(torch.from_numpy((((out + 1) << SHIFT) | place).reshape(m.shape)))
