"""from_scipy and from_torch, against the distributions they come from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch import distributions as td

import genfast as gf

# No round numbers, which would be ties of the discrete ones.
U = np.concatenate([[1e-12, 1e-6], np.linspace(0.0113, 0.9879, 99), [1 - 1e-6]])

SCIPY = {
    "norm": stats.norm(1.5, 2.0),
    "norm of a batch": stats.norm([0.0, 1.0, -2.0], [[1.0], [3.0]]),
    "uniform": stats.uniform(-1, 3),
    "lognorm": stats.lognorm(0.7, loc=0.5, scale=2.0),
    "halfnorm": stats.halfnorm(1.0, 2.0),
    "expon": stats.expon(1.0, 0.5),
    "laplace": stats.laplace(1.0, 0.5),
    "logistic": stats.logistic(1.0, 0.5),
    "cauchy": stats.cauchy(1.0, 0.5),
    "gumbel_r": stats.gumbel_r(1.0, 0.5),
    "gumbel_l": stats.gumbel_l(1.0, 0.5),
    "weibull_min": stats.weibull_min(1.7, 0.5, 2.0),
    "weibull_max": stats.weibull_max(1.7, 0.5, 2.0),
    "pareto": stats.pareto(2.5, -1.0, 2.0),
    "rayleigh": stats.rayleigh(0.5, 2.0),
    "triang": stats.triang(0.3, 1.0, 2.0),
    "truncnorm": stats.truncnorm(-1.0, 2.5, 0.5, 2.0),
    "truncexpon": stats.truncexpon(2.0, 0.5, 2.0),
    "t": stats.t(3.5, 1.0, 2.0),
    "gamma": stats.gamma(2.5, scale=3.0),
    "gamma with loc": stats.gamma(a=0.7, loc=1.0),
    "erlang": stats.erlang(3, scale=0.5),
    "invgamma": stats.invgamma(2.5, scale=3.0),
    "chi2": stats.chi2(3.5, 1.0, 2.0),
    "beta": stats.beta(2.0, 0.7),
    "beta on an interval": stats.beta(2.0, 0.7, -1, 3),
    "f": stats.f(3, 7),
    "vonmises": stats.vonmises(1.5, loc=0.5),
    "vonmises_line": stats.vonmises_line(1.5),
    "vonmises_line of a batch": stats.vonmises_line([0.5, 3.0], loc=[[0.5], [-2.0]]),
    "vonmises_line with scale": stats.vonmises_line(1.5, 0.5, 2.0),
    "bernoulli": stats.bernoulli(0.3),
    "binom": stats.binom(10, 0.3),
    "geom": stats.geom(0.3),
    "nbinom": stats.nbinom(2.5, 0.3),
    "poisson": stats.poisson(3.5),
    "poisson with loc": stats.poisson(3.5, 2),
    "hypergeom": stats.hypergeom(20, 7, 12),
    "randint": stats.randint(-3, 5),
}

TORCH = {
    "Normal": td.Normal(1.5, 2.0),
    "Normal of a batch": td.Normal(torch.tensor([0.0, 1.0], dtype=torch.float64), torch.tensor([[1.0], [2.0]])),
    "Uniform": td.Uniform(-1.0, 2.5),
    "LogNormal": td.LogNormal(0.5, 0.7),
    "HalfNormal": td.HalfNormal(2.0),
    "HalfCauchy": td.HalfCauchy(2.0),
    "Exponential": td.Exponential(4.0),
    "Laplace": td.Laplace(1.0, 0.5),
    "Cauchy": td.Cauchy(1.0, 0.5),
    "Gumbel": td.Gumbel(1.0, 0.5),
    "Weibull": td.Weibull(2.0, 1.7),
    "Pareto": td.Pareto(2.0, 2.5),
    "Kumaraswamy": td.Kumaraswamy(2.0, 0.7),
    "StudentT": td.StudentT(3.5, 1.0, 2.0),
    "Gamma": td.Gamma(2.5, 4.0),
    "InverseGamma": td.InverseGamma(2.5, 4.0),
    "Chi2": td.Chi2(3.5),
    "Beta": td.Beta(2.0, 0.7),
    "FisherSnedecor": td.FisherSnedecor(3.0, 7.0),
    "VonMises": td.VonMises(0.5, 1.5),
    "Bernoulli": td.Bernoulli(0.3),
    "Bernoulli by logits": td.Bernoulli(logits=torch.tensor(-1.5, dtype=torch.float64)),
    "Binomial": td.Binomial(10, torch.tensor(0.3)),
    "NegativeBinomial": td.NegativeBinomial(2.5, torch.tensor(0.3)),
    "NegativeBinomial by logits": td.NegativeBinomial(2.5, logits=torch.tensor(1.5, dtype=torch.float64)),
    "Geometric": td.Geometric(0.3),
    "Poisson": td.Poisson(3.5),
    "Categorical": td.Categorical(probs=torch.tensor([0.2, 0.5, 0.3])),
    "Categorical by logits": td.Categorical(logits=torch.tensor([0.2, 0.5, -0.3])),
    "MixtureSameFamily": td.MixtureSameFamily(
        td.Categorical(torch.tensor([0.3, 0.7])), td.Normal(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.5]))
    ),
}


@pytest.mark.parametrize("name", SCIPY)
def test_from_scipy(name: str) -> None:
    frozen = SCIPY[name]
    d = gf.from_scipy(frozen)
    assert d.is_discrete == hasattr(frozen, "pmf")
    u = U.reshape(-1, *(1 for _ in d.batch_shape))
    x = frozen.ppf(u)
    # 1e-12: SciPy's own error in the tails of some.
    np.testing.assert_allclose(d.icdf(u), x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(d.cdf(x), frozen.cdf(x), rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(d.ccdf(x), frozen.sf(x), rtol=1e-8, atol=1e-15)
    density = frozen.logpmf if d.is_discrete else frozen.logpdf
    np.testing.assert_allclose(d.log_prob(x), density(x), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(d.mean, frozen.mean(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(d.var, frozen.var(), rtol=1e-8)
    if name != "vonmises":  # SciPy's goes on round the circle
        np.testing.assert_allclose(d.support, np.broadcast_arrays(*frozen.support()), rtol=1e-15, atol=1e-15)


def test_from_new_scipy_objects() -> None:
    for new, old in [
        (stats.Normal(mu=1.5, sigma=2.0), stats.norm(1.5, 2)),
        (stats.Uniform(a=1.0, b=3.0), stats.uniform(1, 2)),
    ]:
        np.testing.assert_allclose(gf.from_scipy(new).icdf(U), old.ppf(U), rtol=1e-11)
    assert gf.from_scipy(stats.Normal()).batch_shape == ()
    with pytest.raises(TypeError, match=r"no counterpart of scipy.stats._LogUniform; .*NumericalInverse"):
        gf.from_scipy(stats._new_distributions._LogUniform(a=1.0, b=2.0))


@pytest.mark.parametrize("name", TORCH)
def test_from_torch(name: str) -> None:
    theirs = TORCH[name]
    d = gf.from_torch(theirs)
    assert d.batch_shape == tuple(theirs.batch_shape)
    torch.manual_seed(0)
    x = theirs.sample((200,)).double()
    if name == "VonMises":  # theirs are in [-pi, pi), ours within pi of loc
        x = theirs.loc + torch.remainder(x - theirs.loc + np.pi, 2 * np.pi) - np.pi
    # Their parameters are float32, and so is what they compute from them.
    expected = theirs.log_prob(x).numpy()
    np.testing.assert_allclose(d.log_prob(x.numpy()), expected, rtol=3e-5, atol=3e-5)
    finite = np.isfinite(np.asarray(theirs.mean)) & np.isfinite(np.asarray(theirs.variance))
    if finite.all() and name != "VonMises":  # their variance is the circular one
        np.testing.assert_allclose(d.mean, theirs.mean.numpy(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(d.var, theirs.variance.numpy(), rtol=1e-4)


def test_torch_supports_that_differ() -> None:
    assert gf.from_torch(td.Geometric(0.3)).support[0] == 0
    assert gf.from_scipy(stats.geom(0.3)).support[0] == 1


def test_parameters_are_read_in_float64() -> None:
    scale = torch.tensor(0.1, dtype=torch.bfloat16)
    d = gf.from_torch(td.Normal(torch.tensor(0.0, dtype=torch.bfloat16), scale))
    assert float(d.scale) == float(scale)
    learned = torch.nn.Parameter(torch.tensor(2.0))
    assert float(gf.from_torch(td.Normal(0.0, learned)).scale) == 2.0


def test_no_counterpart() -> None:
    with pytest.raises(TypeError, match=r"no counterpart of scipy.stats.skewnorm; .*NumericalInverse"):
        gf.from_scipy(stats.skewnorm(2.0))
    with pytest.raises(TypeError, match=r"no counterpart of torch.distributions.Dirichlet; .*NumericalInverse"):
        gf.from_torch(td.Dirichlet(torch.ones(3)))

    # A class of one's own may share the name and differ in all else.
    class norm_gen(stats.rv_continuous):
        def _pdf(self, x: np.ndarray) -> np.ndarray:
            return np.exp(-np.abs(x)) / 2

    with pytest.raises(TypeError, match=r"no counterpart of scipy\.stats\.norm"):
        gf.from_scipy(norm_gen(name="norm")())
    with pytest.raises(TypeError, match="distribution, got int"):
        gf.from_scipy(3)
    with pytest.raises(TypeError, match="from_scipy takes a frozen"):
        gf.from_scipy(stats.norm)
    with pytest.raises(TypeError, match="from_torch takes a torch"):
        gf.from_torch(stats.norm())
    with pytest.raises(TypeError, match="from_scipy takes a frozen"):
        gf.from_scipy(stats.multivariate_normal(np.zeros(2)))


def test_accepted_wherever_a_distribution_is() -> None:
    norm = stats.norm(1.0, 2.0)
    u = np.linspace(0.1, 0.9, 9)
    for make in (
        lambda d: gf.Affine(d, 1.0, -2.0),
        lambda d: gf.Truncated(d, 0.0, 3.0),
        lambda d: gf.Mixture([0.5, 0.5], [d, d]),
        lambda d: gf.Discretized(d, np.linspace(-1, 3, 9)),
    ):
        expected = make(gf.Normal(1.0, 2.0)).icdf(u)
        np.testing.assert_array_equal(make(norm).icdf(u), expected)
        np.testing.assert_array_equal(make(td.Normal(1.0, 2.0)).icdf(u), expected)


def test_neither_library_is_imported() -> None:
    script = """
import sys, genfast as gf
gf.Chain([gf.Normal()]).sample(1, rng=0)
print({"scipy", "torch"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "set()"
