"""The reader of .genfast files: weights of BF16 and I8, and their scales."""

import numpy as np
import pytest
from file_for_tests import File, case, drop, expect_error, node, pack_gemm, put

from genfast import reference
from genfast._core import Model, read_graph_summary

EMBED, CONV, LOGITS = range(3)
TABLE, CONV_W, LOGITS_W, VALUES, TABLE_S, CONV_S, BIAS = range(7)


def bf16(x) -> np.ndarray:
    """The upper halves of float32 numbers: what is left of them, not what is nearest."""
    return (np.asarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def reduced() -> File:
    """Five sites of 4 levels: a table and a gemm of 70 columns in I8, the logits in BF16."""
    rng = np.random.default_rng(3)
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[5, 1], [5, 6], [5, 70], [5, 4]],
        "tables": [{"grid": [1, 5, 1, 5, 1, 1, 0, -1]}],
        "input": {"value": 0, "shape": [5], "dtype": "int", "name": "x"},
        "conditions": [],
        "nodes": [
            node("lookup", 1, "embed", **{"in": [0, -1, 0]}, data=TABLE, rows=4, scales=TABLE_S),
            node("gemm", 2, "conv", segments=[[1, 0, 0, 6, 0]], data=CONV_W, scales=CONV_S, bias=BIAS),
            node("gemm", 3, "logits", segments=[[2, -1, 0, 70, 0]], data=LOGITS_W, bias=-1),
        ],
        "head": {"kind": "categorical", "value": 3, "table": -1, "channel": 0, "levels": 4, "values": VALUES},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    weights = [
        rng.integers(-127, 128, 4 * 6, dtype=np.int8),
        pack_gemm(rng.integers(-127, 128, (6, 70), dtype=np.int8)),
        pack_gemm(bf16(rng.standard_normal((70, 4)))),
        np.arange(4.0),
        rng.uniform(0.001, 0.02, 4),
        np.pad(rng.uniform(0.001, 0.02, 70), (0, 10)),
        np.pad(rng.standard_normal(70), (0, 10)),
    ]
    return File(graph, [], weights)


def test_reduced_weights_are_read_in_place():
    summary = read_graph_summary(reduced().bytes())
    assert summary["weight_types"] == ["int8", "int8", "bf16", "f32", "f32", "f32", "f32"]
    assert summary["weights"] == [64, 512, 1120, 16, 16, 80, 80]
    assert [n["scales"] for n in summary["nodes"]] == [TABLE_S, CONV_S, -1]


def test_what_is_read_is_run():
    data = reduced().bytes()
    x = np.random.default_rng(0).integers(0, 4, (7, 5))
    want = reference.logits(reference.read(data), x)
    core = Model.from_bytes(data, "test")
    from genfast.model import Model as Handle

    got = Handle(core).logits(x)
    np.testing.assert_allclose(np.moveaxis(got, 1, -1).reshape(want.shape), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(drop("nodes", EMBED, "scales"), 'node 0 "embed"', 'data is I8, which needs the key "scales"'),
        case(drop("nodes", CONV, "scales"), 'node 1 "conv"', 'data is I8, which needs the key "scales"'),
        case(put("nodes", LOGITS, "scales", VALUES), 'node 2 "logits"', 'the key "scales" needs data of I8'),
        case(put("nodes", CONV, "scales", 7), 'node 1 "conv"', "scales: there is no weights.7"),
        case(put("nodes", CONV, "scales", -1), 'node 1 "conv"', "scales must be"),
        case(put("nodes", CONV, "scales", TABLE_S), 'node 1 "conv"', "scales: weights.4 has 16 floats, must have 80"),
        case(put("nodes", CONV, "scales", TABLE), 'node 1 "conv"', "scales: weights.0 must be F32, is I8"),
        case(put("nodes", CONV, "bias", CONV_W), 'node 1 "conv"', "bias: weights.1 must be F32, is I8"),
        case(put("head", "values", LOGITS_W), "head: values: weights.2 must be F32, is BF16"),
        case(put("nodes", EMBED, "rows", 12), "data: weights.0 has 64 I8, must have 128", id="rows of the table"),
        case(put("nodes", LOGITS, "data", CONV_W), "data: weights.1 has 512 I8, must have 1152", id="gemm of I8"),
        case(put("nodes", CONV, "data", LOGITS_W), "data: weights.2 has 1120 BF16, must have 480", id="gemm of BF16"),
    ],
)
def test_graph(edit, parts):
    file = reduced()
    edit(file.graph)
    expect_error(file, *parts)


@pytest.mark.parametrize(
    ("weight", "at", "value", "message"),
    [
        (TABLE, 3, -128, 'tensor "weights.0" contains -128'),
        (CONV_W, 5, -128, 'tensor "weights.1" contains -128'),
        (LOGITS_W, 0, 0x7F80, 'tensor "weights.2" contains NaN or infinity'),
        (LOGITS_W, 1, 0xFF80, 'tensor "weights.2" contains NaN or infinity'),
        (LOGITS_W, 2, 0x7FC1, 'tensor "weights.2" contains NaN or infinity'),
        (CONV_S, 69, np.nan, 'tensor "weights.5" contains NaN or infinity'),
        (CONV_S, 70, 1.0, "scales: the padding of weights.5 is not zero"),
        (CONV_W, 64 * 6 + 6, 1, "data: the padding of weights.1 is not zero"),  # column 70 of row 0
        (CONV_W, 64 * 6 + 16 + 6, 1, "data: the padding of weights.1 is not zero"),
        (LOGITS_W, 4, 0x3F80, "data: the padding of weights.2 is not zero"),
    ],
)
def test_numbers(weight, at, value, message):
    file = reduced()
    file.weights[weight][at] = value
    expect_error(file, message)


@pytest.mark.parametrize("weight", [TABLE, CONV_W])
def test_the_tail_is_zero(weight):
    file = reduced()
    data = np.zeros(-(-file.weights[weight].size // 64) * 64, np.int8)
    data[: file.weights[weight].size] = file.weights[weight]
    data[-1] = 1
    file.weights[weight] = data
    expect_error(file, f"data: the padding of weights.{weight} is not zero")


def test_bf16_minus_zero_is_a_zero():
    file = reduced()
    file.weights[LOGITS_W][4] = 0x8000
    read_graph_summary(file.bytes())


def test_the_dtype_of_other_tensors():
    file = reduced()
    file.edit_header = put("tables", "dtype", "BF16")
    expect_error(file, 'tensor "tables"')
