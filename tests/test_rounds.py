"""Iterated models: states, exchanges, jitter and what changes from round to round, against genfast/reference.py."""

import numpy as np
import pytest
from file_for_tests import node
from outputs_for_tests import bits, check_against_reference, load
from outputs_for_tests import iterated as random_iteration
from test_format_output import iterated

import genfast as gf
from genfast import _core, reference
from genfast.errors import NumericalError


@pytest.mark.parametrize("jitter", [0, 2])
@pytest.mark.parametrize("given", [False, True])
def test_random_iterations(given, jitter):
    for seed in range(40):
        model = check_against_reference(random_iteration(seed, given, jitter), seed, given)
        assert (model.uniforms > model.sites) == (jitter > 0)


def swapping(rounds: int):
    """Two states that change places every round; the second begins as 0.5."""
    file = iterated()
    file.graph["iterate"] = {
        "rounds": rounds,
        "states": [{"value": 0, "next": 1, "initial": 0}, {"value": 1, "next": 0, "initial": 0.5}],
    }
    return load(file.bytes())


def test_states_change_places():
    x, to = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2), {"to": np.zeros((1, 2, 2), np.float32)}
    assert (swapping(3).apply(x, condition=to) == 0.5).all()
    assert (swapping(4).apply(x, condition=to) == x).all()


def test_a_seed_gives_the_uniforms_of_its_jitter():
    model, graph = load(iterated().bytes()), reference.read(iterated().bytes())
    assert (model.sites, model.uniforms) == (4, 10)
    to = {"to": np.arange(4, dtype=np.float32).reshape(1, 2, 2)}
    u = reference.uniforms(7, np.arange(30, 64), 10)
    out, latent = model.sample(34, rng=7, first_row=30, condition=to, return_latent=True)
    every = {"to": np.broadcast_to(to["to"], (34, 1, 2, 2))}
    np.testing.assert_allclose(out, reference.apply(graph, latent, every, u), rtol=1e-5, atol=1e-5)
    for again in (
        model.sample(34, u=u, condition=to),
        model.apply(latent, u=u, condition=to),
        model.apply(latent, rng=7, first_row=30, condition=to),
        model.sample(64, rng=7, condition=to)[30:],
    ):
        assert (bits(again) == bits(out)).all()
    numbers = np.random.default_rng(5)
    whole = model.sample(6, rng=numbers, condition=to)
    assert (whole == model.sample(6, u=np.random.default_rng(5).random((6, 10)), condition=to)).all()
    assert len({row.tobytes() for row in out - latent}) > 1


def test_rolls_are_undone():
    """A round that keeps its states keeps the image, however it is rolled."""
    file = iterated()
    file.graph["nodes"] = [
        node("const", 4, "latent", data=0),
        node("map", 2, "same", op="identity", args=[[1, -1, 0, 0]], params=[]),
        node("map", 3, "same", op="identity", args=[[0, -1, 0, 0]], params=[]),
    ]
    x = np.random.default_rng(0).standard_normal((20, 1, 2, 2)).astype(np.float32)
    to = {"to": np.zeros((1, 2, 2), np.float32)}
    assert (load(file.bytes()).apply(x, rng=0, condition=to) == x).all()
    file.graph["nodes"][2]["args"] = [[0, 0, 0, 0]]  # all positions from the first of the rolled image
    spread = load(file.bytes()).apply(x, rng=0, condition=to)
    corners = x.reshape(20, 4)
    assert all(len(set(row.ravel())) == 1 and row.ravel()[0] in corners[i] for i, row in enumerate(spread))
    assert len({int(np.argmax(corners[i] == row.ravel()[0])) for i, row in enumerate(spread)}) > 1


def test_what_does_not_change_is_computed_once():
    file = iterated()
    file.graph["values"].append([4, 1])
    file.graph["nodes"].insert(0, node("map", 6, "once", op="neg", args=[[5, -1, 0, 0]], params=[]))
    file.graph["nodes"][2]["args"][1][0] = 6
    plan = _core.plan_summary(file.bytes(), output=True)
    assert plan["body"] == 1 and len(plan["steps"]) == 2
    computed = [{node for tasks, _ in groups for node, _ in tasks} for groups, _ in plan["steps"]]
    assert computed == [{0}, {2, 3}]
    assert [len(sites) for _, sites in plan["steps"]] == [4, 0]
    assert "rounds       3 over 2 states, rolled by up to 1; 2 launches each, 1 once before them" in plan["text"]
    alone = _core.plan_summary(file.bytes())
    assert alone["body"] == -1 and all(not groups for groups, _ in alone["steps"])


def test_no_rows_and_progress():
    model, to = load(iterated().bytes()), {"to": np.zeros((1, 2, 2), np.float32)}
    assert model.sample(0, rng=0, condition=to).shape == (0, 1, 2, 2)
    seen = []
    model.sample(5, rng=0, condition=to, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (15, 15)


def test_a_call_can_be_stopped_between_rounds():
    file = iterated()
    file.graph["iterate"]["rounds"] = 10**6
    model = load(file.bytes())

    def stop(done: int, total: int) -> None:
        assert total == 10**6
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(1, rng=0, condition={"to": np.zeros((1, 2, 2), np.float32)}, progress=stop)


def test_divergence_names_row_and_round():
    model = load(iterated().bytes())
    to = np.zeros((3, 1, 2, 2), np.float32)
    to[1, 0, 1, 0] = 2e38
    with pytest.raises(NumericalError, match=r"row 1, round 1: state 0 is not finite at position [0-3]: .*diverges"):
        model.apply(np.zeros((3, 1, 2, 2)), rng=0, condition={"to": to})


def test_uniforms_have_the_right_number_and_range():
    model, to = load(iterated().bytes()), {"to": np.zeros((1, 2, 2), np.float32)}
    for call in (
        lambda u: model.sample(2, u=u, condition=to),
        lambda u: model.apply(np.zeros((2, 1, 2, 2)), u=u, condition=to),
    ):
        with pytest.raises(ValueError, match=r"\(n, uniforms\) = \(2, 10\)"):
            call(np.zeros((2, 4)))
        with pytest.raises(ValueError, match="uniform 9 is outside"):
            call(np.pad(np.full((2, 9), 0.5), ((0, 0), (0, 1)), constant_values=1.5))


def test_one_round_at_the_edge_of_the_uniforms():
    """u of 1 selects the largest roll, not one beyond."""
    model, graph = load(iterated().bytes()), reference.read(iterated().bytes())
    to = {"to": np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)}
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    for edge in (0.0, 1.0):
        u = np.full((1, 10), edge)
        np.testing.assert_allclose(model.apply(x, u=u, condition=to), reference.apply(graph, x, to, u), rtol=1e-6)


def test_iterations_are_as_deterministic_with_many_rows():
    model = load(random_iteration(11, jitter=1))
    condition = {"c": np.ones(3, np.float32)}
    whole = model.sample(300, rng=2, condition=condition)
    before = gf.num_threads()
    try:
        gf.set_num_threads(1)
        assert (bits(model.sample(300, rng=2, condition=condition)) == bits(whole)).all()
    finally:
        gf.set_num_threads(before)
    parts = [model.sample(n, rng=2, first_row=at, condition=condition) for at, n in ((0, 64), (64, 7), (71, 229))]
    assert (bits(np.concatenate(parts)) == bits(whole)).all()
