"""Plans of random small graphs against a slow planner, and of the shapes that the design promises."""

from __future__ import annotations

import time

import numpy as np
import pytest
from plans_for_tests import Builder, Simulation, Slow, Unknown, attach_head, random_graph, running_sum, transformer

from genfast._core import infer_order, plan_summary, read_graph_summary
from genfast.errors import FormatError, NotCausalError, UnsupportedOpError


def case(seed: int, causal: bool = True):
    builder, order = random_graph(seed)
    data = attach_head(builder, order, causal).bytes()
    return data, Slow(read_graph_summary(data), builder.matrices)


def check(data: bytes, slow: Slow, known: set[int], wavefront: bool) -> str:
    """Plans, and compares all that the slow planner knows; returns what became of it."""
    want = Unknown(slow, known, wavefront)
    mask = [int(s in known) for s in range(slow.sites)] if known else None
    if not want.legal:
        with pytest.raises(ValueError, match="known: ") as caught:
            plan_summary(data, mask, wavefront)
        assert not isinstance(caught.value, NotCausalError)
        return "illegal"
    if not want.causal:
        with pytest.raises(NotCausalError):
            plan_summary(data, mask, wavefront)
        return "not causal"
    plan = plan_summary(data, mask, wavefront)
    assert [sites for _, sites in plan["steps"]] == want.sites()
    assert sorted(plan["known"]) == sorted(want.given)
    for position_major in (True, False):
        Simulation(slow, plan, position_major).run()
    return "planned"


@pytest.mark.parametrize("part", range(10))
def test_plans_of_causal_graphs(part):
    seen = set()
    for seed in range(part * 40, part * 40 + 40):
        data, slow = case(seed)
        for wavefront in (True, False):
            seen.add(check(data, slow, set(), wavefront))
    assert "planned" in seen


@pytest.mark.parametrize("part", range(5))
def test_plans_of_any_graphs(part):
    outcomes = [check(*case(seed, causal=False), set(), True) for seed in range(1000 + part * 40, 1040 + part * 40)]
    assert {"planned", "not causal"} <= set(outcomes)


@pytest.mark.parametrize("part", range(10))
def test_known_sites(part):
    rng = np.random.default_rng(part)
    outcomes = set()
    for seed in range(part * 30, part * 30 + 30):
        data, slow = case(seed)
        order = slow.g["order"]
        prefix = set(order[: rng.integers(len(order) + 1)])
        everywhere = set(np.flatnonzero(rng.random(slow.sites) < 0.4).tolist())
        for known in (prefix, everywhere, set(range(slow.sites))):
            outcomes.add(check(data, slow, known, bool(rng.random() < 0.7)))
    assert outcomes >= {"planned", "illegal"}


def slow_order(slow: Slow) -> list[int] | None:
    """The smallest draw first whose distribution reads drawn sites only."""
    order: list[int] = []
    drawn = 0
    masks = {d: slow.head_mask(slow.head_position(d)) if slow.head_position(d) >= 0 else 0 for d in range(slow.draws())}
    while masks:
        ready = [d for d, mask in masks.items() if not mask & ~drawn]
        if not ready:
            return None
        del masks[min(ready)]
        for site in slow.sites_of(min(ready)):
            drawn |= 1 << site
            order.append(site)
    return order


@pytest.mark.parametrize("part", range(5))
def test_an_order_is_inferred(part):
    found = []
    for seed in range(part * 60, part * 60 + 60):
        data, slow = case(seed, causal=seed % 3 > 0)
        want = slow_order(slow)
        found.append(want is not None)
        if want is None:
            with pytest.raises(NotCausalError, match=r"site .* reads"):
                infer_order(data)
        else:
            got = infer_order(data)
            assert got.dtype == np.int32 and got.tolist() == want
    assert any(found) and not all(found)


def test_a_transformer_decodes_token_by_token():
    tokens, layers, width = 12, 3, 4
    plan = plan_summary(transformer(tokens, layers, width))
    assert plan["known"] == [0]
    assert [sites for _, sites in plan["steps"]] == [[t] for t in range(1, tokens)]
    # A single position may attend to what its own group has just computed: a step is one group.
    assert [[positions for _, positions in groups] for groups, _ in plan["steps"]] == [[[t]] for t in range(tokens - 1)]
    products = layers * 12 * width**2 + width * 5
    attention = [layers * 2 * width * (t + 1) for t in range(tokens - 1)]
    assert plan["multiply_adds"] == (tokens - 1) * products + sum(attention)
    assert plan["forward_multiply_adds"] == tokens * products + layers * tokens * tokens * 2 * width
    # The keys and values of every layer stay, and little else does.
    assert plan["cache_floats"] == layers * (tokens - 1) * 3 * width
    assert plan["floats_per_row"] < plan["cache_floats"] + 16 * width + 3 * 64
    for line in (
        "11 wavefront levels for 11 sites",
        "3 of 2 heads of 2, 12 positions over 12 keys",
        "one pass of the network",
    ):
        assert line in plan["text"], plan["text"]


def test_a_prompt_is_one_batch():
    tokens, prompt = 12, 7
    data = transformer(tokens, 2)
    plan = plan_summary(data, [int(t < prompt) for t in range(tokens)])
    assert sorted(plan["known"]) == list(range(prompt))
    assert [sites for _, sites in plan["steps"]] == [[t] for t in range(prompt, tokens)]
    kinds = [n["kind"] for n in read_graph_summary(data)["nodes"]]
    first = [(kinds[node], positions) for tasks, positions in plan["steps"][0][0] for (node, _) in tasks]
    attends = [positions for kind, positions in first if kind == "attend"]
    # The last layer attends where the first new token reads it only.
    assert attends == [list(range(prompt)), [prompt - 1]]
    assert ("lookup", list(range(prompt))) in first
    assert f"known        {prompt} before the first step, 1 of them without" in plan["text"]


def test_all_known_is_one_step():
    plan = plan_summary(transformer(6, 2), [1] * 6)
    assert [sites for _, sites in plan["steps"]] == [[1, 2, 3, 4, 5]]
    assert sorted(plan["known"]) == list(range(6))
    with pytest.raises(ValueError, match="expected 6 sites, got 5"):
        plan_summary(transformer(6, 2), [1] * 5)


def test_known_sites_after_others_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"site \(3\) is known and its distribution depends on site \(2\), which is not"
    ):
        plan_summary(transformer(6, 1), [1, 1, 0, 1, 0, 0])


def test_attention_without_a_mask_is_named():
    with pytest.raises(NotCausalError, match=r"lost in layer attend3 \(model.py:7\).*needs a causal mask"):
        plan_summary(transformer(6, 2, causal=False))
    with pytest.raises(NotCausalError, match=r"site \(\d\) reads that site itself|site \(\d\) reads site \(\d\)"):
        infer_order(transformer(6, 2, causal=False))


def test_loops_run_position_after_position():
    data = running_sum(8, back=1)
    plan = plan_summary(data)
    assert len(plan["steps"]) == 8
    # A known prefix: the loop's positions follow each other as groups, all of its nodes together.
    plan = plan_summary(data, [1] * 5 + [0] * 3)
    groups = plan["steps"][0][0]
    assert groups[:5] == [([(0, 0), (1, 0)], [p]) for p in range(5)]
    # What is copied for the next position is there already.
    assert groups[5:] == [([(0, 0), (2, 0)], [5])]
    assert "1 of 2 nodes together" in plan["text"]
    # Positions that do not wait for each other run together.
    groups = plan_summary(running_sum(8, back=2), [1] * 5 + [0] * 3)["steps"][0][0]
    assert groups[:2] == [([(0, 0), (1, 0)], positions) for positions in ([0, 1], [2, 3])]
    assert groups[2:4] == [([(0, 0)], [4, 5]), ([(1, 0)], [4])]


def test_four_thousand_tokens_are_planned_at_once():
    """Time that grows with tokens × keys would be minutes here."""
    data = transformer(4096, 12)
    begin = time.process_time()
    plan = plan_summary(data)
    assert time.process_time() - begin < 20
    assert len(plan["steps"]) == 4095 == plan["groups"]


def test_files_that_ask_for_too_much_are_refused():
    b = Builder(np.random.default_rng(0), 1024, 1024)
    b.values = [(1024, 1024), (1, 3)]
    for i in range(1025):
        b.add("row", 1024, 1, op="sum", **{"in": [0, -1, 0, 1024]}, params=[], weight=-1, bias=-1)
        b.nodes[-1]["name"] = f"sum{i}"
    table = b.table(np.arange(2**20) % 1024)
    head = {"kind": "bernoulli", "value": 2, "table": table, "channel": 0, "probs": False, "values": b.weight([0, 1])}
    with pytest.raises(UnsupportedOpError, match=r"layer sum1024: .* too many"):
        plan_summary(b.file(head, None).bytes())
    b.positions, b.values[0] = 2**15, (2**15, 1024)
    with pytest.raises(FormatError, match=r"more than 2\^24 sites"):
        read_graph_summary(b.file(head, None).bytes())
