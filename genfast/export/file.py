"""Writes a Graph as the bytes of docs/format.md."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

from .graph import Graph

ALIGN = 64


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
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    tensors: list[tuple[str, str, int, bytes]] = [
        ("graph", "U8", 1, _padded(text, b" ")),
        ("tables", "I32", 4, _padded(stored.astype("<i4").tobytes() or bytes(ALIGN))),
    ]
    tensors += [(f"weights.{i}", "F32", 4, _padded(w.astype("<f4").tobytes())) for i, w in enumerate(graph.weights)]
    tensors.append(("checksum", "U8", 1, bytes(ALIGN)))
    header: dict[str, Any] = {"__metadata__": {"format": "genfast", "version": "1"}}
    offset = 0
    for name, dtype, item, data in tensors:
        header[name] = {"dtype": dtype, "shape": [len(data) // item], "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-(8 + len(head)) % ALIGN)
    head = len(head).to_bytes(8, "little") + head
    crc = zlib.crc32(head + tensors[0][3] + tensors[1][3])
    return b"".join([head, *(data for _, _, _, data in tensors[:-1]), crc.to_bytes(4, "little").ljust(ALIGN, b"\0")])


def _padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % ALIGN)


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
