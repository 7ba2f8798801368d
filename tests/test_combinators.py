"""Affine, Truncated, Mixture and Discretized against SciPy, mpmath and brute force.

Statistical tests: each Kolmogorov test has a false-alarm rate of 1e-8, so that the file's is below 1e-7.
"""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
from scipy import stats

import genfast as gf
from genfast.distributions import combinator, mixture
from genfast.distributions.search import smallest_reached

ALPHA = 1e-8
BULK = np.concatenate([[1e-300, 1e-100, 1e-20, 1e-8], np.linspace(0.001, 0.999, 401)])


def kolmogorov(u: np.ndarray) -> bool:
    """Whether numbers that should be uniform pass, at level ALPHA (exact bound of Massart, 1990)."""
    u = np.sort(u.ravel())
    n = u.size
    distance = max((np.arange(1, n + 1) / n - u).max(), (u - np.arange(n) / n).max())
    return bool(distance < math.sqrt(math.log(2 / ALPHA) / (2 * n)))


def die(levels: int = 6) -> gf.Distribution:
    """Uniform on 0 … levels - 1."""
    return gf.Discretized(gf.Uniform(0, levels), np.arange(levels + 1))


def neighbours(start: float, count: int = 1500) -> np.ndarray:
    """`count` doubles in a row from `start`."""
    return (np.float64(start).view(np.int64) + np.arange(count)).view(np.float64)


def smallest_atom(cdf: Callable[[np.ndarray], np.ndarray], atoms: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The discrete rule by brute force: the smallest atom with F >= u."""
    f = np.asarray(cdf(atoms))
    return np.array([atoms[np.argmax(f >= p)] for p in u])


def check_consistent(d: gf.Distribution, reference: stats.rv_continuous) -> None:
    """Every function of a continuous distribution of batch shape () against a frozen SciPy one."""
    u = np.linspace(0.001, 0.999, 401)
    x = reference.ppf(u)
    np.testing.assert_allclose(d.icdf(u), x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.iccdf(u), reference.isf(u), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.cdf(x), u, rtol=1e-9)
    np.testing.assert_allclose(d.ccdf(x), 1 - u, rtol=1e-9)
    np.testing.assert_allclose(d.log_prob(x), reference.logpdf(x), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.mean, reference.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.var, reference.var(), rtol=1e-8)
    np.testing.assert_array_equal(d.support, reference.support())
    assert np.isnan(d.cdf(np.nan)) and np.isnan(d.ccdf(np.nan)) and np.isnan(d.log_prob(np.nan))
    assert (d.cdf(-np.inf), d.cdf(np.inf), d.ccdf(-np.inf), d.ccdf(np.inf)) == (0, 1, 1, 0)
    assert (d.icdf(0.0), d.icdf(1.0)) == reference.support() == (d.iccdf(1.0), d.iccdf(0.0))


def check_levels(d: gf.Distribution, atoms: np.ndarray, masses: np.ndarray) -> None:
    """Every function of a discrete distribution against its table."""
    upto = np.cumsum(masses)
    np.testing.assert_allclose(d.cdf(atoms), upto, rtol=1e-12)
    np.testing.assert_allclose(d.ccdf(atoms), 1 - upto, atol=1e-15)
    np.testing.assert_allclose(combinator.cdf_below(d, atoms), upto - masses, atol=1e-15)
    np.testing.assert_allclose(np.exp(d.log_prob(atoms)), masses, rtol=1e-12)
    assert d.log_prob(atoms[0] + 1e-3) == -np.inf and d.log_prob(atoms[0] - 1) == -np.inf
    np.testing.assert_allclose(d.cdf(atoms + 1e-9), upto, rtol=1e-12)
    np.testing.assert_allclose(d.cdf(atoms - 1e-9), upto - masses, atol=1e-15)
    np.testing.assert_allclose(d.mean, (atoms * masses).sum(), rtol=1e-12)
    np.testing.assert_allclose(d.var, ((atoms - d.mean) ** 2 * masses).sum(), rtol=1e-12)
    assert d.is_discrete
    assert np.isnan(d.cdf(np.nan)) and np.isnan(d.ccdf(np.nan)) and np.isnan(d.log_prob(np.nan))
    # Exactly the rule, at the steps themselves too.
    steps = np.asarray(d.cdf(atoms))
    u = np.unique(np.concatenate([steps, np.nextafter(steps, 0), np.nextafter(steps, 1), np.linspace(0.01, 0.5, 99)]))
    low = u[(u > 0) & (u <= 0.5)]
    np.testing.assert_array_equal(d.icdf(low), smallest_atom(d.cdf, atoms, low))
    tails = np.asarray(d.ccdf(atoms))
    q = np.unique(np.concatenate([tails, np.nextafter(tails, 0), np.nextafter(tails, 1), np.linspace(0.01, 0.49, 99)]))
    q = q[(q > 0) & (q < 0.49)]
    np.testing.assert_array_equal(d.iccdf(q), [atoms[np.argmax(tails <= p)] for p in q])
    assert (d.icdf(0.0), d.icdf(1.0)) == (atoms[0], atoms[-1]) == (d.iccdf(1.0), d.iccdf(0.0))
    assert (float(d.support[0]), float(d.support[1])) == (atoms[0], atoms[-1])
    np.testing.assert_array_equal(np.diff(d.icdf(np.linspace(0, 1, 10001))) >= 0, True)
    middle = 0.5 * combinator.cdf_below(d, atoms) + 0.5 * np.asarray(d.cdf(atoms))
    np.testing.assert_array_equal(d.icdf(middle), atoms)


# --- Affine


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (3.0, 2.5), (-1.0, -0.5), (1e3, -0.1)])
def test_affine_normal_is_normal(loc: float, scale: float) -> None:
    check_consistent(gf.Affine(gf.Normal(), loc, scale), stats.norm(loc, abs(scale)))
    d = gf.Affine(gf.Normal(), 0, scale)
    np.testing.assert_allclose(d.icdf(1e-300), stats.norm.ppf(1e-300) * abs(scale), rtol=1e-14)
    np.testing.assert_allclose(d.iccdf(1e-300), stats.norm.isf(1e-300) * abs(scale), rtol=1e-14)


def test_affine_takes_each_sign_of_a_batch() -> None:
    scale = np.array([2.0, -2.0])
    d = gf.Affine(gf.Exponential(), 1.0, scale)
    np.testing.assert_allclose(d.cdf([3.0, -1.0]), [stats.expon.cdf(1), stats.expon.sf(1)], rtol=1e-14)
    np.testing.assert_allclose(d.icdf(0.25), [1 + 2 * stats.expon.ppf(0.25), 1 - 2 * stats.expon.isf(0.25)])
    np.testing.assert_array_equal(d.support, [[1, -np.inf], [np.inf, 1]])
    assert d.batch_shape == (2,) and d.sample((5,), rng=0).shape == (5, 2)


@pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (2.0, -1.0), (0.1, 0.3), (0.1, -0.3)])
def test_affine_of_a_discrete_distribution(loc: float, scale: float) -> None:
    k = np.arange(6) if scale > 0 else np.arange(6)[::-1]
    check_levels(gf.Affine(die(), loc, scale), loc + scale * k, np.full(6, 1 / 6))


def test_affine_errors() -> None:
    with pytest.raises(ValueError, match=r"scale must be finite and not 0, got 0.0 at index 1"):
        gf.Affine(gf.Normal(), 0, [1.0, 0.0])
    with pytest.raises(ValueError, match="loc must be finite"):
        gf.Affine(gf.Normal(), np.nan)
    with pytest.raises(ValueError, match="do not broadcast"):
        gf.Affine(gf.Normal([0, 1]), [1, 2, 3])
    with pytest.raises(TypeError, match="d must be a genfast"):
        gf.Affine(3.0)


# --- Truncated


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (-np.inf, 0.5), (0.3, np.inf), (-np.inf, np.inf), (-0.2, -0.1)])
def test_truncated_normal(low: float, high: float) -> None:
    check_consistent(gf.Truncated(gf.Normal(), low, high), stats.truncnorm(low, high))


@pytest.mark.parametrize(
    ("low", "high"), [(30, 31), (8, math.inf), (-37, -36), (-math.inf, -20), (10, 10.001), (-2, 9)]
)
def test_truncated_normal_is_exact_in_the_tails(low: float, high: float) -> None:
    d = gf.Truncated(gf.Normal(), low, high)
    with mpmath.workdps(320):
        a, b = (mpmath.ncdf(mpmath.mpf(end)) for end in (low, high))
        for u in (1e-200, 1e-10, 0.1, 0.5, 0.9):
            for value, target in ((d.icdf(u), a + u * (b - a)), (d.iccdf(u), b - u * (b - a))):
                # The u-error of x, relative to the interval's mass (mpmath: 320 digits).
                error = (mpmath.ncdf(mpmath.mpf(float(value))) - target) / (b - a)
                slope = mpmath.npdf(float(value)) / (b - a) * max(abs(float(value)), 1e-300)
                assert abs(error) < 4e-13 + 4e-16 * slope, (u, value)
        mass = mpmath.log(b - a)
        middle = max(low, -40) if low > -math.inf else high - 0.01
        middle += 0.0005
        expected = -(mpmath.mpf(middle) ** 2) / 2 - mpmath.log(mpmath.sqrt(2 * mpmath.pi)) - mass
        assert float(d.log_prob(middle)) == pytest.approx(float(expected), rel=1e-11)
        density = [mpmath.npdf(mpmath.mpf(end)) for end in (low, high)]
        ends = [0 if math.isinf(end) else end for end in (low, high)]
        mean = (density[0] - density[1]) / (b - a)
        var = 1 + (ends[0] * density[0] - ends[1] * density[1]) / (b - a) - mean**2
        assert float(d.mean) == pytest.approx(float(mean), rel=1e-11)
        assert float(d.var) == pytest.approx(float(var), rel=1e-8)


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (30, 31), (-31, -30), (-math.inf, 0.0), (-1e-9, 1e-9)])
def test_truncated_is_monotone_on_neighbours(low: float, high: float) -> None:
    d = gf.Truncated(gf.Normal(), low, high)
    starts = [1e-300, 0.1, np.nextafter(0.5, 0), 0.25, 1 - 1e-12, float(np.clip((0.5 - d.cdf(0.0)) or 0.3, 0.01, 0.99))]
    for start in [*starts, 0.5 - 700 * 2.0**-54, float(d.cdf(0.0)) * 0.999999999999 + 1e-12]:
        u = np.minimum(neighbours(start), 1.0)
        x, y = d.icdf(u), d.iccdf(u)
        assert (x[1:] >= x[:-1]).all() and (y[1:] <= y[:-1]).all()
        assert (x >= low).all() and (x <= high).all()


@pytest.mark.parametrize(("low", "high"), [(1, 4), (0.5, 4.5), (-3, 2), (3, 3), (4, 100), (-np.inf, np.inf)])
def test_truncated_discrete(low: float, high: float) -> None:
    atoms = np.arange(6.0)
    atoms = atoms[(atoms >= low) & (atoms <= high)]
    check_levels(gf.Truncated(die(), low, high), atoms, np.full(atoms.size, 1 / atoms.size))


def test_truncated_heavy_tails() -> None:
    # 1/u grows like u^-1: the mean is infinite; its square root has a mean and no variance.
    inverse = gf.Truncated(_Power(1.0), 0.0)
    assert inverse.mean == np.inf and inverse.var == np.inf
    root = gf.Truncated(_Power(0.5), 0.0)
    assert root.mean == pytest.approx(2, rel=1e-10) and root.var == np.inf
    third = gf.Truncated(_Power(0.48), 0.0)
    assert third.mean == pytest.approx(1 / 0.52, rel=1e-10)
    assert third.var == pytest.approx(1 / 0.04 - 1 / 0.52**2, rel=1e-7)
    assert gf.Truncated(_Power(1.0), 0.0, 10.0).mean == pytest.approx(math.log(10) / 0.9, rel=1e-9)


class _Power(gf.Distribution):
    """Pareto: q^-power."""

    def __init__(self, power: float) -> None:
        self.power = power

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            if function in ("icdf", "iccdf"):
                return (1 - x if function == "icdf" else x) ** -self.power
            tail = np.maximum(x, 1.0) ** (-1 / self.power)
            if function == "log_prob":
                return np.where(x < 1, -np.inf, np.log(tail / np.maximum(x, 1) / self.power))
            return 1 - tail if function == "cdf" else tail

    mean = var = property(lambda self: np.array(np.nan))
    support = property(lambda self: (np.array(1.0), np.array(np.inf)))


def test_truncated_errors() -> None:
    with pytest.raises(ValueError, match=r"low must be below high; it is not at index 1"):
        gf.Truncated(gf.Normal(), [0, 2], 2)
    with pytest.raises(ValueError, match=r"\[low, high\] = \[50.0, 51.0\] has no mass"):
        gf.Truncated(gf.Normal(), 50, 51)
    with pytest.raises(ValueError, match="has no mass"):
        gf.Truncated(gf.Uniform(), 2, 3)
    with pytest.raises(ValueError, match="has no mass"):
        gf.Truncated(die(), 1.2, 1.8)
    with pytest.raises(ValueError, match="low must not be NaN"):
        gf.Truncated(gf.Normal(), np.nan, 1)
    with pytest.raises(ValueError, match=r"u must be in \[0, 1\], got nan at index 1"):
        gf.Truncated(gf.Normal(), 0, 1).icdf([0.5, np.nan])


# --- Mixture


MIXTURES = {
    "overlapping": ([0.3, 0.7], [0.0, 1.0], [1.0, 1.0]),
    "far apart": ([0.25, 0.5, 0.25], [-1e4, 0.0, 1e8], [1e-3, 1.0, 1e5]),
    "nested": ([1.0, 2.0, 5.0], [2.0, 2.0, 2.0], [1e-6, 1.0, 1e6]),
    "one": ([1.0], [3.0], [0.5]),
    "tiny weight": ([1e-9, 1.0], [50.0, 0.0], [1.0, 1.0]),
    "zero weight": ([0.0, 1.0, 0.0], [-100.0, 0.0, 100.0], [1.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixture_of_normals(name: str) -> None:
    weights, loc, scale = map(np.array, MIXTURES[name])
    d = gf.Mixture(weights, gf.Normal(loc, scale))
    w, parts = weights / weights.sum(), [stats.norm(*p) for p in zip(loc, scale, strict=True)]
    x = np.concatenate([p.ppf(np.linspace(0.01, 0.99, 41)) for p in parts])
    np.testing.assert_allclose(d.cdf(x), sum(a * p.cdf(x) for a, p in zip(w, parts, strict=True)), rtol=1e-13)
    np.testing.assert_allclose(d.ccdf(x), sum(a * p.sf(x) for a, p in zip(w, parts, strict=True)), rtol=1e-13)
    density = sum(a * p.pdf(x) for a, p in zip(w, parts, strict=True))
    np.testing.assert_allclose(np.exp(d.log_prob(x)), density, rtol=1e-11)
    mean = (w * loc).sum()
    np.testing.assert_allclose(d.mean, mean, rtol=1e-14)
    np.testing.assert_allclose(d.var, (w * (scale**2 + (loc - mean) ** 2)).sum(), rtol=1e-13)
    # What is found is the smallest double with F >= u, or with 1 - F <= q.
    for start in (1e-300, 1e-9, 0.1, 0.3 - 1e-14, 0.49, 0.499999999999):
        p = np.concatenate([neighbours(start, 300), neighbours(start, 300)[::-1]])
        low, high = d.icdf(p), d.iccdf(p)
        assert (d.cdf(low) >= p).all() and (d.cdf(np.nextafter(low, -np.inf)) < p).all()
        assert (d.ccdf(high) <= p).all()
        before = np.nextafter(high, -np.inf)
        assert ((d.ccdf(before) > p) | (d.cdf(before) < 0.5)).all()
    u = np.sort(np.concatenate([np.linspace(0, 1, 2001), neighbours(0.5 - 500 * 2.0**-54)]))
    assert (np.diff(d.icdf(u)) >= 0).all()
    assert (np.diff(d.iccdf(u)) <= 0).all()
    np.testing.assert_array_equal([d.icdf(0.0), d.icdf(1.0)], [-np.inf, np.inf])


def test_mixture_in_the_tails_against_mpmath() -> None:
    d = gf.Mixture([0.3, 0.7], [gf.Normal(0, 1), gf.Normal(1, 2)])
    with mpmath.workdps(50):

        def cdf(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.mpf(0.3) * mpmath.ncdf(x) + mpmath.mpf(0.7) * mpmath.ncdf((x - 1) / 2)

        for u in (1e-300, 1e-30, 1e-3, 0.2, 0.5):
            root = mpmath.findroot(lambda x, u=u: mpmath.log(cdf(x)) - mpmath.log(mpmath.mpf(u)), float(d.icdf(u)))
            assert float(d.icdf(u)) == pytest.approx(float(root), rel=2e-15)
            mirrored = gf.Affine(d, 0.0, -1.0)
            assert float(mirrored.iccdf(u)) == -float(d.icdf(u))


def test_mixture_of_discrete_distributions() -> None:
    masses = np.array([0.25, 0.25, 0.25, 0.25, 0, 0]) * 0.4 + np.full(6, 1 / 6) * 0.6
    check_levels(gf.Mixture([0.4, 0.6], [die(4), die(6)]), np.arange(6.0), masses)


def test_mixture_of_discrete_distributions_between_integers() -> None:
    d = gf.Mixture([0.5, 0.5], [gf.Affine(die(2), 0.0, 0.5), gf.Affine(die(3), 0.25, 1 / 3)])
    atoms = np.array([0.0, 0.25, 0.5, 0.25 + 1 / 3, 0.25 + 2 * (1 / 3)])
    check_levels(d, atoms, np.array([1 / 4, 1 / 6, 1 / 4, 1 / 6, 1 / 6]))


def test_mixture_batches_agree_with_their_elements() -> None:
    rng = np.random.default_rng(5)
    weights, loc, scale = rng.random((4, 5, 3)), rng.normal(size=(5, 3)), 0.1 + rng.random((4, 1, 3))
    d = gf.Mixture(weights, gf.Normal(loc, scale))
    assert d.batch_shape == (4, 5) and d.weights.shape == (4, 5, 3) and len(d.components) == 3
    u = rng.random((7, 4, 5))
    x = d.icdf(u)
    for i, j in [(0, 0), (3, 4), (2, 1)]:
        single = gf.Mixture(weights[i, j], gf.Normal(loc[j], scale[i, 0]))
        np.testing.assert_array_equal(single.icdf(u[:, i, j]), x[:, i, j])
        np.testing.assert_array_equal(single.log_prob(x[:, i, j]), d.log_prob(x)[:, i, j])
        assert single.icdf(u[3, i, j]) == x[3, i, j]


def test_mixture_bits_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    d = gf.Mixture([0.2, 0.8], [gf.Normal(), gf.Exponential(3)])
    u = np.random.default_rng(1).random(500)
    whole = d.icdf(u)
    np.testing.assert_array_equal(d.icdf(u[::-1])[::-1], whole)
    np.testing.assert_array_equal([d.icdf(p) for p in u[:50]], whole[:50])
    monkeypatch.setattr(mixture, "LANES", 37)
    np.testing.assert_array_equal(d.icdf(u), whole)


def test_mixtures_nest() -> None:
    inner = gf.Mixture([0.5, 0.5], gf.Normal([[0.0, 4.0], [1.0, 5.0]], 1.0))
    d = gf.Mixture([0.3, 0.7], [inner, gf.Truncated(gf.Normal(), [-1.0, -2.0], 2.0)])
    u = np.random.default_rng(2).random((50, 2))
    np.testing.assert_allclose(d.cdf(d.icdf(u)), u, atol=1e-15)
    cut = gf.Discretized(d, np.linspace(-3, 6, 33))
    assert cut.batch_shape == (2,) and cut.sample(10, rng=0).shape == (10, 2)


class _Opaque(gf.Distribution):
    """A batch whose parameters the mixture cannot take parts of."""

    batch_shape = (3,)
    _inside = gf.Normal([0.0, 1.0, 2.0], 1.0)

    def _compute(self, function: str, x: np.ndarray) -> np.ndarray:
        return np.asarray(getattr(self._inside, function)(x))

    mean = property(lambda self: self._inside.mean)
    var = property(lambda self: self._inside.var)
    support = property(lambda self: self._inside.support)


def test_mixture_of_a_class_it_does_not_know() -> None:
    d = gf.Mixture([0.4, 0.6], [_Opaque(), gf.Exponential(2.0)])
    same = gf.Mixture([0.4, 0.6], [_Opaque._inside, gf.Exponential(2.0)])
    u = np.random.default_rng(3).random((100, 3))
    np.testing.assert_array_equal(d.icdf(u), same.icdf(u))
    with pytest.raises(TypeError, match="pass a list; a batch of _Opaque"):
        gf.Mixture([0.1, 0.2, 0.7], _Opaque())


def test_mixture_errors() -> None:
    n = gf.Normal()
    for weights, message in [
        ([0.5, -0.1], r"weights must be finite and not negative, got -0.1 at index 1"),
        ([0.5, np.nan], "weights must be finite"),
        ([0.0, 0.0], "weights must not all be 0"),
        ([[1, 1], [0, 0]], r"weights must not all be 0; they are at index 1"),
        ([1.0], r"weights must have 2 entries in the last axis"),
        (1.0, r"weights must have 2 entries in the last axis"),
    ]:
        with pytest.raises(ValueError, match=message):
            gf.Mixture(weights, [n, n])
    with pytest.raises(ValueError, match="components must not be empty"):
        gf.Mixture([], [])
    with pytest.raises(TypeError, match=r"components\[1\] must be a genfast"):
        gf.Mixture([1, 1], [n, "normal"])
    with pytest.raises(ValueError, match="last axis of its batch shape"):
        gf.Mixture([1], n)
    with pytest.raises(ValueError, match="all discrete or all continuous"):
        gf.Mixture([1, 1], [n, die()])
    with pytest.raises(ValueError, match="do not broadcast"):
        gf.Mixture([1, 1], [gf.Normal([0, 1]), gf.Normal([0, 1, 2])])


def test_huge_weights_do_not_overflow() -> None:
    np.testing.assert_array_equal(gf.Mixture([1e308, 1e308], gf.Normal([0, 1], 1)).weights, [0.5, 0.5])


# --- Discretized


def test_discretized_logistic_style_head() -> None:
    edges = np.linspace(-1, 1, 17)
    d = gf.Discretized(gf.Normal(0.2, 0.4), edges)
    inner = stats.norm(0.2, 0.4).cdf(np.concatenate([[-np.inf], edges[1:-1], [np.inf]]))
    check_levels(d, np.arange(16.0), np.diff(inner))


def test_discretized_masses_are_exact_in_both_tails() -> None:
    edges = np.concatenate([np.arange(-37.0, 38.0)])
    d = gf.Discretized(gf.Normal(), edges)
    level = np.arange(d.levels)
    with mpmath.workdps(400):
        ends = [mpmath.mpf("-inf"), *map(mpmath.mpf, edges[1:-1]), mpmath.mpf("inf")]
        exact = [float(mpmath.log(mpmath.ncdf(b) - mpmath.ncdf(a))) for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(d.log_prob(level), exact, rtol=1e-13)
    np.testing.assert_allclose(d.log_prob(level[::-1]), d.log_prob(level), rtol=1e-13)


def test_a_level_without_mass_is_never_drawn() -> None:
    d = gf.Discretized(gf.Uniform(2.0, 4.0), np.arange(8.0))
    assert d.support == (2, 3)
    np.testing.assert_array_equal(d.icdf([0, 5e-324, 0.5, np.nextafter(0.5, 1), 1]), [2, 2, 2, 3, 3])
    np.testing.assert_array_equal(d.iccdf([0, 5e-324, 0.5, np.nextafter(0.5, 0), 1]), [3, 3, 2, 3, 2])
    assert d.log_prob(0) == -np.inf and d.log_prob(6) == -np.inf


def test_discretized_single_level_and_batches() -> None:
    one = gf.Discretized(gf.Normal([0, 1]), [0.0, 1.0])
    np.testing.assert_array_equal(one.icdf([[0.0, 1.0], [0.3, 0.7]]), 0.0)
    np.testing.assert_array_equal(one.log_prob(0), 0.0)
    d = gf.Discretized(gf.Normal(np.arange(6.0).reshape(2, 3), 2.0), np.arange(-3, 9))
    x = d.sample((4,), rng=3)
    assert x.shape == (4, 2, 3) and d.mean.shape == d.var.shape == (2, 3)
    masses = np.exp(d.log_prob(np.arange(d.levels).reshape(-1, 1, 1)))
    np.testing.assert_allclose(masses.sum(axis=0), 1, rtol=1e-14)


def test_discretized_errors() -> None:
    for edges, message in [
        ([0, 1, 1], r"edges must increase, got 1.0 and 1.0 at index 1"),
        ([0.0, np.nan], "edges must increase"),
        ([0.0], r"edges must have shape \(levels \+ 1,\)"),
        ([[0, 1]], r"edges must have shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            gf.Discretized(gf.Normal(), edges)


# --- of other families


def test_a_categorical_is_a_distribution_like_any_other() -> None:
    # Levels 0 … 3 with the first and the last impossible.
    rows = gf.Categorical(probs=[[0, 1, 1, 0], [0, 1, 1, 0]])
    u = np.linspace(0, 1, 9)[:, None]
    plus = gf.Affine(rows, 1.0)
    np.testing.assert_array_equal(plus.icdf(u), 2 + (u > 0.5) + np.zeros(2))
    np.testing.assert_array_equal(plus.iccdf(u), 2 + (u < 0.5) + np.zeros(2))
    np.testing.assert_array_equal(plus.support, [[2, 2], [3, 3]])
    mixture = gf.Mixture([0.5, 0.5], [rows, gf.Affine(rows, 5.0)])
    np.testing.assert_array_equal(mixture.icdf([[0.2], [0.4], [0.6], [0.9]]), [[1, 1], [2, 2], [6, 6], [7, 7]])
    np.testing.assert_array_equal(mixture.cdf(np.arange(9.0)[:, None])[:, 0], [0, 0.25, 0.5, 0.5, 0.5, 0.5, 0.75, 1, 1])
    chain = gf.Chain([gf.Uniform(), lambda x: rows])
    x = chain.sample(2, u=[[0.5, 0.3], [0.5, 0.7]])
    np.testing.assert_array_equal(x[:, 1], [1, 2])
    lower, upper = chain.rosenblatt(x)
    np.testing.assert_array_equal(lower[:, 1], [0, 0.5])
    np.testing.assert_array_equal(upper[:, 1], [0.5, 1])


def test_a_truncated_categorical_against_its_table() -> None:
    probs = np.array([0.1, 0.0, 0.25, 0.05, 0.4, 0.2])
    d = gf.Truncated(gf.Categorical(probs=probs), 1, 4.5)
    kept = probs[1:5] / probs[1:5].sum()
    check_levels(d, np.arange(1.0, 5.0)[kept > 0], kept[kept > 0])
    np.testing.assert_allclose(d.mean, np.arange(1, 5) @ kept)


def test_discrete_families() -> None:
    poisson, k = gf.Poisson(3.5), np.arange(60.0)
    pmf = stats.poisson(3.5).pmf(k)
    check_levels(gf.Truncated(poisson, 2, 9), k[2:10], pmf[2:10] / pmf[2:10].sum())
    u = np.linspace(0.0103, 0.9897, 301)
    mirrored = gf.Affine(poisson, 1.0, -2.0)
    np.testing.assert_array_equal(mirrored.icdf(u), 1 - 2 * stats.poisson(3.5).isf(u))
    np.testing.assert_allclose(mirrored.cdf(1 - 2 * k[:30]), stats.poisson(3.5).sf(k[:30] - 1), rtol=1e-12)
    mixture = gf.Mixture([0.25, 0.75], [poisson, gf.Binomial(40, 0.5)])
    both = np.cumsum(0.25 * pmf + 0.75 * stats.binom(40, 0.5).pmf(k))
    np.testing.assert_array_equal(mixture.icdf(u), [k[np.argmax(both >= p)] for p in u])
    np.testing.assert_allclose(mixture.mean, 0.25 * 3.5 + 0.75 * 20)
    wide = gf.Truncated(gf.Poisson([3.0, 1e6]), [4, 1e6], np.inf)
    np.testing.assert_allclose(wide.mean, [4 + _excess(3.0, 4), 1e6 + _excess(1e6, 1e6)], rtol=1e-9)


def _excess(rate: float, low: float) -> float:
    """E[X - low | X >= low] of a Poisson X: rate·P(X >= low - 1) / P(X >= low) - low."""
    d = stats.poisson(rate)
    return float(rate * d.sf(low - 2) / d.sf(low - 1) - low)


def test_heavy_and_bounded_families() -> None:
    assert gf.Truncated(gf.Cauchy(), 0.0).mean == np.inf and np.isnan(gf.Truncated(gf.Cauchy()).mean)
    assert gf.Truncated(gf.Cauchy(), -np.inf, 3.0).mean == -np.inf
    assert gf.Truncated(gf.StudentT(1.5), 0.0).var == np.inf
    gamma = gf.Truncated(gf.Gamma(2.0, 3.0), 1.0, 10.0)
    low, high = stats.gamma(2.0, scale=3.0).cdf([1.0, 10.0])
    first = 6.0 * np.diff(stats.gamma(3.0, scale=3.0).cdf([1.0, 10.0]))[0] / (high - low)
    second = 54.0 * np.diff(stats.gamma(4.0, scale=3.0).cdf([1.0, 10.0]))[0] / (high - low)
    np.testing.assert_allclose([gamma.mean, gamma.var], [first, second - first**2], rtol=1e-9)
    d = gf.Mixture([0.2, 0.8], [gf.Gamma(0.05, 1.0), gf.Gamma(0.5, 2.0)])
    u = np.array([1e-12, 1e-5, 0.3, 0.7])
    np.testing.assert_allclose(d.cdf(d.icdf(u)), u, rtol=1e-12)
    np.testing.assert_allclose(d.ccdf(d.iccdf(u)), u, rtol=1e-12)


def test_tensors_in_tensors_out() -> None:
    torch = pytest.importorskip("torch")
    loc = torch.tensor([0.0, 1.0], dtype=torch.float64)
    u = np.linspace(0.05, 0.95, 7)[:, None]
    for make in (
        lambda d: gf.Affine(d, 1.0, -2.0),
        lambda d: gf.Truncated(d, -1.0, 3.0),
        lambda d: gf.Mixture([0.5, 0.5], [d, gf.Normal(3.0)]),
        lambda d: gf.Discretized(d, np.linspace(-1, 3, 9)),
    ):
        plain, tensor = make(gf.Normal(loc.numpy())), make(gf.Normal(loc))
        for function in ("icdf", "iccdf", "cdf", "ccdf", "log_prob"):
            found = getattr(tensor, function)(u)
            assert isinstance(found, torch.Tensor)
            np.testing.assert_array_equal(found.numpy(), getattr(plain, function)(u))
        for found, expected in zip(
            (tensor.mean, tensor.var, *tensor.support), (plain.mean, plain.var, *plain.support), strict=True
        ):
            assert isinstance(found, torch.Tensor)
            np.testing.assert_array_equal(found.numpy(), expected)


# --- all


def everything() -> dict[str, gf.Distribution]:
    return {
        "affine": gf.Affine(gf.Exponential(2.0), 1.0, -3.0),
        "truncated": gf.Truncated(gf.Normal(1.0, 2.0), 0.0, 3.0),
        "mixture": gf.Mixture([0.3, 0.7], [gf.Normal(), gf.Exponential()]),
        "nested": gf.Affine(gf.Truncated(gf.Mixture([1, 1], [gf.Normal(-2), gf.Normal(2)]), -1, 4), 0, -1),
        "discretized": gf.Discretized(gf.Normal(), np.linspace(-2, 2, 9)),
    }


@pytest.mark.parametrize("name", everything())
def test_shared_behaviour(name: str) -> None:
    d = everything()[name]
    assert type(d).__name__ in repr(d)
    again = pickle.loads(pickle.dumps(d))
    np.testing.assert_array_equal(again.icdf(BULK), d.icdf(BULK))
    assert d.sample(rng=0).shape == () and d.sample((2, 3), rng=0).shape == (2, 3)
    np.testing.assert_array_equal(d.sample(6, rng=0), d.sample((2, 3), rng=0).ravel())
    assert d.icdf(np.empty((0, 2))).shape == (0, 2) and d.cdf(np.empty(0)).shape == (0,)
    assert d.sample(4, rng=1, dtype="float32").dtype == np.float32
    np.testing.assert_array_equal(d.cdf(np.linspace(-1, 1, 9)[::-2]), d.cdf(np.linspace(-1, 1, 9))[::-2])
    for bad in (-1e-9, 1 + 1e-9, np.nan):
        with pytest.raises(ValueError, match=r"u must be in \[0, 1\]"):
            d.icdf(bad)
        with pytest.raises(ValueError, match=r"q must be in \[0, 1\]"):
            d.iccdf(bad)


@pytest.mark.parametrize("name", [name for name, d in everything().items() if not d.is_discrete])
def test_draws_follow_the_distribution(name: str) -> None:
    d = everything()[name]
    x = np.sort(d.sample(200_000, rng=7))
    grid = x[:: len(x) // 50]
    # The cdf as the integral of exp(log_prob), which shares no code with icdf.
    fine = np.linspace(x[0], x[-1], 40_001)
    density = np.exp(d.log_prob(fine))
    area = np.concatenate([[0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(fine))])
    np.testing.assert_allclose(np.interp(grid, fine, area), d.cdf(grid) - d.cdf(x[0]), atol=2e-4)
    assert kolmogorov(np.asarray(d.cdf(x)))


def test_a_planted_error_of_one_percent_is_found() -> None:
    x = gf.Mixture([0.31, 0.69], [gf.Normal(-3), gf.Normal(3)]).sample(600_000, rng=7)
    assert kolmogorov(np.asarray(gf.Mixture([0.31, 0.69], [gf.Normal(-3), gf.Normal(3)]).cdf(x)))
    assert not kolmogorov(np.asarray(gf.Mixture([0.3, 0.7], [gf.Normal(-3), gf.Normal(3)]).cdf(x)))


def test_the_search_ends_on_any_bracket() -> None:
    for root in (0.0, 5e-324, -5e-324, 1e-200, -1e300, 1.7e308, 1.0):
        lanes = np.array([root])
        for low, high in [(-1.0, 1.0), (-np.inf, np.inf), (5.0, 5.0), (1e300, 1e301), (-1e-300, -1e-300)]:
            calls = []

            def evaluate(x: np.ndarray, _: np.ndarray, root: float = root, calls: list[int] = calls) -> np.ndarray:
                calls.append(1)
                return np.where(x >= root, 1.0, -1.0)

            assert smallest_reached(evaluate, np.full_like(lanes, low), np.full_like(lanes, high)) == root
            assert len(calls) < 400
