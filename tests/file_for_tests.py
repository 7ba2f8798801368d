"""A writer of .genfast files of the tests' own, so that a mistake in genfast/export cannot hide one in the reader."""

import json
import struct
import zlib

import numpy as np
import pytest

from genfast._core import read_graph_summary
from genfast.errors import FormatError

DTYPES = {"U8": np.uint8, "I32": np.int32, "F32": np.float32, "BF16": np.uint16, "I8": np.int8}


def padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % 64)


def pack_gemm(weight: np.ndarray) -> np.ndarray:
    """K × N weights in blocks of 64 columns, the last one rounded up to 16."""
    columns = weight.shape[1]
    blocks = []
    for begin in range(0, columns, 64):
        block = weight[:, begin : begin + 64]
        blocks.append(np.pad(block, ((0, 0), (0, -block.shape[1] % 16))).ravel())
    return np.concatenate([np.zeros(0, weight.dtype), *blocks])


class File:
    """A .genfast file in pieces; `bytes()` puts them together, checksum included.

    Weights are float arrays, or the bits of bf16 numbers as uint16, or int8.
    """

    def __init__(self, graph: dict, tables: list, weights: list):
        self.graph, self.tables, self.weights = graph, np.array(tables, np.int32), weights
        self.metadata = {"format": "genfast", "version": "1"}
        self.edit_header = lambda header: None  # on the dict, before it is written
        self.edit_text = lambda text: text  # on the JSON of the graph
        self.edit_header_text = lambda text: text
        self.edit_weights_bytes = lambda data: data
        self.crc_xor = 0
        self.checksum_tail = b""

    def bytes(self) -> bytes:
        text = self.edit_text(json.dumps(self.graph, allow_nan=True).encode())
        tensors = [("graph", "U8", padded(text, b" ")), ("tables", "I32", padded(self.tables.tobytes()))]
        for i, weight in enumerate(self.weights):
            dtype = {np.dtype(np.uint16): "BF16", np.dtype(np.int8): "I8"}.get(np.asarray(weight).dtype, "F32")
            data = self.edit_weights_bytes(padded(np.asarray(weight, DTYPES[dtype]).tobytes()))
            tensors.append((f"weights.{i}", dtype, data))
        tensors.append(("checksum", "U8", bytes(64)))
        header, offset = {"__metadata__": self.metadata}, 0
        for name, dtype, data in tensors:
            shape = [len(data) // DTYPES[dtype]().itemsize]
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
            offset += len(data)
        self.edit_header(header)
        head = self.edit_header_text(json.dumps(header).encode())
        head += b" " * (-(8 + len(head)) % 64)
        head = struct.pack("<Q", len(head)) + head
        crc = zlib.crc32(head + tensors[0][2] + tensors[1][2]) ^ self.crc_xor
        checksum = struct.pack("<I", crc) + self.checksum_tail
        return head + b"".join(data for _, _, data in tensors[:-1]) + checksum + bytes(64 - len(checksum))


def node(kind: str, out: int, name: str, **fields) -> dict:
    return {"kind": kind, "out": out, "name": name, "source": "model.py:7", **fields}


def expect_error(file: File | bytes, *parts: str) -> None:
    """The reader refuses a file with a FormatError that holds all the parts."""
    with pytest.raises(FormatError) as caught:
        read_graph_summary(file if isinstance(file, bytes) else file.bytes())
    message = str(caught.value)
    for part in ("<memory>: ", *parts):
        assert part in message, message


def put(*path_and_value):
    """Sets one item deep inside nested dicts and lists."""
    *path, last, value = path_and_value

    def edit(root):
        for key in path:
            root = root[key]
        root[last] = value

    return edit


def drop(*path):
    def edit(root):
        for key in path[:-1]:
            root = root[key]
        del root[path[-1]]

    return edit


def case(edit, *parts, id=None):
    return pytest.param(edit, parts, id=id or " ".join(parts)[:70])
