"""The gamma and beta families against mpmath: quantiles into the far tails, both tail probabilities, densities;
monotone, the same bits on every target, defined endpoints, clear errors.

The bounds are those that the docstrings state, a little above the worst errors measured on much larger random sets.
"""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st
from incomplete import beta_tails, gamma_tails, student_tail

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
TINY = 1e-290


@pytest.fixture
def on_target():
    yield _core.kernels.set_target
    _core.kernels.set_target("")


def draws(seed, n, low, high, small_u=True):
    """n log-uniform parameters, and probabilities from 1e-300 to 1/2."""
    rng = np.random.default_rng(seed)
    a = 10 ** rng.uniform(np.log10(low), np.log10(high), n)
    u = np.where(rng.random(n) < 0.5, rng.uniform(0, 0.5, n), 10 ** rng.uniform(-300 if small_u else -12, -0.31, n))
    return rng, a, u


def worst(errors, names):
    i = int(np.argmax(errors))
    return errors[i], [n[i] for n in names]


@pytest.mark.parametrize(("low", "high", "bound"), [(1e-3, 0.1, 1.6e-13), (0.1, 30.0, 1.6e-13), (30.0, 2e3, 2e-14)])
def test_gamma_quantile(low, high, bound):
    # F(x) - u over x f(x) is the relative error of x.
    _, a, u = draws(1, 120, low, high)
    errors = []
    for upper in (False, True):
        x = gf.Gamma(a).iccdf(u) if upper else gf.Gamma(a).icdf(u)
        for ai, ui, xi in zip(a, u, x, strict=True):
            if xi < TINY:
                errors.append(0.0)
                continue
            p, q, slope = gamma_tails(ai, xi)
            errors.append(float(abs((q if upper else p) - mp.mpf(ui)) / slope))
    assert worst(errors, (np.tile(a, 2), np.tile(u, 2)))[0] < bound


def test_gamma_underflow_is_zero():
    assert gf.Gamma(1e-3).icdf(0.1) == 0.0
    x = gf.Gamma(1e-3).icdf(0.9)
    p, _, slope = gamma_tails(1e-3, x)
    assert x > 0 and abs(p - mp.mpf(0.9)) / slope < 2e-13


@pytest.mark.parametrize("a", [4e3, 1.7e5, 3.3e6, 1e8])
def test_gamma_large_shape(a):
    for u in (1e-250, 1e-9, 0.3):
        x = gf.Gamma(a).icdf(u), gf.Gamma(a).iccdf(u)
        p, _, slope = gamma_tails(a, x[0])
        assert abs(p - mp.mpf(u)) / slope < 3e-16
        _, q, slope = gamma_tails(a, x[1])
        assert abs(q - mp.mpf(u)) / slope < 3e-16
    x = gf.Gamma(a).icdf(0.2)
    p, q, _ = gamma_tails(a, x)
    assert abs(gf.Gamma(a).cdf(x) / p - 1) < 1e-15 and abs(gf.Gamma(a).ccdf(x) / q - 1) < 1e-15


def test_gamma_tails():
    rng, a, u = draws(2, 300, 1e-3, 2e3)
    x = np.where(rng.random(300) < 0.5, gf.Gamma(a).icdf(u), gf.Gamma(a).iccdf(u))
    x = np.where(x > TINY, x, 1.0)
    bulk, far = 0.0, 0.0
    for ai, xi, p0, q0 in zip(a, x, gf.Gamma(a).cdf(x), gf.Gamma(a).ccdf(x), strict=True):
        p, q, _ = gamma_tails(ai, xi)
        for got, exact in ((p0, p), (q0, q)):
            if exact > TINY:
                error = float(abs(mp.mpf(got) / exact - 1))
                bulk, far = (max(bulk, error), far) if exact > 1e-10 else (bulk, max(far, error))
    assert bulk < 6e-15
    assert far < 2.5e-13


@pytest.mark.parametrize(("low", "high", "bound"), [(1e-3, 0.1, 2e-12), (0.1, 30.0, 2e-13), (30.0, 3e3, 3e-14)])
def test_beta_quantile(low, high, bound):
    rng, a, u = draws(3, 100, low, high)
    b = 10 ** rng.uniform(np.log10(low), np.log10(high), 100)
    errors = []
    for upper in (False, True):
        x = gf.Beta(a, b).iccdf(u) if upper else gf.Beta(a, b).icdf(u)
        for ai, bi, ui, xi in zip(a, b, u, x, strict=True):
            if not TINY < xi < 0.5:
                # Where x is near 1 its own rounding is all the error; F below tests 1 - x.
                errors.append(0.0)
                continue
            p, q, slope = beta_tails(ai, bi, xi)
            errors.append(float(abs((q if upper else p) - mp.mpf(ui)) / slope * (1 - mp.mpf(xi))))
    assert worst(errors, (np.tile(a, 2), np.tile(b, 2), np.tile(u, 2)))[0] < bound


def test_f_quantile_both_tails():
    rng, a, u = draws(4, 120, 0.2, 2e3)
    b = 10 ** rng.uniform(-0.7, 3.3, 120)
    d = gf.F(a, b)
    for upper in (False, True):
        x = d.iccdf(u) if upper else d.icdf(u)
        for ai, bi, ui, xi in zip(a, b, u, x, strict=True):
            if not TINY < xi < 1 / TINY:
                continue
            top, bottom = mp.mpf(ai) * mp.mpf(xi), mp.mpf(bi)
            v, w = top / (top + bottom), bottom / (top + bottom)
            p, q, slope = beta_tails(mp.mpf(ai) / 2, mp.mpf(bi) / 2, v, w)
            assert abs((q if upper else p) - mp.mpf(ui)) / slope < 4e-13, (ai, bi, ui, xi)


@pytest.mark.parametrize(("a", "b"), [(4e3, 2e4), (1e6, 3e6), (1e8, 1e8), (7e3, 1e9)])
def test_beta_large_shapes(a, b):
    for u in (1e-200, 1e-9, 0.3):
        x = gf.Beta(a, b).icdf(u)
        p, _, slope = beta_tails(a, b, x)
        assert abs(p - mp.mpf(u)) / slope * (1 - mp.mpf(x)) < 4e-16
    # The exponent n (x - mean)^2 / 2 magnifies nothing but its own rounding.
    p, q, _ = beta_tails(a, b, gf.Beta(a, b).icdf(0.2))
    x = gf.Beta(a, b).icdf(0.2)
    assert abs(gf.Beta(a, b).cdf(x) / p - 1) < 3e-15 and abs(gf.Beta(a, b).ccdf(x) / q - 1) < 3e-15


def test_beta_tails():
    rng, a, u = draws(5, 250, 0.1, 2e3)
    b = 10 ** rng.uniform(-1, 3.3, 250)
    x = np.where(rng.random(250) < 0.5, gf.Beta(a, b).icdf(u), gf.Beta(a, b).iccdf(u))
    x = np.where((x > TINY) & (x < 1), x, 0.25)
    bulk, far = 0.0, 0.0
    for ai, bi, xi, p0, q0 in zip(a, b, x, gf.Beta(a, b).cdf(x), gf.Beta(a, b).ccdf(x), strict=True):
        p, q, _ = beta_tails(ai, bi, xi)
        for got, exact in ((p0, p), (q0, q)):
            if exact > TINY:
                error = float(abs(mp.mpf(got) / exact - 1))
                bulk, far = (max(bulk, error), far) if exact > 1e-10 else (bulk, max(far, error))
    assert bulk < 2e-14
    assert far < 4e-13


@pytest.mark.parametrize(("low", "high"), [(0.01, 1.0), (1.0, 30.0), (30.0, 1e5)])
def test_student_quantile(low, high):
    _, df, u = draws(6, 120, low, high)
    u = np.minimum(u, 0.45)
    t = gf.StudentT(df).iccdf(u)
    np.testing.assert_array_equal(-t, gf.StudentT(df).icdf(u))
    for di, ui, ti in zip(df, u, t, strict=True):
        if ti > 1e150:
            continue
        upper, density = student_tail(di, ti)
        assert abs(upper - 2 * mp.mpf(ui)) / (density * mp.mpf(ti)) < (2e-13 if di > 0.1 else 2e-12), (di, ui, ti)


def test_student_near_the_median():
    # Absolute error, in units of the width of the centre.
    df = np.array([0.3, 1.0, 4.5, 100.0, 1e6])
    for u in (0.5 - 1e-10, 0.5 + 1e-3, 0.4999999):
        t = gf.StudentT(df).icdf(u)
        for di, ti in zip(df, t, strict=True):
            upper, density = student_tail(di, abs(ti))
            assert abs(upper - 2 * min(mp.mpf(u), 1 - mp.mpf(u))) / density < 1.5e-15
    assert (gf.StudentT(df, 3.0).icdf(0.5) == 3.0).all()


def test_student_tails():
    _, df, u = draws(7, 200, 0.02, 1e5)
    t = gf.StudentT(df).iccdf(u * 0.9)
    t = np.where(t < 1e140, t, 1.0)
    bulk, far = 0.0, 0.0
    for di, ti, q0 in zip(df, t, gf.StudentT(df).ccdf(t), strict=True):
        upper, _ = student_tail(di, ti)
        error = float(abs(2 * mp.mpf(q0) / upper - 1))
        bulk, far = (max(bulk, error), far) if upper > 1e-10 else (bulk, max(far, error))
    assert bulk < 1e-14 and far < 2.5e-13
    np.testing.assert_array_equal(gf.StudentT(df).cdf(-t), gf.StudentT(df).ccdf(t))


FAMILIES = {
    "Gamma": (lambda a, b: gf.Gamma(a, b), lambda a, b: st.gamma(a, scale=b)),
    "InverseGamma": (lambda a, b: gf.InverseGamma(a, b), lambda a, b: st.invgamma(a, scale=b)),
    "Chi2": (lambda a, b: gf.Chi2(a), lambda a, b: st.chi2(a)),
    "Beta": (lambda a, b: gf.Beta(a, b), lambda a, b: st.beta(a, b)),
    "F": (lambda a, b: gf.F(a, b), lambda a, b: st.f(a, b)),
    "StudentT": (lambda a, b: gf.StudentT(a, -b, b), lambda a, b: st.t(a, loc=-b, scale=b)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_against_scipy(name):
    rng = np.random.default_rng(8)
    a, b, u = 10 ** rng.uniform(-0.5, 2, 500), 10 ** rng.uniform(-0.5, 2, 500), rng.uniform(0.01, 0.99, 500)
    ours, theirs = (make(a, b) for make in FAMILIES[name])
    scale = b if name == "StudentT" else 0.0
    assert (np.abs(ours.icdf(u) - theirs.ppf(u)) <= 1e-11 * (np.abs(theirs.ppf(u)) + scale)).all()
    assert (np.abs(ours.iccdf(u) - theirs.isf(u)) <= 1e-11 * (np.abs(theirs.isf(u)) + scale)).all()
    x = theirs.ppf(u)
    np.testing.assert_allclose(ours.cdf(x), theirs.cdf(x), rtol=1e-11)
    np.testing.assert_allclose(ours.ccdf(x), theirs.sf(x), rtol=1e-11)
    np.testing.assert_allclose(ours.log_prob(x), theirs.logpdf(x), rtol=1e-11, atol=1e-11)
    a, b = a + 4, b + 4
    ours, theirs = (make(a, b) for make in FAMILIES[name])
    np.testing.assert_allclose(ours.mean, theirs.mean(), rtol=1e-12)
    np.testing.assert_allclose(ours.var, theirs.var(), rtol=1e-11)
    assert ours.support[0][0] == theirs.support()[0].flat[0] and ours.support[1][0] == theirs.support()[1].flat[0]


def test_log_prob_accuracy():
    # Relative to x f(x), the absolute error of the logarithm, over a wide range.
    rng, a, _ = draws(9, 100, 1e-2, 1e6)
    x = gf.Gamma(a).icdf(rng.random(100))
    x = np.where(x > TINY, x, 1.0)
    for ai, xi, got in zip(a, x, gf.Gamma(a).log_prob(x), strict=True):
        exact = (mp.mpf(ai) - 1) * mp.log(mp.mpf(xi)) - mp.mpf(xi) - mp.loggamma(mp.mpf(ai))
        assert abs(got - exact) < 4e-16 * max(8, abs(exact))


def test_edges_of_the_support():
    inf = np.inf
    cases = [
        (gf.Gamma(2.0), 0.0, -inf),
        (gf.Gamma(1.0, 2.0), 0.0, -np.log(2.0)),
        (gf.Gamma(0.5), 0.0, inf),
        (gf.Gamma(2.0), -1.0, -inf),
        (gf.Gamma(2.0), inf, -inf),
        (gf.InverseGamma(2.0), 0.0, -inf),
        (gf.Beta(0.5, 2.0), 0.0, inf),
        (gf.Beta(1.0, 2.0), 0.0, np.log(2.0)),
        (gf.Beta(2.0, 3.0), 1.0, -inf),
        (gf.Beta(2.0, 1.0), 1.0, np.log(2.0)),
        (gf.F(2.0, 5.0), 0.0, 0.0),
        (gf.F(1.0, 5.0), 0.0, inf),
        (gf.StudentT(2.0), inf, -inf),
    ]
    for d, x, expected in cases:
        assert d.log_prob(x) == pytest.approx(expected, abs=1e-15), (d, x)
    for make in (
        lambda: gf.Gamma(0.3),
        lambda: gf.InverseGamma(2.0),
        lambda: gf.Chi2(1.0),
        lambda: gf.F(3.0, 0.5),
        lambda: gf.Beta(0.01, 5),
    ):
        d = make()
        low, high = d.support
        assert d.icdf(0.0) == low and d.icdf(1.0) == high and d.iccdf(0.0) == high and d.iccdf(1.0) == low
        assert d.cdf(low) == 0 and d.ccdf(low) == 1 and d.cdf(high) == 1 and d.ccdf(high) == 0
        assert d.cdf(-5.0) == 0 and d.cdf(inf) == 1 and d.ccdf(inf) == 0
        assert np.isnan(d.cdf(np.nan)) and np.isnan(d.ccdf(np.nan)) and np.isnan(d.log_prob(np.nan))
    t = gf.StudentT(3.0)
    assert (
        t.icdf(0.0) == -inf and t.icdf(1.0) == inf and t.cdf(-inf) == 0 and t.cdf(inf) == 1 and np.isnan(t.cdf(np.nan))
    )


def test_extreme_arguments_return():
    big = np.array([1e-300, 1e-8, 1e12, 1e200, 1e300])
    wide = np.array([1e-10, 1e-8, 1e-3, 1e8, 1e15])
    with np.errstate(all="ignore"):
        for d in (
            gf.Gamma(big),
            gf.Chi2(big),
            gf.Beta(wide, 2.0),
            gf.Beta(2.0, wide),
            gf.Beta(wide, wide),
            gf.F(wide, 3.0),
            gf.StudentT(big),
        ):
            for u in (0.0, 1e-300, 0.3, 0.9999):
                x = d.icdf(u)
                assert not np.isnan(x).any(), (d, u, x)
            for x in (-1.0, 1e-310, 0.5, 1e300):
                assert ((d.cdf(x) >= 0) & (d.cdf(x) <= 1)).all(), (d, x, d.cdf(x))


def test_shapes_that_the_beta_function_cannot_take_are_errors():
    with pytest.raises(ValueError, match=r"a must be in \[1e-10, 1e15\], got 1e\+16 at index 1"):
        gf.Beta([1.0, 1e16], 2.0)
    with pytest.raises(ValueError, match=r"dfd must be in \[1e-10, 1e15\], got 1e-11"):
        gf.F(1.0, 1e-11)
    with pytest.raises(ValueError, match=r"a and b must be within a factor of 1e18, got a=1e-05, b=1000000000000000.0"):
        gf.Beta(1e-5, 1e15)
    # Next to the limits quantiles and probabilities still fit each other.
    a = 10.0 ** np.arange(-10, 16)
    for b in (1e-3, 0.7, 30.0, 1e7, 1e15):
        near = a[np.maximum(a / b, b / a) <= 1e18]
        for d in (gf.Beta(near, b), gf.F(near, b)):
            for q in (1e-40, 1e-20, 0.01, 0.3):
                for inverse, probability in ((d.icdf, d.cdf), (d.iccdf, d.ccdf)):
                    x = inverse(q)
                    inside = (x > 1e-300) & (x < (1 if isinstance(d, gf.Beta) else 1e300))
                    # The rounding of x, up to two ulps, explains this much of q.
                    ends = [probability(np.nextafter(np.nextafter(x, to), to)) for to in (0.0, np.inf)]
                    off = np.maximum(np.minimum(*ends) - q, q - np.maximum(*ends))[inside]
                    assert (off <= np.where(near[inside] >= 1e-3, 1e-9 * q, 1e-15)).all(), (d, q, off)


@pytest.mark.parametrize("name", FAMILIES)
def test_monotone_over_subnormal_probabilities(name):
    rng = np.random.default_rng(12)
    a, b = 10 ** rng.uniform(-2, 6, 400), 10 ** rng.uniform(-2, 4, 400)
    bits = np.sort(rng.integers(1, (1 << 52) + 1000, 64))
    u = np.array([0.0, 5e-324, *bits.view(np.float64)])[:, None]
    d = FAMILIES[name][0](a, b)
    up, down = d.icdf(u), d.iccdf(u)
    assert (up[1:] >= up[:-1]).all()
    assert (down[1:] <= down[:-1]).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_monotone_on_neighbouring_floats(name):
    rng = np.random.default_rng(10)
    n = 400
    a, b = 10 ** rng.uniform(-2, 6, n), 10 ** rng.uniform(-2, 4, n)
    u = np.where(rng.random(n) < 0.2, 10 ** rng.uniform(-200, -1, n), rng.random(n))
    u[:20] = 0.5
    rows = [u]
    for _ in range(16):
        rows.append(np.nextafter(rows[-1], 1))
    grid = np.stack(rows)
    d = FAMILIES[name][0](a, b)
    up, down = d.icdf(grid), d.iccdf(grid)
    assert (up[1:] >= up[:-1]).all()
    assert (down[1:] <= down[:-1]).all()
    # And on a fine regular grid that crosses the cells.
    d = FAMILIES[name][0](np.array([0.2, 3.7, 400.0])[:, None], 2.5)
    assert (np.diff(d.icdf(np.linspace(0, 1, 20001)), axis=1) >= 0).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_same_bits_on_every_target(name, on_target):
    rng = np.random.default_rng(11)
    a, b, u = 10 ** rng.uniform(-2, 5, 301), 10 ** rng.uniform(-2, 4, 301), rng.random(301)
    d = FAMILIES[name][0](a, b)
    x = d.icdf(u)
    results = []
    for target in TARGETS:
        on_target(target)
        results.append([d.icdf(u), d.iccdf(u * 1e-9), d.cdf(x), d.ccdf(x), d.log_prob(x)])
    for other in results[1:]:
        for left, right in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(left, right)
    # And whatever the neighbours in the vector are.
    on_target("")
    order = rng.permutation(301)
    np.testing.assert_array_equal(FAMILIES[name][0](a[order], b[order]).icdf(u[order]), x[order])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: gf.Gamma(-1.0), "shape"),
        (lambda: gf.Gamma([1.0, 0.0]), r"shape .* index 1"),
        (lambda: gf.Gamma(1.0, np.nan), "scale"),
        (lambda: gf.InverseGamma(np.inf), "shape"),
        (lambda: gf.Chi2(0), "df"),
        (lambda: gf.Beta(1.0, -2.0), "b must"),
        (lambda: gf.F(1.0, np.nan), "dfd"),
        (lambda: gf.StudentT(3.0, np.inf), "loc"),
        (lambda: gf.StudentT(3.0, 0.0, -1.0), "scale"),
        (lambda: gf.Beta([1.0, 2.0], [1.0, 2.0, 3.0]), "broadcast"),
        (lambda: gf.Gamma(2.0).icdf([0.1, 1.5]), r"u .* index 1"),
        (lambda: gf.Gamma(2.0).iccdf(np.nan), "q"),
    ],
)
def test_bad_arguments(make, word):
    with pytest.raises(ValueError, match=word):
        make()


def test_moments_that_do_not_exist():
    assert (
        gf.InverseGamma(0.5).mean == np.inf
        and np.isnan(gf.InverseGamma(0.5).var)
        and gf.InverseGamma(1.5).var == np.inf
    )
    assert gf.F(2.0, 1.0).mean == np.inf and gf.F(2.0, 3.0).var == np.inf and np.isnan(gf.F(2.0, 1.0).var)
    assert np.isnan(gf.StudentT(1.0).mean) and gf.StudentT(1.5).var == np.inf and np.isnan(gf.StudentT(0.5).var)


def test_sample_is_icdf_of_the_stream():
    d = gf.Gamma([0.5, 30.0], 2.0)
    x = d.sample((1000,), rng=3)
    assert x.shape == (1000, 2)
    np.testing.assert_array_equal(x, d.sample((1000,), rng=3))
    assert abs(x[:, 1].mean() - 60) < 6 * np.sqrt(120 / 1000)
