"""The safetensors container of docs/format.md: from bytes to the graph's JSON and the arrays, and back; no torch."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np

__all__ = ["pack", "unpack"]

ALIGN = 64
# Types of weights as NumPy has them; bfloat16 numbers are their bits.
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "BF16": np.dtype("<u2"), "I8": np.dtype("i1")}


def pack(graph: dict[str, Any], tables: np.ndarray, weights: list[np.ndarray]) -> bytes:
    """The bytes of a file.

    Parameters
    ----------
    graph : dict
        The JSON description.
    tables : int32 array
        Every stored position table, concatenated.
    weights : list of 1-d arrays
        float32, uint16 (the bits of bfloat16 numbers) or int8; padded here.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If a number in the graph is not finite.
    """
    text = json.dumps(graph, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    stored = tables.astype("<i4").tobytes() or bytes(ALIGN)
    # (name, dtype, the array, its bytes, fill): weights are joined as they are: a large model is copied once.
    tensors: list[tuple[str, str, Any, int, bytes]] = [
        ("graph", "U8", text, len(text), b" "),
        ("tables", "I32", stored, len(stored), b"\0"),
    ]
    for i, weight in enumerate(weights):
        dtype = next(name for name, kind in DTYPES.items() if kind == weight.dtype)
        tensors.append((f"weights.{i}", dtype, np.ascontiguousarray(weight).view(np.uint8), weight.nbytes, b"\0"))
    tensors.append(("checksum", "U8", b"", ALIGN, b"\0"))
    header: dict[str, Any] = {"__metadata__": {"format": "genfast", "version": "1"}}
    offset = 0
    parts = []
    for name, dtype, data, size, fill in tensors:
        whole = size + -size % ALIGN
        width = {"U8": 1, "I32": 4}.get(dtype) or DTYPES[dtype].itemsize
        header[name] = {"dtype": dtype, "shape": [whole // width], "data_offsets": [offset, offset + whole]}
        offset += whole
        parts += [data, fill * (whole - size)]
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-(8 + len(head)) % ALIGN)
    head = len(head).to_bytes(8, "little") + head
    crc = zlib.crc32(b"".join([head, *parts[:4]]))
    return b"".join([head, *parts[:-2], crc.to_bytes(4, "little").ljust(ALIGN, b"\0")])


def unpack(data: bytes) -> tuple[dict[str, Any], np.ndarray, list[np.ndarray]]:
    """What `pack` was given, the arrays as views of `data`, padding included. The file must be valid."""
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])

    def array(name: str, dtype: np.dtype[Any]) -> np.ndarray:
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(data, dtype, (end - begin) // dtype.itemsize, start + begin)

    graph = json.loads(array("graph", np.dtype(np.uint8)).tobytes())
    names = [f"weights.{i}" for i in range(sum(name.startswith("weights.") for name in header))]
    weights = [array(name, DTYPES[header[name]["dtype"]]) for name in names]
    return graph, array("tables", np.dtype("<i4")), weights
