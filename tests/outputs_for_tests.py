"""Random graphs with an output, or iterated, for the tests of both; and what must hold of every one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from test_engine_graphs import TARGETS, Numbers, random_graph

import genfast as gf
from genfast import _core, reference
from genfast.model import Model


def normal_head(b: Numbers) -> dict[str, Any]:
    """Every site from N(0.5, 2²), whatever the others are."""
    value = b.add("const", 1, 2, data=b.weight([0.5, 2.0]))
    params = [[0, "identity", 1, 0], [1, "identity", 1, 0]]
    table = b.table(np.zeros(b.positions * b.channels))
    fixed = {"kind": "family", "family": "Normal", "components": 1, "logits": -1, "channel": 0}
    return fixed | {"value": value, "table": table, "params": params}


def shape_of(value: tuple[int, int]) -> list[int]:
    positions, channels = value
    return [channels] if positions == 1 else [channels, positions]


def feed_forward(seed: int, given: bool) -> bytes:
    """Any graph; its output is the last value, one before, or the sites themselves."""
    b, order = random_graph(seed, Numbers)
    head = {"kind": "none"} if given else normal_head(b)
    file = b.file(head, order)
    value = int(b.rng.choice([len(b.values) - 1 - (not given)] * 6 + list(range(len(b.values)))))
    file.graph["output"] = {"value": value, "shape": shape_of(b.values[value])}
    return file.bytes()


def iterated(seed: int, given: bool = False, jitter: int = 0) -> bytes:
    """Two states on the input's grid, which may change places, and one beside it; the output is any of them."""
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    b = Numbers(rng, height * width, int(rng.integers(1, 4)))
    on_grid, beside = (b.positions, b.channels), (int(rng.integers(1, 4)), 18)
    b.values = [on_grid, (1, 3), on_grid, beside]
    add = [b.any_gemm, b.any_map, b.any_copy, b.any_row, b.any_const, b.any_attend]
    for _ in range(rng.integers(2, 8)):
        add[rng.integers(len(add))]()

    def new(shape: tuple[int, int]) -> int:
        sources = {int(v) for v in rng.integers(0, len(b.values), 3)}
        mixed = b.gemm(*shape, [(v, b.read(v, shape[0], True)) for v in sorted(sources)])
        return b.add("map", *shape, op="tanh", args=[[mixed, -1, 0, 0]], params=[])

    states = [{"value": 0, "initial": 0}, {"value": 2, "initial": 0.25}, {"value": 3, "initial": -1}]
    for state in states:
        exchanged = state["value"] == 2 and rng.random() < 0.4
        state["next"] = 0 if exchanged else new(b.values[state["value"]])
    head = {"kind": "none"} if given else normal_head(b)
    file = b.file(head, None)
    file.graph["input"]["shape"] = [b.channels, height, width]
    value = int(rng.choice([0, 0, 2, 3]))
    file.graph["output"] = {"value": value, "shape": shape_of(b.values[value])}
    file.graph["iterate"] = {"rounds": int(rng.integers(1, 6)), "states": states, "jitter": jitter}
    return file.bytes()


def load(data: bytes) -> Model:
    return Model(_core.Model.from_bytes(data, "test"))


def bits(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32)


def check_against_reference(data: bytes, seed: int, given: bool) -> Model:
    """The reference's numbers; the same bits for any batch, rows, threads, target, wavefronts, and from the latent."""
    model, graph = load(data), reference.read(data)
    rng, n = np.random.default_rng(seed), 7
    condition = {"c": rng.standard_normal((n, 3)).astype(np.float32)}
    u = rng.random((n, model.uniforms))
    if given:
        x = rng.standard_normal((n, *model.input_shape)).astype(np.float32)
        out = model.apply(x, u=u, condition=condition)
    else:
        out, x = model.sample(n, u=u, condition=condition, return_latent=True)
        assert (bits(model.sample(n, u=u, condition=condition, wavefront=False)) == bits(out)).all(), seed
    want = reference.apply(graph, x, condition, u)
    assert out.shape == (n, *model.output_shape) == want.shape and out.dtype == np.float32
    np.testing.assert_allclose(out, want, rtol=1e-4, atol=1e-4 * max(1, np.abs(want).max()), err_msg=str(seed))

    def again(rows: slice) -> np.ndarray:
        return model.apply(x[rows], u=u[rows], condition={"c": condition["c"][rows]})

    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (bits(again(slice(None))) == bits(out)).all(), (seed, target, threads)
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    for rows in (slice(0, 1), slice(1, 4), slice(6, None), slice(None, None, -1)):
        assert (bits(again(rows)) == bits(out[rows])).all(), (seed, rows)
    assert again(slice(0, 0)).shape == (0, *model.output_shape)
    return model
