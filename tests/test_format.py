"""The reader of .genfast files against docs/format.md: one small valid file, and one test for each way to break it.

The writer, file_for_tests.py, is the tests' own, so that a mistake in genfast/export cannot hide one in the reader.
"""

import copy
import json
import os
import struct

import numpy as np
import pytest
from file_for_tests import File, case, drop, expect_error, node, pack_gemm, padded, put

from genfast._core import read_graph_summary
from genfast.errors import FormatError

CONST, GEMM, LOOKUP, ADD, COPY, NORM, CLAMP, LOGITS = range(8)  # the nodes, by index


def small() -> File:
    """Every kind of node, table and condition once: 2 × 3 sites, 4 levels. Causal, so that it also runs."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[6, 1], [1, 4], [1, 1], [6, 2], [6, 20], [6, 20], [6, 20], [6, 22], [6, 22], [6, 22], [6, 5]],
        "tables": [
            {"grid": [2, 3, 2, 3, 1, 1, -1, 0]},
            {"grid": [2, 3, 2, 3, 1, 1, 0, -1]},
            {"offset": 0, "length": 6},
            {"offset": 6, "length": 6},
            {"offset": 12, "length": 6},
        ],
        "input": {"value": 0, "shape": [1, 2, 3], "dtype": "float", "name": "x"},
        "conditions": [
            {"name": "style", "value": 1, "shape": [4], "dtype": "float"},
            {"name": "label", "value": 2, "shape": [], "dtype": "int", "size": 3},
        ],
        "nodes": [
            node("const", 3, "positions", data=0),
            node("gemm", 4, "conv", segments=[[0, 0, 0, 1, 1], [0, 1, 0, 1, 3]], data=1, bias=2),
            node("lookup", 5, "embed", **{"in": [2, -1, 0]}, data=3, rows=3),
            node("map", 6, "add", op="add", args=[[4, 2, 0, 0], [5, -1, 0, 0]], params=[]),
            node("copy", 7, "cat", blocks=[[6, -1, 0, 20, 0], [3, 4, 0, 2, 20]], fill=0.5),
            node("row", 8, "norm", op="layer_norm", **{"in": [7, -1, 0, 22]}, params=[1e-5], weight=4, bias=4),
            node("map", 9, "clamp", op="clamp", args=[[8, -1, 21, 1]], params=[-1, 6]),
            node("gemm", 10, "logits", segments=[[9, -1, 0, 22, 0], [1, -1, 0, 4, 22]], data=5, bias=-1),
        ],
        "head": {"kind": "categorical", "value": 10, "table": 2, "channel": 1, "levels": 4, "values": 6},
        "order": {"kind": "permutation", "table": 3},
        "assumed": ["batch norm in eval mode"],
        "meta": {"name": "small", "nested": {"a": [1, 2.5, None]}},
    }
    tables = [0, 1, 2, 3, 4, 5, 0, 3, 1, 4, 2, 5, -1, -1, 0, 1, 2, 3]
    weights = [
        normal(6, 2),
        pack_gemm(normal(2, 20)),
        np.pad(normal(20), (0, 12)),
        normal(3, 20),
        normal(22),
        pack_gemm(normal(26, 5)),
        np.linspace(0, 1, 4),
    ]
    return File(graph, tables, weights)


def bernoulli(file: File) -> None:
    head = {"kind": "bernoulli", "value": 10, "table": 2, "channel": 4, "probs": False, "values": 6}
    file.graph["head"] = head
    file.weights[6] = [0, 1]


# What is accepted


def test_small_file_is_read_exactly():
    summary = read_graph_summary(small().bytes())
    graph = small().graph
    assert [value[:2] for value in summary["values"]] == [tuple(value) for value in graph["values"]]
    assert [value[2] for value in summary["values"]] == [-1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 7]
    assert summary["tables"][0] == [-1, -1, -1, 0, 1, 2]
    assert summary["tables"][1] == [-1, 0, 1, -1, 3, 4]
    assert summary["tables"][3] == summary["order"] == [0, 3, 1, 4, 2, 5]
    assert summary["input_shape"] == [1, 2, 3]
    assert summary["head"]["levels"] == 4 and summary["head"]["channel"] == 1
    nodes = summary["nodes"]
    assert [n["kind"] for n in nodes] == [n["kind"] for n in graph["nodes"]]
    assert [n["name"] for n in nodes] == [n["name"] for n in graph["nodes"]]
    assert nodes[GEMM]["sources"] == [(0, 0, 0, 1, 1, False), (0, 1, 0, 1, 3, False)]
    assert nodes[CLAMP]["sources"] == [(8, -1, 21, 1, 0, True)] and nodes[CLAMP]["params"] == [-1, 6]
    assert nodes[ADD]["sources"][0] == (4, 2, 0, 20, 0, False)
    assert nodes[COPY]["params"] == [0.5] and nodes[NORM]["op"] == "layer_norm"
    assert summary["conditions"][1] == {"name": "label", "value": 2, "shape": [], "dtype": "int", "size": 3}
    assert json.loads(summary["meta"]) == graph["meta"]
    assert summary["weights"] == [16, 64, 32, 64, 32, 416, 16]


def test_bernoulli_raster_and_text_beyond_ascii():
    file = small()
    bernoulli(file)
    file.graph["order"] = {"kind": "raster"}
    file.graph["nodes"][GEMM]["name"] = "größe.卷积"
    summary = read_graph_summary(file.bytes())
    assert summary["head"]["kind"] == "bernoulli" and summary["head"]["levels"] == 2
    assert summary["order"] == list(range(6))
    assert summary["nodes"][GEMM]["name"] == "größe.卷积"


def test_bytes_bytearray_memoryview_and_paths_are_the_same(tmp_path):
    data = small().bytes()
    path = tmp_path / "small.genfast"
    path.write_bytes(data)
    expected = read_graph_summary(data)
    for source in (bytearray(data), memoryview(data), path, str(path)):
        assert read_graph_summary(source) == expected


def test_large_file_is_mapped(tmp_path):
    file = small()
    file.weights.append(np.ones(17 << 20, np.float32))  # unused, and 68 MB
    path = tmp_path / "large.genfast"
    path.write_bytes(file.bytes())
    summary = read_graph_summary(path)
    assert summary["weights"][-1] == 17 << 20
    file.weights[-1][-1] = np.inf
    path.write_bytes(file.bytes())
    with pytest.raises(FormatError, match=r"large.genfast: .*weights\.7.*infinity"):
        read_graph_summary(path)


@pytest.mark.parametrize(
    "grid", [[2, 3, 4, 6, 2, 2, -1, 3], [2, 3, 2, 3, -1, -1, 1, 2], [3, 2, 1, 1, 0, 0, 0, 0], [1, 6, 7, 1, 3, 5, 2, -1]]
)
def test_grids_expand_as_the_format_says(grid):
    file = small()
    file.graph["tables"].append({"grid": grid})
    rows, columns, source_rows, source_columns, sy, sx, dy, dx = grid
    expected = []
    for y in range(rows):
        for x in range(columns):
            source = y * sy + dy, x * sx + dx
            inside = 0 <= source[0] < source_rows and 0 <= source[1] < source_columns
            expected.append(source[0] * source_columns + source[1] if inside else -1)
    assert read_graph_summary(file.bytes())["tables"][-1] == expected


# Paths and bytes


def test_bad_paths_are_named(tmp_path):
    (tmp_path / "empty.genfast").touch()
    os.mkfifo(tmp_path / "fifo.genfast")
    cases = {
        tmp_path / "missing.genfast": "No such file",
        tmp_path: "is a directory",
        tmp_path / "empty.genfast": "is empty",
        tmp_path / "fifo.genfast": "not a regular file",
        os.fsencode(tmp_path) + b"/\xff.genfast": r"\xff.genfast",
    }
    for path, part in cases.items():
        with pytest.raises(FormatError) as caught:
            read_graph_summary(path if not isinstance(path, bytes) else os.fsdecode(path))
        assert str(tmp_path) in str(caught.value) and part in str(caught.value)


def test_wrong_arguments_are_type_errors():
    for source in (3, None, np.zeros((2, 2))):
        with pytest.raises(TypeError):
            read_graph_summary(source)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 63, 64, 200, 1000, -65, -64, -63, -1])
def test_cut_short(size):
    data = small().bytes()
    expect_error(data[:size])


def test_every_flipped_bit_outside_the_weights_is_noticed():
    data = small().bytes()
    file = small()
    start = len(data) - 64 - sum(len(padded(np.asarray(w, np.float32).tobytes())) for w in file.weights)
    for at in [*range(start), *range(len(data) - 64, len(data))]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(FormatError):
            read_graph_summary(damaged)


def set_length(length: int):
    return lambda data: struct.pack("<Q", length) + data[8:]


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (set_length(0), ["header must end at a multiple of 64"]),
        (set_length(120), ["header", "JSON"]),
        (set_length((1 << 26) + 56), ["67108920 bytes"]),
        (set_length(1 << 63), ["9223372036854775808 bytes"]),
        (set_length((1 << 64) - 8), ["18446744073709551608 bytes"]),
        (set_length(1 << 20), ["1048576 bytes", "cut short"]),
        (lambda data: data + bytes(64), ["64 bytes after the last tensor"]),
        (lambda data: data[:-64], ['tensor "checksum" ends at']),
        (lambda data: b"\x89PNG\r\n\x1a\n" + data[8:], ["not a genfast file"]),
    ],
)
def test_container_bytes(edit, parts):
    expect_error(edit(small().bytes()), *parts)


def header_case(edit, *parts):
    return pytest.param(edit, parts, id=parts[0])


def rename(old: str, new: str):
    return lambda header: header.update({new: header.pop(old)})


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        header_case(drop("__metadata__"), "__metadata__ is missing"),
        header_case(put("__metadata__", "format", "pt"), '__metadata__: not a genfast file: format is "pt"'),
        header_case(put("__metadata__", "version", "2"), '__metadata__: version "2"', "reads version 1"),
        header_case(put("__metadata__", "version", 1), "version must be a string, got 1"),
        header_case(put("__metadata__", "extra", "1"), '__metadata__: unknown key "extra"'),
        header_case(put("__metadata__", 3), "__metadata__: must be an object"),
        header_case(drop("graph"), 'tensor "tables"', "gap"),
        header_case(rename("graph", "grape"), '"graph" is missing'),
        header_case(rename("tables", "weights.7"), '"tables" is missing'),
        header_case(rename("checksum", "sum"), '"checksum" is missing'),
        header_case(rename("weights.3", "weights.03"), 'unknown tensor "weights.03"'),
        header_case(rename("weights.3", "weights.7"), 'tensor "weights.7"', "there are 7"),
        header_case(
            rename("weights.3", "weights.99999999999999999999"), 'unknown tensor "weights.99999999999999999999"'
        ),
        header_case(rename("weights.3", "weights.-1"), 'unknown tensor "weights.-1"'),
        header_case(rename("weights.3", "extra"), 'unknown tensor "extra"'),
        header_case(put("graph", []), 'tensor "graph": must be an object'),
        header_case(drop("graph", "dtype"), 'tensor "graph": the key "dtype" is missing'),
        header_case(put("graph", "more", 1), 'tensor "graph": unknown key "more"'),
        header_case(put("graph", "dtype", "I64"), 'tensor "graph": dtype must be', '"I64"'),
        header_case(put("graph", "dtype", 8), 'tensor "graph": dtype must be a string'),
        header_case(put("graph", "shape", []), 'tensor "graph": shape must have one dimension'),
        header_case(put("graph", "shape", [1 << 60]), 'tensor "graph": shape[0] must be'),
        header_case(put("graph", "shape", [-64]), 'tensor "graph": shape[0] must be', "-64"),
        header_case(put("graph", "shape", [64.0]), 'tensor "graph": shape[0] must be', "64.0"),
        header_case(put("weights.0", "shape", [17]), 'tensor "weights.0": shape [17] of F32 needs 68 bytes'),
        header_case(put("weights.0", "data_offsets", [0]), 'tensor "weights.0": data_offsets: must be [begin, end]'),
        header_case(put("weights.0", "data_offsets", [-64, 0]), 'tensor "weights.0": data_offsets: begin'),
        header_case(put("weights.0", "data_offsets", [0, 1 << 63]), 'tensor "weights.0": data_offsets: end'),
        header_case(put("weights.0", "data_offsets", [128, 64]), 'tensor "weights.0"', "hold -64"),
        header_case(put("weights.0", "data_offsets", [0, 64]), "overlapping"),
        header_case(put("weights.0", "dtype", "I32"), 'tensor "weights.0" must be F32, BF16 or I8, is I32'),
        header_case(put("tables", "dtype", "F32"), 'tensor "tables" must be I32, is F32'),
    ],
)
def test_header(edit, parts):
    file = small()
    file.edit_header = edit
    expect_error(file, *parts)


def test_header_with_a_gap_between_tensors():
    file = small()

    def shift(header):
        for name in ("weights.6", "checksum"):
            header[name]["data_offsets"] = [x + 64 for x in header[name]["data_offsets"]]

    file.edit_header = shift
    expect_error(file, 'tensor "weights.6" begins at byte', "gap")


def test_header_with_a_tensor_of_an_odd_size():
    file = small()

    def odd(header):
        begin, end = header["weights.0"]["data_offsets"]
        header["weights.0"].update(shape=[15], data_offsets=[begin, end - 4])

    file.edit_header = odd
    expect_error(file, 'tensor "weights.0"', "multiple of 64 bytes, got 60")


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        (lambda text: b" " + text, ["must begin with '{'"]),
        (lambda text: b"\xef\xbb\xbf" + text, ["must begin with '{'"]),
        (lambda text: text[:-1], ["not JSON"]),
        (lambda text: text + b"\0", ["NUL"]),
        (lambda text: text + b"x", ["not JSON"]),
        (lambda text: text + b"{}", ["not JSON"]),
        (lambda text: text[:-1] + b',"a":"\xff"}', ["not JSON", "UTF-8"]),
        (lambda text: text[:-1] + b',"a":"\\ud800"}', ["not JSON"]),
        (lambda text: text[:-1] + b',"a":' + b"[" * 100000 + b"]" * 100000 + b"}", ["nested deeper than 32"]),
        (lambda text: text[:-1] + b',"a":' + b"[" * 100000, ["nested deeper than 32"]),
        (lambda text: text[:-1] + b',"a":1,"a":2}', ['"a" occurs twice']),
        (lambda text: text[:-1] + b',"a":1e999}', ["not JSON", "1e999"]),
        (lambda text: text[:-1] + b',"a":NaN}', ["not JSON"]),
        (lambda text: text[:-1] + b',"a":1}// comment', ["not JSON"]),
        (lambda text: text[:-1] + b',"a\\u0000\\u001b":1}', ["a\\x00\\x1b"]),
        (lambda text: b"[]", ["must begin with '{'"]),
        (lambda text: b"", ["must begin with '{'"]),
    ],
)
@pytest.mark.parametrize("which", ["edit_text", "edit_header_text"])
def test_text_that_is_not_json(which, edit, parts):
    file = small()
    setattr(file, which, edit)
    expect_error(file, "graph: " if which == "edit_text" else "header: ", *parts)


def test_checksum():
    file = small()
    file.crc_xor = 1
    expect_error(file, "checksum", "damaged")
    file = small()
    file.checksum_tail = b"\0\1"
    expect_error(file, '"checksum" must be zero after')


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_must_be_finite(number):
    file = small()
    file.weights[3][2, 19] = number
    expect_error(file, '"weights.3" contains NaN or infinity')


def test_unchecked_weights_may_change():
    file = small()
    file.weights[1] = file.weights[1] * 3
    read_graph_summary(file.bytes())


# The graph

N = "nodes"
BIG = [2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30]


def both(*edits):
    return lambda root: [edit(root) for edit in edits]


ROOT = [
    case(put("more", 1), 'unknown key "more"'),
    case(put("version", 2), "version must be", "got 2"),
    case(put("version", "1"), "version must be", 'got "1"'),
    case(put("producer", 1), "producer must be a string"),
    case(put("values", {}), "values must be an array, got an object"),
    case(put("assumed", [1]), "assumed[0]: must be a string, got 1"),
    case(put("meta", []), "meta must be an object"),
    *[case(drop(key), f'the key "{key}" is missing') for key in small().graph],
]

VALUES = [
    case(put("values", []), "input: there is no value 0"),
    case(put("values", 3, [6]), "values[3]: must be [positions, channels], got an array of 1"),
    case(put("values", 3, "x"), 'values[3]: must be [positions, channels], got "x"'),
    case(put("values", 3, [6, 0]), "values[3]: channels must be a whole number from 1 to 1048576, got 0"),
    case(put("values", 3, [6.0, 2]), "values[3]: positions must be", "got 6.0"),
    case(put("values", 3, [True, 2]), "values[3]: positions must be", "got true"),
    case(put("values", 3, [(1 << 24) + 1, 2]), "values[3]: positions must be"),
    case(put("values", 3, [1 << 24, 1 << 20]), "values[3]: 16777216 positions × 1048576 channels exceed 2^28"),
    case(put("values", 0, [6, 2]), "input: shape [1, 2, 3] does not have the 6 × 2 elements"),
    case(lambda g: g["values"].append([1, 1]), "value 11 is never written"),
    *[case(put("values", 3, [big, 2]), "values[3]: positions must be", id=f"positions {big}") for big in BIG],
]

TABLES = [
    case(put("tables", 2, [0, 6]), "tables[2]: must be an object"),
    case(put("tables", 2, {"offset": 0}), 'tables[2]: the key "length" is missing'),
    case(put("tables", 2, "more", 1), 'tables[2]: unknown key "more"'),
    case(put("tables", 0, "offset", 1), 'tables[0]: unknown key "offset"'),
    case(put("tables", 2, "offset", -1), "tables[2]: offset must be"),
    case(put("tables", 2, "length", 0), "tables[2]: length must be"),
    case(put("tables", 2, "length", (1 << 24) + 1), "tables[2]: length must be"),
    case(put("tables", 2, "offset", 27), "tables[2]: offset 27 and length 6 reach beyond the tables tensor of 32"),
    case(put("tables", 2, "length", 33), "tables[2]: offset 0 and length 33 reach beyond"),
    case(put("tables", 0, "grid", [2, 3]), "tables[0]: grid: must be [H, W, h, w, sy, sx, dy, dx], got an array of 2"),
    case(put("tables", 0, "grid", 0, 0), "tables[0]: grid: H must be"),
    case(put("tables", 0, "grid", 3, -1), "tables[0]: grid: w must be"),
    case(put("tables", 0, "grid", 4, 1 << 25), "tables[0]: grid: sy must be"),
    case(put("tables", 0, "grid", 7, -(1 << 63)), "tables[0]: grid: dx must be"),
    case(put("tables", 0, "grid", [1 << 13, 1 << 12, 1, 1, 0, 0, 0, 0]), "tables[0]: the grid has more than 2^24"),
    case(put("tables", 0, "grid", [1, 1, 1 << 24, 1 << 24, 0, 0, 0, 0]), "tables[0]: the grid has more than 2^24"),
    case(
        lambda g: g["tables"].extend([{"grid": [4096, 4096, 1, 1, 0, 0, 0, 0]}] * 17),
        "tables have more than 2^28 entries",
    ),
    *[case(put("tables", 2, "offset", big), "tables[2]: offset", id=f"offset {big}") for big in BIG],
]

INPUT = [
    case(put("input", []), "input: must be an object"),
    case(drop("input", "name"), 'input: the key "name" is missing'),
    case(put("input", "value", 1), "input: value must be"),
    case(put("input", "shape", [1, 2, 4]), "input: shape [1, 2, 4] does not have the 6 × 1 elements"),
    case(put("input", "shape", []), "input: shape [] does not have the 6"),
    case(put("input", "shape", [1 << 28] * 8), "input: shape [268435456, "),
    case(put("input", "shape", [1] * 9), "input: shape has 9 entries"),
    case(put("input", "shape", [6, 0]), "input: shape[1]: the extent must be"),
    case(put("input", "shape", 6), "input: shape must be an array"),
    case(put("input", "dtype", "half"), "input: dtype must be", '"half"'),
]

CONDITIONS = [
    case(put("conditions", 0, "name", ""), "conditions[0]", "name is empty"),
    case(put("conditions", 1, "name", "style"), 'conditions[1] "style": the name is taken'),
    case(put("conditions", 0, "value", 0), 'conditions[0] "style": writes value 0, which is already written'),
    case(put("conditions", 0, "value", 11), 'conditions[0] "style": writes value 11, there are 11'),
    case(put("conditions", 0, "value", -1), "conditions[0]: value must be"),
    case(put("conditions", 0, "shape", [5]), 'conditions[0] "style": shape [5] means 1 positions × 5 channels'),
    case(put("conditions", 0, "shape", [2, 2]), 'conditions[0] "style": shape [2, 2] means 2 positions × 2 channels'),
    case(put("conditions", 0, "shape", [4, 1, 1, 1]), 'conditions[0] "style": shape has more than three dimensions'),
    case(put("conditions", 0, "shape", [1 << 28, 1 << 28, 1 << 28]), 'conditions[0] "style": shape'),
    case(put("conditions", 0, "dtype", "bool"), "conditions[0]: dtype must be"),
    case(put("conditions", 0, "size", 3), 'conditions[0]: the key "size" needs dtype "int"'),
    case(drop("conditions", 1, "size"), 'conditions[1]: the key "size" is missing'),
    case(put("conditions", 1, "size", 0), "conditions[1]: size must be"),
    case(put("conditions", 1, "size", 1 << 25), "conditions[1]: size must be"),
    case(put("conditions", 1, "more", 0), 'conditions[1]: unknown key "more"'),
]

HEAD = [
    case(put("head", {}), "head: must be an object with the key"),
    case(put("head", "kind", "gaussian"), 'head: unknown kind "gaussian"'),
    case(put("head", "kind", 1), "head: kind must be a string"),
    case(put("head", "kind", "bernoulli"), 'head: the key "probs" is missing'),
    case(put("head", "probs", False), 'head: unknown key "probs"'),
    case(put("head", "value", 11), "head: reads value 11, there are 11"),
    case(put("head", "table", 5), "head: reads through table 5, there are 5"),
    case(put("head", "table", -2), "head: table must be"),
    case(put("head", "channel", 2), "head: reads channels 2 to 6, value 10 has 5"),
    case(put("head", "levels", 0), "head: levels must be"),
    case(put("head", "levels", 6), "head: reads channels 1 to 7, value 10 has 5"),
    case(put("head", "levels", (1 << 20) + 1), "head: levels must be"),
    case(put("head", "values", 7), "head: values: there is no weights.7"),
    case(put("head", "values", 1), "head: values: weights.1 has 64 floats, must have 16"),
    case(put("head", "values", -1), "head: values must be"),
]

ORDER = [
    case(put("order", "raster"), "order: must be an object with the key"),
    case(put("order", "kind", "spiral"), 'order: unknown kind "spiral"'),
    case(drop("order", "table"), 'order: the key "table" is missing'),
    case(put("order", "kind", "raster"), 'order: unknown key "table"'),
    case(put("order", "table", -1), "order: table must be"),
    case(put("order", "table", 5), "order: table 5 does not exist, there are 5"),
    case(put("order", "table", 0), "order: table 0 has site -1 at rank 0, there are 6"),
    case(put("tables", 3, "offset", 14), "order: table 3 is not a permutation: site 0 occurs twice"),
    case(put("tables", 3, "length", 5), "order: table 3 has 5 entries for 6 sites"),
]


def node_case(index, edit, *parts):
    name = small().graph[N][index]["name"]
    at = lambda graph: edit(graph[N][index])
    return case(at, f'node {index} "{name}"', *parts, id=f"{name} {' '.join(parts)}"[:80])


NODES = [
    case(put(N, 1, 7), "node 1: must be an object, got 7"),
    case(put(N, 1, {}), 'node 1: the key "kind" is missing'),
    node_case(GEMM, put("kind", "conv"), 'unknown kind "conv"'),
    node_case(GEMM, put("kind", None), "kind must be a string, got null"),
    node_case(GEMM, drop("bias"), 'the key "bias" is missing'),
    node_case(GEMM, put("stride", 1), 'unknown key "stride"'),
    node_case(GEMM, put("source", 3), "source must be a string"),
    node_case(GEMM, put("out", -1), "out must be"),
    node_case(GEMM, put("out", 11), "writes value 11, there are 11"),
    node_case(LOGITS, put("out", 0), "weights.5"),
    node_case(LOGITS, put("segments", 0, 0, 10), "segments[0]: reads value 10, which nothing before it writes"),
    node_case(ADD, put("args", 0, 0, 9), "args[0]: reads value 9, which nothing before it writes"),
    node_case(ADD, put("args", 0, 0, 11), "args[0]: reads value 11, there are 11"),
    *[
        node_case(ADD, put("args", 0, 0, big), "args[0]: value must be" if big > 2**31 - 1 else "args[0]: reads value")
        for big in BIG
    ],
    # const
    node_case(CONST, put("data", 7), "data: there is no weights.7"),
    node_case(CONST, put("data", -1), "data must be"),
    node_case(CONST, put("data", 1), "data: weights.1 has 64 floats, must have 16"),
    # gemm
    node_case(GEMM, put("segments", {}), "segments must be an array"),
    node_case(GEMM, put("segments", []), "segments is empty"),
    node_case(
        GEMM,
        put("segments", 0, [0, 0]),
        "segments[0]: must be [value, table, channel, channels, k0], got an array of 2",
    ),
    node_case(GEMM, put("segments", 1, 1, 5), "segments[1]: reads through table 5, there are 5"),
    node_case(GEMM, put("segments", 1, 1, -2), "segments[1]: table must be"),
    node_case(GEMM, put("segments", 1, 2, 1), "segments[1]: reads channels 1 to 2, value 0 has 1"),
    node_case(GEMM, put("segments", 1, 2, 1 << 32), "segments[1]: reads channels 4294967296 to"),
    node_case(GEMM, put("segments", 1, 3, 0), "segments[1]: channels must be"),
    node_case(GEMM, put("segments", 1, 3, 1 << 32), "segments[1]: reads channels 0 to 4294967296"),
    node_case(GEMM, put("segments", 1, 4, 1), "segments[1]: k0 1 is less than 2"),
    node_case(GEMM, put("segments", 1, 4, 0), "segments[1]: k0 0 is less than 2"),
    node_case(GEMM, put("segments", 1, 4, -1), "segments[1]: k0 must be"),
    node_case(GEMM, put("segments", 1, 4, 1 << 30), "segments[1]: k0 + channels exceeds 2^30"),
    node_case(GEMM, drop("segments", 1), "data: weights.1 has 64 floats, must have 32"),
    node_case(GEMM, put("data", 0), "data: weights.0 has 16 floats, must have 64"),
    node_case(GEMM, put("bias", 0), "bias: weights.0 has 16 floats, must have 32"),
    node_case(GEMM, put("bias", 7), "bias: there is no weights.7"),
    node_case(GEMM, put("bias", -2), "bias must be"),
    # lookup
    node_case(LOOKUP, put("in", [2, -1]), "in: must be [value, table, channel], got an array of 2"),
    node_case(LOOKUP, put("in", 3), "in must be an array"),
    node_case(LOOKUP, put("in", 2, 1), "in[0]: reads channels 1 to 2, value 2 has 1"),
    node_case(LOOKUP, put("in", [0, 0, 0]), "in[0]: table 0 has entries of -1, which only gemm and copy may read"),
    node_case(LOOKUP, put("rows", 0), "rows must be"),
    node_case(LOOKUP, put("rows", 4), "data: weights.3 has 64 floats, must have 80"),
    node_case(LOOKUP, put("rows", 1 << 25), "rows must be"),
    # map
    node_case(ADD, put("op", "convolve"), 'unknown op "convolve"'),
    node_case(ADD, put("op", "softmax"), 'unknown op "softmax"'),
    node_case(ADD, put("op", 3), "op must be a string"),
    node_case(ADD, put("op", "where"), "where takes 3 args, got 2"),
    node_case(ADD, put("op", "relu"), "relu takes 1 args, got 2"),
    node_case(ADD, put("params", [1]), "add takes 0 params, got 1"),
    node_case(ADD, put("args", 1, 3, 2), "args[1]: broadcast must be"),
    node_case(ADD, put("args", 1, 2, 1), "args[1]: reads channels 1 to 21, value 5 has 20"),
    node_case(ADD, put("args", 0, [1, -1, 0, 0]), "args[0]: reads channels 0 to 20, value 1 has 4"),
    node_case(ADD, put("args", 0, 1, 0), "args[0]: table 0 has entries of -1"),
    node_case(ADD, put("args", 0, 1, 4), "args[0]: table 4 has entries of -1"),
    node_case(CLAMP, put("args", 0, 2, 22), "args[0]: reads channels 22 to 23, value 8 has 22"),
    node_case(CLAMP, put("params", [0]), "clamp takes 2 params, got 1"),
    node_case(CLAMP, put("params", [0, "1"]), 'params must be a finite number that fits a float, got "1"'),
    node_case(CLAMP, put("params", [0, 1e39]), "params must be a finite number that fits a float"),
    node_case(CLAMP, put("params", [0, -1e308]), "params must be a finite number that fits a float"),
    node_case(CLAMP, put("params", [0, None]), "params must be a finite number"),
    # copy
    node_case(COPY, put("fill", None), "fill must be a finite number"),
    node_case(COPY, put("fill", 1e300), "fill must be a finite number"),
    node_case(COPY, put("blocks", 1, 2, 1), "blocks[1]: reads channels 1 to 3, value 3 has 2"),
    node_case(COPY, put("blocks", 1, 4, 21), "blocks[1]: fills channels 21 to 23, value 7 has 22"),
    node_case(COPY, put("blocks", 1, 4, 1 << 32), "blocks[1]: fills channels 4294967296"),
    node_case(COPY, put("blocks", 1, 4, -1), "blocks[1]: d0 must be"),
    # row
    node_case(NORM, put("op", "relu"), 'unknown op "relu"'),
    node_case(NORM, put("op", "max"), "max takes 0 params, got 1"),
    node_case(NORM, both(put("op", "max"), put("params", [])), "max of 22 channels makes 1, value 8 has 22"),
    node_case(NORM, both(put("op", "softmax"), put("params", [])), "softmax takes no weight and no bias"),
    node_case(NORM, put("in", 3, 21), "layer_norm of 21 channels makes 21, value 8 has 22"),
    node_case(NORM, put("in", 3, 23), "in[0]: reads channels 0 to 23, value 7 has 22"),
    node_case(NORM, put("in", 1, 0), "in[0]: table 0 has entries of -1"),
    node_case(NORM, put("weight", 0), "weight: weights.0 has 16 floats, must have 32"),
    node_case(NORM, put("bias", 9), "bias: there is no weights.9"),
]


@pytest.mark.parametrize(("edit", "parts"), [*ROOT, *VALUES, *TABLES, *INPUT, *CONDITIONS, *HEAD, *ORDER, *NODES])
def test_graph(edit, parts):
    file = small()
    edit(file.graph)
    expect_error(file, *parts)


def test_values_are_written_once():
    file = small()
    file.graph[N].append(copy.deepcopy(file.graph[N][LOGITS]))
    expect_error(file, 'node 8 "logits" (gemm): writes value 10, which is already written')


def test_nodes_come_in_topological_order():
    file = small()
    nodes = file.graph[N]
    nodes[GEMM], nodes[ADD] = nodes[ADD], nodes[GEMM]
    expect_error(file, 'node 1 "add" (map): args[0]: reads value 4, which nothing before it writes')


def test_only_a_categorical_head_leaves_sites_without_a_distribution():
    file = small()
    file.graph["head"]["table"] = 0
    read_graph_summary(file.bytes())
    bernoulli(file)
    file.graph["head"]["table"] = 0
    expect_error(file, "head: table 0 has entries of -1")


def test_stored_tables_are_checked_entry_by_entry():
    for entry, part in [
        (6, "table 2 has the entry 6, value 4 has 6 positions"),
        (-2, "table 2 has the entry -2, which only bitmaps"),
        (2**31 - 1, "the entry 2147483647"),
        (-(2**31), "the entry -2147483648, which only bitmaps"),
        (-1, "entries of -1"),
    ]:
        file = small()
        file.tables[3] = entry
        expect_error(file, part)


def test_a_source_without_a_table_has_as_many_positions_or_one():
    file = small()
    file.graph["values"][3] = [3, 2]
    file.graph["tables"][4] = {"offset": 12, "length": 3}
    file.weights[0] = np.zeros((3, 2))
    file.graph[N][COPY]["blocks"][1][1] = -1
    expect_error(file, "blocks[1]: reads value 3 of 3 positions without a table, for 6")


def test_a_grid_must_fit_its_source():
    file = small()
    file.graph["tables"][0]["grid"] = [2, 3, 3, 3, 1, 1, 1, 0]
    expect_error(file, "segments[0]: table 0 has the entry 8, value 0 has 6 positions")
    file.graph["tables"][0]["grid"] = [3, 3, 2, 3, 1, 1, 0, 0]
    expect_error(file, "segments[0]: table 0 has 9 entries for 6 positions")


def test_reads_are_limited():
    file = small()
    positions = 1 << 24
    file.graph["values"][3] = [positions, 2]
    file.graph["values"] += [[positions, 1]] * 70
    file.graph[N] += [node("map", 11 + i, f"m{i}", op="neg", args=[[1, -1, 0, 0]], params=[]) for i in range(70)]
    file.graph[N][CONST] = node("copy", 3, "fill", blocks=[], fill=0)
    file.graph[N][COPY]["blocks"].pop()
    expect_error(file, 'node 70 "m62" (map): sources × positions of all nodes together exceed 2^30')


@pytest.mark.parametrize(("weight", "part"), [(0, "data"), (2, "bias"), (3, "data"), (4, "weight"), (6, "values")])
def test_padding_is_zero(weight, part):
    file = small()
    flat = np.asarray(file.weights[weight], np.float32).ravel()
    flat = np.pad(flat, (0, -len(flat) % 16))
    flat[-1] = 1
    file.weights[weight] = flat
    expect_error(file, f"{part}: the padding of weights.{weight} is not zero")


def test_padding_of_packed_columns_is_zero():
    file = small()
    file.weights[5].reshape(26, 16)[7, 5] = 1
    expect_error(file, 'node 7 "logits" (gemm): data: the padding of weights.5 is not zero')


def test_names_in_messages_are_short_and_printable():
    file = small()
    file.graph[N][GEMM]["name"] = "é" * 3000 + "\n"
    file.graph[N][GEMM]["bias"] = 99
    with pytest.raises(FormatError) as caught:
        read_graph_summary(file.bytes())
    assert len(str(caught.value)) < 200 and "é…" in str(caught.value)
    file.graph[N][GEMM]["name"] = "a\x00b\x1b[31m"
    expect_error(file, r'node 1 "a\x00b\x1b[31m"')
