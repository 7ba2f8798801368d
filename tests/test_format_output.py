"""The reader of .genfast files: outputs, graphs without a distribution, and rounds."""

import numpy as np
import pytest
from file_for_tests import File, case, drop, expect_error, node, pack_gemm, put

from genfast._core import read_graph_summary


def decoder() -> File:
    """Three normal latents, one image of two channels of 1 × 2."""
    rng = np.random.default_rng(2)
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[1, 3], [1, 2], [1, 4], [2, 2]],
        "tables": [{"offset": 0, "length": 3}, {"offset": 3, "length": 2}],
        "input": {"value": 0, "shape": [3], "dtype": "float", "name": "z"},
        "conditions": [],
        "nodes": [
            node("const", 1, "latent", data=0),
            node("gemm", 2, "linear", segments=[[0, -1, 0, 3, 0]], data=1, bias=-1),
            node("copy", 3, "reshape", blocks=[[2, 1, 0, 2, 0]], fill=0),
        ],
        "head": {
            "kind": "family",
            "value": 1,
            "table": 0,
            "channel": 0,
            "components": 1,
            "family": "Normal",
            "logits": -1,
            "params": [[0, "identity", 1, 0], [1, "identity", 1, 0]],
        },
        "output": {"value": 3, "shape": [2, 1, 2]},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    weights = [[0.0, 1.0], pack_gemm(rng.standard_normal((3, 4)).astype(np.float32))]
    return File(graph, [0, 0, 0, 0, 0], weights)


def without_head() -> File:
    file = decoder()
    file.graph["head"] = {"kind": "none"}
    return file


def iterated() -> File:
    """x and a momentum of a 2 × 2 image; a condition that every round reads."""
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[4, 1], [4, 1], [4, 1], [4, 1], [1, 2], [4, 1]],
        "tables": [{"offset": 0, "length": 4}],
        "input": {"value": 0, "shape": [1, 2, 2], "dtype": "float", "name": "x"},
        "conditions": [{"name": "to", "value": 5, "shape": [1, 2, 2], "dtype": "float"}],
        "nodes": [
            node("const", 4, "latent", data=0),
            node("map", 2, "momentum", op="add", args=[[1, -1, 0, 0], [5, -1, 0, 0]], params=[]),
            node("map", 3, "step", op="sub", args=[[0, -1, 0, 0], [2, -1, 0, 0]], params=[]),
        ],
        "head": {
            "kind": "family",
            "value": 4,
            "table": 0,
            "channel": 0,
            "components": 1,
            "family": "Normal",
            "logits": -1,
            "params": [[0, "identity", 1, 0], [1, "identity", 1, 0]],
        },
        "output": {"value": 0, "shape": [1, 2, 2]},
        "iterate": {
            "rounds": 3,
            "jitter": 1,
            "states": [{"value": 0, "next": 3, "initial": 0}, {"value": 1, "next": 2, "initial": 0.5}],
        },
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    return File(graph, [0, 0, 0, 0], [[0.0, 1.0]])


def test_output_is_read():
    summary = read_graph_summary(decoder().bytes())
    assert summary["output"] == {"value": 3, "shape": [2, 1, 2]}
    assert "iterate" not in summary
    assert read_graph_summary(without_head().bytes())["head"]["kind"] == "none"


def test_rounds_are_read():
    summary = read_graph_summary(iterated().bytes())
    assert summary["iterate"] == {"rounds": 3, "states": [(0, 3, 0.0), (1, 2, 0.5)], "jitter": 1}


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(put("output", "value", 4), "output", "value 4 does not exist"),
        case(put("output", "value", -1), "output", "value"),
        case(put("output", "shape", [2, 2, 2]), "output", "[2, 2, 2]"),
        case(put("output", "shape", [1, 2]), "output", "[1, 2]", "2 × 2 elements of value 3"),
        case(put("output", "shape", [5]), "output", "[5]"),
        case(put("output", "shape", [2, 0, 2]), "output"),
        case(put("output", "more", 1), "output", "more"),
        case(put("output", 3), "output"),
    ],
)
def test_broken_output(edit, parts):
    file = decoder()
    edit(file.graph)
    expect_error(file, *parts)


def test_shapes_split_into_positions_and_channels_anyhow():
    file = decoder()
    file.graph["output"]["shape"] = [4]
    file.graph["input"]["shape"] = [1, 3]
    assert read_graph_summary(file.bytes())["output"]["shape"] == [4]
    del file.graph["output"]
    expect_error(file, "input", "[1, 3]", "does not begin with the 3 channels")


def test_without_a_distribution_there_is_an_output():
    file = without_head()
    del file.graph["output"]
    expect_error(file, "head", "needs an output")
    file = without_head()
    file.graph["head"]["value"] = 1
    expect_error(file, "head", "value")


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        case(put("iterate", "rounds", 0), "iterate", "rounds"),
        case(put("iterate", "rounds", 10**7), "iterate", "rounds"),
        case(put("iterate", "rounds", 1.5), "iterate", "rounds"),
        case(put("iterate", "jitter", -1), "iterate", "jitter"),
        case(put("iterate", "states", []), "iterate", "first state"),
        case(put("iterate", "states", 0, "value", 1), "iterate", "first state"),
        case(put("iterate", "states", 0, "next", 9), "iterate", "next 9 does not exist"),
        case(put("iterate", "states", 0, "next", 4), "iterate", "next 4", "size of the state 0"),
        case(put("iterate", "states", 1, "value", 0), "iterate", "already written"),
        case(lambda g: g["iterate"]["states"].append({"value": 2, "next": 2, "initial": 0}), "already written"),
        case(put("iterate", "states", 1, "value", 7), "iterate", "7"),
        case(put("iterate", "states", 1, "initial", float("nan")), "initial", id="nan"),
        case(drop("iterate", "states", 1), "reads value 1, which nothing before it writes"),
        case(drop("iterate"), "reads value 1, which nothing before it writes"),
        case(put("output", "value", 2), "iterate", "the output must be one of the states"),
        case(put("input", "shape", [4]), "jitter needs", "[4]"),
        case(put("head", "value", 1), "the head", id="head reads a state"),
        case(put("head", "value", 3), "the head", id="head reads what follows from one"),
    ],
)
def test_broken_rounds(edit, parts):
    file = iterated()
    file.graph["head"]["params"] = [[0, "identity", 1, 0], [0, "exp", 1, 0]]
    edit(file.graph)
    expect_error(file, *parts)


def test_a_head_may_read_a_condition_of_every_round():
    file = iterated()
    file.graph["head"].update(value=5, params=[[0, "identity", 1, 0], [0, "exp", 1, 0]], table=-1)
    assert read_graph_summary(file.bytes())["head"]["value"] == 5
