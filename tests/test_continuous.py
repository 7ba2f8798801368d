"""The closed-form families against mpmath, and what every elementwise distribution promises: monotone, the same
bits for any target, threads and split, defined endpoints, clear errors.

Each class states its worst relative errors in its docstring ("Relative error, measured: icdf 2e-16, cdf …"); the tests
here measure them and hold the docstrings to it.
"""

from __future__ import annotations

import functools
import pickle
import re

import mpmath as mp
import numpy as np
import pytest
import scipy.stats as st
from scipy.stats import chi2

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
EPS = 2.0**-52
mp.mp.dps = 40


@pytest.fixture
def on_target():
    yield _core.kernels.set_target
    _core.kernels.set_target("")


def normal_upper(x):
    return mp.erfc(x / mp.sqrt(2)) / 2


@functools.lru_cache(None)
def normal_quantile(u, q):
    """Phi^-1(u), with q = 1 - u: Halley's iteration from the leading term of the tail."""
    p = min(u, q)
    if p > 0.02:
        x = mp.sqrt(2) * mp.erfinv(1 - 2 * p)
    else:
        r = mp.sqrt(-2 * mp.log(p))
        x = r - (mp.log(r) + mp.log(2 * mp.pi) / 2) / r
        for _ in range(30):
            step = (normal_upper(x) - p) / (-mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi))
            step /= 1 + step * x / 2
            x -= step
            if abs(step) < mp.mpf(10) ** -32 * x:
                break
    return x if u > q else -x


def exponential(u, q):
    return -(mp.log1p(-u) if u < 0.1 else mp.log(q))


def minus_log(u, q):
    return -(mp.log1p(-q) if q < 0.1 else mp.log(u))


def triangular(u, q, low, mode, high):
    left = (mode - low) / (high - low)
    with mp.workdps(340):  # the far tail of a side that is the whole support is a difference
        u, q = (u, 1 - u) if u < 0.5 else (1 - q, q)
        if u <= left:
            return low + mp.sqrt(u * (high - low) * (mode - low))
        return high - mp.sqrt(q * (high - low) * (high - mode))


def triangular_cdf(x, low, mode, high):
    if x < mode:
        return (x - low) ** 2 / ((high - low) * (mode - low)), None
    return None, (high - x) ** 2 / ((high - low) * (high - mode))


def sides(lower=None, upper=None):
    """(F, 1 - F) from whichever is given."""
    return (lower, 1 - lower) if upper is None else (1 - upper, upper)


def exponential_sides(e):
    """(F, 1 - F) of 1 - F = exp(-e)."""
    return -mp.expm1(-e), mp.exp(-e)


def half_normal_sides(z):
    return mp.erf(z / mp.sqrt(2)), mp.erfc(z / mp.sqrt(2))


def cauchy_quantile(u, q):
    if min(u, q) < 0.25:
        return mp.cot(mp.pi * q) if u > q else -mp.cot(mp.pi * u)
    return mp.tan(mp.pi * (u - q) / 2)


def cauchy_sides(z):
    tail = lambda a: mp.atan(1 / a) / mp.pi if a > 1 else mp.mpf(1) / 2 - mp.atan(a) / mp.pi
    return sides(tail(-z)) if z < 0 else sides(None, tail(z))


def kumaraswamy_log_upper(x, a, b):
    return b * mp.log1p(-(x**a))


LOG_SQRT_2PI = mp.log(2 * mp.pi) / 2

# name: (parameter sets, quantile(u, q, *p), (cdf, ccdf)(x, *p), log density(x, *p))
FAMILIES = {
    "Uniform": (
        [(0.0, 1.0), (0.0, 3.3), (-7.25, 2.5)],
        lambda u, q, a, b: a + u * (b - a),
        lambda x, a, b: ((x - a) / (b - a), (b - x) / (b - a)),
        lambda x, a, b: -mp.log(b - a),
    ),
    "Normal": (
        [(0.0, 1.0), (0.0, 2.5), (3.0, 0.5)],
        lambda u, q, m, s: m + s * normal_quantile(u, q),
        lambda x, m, s: (normal_upper((m - x) / s), normal_upper((x - m) / s)),
        lambda x, m, s: -(((x - m) / s) ** 2) / 2 - mp.log(s) - LOG_SQRT_2PI,
    ),
    "LogNormal": (
        [(0.0, 1.0), (0.5, 0.25), (-1.0, 2.0)],
        lambda u, q, m, s: mp.exp(m + s * normal_quantile(u, q)),
        lambda x, m, s: (normal_upper((m - mp.log(x)) / s), normal_upper((mp.log(x) - m) / s)),
        lambda x, m, s: -(((mp.log(x) - m) / s) ** 2) / 2 - mp.log(s) - LOG_SQRT_2PI - mp.log(x),
    ),
    "HalfNormal": (
        [(1.0,), (2.5,)],
        lambda u, q, s: s * (mp.sqrt(2) * mp.erfinv(u) if u < 0.9 else -normal_quantile(q / 2, 1 - q / 2)),
        lambda x, s: half_normal_sides(x / s),
        lambda x, s: -((x / s) ** 2) / 2 - mp.log(s) + mp.log(2 / mp.pi) / 2,
    ),
    "Exponential": (
        [(1.0,), (1.7,)],
        lambda u, q, s: s * exponential(u, q),
        lambda x, s: exponential_sides(x / s),
        lambda x, s: -x / s - mp.log(s),
    ),
    "Laplace": (
        [(0.0, 1.0), (0.0, 1.7), (-2.0, 0.5)],
        lambda u, q, m, s: m + s * (mp.log(2 * u) if u < q else -mp.log(2 * q)),
        lambda x, m, s: sides(mp.exp((x - m) / s) / 2) if x < m else sides(None, mp.exp((m - x) / s) / 2),
        lambda x, m, s: -abs(x - m) / s - mp.log(2 * s),
    ),
    "Logistic": (
        [(0.0, 1.0), (0.0, 1.7), (-2.0, 0.5)],
        lambda u, q, m, s: m + s * mp.log(u / q),
        lambda x, m, s: (1 / (1 + mp.exp((m - x) / s)), 1 / (1 + mp.exp((x - m) / s))),
        lambda x, m, s: -abs(x - m) / s - 2 * mp.log1p(mp.exp(-abs(x - m) / s)) - mp.log(s),
    ),
    "Cauchy": (
        [(0.0, 1.0), (0.0, 1.7), (-2.0, 0.5)],
        lambda u, q, m, s: m + s * cauchy_quantile(u, q),
        lambda x, m, s: cauchy_sides((x - m) / s),
        lambda x, m, s: -mp.log(mp.pi * s) - mp.log1p(((x - m) / s) ** 2),
    ),
    "Gumbel": (
        [(0.0, 1.0), (0.0, 1.7), (-2.0, 0.5)],
        lambda u, q, m, s: m - s * mp.log(minus_log(u, q)),
        lambda x, m, s: tuple(reversed(exponential_sides(mp.exp((m - x) / s)))),
        lambda x, m, s: -(x - m) / s - mp.exp((m - x) / s) - mp.log(s),
    ),
    "Weibull": (
        [(1.0, 1.0), (1.5, 1.7), (0.5, 1.0), (20.0, 3.0)],
        lambda u, q, k, s: s * exponential(u, q) ** (1 / k),
        lambda x, k, s: exponential_sides((x / s) ** k),
        lambda x, k, s: mp.log(k / s) + (k - 1) * mp.log(x / s) - (x / s) ** k,
    ),
    "Pareto": (
        [(1.0, 1.0), (2.5, 1.7), (30.0, 2.0)],
        lambda u, q, k, s: s * mp.exp(exponential(u, q) / k),
        lambda x, k, s: exponential_sides(k * mp.log(x / s)),
        lambda x, k, s: mp.log(k / s) - (k + 1) * mp.log(x / s),
    ),
    "Rayleigh": (
        [(1.0,), (1.7,)],
        lambda u, q, s: s * mp.sqrt(2 * exponential(u, q)),
        lambda x, s: exponential_sides((x / s) ** 2 / 2),
        lambda x, s: mp.log(x / s**2) - (x / s) ** 2 / 2,
    ),
    "Triangular": (
        [(0.0, 0.5, 1.0), (0.0, 0.3, 1.1), (0.0, 0.0, 2.0), (0.0, 2.0, 2.0), (-3.0, 1.0, 2.0)],
        triangular,
        lambda x, a, c, b: sides(*triangular_cdf(x, a, c, b)),
        lambda x, a, c, b: mp.log(2 / (b - a) * ((x - a) / (c - a) if x < c else (b - x) / (b - c) if c < b else 1)),
    ),
    "Kumaraswamy": (
        [(1.0, 1.0), (2.0, 3.0), (0.7, 2.5), (5.0, 0.5)],
        lambda u, q, a, b: (-mp.expm1(-exponential(u, q) / b)) ** (1 / a),
        lambda x, a, b: exponential_sides(-kumaraswamy_log_upper(x, a, b)),
        lambda x, a, b: mp.log(a * b) + (a - 1) * mp.log(x) + (b - 1) * mp.log(-mp.expm1(a * mp.log(x))),
    ),
}
CASES = [(name, p) for name, (sets, *_) in FAMILIES.items() for p in sets]
IDS = [f"{name}{p}" for name, p in CASES]


def make(name, p):
    return getattr(gf, name)(*p)


def stated(name):
    """{function: worst relative error} out of a docstring."""
    text = re.search(r"Relative error, measured: ([^.]*(?:\.\d[^.]*)*)\.", getattr(gf, name).__doc__)
    assert text, f"{name} states no error"
    return {fn: float(value) for fn, value in re.findall(r"(\w+) (\d\S*e-\d+)", text.group(1))}


def location(name, p):
    """What errors of x are relative to beside x: the parameters that it is a sum with."""
    terms = {"Uniform": 2, "Triangular": 3, "Gumbel": 2, "Normal": 1, "Laplace": 1, "Logistic": 1, "Cauchy": 1}
    return max((abs(v) for v in p[: terms.get(name, 0)]), default=0.0)


def probabilities():
    rng = np.random.default_rng(7)
    grid = [10.0**-k for k in (300, 250, 200, 150, 100, 50, 20, 16, 10, 5, 3, 2, 1)]
    return np.concatenate(
        [grid, 10 ** rng.uniform(-300, 0, 60), rng.uniform(0, 1, 80), [0.5, 1 - 1e-16, 1 - 2**-53, 1 - 1e-10, 1 - 1e-3]]
    )


def quantile_errors(name, p, fn):
    x = probabilities()
    got = getattr(make(name, p), fn)(x)
    exact = [mp.mpf(v) for v in p]
    scale = location(name, p)
    worst = 0.0
    for y, v in zip(got.tolist(), x.tolist(), strict=True):
        v = mp.mpf(v)
        u, q = (v, 1 - v) if fn == "icdf" else (1 - v, v)
        with (
            mp.workdps(40 if min(u, q) > 1e-20 else 340)
            if name in ("HalfNormal", "Normal", "LogNormal")
            else mp.workdps(40)
        ):
            true = FAMILIES[name][1](u, q, *exact)
        if abs(true) > mp.mpf(2) ** 1024:
            assert y == float("inf") * (1 if true > 0 else -1)
        elif abs(true) < 2.0**-1022:
            assert abs(y) < 2.0**-1021
        else:
            worst = max(worst, float(abs(y - true) / max(abs(true), scale)))
    return worst


@pytest.mark.parametrize(("name", "p"), CASES, ids=IDS)
@pytest.mark.parametrize("fn", ["icdf", "iccdf"])
def test_quantiles(name, p, fn):
    assert quantile_errors(name, p, fn) <= stated(name)["icdf"]


def points(d):
    rng = np.random.default_rng(8)
    p = np.concatenate([10 ** rng.uniform(-280, -1, 40), rng.uniform(0.01, 0.5, 60), [0.25, 0.5]])
    x = np.concatenate([d.icdf(p), d.iccdf(p)])
    low, high = d.support
    return x[(x > max(low, -1e150)) & (x < min(high, 1e150)) & ((np.abs(x) > 1e-150) | (x == 0))]


def function_errors(name, p, fn):
    """Worst error of a cdf relative to itself plus what an ulp of x changes; of log_prob relative to max(1, |it|)."""
    d = make(name, p)
    x = points(d)
    if name == "Kumaraswamy" or name == "LogNormal" or name == "Weibull" or name == "Pareto":
        x = x[x > 0]
    got = getattr(d, fn)(x)
    exact = [mp.mpf(v) for v in p]
    worst = 0.0
    for y, v in zip(got.tolist(), x.tolist(), strict=True):
        v = mp.mpf(v)
        log_density = FAMILIES[name][3](v, *exact)
        if fn == "log_prob":
            worst = max(worst, float(abs(y - log_density) / max(1, abs(log_density))))
            continue
        true = FAMILIES[name][2](v, *exact)[fn == "ccdf"]
        if true > 1e-290:
            worst = max(worst, float(abs(y - true) / (true + (abs(v) + location(name, p)) * mp.exp(log_density))))
    return worst


@pytest.mark.parametrize(("name", "p"), CASES, ids=IDS)
@pytest.mark.parametrize("fn", ["cdf", "ccdf", "log_prob"])
def test_probabilities_and_densities(name, p, fn):
    assert function_errors(name, p, fn) <= stated(name)["log_prob" if fn == "log_prob" else "cdf"]


def neighbours(start, n):
    start = np.asarray(start)
    as_int = np.int32 if start.dtype == np.float32 else np.int64
    return (start.view(as_int)[:, None] + np.arange(n, dtype=as_int)).view(start.dtype)


@pytest.mark.parametrize(("name", "p"), CASES, ids=IDS)
def test_monotone_between_neighbouring_floats(name, p):
    rng = np.random.default_rng(9)
    edges = np.array([0.5, 0.25, 0.75, np.exp(-2), 1 - np.exp(-2), np.exp(-18), np.exp(-1), 1 / 11, 3 / 11, 2.0**-60])
    starts = np.concatenate([10 ** rng.uniform(-320, 0, 80), rng.uniform(0, 1 - 1e-12, 160), edges * (1 - 500 * EPS)])
    u = neighbours(starts, 2000)
    u = np.where(u > 1, 1, u)
    d = make(name, p)
    with np.errstate(invalid="ignore"):
        assert not (np.diff(d.icdf(u)) < 0).any()
        assert not (np.diff(d.iccdf(u)) > 0).any()
    grid = np.sort(np.concatenate([starts, [0, 5e-324, 1 - 2**-53, 1]]))
    assert (d.icdf(grid)[:-1] <= d.icdf(grid)[1:]).all()


def ulps32(got, true):
    return np.abs(got.astype(np.float64) - true) / np.spacing(np.abs(true).astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize("d", [gf.Rayleigh(1e-10), gf.Weibull(2.0, 1e-10), gf.Weibull(1e10), gf.Pareto(1e300, 1e-10)])
def test_log_prob_where_the_scaled_argument_overflows(d):
    assert (d.log_prob([1e300, np.inf]) == -np.inf).all()


def test_log_prob_of_weibull_at_zero():
    d = gf.Weibull([1e-300, 0.5, 2.0, 1e300], [1e300, 1e300, 1e-300, 1e-300])
    assert d.log_prob(0.0).tolist() == [np.inf, np.inf, -np.inf, -np.inf]
    assert gf.Weibull(1.0, 4.0).log_prob(0.0) == -np.log(4.0)


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_no_probability_is_minus_zero(name):
    p = next(p for n, p in CASES if n == name)
    d = getattr(gf, name)(*p)
    x = np.array([-np.inf, -1e300, -0.0, 0.0, 5e-324, 1e-310, 1e300, np.inf])
    assert not np.signbit(d.cdf(x)).any() and not np.signbit(d.ccdf(x)).any()


def test_float32_normal():
    rng = np.random.default_rng(10)
    starts = np.concatenate(
        [10 ** rng.uniform(-44, 0, 300), rng.uniform(0, 0.999, 600), [np.exp(-2), 0.5, 1 - np.exp(-2)]]
    )
    u = np.minimum(neighbours((starts * (1 - 1e-4)).astype(np.float32), 3000), np.float32(1))
    for fn, sign in (("icdf", 1), ("iccdf", -1)):
        got = getattr(gf.Normal(), fn)(u)
        assert got.dtype == np.float32
        true = getattr(gf.Normal(), fn)(u.astype(np.float64))
        finite = np.isfinite(true)
        assert (got[~finite] == true[~finite]).all()
        assert ulps32(got[finite], true[finite]).max() <= 4
        with np.errstate(invalid="ignore"):
            assert not (np.diff(got) * sign < 0).any()


@pytest.mark.slow
def test_float32_normal_on_every_float():
    last, lowest = -np.inf, int(np.float32(0).view(np.int32))
    top = int(np.float32(1).view(np.int32))
    worst = 0.0
    for begin in range(lowest, top + 1, 1 << 22):
        u = np.arange(begin, min(begin + (1 << 22), top + 1), dtype=np.int32).view(np.float32)
        x = gf.Normal().icdf(u)
        with np.errstate(invalid="ignore"):
            assert not (np.diff(x) < 0).any()
        assert x[0] >= last
        last = x[-1]
        some = u[(u > 0) & (u < 1)][::101]
        if some.size:
            worst = max(worst, ulps32(gf.Normal().icdf(some), gf.Normal().icdf(some.astype(np.float64))).max())
    assert worst <= 4


@pytest.mark.parametrize(("name", "p"), CASES, ids=IDS)
def test_round_trip_and_endpoints(name, p):
    d = make(name, p)
    low, high = d.support
    assert (d.icdf(0), d.icdf(1), d.iccdf(1), d.iccdf(0)) == (low, high, low, high)
    assert d.cdf([low, high, -np.inf, np.inf]).tolist() == [0, 1, 0, 1]
    assert d.ccdf([low, high, -np.inf, np.inf]).tolist() == [1, 0, 1, 0]
    assert np.isnan([d.cdf(np.nan), d.ccdf(np.nan), d.log_prob(np.nan)]).all()
    for outside in (low - 1, high + 1, -np.inf, np.inf):
        assert d.log_prob(outside) == -np.inf or low < outside < high
    u = np.concatenate([np.linspace(0.001, 0.999, 999), [1e-12, 1e-9, 1e-4]])
    error = stated(name)
    for there, back in ((d.icdf, d.cdf), (d.iccdf, d.ccdf)):
        x = there(u)
        moved = (np.abs(x) + location(name, p)) * np.exp(d.log_prob(x))
        assert (np.abs(back(x) - u) <= (error["icdf"] + error["cdf"] + EPS) * moved + (error["cdf"] + EPS) * u).all()


SCIPY = {
    "Uniform": lambda a, b: st.uniform(a, b - a),
    "Normal": st.norm,
    "LogNormal": lambda m, s: st.lognorm(s, scale=np.exp(m)),
    "HalfNormal": lambda s: st.halfnorm(scale=s),
    "Exponential": lambda s: st.expon(scale=s),
    "Laplace": st.laplace,
    "Logistic": st.logistic,
    "Cauchy": st.cauchy,
    "Gumbel": st.gumbel_r,
    "Weibull": lambda k, s: st.weibull_min(k, scale=s),
    "Pareto": lambda k, s: st.pareto(k, scale=s),
    "Rayleigh": lambda s: st.rayleigh(scale=s),
    "Triangular": lambda a, c, b: st.triang((c - a) / (b - a), a, b - a),
}


@pytest.mark.parametrize(("name", "p"), [c for c in CASES if c[0] in SCIPY], ids=[i for i in IDS if "Kumar" not in i])
def test_moments_and_conventions_are_scipys(name, p):
    d, s = make(name, p), SCIPY[name](*p)
    assert np.allclose([d.mean, d.var], s.stats("mv"), rtol=1e-12, equal_nan=True)
    assert tuple(map(float, d.support)) == tuple(map(float, s.support()))
    u = np.linspace(0.01, 0.99, 50)
    assert np.allclose(d.icdf(u), s.ppf(u), rtol=1e-12, atol=1e-13)
    assert np.allclose(d.log_prob(s.ppf(u)), s.logpdf(s.ppf(u)), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [(1.0, 1.0), (2.0, 3.0), (0.7, 2.5), (5.0, 0.5), (2.0, 1e12), (0.1, 1e6), (30, 0.01)]
)
def test_moments_of_kumaraswamy(a, b):
    d = gf.Kumaraswamy(a, b)
    moment = lambda n: b * mp.beta(1 + n / mp.mpf(a), b)
    assert np.allclose([d.mean, d.var], [float(moment(1)), float(moment(2) - moment(1) ** 2)], rtol=1e-12)


@pytest.mark.parametrize("shape", [0.3, 9.9, 10.1, 1e3, 1e6])
def test_moments_of_weibull(shape):
    d, c = gf.Weibull(shape, 2.0), mp.mpf(shape)
    mean, square = 2 * mp.gamma(1 + 1 / c), 4 * mp.gamma(1 + 2 / c)
    # The variance of a narrow one is a difference of logarithms of about 1 / shape.
    assert np.allclose([d.mean, d.var], [float(mean), float(square - mean**2)], rtol=1e-13 + 1e-15 * shape, atol=0)


@pytest.mark.filterwarnings("error")
def test_moments_that_overflow_are_silent():
    assert gf.Normal(0.0, 1e200).var == np.inf and gf.LogNormal(0.0, 50.0).mean == np.inf
    assert gf.Weibull(1e-3).var == np.inf and gf.StudentT(3.0, 0.0, 1e300).var == np.inf
    assert gf.Normal.var.__doc__ == "scale^2."


@pytest.mark.parametrize(("name", "p"), CASES, ids=IDS)
def test_same_bits_on_every_target_and_split(name, p, on_target):
    d = make(name, p)
    rng = np.random.default_rng(11)
    u = np.concatenate([rng.random(3000), 10 ** rng.uniform(-320, 0, 500), [0, 1, 0.5]])
    x = np.concatenate(
        [rng.normal(size=2000), 10 ** rng.uniform(-300, 300, 200), [0, -0.0, np.inf, -np.inf, np.nan, 1]]
    )
    results = []
    for target in TARGETS:
        on_target(target)
        results.append(
            [
                *(d.icdf(u), d.iccdf(u), d.cdf(x), d.ccdf(x), d.log_prob(x), d.sample(2500, rng=3)),
                *(d.icdf(u.astype(np.float32)), d.sample(2500, rng=3, dtype="float32")),
            ]
        )
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()
    on_target("")
    for n in range(1, 35):
        assert d.icdf(u[:n]).tobytes() == results[0][0][:n].tobytes()
        assert d.icdf(u[n : n + 17]).tobytes() == results[0][0][n : n + 17].tobytes()
        assert d.sample(n, rng=3).tobytes() == results[0][5][:n].tobytes()
        assert d.sample(n, rng=3, dtype="float32").tobytes() == results[0][7][:n].tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "d", [gf.Normal(1.0, 2.0), gf.Exponential(np.linspace(1, 2, 7))], ids=["Normal", "Exponential"]
)
def test_same_bits_for_any_number_of_threads(d, dtype):
    before = gf.num_threads()
    try:
        gf.set_num_threads(1)
        one = d.sample(50_000, rng=4, dtype=dtype)
        gf.set_num_threads(2)
        assert d.sample(50_000, rng=4, dtype=dtype).tobytes() == one.tobytes()
    finally:
        gf.set_num_threads(before)


def test_a_sample_is_the_quantile_of_the_stream():
    for d in (gf.Normal([0.0, 1.0, 5.0], 2.0), gf.Laplace(np.zeros((2, 1)), np.ones(3))):
        n = int(np.prod((40, *d.batch_shape)))
        u = gf.Stream(5).uniforms(1, n).reshape(40, *d.batch_shape)
        assert d.sample(40, rng=5).tobytes() == d.icdf(u).tobytes()
        assert d.sample((4, 10), rng=gf.Stream(5)).tobytes() == d.icdf(u).tobytes()
        assert d.sample(40, u=u).tobytes() == d.icdf(u).tobytes()
    single = gf.Stream(5).uniforms(1, 1000, dtype="float32")[0]
    assert gf.Normal().sample(1000, rng=5, dtype="float32").tobytes() == gf.Normal().icdf(single).tobytes()
    assert gf.Cauchy().sample(5, rng=5, dtype="float32").tolist() == gf.Cauchy().sample(5, rng=5).astype("f4").tolist()


def test_generators_and_engines():
    from scipy.stats import qmc

    d = gf.Gumbel([0.0, 1.0])
    u = np.random.default_rng(6).random((5, 2))
    assert d.sample(5, rng=np.random.default_rng(6)).tolist() == d.icdf(u).tolist()
    points = qmc.Sobol(2, seed=1).random(8)
    assert d.sample(8, rng=qmc.Sobol(2, seed=1)).tolist() == d.icdf(points).tolist()
    points = qmc.Sobol(1, seed=1).random(16)
    assert d.sample(8, rng=qmc.Sobol(1, seed=1)).tolist() == d.icdf(points.reshape(8, 2)).tolist()
    assert gf.Normal().sample((), rng=None) != gf.Normal().sample((), rng=None)


def test_broadcasting_shapes_and_dtypes():
    d = gf.Normal(np.arange(3.0), np.array([[1.0], [2.0]]))
    assert d.batch_shape == (2, 3)
    expected = st.norm(d.loc, d.scale).ppf(0.3)
    assert np.allclose(d.icdf(0.3), expected)
    assert np.allclose(d.icdf([0.3, 0.3, 0.3]), expected)
    assert np.allclose(d.icdf(np.full((4, 1, 1), 0.3)), np.broadcast_to(expected, (4, 2, 3)))
    assert d.sample((5, 4)).shape == (5, 4, 2, 3)
    assert d.sample(0).shape == (0, 2, 3) and d.icdf(np.empty((0, 1, 1))).shape == (0, 2, 3)
    assert d.mean.shape == d.var.shape == d.support[0].shape == (2, 3)
    assert isinstance(gf.Normal().icdf(0.3), np.float64)
    assert gf.Normal().icdf(np.float32(0.25)).dtype == np.float32
    assert gf.Normal().icdf(np.float32(0.25), dtype="float64") == gf.Normal().icdf(0.25)
    assert gf.Laplace().cdf(np.arange(3, dtype=np.int8)).dtype == np.float64
    backwards = np.linspace(0.1, 0.9, 40)[::-2]
    backwards.flags.writeable = False
    assert gf.Normal().icdf(backwards).tolist() == gf.Normal().icdf(backwards.copy()).tolist()
    out = np.empty(40)[::2]
    assert gf.Normal().icdf(backwards, out=out) is out and out.tolist() == gf.Normal().icdf(backwards).tolist()
    same = backwards.copy()
    assert gf.Normal().icdf(same, out=same).tolist() == out.tolist()
    big = gf.Exponential(np.linspace(1, 2, 1500))
    u = np.random.default_rng(1).random((40, 1500))
    assert (big.icdf(u) == big.scale * gf.Exponential().icdf(u)).all()


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    u = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    x = gf.Normal(torch.tensor(1.0), 2).icdf(u)
    assert isinstance(x, torch.Tensor) and torch.allclose(x, torch.distributions.Normal(1.0, 2.0).icdf(u))
    d = gf.Cauchy(torch.zeros(3))
    assert isinstance(d.sample(2, rng=1), torch.Tensor) and isinstance(d.mean, torch.Tensor)
    assert isinstance(pickle.loads(pickle.dumps(d)).icdf(0.3), torch.Tensor)
    assert gf.Cauchy().icdf(u.float()).dtype == torch.float32


def test_a_subclass_is_of_its_family():
    class Noise(gf.Normal):
        """With a name that no kernel has."""

    for dtype in ("float32", "float64"):
        assert (
            Noise(1.0, 2.0).sample(5, rng=1, dtype=dtype) == gf.Normal(1.0, 2.0).sample(5, rng=1, dtype=dtype)
        ).all()
    assert Noise(1.0).icdf(0.3) == gf.Normal(1.0).icdf(0.3) and Noise(1.0).mean == 1


def test_distributions_are_values():
    d = gf.Weibull([1.0, 2.0], 3.0)
    assert pickle.loads(pickle.dumps(d)) == d and hash(pickle.loads(pickle.dumps(d))) == hash(d)
    assert d != gf.Weibull([1.0, 2.0], 4.0) and d != gf.Normal()
    assert repr(gf.Normal(1, 2)) == "Normal(loc=1.0, scale=2.0)" and repr(d) == "Weibull(shape=[1., 2.], scale=3.0)"
    with pytest.raises(AttributeError, match="immutable"):
        d.scale = 2.0
    with pytest.raises(ValueError, match="read-only"):
        d.scale[...] = 2.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gf.Normal(0, -1), ValueError, r"scale must be positive and finite, got -1\.0$"),
        (lambda: gf.Normal(0, [1, 0]), ValueError, r"scale .* got 0\.0 at index 1$"),
        (lambda: gf.Normal([[0, np.nan]], 1), ValueError, r"loc must be finite, got nan at index \(0, 1\)"),
        (lambda: gf.Normal(np.inf), ValueError, "loc must be finite"),
        (lambda: gf.Normal("a"), TypeError, "loc must hold real numbers"),
        (lambda: gf.Normal(1j), TypeError, "loc must hold real numbers"),
        (lambda: gf.Normal([1, 2], [1, 2, 3]), ValueError, r"do not broadcast: loc \(2,\), scale \(3,\)"),
        (lambda: gf.Uniform(1, 1), ValueError, "high must be above low"),
        (lambda: gf.Uniform(-1e308, 1e308), ValueError, "finite difference"),
        (
            lambda: gf.Triangular(0, [0.5, 2], 1),
            ValueError,
            r"mode must be from low to high.*mode=2\.0.* at index 1",
        ),
        (lambda: gf.Weibull(0), ValueError, "shape must be positive"),
        (lambda: gf.Kumaraswamy(1, np.nan), ValueError, "b must be positive"),
        (lambda: gf.Normal().icdf(1.5), ValueError, r"u must be in \[0, 1\], got 1\.5$"),
        (lambda: gf.Normal().icdf([0.5, np.nan]), ValueError, r"u must be in \[0, 1\], got nan at index 1$"),
        (lambda: gf.Normal().iccdf([[0.5], [-0.1]]), ValueError, r"q must be .* got -0\.1 at index \(1, 0\)$"),
        (lambda: gf.Normal().icdf(np.r_[np.full(100_000, 0.5), 2, 3]), ValueError, "index 100000$"),
        (lambda: gf.Normal().icdf(np.float32([0.5, -1])), ValueError, "index 1$"),
        (lambda: gf.Normal([1, 2]).icdf([0.1, 0.2, 0.3]), ValueError, r"u of shape \(3,\) does not broadcast"),
        (lambda: gf.Normal().cdf("x"), TypeError, "x must hold real numbers"),
        (lambda: gf.Normal().icdf(0.5, dtype="int32"), TypeError, "float64 or float32"),
        (lambda: gf.Normal().icdf([0.5], out=np.empty(2)), ValueError, "out must have shape"),
        (lambda: gf.Normal().icdf([0.5], out=[1]), TypeError, "out must be"),
        (lambda: gf.Normal().sample(-1), ValueError, "shape must not be negative"),
        (lambda: gf.Normal().sample(1.5), TypeError, "shape must be"),
        (lambda: gf.Normal().sample((1 << 40, 1 << 40)), ValueError, "too large"),
        (lambda: gf.Normal().sample(3, rng="seed"), TypeError, "rng must be"),
        (lambda: gf.Normal().sample(3, rng=-1), ValueError, "seed"),
        (lambda: gf.Normal().sample(3, rng=1, u=[0.1] * 3), ValueError, "not both"),
        (lambda: gf.Normal().sample(3, u=[0.1] * 4), ValueError, r"u must have shape \(3,\)"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def uniformity(d, x):
    """chi^2 over 100 bins of F(x), 99 degrees of freedom."""
    counts = np.bincount(np.minimum((d.cdf(x) * 100).astype(int), 99), minlength=100)
    return ((counts - x.size / 100) ** 2 / (x.size / 100)).sum()


# 14 tests at 1e-8 each: a false alarm in fewer than one suite in a million.
LIMIT = chi2.isf(1e-8, 99)


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_have_the_distribution(name):
    d = make(name, FAMILIES[name][0][-1])
    assert uniformity(d, d.sample(2_000_000, rng=12)) < LIMIT


def test_a_planted_error_of_one_per_cent_is_found():
    for right, wrong in (
        (gf.Normal(), gf.Normal(0, 1.01)),
        (gf.Weibull(2.0), gf.Weibull(2.02)),
        (gf.Gumbel(), gf.Gumbel(0, 1.01)),
    ):
        assert uniformity(right, wrong.sample(2_000_000, rng=12)) > LIMIT
