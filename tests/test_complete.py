"""complete: known sites are kept, and the rest is what sampling would have drawn given them, whatever was planned."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch
from file_for_tests import File, node, pack_gemm
from models_for_tests import Conditional, Made, pixelcnn
from test_rosenblatt import sharpen

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
SIDE, LEVELS = 8, 5


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(0)
    model = sharpen(pixelcnn(levels=LEVELS, blocks=1), scale=0.3)
    return model, gf.compile(model, torch.zeros(1, 1, SIDE, SIDE), head=gf.heads.Categorical(LEVELS))


def closed_mask(model, seed_sites):
    """The smallest mask with these sites that the order allows: all that they depend on, by perturbation of inputs."""
    torch.manual_seed(1)
    x = torch.rand(1, 1, SIDE, SIDE, requires_grad=True, dtype=torch.float64)
    z = model.double()(x)
    model_reads = np.zeros((SIDE * SIDE, SIDE * SIDE), bool)
    weight = torch.rand(z.shape[1], dtype=torch.float64)
    for site in range(SIDE * SIDE):
        (grad,) = torch.autograd.grad((z.flatten(2)[0, :, site] * weight).sum(), x, retain_graph=True)
        model_reads[site] = grad.flatten().numpy() != 0
    model.float()
    mask = np.zeros(SIDE * SIDE, bool)
    todo = list(seed_sites)
    while todo:
        site = todo.pop()
        if not mask[site]:
            mask[site] = True
            todo += np.flatnonzero(model_reads[site]).tolist()
    return mask.reshape(SIDE, SIDE)


def masks(model):
    first = np.zeros((SIDE, SIDE), bool)
    first[0, 0] = True
    rows = np.zeros((SIDE, SIDE), bool)
    rows[:3] = True
    prefix = np.zeros(SIDE * SIDE, bool)
    prefix[:37] = True
    all_but_last = np.ones((SIDE, SIDE), bool)
    all_but_last[-1, -1] = False
    return {
        "none": np.zeros((SIDE, SIDE), bool),
        "first": first,
        "rows": rows,
        "prefix": prefix.reshape(SIDE, SIDE),
        "cone": closed_mask(model, [3 * SIDE + 1, 2 * SIDE + 5]),
        "all but one": all_but_last,
        "all": np.ones((SIDE, SIDE), bool),
    }


NAMES = ["none", "first", "rows", "prefix", "cone", "all but one", "all"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wavefront", [True, False])
def test_completing_a_sample_with_its_uniforms_gives_it_back(case, name, wavefront):
    """The strongest check: the sites that are kept have the values that would have been drawn."""
    model, compiled = case
    n = 20
    mask = masks(model)[name]
    u = np.random.default_rng(0).random((n, SIDE * SIDE))
    x = compiled.sample(n, u=u)
    noise = np.where(mask, x, 99)  # what is not known may hold anything
    other = u.copy()
    other[:, mask.reshape(-1)] = 0.123  # known sites ignore their uniforms
    got = compiled.complete(noise, known=mask, u=other, wavefront=wavefront, temperature=1.0)
    assert got.dtype == x.dtype and got.shape == x.shape
    assert (got == x).all()


@pytest.mark.parametrize("name", ["rows", "prefix", "cone"])
def test_completions_are_those_of_the_naive_loop(case, name):
    model, compiled = case
    n = 16
    mask = masks(model)[name]
    assert 0 < mask.sum() < SIDE * SIDE - 5
    rng = np.random.default_rng(1)
    x = rng.integers(0, LEVELS, (n, 1, SIDE, SIDE))
    u = rng.random((n, SIDE * SIDE))
    ours = compiled.complete(x, known=mask[None], u=u, temperature=0.8)
    theirs, near = np.where(mask, x, 0), np.ones((n, SIDE * SIDE))
    for site in range(SIDE * SIDE):
        at = site // SIDE, site % SIDE
        if mask[at]:
            continue
        fed = torch.tensor(theirs / (LEVELS - 1), dtype=torch.float32)
        p = naive.probabilities(naive.site_logits(model, fed, at, ()), False, 0.8)
        theirs[:, 0, at[0], at[1]], near[:, site] = naive.invert(p, u[:, site])
    naive.assert_same_up_to_ties(ours, theirs, near)
    assert (ours == x)[:, :, mask].all()
    assert (ours != x)[:, :, ~mask].any()


def test_one_image_many_completions_and_seeds(case):
    model, compiled = case
    mask = masks(model)["rows"]
    image = compiled.sample(1, rng=5)[0]
    ours = compiled.complete(image, known=mask, n=30, rng=7)
    assert ours.shape == (30, 1, SIDE, SIDE)
    assert (ours[:, :, mask] == image[:, mask]).all()
    assert len(np.unique(ours.reshape(30, -1), axis=0)) == 30
    assert (compiled.complete(image[None], known=mask, n=30, rng=7) == ours).all()
    assert (compiled.complete(image[None].repeat(30, 0), known=mask, rng=7) == ours).all()
    assert (compiled.complete(image, known=mask, n=4, rng=7, first_row=11) == ours[11:15]).all()
    assert compiled.complete(image, known=mask, rng=7).shape == (1, 1, SIDE, SIDE)
    assert compiled.complete(image, known=mask, n=0).shape == (0, 1, SIDE, SIDE)
    u = np.random.default_rng(2).random((1200, SIDE * SIDE))
    many = compiled.complete(image, known=mask, n=1200, u=u)
    assert (compiled.complete(image, known=mask, n=1200, rng=np.random.default_rng(2)) == many).all()


def test_bits_do_not_depend_on_batch_threads_or_target(case):
    model, compiled = case
    mask = masks(model)["cone"]
    x = compiled.sample(40, rng=1)
    want = compiled.complete(x, known=mask, rng=2, temperature=1.3, top_k=4)
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (compiled.complete(x, known=mask, rng=2, temperature=1.3, top_k=4) == want).all()
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    for i in (0, 39):
        got = compiled.complete(x[i], known=mask, rng=2, first_row=i, temperature=1.3, top_k=4)
        assert (got == want[i]).all()


def test_conditions_and_vectors():
    torch.manual_seed(0)
    model = sharpen(Conditional("image", levels=4))
    example = torch.zeros(2, 1, 6, 6), torch.zeros(2, 2, 6, 6)
    compiled = gf.compile(model, example, head=gf.heads.Categorical(4))
    name = compiled.conditions[0]["name"]
    condition = {name: np.random.default_rng(0).standard_normal((9, 2, 6, 6))}
    u = np.random.default_rng(1).random((9, 36))
    x = compiled.sample(9, u=u, condition=condition)
    mask = np.zeros((6, 6), bool)
    mask[:2] = True
    assert (compiled.complete(x, known=mask, u=u, condition=condition) == x).all()

    made = gf.compile(sharpen(Made(16)), torch.zeros(1, 1, 4, 4), head=gf.heads.Bernoulli())
    u = np.random.default_rng(1).random((9, 16))
    x = made.sample(9, u=u)
    mask = np.arange(16).reshape(1, 4, 4) < 6
    assert (made.complete(x, known=mask, u=u) == x).all()


def rgb(head):
    """Four positions of three channels; the outputs of each read the position before."""
    positions, rng = 4, np.random.default_rng(0)
    before = np.arange(-1, positions - 1)
    outputs = 20 if head == "logistic_mixture" else 4
    weight = rng.standard_normal((3, outputs)).astype(np.float32)
    values = [[positions, 3], [positions, outputs]]
    nodes = [node("gemm", 1, "net", segments=[[0, 0, 0, 3, 0]], data=0, bias=1)]
    bias = np.pad(rng.standard_normal(outputs).astype(np.float32), (0, -outputs % 16))
    weights = [pack_gemm(weight), bias, np.linspace(-1, 1, 4)]
    tables = [{"offset": 0, "length": positions}]
    entries = [before]
    if head == "logistic_mixture":
        more = {"components": 2, "coupled": True, "low": -1, "high": 1, "levels": 4, "table": -1}
    else:
        more = {"levels": 4, "table": 1}
        tables.append({"offset": positions, "length": 3 * positions})
        entries.append(np.tile(np.arange(positions), 3))
    graph = {
        "version": 1,
        "producer": "test",
        "values": values,
        "tables": tables,
        "input": {"value": 0, "shape": [3, 2, 2], "dtype": "float", "name": "x"},
        "conditions": [],
        "nodes": nodes,
        "head": {"kind": head, "value": 1, "channel": 0, "values": 2, **more},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    data = File(graph, np.concatenate(entries), weights).bytes()
    return gf.Model(_core.Model.from_bytes(data, head))


@pytest.mark.parametrize("head", ["categorical", "logistic_mixture"])
def test_channels(head):
    model = rgb(head)
    u = np.random.default_rng(1).random((40, 12))
    x = model.sample(40, u=u)
    assert x.shape == (40, 3, 2, 2) and len(np.unique(x)) == 4
    top = np.array([[True, True], [False, False]])
    red = np.zeros((3, 2, 2), bool)
    red[:, 0, 0] = red[0, 0, 1] = True  # all of the first position, the first channel of the second
    for mask in (top, red, np.zeros((2, 2), bool), np.ones((3, 2, 2), bool)):
        assert (model.complete(np.where(mask, x, 77), known=mask, u=u) == x).all()
    other = model.complete(x, known=top, rng=5)
    assert (other[:, :, top] == x[:, :, top]).all() and (other != x).any()
    pair = model.rosenblatt(x)
    assert (model.inverse_rosenblatt(pair) == x).all()
    assert model.logits(x).shape == ((40, 20, 2, 2) if head == "logistic_mixture" else (40, 4, 3, 2, 2))
    blue = np.zeros((3, 2, 2), bool)
    blue[2, 0, 0] = True
    if head == "categorical":  # the first position's channels do not depend on each other
        assert (model.complete(x, known=blue, u=u) == x).all()
    else:
        with pytest.raises(ValueError, match="known"):
            model.complete(x, known=blue, u=u)


def test_many_masks_do_not_pile_up(case):
    """More masks than plans are kept; the answers stay."""
    _, compiled = case
    u = np.random.default_rng(3).random((3, SIDE * SIDE))
    x = compiled.sample(3, u=u)
    for _ in range(2):
        for k in range(0, SIDE * SIDE, 5):
            mask = (np.arange(SIDE * SIDE) < k).reshape(SIDE, SIDE)
            assert (compiled.complete(x, known=mask, u=u) == x).all()


def test_masks_that_the_order_does_not_allow(case):
    _, compiled = case
    x = np.zeros((1, SIDE, SIDE), np.uint8)
    last = np.zeros((SIDE, SIDE), bool)
    last[-1, -1] = True
    bottom = np.zeros((SIDE, SIDE), bool)
    bottom[4:] = True
    for mask in (last, bottom, ~masks_first()):
        with pytest.raises(ValueError, match="known"):
            compiled.complete(x, known=mask, rng=0)
    # Afterwards everything still works.
    assert compiled.complete(x, known=bottom[::-1], rng=0).shape == (1, 1, SIDE, SIDE)


def masks_first():
    first = np.zeros((SIDE, SIDE), bool)
    first[0, 0] = True
    return first


def test_wrong_arguments(case):
    _, compiled = case
    x, mask = np.zeros((2, 1, SIDE, SIDE), int), masks_first()
    high = x.copy()
    high[1, 0, 0, 0] = LEVELS
    for arguments, words in [
        ({"x": x, "known": mask[:4]}, r"known must have shape \(1, 8, 8\) or \(8, 8\), got \(4, 8\)"),
        ({"x": x[:, 0], "known": mask}, r"x must have shape \(n, 1, 8, 8\)"),
        ({"x": x, "known": mask, "n": 3}, "x has 2 rows for n=3"),
        ({"x": high, "known": mask}, r"x\[1, 0, 0, 0\] is 5"),
        ({"x": -1 - x, "known": mask}, r"x\[0, 0, 0, 0\] is -1"),
        ({"x": x, "known": mask, "u": np.zeros((2, 63))}, r"u must have shape \(n, sites\) = \(2, 64\)"),
        ({"x": x, "known": mask, "u": np.full((2, 64), 2.0)}, "u: row 0, site 0 is outside"),
        ({"x": x, "known": mask, "n": -1}, "n must be at least 0"),
        ({"x": x, "known": mask, "top_p": 2}, r"top_p must be in \[0, 1\]"),
        ({"x": x, "known": mask, "condition": {"label": 1}}, "no condition 'label'"),
    ]:
        with pytest.raises(ValueError, match=words):
            compiled.complete(**arguments)
    for arguments, words in [
        ({"x": x, "known": mask.astype(int)}, "known must be a bool array"),
        ({"x": x, "known": None}, "known must be a bool array"),
        ({"x": x + 0.5, "known": mask}, "x must hold integer levels"),
    ]:
        with pytest.raises(TypeError, match=words):
            compiled.complete(**arguments)
    assert (compiled.complete(high[:1], known=mask, rng=0)[:, 0, 0, 0] == 0).all()
