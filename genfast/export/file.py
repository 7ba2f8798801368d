"""Writes a Graph as the bytes of docs/format.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..container import pack
from .graph import Graph


def to_bytes(graph: Graph, description: dict[str, Any]) -> bytes:
    """The file of a pruned graph.

    Parameters
    ----------
    graph : Graph
        Its values, nodes, tables and weights, renumbered.
    description : dict
        The other keys of the JSON: input, conditions, head, order, assumed, meta, producer.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If a number in the graph is not finite.
    """
    tables, stored = _tables(graph)
    content = {"version": 1, "values": graph.values, "tables": tables, "nodes": graph.nodes, **description}
    return pack(content, stored, [w.astype("<f4", copy=False) for w in graph.weights])


def _tables(graph: Graph) -> tuple[list[dict[str, Any]], np.ndarray]:
    entries: list[dict[str, Any]] = []
    stored: list[np.ndarray] = []
    offset = 0
    for table, source in zip(graph.tables, graph.sources, strict=True):
        found = _grid(graph, table, source)
        if found is not None:
            entries.append({"grid": found})
        else:
            entries.append({"offset": offset, "length": len(table)})
            stored.append(table)
            offset += len(table)
    return entries, np.concatenate(stored) if stored else np.zeros(0, np.int32)


def _grid(graph: Graph, table: np.ndarray, source: int) -> list[int] | None:
    """`[H, W, h, w, sy, sx, dy, dx]` if the table is a regular map of grids."""
    if len(table) < 2 or not source:
        return None
    valid = np.flatnonzero(table >= 0)
    if not len(valid):
        return None
    for H, W in sorted(graph.grids.get(len(table), ()), reverse=True) or [(1, len(table))]:
        for h, w in sorted(graph.grids.get(source, ()), reverse=True) or [(1, source)]:
            y, x = np.divmod(valid, W)
            v, u = np.divmod(table[valid], w)
            sy, dy = _affine(y, v)
            sx, dx = _affine(x, u)
            ys, xs = np.arange(H)[:, None] * sy + dy, np.arange(W)[None] * sx + dx
            inside = (ys >= 0) & (ys < h) & (xs >= 0) & (xs < w)
            if np.array_equal(np.where(inside, ys * w + xs, -1).reshape(-1), table):
                return [int(n) for n in (H, W, h, w, sy, sx, dy, dx)]
    return None


def _affine(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Stride and shift with b = a · stride + shift for the first and last distinct a."""
    i, j = int(a.argmin()), int(a.argmax())
    stride = 1 if a[i] == a[j] else max((int(b[j]) - int(b[i])) // int(a[j] - a[i]), 0)
    return stride, int(b[i]) - int(a[i]) * stride
