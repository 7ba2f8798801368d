"""Do the draws follow their distributions? χ² tests that a distribution wrong by 1 % cannot pass.

Each distribution is drawn DRAWS times with a fixed seed and counted in up to 64 cells of nearly equal probability,
whose edges and probabilities are SciPy's. The right distribution must have p >= ALPHA; the same counts against SciPy's
distribution with one parameter off by 1 % must have p < ALPHA, which is the planted error. ALPHA = 1e-6 / 60: a correct
library fails this suite with probability below 1e-6 (seeds are fixed, so it either always does or never).
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st

import genfast as gf

ALPHA = 1e-6 / 60
DRAWS = 4_000_000
CELLS = 64

# name: (ours, SciPy's, SciPy's with one parameter off by 1 %)
CONTINUOUS = {
    "Uniform": (lambda: gf.Uniform(0.0, 1.0), st.uniform(), st.uniform(0, 1.01)),
    "Normal": (lambda: gf.Normal(0.0, 1.0), st.norm(), st.norm(0, 1.01)),
    "Normal loc": (lambda: gf.Normal(0.0, 1.0), st.norm(), st.norm(0.01, 1)),
    "LogNormal": (lambda: gf.LogNormal(0.0, 0.5), st.lognorm(0.5), st.lognorm(0.505)),
    "HalfNormal": (lambda: gf.HalfNormal(1.0), st.halfnorm(), st.halfnorm(0, 1.01)),
    "Exponential": (lambda: gf.Exponential(1.0), st.expon(), st.expon(0, 1.01)),
    "Laplace": (lambda: gf.Laplace(0.0, 1.0), st.laplace(), st.laplace(0, 1.01)),
    "Logistic": (lambda: gf.Logistic(0.0, 1.0), st.logistic(), st.logistic(0, 1.01)),
    "Cauchy": (lambda: gf.Cauchy(0.0, 1.0), st.cauchy(), st.cauchy(0, 1.01)),
    "Gumbel": (lambda: gf.Gumbel(0.0, 1.0), st.gumbel_r(), st.gumbel_r(0, 1.01)),
    "Weibull": (lambda: gf.Weibull(1.7, 1.0), st.weibull_min(1.7), st.weibull_min(1.717)),
    "Pareto": (lambda: gf.Pareto(2.5, 1.0), st.pareto(2.5), st.pareto(2.525)),
    "Rayleigh": (lambda: gf.Rayleigh(1.0), st.rayleigh(), st.rayleigh(0, 1.01)),
    "Triangular": (lambda: gf.Triangular(0.0, 0.4, 1.0), st.triang(0.4), st.triang(0.404)),
    "Kumaraswamy": (
        lambda: gf.Kumaraswamy(2.0, 3.0),
        lambda: _Kumaraswamy(2.0, 3.0),
        lambda: _Kumaraswamy(2.02, 3.0),
    ),
    "VonMises": (lambda: gf.VonMises(0.0, 2.0), st.vonmises(2.0), st.vonmises(2.02)),
    "StudentT": (lambda: gf.StudentT(3.0), st.t(3.0), st.t(3.0, 0, 1.01)),
    "Gamma": (lambda: gf.Gamma(2.5, 1.0), st.gamma(2.5), st.gamma(2.525)),
    "Gamma, small shape": (lambda: gf.Gamma(0.2, 1.0), st.gamma(0.2), st.gamma(0.202)),
    "InverseGamma": (lambda: gf.InverseGamma(3.0, 1.0), st.invgamma(3.0), st.invgamma(3.03)),
    "Chi2": (lambda: gf.Chi2(5.0), st.chi2(5.0), st.chi2(5.05)),
    "Beta": (lambda: gf.Beta(2.0, 3.0), st.beta(2.0, 3.0), st.beta(2.02, 3.0)),
    "Beta, U shape": (lambda: gf.Beta(0.5, 0.5), st.beta(0.5, 0.5), st.beta(0.505, 0.5)),
    "F": (lambda: gf.F(5.0, 8.0), st.f(5.0, 8.0), st.f(5.0, 8.0, 0, 1.01)),
    "Truncated": (
        lambda: gf.Truncated(gf.Normal(0.0, 1.0), 0.5, 3.0),
        st.truncnorm(0.5, 3.0),
        st.truncnorm(0.5 / 1.01, 3.0 / 1.01, 0, 1.01),
    ),
    "NumericalInverse": (
        lambda: gf.NumericalInverse(logpdf=lambda x: -0.5 * x * x, domain=(-np.inf, np.inf)),
        st.norm(),
        st.norm(0, 1.01),
    ),
}
DISCRETE = {
    "Bernoulli": (lambda: gf.Bernoulli(0.5), st.bernoulli(0.5), st.bernoulli(0.505)),
    "Binomial": (lambda: gf.Binomial(40, 0.3), st.binom(40, 0.3), st.binom(40, 0.303)),
    "Geometric": (lambda: gf.Geometric(0.1), st.geom(0.1), st.geom(0.101)),
    "NegativeBinomial": (lambda: gf.NegativeBinomial(3.5, 0.2), st.nbinom(3.5, 0.2), st.nbinom(3.5, 0.202)),
    "Poisson": (lambda: gf.Poisson(12.0), st.poisson(12.0), st.poisson(12.12)),
    "Poisson, small rate": (lambda: gf.Poisson(0.3), st.poisson(0.3), st.poisson(0.303)),
    "Hypergeometric": (
        lambda: gf.Hypergeometric(300, 500, 100),
        st.hypergeom(800, 300, 100),
        st.hypergeom(800, 303, 100),
    ),
    "DiscreteUniform": (lambda: gf.DiscreteUniform(0, 99), st.randint(0, 100), st.randint(0, 101)),
}


class _Kumaraswamy:
    """What SciPy has not: 1 - (1 - x^a)^b."""

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b

    def cdf(self, x):
        return 1 - (1 - x**self.a) ** self.b

    def ppf(self, u):
        return (1 - (1 - u) ** (1 / self.b)) ** (1 / self.a)


def p_value(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """Pearson's χ² of counts against cell probabilities; cells expecting fewer than 20 join their neighbour."""
    expected = probabilities * counts.sum()
    keep = expected >= 20
    if not keep.all():
        counts, expected = (np.append(v[keep], v[~keep].sum()) for v in (counts, expected))
        if expected[-1] == 0:
            if counts[-1]:
                return 0.0
            counts, expected = counts[:-1], expected[:-1]
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float(st.chi2.sf(statistic, len(counts) - 1))


def continuous_counts(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(edges, x, side="left"), minlength=len(edges) + 1)


def probabilities(distribution, edges: np.ndarray) -> np.ndarray:
    return np.diff(np.concatenate([[0.0], distribution.cdf(edges), [1.0]]))


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str) -> None:
    make, right, wrong = CONTINUOUS[name]
    right, wrong = (f() if callable(f) and not hasattr(f, "cdf") else f for f in (right, wrong))
    edges = np.asarray(right.ppf(np.arange(1, CELLS) / CELLS))
    counts = continuous_counts(make().sample((DRAWS,), rng=20_261_124), edges)
    assert p_value(counts, probabilities(right, edges)) >= ALPHA
    assert p_value(counts, probabilities(wrong, edges)) < ALPHA


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name: str) -> None:
    make, right, wrong = DISCRETE[name]
    draws = np.asarray(make().sample((DRAWS,), rng=20_261_124)).astype(np.int64)
    low = int(draws.min())
    k = np.arange(low, int(draws.max()) + 1)
    counts = np.append(np.bincount(draws - low), 0)

    def mass(distribution) -> np.ndarray:
        p = distribution.pmf(k)
        return np.append(p, max(0.0, 1 - p.sum()))

    assert p_value(counts, mass(right)) >= ALPHA
    assert p_value(counts, mass(wrong)) < ALPHA


def test_mixture() -> None:
    ours = gf.Mixture([0.3, 0.7], [gf.Normal(-2.0, 1.0), gf.Normal(1.0, 0.5)])
    edges = np.asarray(ours.icdf(np.arange(1, CELLS) / CELLS))
    counts = continuous_counts(ours.sample((DRAWS,), rng=1), edges)

    def cells(weight: float) -> np.ndarray:
        f = weight * st.norm(-2, 1).cdf(edges) + (1 - weight) * st.norm(1, 0.5).cdf(edges)
        return np.diff(np.concatenate([[0.0], f, [1.0]]))

    assert p_value(counts, cells(0.3)) >= ALPHA
    assert p_value(counts, cells(0.303)) < ALPHA


def test_discretized_logistic() -> None:
    edges = np.linspace(-1, 1, 257)
    ours = gf.Discretized(gf.Logistic(0.1, 0.15), edges)
    draws = np.asarray(ours.sample((DRAWS,), rng=2)).astype(np.int64)
    counts = np.bincount(draws, minlength=256)

    def mass(scale: float) -> np.ndarray:
        f = st.logistic(0.1, scale).cdf(edges)
        f[0], f[-1] = 0, 1
        return np.diff(f)

    assert p_value(counts, mass(0.15)) >= ALPHA
    assert p_value(counts, mass(0.1515)) < ALPHA


def test_categorical() -> None:
    logits = np.random.default_rng(3).normal(size=100)
    p = np.exp(logits) / np.exp(logits).sum()
    off = p.copy()
    off[::2] *= 1.01
    counts = np.bincount(np.asarray(gf.Categorical(logits).sample((5 * DRAWS,), rng=4)), minlength=100)
    assert p_value(counts, p) >= ALPHA
    assert p_value(counts, off / off.sum()) < ALPHA


def test_uniforms() -> None:
    """One row and one site of many rows: both are uniform, cell by cell."""
    stream = gf.Stream(5)
    for u in (stream.uniforms(1, DRAWS).ravel(), stream.uniforms(DRAWS, 1, first_site=7).ravel()):
        counts = np.bincount((u * CELLS).astype(int), minlength=CELLS)
        assert p_value(counts, np.full(CELLS, 1 / CELLS)) >= ALPHA
        assert p_value(counts, np.where(np.arange(CELLS) < CELLS // 2, 1.01, 0.99) / CELLS) < ALPHA
