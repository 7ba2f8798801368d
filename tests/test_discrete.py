"""The discrete families: the smallest k with F(k) >= u against exact sums and 50-digit functions, the same comparison
as cdf makes at every step, masses, edges, monotone, the same bits on every target, clear errors.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st
from incomplete import beta_tails, gamma_tails

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]


@pytest.fixture
def on_target():
    yield _core.kernels.set_target
    _core.kernels.set_target("")


def poisson(k, rate):
    if k < 0:
        return mp.mpf(0), mp.mpf(1)
    p, q, _ = gamma_tails(mp.mpf(k) + 1, rate)
    return q, p


def binomial(k, n, p):
    if not 0 <= k < n:
        return (mp.mpf(0), mp.mpf(1)) if k < 0 else (mp.mpf(1), mp.mpf(0))
    lower, upper, _ = beta_tails(mp.mpf(n) - k, mp.mpf(k) + 1, 1 - mp.mpf(p), p)
    return lower, upper


def negative_binomial(k, n, p):
    if k < 0:
        return mp.mpf(0), mp.mpf(1)
    lower, upper, _ = beta_tails(n, mp.mpf(k) + 1, p)
    return lower, upper


def parameters(name, rng, n):
    if name == "Poisson":
        return (10 ** rng.uniform(-2, 3.3, n),)
    if name == "Binomial":
        return np.floor(10 ** rng.uniform(0, 3.3, n)), rng.random(n)
    if name == "NegativeBinomial":
        return 10 ** rng.uniform(-2, 2.5, n), rng.uniform(0.01, 1, n)
    if name == "Hypergeometric":
        good, bad = np.floor(10 ** rng.uniform(0, 3, n)), np.floor(10 ** rng.uniform(0, 3, n))
        return good, bad, np.floor(rng.random(n) * (good + bad + 1))
    if name in ("Geometric", "Bernoulli"):
        return (rng.uniform(1e-3, 1, n),)
    low = np.floor(rng.uniform(-100, 100, n))
    return low, low + np.floor(10 ** rng.uniform(0, 4, n))


EXACT = {"Poisson": poisson, "Binomial": binomial, "NegativeBinomial": negative_binomial}
SCIPY = {
    "Poisson": st.poisson,
    "Binomial": st.binom,
    "NegativeBinomial": st.nbinom,
    "Geometric": st.geom,
    "Bernoulli": st.bernoulli,
    "DiscreteUniform": lambda low, high: st.randint(low, high + 1),
    "Hypergeometric": lambda good, bad, draws: st.hypergeom(good + bad, good, draws),
}


@pytest.mark.parametrize("name", EXACT)
def test_quantile_is_exact(name):
    rng = np.random.default_rng(1)
    n = 150
    p = parameters(name, rng, n)
    u = np.where(rng.random(n) < 0.5, rng.random(n), 10 ** rng.uniform(-290, -0.4, n))
    d = getattr(gf, name)(*p)
    for upper in (False, True):
        ks = d.iccdf(u) if upper else d.icdf(u)
        for i, k in enumerate(ks):
            own, ui = [float(v[i]) for v in p], mp.mpf(u[i])
            at, before = EXACT[name](k, *own), EXACT[name](k - 1, *own)
            if upper:
                assert at[1] <= ui < before[1], (own, ui, k)
            else:
                assert at[0] >= ui > before[0], (own, ui, k)


def test_hypergeometric_is_exact():
    rng = np.random.default_rng(2)
    for _ in range(60):
        good, bad = (int(v) for v in rng.integers(0, 60, 2))
        draws = int(rng.integers(0, good + bad + 1))
        d = gf.Hypergeometric(good, bad, draws)
        low, high = max(0, draws - bad), min(draws, good)
        assert d.support == (low, high)
        mass = [Fraction(comb(good, k) * comb(bad, draws - k), comb(good + bad, draws)) for k in range(low, high + 1)]
        total = Fraction(0)
        for k, m in zip(range(low, high + 1), mass, strict=True):
            total += m
            assert float(d.log_prob(k)) == pytest.approx(float(mp.log(mp.mpf(m.numerator) / m.denominator)), abs=3e-14)
            assert d.cdf(k) == pytest.approx(float(total), rel=4e-14)
            if k < high:
                assert d.ccdf(k) == pytest.approx(float(1 - total), rel=4e-14)
        for u in (*rng.random(20), *10 ** rng.uniform(-20, -1, 10)):
            sums, k = mass[0], low
            while sums < Fraction(u):
                k += 1
                sums += mass[k - low]
            assert d.icdf(u) == k


@pytest.mark.parametrize("name", [name for name in SCIPY if name != "DiscreteUniform"])
def test_quantile_and_cdf_make_the_same_comparison(name):
    # At u = F(k) as computed, and one float further, in the smaller tail: the rule holds for the computed F.
    # (DiscreteUniform compares with the exact k / n, which its cdf has to round.)
    rng = np.random.default_rng(3)
    p = parameters(name, rng, 2000)
    d = getattr(gf, name)(*p)
    k = d.icdf(rng.random(2000))
    high = d.support[1]
    cdf, ccdf = d.cdf(k), d.ccdf(k)
    lower = (cdf > 0) & (cdf <= 0.5)
    assert lower.sum() > 100
    assert (d.icdf(np.where(lower, cdf, 0.5))[lower] == k[lower]).all()
    assert (d.icdf(np.where(lower, np.nextafter(cdf, 1), 0.5))[lower] == k[lower] + 1).all()
    upper = (ccdf > 0) & (ccdf < 0.5) & (k < high)
    assert upper.sum() > 100
    assert (d.iccdf(np.where(upper, ccdf, 0.25))[upper] == k[upper]).all()
    assert (d.iccdf(np.where(upper, np.nextafter(ccdf, 0), 0.25))[upper] == k[upper] + 1).all()


@pytest.mark.parametrize("name", EXACT)
def test_probabilities(name):
    rng = np.random.default_rng(4)
    p = parameters(name, rng, 120)
    d = getattr(gf, name)(*p)
    k = d.icdf(np.where(rng.random(120) < 0.7, rng.random(120), 10 ** rng.uniform(-30, 0, 120)))
    for i, (ki, c, q) in enumerate(zip(k, d.cdf(k), d.ccdf(k), strict=True)):
        lower, upper = EXACT[name](ki, *[float(v[i]) for v in p])
        assert abs(c - lower) < 5e-14 * lower and abs(q - upper) <= max(5e-14 * upper, mp.mpf(10) ** -300)


def test_log_prob_by_deviance():
    rng = np.random.default_rng(5)
    rate = 10 ** rng.uniform(-2, 8, 100)
    k = gf.Poisson(rate).icdf(rng.random(100))
    for ki, r, got in zip(k, rate, gf.Poisson(rate).log_prob(k), strict=True):
        exact = mp.mpf(ki) * mp.log(mp.mpf(r)) - mp.mpf(r) - mp.loggamma(mp.mpf(ki) + 1)
        assert abs(got - exact) < 2e-15 * max(1, abs(exact))
    n, p = np.floor(10 ** rng.uniform(0, 9, 100)), rng.random(100)
    k = gf.Binomial(n, p).icdf(rng.random(100))
    for ki, m, s, got in zip(k, n, p, gf.Binomial(n, p).log_prob(k), strict=True):
        ki, m, s = mp.mpf(ki), mp.mpf(m), mp.mpf(s)
        exact = (
            mp.loggamma(m + 1)
            - mp.loggamma(ki + 1)
            - mp.loggamma(m - ki + 1)
            + ki * mp.log(s)
            + (m - ki) * mp.log1p(-s)
        )
        assert abs(got - exact) < 4e-15 * max(1, abs(exact))
    n = 10 ** rng.uniform(-2, 6, 100)
    k = gf.NegativeBinomial(n, p).icdf(rng.random(100))
    for ki, m, s, got in zip(k, n, p, gf.NegativeBinomial(n, p).log_prob(k), strict=True):
        ki, m, s = mp.mpf(ki), mp.mpf(m), mp.mpf(s)
        exact = mp.loggamma(m + ki) - mp.loggamma(ki + 1) - mp.loggamma(m) + m * mp.log(s) + ki * mp.log1p(-s)
        assert abs(got - exact) < 1e-14 * max(1, abs(exact))


@pytest.mark.parametrize("name", SCIPY)
def test_against_scipy(name):
    rng = np.random.default_rng(6)
    p = parameters(name, rng, 400)
    ours, theirs = getattr(gf, name)(*p), SCIPY[name](*p)
    u = rng.uniform(0.001, 0.999, 400)
    np.testing.assert_array_equal(ours.icdf(u), theirs.ppf(u))
    np.testing.assert_array_equal(ours.iccdf(u), theirs.isf(u))
    k = theirs.ppf(u)
    np.testing.assert_allclose(ours.log_prob(k), theirs.logpmf(k), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.cdf(k + 0.5), theirs.cdf(k), rtol=1e-9)
    np.testing.assert_allclose(ours.ccdf(k), theirs.sf(k), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(ours.mean, theirs.mean(), rtol=1e-12)
    np.testing.assert_allclose(ours.var, theirs.var(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [1e5, 3e8, 1e12])
def test_large_poisson(rate):
    d = gf.Poisson(rate)
    for u in (1e-40, 0.2):
        k = d.icdf(u)
        assert poisson(k, rate)[0] >= mp.mpf(u) > poisson(k - 1, rate)[0]
        k = d.iccdf(u)
        assert poisson(k, rate)[1] <= mp.mpf(u) < poisson(k - 1, rate)[1]


@pytest.mark.parametrize("n", [1e6, 1e10])
def test_large_binomial(n):
    for p in (0.3, 1 - 1e-4):
        d = gf.Binomial(n, p)
        for u in (1e-40, 0.2):
            k = d.icdf(u)
            assert binomial(k, n, p)[0] >= mp.mpf(u) > binomial(k - 1, n, p)[0]


def test_exact_small_families():
    rng = np.random.default_rng(7)
    for p in (0.25, 0.5, 0.3, 1e-17, 1 - 2.0**-53, 0.0, 1.0):
        d = gf.Bernoulli(p)
        for u in (
            0.0,
            1e-17,
            0.25,
            0.5,
            0.7,
            np.nextafter(0.7, 1),
            0.75,
            np.nextafter(0.75, 1),
            1 - 2.0**-53,
            *rng.random(50),
        ):
            assert d.icdf(u) == (0 if 1 - Fraction(p) >= Fraction(u) else 1) or u == 0
            assert d.iccdf(u) == (0 if Fraction(p) <= Fraction(u) else 1)
    for low, high in ((0, 0), (-3, 6), (1, 10**9), (-(2**51), 2**51)):
        d, n = gf.DiscreteUniform(low, high), high - low + 1
        for u in (0.0, 0.1, 0.2, 0.3, 0.7, 1.0, 1e-300, *rng.random(50)):
            j = max(1, -((-Fraction(u) * n) // 1))
            assert d.icdf(u) == low + j - 1
            j = max(1, -((-(1 - Fraction(u)) * n) // 1))
            assert d.iccdf(u) == low + j - 1
    for p in (1e-12, 0.1, 0.9):
        d = gf.Geometric(p)
        for u in (1e-18, 0.1, 0.5, 0.999, *rng.random(30)):
            k = d.icdf(u)
            log_q = mp.log1p(-mp.mpf(p))
            assert -mp.expm1(k * log_q) >= mp.mpf(u) * (1 - mp.mpf(10) ** -15)
            assert k == 1 or -mp.expm1((k - 1) * log_q) < mp.mpf(u) * (1 + mp.mpf(10) ** -15)


def test_edges():
    inf = np.inf
    for name in SCIPY:
        rng = np.random.default_rng(8)
        d = getattr(gf, name)(*[v[:5] for v in parameters(name, rng, 5)])
        low, high = d.support
        np.testing.assert_array_equal(d.icdf(0.0), low)
        np.testing.assert_array_equal(d.iccdf(1.0), low)
        np.testing.assert_array_equal(d.icdf(1.0), high)
        np.testing.assert_array_equal(d.iccdf(0.0), high)
        assert (d.cdf(low - 1) == 0).all() and (d.ccdf(low - 1) == 1).all() and (d.cdf(-inf) == 0).all()
        assert (d.cdf(inf) == 1).all() and (d.ccdf(inf) == 0).all() and np.isnan(d.cdf(np.nan)).all()
        assert (d.log_prob(low - 1) == -inf).all() and (d.log_prob(low + 0.5) == -inf).all()
        assert (d.log_prob(inf) == -inf).all() and np.isnan(d.log_prob(np.nan)).all()
    assert gf.Poisson(0.0).icdf(0.7) == 0 and gf.Poisson(0.0).log_prob(0) == 0 and gf.Poisson(0.0).cdf(0) == 1
    assert (
        gf.Binomial(0, 0.3).icdf(0.7) == 0 and gf.Binomial(5, 0.0).icdf(0.7) == 0 and gf.Binomial(5, 1.0).icdf(0.2) == 5
    )
    assert (
        gf.Binomial(5, 1.0).log_prob(5) == 0
        and gf.Binomial(5, 1.0).cdf(4) == 0
        and gf.Binomial(5, 0.0).log_prob(0) == 0
    )
    assert (
        gf.Geometric(1.0).icdf(0.9) == 1
        and gf.Geometric(1.0).log_prob(1) == 0
        and gf.NegativeBinomial(3.0, 1.0).icdf(0.9) == 0
    )
    assert gf.Hypergeometric(0, 0, 0).icdf(0.4) == 0 and gf.Hypergeometric(5, 0, 3).icdf(0.4) == 3


@pytest.mark.parametrize("name", SCIPY)
def test_monotone(name):
    rng = np.random.default_rng(9)
    p = parameters(name, rng, 300)
    d = getattr(gf, name)(*p)
    u = np.sort(rng.random((40, 300)), axis=0)
    at = np.clip(np.nan_to_num(d.cdf(d.icdf(u[20])), nan=0.5), 0, 1)
    steps = [np.nextafter(np.nextafter(at, 0), 0)]
    for _ in range(5):
        steps.append(np.minimum(np.nextafter(steps[-1], 2), 1))
    for grid in (u, np.stack(steps)):
        assert (np.diff(np.nan_to_num(d.icdf(grid), posinf=1e300), axis=0) >= 0).all()
        assert (np.diff(np.nan_to_num(d.iccdf(grid), posinf=1e300), axis=0) <= 0).all()


@pytest.mark.parametrize("name", SCIPY)
def test_same_bits_on_every_target(name, on_target):
    rng = np.random.default_rng(10)
    p = parameters(name, rng, 203)
    d, u = getattr(gf, name)(*p), rng.random(203)
    k = d.icdf(u)
    results = []
    for target in TARGETS:
        on_target(target)
        results.append([d.icdf(u), d.iccdf(u * 1e-9), d.cdf(k), d.ccdf(k), d.log_prob(k)])
    for other in results[1:]:
        for left, right in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: gf.Poisson(-1.0), "rate"),
        (lambda: gf.Poisson(np.nan), "rate"),
        (lambda: gf.Binomial(2.5, 0.3), "n must be an integer"),
        (lambda: gf.Binomial(-1, 0.3), "n must"),
        (lambda: gf.Binomial([3, 4], [0.5, 1.2]), r"p .* index 1"),
        (lambda: gf.NegativeBinomial(0.0, 0.5), "n must"),
        (lambda: gf.NegativeBinomial(1.0, 0.0), "p must"),
        (lambda: gf.Geometric(0.0), "p must"),
        (lambda: gf.Bernoulli(np.nan), "p must"),
        (lambda: gf.DiscreteUniform(3, 2), "high"),
        (lambda: gf.DiscreteUniform(0.5, 2), "low"),
        (lambda: gf.Hypergeometric(3, 4, 8), "draws"),
        (lambda: gf.Hypergeometric(3.5, 4, 2), "good"),
        (lambda: gf.Hypergeometric(10**9, 1, 2), r"good \+ bad"),
        (lambda: gf.Poisson(3.0).icdf(-0.1), "u must"),
    ],
)
def test_bad_arguments(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_the_widest_discrete_uniform_is_exact():
    d = gf.DiscreteUniform(-(2.0**52) + 1, 2.0**52)
    assert d.icdf([0.0, 0.5, 0.75, 1.0]).tolist() == [1 - 2**52, 0, 2**51, 2**52]
    with pytest.raises(ValueError, match=r"high - low must be below 2\*\*53, got low=-4503599627370496.0"):
        gf.DiscreteUniform(-(2.0**52), 2.0**52)  # its 2**53 + 1 values cannot be counted


def test_zero_has_no_sign():
    u = np.array([0.0, 1e-300, 0.1, 0.3])
    for d in (gf.NegativeBinomial(3.0, 0.7), gf.Binomial(3, 0.1), gf.Poisson(0.5), gf.Hypergeometric(3, 30, 2)):
        assert not np.signbit(d.icdf(u)).any() and not np.signbit(d.iccdf(1 - u)).any()


def test_sample():
    x = gf.Poisson([0.5, 40.0]).sample((2000,), rng=1)
    assert x.shape == (2000, 2) and (x == np.floor(x)).all()
    np.testing.assert_array_equal(x, gf.Poisson([0.5, 40.0]).sample((2000,), rng=1))
    # 6 standard errors: a false alarm once in 5e8.
    assert (np.abs(x.mean(0) - [0.5, 40.0]) < 6 * np.sqrt(np.array([0.5, 40.0]) / 2000)).all()
