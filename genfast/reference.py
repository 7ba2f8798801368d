"""The executable definition of docs/format.md in plain NumPy: reading a file, every op, the uniforms and the sampler.

This is the specification that the kernels and the engine are tested against. It is short and slow on purpose: values
are float32, sums run in float64, and sampling runs the whole network once per site.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import distributions
from .errors import FormatError, NumericalError

__all__ = [
    "MAP_OPS",
    "ROW_OPS",
    "Graph",
    "apply",
    "attend",
    "components",
    "draw_sites",
    "evaluate",
    "family",
    "kept",
    "log_prob",
    "logistic_mixture",
    "logits",
    "philox4x32",
    "read",
    "sample",
    "seen",
    "sources",
    "uniforms",
]

f32 = np.float32


@dataclass
class Graph:
    """A parsed file: the JSON description, the position tables (grids expanded) and the constant arrays."""

    json: dict[str, Any]
    tables: list[np.ndarray]
    weights: list[np.ndarray]

    @property
    def sites(self) -> int:
        positions, channels = self.json["values"][0]
        return positions * channels

    @property
    def uniforms(self) -> int:
        """Uniforms a sample takes: one a site, and with jitter two a round."""
        iterate = self.json.get("iterate", {})
        return self.sites + (2 * iterate["rounds"] if iterate.get("jitter") else 0)

    @property
    def order(self) -> np.ndarray:
        """The site of each rank: int (sites,); site c·P + p is channel c of position p."""
        order = self.json["order"]
        if order["kind"] != "raster":
            return self.tables[order["table"]]
        positions, channels = self.json["values"][0]
        return np.arange(self.sites).reshape(channels, positions).T.reshape(-1)

    @property
    def drawn(self) -> np.ndarray:
        """Which sites have a distribution: bool (sites,). The others must be known, or take the level `bos`."""
        head = self.json["head"]
        if head["kind"] != "categorical" or head["table"] < 0:
            return np.ones(self.sites, bool)
        return self.tables[head["table"]] >= 0

    @property
    def places(self) -> np.ndarray:
        """Where the head reads, through its table, what each site needs: int (sites,)."""
        sites = np.arange(self.sites)
        return sites % self.json["values"][0][0] if self.json["head"]["kind"] == "logistic_mixture" else sites

    def feed(self, levels: np.ndarray) -> np.ndarray:
        """What the network is fed for levels: float32. The level `bos` may lie beyond `fed` and is then fed itself.

        A family head has no levels, nor has a graph without a distribution: their sites are fed what they are.
        """
        if self.json["head"]["kind"] in ("family", "none"):
            return np.asarray(levels, f32)
        fed = self.fed
        return np.where(levels < len(fed), fed[np.minimum(levels, len(fed) - 1)], levels).astype(f32)

    @property
    def fed(self) -> np.ndarray:
        """What the network is fed for each level: float32 (L,)."""
        head = self.json["head"]
        return self.weights[head["values"]][: head.get("levels", 2)]


def read(data: bytes) -> Graph:
    """Parse the bytes of a `.genfast` file.

    Raises
    ------
    FormatError
        If the container, its checksum or the graph's JSON is broken. (The C++ reader checks far more.)
    """
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        start = 8 + size

        def tensor(name: str) -> bytes:
            begin, end = header[name]["data_offsets"]
            return data[start + begin : start + end]

        crc = zlib.crc32(data[:start] + tensor("graph") + tensor("tables"))
        if header["__metadata__"]["format"] != "genfast" or crc != int.from_bytes(tensor("checksum")[:4], "little"):
            raise FormatError("not a genfast file, or its header, graph or tables are damaged")
        graph = json.loads(tensor("graph"))
        stored = np.frombuffer(tensor("tables"), "<i4")
        names = [f"weights.{i}" for i in range(sum(k.startswith("weights.") for k in header))]
        weights = [_widened(tensor(name), header[name]["dtype"]) for name in names]
        return Graph(graph, [_table(t, stored) for t in graph["tables"]], weights)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"not a valid genfast file: {error!r}") from error


def _widened(data: bytes, dtype: str) -> np.ndarray:
    """Weights as float32, exactly."""
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << np.uint32(16)).view(f32)
    return np.frombuffer(data, {"F32": "<f4", "I8": "<i1"}[dtype]).astype(f32, copy=False)


def _table(table: dict[str, Any], stored: np.ndarray) -> np.ndarray:
    if "grid" not in table:
        return stored[table["offset"] : table["offset"] + table["length"]]
    H, W, h, w, sy, sx, dy, dx = table["grid"]
    y, x = np.divmod(np.arange(H * W), W)
    y, x = y * sy + dy, x * sx + dx
    return np.where((y >= 0) & (y < h) & (x >= 0) & (x < w), y * w + x, -1).astype(np.int32)


# ---- map ops: float32 in, float32 out

_erf = np.frompyfunc(math.erf, 1, 1)


def erf(x: np.ndarray) -> np.ndarray:
    return np.asarray(_erf(np.asarray(x, np.float64)), np.float64)


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(np.asarray(x, np.float64)))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: np.ndarray, beta: float, threshold: float) -> np.ndarray:
    scaled = np.asarray(x, np.float64) * beta
    return np.where(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / beta)


def _elu(x: np.ndarray, alpha: float, scale: float, input_scale: float) -> np.ndarray:
    return np.where(x > 0, scale * x, scale * alpha * np.expm1(np.minimum(input_scale * np.asarray(x, np.float64), 0)))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


MAP_OPS: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "neg": np.negative,
    "abs": np.abs,
    "relu": lambda x: np.where(x > 0, x, 0),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "square": np.square,
    "reciprocal": lambda x: 1 / x,
    "erf": erf,
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * sigmoid(x),
    "floor": np.floor,
    "round": np.rint,
    "sign": np.sign,
    "logical_not": lambda x: x == 0,
    "elu": _elu,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "clamp": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "softplus": _softplus,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "maximum": lambda a, b: np.where(a > b, a, b),
    "minimum": lambda a, b: np.where(a < b, a, b),
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "where": lambda c, a, b: np.where(c != 0, a, b),
    "madd": lambda a, b, c: np.asarray(a, np.float64) * b + c,
}


# ---- row ops: over the last axis, float64 in


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _layer_norm(x: np.ndarray, eps: float) -> np.ndarray:
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt(np.square(d).mean(-1, keepdims=True) + eps)


ROW_OPS: dict[str, Callable[..., Any]] = {
    "layer_norm": _layer_norm,
    "rms_norm": lambda x, eps: x / np.sqrt(np.square(x).mean(-1, keepdims=True) + eps),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "sum": lambda x: x.sum(-1, keepdims=True),
    "mean": lambda x: x.mean(-1, keepdims=True),
    "max": lambda x: x.max(-1, keepdims=True),
}


# ---- the network


def unpack(packed: np.ndarray, k: int, n: int) -> np.ndarray:
    """The (K, N) weights of a gemm from their packed form."""
    width = -(-n // 16) * 16
    out = np.empty((k, width), f32)
    for start in range(0, width, 64):
        block = min(64, width - start)
        out[:, start : start + block] = packed[k * start : k * (start + block)].reshape(k, block)
    return out[:, :n]


def _gather(
    graph: Graph, values: list[np.ndarray], value: int, table: int, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, len(at), C) of a value, for the readers `at`, and which of them the table reads at all."""
    source = values[value]
    direct = np.zeros(len(at), int) if source.shape[1] == 1 else at
    where = graph.tables[table][at] if table >= 0 else direct
    return source[:, where], where >= 0


def seen(graph: Graph, node: dict[str, Any]) -> np.ndarray:
    """Which keys each position of an attend node sees: bool (positions, keys)."""
    positions, keys = graph.json["values"][node["out"]][0], node["keys"]
    j = np.arange(keys)
    if "bitmap" in node:
        words = graph.tables[node["bitmap"]].reshape(positions, -1).astype(np.uint32)
        return (words[:, j // 32] >> (j % 32).astype(np.uint32) & 1).astype(bool)
    begin, end = (graph.tables[t][:, None] for t in node["visible"])
    return (begin <= j) & (j < end)


def attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, visible: np.ndarray, bias: np.ndarray | None = None
) -> np.ndarray:
    """Attention (Vaswani et al., *Attention is all you need*, 2017; grouped heads: Ainslie et al., *GQA*, 2023).

    Parameters
    ----------
    q : (n, positions, H, D)
    k : (n, keys, G, D)
        Head h reads key head ``h // (H // G)``.
    v : (n, keys, G, E)
    scale : float
    visible : (positions, keys) bool
    bias : (H, positions, keys), optional
        Added to the scaled scores.

    Returns
    -------
    (n, positions, H, E) float64
        0 for a position that sees nothing.
    """
    group = q.shape[2] // k.shape[2]
    k, v = (np.repeat(x.astype(np.float64), group, 2) for x in (k, v))
    scores = np.einsum("nphd,nkhd->nhpk", q.astype(np.float64), k) * f32(scale)
    scores = np.where(visible, scores if bias is None else scores + bias, -np.inf)
    w = np.where(visible, np.exp(scores - np.maximum(scores.max(-1, keepdims=True), np.finfo(f32).min)), 0)
    total = w.sum(-1, keepdims=True)
    return np.einsum("nhpk,nkhe->nphe", w / np.where(total > 0, total, 1), v)


def _attend(graph: Graph, node: dict[str, Any], values: list[np.ndarray], n: int, at: np.ndarray) -> np.ndarray:
    def heads(source: list[int], count: int, dim: int, readers: np.ndarray) -> np.ndarray:
        value, table, first, step = source
        rows = _gather(graph, values, value, table, readers)[0]
        return np.stack([rows[:, :, first + h * step : first + h * step + dim] for h in range(count)], 2)

    keys, visible, bias = np.arange(node["keys"]), seen(graph, node), None
    if node["bias"] >= 0:
        shape = (node["heads"], *visible.shape)
        bias = graph.weights[node["bias"]][: math.prod(shape)].reshape(shape)[:, at]
    q = heads(node["q"], node["heads"], node["dim"], at)
    k = heads(node["k"], node["kv_heads"], node["dim"], keys)
    v = heads(node["v"], node["kv_heads"], node["dim_v"], keys)
    return attend(q, k, v, node["scale"], visible[at], bias).reshape(n, len(at), -1)


def _run(graph: Graph, node: dict[str, Any], values: list[np.ndarray], n: int, at: np.ndarray) -> np.ndarray:
    """The rows (n, len(at), C) of a node's value at the positions `at`."""
    positions, channels = graph.json["values"][node["out"]]
    kind = node["kind"]

    def read(value: int, table: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        rows, valid = _gather(graph, values, value, table, at)
        return rows[:, :, first : first + count], valid

    if kind == "const":
        data = graph.weights[node["data"]][: positions * channels].reshape(positions, channels)
        return np.broadcast_to(data[at], (n, len(at), channels))
    if kind == "attend":
        return _attend(graph, node, values, n, at)
    if kind == "lookup":
        value, table, channel = node["in"]
        index = read(value, table, channel, 1)[0][:, :, 0].astype(np.int64)
        if ((index < 0) | (index >= node["rows"])).any():
            raise NumericalError(f"node {node['name']!r}: an index is outside [0, {node['rows']})")
        rows = graph.weights[node["data"]][: node["rows"] * channels].reshape(-1, channels)[index]
        return rows * graph.weights[node["scales"]][index][..., None] if "scales" in node else rows
    if kind == "gemm":
        weight = unpack(graph.weights[node["data"]], sum(s[3] for s in node["segments"]), channels).astype(np.float64)
        out = np.zeros((n, len(at), channels))
        row = 0
        for value, table, first, count, _ in node["segments"]:
            x, valid = read(value, table, first, count)
            out += np.where(valid[:, None], x, 0) @ weight[row : row + count]
            row += count
        if "scales" in node:
            out *= graph.weights[node["scales"]][:channels]
        return out if node["bias"] < 0 else out + graph.weights[node["bias"]][:channels]
    if kind == "map":
        args = [read(v, t, c0, 1 if broadcast else channels)[0] for v, t, c0, broadcast in node["args"]]
        out = MAP_OPS[node["op"]](*args, *(f32(p) for p in node["params"]))
        return np.broadcast_to(out, (n, len(at), channels))
    if kind == "copy":
        out = np.full((n, len(at), channels), node["fill"], f32)
        for value, table, first, count, d0 in node["blocks"]:
            x, valid = read(value, table, first, count)
            out[:, valid, d0 : d0 + count] = x[:, valid]
        return out
    if kind == "row":
        value, table, first, count = node["in"]
        out = ROW_OPS[node["op"]](read(value, table, first, count)[0].astype(np.float64), *node["params"])
        if node["weight"] >= 0:
            out = out * graph.weights[node["weight"]][:count]
        return out if node["bias"] < 0 else out + graph.weights[node["bias"]][:count]
    raise FormatError(f"unknown node kind {kind!r}")


def sources(node: dict[str, Any]) -> list[list[int]]:
    """The arrays `[value, table, …]` of everything a node reads."""
    if node["kind"] == "attend":
        return [node["q"], node["k"], node["v"]]
    if node["kind"] in ("lookup", "row"):
        return [node["in"]]
    return node.get({"gemm": "segments", "map": "args", "copy": "blocks"}.get(node["kind"], ""), [])


def components(graph: Graph) -> list[list[int]]:
    """The nodes' indices in an order of evaluation; a list of several, or of one that reads itself, is a loop.

    Strongly connected components (Tarjan, *Depth-first search and linear graph algorithms*, 1972).
    """
    nodes = graph.json["nodes"]
    producer = {node["out"]: i for i, node in enumerate(nodes)}
    reads = [[producer[s[0]] for s in sources(node) if s[0] in producer] for node in nodes]
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    waiting: set[int] = set()
    out: list[list[int]] = []
    for root in range(len(nodes)):
        calls = [] if root in index else [(root, iter(reads[root]))]
        while calls:
            i, rest = calls[-1]
            if i not in index:
                index[i] = low[i] = len(index)
                stack.append(i)
                waiting.add(i)
            j = next((j for j in rest if j not in index or j in waiting), None)
            if j is None:
                calls.pop()
                if calls:
                    low[calls[-1][0]] = min(low[calls[-1][0]], low[i])
                if low[i] == index[i]:
                    cut = stack.index(i)
                    out.append(sorted(stack[cut:]))
                    waiting.difference_update(stack[cut:])
                    del stack[cut:]
            elif j in index:
                low[i] = min(low[i], index[j])
            else:
                calls.append((j, iter(reads[j])))
    return out


def evaluate(
    graph: Graph,
    fed: np.ndarray,
    conditions: dict[str, np.ndarray] | None = None,
    states: dict[int, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Every value of the graph; a loop's values position after position.

    Parameters
    ----------
    graph : Graph
    fed : (n, sites) float32
        What the network is fed at each site.
    conditions : dict of name to (n, *shape) arrays
    states : dict of value to (n, positions, channels) float32, optional
        The states of an iterated graph, value 0 among them or not; the others are what they begin as.

    Returns
    -------
    list of (n, positions, channels) float32

    Raises
    ------
    ValueError
        If a condition is missing.
    NumericalError
        If a lookup's index is outside its table.
    """
    n = len(fed)
    values: list[Any] = [None] * len(graph.json["values"])
    positions, channels = graph.json["values"][0]
    values[0] = np.asarray(fed, f32).reshape(n, channels, positions).swapaxes(1, 2)
    for c in graph.json["conditions"]:
        if conditions is None or c["name"] not in conditions:
            raise ValueError(f"condition {c['name']!r} is missing")
        x = np.asarray(conditions[c["name"]], f32)
        many = len(c["shape"]) >= 2
        values[c["value"]] = x.reshape(n, c["shape"][0], -1).swapaxes(1, 2) if many else x.reshape(n, 1, -1)
    for s in graph.json.get("iterate", {"states": []})["states"][1:]:
        values[s["value"]] = np.full((n, *graph.json["values"][s["value"]]), s["initial"], f32)
    for value, x in (states or {}).items():
        values[value] = x
    nodes = graph.json["nodes"]
    for component in components(graph):
        first = nodes[component[0]]
        positions, channels = graph.json["values"][first["out"]]
        with np.errstate(all="ignore"):
            if len(component) == 1 and first["out"] not in [s[0] for s in sources(first)]:
                values[first["out"]] = np.asarray(_run(graph, first, values, n, np.arange(positions)), f32)
                continue
            for i in component:
                values[nodes[i]["out"]] = np.full((n, *graph.json["values"][nodes[i]["out"]]), np.nan, f32)
            for p in range(positions):
                for i in component:
                    values[nodes[i]["out"]][:, p] = _run(graph, nodes[i], values, n, np.array([p]))[:, 0]
    return values


def apply(
    graph: Graph, x: np.ndarray, conditions: dict[str, np.ndarray] | None = None, u: np.ndarray | None = None
) -> np.ndarray:
    """The output for given sites; of an iterated graph the state after all its rounds, from these sites on.

    Parameters
    ----------
    graph : Graph
    x : (n, *input shape)
        Numbers; levels where the head has levels.
    conditions : dict of name to (n, *shape) arrays
    u : (n, uniforms) float64, optional
        Read by a graph with jitter alone.

    Returns
    -------
    (n, *output shape) float32

    Raises
    ------
    ValueError
        If the graph has no output, or a condition or the uniforms of its jitter are missing.
    """
    if "output" not in graph.json:
        raise ValueError("the graph has no output: its samples are its sites")
    fed, output = graph.feed(np.asarray(x).reshape(len(x), -1)), graph.json["output"]
    values = evaluate(graph, fed, conditions)
    if "iterate" in graph.json:
        states = {s["value"]: values[s["value"]] for s in graph.json["iterate"]["states"]}
        for k in range(graph.json["iterate"]["rounds"]):
            states = _round(graph, fed, conditions, states, _shifts(graph, len(fed), u, k))
        values[output["value"]] = states[output["value"]]
    return values[output["value"]].swapaxes(1, 2).reshape(len(fed), *output["shape"])


def _shifts(graph: Graph, n: int, u: np.ndarray | None, k: int) -> np.ndarray:
    """How far round k rolls the states of each row: int (n, 2), down and to the right."""
    j = graph.json["iterate"].get("jitter", 0)
    if not j:
        return np.zeros((n, 2), int)
    if u is None:
        raise ValueError("u is missing: the graph has jitter")
    place = graph.sites + 2 * k
    return np.minimum(np.floor(u[:, place : place + 2] * (2 * j + 1)), 2 * j).astype(int) - j


def _round(
    graph: Graph,
    fed: np.ndarray,
    conditions: dict[str, np.ndarray] | None,
    states: dict[int, np.ndarray],
    shifts: np.ndarray,
) -> dict[int, np.ndarray]:
    """The states after one round, all replaced at once."""
    positions = graph.json["values"][0][0]

    def rolled(x: np.ndarray, by: np.ndarray) -> np.ndarray:
        if x.shape[1] != positions or not by.any():
            return x
        grid = x.reshape(len(x), *graph.json["input"]["shape"][-2:], -1)
        return np.stack([np.roll(row, tuple(d), (0, 1)) for row, d in zip(grid, by, strict=True)]).reshape(x.shape)

    values = evaluate(graph, fed, conditions, {v: rolled(x, shifts) for v, x in states.items()})
    return {s["value"]: rolled(values[s["next"]], -shifts) for s in graph.json["iterate"]["states"]}


# ---- the head


def logits(graph: Graph, x: np.ndarray, conditions: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """Teacher-forced logits, or whatever numbers the head reads.

    Parameters
    ----------
    graph : Graph
    x : (n, *input shape)
        Levels; numbers for a family head.
    conditions : dict of name to (n, *shape) arrays

    Returns
    -------
    (n, sites, L) float32
        For a Bernoulli head L is 1: the logit, or the probability, of level 1. For a mixture of logistics
        (n, positions, …). Zeros for a site without a distribution.
    """
    return _logits_fed(graph, graph.feed(np.asarray(x).reshape(len(x), -1)), conditions)


def _logits_fed(graph: Graph, fed: np.ndarray, conditions: dict[str, np.ndarray] | None) -> np.ndarray:
    head = graph.json["head"]
    values = evaluate(graph, fed, conditions)
    rows, drawn = _gather(graph, values, head["value"], head["table"], np.unique(graph.places))
    first = head["channel"]
    return np.where(drawn[:, None], rows[:, :, first : first + _width(graph)], f32(0))


def _width(graph: Graph) -> int:
    """Channels that the head reads."""
    head = graph.json["head"]
    if head["kind"] == "logistic_mixture":
        return head["components"] * (1 + graph.json["values"][0][1] * (3 if head["coupled"] else 2))
    if head["kind"] == "family":
        return max(head["logits"], *(d for d, *_ in head["params"])) + head["components"]
    return head["levels"] if head["kind"] == "categorical" else 1


def _log_probs(graph: Graph, z: np.ndarray, temperature: float) -> np.ndarray:
    """Log probabilities (…, L) in float64 of logits (…, L or 1)."""
    head, z = graph.json["head"], z.astype(np.float64)
    if head["kind"] == "bernoulli":
        with np.errstate(divide="ignore"):
            z = np.concatenate([np.log1p(-z), np.log(z)], -1) if head["probs"] else np.concatenate([0 * z, z], -1)
    return _log_softmax(z / temperature)


def logistic_mixture(head: dict[str, Any], z: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The next channel's log probabilities log p(k) and F(k), each (n, L) float64, of a mixture of logistics.

    z (n, width) are the numbers of a position, before (n, c) int the levels of the channels before this one.
    """
    K, L, per = head["components"], head["levels"], 3 if head["coupled"] else 2
    z, low, step = z.astype(np.float64), head["low"], (head["high"] - head["low"]) / (head["levels"] - 1)
    x = low + before * step
    log_weight = _log_softmax(z[:, :K])
    for c in range(before.shape[1] + 1):
        mean, log_scale, coefficient = (z[:, K * (1 + c * per + i) :][:, :K] for i in range(3))
        if head["coupled"] and c == 1:
            mean = mean + np.tanh(z[:, 3 * K : 4 * K]) * x[:, :1]
        if head["coupled"] and c == 2:
            mean = mean + np.tanh(z[:, 6 * K : 7 * K]) * x[:, :1] + np.tanh(coefficient) * x[:, 1:2]
        edges = low + (np.arange(-1, L)[:, None] + 0.5) * step
        t = (edges - mean[:, None]) / np.exp(np.maximum(log_scale, -7))[:, None]
        t[:, 0], t[:, -1] = -np.inf, np.inf
        a, b = t[:, :-1], t[:, 1:]
        log_p = -np.logaddexp(0, -b) - np.logaddexp(0, a) + np.log(-np.expm1(a - b))
        if c < before.shape[1]:
            joint = log_weight + np.take_along_axis(log_p, before[:, c, None, None], 1)[:, 0]
            log_weight = joint - np.logaddexp.reduce(joint, -1, keepdims=True)
    F = (np.exp(log_weight)[:, None] * sigmoid(b)).sum(-1)
    F[:, -1] = 1
    return np.logaddexp.reduce(log_weight[:, None] + log_p, -1), F


LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "exp": np.exp,
    "softplus": lambda x: np.logaddexp(0, x),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "square": np.square,
}


def family(head: dict[str, Any], z: np.ndarray) -> Any:
    """The `genfast` distribution of batch shape (n,) that a family head makes of the numbers z (n, width)."""
    z, K = z.astype(np.float64), head["components"]
    parts = [
        getattr(distributions, head["family"])(
            *(scale * LINKS[link](z[:, d + k]) + shift for d, link, scale, shift in head["params"])
        )
        for k in range(K)
    ]
    return parts[0] if K == 1 else distributions.Mixture(_softmax(z[:, head["logits"] :][:, :K]), parts)


def _before(graph: Graph, levels: np.ndarray, site: int) -> np.ndarray:
    """Levels (n, c) of the channels before a site's at its position."""
    positions = graph.json["values"][0][0]
    return levels[:, site % positions : site : positions]


def log_prob(
    graph: Graph, x: np.ndarray, conditions: dict[str, np.ndarray] | None = None, temperature: float = 1.0
) -> np.ndarray:
    """Log probability in nats, (n,) float64, of levels x (n, *input shape), of the sites that have a distribution.

    For a family head the log density of numbers x. Temperature is for categorical and Bernoulli heads.
    """
    head, z, x = graph.json["head"], logits(graph, x, conditions), np.asarray(x).reshape(len(x), -1)
    if head["kind"] == "family":
        of = [family(head, z[:, s]).log_prob(x[:, s].astype(np.float64)) for s in range(graph.sites)]
        return np.sum(of, axis=0)
    if head["kind"] == "logistic_mixture":
        tables = [logistic_mixture(head, z[:, p], _before(graph, x, s))[0] for s, p in enumerate(graph.places)]
        return np.sum([np.take_along_axis(t, x[:, s, None], -1)[:, 0] for s, t in enumerate(tables)], axis=0)
    table = _log_probs(graph, z, temperature)
    level = np.where(graph.drawn, x, 0)
    return np.where(graph.drawn, np.take_along_axis(table, level[:, :, None], -1)[:, :, 0], 0).sum(1)


def draw(graph: Graph, z: np.ndarray, u: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The level of each row: the smallest k in the support with F(k) >= u, for logits (n, L or 1) and u (n,)."""
    if graph.json["head"]["kind"] == "categorical":
        z = z if temperature == 1 else z / f32(temperature)
        p = np.exp(z - z.max(-1, keepdims=True)).astype(np.float64)
    else:
        p = np.exp(_log_probs(graph, z, temperature))
    total = np.cumsum(p, -1)
    good = (p > 0) & (total >= (u * total[:, -1])[:, None])
    return good.argmax(-1)


def kept(z: np.ndarray, top_k: int | None = None, top_p: float | None = None, min_p: float | None = None) -> np.ndarray:
    """Which categories of one row of (tempered) logits the filters keep: bool like `z`.

    In this order: the top_k largest; of them the fewest largest whose weights reach top_p of theirs together; of them
    the ones with at least min_p times the largest weight. Equal logits rank by index.
    """
    w = np.exp(z - z.max()).astype(np.float64)
    order = np.argsort(-z, kind="stable")
    order = order[w[order] > 0][:top_k]
    if top_p is not None and top_p < 1:
        reached = np.cumsum(w[order]) >= top_p * w[order].sum()
        order = order[: max(int(reached.argmax()), 0) + 1] if reached.any() else order
    if min_p is not None:
        order = order[w[order] >= min_p]
    mask = np.zeros(z.shape, bool)
    mask[order] = True
    return mask


def sample(
    graph: Graph, u: np.ndarray, conditions: dict[str, np.ndarray] | None = None, temperature: float = 1.0
) -> np.ndarray:
    """Samples by the naive loop: one run of the whole network per site, in the graph's order.

    Parameters
    ----------
    graph : Graph
    u : (n, uniforms) float64
        Uniforms in [0, 1]: those of the sites, row-major, then those of the rounds' jitter.
    conditions : dict of name to (n, *shape) arrays
    temperature : float

    Returns
    -------
    (n, *output shape) float32
        What `apply` makes of `draw_sites`; where there is no output, these themselves.

    Raises
    ------
    ValueError
        If the graph has no distribution.
    """
    sites = draw_sites(graph, u[:, : graph.sites], conditions, temperature)
    return apply(graph, sites, conditions, u) if "output" in graph.json else sites


def draw_sites(
    graph: Graph, u: np.ndarray, conditions: dict[str, np.ndarray] | None = None, temperature: float = 1.0
) -> np.ndarray:
    """The sites of a sample, (n, *input shape): int64 levels, of a family head float32 numbers; u is (n, sites).

    A site without a distribution takes the level `bos` from the start. Arguments and errors as for `sample`.
    """
    drawn, head = graph.drawn, graph.json["head"]
    if head["kind"] == "none":
        raise ValueError("the graph has no distribution: apply() takes its sites")
    if head["kind"] == "family":
        x = np.zeros(u.shape, f32)
        for site in graph.order:
            x[:, site] = _number(head, _logits_fed(graph, x, conditions)[:, site], u[:, site])
        return x.reshape(len(u), *graph.json["input"]["shape"])
    levels = np.where(drawn, np.zeros(u.shape, np.int64), graph.json.get("bos", 0))
    fed = np.where(drawn, f32(0), graph.feed(levels))
    for site in graph.order[drawn[graph.order]]:
        z = _logits_fed(graph, fed, conditions)[:, graph.places[site]]
        if head["kind"] == "logistic_mixture":
            F = logistic_mixture(head, z, _before(graph, levels, site))[1]
            target = np.maximum(u[:, site, None], 2.0**-1074)  # a u of 0: the first level with any probability
            levels[:, site] = (target <= F).argmax(-1)
        else:
            levels[:, site] = draw(graph, z, u[:, site], temperature)
        fed[:, site] = graph.fed[levels[:, site]]
    return levels.reshape(len(u), *graph.json["input"]["shape"])


def _number(head: dict[str, Any], z: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The float32 number of each row: F⁻¹(u) rounded, of a mixture the smallest with F >= u."""
    d = family(head, z)
    x = d.icdf(u)
    y = x.astype(f32)
    if head["components"] == 1 or d.is_discrete:
        return y
    return np.where(y < x, np.nextafter(y, f32(np.inf)), y)


# ---- uniforms


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC 2011).

    uint32 (…, 4) of counters (…, 4).
    """
    c = [counter[..., i].astype(np.uint64) for i in range(4)]
    k0, k1 = (np.uint64(k) for k in key)
    low = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ k0, b & low, (a >> np.uint64(32)) ^ c[3] ^ k1, a & low]
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return np.stack(c, -1).astype(np.uint32)


def uniforms(seed: int, rows: np.ndarray, sites: int) -> np.ndarray:
    """The generated uniforms, (len(rows), sites) float64 in (0, 1).

    Key: the seed. Counter: (row low, row high, site // 2, 0). With w the four words, site 2j + i takes the top 52 bits
    k of ``w[2i + 1] << 32 | w[2i]`` and is (k + 1/2) · 2⁻⁵².
    """
    row = np.asarray(rows, np.uint64)[:, None]
    block = np.arange((sites + 1) // 2, dtype=np.uint64)[None]
    zero = np.zeros((row.size, block.size), np.uint64)
    counter = np.stack([zero + (row & np.uint64(0xFFFFFFFF)), zero + (row >> np.uint64(32)), zero + block, zero], -1)
    w = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32)).astype(np.uint64)
    word = w[..., 1::2] << np.uint64(32) | w[..., ::2]
    k = (word >> np.uint64(12)).astype(np.float64)
    return ((k + 0.5) * 2.0**-52).reshape(row.size, -1)[:, :sites]
