"""Random small graphs with every kind of node, run by the engine and by genfast/reference.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plans_for_tests import Random, attach_head, random_graph

from genfast import _core, reference
from genfast.errors import NotCausalError
from genfast.model import Model

TARGETS = [name for name, supported in _core.kernels.targets() if supported]


class Numbers(Random):
    """As for plans, but with numbers that mean something: heads of attention, indices that exist, states that last."""

    def gemm_node(self, out: int, segments: list[list[int]], weight: np.ndarray) -> int:
        return super().gemm_node(out, segments, weight / np.sqrt(len(weight)))

    def any_lookup(self) -> None:
        positions, value = self.grid(), self.source()
        args = [[value, self.read(value, positions, False), self.span(value)[0], 1], [1, -1, 0, 1]]
        index = self.add("map", positions, 1, op="ge", args=args, params=[])
        data = self.weight(self.rng.standard_normal((2, 5)))
        self.add("lookup", positions, 5, **{"in": [index, -1, 0]}, data=data, rows=2)

    def any_attend(self) -> None:
        rng, shared = self.rng, int(self.rng.integers(1, 4))
        kv_heads, dim, dim_v, gap = (int(rng.integers(1, n)) for n in (4, 20, 35, 3))
        super().any_attend()  # decides what is seen, through which tables
        attend: dict[str, Any] = self.nodes.pop()
        positions = self.values.pop()[0]
        heads = kv_heads * shared
        wide = {}
        for name, count, width in (("q", heads, dim), ("k", kv_heads, dim), ("v", kv_heads, dim_v)):
            value, table = attend[name][:2]
            step = width + gap - 1
            wide[name] = [self.gemm(self.values[value][0], 1 + count * step, [(value, -1)]), table, 1, step]
        if rng.random() < 0.5:
            attend["bias"] = self.weight(rng.standard_normal((heads, positions, attend["keys"])))
        attend |= wide | {"heads": heads, "kv_heads": kv_heads, "dim": dim, "dim_v": dim_v, "scale": float(dim**-0.5)}
        self.values.append((positions, heads * dim_v))
        self.nodes.append(attend | {"out": len(self.values) - 1})


def random_model(seed: int) -> tuple[Model, reference.Graph] | None:
    """A causal model with a categorical head and its reference, if the seed gives one."""
    builder, order = random_graph(seed, Numbers)
    file = attach_head(builder, order, True)
    data = file.bytes()
    if file.graph["head"]["kind"] != "categorical":
        return None
    model = _core.Model.from_bytes(data, f"seed {seed}")
    try:
        model.plan()
    except NotCausalError:  # a mixture that found no causal place, and became categorical
        return None
    return Model(model), reference.read(data)


@pytest.mark.parametrize("part", range(8))
def test_random_graphs(part):
    kinds, steps = set(), 0
    for seed in range(part * 15, part * 15 + 15):
        made = random_model(seed)
        if made is None:
            continue
        model, graph = made
        rng = np.random.default_rng(seed)
        n, sites = 3, graph.sites
        condition = {"c": rng.standard_normal((n, 3)).astype(np.float32)}
        u = rng.random((n, sites))
        x = model.sample(n, u=u, condition=condition)
        want = reference.sample(graph, u, condition)
        assert (x == want).all(), seed
        z = reference.logits(graph, want, condition)
        got = model.logits(x, condition=condition).reshape(n, -1, sites).swapaxes(1, 2)
        np.testing.assert_allclose(got, z, rtol=1e-4, atol=1e-4 * max(1, np.abs(z).max()), err_msg=str(seed))
        score = model.log_prob(x, condition=condition)
        np.testing.assert_allclose(score, reference.log_prob(graph, want, condition), rtol=1e-4, atol=1e-3)
        kinds |= {node["kind"] for node in graph.json["nodes"]}
        steps += sites

        # The same bits one by one, position by position, on every target.
        for i in range(n):
            row = {"c": condition["c"][i : i + 1]}
            assert (model.sample(1, u=u[i : i + 1], condition=row) == x[i]).all()
            assert (
                model.logits(x[i : i + 1], condition=row).view(np.uint32)
                == model.logits(x, condition=condition)[i].view(np.uint32)
            ).all()
        assert (model.sample(n, u=u, condition=condition, wavefront=False) == x).all()
        bits = model.logits(x, condition=condition).view(np.uint32)
        try:
            for target in TARGETS:
                _core.kernels.set_target(target)
                assert (model.logits(x, condition=condition).view(np.uint32) == bits).all()
        finally:
            _core.kernels.set_target("")

        # Known sites, first in the order: the rest follows as it did.
        drawn = graph.drawn
        known = np.zeros(sites, bool)
        known[graph.order[: rng.integers(sites + 1)]] = True
        mask = known.reshape(graph.json["input"]["shape"])
        again = model.complete(np.where(mask, x, 0), known=mask, u=u, condition=condition)
        assert (again == x).all(), (seed, drawn)
    assert {"attend", "gemm", "copy", "map"} <= kinds
    assert steps > 50


def test_memory_of_positions_that_are_never_reached():
    """A cache of keys for 2048 positions costs what the first few of them take."""
    sites, width, rows = 2048, 1024, 8
    b = Numbers(np.random.default_rng(0), sites, 1)
    b.values = [(sites, 1), (1, 3)]
    before = b.table(np.arange(sites) - 1)
    fed = b.add("copy", sites, 1, blocks=[[0, before, 0, 1, 0]], fill=0)
    b.values.append((sites, width))
    key = b.gemm_node(len(b.values) - 1, [[fed, -1, 0, 1, 0]], b.rng.standard_normal((1, width)))
    seen = [b.table(np.zeros(sites)), b.table(np.arange(sites) + 1)]
    shape = {"heads": 1, "kv_heads": 1, "dim": width, "dim_v": width, "keys": sites, "scale": 1.0, "bias": -1}
    out = b.add("attend", sites, width, **{name: [key, -1, 0, 0] for name in "qkv"}, **shape, visible=seen)
    logits = b.gemm(sites, 2, [(out, -1)])
    head = {"kind": "categorical", "value": logits, "table": -1, "channel": 0, "levels": 2, "values": b.weight([0, 1])}
    file = b.file(head, None)
    file.graph["input"]["dtype"] = "int"
    data = file.bytes()
    size = _core.plan_summary(data)["floats_per_row"] * 4 * rows
    assert size > 60e6
    model = Model(_core.Model.from_bytes(data, "long"))
    model._core.plan()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    start = resident()
    model.sample(rows, rng=0, max_tokens=4, condition={"c": np.zeros((rows, 3))})
    assert resident() - start < size / 4
