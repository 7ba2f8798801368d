"""The kernels of heads: intervals of levels, the discretised mixture of logistics, links and weights of mixtures."""

import math

import mpmath
import numpy as np
import pytest

from genfast._core import kernels as k

TARGETS = [name for name, supported in k.targets() if supported]


def everywhere(call):
    """The results of a call on every target, which must be the same bits."""
    results = [call(target) for target in TARGETS]
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    return results[0]


def inside(rng, lower, upper, n=9):
    """Uniforms in (lower, upper]: both ends of it and some between, (n, …)."""
    u = lower + (upper - lower) * rng.random((n, *lower.shape))
    u[0], u[1], u[2] = upper, np.nextafter(lower, 2), (lower + upper) / 2
    return np.clip(u, np.nextafter(lower, 2), upper)


# ---- categorical and bernoulli


@pytest.mark.parametrize("levels", [2, 5, 16, 17, 130, 256, 5000, 20000])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_uniform_in_a_level_s_interval_draws_the_level(levels, temperature):
    rng = np.random.default_rng(levels)
    rows = 24
    logits = (rng.normal(size=(rows, levels)) * rng.choice([0.1, 3, 30], (rows, 1))).astype(np.float32)
    logits[rng.random(logits.shape) < 0.3] = -np.inf
    logits[:, levels // 2] = 0
    level = rng.integers(levels, size=rows).astype(np.int32)
    level[:8] = logits[:8].argmax(1)
    lower, upper, bad = everywhere(lambda t: k.categorical_interval(t, logits, level, temperature))
    assert bad == -1 and (lower >= 0).all() and (upper <= 1).all()
    never = np.isneginf(logits[np.arange(rows), level])
    assert (lower[never] == upper[never]).all() and (lower <= upper).all()
    some = lower < upper
    assert some[:8].all()
    for u in inside(rng, lower[some], upper[some]):
        drawn, _ = everywhere(lambda t, u=u: k.categorical(t, logits[some], u, temperature))
        np.testing.assert_array_equal(drawn, level[some])
    # Just outside another one is drawn.
    for u, where in ((lower, lower > 0), (np.nextafter(upper, 2), upper < 1)):
        drawn, _ = k.categorical(TARGETS[-1], logits[some & where], u[some & where], temperature)
        assert (drawn != level[some & where]).all()


def test_intervals_of_all_levels_tile_the_unit_interval_by_their_probabilities():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, 300)).astype(np.float32)
    z = np.repeat(logits, 300, 0)
    lower, upper, _ = everywhere(lambda t: k.categorical_interval(t, z, np.arange(300, dtype=np.int32)))
    np.testing.assert_array_equal(lower[1:], upper[:-1])
    assert lower[0] == 0 and upper[-1] == 1
    p = np.exp(logits[0].astype(np.float64))
    np.testing.assert_allclose(upper - lower, p / p.sum(), rtol=1e-6)


def test_interval_of_a_bad_row_is_reported():
    logits = np.zeros((3, 40), np.float32)
    logits[1, 7] = np.nan
    lower, upper, bad = everywhere(lambda t: k.categorical_interval(t, logits, np.zeros(3, np.int32)))
    assert bad == 1 and np.isnan(lower[1]) and np.isnan(upper[1]) and upper[2] == 1 / 40


@pytest.mark.parametrize("probs", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_bernoulli_intervals(probs, temperature):
    rng = np.random.default_rng(3)
    logits = (rng.normal(size=(60, 1)) * 4).astype(np.float32)
    if probs:
        logits = (1 / (1 + np.exp(-logits))).astype(np.float32)
        logits[:2, 0] = 0, 1
    level = rng.integers(2, size=60).astype(np.int32)
    level[:2] = 0, 1
    lower, upper, bad = everywhere(lambda t: k.bernoulli_interval(t, logits, level, temperature, probs))
    assert bad == -1
    for u in inside(rng, lower, upper):
        drawn, _ = k.bernoulli(TARGETS[0], logits, u, temperature, probs)
        np.testing.assert_array_equal(drawn, level)
    with np.errstate(divide="ignore"):
        z = np.log(logits) - np.log1p(-logits.astype(np.float64)) if probs else logits.astype(np.float64)
    one = 1 / (1 + np.exp(-z[2:, 0] / temperature))
    np.testing.assert_allclose((upper - lower)[2:], np.where(level[2:], one, 1 - one), rtol=2e-6)


# ---- the mixture of logistics


class Mixture:
    """Rows of parameters, as a network puts them out for one position."""

    def __init__(self, rng, n, components, channels=3, coupled=True, levels=256, spread=1.0):
        self.sizes = {"channels": channels, "components": components, "coupled": coupled}
        self.sizes |= {"low": -1.0, "high": 1.0, "levels": levels}
        blocks = [rng.normal(size=(n, components))]
        for _ in range(channels):
            blocks += [rng.normal(size=(n, components)), rng.normal(size=(n, components)) * spread - 3]
            blocks += [rng.normal(size=(n, components))] * coupled
        self.rows = np.concatenate(blocks, 1).astype(np.float32)
        self.shape = channels, n

    def draw(self, u, given=None, level=None, rows=None):
        """(level, log_prob, lower, upper, bad)"""
        level = np.zeros(u.shape, np.int32) if level is None else level
        rows = self.rows if rows is None else rows
        return everywhere(lambda t: k.logistic_mixture(t, rows, level, u, given, **self.sizes))

    def score(self, level):
        return everywhere(lambda t: k.logistic_mixture(t, self.rows, level.astype(np.int32), **self.sizes))


def exact(rows, levels, components, channels, coupled, low, high, levels_count):
    """log p and the interval of every channel's level from the definition: the joint of all channels so far."""
    mp, K, C = mpmath, components, channels
    with mp.workdps(60):
        per = 3 if coupled else 2
        p = [mp.mpf(float(v)) for v in rows]
        pi = [mp.exp(z) for z in p[:K]]
        total = mp.fsum(pi)
        joint = [w / total for w in pi]
        half = (mp.mpf(high) - low) / (2 * (levels_count - 1))
        value = [low + 2 * half * int(level) for level in levels]
        out = []
        for c in range(C):
            start = K + c * per * K
            mean, scale = p[start : start + K], [mp.exp(max(s, mp.mpf(-7))) for s in p[start + K : start + 2 * K]]
            coefficient = [[mp.tanh(v) for v in p[K + j * per * K + 2 * K : K + j * per * K + 3 * K]] for j in range(C)]
            if coupled and c == 1:
                mean = [m + coefficient[0][i] * value[0] for i, m in enumerate(mean)]
            if coupled and c == 2:
                mean = [m + coefficient[1][i] * value[0] + coefficient[2][i] * value[1] for i, m in enumerate(mean)]

            def cdf(i, level, mean=mean, scale=scale):
                if level < 0 or level >= levels_count - 1:
                    return mp.mpf(level >= 0)
                return 1 / (1 + mp.exp(-(low + 2 * half * level + half - mean[i]) / scale[i]))

            level, before = int(levels[c]), mp.fsum(joint)
            bounds = [mp.fsum(w * cdf(i, b) for i, w in enumerate(joint)) / before for b in (level - 1, level)]
            joint = [w * (cdf(i, level) - cdf(i, level - 1)) for i, w in enumerate(joint)]
            out.append((float(mp.log(mp.fsum(joint) / before)), float(bounds[0]), float(bounds[1])))
    return np.asarray(out)


@pytest.mark.parametrize(
    ("components", "channels", "coupled", "levels"),
    [(10, 3, True, 256), (1, 1, False, 2), (5, 2, False, 100), (3, 3, True, 65536)],
)
def test_mixture_of_logistics_against_exact_arithmetic(components, channels, coupled, levels):
    rng = np.random.default_rng(components)
    mixture = Mixture(rng, 21, components, channels, coupled, levels)
    level, log_prob, lower, upper, bad = mixture.draw(rng.random(mixture.shape))
    assert bad == -1
    level[:, 3], level[:, 5] = 0, levels - 1
    level[:, 7:12] = rng.integers(levels, size=(channels, 5))  # far from where the mass is
    _, log_prob, lower, upper, _ = mixture.score(level)
    for r in range(mixture.shape[1]):
        want = exact(mixture.rows[r], level[:, r], components, channels, coupled, -1, 1, levels)
        np.testing.assert_allclose(log_prob[:, r], want[:, 0], rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(lower[:, r], want[:, 1], rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(upper[:, r], want[:, 2], rtol=1e-10, atol=1e-14)


def test_a_level_far_out_in_every_tail_keeps_its_log_probability():
    """Differences of sigmoids, and products of them, would be 0 here."""
    mixture = Mixture(np.random.default_rng(0), 1, 2)
    mixture.rows[:] = 0
    mixture.rows[0, 2:4], mixture.rows[0, 4:6] = 1, -9  # channel 0: means 1, log-scales below the least
    level = np.asarray([[10], [128], [255]])
    _, log_prob, *_ = mixture.score(level)
    want = exact(mixture.rows[0], level[:, 0], 2, 3, True, -1, 1, 256)
    assert want[0, 0] < -2000
    np.testing.assert_allclose(log_prob[:, 0], want[:, 0], rtol=1e-12)


@pytest.mark.parametrize("spread", [0.2, 3.0])
def test_a_uniform_in_the_interval_gives_the_level_back(spread):
    rng = np.random.default_rng(5)
    mixture = Mixture(rng, 333, 10, spread=spread)
    u = rng.random(mixture.shape)
    u[:, :4] = 0, 1, 2.0**-60, 1 - 2.0**-53
    level, _, lower, upper, _ = mixture.draw(u)
    assert ((lower < u) | (u == 0)).all() and (u <= upper).all() and (lower < upper).all()
    again, *scores = mixture.score(level)
    np.testing.assert_array_equal(again, level)
    for a, b in zip(scores, mixture.draw(u)[1:], strict=True):
        np.testing.assert_array_equal(a, b)
    for v in inside(rng, lower, upper):
        np.testing.assert_array_equal(mixture.draw(v)[0], level)
    assert len(np.unique(level)) > 100


def test_every_level_s_interval_is_consistent_with_bisection():
    """F as computed never decreases: the premise of bisecting."""
    rng = np.random.default_rng(6)
    mixture = Mixture(rng, 1, 10, 1, False, 4096, spread=2)
    rows = np.repeat(mixture.rows, 4096, 0)
    levels = np.arange(4096, dtype=np.int32)[None]
    _, log_prob, lower, upper, _ = everywhere(lambda t: k.logistic_mixture(t, rows, levels, **mixture.sizes))
    np.testing.assert_array_equal(lower[0, 1:], upper[0, :-1])
    assert lower[0, 0] == 0 and upper[0, -1] == 1 and (np.diff(upper[0]) >= 0).all()
    assert math.isclose(np.exp(log_prob[0]).sum(), 1, rel_tol=1e-12)


def test_given_channels_are_kept_and_conditioned_on():
    rng = np.random.default_rng(7)
    mixture = Mixture(rng, 50, 4)
    u = rng.random(mixture.shape)
    level, *_ = mixture.draw(u)
    other = rng.integers(256, size=mixture.shape).astype(np.int32)
    given = np.zeros(mixture.shape, np.uint8)
    given[0] = 1
    mixed, log_prob, lower, upper, _ = mixture.draw(u, given, other)
    np.testing.assert_array_equal(mixed[0], other[0])
    assert (mixed[1] != level[1]).any()
    assert ((lower < u) & (u <= upper))[1:].all()
    same = mixture.score(mixed)
    np.testing.assert_array_equal(same[1], log_prob)
    given[:], given[2] = 0, 1
    np.testing.assert_array_equal(mixture.draw(u, given, other)[0], [*level[:2], other[2]])


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 17])
def test_an_element_does_not_depend_on_its_neighbours(n):
    rng = np.random.default_rng(8)
    mixture = Mixture(rng, 20, 6)
    u = rng.random(mixture.shape)
    whole = mixture.draw(u)
    part = mixture.draw(np.ascontiguousarray(u[:, 3 : 3 + n]), rows=mixture.rows[3 : 3 + n])
    for a, b in zip(whole[:4], part[:4], strict=True):
        np.testing.assert_array_equal(a[:, 3 : 3 + n], b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 5, 9, 14, 20, 30])
def test_what_is_not_finite_is_reported(value, column):
    mixture = Mixture(np.random.default_rng(9), 11, 5)
    mixture.rows[6, column] = value
    bad = mixture.draw(np.full(mixture.shape, 0.5))[4]
    assert bad == (-1 if column == 0 and value == -np.inf else 6)  # a mixture may rule a component out
    mixture.rows[6, :5] = -np.inf
    assert mixture.draw(np.full(mixture.shape, 0.5))[4] == 6


# ---- links, weights

LINKS = {
    "identity": lambda x: x,
    "exp": mpmath.exp,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "square": lambda x: x * x,
}


@pytest.mark.parametrize("index", range(6))
def test_links(index):
    rng = np.random.default_rng(index)
    x = np.concatenate([rng.normal(size=200) * 5, [0, 1e-8, -1e-8, 30, -30, 80, -80]]).astype(np.float32)
    (y,) = everywhere(lambda t: (k.link(t, index, x[:, None].copy(), 1.0, 0.0),))
    with mpmath.workdps(40):
        want = np.asarray([float(list(LINKS.values())[index](mpmath.mpf(float(v)))) for v in x])
    np.testing.assert_allclose(y, want, rtol=1e-15)
    (z,) = everywhere(lambda t: (k.link(t, index, x[:, None].copy(), -2.5, 0.75),))
    np.testing.assert_array_equal(z, -2.5 * y + 0.75)


@pytest.mark.parametrize("components", [1, 3, 16])
def test_weights_of_mixtures(components):
    rng = np.random.default_rng(components)
    z = (rng.normal(size=(13, components)) * 20).astype(np.float32)
    weights, logs, bad = everywhere(lambda t: k.mixture_weights(t, z))
    want = z.T.astype(np.float64) - z.T.max(0).astype(np.float64)
    want = want - np.log(np.exp(want).sum(0))
    assert bad == -1
    np.testing.assert_allclose(logs, want, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(weights, np.exp(want), rtol=1e-13)
    for value in (np.nan, np.inf, -np.inf):
        z[4] = value
        assert everywhere(lambda t: k.mixture_weights(t, z))[2] == 4


def test_log_sum_exp():
    rng = np.random.default_rng(4)
    terms = rng.normal(size=(6, 21)) * 300
    terms[:, 3], terms[2, 4], terms[1, 5], terms[1, 6] = -np.inf, -np.inf, np.inf, np.nan
    (y,) = everywhere(lambda t: (k.log_sum_exp(t, terms),))
    top = terms.max(0)
    with np.errstate(invalid="ignore"):
        want = top + np.log(np.exp(terms - top).sum(0))
    want[3], want[5] = -np.inf, np.inf
    np.testing.assert_allclose(y, want, rtol=1e-14)
