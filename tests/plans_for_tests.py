"""Small graphs and a slow planner: sets of sites instead of readiness, a simulated arena instead of lifetimes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from file_for_tests import File, node, pack_gemm

from genfast._core import read_graph_summary


@dataclass
class Builder:
    """A graph of docs/format.md in the making; `positions` and `channels` are those of value 0."""

    rng: np.random.Generator
    positions: int
    channels: int
    values: list[tuple[int, int]] = field(default_factory=list)
    tables: list[np.ndarray] = field(default_factory=list)
    weights: list[np.ndarray] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    matrices: dict[int, np.ndarray] = field(default_factory=dict)  # of gemms, by their value

    def table(self, entries: np.ndarray) -> int:
        self.tables.append(np.asarray(entries, np.int32))
        return len(self.tables) - 1

    def weight(self, data: np.ndarray) -> int:
        self.weights.append(np.asarray(data, np.float32).ravel())
        return len(self.weights) - 1

    def add(self, kind: str, positions: int, channels: int, **fields: Any) -> int:
        self.values.append((positions, channels))
        self.nodes.append(node(kind, len(self.values) - 1, f"{kind}{len(self.nodes)}", **fields))
        return len(self.values) - 1

    def gemm_node(self, out: int, segments: list[list[int]], weight: np.ndarray) -> int:
        self.matrices[out] = weight
        data = self.weight(pack_gemm(weight.astype(np.float32)))
        self.nodes.append(node("gemm", out, f"gemm{len(self.nodes)}", segments=segments, data=data, bias=-1))
        return out

    def file(self, head: dict[str, Any], order: np.ndarray | None) -> File:
        shape = [self.channels, self.positions] if self.channels > 1 else [self.positions]
        graph: dict[str, Any] = {
            "version": 1,
            "producer": "test",
            "values": self.values,
            "input": {"value": 0, "shape": shape, "dtype": "float", "name": "x"},
            "conditions": [{"name": "c", "value": 1, "shape": [3], "dtype": "float"}],
            "nodes": self.nodes,
            "head": head,
            "order": {"kind": "raster"} if order is None else {"kind": "permutation", "table": self.table(order)},
            "assumed": [],
            "meta": {},
        }
        begin = np.cumsum([0, *map(len, self.tables)])
        graph["tables"] = [{"offset": int(b), "length": len(t)} for b, t in zip(begin[:-1], self.tables, strict=True)]
        return File(graph, np.concatenate([*self.tables, np.zeros(1, np.int32)]), self.weights)


class Random(Builder):
    """Adds random nodes. Reads lean to the past, so that the sets of sites do not all become full at once."""

    def source(self) -> int:
        first = max(0, len(self.values) - 5)
        return int(self.rng.integers(first if self.rng.random() < 0.8 else 0, len(self.values)))

    def read(self, value: int, positions: int, outside: bool) -> int:
        """A table by which `positions` positions read a value, or none where none is needed."""
        rng, n = self.rng, self.values[value][0]
        if rng.random() < 0.5 and n in (1, positions):
            return -1
        past = np.arange(positions) * n // positions - rng.integers(0, 3, positions)
        table = np.where(rng.random(positions) < 0.85, past, rng.integers(0, n, positions))
        return self.table(np.clip(table, -1 if outside else 0, n - 1))

    def span(self, value: int) -> tuple[int, int]:
        """First channel and number of channels of a part of a value."""
        channels = self.values[value][1]
        first = int(self.rng.integers(channels))
        return first, int(self.rng.integers(1, channels - first + 1))

    def grid(self) -> int:
        return self.positions if self.rng.random() < 0.7 else int(self.rng.integers(1, 7))

    def gemm(self, positions: int, channels: int, sources: list[tuple[int, int]]) -> int:
        segments, k = [], 0
        for value, table in sources:
            first, count = self.span(value)
            segments.append([value, table, first, count, k])
            k += count
        weight = self.rng.standard_normal((k, channels))
        if self.rng.random() < 0.6:
            weight *= self.rng.random((k, channels)) < 0.6
        self.values.append((positions, channels))
        return self.gemm_node(len(self.values) - 1, segments, weight)

    def any_gemm(self) -> None:
        positions = self.grid()
        sources = [self.source() for _ in range(self.rng.integers(1, 4))]
        self.gemm(positions, int(self.rng.integers(1, 5)), [(v, self.read(v, positions, True)) for v in sources])

    def any_map(self) -> None:
        rng, positions, channels = self.rng, self.grid(), int(self.rng.integers(1, 5))
        args = []
        for value in (self.source(), self.source()):
            broadcast = self.values[value][1] < channels or rng.random() < 0.3
            first = int(rng.integers(self.values[value][1] - (0 if broadcast else channels - 1)))
            args.append([value, self.read(value, positions, False), first, int(broadcast)])
        self.add("map", positions, channels, op="add", args=args, params=[])

    def any_copy(self) -> None:
        rng, positions, channels = self.rng, self.grid(), int(self.rng.integers(1, 5))
        blocks = []
        for _ in range(rng.integers(1, 4)):
            value = self.source()
            first, count = self.span(value)
            count = min(count, channels)
            blocks.append(
                [value, self.read(value, positions, True), first, count, int(rng.integers(channels - count + 1))]
            )
        self.add("copy", positions, channels, blocks=blocks, fill=0)

    def any_row(self) -> None:
        value, positions = self.source(), self.grid()
        first, count = self.span(value)
        op, channels = ("sum", 1) if self.rng.random() < 0.5 else ("softmax", count)
        source = [value, self.read(value, positions, False), first, count]
        self.add("row", positions, channels, op=op, **{"in": source}, params=[], weight=-1, bias=-1)

    def any_lookup(self) -> None:
        value, positions = self.source(), self.grid()
        source = [value, self.read(value, positions, False), self.span(value)[0]]
        self.add("lookup", positions, 2, **{"in": source}, data=self.weight(np.ones((3, 2))), rows=3)

    def any_const(self) -> None:
        self.add("const", 1, 2, data=self.weight(np.ones(2)))

    def any_attend(self) -> None:
        rng, positions = self.rng, self.grid()
        q, k, v = self.source(), self.source(), self.source()
        keys = int(self.values[k][0]) if rng.random() < 0.6 else int(rng.integers(1, 40))
        tables = []
        for value in (k, v):
            direct = self.values[value][0] == keys and rng.random() < 0.5
            tables.append(-1 if direct else self.table(rng.integers(0, self.values[value][0], keys)))
        fields: dict[str, Any] = {}
        last = (np.arange(positions) + rng.integers(0, 2)) * keys // positions
        if rng.random() < 0.5:
            begin = last - rng.integers(0, keys + 1, positions) if rng.random() < 0.5 else np.zeros(positions)
            fields["visible"] = [self.table(np.clip(begin, 0, last)), self.table(last)]
        else:
            see = (np.arange(keys) < last[:, None]) & (rng.random((positions, keys)) < 0.7)
            words = np.zeros((positions, -(-keys // 32) * 32), np.uint8)
            words[:, :keys] = see
            fields["bitmap"] = self.table(np.packbits(words, axis=1, bitorder="little").view(np.int32).ravel())
        one = lambda value, table: [value, table, int(rng.integers(self.values[value][1])), 0]
        self.add(
            "attend",
            positions,
            1,
            q=one(q, self.read(q, positions, False)),
            k=one(k, tables[0]),
            v=one(v, tables[1]),
            heads=1,
            kv_heads=1,
            dim=1,
            dim_v=1,
            keys=keys,
            scale=1.0,
            bias=-1,
            **fields,
        )

    def any_loop(self) -> None:
        """A state copied from positions before, mixed with something new: one to three nodes, the first looks back."""
        rng, positions = self.rng, self.positions
        before = np.arange(positions) - (1 if rng.random() < 0.5 else rng.integers(1, 4, positions))
        table, new = self.table(np.maximum(before, -1)), self.source()
        if rng.random() < 0.3:
            out = len(self.values)
            self.values.append((positions, 2))  # read by its own node
            self.mixing_gemm(out, [[out, table, 0, 2, 0], [new, self.read(new, positions, True), 0, 1, 2]])
            return
        state, mixed = len(self.values), len(self.values) + 1
        last = mixed + (rng.random() < 0.5)
        self.add("copy", positions, 2, blocks=[[last, table, 0, 2, 0]], fill=0)
        self.values.append((positions, 2))
        self.mixing_gemm(mixed, [[state, -1, 0, 2, 0], [new, self.read(new, positions, True), 0, 1, 2]])
        if last > mixed:
            args = [[mixed, -1, 0, 0], [state, -1, 0, int(rng.random() < 0.5)]]
            self.add("map", positions, 2, op="mul", args=args, params=[])

    def mixing_gemm(self, out: int, segments: list[list[int]]) -> None:
        weight = self.rng.standard_normal((sum(s[3] for s in segments), 2))
        if self.rng.random() < 0.5:
            weight *= np.array([[1, 0], [0, 1], [0, 1]])  # channels that stay apart
        self.gemm_node(out, segments, weight)


def random_graph(seed: int, kind: type[Random] = Random) -> tuple[Random, np.ndarray | None]:
    """A builder without a head, and an order (None for raster)."""
    rng = np.random.default_rng(seed)
    b = kind(rng, int(rng.integers(1, 9)), int(rng.integers(1, 4)))
    b.values = [(b.positions, b.channels), (1, 3)]
    add = [b.any_gemm, b.any_map, b.any_copy, b.any_row, b.any_lookup, b.any_const, b.any_attend, b.any_loop]
    for _ in range(rng.integers(2, 10)):
        add[rng.choice(len(add), p=[0.3, 0.15, 0.1, 0.05, 0.05, 0.05, 0.15, 0.15])]()
    sites = b.positions * b.channels
    return b, (rng.permutation(sites) if rng.random() < 0.5 else None)


def attach_head(b: Random, order: np.ndarray | None, causal: bool) -> File:
    """A file whose head is causal by construction, or reads anywhere."""
    rng, (P, C) = b.rng, (b.positions, b.channels)
    kind = rng.choice(["categorical", "logistic_mixture"], p=[0.75, 0.25])
    value = len(b.values) - 1
    if rng.random() < 0.5:  # an output after everything
        b.gemm(P, 3, [(v, b.read(v, P, True)) for v in {value, b.source()}])
        value += 1
    mixture = kind == "logistic_mixture"
    channels = 1 + 2 * C if mixture else 2
    if b.values[value][1] < channels:
        repeat = [[value, -1, 0, 1, c] for c in range(channels)]
        value = b.add("copy", b.values[value][0], channels, blocks=repeat, fill=0)
    head: dict[str, Any] = {"kind": kind, "value": value, "table": -1, "channel": 0}
    if mixture:
        head |= {"components": 1, "coupled": False, "low": -1, "high": 1, "levels": 2, "values": b.weight([-1, 1])}
    else:
        head |= {"levels": 2, "values": b.weight([0, 1])}
    n = b.values[value][0]
    head["table"] = b.table(rng.integers(0, n, P if mixture else P * C))
    summary = read_graph_summary(b.file(head, order).bytes())
    if not causal:
        return b.file(head, order)
    slow = Slow(summary, b.matrices)
    table, before = np.zeros(P if mixture else P * C, np.int64), 0
    for site in summary["order"]:
        draw = slow.draw(site)
        if not (before >> slow.sites_of(draw)[0]) & 1:
            seen = [slow.head_mask(q) for q in range(n)]
            legal = [q for q in range(n) if not seen[q] & ~before]
            if not legal and mixture:  # a mixture's sites all have a distribution
                return attach_head(b, order, False)
            most = max((bin(seen[q]).count("1") for q in legal), default=0)
            best = [q for q in legal if bin(seen[q]).count("1") == most]
            table[draw] = rng.choice(best) if best and (mixture or rng.random() < 0.95) else -1
        if mixture:
            before |= sum(1 << s for s in slow.sites_of(draw))
        else:
            before |= 1 << site
    head["table"] = b.table(table)
    return b.file(head, order)


class Slow:
    """What depends on what in a graph, element by element: (value, position, channel) -> sites, as bits of an int."""

    def __init__(self, summary: dict[str, Any], matrices: dict[int, np.ndarray]):
        self.g, self.matrices = summary, matrices
        self.values, self.tables, self.nodes = summary["values"], summary["tables"], summary["nodes"]
        self.P, self.C = self.values[0][:2]
        self.sites = self.P * self.C
        self.by_position = summary["head"]["kind"] == "logistic_mixture"
        self.masks: dict[tuple[int, int, int], int] = {}

    def draw(self, site: int) -> int:
        return site % self.P if self.by_position else site

    def sites_of(self, draw: int) -> list[int]:
        return [c * self.P + draw for c in range(self.C)] if self.by_position else [draw]

    def draws(self) -> int:
        return self.P if self.by_position else self.sites

    def at(self, source: tuple, p: int) -> int:
        value, table = source[:2]
        if table >= 0:
            return self.tables[table][p]
        return 0 if self.values[value][0] == 1 else p

    def head_position(self, draw: int) -> int:
        return self.at((self.g["head"]["value"], self.g["head"]["table"]), draw)

    def visible(self, n: dict[str, Any], p: int) -> list[int]:
        *_, keys, _, begin, end, bitmap = n["attention"]
        if bitmap < 0:
            return list(range(self.tables[begin][p], self.tables[end][p]))
        words = -(-keys // 32)
        table = self.tables[bitmap]
        return [j for j in range(keys) if (table[p * words + j // 32] & 0xFFFFFFFF) >> (j % 32) & 1]

    def reads(self, v: int, p: int, c: int) -> list[tuple[int, int, int]]:
        """The elements that an element of a node's value reads."""
        n = self.nodes[self.values[v][2]]
        found = []
        for i, s in enumerate(n["sources"]):
            value, _, c0, count, offset, broadcast = s
            k = sum(before[3] for before in n["sources"][:i])
            if n["kind"] == "attend":
                positions = (
                    [self.at(s, p)]
                    if i == 0
                    else [self.tables[s[1]][j] if s[1] >= 0 else j for j in self.visible(n, p)]
                )
                found += [(value, q, c0 + j) for q in positions for j in range(count)]
                continue
            q = self.at(s, p)
            if q < 0:
                continue
            if n["kind"] == "map":
                found.append((value, q, c0 + (0 if broadcast else c)))
            elif n["kind"] == "copy":
                if offset <= c < offset + count:
                    found.append((value, q, c0 + c - offset))
            elif n["kind"] == "gemm":
                found += [(value, q, c0 + j) for j in range(count) if self.matrices[v][k + j, c]]
            else:
                found += [(value, q, c0 + j) for j in range(count)]
        return found

    def mask(self, v: int, p: int, c: int) -> int:
        if v == 0:
            return 1 << (c * self.P + p)
        if self.values[v][2] < 0:
            return 0
        key = (v, p, c)
        if key not in self.masks:
            found = 0
            for element in self.reads(v, p, c):
                found |= self.mask(*element)
            self.masks[key] = found
        return self.masks[key]

    def head_channels(self) -> int:
        return 1 + 2 * self.C if self.by_position else 2

    def head_mask(self, q: int) -> int:
        head, found = self.g["head"], 0
        for c in range(self.head_channels()):
            found |= self.mask(head["value"], q, head["channel"] + c)
        return found


class Unknown:
    """Which draws are to be made, in which steps, by brute force."""

    def __init__(self, slow: Slow, known: set[int], wavefront: bool):
        self.slow, order = slow, slow.g["order"]
        self.given = known | {s for s in range(slow.sites) if slow.head_position(slow.draw(s)) < 0}
        given = sum(1 << s for s in self.given)
        self.masks = {
            d: slow.head_mask(slow.head_position(d)) & ~given
            for d in map(slow.draw, order)
            if slow.head_position(d) >= 0
        }
        self.draws = list(dict.fromkeys(slow.draw(s) for s in order if s not in self.given))
        rank = {d: i for i, d in enumerate(self.draws)}
        self.legal = all(
            not self.masks[slow.draw(s)] and all(e in known for e in slow.sites_of(slow.draw(s)) if e < s)
            for s in known
            if slow.draw(s) in self.masks
        )
        self.causal, self.step = True, {}
        for d in self.draws:
            read = {slow.draw(s) for s in range(slow.sites) if self.masks[d] >> s & 1}
            self.causal &= all(rank[e] < rank[d] for e in read)
            if self.causal:
                self.step[d] = max((1 + self.step[e] for e in read), default=0) if wavefront else rank[d]
        if not self.draws:
            self.draws, self.step = list(self.masks), dict.fromkeys(self.masks, 0)

    def sites(self) -> list[list[int]]:
        steps: list[list[int]] = [[] for _ in range(1 + max(self.step.values(), default=0))]
        for d in self.draws:
            steps[self.step[d]] += self.slow.sites_of(d)
        return steps


class Simulation:
    """Runs a plan without arithmetic: every read must find what it reads, in memory that still holds it."""

    def __init__(self, slow: Slow, plan: dict[str, Any], position_major: bool):
        self.slow, self.plan, self.position_major = slow, plan, position_major
        self.owner = np.full((max(plan["floats_per_row"], 1), 2), -1)
        self.computed: dict[tuple[int, int, int], int] = {}  # element -> the group that made it
        self.place: dict[tuple[int, int], int] = {}  # the position of that group
        self.work, self.group = 0, 0

    def memory(self, v: int, p: int) -> np.ndarray:
        offset = self.plan["offset"][v][p]
        assert offset >= 0 and offset + self.plan["stride"][v] <= self.plan["floats_per_row"]
        return self.owner[offset : offset + self.plan["stride"][v]]

    def write(self, v: int, p: int, channels: list[int]) -> None:
        memory = self.memory(v, p)
        if any((v, p, c) in self.computed for c in range(self.slow.values[v][1])):
            assert (memory == (v, p)).all(), "another class of the value was overwritten"
        memory[:] = v, p
        for c in channels:
            self.computed[v, p, c] = self.group

    def check_read(self, element: tuple[int, int, int], p: int, alone: bool) -> None:
        v, q, _ = element
        producer = self.slow.values[v][2]
        if producer >= 0 and self.slow.nodes[producer]["kind"] == "const":
            return
        assert element in self.computed, f"{element} is read before it is there"
        if self.computed[element] == self.group:
            assert alone or q == p, f"{element} is read by another position of its group"
        assert (self.memory(v, q) == (v, q)).all(), f"the memory of {element} is used again too early"

    def run_task(self, task: tuple[int, int], p: int, alone: bool) -> None:
        n, ranges = self.slow.nodes[task[0]], self.plan["classes"][task[0]][task[1]]
        v, channels = n["out"], [c for begin, end in ranges for c in range(begin, end)]
        reads = {e for c in channels for e in self.slow.reads(v, p, c)}
        for element in reads:
            self.check_read(element, p, alone)
        assert (v, p, channels[0]) not in self.computed, "computed twice"
        self.write(v, p, channels)
        if n["kind"] == "gemm":
            self.work += len(channels) * self.used_rows(n, channels)
        if n["kind"] == "attend":
            heads, _, dim, *_ = n["attention"]
            self.work += heads * (dim + n["attention"][3]) * len(self.slow.visible(n, p))

    def used_rows(self, n: dict[str, Any], channels: list[int]) -> int:
        """Rows of K whose class of channels, read through the segment's table, some column uses."""
        row, classes, used = 0, [], set()
        for value, table, c0, count, *_ in n["sources"]:
            for j in range(count):
                classes.append((value, table, self.class_of(value, c0 + j)))
                if any(self.slow.matrices[n["out"]][row, c] for c in channels):
                    used.add(classes[-1])
                row += 1
        return sum(cls in used for cls in classes)

    def class_of(self, value: int, channel: int) -> int:
        producer = self.slow.values[value][2]
        if producer < 0:
            return channel if value == 0 else 0
        return next(
            i for i, r in enumerate(self.plan["classes"][producer]) if any(begin <= channel < end for begin, end in r)
        )

    def run(self) -> None:
        slow, stored = self.slow, self.plan["offset"]
        for p in range(slow.values[1][0]):
            if stored[1][p] >= 0:
                self.write(1, p, [0, 1, 2])
        for site in self.plan["known"]:
            if stored[0][site % slow.P] >= 0:
                self.write(0, site % slow.P, [site // slow.P])
        for groups, sites in self.plan["steps"]:
            for tasks, positions in groups:
                self.group += 1
                alone = len(positions) == 1
                if self.position_major:
                    for p in positions:
                        for task in tasks:
                            self.run_task(task, p, alone)
                else:
                    for task in tasks:
                        for p in positions:
                            self.run_task(task, p, alone)
            self.group += 1
            head = slow.g["head"]
            for site in sites:
                for c in range(slow.head_channels()):
                    self.check_read((head["value"], slow.head_position(slow.draw(site)), head["channel"] + c), -1, True)
            for site in sites:
                self.write(0, site % slow.P, [site // slow.P])
        self.check_nothing_is_wasted()

    def check_nothing_is_wasted(self) -> None:
        """What was computed is what some distribution needs."""
        slow, head = self.slow, self.slow.g["head"]
        todo = [
            (head["value"], slow.head_position(slow.draw(s)), head["channel"] + c)
            for _, sites in self.plan["steps"]
            for s in sites
            for c in range(slow.head_channels())
        ]
        needed = set()
        while todo:
            v, p, c = todo.pop()
            producer = slow.values[v][2]
            if producer < 0 or slow.nodes[producer]["kind"] == "const":
                continue
            cls = (v, p, self.class_of(v, c))
            if cls in needed:
                continue
            needed.add(cls)
            todo += [
                e
                for begin, end in self.plan["classes"][producer][cls[2]]
                for k in range(begin, end)
                for e in slow.reads(v, p, k)
            ]
        computed = {(v, p, self.class_of(v, c)) for v, p, c in self.computed if slow.values[v][2] >= 0}
        assert computed == needed
        assert self.plan["multiply_adds"] == self.work <= self.plan["forward_multiply_adds"]


def transformer(tokens: int, layers: int, width: int = 4, causal: bool = True) -> bytes:
    """A decoder as people build them: output p predicts token p + 1, so token 0 has no distribution."""
    b = Builder(np.random.default_rng(0), tokens, 1)
    b.values = [(tokens, 1), (1, 3)]
    last = np.arange(tokens) + 1 if causal else np.full(tokens, tokens)
    visible = [b.table(np.zeros(tokens)), b.table(last)]
    shared: dict[tuple[int, int], int] = {}

    def gemm(x: int, before: int, after: int) -> int:
        if (before, after) not in shared:
            shared[before, after] = b.weight(pack_gemm(np.ones((before, after), np.float32)))
        segments = [[x, -1, 0, before, 0]]
        return b.add("gemm", tokens, after, segments=segments, data=shared[before, after], bias=-1)

    def norm(x: int) -> int:
        source = {"in": [x, -1, 0, width]}
        return b.add("row", tokens, width, op="layer_norm", **source, params=[1e-5], weight=-1, bias=-1)

    def add(x: int, y: int) -> int:
        return b.add("map", tokens, width, op="add", args=[[x, -1, 0, 0], [y, -1, 0, 0]], params=[])

    x = b.add("lookup", tokens, width, **{"in": [0, -1, 0]}, data=b.weight(np.ones((5, width))), rows=5)
    for _ in range(layers):
        qkv = gemm(norm(x), width, 3 * width)
        q, k, v = ([qkv, -1, i * width, width // 2] for i in range(3))
        heads: dict[str, Any] = {"heads": 2, "kv_heads": 2, "dim": width // 2, "dim_v": width // 2}
        attend = b.add(
            "attend", tokens, width, q=q, k=k, v=v, **heads, keys=tokens, scale=1.0, visible=visible, bias=-1
        )
        x = add(x, gemm(attend, width, width))
        hidden = gemm(norm(x), width, 4 * width)
        gelu = b.add("map", tokens, 4 * width, op="gelu", args=[[hidden, -1, 0, 0]], params=[])
        x = add(x, gemm(gelu, 4 * width, width))
    head = {"kind": "categorical", "value": gemm(norm(x), width, 5), "table": b.table(np.arange(tokens) - 1)}
    return b.file(head | {"channel": 0, "levels": 5, "values": b.weight(np.arange(5))}, None).bytes()


def running_sum(tokens: int, back: int) -> bytes:
    """state[p] = state[p - back] + x[p]; the distribution of token p reads state[p - 1] and state[p - back]."""
    b = Builder(np.random.default_rng(0), tokens, 1)
    b.values = [(tokens, 1), (1, 3)]
    b.add("copy", tokens, 1, blocks=[[3, b.table(np.maximum(np.arange(tokens) - back, -1)), 0, 1, 0]], fill=0)
    b.add("map", tokens, 1, op="add", args=[[2, -1, 0, 0], [0, -1, 0, 0]], params=[])
    before = [[3, b.table(np.maximum(np.arange(tokens) - n, -1)), 0, 1, k] for k, n in enumerate((1, back))]
    b.gemm_node(len(b.values), before, np.ones((2, 2)))
    b.values.append((tokens, 2))
    head = {"kind": "categorical", "value": 4, "table": -1, "channel": 0, "levels": 2, "values": b.weight([0, 1])}
    return b.file(head, None).bytes()
