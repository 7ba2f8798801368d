"""The reader of .genfast files: attention, loops, channels of the input, mixture and family heads."""

import numpy as np
import pytest
from file_for_tests import File, case, drop, expect_error, node, pack_gemm, put

from genfast._core import read_graph_summary

GATE, STATE, LOGITS = 0, 1, 2
Q, K, V = range(3)


def attention() -> File:
    """Four tokens, two heads of three over one head of keys, a prefix visible; output p predicts token p + 1."""
    rng = np.random.default_rng(1)
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[4, 1], [4, 6], [4, 8], [4, 4]],
        "tables": [{"offset": i * 4, "length": 4} for i in range(4)],
        "input": {"value": 0, "shape": [4], "dtype": "int", "name": "tokens"},
        "conditions": [],
        "nodes": [
            node("lookup", 1, "embed", **{"in": [0, -1, 0]}, data=0, rows=5),
            node(
                "attend",
                2,
                "attn",
                q=[1, -1, 0, 3],
                k=[1, -1, 0, 0],
                v=[1, 3, 2, 0],
                heads=2,
                kv_heads=1,
                dim=3,
                dim_v=4,
                keys=4,
                scale=0.5,
                visible=[0, 1],
                bias=-1,
            ),
            node("gemm", 3, "logits", segments=[[2, -1, 0, 8, 0]], data=1, bias=-1),
        ],
        "head": {"kind": "categorical", "value": 3, "table": 2, "channel": 0, "levels": 4, "values": 2},
        "bos": 4,
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    tables = [0, 0, 0, 0, 1, 2, 3, 4, -1, 0, 1, 2, 0, 1, 2, 3]
    weights = [rng.standard_normal((5, 6)), pack_gemm(rng.standard_normal((8, 4)).astype(np.float32)), np.arange(4.0)]
    return File(graph, tables, weights)


def with_bitmap() -> File:
    file = attention()
    del file.graph["nodes"][1]["visible"]
    file.graph["nodes"][1]["bitmap"] = 0
    file.tables[:4] = [1, 3, 5, 15]
    return file


def loop() -> File:
    """A running sum over five sites of three channels: copy the state of the position before, add."""
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[5, 3], [5, 3], [5, 3], [5, 21]],
        "tables": [{"grid": [1, 5, 1, 5, 1, 1, 0, -1]}, {"offset": 0, "length": 5}, {"offset": 5, "length": 15}],
        "input": {"value": 0, "shape": [3, 5], "dtype": "float", "name": "x"},
        "conditions": [],
        "nodes": [
            node("copy", 1, "state", blocks=[[2, 0, 0, 3, 0]], fill=0),
            node("map", 2, "sum", op="add", args=[[0, 1, 0, 0], [1, -1, 0, 0]], params=[]),
            node("gemm", 3, "head", segments=[[1, -1, 0, 3, 0]], data=0, bias=-1),
        ],
        "head": {
            "kind": "logistic_mixture",
            "value": 3,
            "table": -1,
            "channel": 1,
            "components": 2,
            "coupled": True,
            "low": -1,
            "high": 1,
            "levels": 4,
            "values": 1,
        },
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    tables = [0, 1, 2, 3, 4, *range(5), *range(5), *range(5)]
    return File(graph, tables, [pack_gemm(np.ones((3, 21), np.float32)), np.linspace(-1, 1, 4)])


def family() -> File:
    file = loop()
    file.graph["head"] = {
        "kind": "family",
        "value": 3,
        "table": 2,
        "channel": 0,
        "components": 3,
        "family": "Normal",
        "logits": 0,
        "params": [[3, "identity", 1, 0], [6, "exp", 1, 1e-3]],
    }
    file.weights.pop()
    return file


def test_attention_is_read():
    summary = read_graph_summary(attention().bytes())
    attend = summary["nodes"][1]
    assert attend["kind"] == "attend"
    assert attend["attention"] == (2, 1, 3, 4, 4, 0.5, 0, 1, -1)
    assert attend["sources"] == [(1, -1, 0, 6, 3, False), (1, -1, 0, 3, 0, False), (1, 3, 2, 4, 0, False)]
    assert summary["bos"] == 4 and summary["loops"] == [-1, -1, -1]
    assert read_graph_summary(with_bitmap().bytes())["nodes"][1]["attention"][-3:] == (-1, -1, 0)


def test_a_loop_is_found_and_raster_takes_the_channels_of_a_position_in_turn():
    summary = read_graph_summary(loop().bytes())
    assert summary["loops"] == [0, 0, -1]
    assert summary["order"] == [0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14]
    assert summary["head"]["components"] == 2 and summary["head"]["coupled"]
    assert summary["bos"] == 0


def test_a_family_head_is_read():
    head = read_graph_summary(family().bytes())["head"]
    assert (head["family"], head["levels"], head["values"]) == ("Normal", 0, -1)
    assert head["params"] == [(3, "identity", 1.0, 0.0), (6, "exp", 1.0, pytest.approx(1e-3, rel=1e-6))]


N = "nodes"


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(put(N, 1, "q", [1, -1, 0]), 'node 1 "attn": q: must be [value, table, channel, step], got an array of 3'),
        case(put(N, 1, "q", 0, 2), 'node 1 "attn" (attend): q: reads value 2, which nothing before it writes'),
        case(put(N, 1, "q", 3, 2), "q: step 2 is less than the 3 channels of a head"),
        case(put(N, 1, "q", 3, 1 << 32), "q: reads channels"),
        case(put(N, 1, "q", 2, 1), "q: reads channels 1 to 7, value 1 has 6"),
        case(put(N, 1, "k", 1, 2), "k: table 2 has entries of -1"),
        case(put(N, 1, "v", 1, 1), "v: table 1 has the entry 4, value 1 has 4"),
        case(put(N, 1, "keys", 3), "k: reads value 1 of 4 positions without a table, for 3"),
        case(put(N, 1, "keys", 0), "keys must be a whole number from 1"),
        case(put(N, 1, "heads", 3), "3 heads of 4 make 12 channels, value 2 has 8"),
        case(put(N, 1, "kv_heads", 3), "2 heads cannot share 3 heads of keys"),
        case(put(N, 1, "dim_v", 1 << 21), "dim_v must be"),
        case(put(N, 1, "scale", 1e39), "scale"),
        case(put(N, 1, "bias", 1), "bias"),
        case(put(N, 1, "bias", 9), "bias"),
        case(put(N, 1, "visible", [0, 9]), "visible names table 9"),
        case(put(N, 1, "visible", [0, -1]), "te must be"),
        case(put(N, 1, "visible", [0, 2]), "position 0 sees the keys 0 to -1 of 4"),
        case(put(N, 1, "visible", [1, 0]), "position 0 sees the keys 1 to 0 of 4"),
        case(put(N, 1, "bitmap", 0), 'needs one of "visible" and "bitmap"'),
        case(drop(N, 1, "visible"), 'needs one of "visible" and "bitmap"'),
        case(put("bos", -1), "bos must be"),
        case(put("bos", 1 << 24), "bos must be"),
    ],
)
def test_attention_that_does_not_fit(edit, parts):
    file = attention()
    edit(file.graph)
    expect_error(file, *parts)


def test_a_bitmap_keeps_to_its_keys():
    file = with_bitmap()
    file.tables[3] = 31
    expect_error(file, "the bitmap of position 3 has bits beyond the keys")
    file.tables[3] = -1
    expect_error(file, "the bitmap of position 3 has bits beyond the keys")
    file = with_bitmap()
    file.graph["tables"][0]["length"] = 8
    expect_error(file, "bitmap: table 0 has 8 entries, not 4")


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(put(N, 0, "blocks", 0, 1, 1), "position 0 reads position 0 of value 2, which its loop computes later"),
        case(put(N, 0, "blocks", 0, 1, -1), "reads value 2, which nothing before it writes"),
        case(put(N, 0, "blocks", 0, 2, 1), "reads channels 1 to 4, value 2 has 3"),
        case(put(N, 0, "blocks", 0, 0, 4), "reads value 4, there are 4"),
        case(put("tables", 0, "grid", 7, 1), "position 0 reads position 1 of value 2"),
        case(put(N, 1, "args", 1, 0, 2), 'node 1 "sum" (map): args[1]: reads value 2, which nothing'),
        case(put("head", "components", 0), "components must be"),
        case(put("head", "components", 3), "reads channels 1 to 31, value 3 has 21"),
        case(put("head", "low", 1), "low must be less than high"),
        case(put("head", "levels", 1), "levels must be"),
        case(put("input", "shape", [5, 3]), "shape [5, 3] does not begin with the 3 channels of value 0"),
    ],
)
def test_loops_and_mixtures_that_do_not_fit(edit, parts):
    file = loop()
    edit(file.graph)
    expect_error(file, *parts)


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(put("head", "family", "Normall"), 'head: unknown family "Normall"'),
        case(put("head", "params", [[3, "identity", 1, 0]]), "Normal takes 2 params, got 1"),
        case(put("head", "params", 0, [3, "identity", 1]), "must be [channel, link, scale, shift]"),
        case(put("head", "params", 0, 1, "log"), 'unknown link "log"'),
        case(put("head", "params", 0, 0, 20), "reads channels 0 to 23, value 3 has 21"),
        case(put("head", "logits", -1), "logits is -1 for one component"),
        case(put("head", "components", 1), "logits is -1 for one component"),
        case(put("head", "components", 257), "components must be"),
        case(put("head", "table", 1), "table 1 has 5 entries for 15 positions"),
        case(put("head", "values", 0), 'unknown key "values"'),
    ],
)
def test_families_that_do_not_fit(edit, parts):
    file = family()
    edit(file.graph)
    expect_error(file, *parts)


@pytest.mark.parametrize("make", [attention, with_bitmap, loop, family])
def test_every_missing_key_is_named(make):
    for i, entry in enumerate(make().graph["nodes"]):
        for key in set(entry) - {"visible", "bitmap"}:
            file = make()
            del file.graph["nodes"][i][key]
            expect_error(file, f'the key "{key}" is missing')
    for key in make().graph["head"]:
        file = make()
        del file.graph["head"][key]
        expect_error(file, "head", key)
