"""The ready joints against SciPy, NumPy and brute force. Each statistical test has a false-alarm rate of 1e-8."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from joints_for_tests import CORR, COV, MEAN, SPRINKLER, continuous, discrete, gaussian_mixture
from scipy import stats

import genfast as gf
from genfast.joints.linalg import apply_lower, cholesky, inverse_lower

ALPHA = 1e-8


def random_cov(d: int, seed: int, condition: float = 1e4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    cov = q * np.geomspace(1, condition, d) @ q.T
    return (cov + cov.T) / 2


# --- what all share


@pytest.mark.parametrize("name", continuous())
def test_round_trips(name: str) -> None:
    joint = continuous()[name]
    u = gf.Stream(1).uniforms(3000, joint.sites) * 0.998 + 0.001
    x = joint.inverse_rosenblatt(u)
    np.testing.assert_allclose(joint.rosenblatt(x), u, atol=1e-11)
    np.testing.assert_allclose(joint.inverse_rosenblatt(joint.rosenblatt(x)), x, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(joint.sample(3000, u=u), x)


@pytest.mark.parametrize("name", continuous())
def test_the_density_is_the_slope_of_rosenblatt(name: str) -> None:
    joint = continuous()[name]
    x = joint.sample(40, rng=8)
    product = np.zeros(len(x))
    for k in range(joint.sites):
        step = 1e-5
        ahead, back = x.copy(), x.copy()
        ahead[:, k] += step
        back[:, k] -= step
        product += np.log((joint.rosenblatt(ahead)[:, k] - joint.rosenblatt(back)[:, k]) / (2 * step))
    inside = np.isfinite(joint.log_prob(x + 1e-5)) & np.isfinite(joint.log_prob(x - 1e-5)) & np.isfinite(product)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(joint.log_prob(x)[inside], product[inside], atol=2e-5)


@pytest.mark.parametrize("name", continuous())
def test_draws_have_uniform_rosenblatts_that_do_not_correlate(name: str) -> None:
    joint, n = continuous()[name], 40_000
    u = joint.rosenblatt(joint.sample(n, rng=np.random.default_rng(4)))
    ranks = np.sort(u, axis=0)
    distance = np.abs(ranks - (np.arange(n) + 0.5)[:, None] / n).max()
    assert distance < math.sqrt(math.log(2 * joint.sites / ALPHA) / (2 * n))
    scores = stats.norm.ppf(u)
    worst = np.abs(np.corrcoef(scores.T) - np.eye(joint.sites)).max()
    assert worst < stats.norm.isf(ALPHA / 2 / joint.sites**2) / math.sqrt(n)


@pytest.mark.parametrize("name", {**continuous(), **discrete()})
def test_shared_behaviour(name: str) -> None:
    joint = {**continuous(), **discrete()}[name]
    whole = joint.sample(50, rng=3)
    # Bits do not depend on the batch.
    np.testing.assert_array_equal(joint.sample(1, rng=3), whole[:1])
    u = gf.Stream(3).uniforms(50, joint.sites)
    np.testing.assert_array_equal(np.concatenate([joint.sample(1, u=row[None]) for row in u]), whole)
    np.testing.assert_array_equal(joint.sample(50, u=u[::-1])[::-1], whole)
    np.testing.assert_array_equal([joint.log_prob(row[None])[0] for row in whole], joint.log_prob(whole))
    # Empty, ends of u, kinds.
    assert joint.sample(0, rng=0).shape == (0, joint.sites) and joint.log_prob(np.empty((0, joint.sites))).shape == (0,)
    ends = np.array(list(itertools.product([0.0, 1.0, 0.5], repeat=joint.sites)))
    assert np.isfinite(joint.sample(len(ends), u=ends)).all()
    x = joint.sample(50, u=torch.from_numpy(u.copy()))
    assert isinstance(x, torch.Tensor) and isinstance(joint.log_prob(x), torch.Tensor)
    np.testing.assert_array_equal(x.numpy(), whole)
    # NaN goes through, and stays in its row.
    broken = whole.copy()
    broken[7, 0] = np.nan
    density = joint.log_prob(broken)
    assert np.isnan(density[7])
    np.testing.assert_array_equal(np.delete(density, 7), np.delete(joint.log_prob(whole), 7))
    for bad in (np.full((1, joint.sites), 1.1), np.full((1, joint.sites), np.nan)):
        with pytest.raises(ValueError, match=r"u must lie in \[0, 1\], got .* at index \(0, 0\)"):
            joint.inverse_rosenblatt(bad)
    with pytest.raises(ValueError, match=rf"x must have shape \(n, {joint.sites}\)"):
        joint.log_prob(np.zeros((2, joint.sites + 1)))


@pytest.mark.parametrize("name", {**continuous(), **discrete()})
def test_the_same_bits_for_one_and_two_threads(name: str) -> None:
    joint = {**continuous(), **discrete()}[name]
    u = gf.Stream(8).uniforms(20_000, joint.sites)
    before, found = gf.num_threads(), []
    try:
        for count in (1, 2):
            gf.set_num_threads(count)
            x = joint.sample(20_000, rng=7)
            found.append([x, joint.sample(20_000, u=u), joint.log_prob(x), np.array(joint.rosenblatt(x))])
    finally:
        gf.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert one.tobytes() == two.tobytes()


def test_tables_of_categoricals() -> None:
    first, given = np.array([0.2, 0.0, 0.8]), np.array([[0.5, 0.5], [1.0, 0.0], [0.1, 0.9]])
    by_table = gf.DiscreteBayesNet([((), first), ((0,), given)])
    net = gf.DiscreteBayesNet([((), gf.Categorical(probs=first)), ((0,), gf.Categorical(probs=given))])
    np.testing.assert_array_equal(net.sample(500, rng=1), by_table.sample(500, rng=1))
    square = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.25, 0.5, 0.25]])
    chain = gf.MarkovChain(gf.Categorical(probs=first), gf.Categorical(probs=square), 6)
    np.testing.assert_array_equal(chain.sample(500, rng=1), gf.MarkovChain(first, square, 6).sample(500, rng=1))
    with pytest.raises(ValueError, match=r"tables\[1\] must have shape \(3, levels\)"):
        gf.DiscreteBayesNet([((), gf.Categorical(probs=first)), ((0,), gf.Categorical(probs=first))])


DIGEST = """
import hashlib, numpy as np, genfast as gf
from joints_for_tests import continuous, discrete
h = hashlib.sha256()
for name, joint in {**continuous(), **discrete()}.items():
    x = joint.sample(300, rng=9)
    h.update(x.tobytes()); h.update(joint.log_prob(x).tobytes()); h.update(np.array(joint.rosenblatt(x)).tobytes())
d = gf.Truncated(gf.Mixture([0.3, 0.7], [gf.Normal(-1, 2), gf.Normal(2, 0.3)]), -1, 30)
h.update(d.sample(500, rng=1).tobytes()); h.update(d.log_prob(np.linspace(-2, 4, 99)).tobytes())
print(gf.cpu_target(), h.hexdigest())
"""


def test_the_same_bits_on_every_target() -> None:
    found = {}
    for target in ("scalar", "avx2", "avx512"):
        environment = os.environ | {"GENFAST_TARGET": target, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        run = subprocess.run([sys.executable, "-P", "-c", DIGEST], env=environment, capture_output=True, text=True)
        if run.returncode and target != "scalar" and "GENFAST_TARGET" in run.stderr:
            continue  # this CPU has no such target
        assert not run.returncode, run.stderr
        used, digest = run.stdout.split()
        assert used == target
        found[target] = digest
    assert len(set(found.values())) == 1, found


# --- MultivariateNormal


def test_multivariate_normal_against_scipy() -> None:
    joint, reference = gf.MultivariateNormal(MEAN, COV), stats.multivariate_normal(MEAN, COV)
    u = gf.Stream(6).uniforms(200, 3)
    x = joint.sample(200, rng=6)
    np.testing.assert_allclose(x, MEAN + stats.norm.ppf(u) @ np.linalg.cholesky(COV).T, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(joint.log_prob(x), reference.logpdf(x), rtol=1e-12)


def test_multivariate_normal_is_its_chain_of_regressions() -> None:
    def given(k: int) -> object:
        coefficients = np.linalg.solve(COV[:k, :k], COV[:k, k])
        scale = math.sqrt(COV[k, k] - COV[k, :k] @ coefficients)
        return lambda x: gf.Normal(MEAN[k] + (x - MEAN[:k]) @ coefficients, scale)

    chain = gf.Chain([gf.Normal(MEAN[0], math.sqrt(COV[0, 0])), given(1), given(2)])
    joint = gf.MultivariateNormal(MEAN, COV)
    x = joint.sample(100, rng=2)
    np.testing.assert_allclose(chain.sample(100, rng=2), x, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(chain.log_prob(x), joint.log_prob(x), rtol=1e-12)
    np.testing.assert_allclose(chain.rosenblatt(x), joint.rosenblatt(x), atol=1e-13)


def test_many_dimensions() -> None:
    cov = random_cov(150, 0)
    joint = gf.MultivariateNormal(np.arange(150.0), cov)
    x = joint.sample(300, rng=1)
    np.testing.assert_allclose(joint.log_prob(x), stats.multivariate_normal(np.arange(150.0), cov).logpdf(x), rtol=1e-9)
    np.testing.assert_allclose(joint.inverse_rosenblatt(joint.rosenblatt(x)), x, rtol=1e-9, atol=1e-9)


def test_linear_algebra() -> None:
    for d in (1, 2, 17, 60):
        cov = random_cov(d, d, 1e6)
        factor = cholesky(cov, "cov")
        np.testing.assert_allclose(factor, np.linalg.cholesky(cov), rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(inverse_lower(factor) @ factor, np.eye(d), atol=1e-8)
        z = np.random.default_rng(d).normal(size=(d, 33))
        np.testing.assert_allclose(apply_lower(factor, z), factor @ z, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize(
    ("cov", "message"),
    [
        ([[1.0, 2.0], [2.0, 1.0]], "cov must be positive definite: coordinate 1 has no positive variance"),
        ([[1.0, 1.0], [1.0, 1.0]], "coordinate 1 has no positive variance given the ones before it"),
        ([[0.0, 0.0], [0.0, 1.0]], "coordinate 0 has no positive variance"),
        ([[-1.0, 0.0], [0.0, 1.0]], "coordinate 0 has no positive variance"),
        ([[1.0, 0.5], [0.4, 1.0]], r"cov must be symmetric: entries \(0, 1\) and \(1, 0\) differ"),
        ([[1.0, np.nan], [np.nan, 1.0]], "cov must be finite"),
        ([[1.0]], r"cov must have shape \(2, 2\)"),
    ],
)
def test_bad_covariances(cov: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gf.MultivariateNormal([0.0, 0.0], cov)


# --- GaussianMixture


def test_gaussian_mixture_against_scipy() -> None:
    joint = gaussian_mixture()
    x = joint.sample(2000, rng=0)
    parts = [stats.multivariate_normal(m, c) for m, c in zip(joint.means, joint.covs, strict=True)]
    density = sum(w * part.pdf(x) for w, part in zip(joint.weights, parts, strict=True))
    np.testing.assert_allclose(np.exp(joint.log_prob(x)), density, rtol=1e-11)
    assert joint.sites == 2 and joint.rosenblatt(x).shape == (2000, 2)
    # The first uniform is the marginal mixture's.
    scales = np.sqrt(joint.covs[:, 0, 0])
    marginal = (joint.weights * stats.norm(joint.means[:, 0], scales).cdf(x[:, :1])).sum(axis=1)
    np.testing.assert_allclose(joint.rosenblatt(x)[:, 0], marginal, atol=1e-14)


def test_gaussian_mixture_far_from_everything() -> None:
    joint = gaussian_mixture()
    x = np.array([[1e3, -1e3], [1e160, 0.0], [-1e200, 1e200]])
    assert not np.isnan(joint.rosenblatt(x)).any()
    assert (joint.log_prob(x) < -1e5).all()


def test_gaussian_mixture_errors() -> None:
    eye = np.eye(2)
    for arguments, message in [
        (([1.0, -1.0], np.zeros((2, 2)), [eye, eye]), r"weights must be finite and not negative, got -1.0 at index 1"),
        (([1.0, 1.0], np.zeros((2, 2)), [eye, -eye]), r"covs\[1\] must be positive definite"),
        (([1.0], np.zeros((2, 2)), [eye, eye]), r"weights must have 2 entries"),
        (([1.0, 1.0], np.zeros((2, 2)), eye), r"covs must have shape \(2, 2, 2\)"),
        (([1.0, 1.0], np.zeros(2), [eye, eye]), r"means must have shape \(K, d\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            gf.GaussianMixture(*arguments)


# --- tables


def brute_force(joint: gf.Joint, levels: list[int]) -> dict[tuple[int, ...], float]:
    states = list(itertools.product(*map(range, levels)))
    return dict(zip(states, np.exp(joint.log_prob(np.array(states, float))), strict=True))


def test_bayes_net_probabilities() -> None:
    probabilities = brute_force(gf.DiscreteBayesNet(SPRINKLER), [2, 2, 2])
    for (rain, sprinkler, wet), p in probabilities.items():
        expected = SPRINKLER[0][1][rain] * SPRINKLER[1][1][rain][sprinkler] * SPRINKLER[2][1][sprinkler][rain][wet]
        assert p == pytest.approx(expected, rel=1e-14)
    assert sum(probabilities.values()) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize(("name", "levels"), [("DiscreteBayesNet", [2, 2, 2]), ("MarkovChain", [3, 3, 3, 3])])
def test_draws_from_tables(name: str, levels: list[int]) -> None:
    joint, n = discrete()[name], 300_000
    x = joint.sample(n, rng=5)
    counts = dict.fromkeys(itertools.product(*map(range, levels)), 0)
    for state, count in zip(*np.unique(x, axis=0, return_counts=True), strict=True):
        counts[tuple(int(k) for k in state)] = count
    probabilities = brute_force(joint, levels)
    assert all(counts[state] == 0 for state, p in probabilities.items() if p == 0)
    possible = [state for state, p in probabilities.items() if p * n > 10]
    observed = np.array([counts[state] for state in possible])
    expected = np.array([probabilities[state] for state in possible]) * n
    chi2 = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2(len(possible)).sf(chi2) > ALPHA
    # One percent of the mass moved from the largest cell to the next: found.
    planted = expected.copy()
    order = planted.argsort()
    planted[order[-1]] -= 0.01 * n
    planted[order[-2]] += 0.01 * n
    assert stats.chi2(len(possible)).sf(((observed - planted) ** 2 / planted).sum()) < ALPHA
    lower, upper = joint.rosenblatt(x)
    u = gf.Stream(5).uniforms(n, joint.sites)
    assert ((lower < u) & (u <= upper)).all()
    np.testing.assert_array_equal(joint.inverse_rosenblatt((lower, upper)), x)
    widths = np.log(upper - lower).sum(axis=1)
    np.testing.assert_allclose(widths, joint.log_prob(x), atol=1e-12)


def test_the_discrete_rule_at_the_steps() -> None:
    net = gf.DiscreteBayesNet([((), [0.0, 0.25, 0.0, 0.5, 0.25, 0.0])])
    u = np.array([0.0, 5e-324, 0.25, np.nextafter(0.25, 1), 0.75, np.nextafter(0.75, 1), 1.0])
    np.testing.assert_array_equal(net.sample(7, u=u[:, None])[:, 0], [1, 1, 1, 3, 3, 4, 4])
    np.testing.assert_array_equal(net.log_prob([[0.0], [2.0], [1.5], [-1.0], [6.0], [np.inf]]), -np.inf)
    lower, upper = net.rosenblatt([[-1.0], [1.0], [2.0], [2.5], [9.0]])
    np.testing.assert_array_equal(upper[:, 0], [0, 0.25, 0.25, 0.25, 1])
    np.testing.assert_array_equal(lower[:, 0], [0, 0, 0.25, 0.25, 1])


def test_markov_chain_marginals_and_steps() -> None:
    transition = np.array([[0.9, 0.1], [0.4, 0.6]])
    chain = gf.MarkovChain([1.0, 0.0], transition, 50)
    x = chain.sample(20_000, rng=0)
    assert (x[:, 0] == 0).all()
    expected = np.linalg.matrix_power(transition, 49)[0, 1]
    error = stats.norm.isf(ALPHA / 2) * math.sqrt(expected * (1 - expected) / len(x))
    assert abs(x[:, -1].mean() - expected) < error
    flip = gf.MarkovChain([0.5, 0.5], [[[0, 1], [1, 0]], [[1, 0], [0, 1]]], 3).sample(100, rng=1)
    assert (flip[:, 1] == 1 - flip[:, 0]).all() and (flip[:, 2] == flip[:, 1]).all()
    assert gf.MarkovChain([0.5, 0.5], transition, 1).sample(3, rng=0).shape == (3, 1)


def test_table_errors() -> None:
    for tables, error, message in [
        ([], ValueError, "tables must not be empty"),
        ([[0.5, 0.5, 0.0]], TypeError, r"tables\[0\] must be a pair"),
        ([((), [0.5, 0.6])], ValueError, r"tables\[0\]: probabilities must sum to 1"),
        ([((), [1.5, -0.5])], ValueError, r"tables\[0\] must be finite and not negative, got -0.5 at index 1"),
        ([((0,), [0.5, 0.5])], ValueError, r"tables\[0\]: parent 0 must come before node 0"),
        ([((), [1.0]), ((0,), [0.5, 0.5])], ValueError, r"tables\[1\] must have shape \(1, levels\), got \(2,\)"),
        ([((), [0.5, 0.5]), ((0,), [[1, 0], [1, 1]])], ValueError, r"tables\[1\]: .* got .*2.0.* in row \(1,\)"),
        ([((0.5,), [1.0])], TypeError, r"tables\[0\]: a parent must be an integer"),
    ]:
        with pytest.raises(error, match=message):
            gf.DiscreteBayesNet(tables)
    for arguments, message in [
        (([0.5, 0.5], np.eye(3), 4), r"transition must have shape \(2, 2\) or \(3, 2, 2\), got \(3, 3\)"),
        (([0.5, 0.5], np.eye(2), 0), "length must be at least 1"),
        (([0.5, 0.5], [[0.9, 0.2], [0.1, 0.8]], 4), r"transition: probabilities must sum to 1 .* in row \(0,\)"),
        (([0.5, 0.6], np.eye(2), 4), "initial: probabilities must sum to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            gf.MarkovChain(*arguments)


# --- copulas


def test_gaussian_copula_of_normals_is_multivariate_normal() -> None:
    scale = np.array([1.0, 2.0, 0.5])
    copula = gf.GaussianCopula(CORR, [gf.Normal(m, s) for m, s in zip(MEAN, scale, strict=True)])
    joint = gf.MultivariateNormal(MEAN, CORR * np.outer(scale, scale))
    x = joint.sample(300, rng=2)
    np.testing.assert_allclose(copula.sample(300, rng=2), x, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(copula.log_prob(x), joint.log_prob(x), rtol=1e-9)
    np.testing.assert_allclose(copula.rosenblatt(x), joint.rosenblatt(x), atol=1e-12)


def test_t_copula_of_t_marginals_is_multivariate_t() -> None:
    df = 3.5
    copula = gf.StudentTCopula(CORR, df, [gf.StudentT(df)] * 3)
    reference = stats.multivariate_t(np.zeros(3), CORR, df)
    x = copula.sample(300, rng=2)
    np.testing.assert_allclose(copula.log_prob(x), reference.logpdf(x), rtol=1e-9)
    # Kendall's tau of an elliptical copula is 2 asin(rho) / pi (Lindskog, McNeil & Schmock, 2003); its
    # variance is at most 2 (1 - tau^2) / n, whatever the distribution (Kendall, 1970).
    many = copula.sample(20_000, rng=3)
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        tau = stats.kendalltau(many[:, i], many[:, j]).statistic
        expected = 2 / math.pi * math.asin(CORR[i, j])
        assert abs(tau - expected) < stats.norm.isf(ALPHA / 6) * math.sqrt(2 * (1 - expected**2) / len(many))


@pytest.mark.parametrize("name", ["GaussianCopula", "StudentTCopula"])
def test_copula_marginals_and_tails(name: str) -> None:
    joint = continuous()[name]
    x = joint.sample(50_000, rng=1)
    for k, reference in enumerate([stats.expon(scale=2), stats.norm(1, 3), stats.uniform(-1, 2)]):
        assert stats.kstest(x[:, k], reference.cdf).pvalue > ALPHA
    # Both tails of the first marginal are its own, not those of 1 - u.
    ends = joint.sample(2, u=[[1e-300, 0.5, 0.5], [1 - 2.0**-53, 0.5, 0.5]])
    np.testing.assert_allclose(ends[:, 0], [2e-300, 2 * 53 * math.log(2)], rtol=1e-9)
    assert joint.log_prob([[-1.0, 0.0, 0.0]])[0] == -np.inf
    assert joint.log_prob([[1.0, 0.0, 3.0]])[0] == -np.inf


def test_a_discrete_marginal_can_be_drawn() -> None:
    die = gf.Discretized(gf.Uniform(0, 6), np.arange(7))
    copula = gf.GaussianCopula(CORR[:2, :2], [die, gf.Normal()])
    x = copula.sample(20_000, rng=0)
    counts = np.bincount(x[:, 0].astype(int), minlength=6)
    assert stats.chisquare(counts).pvalue > ALPHA
    assert np.corrcoef(x.T)[0, 1] > 0.6
    for method in (copula.log_prob, copula.rosenblatt):
        with pytest.raises(ValueError, match=r"marginals\[0\] is discrete"):
            method(x)


def test_copula_errors() -> None:
    n = gf.Normal()
    for corr, marginals, error, message in [
        (np.eye(2), [n], ValueError, r"corr must have shape \(1, 1\)"),
        (2 * np.eye(2), [n, n], ValueError, r"corr must have 1 on its diagonal, got 2.0 at 0"),
        ([[1, 2], [2, 1]], [n, n], ValueError, "corr must be positive definite"),
        (np.eye(2), [n, "x"], TypeError, r"marginals\[1\] must be"),
        (np.eye(2), [n, gf.Normal([0, 1])], ValueError, r"marginals\[1\] must be one distribution"),
        (np.eye(2), [], ValueError, "marginals must not be empty"),
        (np.eye(2), n, TypeError, "marginals must be a list"),
    ]:
        with pytest.raises(error, match=message):
            gf.GaussianCopula(corr, marginals)
    for df in (0.0, -1.0, np.inf, [1.0, 2.0]):
        with pytest.raises(ValueError, match="df"):
            gf.StudentTCopula(np.eye(2), df, [n, n])
