"""Models with reduced weights: a file's gemm and lookup data rounded to bfloat16 or int8. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from genfast import _core, container
from genfast.device_calls import on_gpu
from genfast.model import Model

__all__ = ["added_bits_per_dim", "quantize"]

BLOCK = 64  # columns of a packed block
ROWS = 4096  # of a table at a time
DTYPES = ("bf16", "int8")

Rounded = tuple[np.ndarray, np.ndarray | None]  # numbers, and scales for int8


def quantize(model: Model, dtype: str, *, check: Any = None, condition: Mapping[str, Any] | None = None) -> Model:
    """See `Model.quantize`."""
    if not isinstance(dtype, str):
        raise TypeError(f"dtype must be 'bf16' or 'int8', got {type(dtype).__name__}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be 'bf16' or 'int8', got {dtype!r}")
    if condition is not None and check is None:
        raise ValueError("condition belongs to check: give the samples too")
    for name, given in (("check", check), ("condition", condition)):
        if on_gpu(given):
            raise ValueError(f"{name} is on a GPU, and what rounding costs is measured on the CPU: bring it there")
    if model.device != "cpu":
        model = model.to("cpu")
    graph, tables, weights = container.unpack(model._core.file_bytes())
    if any(weight.dtype != np.float32 for weight in weights):
        raise ValueError("this model is quantized already; quantize the original")
    if not any(node["kind"] in ("gemm", "lookup") for node in graph["nodes"]):
        raise ValueError("there is nothing to quantize: the model has no matrix products and no tables")
    weights = _reduce(graph, weights, dtype)
    record: dict[str, Any] = {"dtype": dtype}
    graph["meta"]["quantized"] = record
    made = _model(model, container.pack(graph, tables, weights))
    if check is None:
        return made
    if model.output_shape is not None:
        record["output_rms"] = _changed_outputs(model, made, check, condition)
        record["samples"] = len(check)
        return _model(model, container.pack(graph, tables, weights))
    record["bits_per_dim"] = added_bits_per_dim(model, made, check, condition=condition)
    record["samples"] = len(check)
    return _model(model, container.pack(graph, tables, weights))


def added_bits_per_dim(model: Model, reduced: Model, x: Any, *, condition: Mapping[str, Any] | None = None) -> float:
    """What reduced weights cost: the mean of ``reduced.bits_per_dim(x) − model.bits_per_dim(x)`` over the samples x.

    Parameters
    ----------
    model, reduced : Model
    x : array_like of shape (n, \\*input_shape), n at least 1
    condition : mapping from str to array_like, optional
        As in `Model.log_prob`.

    Returns
    -------
    float
        Bits; negative where the reduced model happens to fit x better.

    Raises
    ------
    ValueError, TypeError, NumericalError
        As `Model.log_prob`; also for no samples at all.
    """
    before = model.bits_per_dim(x, condition=condition)
    if not len(before):
        raise ValueError("no samples to compare on: x is empty")
    return float(np.mean(reduced.bits_per_dim(x, condition=condition) - before))


def describe(record: Mapping[str, Any]) -> str:
    """One line of `Model.explain` for ``meta["quantized"]``."""
    line = f"quantized    {record.get('dtype')}"
    if "output_rms" in record:
        line += f": outputs change by {record['output_rms']:.2g} (root mean square) on {record['samples']} samples"
    if "bits_per_dim" in record:
        line += f": {record['bits_per_dim']:+.4f} bits/dim on {record['samples']} samples"
    return line + "\n"


def _changed_outputs(model: Model, reduced: Model, x: Any, condition: Mapping[str, Any] | None) -> float:
    """Root mean square of the difference of outputs for sites x, with the same jitter. Errors as `Model.apply`."""
    before, after = (m.apply(x, condition=condition, rng=0).astype(np.float64) for m in (model, reduced))
    if not len(before):
        raise ValueError("no samples to compare on: x is empty")
    return float(np.sqrt(np.mean(np.square(after - before))))


def _model(original: Model, data: bytes) -> Model:
    name = original.meta.get("name")
    return type(original)(_core.Model.from_bytes(data, str(name) if name else "<quantized>"))


def _reduce(graph: dict[str, Any], weights: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    """The new weights; the graph's nodes and head are pointed at them."""
    out: list[np.ndarray] = []
    kept: dict[int, int] = {}
    rounded: dict[tuple[Any, ...], tuple[int, int]] = {}

    def store(array: np.ndarray) -> int:
        out.append(array)
        return len(out) - 1

    def keep(index: int) -> int:
        if index >= 0 and index not in kept:
            kept[index] = store(weights[index])
        return kept.get(index, index)

    for node in graph["nodes"]:
        if node["kind"] in ("gemm", "lookup"):
            channels = graph["values"][node["out"]][1]
            counts = tuple(s[3] for s in node["segments"]) if node["kind"] == "gemm" else (node["rows"],)
            # One array may serve several nodes, and the same numbers as another shape or as a bias.
            key = (node["kind"], node["data"], channels, counts)
            if key not in rounded:
                make = _gemm if node["kind"] == "gemm" else _table
                data, scales = make(weights[node["data"]], counts, channels, dtype)
                rounded[key] = store(data), -1 if scales is None else store(scales)
            node["data"], scales_index = rounded[key]
            if scales_index >= 0:
                node["scales"] = scales_index
        elif node["kind"] == "const":
            node["data"] = keep(node["data"])
        for field in ("weight", "bias"):
            if field in node:
                node[field] = keep(node[field])
    if "values" in graph["head"]:
        graph["head"]["values"] = keep(graph["head"]["values"])
    return out


def _table(table: np.ndarray, counts: tuple[int, ...], channels: int, dtype: str) -> Rounded:
    rows = table[: counts[0] * channels].reshape(-1, channels)
    if dtype == "bf16":
        return _bf16(rows).reshape(-1), None
    parts = [_int8(rows[i : i + ROWS].T, None) for i in range(0, len(rows), ROWS)]
    return np.concatenate([q.T.reshape(-1) for q, _ in parts]), np.concatenate([scale for _, scale in parts])


def _gemm(packed: np.ndarray, counts: tuple[int, ...], columns: int, dtype: str) -> Rounded:
    k, width = sum(counts), -(-columns // 16) * 16
    if dtype == "bf16":
        return _bf16(packed[: k * width]), None
    data, scales = np.empty(k * width, np.int8), np.empty(width, np.float32)
    starts = np.cumsum((0, *counts[:-1]))
    for begin in range(0, width, BLOCK):
        end = min(begin + BLOCK, width)
        q, scales[begin:end] = _int8(packed[k * begin : k * end].reshape(k, end - begin), starts)
        data[k * begin : k * end] = q.reshape(-1)
    return data, scales


def _bf16(x: np.ndarray) -> np.ndarray:
    """The bits of the nearest bfloat16 numbers, ties to even; what would round to infinity becomes the largest."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    odd = bits >> np.uint32(16) & np.uint32(1)
    high = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    return high - ((high & 0x7F80) == 0x7F80)


def _int8(w: np.ndarray, starts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Columns of w as round(w / scale), ties to even, and their scales max|w| / 127.

    `starts` are the first rows of the segments of a gemm, whose zeros are structure to the planner: a zero stays one,
    and none is made where it could tell a column from its neighbours. So in a column that has zeros (it is masked)
    nothing rounds to zero, and in any other a segment keeps at least its largest weight.
    """
    scale = (np.abs(w).max(0).astype(np.float64) / 127).astype(np.float32)
    q = np.clip(np.rint(w.astype(np.float64) / np.where(scale > 0, scale, 1)), -127, 127).astype(np.int8)
    lost = (q == 0) & (w != 0)
    if starts is None or not lost.any():
        return q, scale
    keep = lost & (w == 0).any(0)
    whole = np.logical_and.reduceat(lost, starts, axis=0)
    for segment, column in np.argwhere(whole):
        rows = slice(starts[segment], starts[segment + 1] if segment + 1 < len(starts) else len(w))
        keep[rows.start + np.abs(w[rows, column]).argmax(), column] = True
    return np.where(keep, np.sign(w).astype(np.int8), q), scale
