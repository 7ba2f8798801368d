"""The Graph of docs/format.md while it is being built: values, nodes, tables and weights, each stored once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import UnsupportedOpError
from .record import place

DIRECT = -1
MAX_VALUES = 1 << 20
MAX_POSITIONS = 1 << 24
MAX_CHANNELS = 1 << 20
MAX_ELEMENTS = 1 << 28


def identity(length: int) -> np.ndarray:
    return np.arange(length, dtype=np.int32)


def needs_no_table(table: np.ndarray, source: int) -> bool:
    """Whether a table is what DIRECT means for a source of so many positions."""
    if source == 1:
        return not table.any()
    return len(table) == source and np.array_equal(table, identity(source))


@dataclass
class Graph:
    """A graph under construction.

    `values` are (positions, channels); `tables` int32 arrays of positions with the size of their source; `weights`
    float32 arrays. `nodes` are the dictionaries of docs/format.md. `place` is the module path and source line given to
    new nodes.
    """

    values: list[tuple[int, int]] = field(default_factory=list)
    tables: list[np.ndarray] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)  # positions of each table's source
    weights: list[np.ndarray] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    grids: dict[int, set[tuple[int, int]]] = field(default_factory=dict)  # positions -> the H × W they may be
    place: tuple[str, str] = ("", "")
    _tables: dict[Any, int] = field(default_factory=dict)
    _weights: dict[bytes, int] = field(default_factory=dict)
    _nodes: dict[str, int] = field(default_factory=dict)

    def value(self, positions: int, channels: int) -> int:
        """A new value."""
        too_big = positions > MAX_POSITIONS or channels > MAX_CHANNELS or positions * channels > MAX_ELEMENTS
        if too_big or len(self.values) >= MAX_VALUES:
            raise UnsupportedOpError(
                f"{self.where()} makes a value of {positions} positions × {channels} channels, beyond "
                "the limits of docs/format.md"
            )
        self.values.append((int(positions), int(channels)))
        return len(self.values) - 1

    def where(self) -> str:
        return place(*self.place)

    def grid(self, *shape: int) -> None:
        """Remember that positions may form a grid of this shape, its last axis running fastest."""
        width = shape[-1] if shape else 1
        total = int(np.prod(shape, dtype=np.int64))
        self.grids.setdefault(total, set()).add((total // max(width, 1), width))

    def table(self, table: np.ndarray | None, value: int) -> int:
        """The index of a position table into `value`, DIRECT where the format needs none."""
        if table is None:
            return DIRECT
        source = self.values[value][0]
        if needs_no_table(table, source):
            return DIRECT
        return self.numbers(table, source)

    def numbers(self, table: np.ndarray, source: int) -> int:
        """The index of a table of numbers below `source`, of any numbers if it is 0."""
        table = np.ascontiguousarray(table, np.int32)
        key = (source, table.tobytes())
        if key not in self._tables:
            self._tables[key] = len(self.tables)
            self.tables.append(table)
            self.sources.append(source)
        return self._tables[key]

    def final_table(self, table: np.ndarray, source: int, direct: bool = True) -> int:
        """The index of a table in a pruned graph, DIRECT where `direct` allows it and the format needs none."""
        if direct and needs_no_table(table, source):
            return DIRECT
        known = (i for i, t in enumerate(self.tables) if self.sources[i] == source and np.array_equal(t, table))
        found = next(known, len(self.tables))
        if found == len(self.tables):
            self.tables.append(np.ascontiguousarray(table, np.int32))
            self.sources.append(source)
        return found

    def weight(self, data: np.ndarray) -> int:
        """The index of a constant array."""
        data = np.ascontiguousarray(data, np.float32).reshape(-1)
        if not np.isfinite(data).all():
            raise ValueError(f"a constant or weight used in {self.where()} is not finite in float32")
        key = hashlib.blake2b(data.data, digest_size=20).digest() + len(data).to_bytes(8, "little")
        if key not in self._weights:
            self._weights[key] = len(self.weights)
            self.weights.append(data)
        return self._weights[key]

    def node(self, kind: str, positions: int, channels: int, **fields: Any) -> int:
        """The value of a node; an equal node that exists already is used again."""
        key = json.dumps([kind, positions, channels, fields], sort_keys=True)
        if key not in self._nodes:
            self._nodes[key] = self.write(self.value(positions, channels), kind, **fields)
        return self._nodes[key]

    def write(self, out: int, kind: str, **fields: Any) -> int:
        """A node that writes a given value, which earlier nodes may have read with delay; the value."""
        name, source = self.place
        self.nodes.append({"kind": kind, "out": out, **fields, "name": name, "source": source})
        return out

    def const(self, data: np.ndarray) -> int:
        """The value of a constant of shape (positions, channels)."""
        return self.node("const", *data.shape, data=self.weight(data))


def sources_of(node: dict[str, Any]) -> list[list[int]]:
    """The arrays `[value, table, …]` of everything a node reads; changing one changes the node."""
    if node["kind"] in ("lookup", "row"):
        return [node["in"]]
    if node["kind"] == "attend":
        return [node["q"], node["k"], node["v"]]
    return node.get({"gemm": "segments", "map": "args", "copy": "blocks"}.get(node["kind"], ""), [])


WEIGHT_FIELDS = ("data", "weight", "bias")


def prune(
    graph: Graph, roots: list[list[int]], inputs: int, weights: list[int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Drop dead nodes and renumber values, tables and weights.

    Parameters
    ----------
    graph : Graph
        Changed in place.
    roots : list of [value, table, …]
        What must live on; changed in place.
    inputs : int
        How many first values are the input and the conditions, which stay.
    weights, tables : list of int
        Weights that must live on beside those of live nodes.

    Returns
    -------
    (values, weights)
        Maps of old to new indices.
    """
    producers = {node["out"]: node for node in graph.nodes}
    waiting = {root[0] for root in roots}
    live: set[int] = set()
    while waiting:  # not one sweep backwards: delayed reads lead forwards
        value = waiting.pop()
        live.add(value)
        if value in producers:
            waiting.update(source[0] for source in sources_of(producers[value]) if source[0] not in live)
    graph.nodes = [node for node in graph.nodes if node["out"] in live]
    order = [*range(inputs), *(node["out"] for node in graph.nodes)]
    values = {old: new for new, old in enumerate(order)}
    graph.values = [graph.values[old] for old in order]
    used_tables: dict[int, int] = {DIRECT: DIRECT}
    used_weights: dict[int, int] = {DIRECT: DIRECT}
    for source in [s for node in graph.nodes for s in sources_of(node)] + roots:
        source[0] = values[source[0]]
        source[1] = used_tables.setdefault(source[1], len(used_tables) - 1)
    for node in graph.nodes:
        if "visible" in node:
            node["visible"] = [used_tables.setdefault(t, len(used_tables) - 1) for t in node["visible"]]
        if "bitmap" in node:
            node["bitmap"] = used_tables.setdefault(node["bitmap"], len(used_tables) - 1)
        node["out"] = values[node["out"]]
        for name in WEIGHT_FIELDS:
            if name in node:
                node[name] = used_weights.setdefault(node[name], len(used_weights) - 1)
    for w in weights:
        used_weights.setdefault(w, len(used_weights) - 1)
    tables = sorted((new, old) for old, new in used_tables.items() if old != DIRECT)
    graph.tables, graph.sources = [graph.tables[old] for _, old in tables], [graph.sources[old] for _, old in tables]
    graph.weights = [graph.weights[old] for _, old in sorted((n, o) for o, n in used_weights.items() if o != DIRECT)]
    # What is known to be there already is known by its new index, or a later pass would be given another array.
    graph._tables = {key: used_tables[old] for key, old in graph._tables.items() if old in used_tables}
    graph._weights = {key: used_weights[old] for key, old in graph._weights.items() if old in used_weights}
    graph._nodes = {}
    return values, used_weights
