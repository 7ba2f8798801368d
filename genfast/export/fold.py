"""Affine maps by channel next to a product go into its weights: BatchNorm in eval mode, biases, scales.

A pass over a graph whose dead nodes are pruned; it leaves dead ones behind. Weights are multiplied in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..reference import unpack
from .contract import pack
from .graph import DIRECT, Graph, sources_of

Node = dict[str, Any]


@dataclass
class Affine:
    """x · scale + shift by channel, float64 (C,); x is all channels of the value `source`, at the same positions."""

    source: int
    scale: np.ndarray
    shift: np.ndarray


def affine(graph: Graph, roots: list[list[int]]) -> None:
    """Fold every map that is affine by channel into the product before it, else, where it is exact, into those after.

    Parameters
    ----------
    graph : Graph
        Changed in place.
    roots : list of [value, table, …]
        What else is read from outside.
    """
    _Folding(graph, roots).run()


class _Folding:
    def __init__(self, graph: Graph, roots: list[list[int]]) -> None:
        self.graph = graph
        self.producer = {node["out"]: node for node in graph.nodes}
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for source in sources_of(node):
                self.readers.setdefault(source[0], []).append(node)
        self.roots = roots
        self.kept = {root[0] for root in roots}

    def run(self) -> None:
        for node in list(self.graph.nodes):
            found = self.recognise(node)
            if found is not None and not self.into_before(node, found):
                self.into_after(node, found)

    # -- recognising

    def recognise(self, node: Node) -> Affine | None:
        """What a map does if it is affine by channel with constant numbers, else None."""
        if node["kind"] != "map" or node["op"] not in ("add", "sub", "mul", "div", "madd", "neg"):
            return None
        numbers = [self.constant(arg, node["out"]) for arg in node["args"]]
        free = [i for i, n in enumerate(numbers) if n is None]
        if len(free) != 1 or not self.whole(node["args"][free[0]], node["out"]):
            return None
        zero, one = np.zeros(self.graph.values[node["out"]][1]), np.ones(self.graph.values[node["out"]][1])
        at, others = free[0], [zero + n for n in numbers if n is not None]
        op = node["op"]
        if op == "madd":
            pair = (others[0], others[1]) if at < 2 else (one, others[0] * others[1])
        elif op == "div":
            if at == 1 or not others[0].all():
                return None
            pair = (1 / others[0], zero)
        else:
            pair = {
                "neg": lambda: (-one, zero),
                "add": lambda: (one, others[0]),
                "mul": lambda: (others[0], zero),
                "sub": lambda: (one, -others[0]) if at == 0 else (-one, others[0]),
            }[op]()
        return Affine(node["args"][at][0], *pair)

    def constant(self, arg: list[int], out: int) -> np.ndarray | None:
        """The numbers (C,) or (1,) of an operand that is the same constant at all positions."""
        value, _, first, wide = arg
        node = self.producer.get(value)
        if node is None or node["kind"] != "const":
            return None
        positions, channels = self.graph.values[value]
        data = self.graph.weights[node["data"]][: positions * channels].reshape(positions, channels)
        if (data != data[:1]).any():
            return None
        count = 1 if wide else self.graph.values[out][1]
        return data[0, first : first + count].astype(np.float64)

    def whole(self, arg: list[int], out: int) -> bool:
        """Whether an operand is a value as it lies."""
        value, table, first, wide = arg
        return table == DIRECT and first == 0 and not wide and self.graph.values[value] == self.graph.values[out]

    # -- folding

    def into_before(self, node: Node, what: Affine) -> bool:
        """Into the product that writes what the map reads, or into those whose channels a copy puts side by side."""
        products = self.products(what.source)
        if products is None:
            return False
        scaled = [self.scaled(gemm, what.scale[a:b], what.shift[a:b]) for gemm, a, b in products]
        new = [fields for fields in scaled if fields is not None]
        if len(new) < len(scaled):
            return False
        for (gemm, _, _), fields in zip(products, new, strict=True):
            gemm.update(fields)
        self.replace(node, what.source)
        return True

    def products(self, value: int) -> list[tuple[Node, int, int]] | None:
        """(gemm, first channel, end) of those that make up a value that nothing else reads."""
        node = self.producer.get(value)
        if node is None or value in self.kept or len(self.readers[value]) != 1:
            return None
        if node["kind"] == "gemm":
            return [(node, 0, self.graph.values[value][1])]
        if node["kind"] != "copy":
            return None
        found: list[tuple[Node, int, int]] = []
        covered = 0
        for source, table, first, count, start in node["blocks"]:
            gemm = self.producer.get(source)
            if gemm is None or gemm["kind"] != "gemm" or source in self.kept or len(self.readers[source]) != 1:
                return None
            same = self.graph.values[source] == (self.graph.values[value][0], count)
            if not same or table != DIRECT or first != 0 or start != covered:
                return None
            found.append((gemm, start, start + count))
            covered += count
        return found if covered == self.graph.values[value][1] else None

    def scaled(self, gemm: Node, scale: np.ndarray, shift: np.ndarray) -> Node | None:
        """New `data` and `bias` of a product whose results are scaled and shifted; None where they overflow."""
        weight = self.weight_of(gemm).astype(np.float64)
        with np.errstate(over="ignore"):
            weight = (weight * scale).astype(np.float32)
            bias = (self.bias_of(gemm) * scale + shift).astype(np.float32)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            return None
        return {"data": self.graph.weight(pack(weight)), "bias": self.packed(bias)}

    def into_after(self, node: Node, what: Affine) -> None:
        """Into the products that read the map, where all of them read it at every position.

        A padded convolution reads zeros outside, which a shift would change.
        """
        out = node["out"]
        readers = self.readers.get(out, [])
        if out in self.kept or not readers or any(r["kind"] != "gemm" for r in readers):
            return
        graph = self.graph
        segments = [s for r in readers for s in r["segments"] if s[0] == out]
        padded = any(s[1] != DIRECT and (graph.tables[s[1]] < 0).any() for s in segments)
        if (padded and what.shift.any()) or not what.scale.all():
            return
        changes = []
        for gemm in {id(r): r for r in readers}.values():
            weight = self.weight_of(gemm).astype(np.float64)
            bias, row = self.bias_of(gemm), 0
            for value, _, first, count, _ in gemm["segments"]:
                if value == out:
                    bias = bias + what.shift[first : first + count] @ weight[row : row + count]
                    weight[row : row + count] *= what.scale[first : first + count, None]
                row += count
            with np.errstate(over="ignore"):
                weight, bias = weight.astype(np.float32), bias.astype(np.float32)
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                return
            changes.append((gemm, {"data": graph.weight(pack(weight)), "bias": self.packed(bias)}))
        for gemm, fields in changes:
            gemm.update(fields)
        for segment in segments:
            segment[0] = what.source
        self.readers[what.source] = [r for r in self.readers[what.source] if r is not node] + readers
        self.readers[out] = []

    def replace(self, node: Node, value: int) -> None:
        """Readers of a map read what it reads instead."""
        out = node["out"]
        self.readers[value] = self.readers.pop(out, [])
        for reader in self.readers[value]:
            for source in sources_of(reader):
                if source[0] == out:
                    source[0] = value
        for root in self.roots:
            if root[0] == out:
                root[0] = value
                self.kept.add(value)

    # -- weights

    def weight_of(self, gemm: Node) -> np.ndarray:
        rows = sum(s[3] for s in gemm["segments"])
        return unpack(self.graph.weights[gemm["data"]], rows, self.graph.values[gemm["out"]][1])

    def bias_of(self, gemm: Node) -> np.ndarray:
        width = self.graph.values[gemm["out"]][1]
        if gemm["bias"] < 0:
            return np.zeros(width)
        return self.graph.weights[gemm["bias"]][:width].astype(np.float64)

    def packed(self, bias: np.ndarray) -> int:
        return self.graph.weight(np.pad(bias, (0, -len(bias) % 16))) if bias.any() else -1
