"""Models whose sites are numbers: samples, densities and uniforms of hand-made autoregressions, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from file_for_tests import File, node, pack_gemm
from scipy import stats

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
P = 6
BEFORE = np.arange(-1, P - 1)
TWO = np.array([-1, -1, 0, 1, 2, 3])


def autoregression(weight, bias, head) -> gf.Model:
    """Outputs of site p: ``x[p − 1] · weight[0] + x[p − 2] · weight[1] + bias``."""
    weight, bias = np.asarray(weight, np.float32), np.asarray(bias, np.float32)
    channels = weight.shape[1]
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[P, 1], [P, channels]],
        "tables": [{"offset": 0, "length": P}, {"offset": P, "length": P}],
        "input": {"value": 0, "shape": [P], "dtype": "float", "name": "x"},
        "conditions": [],
        "nodes": [node("gemm", 1, "net", segments=[[0, 0, 0, 1, 0], [0, 1, 0, 1, 1]], data=0, bias=1)],
        "head": {"kind": "family", "value": 1, "table": -1, "channel": 0, **head},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    padded = np.pad(bias, (0, -channels % 16))
    data = File(graph, np.concatenate([BEFORE, TWO]), [pack_gemm(weight), padded]).bytes()
    return gf.Model(_core.Model.from_bytes(data, "autoregression"))


WEIGHT, BIAS = [[0.5, 0.1], [-0.3, -0.2]], [0.25, -0.5]
NORMAL = {
    "components": 1,
    "family": "Normal",
    "logits": -1,
    "params": [[0, "identity", 1, 0], [1, "exp", 0.5, 0.1]],
}


@pytest.fixture(scope="module")
def normal():
    return autoregression(WEIGHT, BIAS, NORMAL)


def parameters(x, p):
    """loc and scale of site p given the sites before it."""
    one = x[:, p - 1] if p >= 1 else np.zeros(len(x))
    two = x[:, p - 2] if p >= 2 else np.zeros(len(x))
    out = np.stack([one, two], 1) @ np.array(WEIGHT) + BIAS
    return out[:, 0], 0.5 * np.exp(out[:, 1]) + 0.1


def test_samples_densities_and_uniforms(normal):
    n = 200
    u = np.random.default_rng(0).random((n, P))
    x = normal.sample(n, u=u)
    assert x.dtype == np.float32 and x.shape == (n, P)
    assert normal.levels is None and "numbers" in repr(normal)
    want, log_prob = np.zeros((n, P)), np.zeros(n)
    for p in range(P):
        loc, scale = parameters(want, p)
        want[:, p] = stats.norm.ppf(u[:, p], loc, scale)
        loc, scale = parameters(x.astype(float), p)
        log_prob += stats.norm.logpdf(x[:, p], loc, scale)
    np.testing.assert_allclose(x, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(normal.log_prob(x), log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(normal.bits_per_dim(x), -log_prob / P / np.log(2), rtol=1e-5, atol=1e-5)
    assert normal.log_prob(x.astype(np.float64)).tolist() == normal.log_prob(x).tolist()

    lower, upper = normal.rosenblatt(x)
    assert (lower == upper).all()
    np.testing.assert_allclose(lower, u, atol=1e-6)
    np.testing.assert_allclose(normal.inverse_rosenblatt((lower, upper)), x, rtol=1e-5, atol=1e-5)
    outputs = normal.logits(x)
    assert outputs.shape == (n, 2, P)
    np.testing.assert_allclose(outputs[:, 0, 0], BIAS[0], rtol=1e-6)


def test_completions_keep_numbers(normal):
    u = np.random.default_rng(1).random((30, P))
    x = normal.sample(30, u=u)
    for k in range(P + 1):
        known = np.arange(P) < k
        noise = np.where(known, x, np.nan)
        assert (normal.complete(noise, known=known, u=u) == x).all(), k
    one = normal.complete(x[0], known=np.arange(P) < 3, n=50, rng=0)
    assert one.shape == (50, P) and one.dtype == np.float32
    assert (one[:, :3] == x[0, :3]).all() and len(np.unique(one[:, 3])) == 50
    with pytest.raises(ValueError, match="known"):
        normal.complete(x, known=np.arange(P) > 2)


def test_bits_do_not_depend_on_batch_threads_or_target(normal):
    x = normal.sample(70, rng=3)
    pair, score = normal.rosenblatt(x), normal.log_prob(x)
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (normal.sample(70, rng=3) == x).all()
                assert (normal.log_prob(x) == score).all()
                assert (np.stack(normal.rosenblatt(x)) == np.stack(pair)).all()
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    for i in (0, 69):
        assert (normal.sample(1, rng=3, first_row=i) == x[i]).all()


def test_mixtures_and_counts():
    n = 60
    u = np.random.default_rng(2).random((n, P))
    mixture = autoregression(
        np.zeros((2, 6)),
        [0.3, -0.4, -1.0, 2.0, 0.0, 0.5],  # logits, locs, log-scales
        {
            "components": 2,
            "family": "Normal",
            "logits": 0,
            "params": [[2, "identity", 1, 0], [4, "exp", 1, 0]],
        },
    )
    x = mixture.sample(n, u=u)
    w = np.exp([0.3, -0.4]) / np.exp([0.3, -0.4]).sum()
    cdf = w[0] * stats.norm.cdf(x, -1, 1) + w[1] * stats.norm.cdf(x, 2, np.exp(0.5))
    np.testing.assert_allclose(cdf, u, atol=1e-6)
    lower, upper = mixture.rosenblatt(x)
    assert (lower == upper).all()
    np.testing.assert_allclose(lower, cdf, atol=1e-6)

    counts = autoregression(
        [[0.1], [0.05]],
        [0.5],
        {"components": 1, "family": "Poisson", "logits": -1, "params": [[0, "softplus", 1, 0.2]]},
    )
    x = counts.sample(n, u=u)
    assert x.dtype == np.float32 and (x == np.round(x)).all()
    lower, upper = counts.rosenblatt(x)
    assert ((lower < u) & (u <= upper)).all() and (lower < upper).all()
    assert (counts.inverse_rosenblatt((lower, upper)) == x).all()
    rate = np.log1p(np.exp(0.1 * x[:, 0] + 0.5)) + 0.2
    np.testing.assert_allclose(upper[:, 1], stats.poisson.cdf(x[:, 1], rate), rtol=1e-5)


def test_wrong_arguments(normal):
    x = np.zeros((2, P), np.float32)
    for arguments, words in [
        ({"temperature": 0.5}, "temperature divides logits"),
        ({"top_k": 3}, "not categorical"),
        ({"guidance": 2.0}, "guidance mixes logits"),
    ]:
        for call in (lambda **more: normal.sample(2, rng=0, **more), lambda **more: normal.log_prob(x, **more)):
            with pytest.raises(ValueError, match=words):
                call(**arguments)
    for arguments in ({"stop": 1}, {"max_tokens": 2}, {"prompt": [1]}):
        with pytest.raises(ValueError, match="models of token sequences"):
            normal.sample(2, rng=0, **arguments)
    bad = x.copy()
    bad[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"x\[1, 2\] is nan, not finite"):
        normal.log_prob(bad)
    with pytest.raises(ValueError, match="finite in float32"):
        normal.log_prob(np.full((1, P), 1e300))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 6\)"):
        normal.log_prob(x[:, :5])
    with pytest.raises(TypeError, match="x must hold real numbers"):
        normal.rosenblatt(np.full((1, P), "a"))


@pytest.mark.parametrize("name", ["digits", "alice"])
def test_no_rows_are_empty_arrays(name):
    model = gf.load(name)
    condition = {c["name"]: np.zeros(0, int) for c in model.conditions} or None
    x = np.zeros((0, *model.input_shape), np.int64)
    known = np.zeros(model.input_shape, bool)
    assert model.sample(0, condition=condition).shape[0] == 0
    assert model.complete(x, known=known, condition=condition).shape == x.shape
    assert model.log_prob(x, condition=condition).shape == (0,)
    assert model.bits_per_dim(x, condition=condition).shape == (0,)
    assert model.logits(x, condition=condition).shape[0] == 0
    lower, upper = model.rosenblatt(x, condition=condition)
    assert lower.shape == upper.shape == (0, model.sites)
    assert model.inverse_rosenblatt((lower, upper), condition=condition).shape == x.shape
