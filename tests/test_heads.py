"""Heads end to end on a hand-made autoregression: mixtures of logistics and families against reference.py."""

from __future__ import annotations

import numpy as np
import pytest
from file_for_tests import File, node, pack_gemm

import genfast as gf
from genfast import _core, heads, reference
from genfast.errors import NumericalError

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
P = 5


def autoregression(head, channels=1, seed=0, scale=1.0, bias=None):
    """(model, reference graph): the head's numbers at a position are affine in all channels of the two before it."""
    rng = np.random.default_rng(seed)
    width = head.channels(channels)
    weight = (rng.normal(size=(2 * channels, width)) * scale).astype(np.float32)
    bias = rng.normal(size=width) if bias is None else bias
    before, two = np.arange(-1, P - 1), np.asarray([-1, -1, *range(P - 2)])
    segments = [[0, 0, 0, channels, 0], [0, 1, 0, channels, channels]]
    entry = {**head.entry(channels), "value": 1, "table": -1, "channel": 0}
    weights = [pack_gemm(weight), np.pad(np.asarray(bias, np.float32), (0, -width % 16))]
    nodes = [node("gemm", 1, "net", segments=segments, data=0, bias=1)]
    values = [[P, channels], [P, width]]
    if head.levels is not None:
        entry["values"] = 2
        weights.append(head.fed(False))
    graph = {
        "version": 1,
        "producer": "test",
        "values": values,
        "tables": [{"offset": 0, "length": P}, {"offset": P, "length": P}],
        "input": {"value": 0, "shape": [channels, P] if channels > 1 else [P], "dtype": "float", "name": "x"},
        "conditions": [],
        "nodes": nodes,
        "head": entry,
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    data = File(graph, np.concatenate([before, two]), weights).bytes()
    return gf.Model(_core.Model.from_bytes(data, "autoregression")), reference.read(data)


MIXTURES = {
    "rgb": (heads.DiscretizedLogisticMixture(5), 3),
    "rgb, apart": (heads.DiscretizedLogisticMixture(4, coupled=False, levels=40, low=0, high=1), 3),
    "grey": (heads.DiscretizedLogisticMixture(3), 1),
    "one of two channels": (heads.DiscretizedLogisticMixture(1, levels=2), 2),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_of_logistics(name):
    head, channels = MIXTURES[name]
    model, graph = autoregression(head, channels)
    n = 40
    u = np.random.default_rng(1).random((n, channels * P))
    x = model.sample(n, u=u)
    want = reference.sample(graph, u)
    assert (x == want).all() and len(np.unique(x)) > min(head.levels, 30) / 2
    np.testing.assert_allclose(model.log_prob(x), reference.log_prob(graph, want), rtol=1e-5, atol=1e-5)
    lower, upper = model.rosenblatt(x)
    lower, upper = lower.reshape(n, -1), upper.reshape(n, -1)
    assert (lower < u).all() and (u <= upper).all()
    assert (model.inverse_rosenblatt((lower, upper)) == x).all()
    assert (model.sample(n, u=upper) == x).all()
    np.testing.assert_allclose(np.log(upper - lower).sum(1), model.log_prob(x), rtol=1e-9, atol=1e-9)


def test_known_channels_of_a_pixel_condition_the_others():
    model, _ = autoregression(*MIXTURES["rgb"])
    u = np.random.default_rng(2).random((30, 3 * P))
    x = np.random.default_rng(3).integers(256, size=(30, 3, P))
    known = np.zeros((3, P), bool)
    known[:, :2], known[0, 2] = True, True
    got = model.complete(x, known=known, u=u)
    assert (got[:, known] == x[:, known]).all() and (got[:, ~known] != x[:, ~known]).any()
    lower, upper = model.rosenblatt(got)
    drawn = ~known.reshape(-1)
    assert (lower.reshape(30, -1) < u)[:, drawn].all() and (u <= upper.reshape(30, -1))[:, drawn].all()


def unconditional(*numbers):
    """The outputs themselves, whatever the input."""
    return {"scale": 0.0, "bias": np.asarray(numbers)}


FAMILIES = {
    "normal": (heads.Normal(), {"scale": 0.4}),
    "logistic": (heads.Logistic("softplus"), {"scale": 0.4}),
    "fixed scale": (heads.Normal(0.25), {"scale": 0.4}),
    "mixture": (heads.GaussianMixture(7, "softplus"), {"scale": 0.2}),
    "gamma": (heads.Distribution("Gamma", shape=(0, "softplus"), scale=(1, "exp")), {"scale": 0.05}),
    "mixture of gammas": (
        heads.Distribution(gf.Gamma, 3, logits=0, shape=(3, "exp"), scale=(6, "exp", 0.5, 0.1)),
        {"scale": 0.05},
    ),
    "poisson": (heads.Distribution("Poisson", rate=(0, "softplus", 5.0, 0.0)), {"scale": 0.05}),
    "mixture of poissons": (
        heads.Distribution("Poisson", 4, logits=4, rate=(0, "square", 9.0, 0.5)),
        {"scale": 0.02},
    ),
    "far apart": (
        heads.GaussianMixture(3),
        unconditional(0, -1, 1, -1e4, 3e-6, 2e5, -9, -14, 3),
    ),
    "one component": (heads.GaussianMixture(2), unconditional(0, -80, 1, 7, -1, 2)),
    "a point apart": (heads.Distribution("Uniform", 2, logits=0, low=(2, "identity"), high=(4, "identity")),
                      unconditional(0.5, 0.5, -1, 3, 0, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name):
    head, more = FAMILIES[name]
    model, graph = autoregression(head, seed=4, **more)
    n = 50
    u = np.random.default_rng(5).random((n, P))
    x = model.sample(n, u=u)
    assert x.dtype == np.float32
    want = reference.sample(graph, u)
    np.testing.assert_allclose(x, want, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(model.log_prob(x), reference.log_prob(graph, x), rtol=1e-5, atol=1e-4)
    lower, upper = (v.reshape(n, -1) for v in model.rosenblatt(x))
    discrete = (
        getattr(gf, head.family)(*np.ones(len(head.parameters))).is_discrete if head.family == "Poisson" else False
    )
    if discrete:
        assert (lower < u).all() and (u <= upper).all() and (x == np.round(x)).all()
        assert (model.inverse_rosenblatt((lower, upper)) == x).all()
    else:
        assert (lower == upper).all()
        if name != "far apart":  # float32 numbers lie too far apart there
            np.testing.assert_allclose(lower, u, atol=1e-5)
    if head.components > 1 and not discrete:
        # The smallest float32 whose F reaches u: F as the model computes it, just below and at x.
        first = np.nextafter(x, np.float32(-np.inf))
        mixed = x.copy()
        for site in range(P):
            mixed[:, site] = first[:, site]
            below = model.rosenblatt(mixed)[0].reshape(n, -1)[:, site]
            assert (below < u[:, site]).all()
            mixed[:, site] = x[:, site]
        assert (lower >= u).all()


@pytest.mark.parametrize("name", [*MIXTURES, *FAMILIES])
def test_bits_do_not_depend_on_batch_threads_or_target(name):
    if name in MIXTURES:
        model, _ = autoregression(*MIXTURES[name])
    else:
        head, more = FAMILIES[name]
        model, _ = autoregression(head, seed=4, **more)
    x = model.sample(41, rng=3)
    score, pair = model.log_prob(x), np.stack(model.rosenblatt(x))
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (model.sample(41, rng=3) == x).all()
                assert (model.log_prob(x) == score).all()
                assert (np.stack(model.rosenblatt(x)) == pair).all()
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    for i in (0, 40):
        assert (model.sample(1, rng=3, first_row=i) == x[i]).all()
        assert model.log_prob(x[i : i + 1]) == score[i]


def test_the_ends_of_u():
    u = np.zeros((2, P))
    u[1] = 1
    model, _ = autoregression(FAMILIES["a point apart"][0], **FAMILIES["a point apart"][1])
    assert model.sample(2, u=u)[:, 0].tolist() == [-1 + 2.0**-24, 4]  # F(-1) is 0
    model, _ = autoregression(heads.DiscretizedLogisticMixture(2))
    x = model.sample(2, u=u)
    lower, upper = model.rosenblatt(x)
    assert (lower[0] == 0).all() and (lower < upper).all() and (upper[1] == 1).all()


@pytest.mark.parametrize(
    ("head", "numbers", "words"),
    [
        (heads.Normal("identity"), [0, -0.5], ["row 0", "site 0", "no Normal", "-0.5"]),
        (heads.Normal(), [0, 1e4], ["no Normal", "inf"]),
        (heads.GaussianMixture(2, "identity"), [0, 0, 1, 1, 1, 0], ["component 1", "no Normal"]),
        (heads.Distribution("Beta", a=(0, "identity"), b=1.0), [1e20], ["no Beta"]),
        (heads.Distribution("Binomial", n=(0, "identity"), p=0.5), [2.5], ["no Binomial"]),
    ],
)
def test_parameters_outside_the_family_are_reported(head, numbers, words):
    model, _ = autoregression(head, **unconditional(*numbers))
    for call in (lambda: model.sample(3, rng=0), lambda: model.log_prob(np.zeros((3, P), np.float32))):
        with pytest.raises(NumericalError) as caught:
            call()
        assert all(word in str(caught.value) for word in words), caught.value


def test_what_overflows_is_reported_with_its_row_and_site():
    head = heads.DiscretizedLogisticMixture(1, values=np.linspace(-3e38, 3e38, 256))
    model, _ = autoregression(head, scale=1e3)
    with pytest.raises(NumericalError, match=r"row 0, site 1: .*mixture of logistics"):
        model.sample(2, u=np.full((2, P), 0.999))


# ---- what the classes say


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: heads.DiscretizedLogisticMixture(0), ValueError, "components must be from 1 to 256, got 0"),
        (lambda: heads.DiscretizedLogisticMixture(2.0), TypeError, "components must be an integer"),
        (lambda: heads.DiscretizedLogisticMixture(2, levels=1), ValueError, "levels"),
        (lambda: heads.DiscretizedLogisticMixture(2, low=1, high=1), ValueError, "low must be below high"),
        (lambda: heads.DiscretizedLogisticMixture(2, low="0"), TypeError, "low must be a real number"),
        (lambda: heads.DiscretizedLogisticMixture(2, coupled=1), TypeError, "coupled must be a bool"),
        (lambda: heads.DiscretizedLogisticMixture(2, coupled=True).channels(1), ValueError, "must be three"),
        (lambda: heads.DiscretizedLogisticMixture(2, values=[1, 2]), ValueError, "shape"),
        (lambda: heads.Normal("log"), ValueError, "scale must be one of"),
        (lambda: heads.Normal(-1.0), ValueError, "scale must be positive"),
        (lambda: heads.Normal(True), TypeError, "scale must be a real number"),
        (lambda: heads.Normal(np.inf), ValueError, "finite"),
        (lambda: heads.Normal(layout="rows"), ValueError, "layout"),
        (lambda: heads.GaussianMixture(257), ValueError, "components"),
        (lambda: heads.Distribution("Normale", loc=0, scale=1), TypeError, "'Normale'"),
        (lambda: heads.Distribution("Mixture"), TypeError, "family"),
        (lambda: heads.Distribution("Gamma", shape=1.0), TypeError, "needs its parameter 'scale'"),
        (
            lambda: heads.Distribution("Gamma", shape=1.0, rate=1.0),
            TypeError,
            "no parameter 'rate'; it has shape, scale",
        ),
        (lambda: heads.Distribution("Gamma", 2, shape=1.0, scale=1.0), TypeError, "logits"),
        (lambda: heads.Distribution("Gamma", logits=0, shape=1.0, scale=1.0), TypeError, "logits"),
        (lambda: heads.Distribution("Gamma", shape=(0,), scale=1.0), TypeError, "shape must be"),
        (lambda: heads.Distribution("Gamma", shape=(0, "log"), scale=1.0), ValueError, "shape: the link"),
        (lambda: heads.Distribution("Gamma", shape=(-1, "exp"), scale=1.0), ValueError, "shape: the channel"),
        (lambda: heads.Distribution("Gamma", shape=(0, "exp", 0, 1), scale=1.0), ValueError, "must not be 0"),
    ],
)
def test_wrong_heads_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_what_heads_say_of_themselves():
    head = heads.DiscretizedLogisticMixture(10)
    assert (head.channels(3), head.channels(1), head.by_position, head.levels) == (100, 30, True, 256)
    assert head.entry(3)["coupled"] and not head.entry(1)["coupled"]
    np.testing.assert_array_equal(head.fed(False), (2 * np.arange(256) / 255 - 1).astype(np.float32))
    np.testing.assert_array_equal(head.fed(True), np.arange(256))
    assert heads.Normal().channels(1) == 2 and heads.Normal(0.5).channels(3) == 1
    mixture = heads.GaussianMixture(4)
    assert mixture.channels(1) == 12 and mixture == heads.GaussianMixture(4, "exp") and hash(mixture)
    assert mixture.entry(1) == {
        "kind": "family",
        "components": 4,
        "family": "Normal",
        "logits": 0,
        "params": [[4, "identity", 1.0, 0.0], [8, "exp", 1.0, 0.0]],
    }
    assert heads.GaussianMixture(1) == heads.Normal()
    assert heads.Distribution("StudentT", df=3.0, loc=(1, "tanh"), scale=(0, "exp")).channels(1) == 2
    for head in (heads.Categorical(7), heads.Bernoulli()):
        assert head.channels(3) == len(head.fed(True)) - (head.levels == 2) and not head.by_position
