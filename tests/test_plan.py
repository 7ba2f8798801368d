"""Plans of random small graphs against a slow planner, and of the shapes that the design promises."""

from __future__ import annotations

import numpy as np
import pytest
from plans_for_tests import Simulation, Slow, Unknown, attach_head, random_graph

from genfast._core import infer_order, plan_summary, read_graph_summary
from genfast.errors import NotCausalError


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
            with pytest.raises(NotCausalError, match="site .* reads"):
                infer_order(data)
        else:
            got = infer_order(data)
            assert got.dtype == np.int32 and got.tolist() == want
    assert any(found) and not all(found)
