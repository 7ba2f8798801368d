"""VonMises against mpmath and SciPy: quantiles into the far tails, both tail probabilities, densities, moments;
monotone, the same bits on every target, defined endpoints, clear errors.

The bounds are those that the docstring states, a little above the worst errors measured on much larger random sets.
"""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
PI = np.pi  # the double, 1.2e-16 below pi


@pytest.fixture
def on_target():
    yield _core.kernels.set_target
    _core.kernels.set_target("")


def exact(kappa, t):
    """P(|X| <= t), P(|X| > t) and the density of |X| for loc = 0, 0 <= t < pi, to 30 digits."""
    with mp.workdps(32):
        k, t = mp.mpf(float(kappa)), mp.mpf(float(t))
        total = mp.pi * mp.besseli(0, k) * mp.exp(-k)

        def relative(x):  # f(x) / f(t): quad's tolerance is absolute
            return mp.exp(2 * k * mp.sin((t - x) / 2) * mp.sin((t + x) / 2))

        edges, step = [t], 1 / (k * mp.sin(t) + mp.sqrt(k) + 1)
        while edges[-1] + step < mp.pi:
            edges.append(edges[-1] + step)
            step *= 2
        density = mp.exp(-2 * k * mp.sin(t / 2) ** 2) / total
        upper = density * mp.quad(relative, [*edges, mp.pi])
        lower = density * mp.quad(relative, [0, t / 2, t]) if k * t * t < 2 else 1 - upper
        return lower, upper, density


def draws(seed, n):
    """Concentrations from 0 to 1e7, most of them where neither limit holds, and probabilities from 1e-300 to 1/2."""
    rng = np.random.default_rng(seed)
    kappa = np.where(rng.random(n) < 0.6, 10 ** rng.uniform(-0.5, 2.8, n), 10 ** rng.uniform(-3, 7, n))
    kappa[: n // 10] = 0
    u = np.where(rng.random(n) < 0.5, rng.uniform(0, 0.5, n), 10 ** rng.uniform(-300, -0.31, n))
    return rng, kappa, u


def test_quantile_and_tails():
    _, kappa, u = draws(1, 250)
    d = gf.VonMises(0.0, kappa)
    x = d.iccdf(u)
    np.testing.assert_array_equal(d.icdf(u), -x)
    cdf, ccdf = d.cdf(-x), d.ccdf(-x)
    np.testing.assert_array_equal(d.ccdf(x), cdf)
    np.testing.assert_array_equal(d.cdf(x), ccdf)
    checked = 0
    for k, p, t, small, large in zip(kappa, u, x, cdf, ccdf, strict=True):
        if t >= PI:  # the quantile is within an ulp of pi
            assert exact(k, np.nextafter(PI, 0))[1] > 2 * p
            continue
        checked += 1
        lower, upper, slope = exact(k, t)
        miss = abs(upper - 2 * mp.mpf(float(p))) if p < 0.25 else abs(lower - (1 - 2 * mp.mpf(float(p))))
        assert miss / (slope * t) < 1.5e-15, (k, p)  # relative error of x
        bound = 1e-14 if p > 1e-10 else 3e-13
        assert abs(2 * mp.mpf(float(small)) / upper - 1) < bound, (k, p)
        assert abs(2 * mp.mpf(float(large)) / (1 + lower) - 1) < 1e-15, (k, p)
    assert checked > 150


def test_tails_next_to_the_cut():
    """pi - t small: the tail is (pi - t) f(t), to full relative accuracy in pi - t as the double t has it."""
    for kappa in (0.0, 0.3, 5.0, 40.0, 300.0):
        for gap in (1e-14, 3e-11, 1e-6, 1e-3, 0.1):
            t = PI - gap
            assert gf.VonMises(0.0, kappa).ccdf(t) == pytest.approx(float(exact(kappa, t)[1] / 2), rel=2e-13, abs=0)


def test_quantile_near_the_centre_is_relative():
    for kappa in (0.0, 0.3, 5.0, 1e3):
        for p in (2.0**-53, 1e-12, 1e-7, 1e-3):
            u = 0.5 + p
            x = gf.VonMises(0.0, kappa).icdf(u)
            lower, _, slope = exact(kappa, x)
            assert abs(lower - 2 * (mp.mpf(u) - 0.5)) / (slope * x) < 1.5e-15


def test_log_prob():
    rng, kappa, _ = draws(2, 200)
    x = rng.uniform(-PI, PI, 200)
    x[100:] /= np.sqrt(np.maximum(kappa[100:], 1))
    value = gf.VonMises(0.0, kappa).log_prob(x)
    with mp.workdps(40):
        for k, t, v in zip(kappa, x, value, strict=True):
            k, t = mp.mpf(float(k)), mp.mpf(float(t))
            truth = k * mp.cos(t) - mp.log(2 * mp.pi * mp.besseli(0, k))
            assert abs(v - truth) < 1e-15 * (1 + abs(truth))


@pytest.mark.parametrize("kappa", [0.0, 0.01, 0.7, 3.0, 20.0])
def test_against_scipy(kappa):
    d, truth = gf.VonMises(0.4, kappa), st.vonmises_line(kappa, 0.4) if kappa else st.uniform(0.4 - PI, 2 * PI)
    u = np.linspace(0.003, 0.997, 41)
    x = truth.ppf(u)
    np.testing.assert_allclose(d.icdf(u), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(d.cdf(x), truth.cdf(x), rtol=1e-9)
    np.testing.assert_allclose(d.ccdf(x), truth.sf(x), rtol=1e-9)
    np.testing.assert_allclose(d.log_prob(x), truth.logpdf(x), rtol=1e-12, atol=1e-12)
    if kappa:
        circle = st.vonmises(kappa, 0.4)  # the same between the cuts
        np.testing.assert_allclose(d.cdf(x), circle.cdf(x), rtol=1e-9)
        np.testing.assert_allclose(d.log_prob(x), circle.logpdf(x), rtol=1e-12, atol=1e-12)


def test_limits():
    u = np.concatenate([10.0 ** -np.arange(1, 320, 7), np.linspace(0.01, 0.5, 50)])
    np.testing.assert_allclose(gf.VonMises(0.0, 0.0).icdf(u), PI * (2 * u - 1), rtol=3e-16, atol=0)
    # To a relative error of the order of 1 / concentration it is a normal distribution, denormal u included.
    for kappa in (1e16, 1e100, 1e300):
        np.testing.assert_allclose(
            gf.VonMises(0.0, kappa).icdf(u), gf.Normal(0.0, 1 / np.sqrt(kappa)).icdf(u), rtol=2e-13, atol=0
        )
    x = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(gf.VonMises(0.0, 1e300).cdf(x * 1e-150), gf.Normal().cdf(x), rtol=3e-13, atol=0)


def test_denormal_probabilities():
    kappa = np.array([100.0, 345.0, 352.0, 358.0, 365.0, 372.0, 500.0, 3e4])
    for p in (5e-324, 1e-320, 3e-310, 2.2e-308):
        for k, t in zip(kappa, gf.VonMises(0.0, kappa).iccdf(p), strict=True):
            if t >= PI:
                assert exact(k, np.nextafter(PI, 0))[1] > 2 * mp.mpf(p)
                continue
            _, upper, slope = exact(k, t)
            assert abs(upper - 2 * mp.mpf(float(p))) / (slope * t) < 1.5e-15, (k, p)


@pytest.mark.parametrize("loc", [0.0, -1.3, 1e6])
def test_monotone_on_neighbouring_floats(loc):
    rng = np.random.default_rng(3)
    n = 1500
    kappa = np.where(rng.random(n) < 0.1, 0.0, 10 ** rng.uniform(-3, 7, n))
    start = np.choose(
        np.arange(n) % 5,
        [
            rng.random(n),
            10 ** rng.uniform(-320, -0.4, n),
            np.nextafter(0.5, 0) - 40 * 2.0**-54,
            10 ** rng.uniform(-7, -2, n),  # next to loc - pi where kappa is small
            # Around the edges of the quantile's cells.
            gf.VonMises(0.0, kappa).cdf(
                -np.floor(4096 * rng.random(n)) / 1024 / np.exp2(np.ceil(np.log2(kappa + 1) / 2))
            ),
        ],
    )
    u = np.minimum((start.view(np.uint64) + np.arange(100, dtype=np.uint64)[:, None]).view(np.float64), 1.0)
    assert (np.diff(u, axis=0) >= 0).all()
    d = gf.VonMises(loc, kappa)
    assert (np.diff(d.icdf(u), axis=0) >= 0).all()
    assert (np.diff(d.iccdf(u), axis=0) <= 0).all()


def test_monotone_across_a_wide_grid():
    u = np.unique(
        np.concatenate([10.0 ** -np.arange(0.3, 323, 0.05), np.linspace(0, 1, 20001), 1 - 2.0 ** -np.arange(1, 54)])
    )
    for kappa in (0.0, 0.2, 1.0, 9.0, 120.0, 361.0, 1e5):
        d = gf.VonMises(0.0, kappa)
        x = d.icdf(u)
        assert (np.diff(x) >= 0).all()


def test_the_same_bits_everywhere(on_target):
    rng, kappa, u = draws(4, 203)  # no multiple of the lanes
    u[::3] = 1 - u[::3]
    x = rng.uniform(-4, 4, 203)
    results = {}
    for target in TARGETS:
        on_target(target)
        d = gf.VonMises(0.3, kappa)
        results[target] = [d.icdf(u), d.iccdf(u), d.cdf(x), d.ccdf(x), d.log_prob(x)]
        for i in (0, 1, 8, 77, 202):  # one element alone, beside other neighbours
            one = gf.VonMises(0.3, kappa[i])
            alone = [one.icdf(u[i]), one.iccdf(u[i]), one.cdf(x[i]), one.ccdf(x[i]), one.log_prob(x[i])]
            np.testing.assert_array_equal(alone, [r[i] for r in results[target]])
    for target in TARGETS:
        np.testing.assert_array_equal(results[target], results[TARGETS[0]])


def test_samples_do_not_depend_on_threads():
    d = gf.VonMises(0.1, [0.0, 2.0, 50.0])
    before = gf.num_threads()
    try:
        gf.set_num_threads(1)
        one = d.sample((20000,), rng=7)
        gf.set_num_threads(2)
        two = d.sample((20000,), rng=7)
    finally:
        gf.set_num_threads(before)
    np.testing.assert_array_equal(one, two)
    assert one.shape == (20000, 3)
    for j in range(3):
        # At 1e-6, the false-alarm rate of a correct sampler (the seed is fixed).
        assert st.kstest(one[:, j], gf.VonMises(0.1, d.concentration[j]).cdf).pvalue > 1e-6


def test_endpoints():
    for loc in (0.0, -2.7, 1.0, 33.3, 1e9, 1e300):
        for kappa in (0.0, 1.5, 80.0, 1e8):
            d = gf.VonMises(loc, kappa)
            low, high = d.support
            assert (low, high) == (loc - PI, loc + PI)
            assert d.icdf(0.0) == d.iccdf(1.0) == low and d.icdf(1.0) == d.iccdf(0.0) == high
            assert d.icdf(0.5) == d.iccdf(0.5) == loc
            assert d.cdf(high) == 1 and d.ccdf(high) == 0
            assert loc == 1e300 or (d.cdf(low) == 0 and d.ccdf(low) == 1)
            assert np.isfinite(d.log_prob([low, loc, high])).all()
            outside = np.array([np.nextafter(low, -np.inf), -np.inf, np.nextafter(high, np.inf), np.inf])
            np.testing.assert_array_equal(d.log_prob(outside), -np.inf)
            np.testing.assert_array_equal(d.cdf(outside), [0, 0, 1, 1])
            np.testing.assert_array_equal(d.ccdf(outside), [1, 1, 0, 0])
    d = gf.VonMises(0.0, 2.0)
    assert np.isnan([d.cdf(np.nan), d.ccdf(np.nan), d.log_prob(np.nan)]).all()
    # u as near to 0 as can be, but not 0.
    assert d.icdf(5e-324) == -PI and gf.VonMises(0.0, 1e300).icdf(5e-324) > -4e-149


def test_bad_input():
    for bad in (-1e-300, -1.0, np.nan, np.inf, 1e301):
        with pytest.raises(ValueError, match=r"concentration must be in \[0, 1e300\], got .* at index 1"):
            gf.VonMises(0.0, [1.0, bad])
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="loc must be finite"):
            gf.VonMises(bad, 1.0)
    with pytest.raises(TypeError, match="concentration"):
        gf.VonMises(0.0, "wide")
    d = gf.VonMises(np.zeros(3), 1.0)
    for bad in (-1e-9, 1.1, np.nan):
        with pytest.raises(ValueError, match=r"at index 2"):
            d.icdf([0.1, 0.2, bad])
    with pytest.raises(ValueError, match="broadcast"):
        d.icdf(np.zeros(4))
    assert d.icdf(np.zeros((0, 3))).shape == (0, 3)
    assert d.icdf(np.float32(0.25)).dtype == np.float32


def test_moments():
    kappa = np.array([0.0, 1e-8, 0.3, 1.0, 7.0, 55.0, 200.0, 1e3, 1e7, 1e300])
    d = gf.VonMises(1.5, kappa)
    np.testing.assert_array_equal(d.mean, 1.5)
    for k, v in zip(kappa, d.var, strict=True):
        if k > 1e5:
            assert v == pytest.approx(1 / k * (1 + 0.5 / k), rel=1e-13)  # and 1 / k^3
            continue
        with mp.workdps(30):
            edges = [0, *(mp.pi * mp.mpf(2) ** -j for j in range(7, -1, -1))]
            rate = mp.mpf(float(k))
            second = mp.quad(lambda x, rate=rate: x * x * mp.exp(rate * (mp.cos(x) - 1)), edges)
            truth = second / (mp.pi * mp.besseli(0, rate) * mp.exp(-rate))
        assert v == pytest.approx(float(truth), rel=1e-13)
    assert gf.VonMises(0.0, 1.5).var == pytest.approx(st.vonmises_line(1.5).var(), rel=1e-9)
    assert gf.VonMises(np.zeros((2, 1)), np.ones(3)).var.shape == (2, 3)


def test_conversions():
    u = np.linspace(0.01, 0.99, 23)
    for theirs in (st.vonmises, st.vonmises_line):
        d = gf.from_scipy(theirs(1.5, loc=0.5))
        assert type(d) is gf.VonMises and (d.loc, d.concentration) == (0.5, 1.5)
        batch = gf.from_scipy(theirs([0.5, 2.0]))
        np.testing.assert_array_equal(batch.icdf(u[:, None]), gf.VonMises(0.0, [0.5, 2.0]).icdf(u[:, None]))
        scaled = gf.from_scipy(theirs(1.5, 0.5, 2.0))
        np.testing.assert_allclose(scaled.icdf(u), theirs(1.5, 0.5, 2.0).ppf(u), rtol=1e-9)
    with pytest.raises(ValueError, match="concentration"):
        gf.from_scipy(st.vonmises(-1.0))
    torch = pytest.importorskip("torch")
    loc, kappa = torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([0.2, 30.0], dtype=torch.float64)
    theirs = torch.distributions.VonMises(loc, kappa)
    ours = gf.from_torch(theirs)
    assert type(ours) is gf.VonMises and ours.batch_shape == (2,)
    np.testing.assert_array_equal(ours.loc, loc.numpy())
    np.testing.assert_array_equal(ours.concentration, kappa.numpy())
    y = ours.icdf(u[:, None])
    # torch's Bessel function is a single-precision fit (Abramowitz & Stegun 9.8.1, 2e-7).
    np.testing.assert_allclose(ours.log_prob(y), theirs.log_prob(torch.tensor(y)).numpy(), rtol=1e-6, atol=1e-6)
