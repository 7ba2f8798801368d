"""Draws and quantiles of distributions against NumPy, SciPy, PyTorch and, where installed, mkl-random and OpenTURNS.

    pytest benchmarks/bench_sampling.py benchmarks/bench_categorical.py benchmarks/bench_numerical_inverse.py \
        --benchmark-json=benchmarks/results/sampling.json
    python benchmarks/report_sampling.py benchmarks/results/sampling.json

One thread on every side, and two where the group says so. "draws" are whole calls, uniforms included; "icdf, every
element its own parameters" evaluates the same quantiles on both sides. `extra_info["n"]` turns seconds into ns a draw.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

import genfast as gf

DRAWS = 1_000_000
QUANTILES = 20_000


def note(benchmark, group, side, n, threads=1):
    benchmark.group = group + (f", {threads} threads" if threads > 1 else "")
    benchmark.extra_info.update(side=side, n=n, threads=threads)


def timed(benchmark, function, rounds=15):
    benchmark.pedantic(function, rounds=rounds, warmup_rounds=2)


# --- draws

OURS = {
    "Normal": lambda: gf.Normal(0.0, 1.0),
    "Exponential": lambda: gf.Exponential(1.0),
    "Gamma(2.5)": lambda: gf.Gamma(2.5, 1.0),
    "Beta(2, 3)": lambda: gf.Beta(2.0, 3.0),
    "Poisson(12)": lambda: gf.Poisson(12.0),
}
NUMPY = {
    "Normal": lambda g, n, dtype: g.standard_normal(n, dtype=dtype),
    "Exponential": lambda g, n, dtype: g.standard_exponential(n, dtype=dtype),
    "Gamma(2.5)": lambda g, n, dtype: g.standard_gamma(2.5, n, dtype=dtype),
    "Beta(2, 3)": lambda g, n, dtype: g.beta(2.0, 3.0, n),
    "Poisson(12)": lambda g, n, dtype: g.poisson(12.0, n),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_draws_genfast(benchmark, threads, dtype, count):
    threads(count)
    d, out = gf.Normal(0.0, 1.0), np.empty(DRAWS, dtype)
    note(benchmark, f"draws: Normal {dtype}", "genfast", DRAWS, count)
    timed(benchmark, lambda: d.sample((DRAWS,), rng=0, out=out), 40)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_draws_torch(benchmark, threads, dtype, count):
    threads(count)
    out = torch.empty(DRAWS, dtype=getattr(torch, dtype))
    note(benchmark, f"draws: Normal {dtype}", "torch.randn", DRAWS, count)
    timed(benchmark, lambda: torch.randn(DRAWS, out=out), 40)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_draws_numpy(benchmark, threads, dtype):
    g, out = np.random.default_rng(0), np.empty(DRAWS, dtype)
    note(benchmark, f"draws: Normal {dtype}", "numpy", DRAWS)
    timed(benchmark, lambda: g.standard_normal(DRAWS, dtype=dtype, out=out), 40)


def test_normal_draws_mkl(benchmark, threads):
    mkl_random = pytest.importorskip("mkl_random")
    state = mkl_random.MKLRandomState(0)
    note(benchmark, "draws: Normal float64", "mkl-random", DRAWS)
    timed(benchmark, lambda: state.standard_normal(DRAWS), 40)


def test_normal_draws_openturns(benchmark, threads):
    ot = pytest.importorskip("openturns")
    d = ot.Normal(0.0, 1.0)
    note(benchmark, "draws: Normal float64", "OpenTURNS", DRAWS)
    timed(benchmark, lambda: d.getSample(DRAWS), 5)


@pytest.mark.parametrize("name", [n for n in OURS if n != "Normal"])
def test_draws_genfast(benchmark, threads, name):
    d, out = OURS[name](), np.empty(DRAWS)
    note(benchmark, f"draws: {name} float64", "genfast", DRAWS)
    timed(benchmark, lambda: d.sample((DRAWS,), rng=0, out=out))


@pytest.mark.parametrize("name", [n for n in OURS if n != "Normal"])
def test_draws_numpy(benchmark, threads, name):
    """NumPy's rejection methods: another algorithm, not a function of uniforms."""
    g = np.random.default_rng(0)
    note(benchmark, f"draws: {name} float64", "numpy", DRAWS)
    timed(benchmark, lambda: NUMPY[name](g, DRAWS, "float64"))


def test_uniforms(benchmark, threads):
    out = np.empty((1, DRAWS))
    note(benchmark, "draws: uniforms float64", "genfast", DRAWS)
    timed(benchmark, lambda: gf.Stream(0).uniforms(1, DRAWS, out=out), 40)


def test_uniforms_numpy_philox(benchmark, threads):
    g, out = np.random.Generator(np.random.Philox(0)), np.empty(DRAWS)
    note(benchmark, "draws: uniforms float64", "numpy Philox4x64", DRAWS)
    timed(benchmark, lambda: g.random(out=out), 40)


# --- quantiles, every element its own parameters

RNG = np.random.default_rng(1)
U = RNG.random(QUANTILES)
A, B = RNG.gamma(2.0, 4.0, QUANTILES) + 0.1, RNG.gamma(2.0, 4.0, QUANTILES) + 0.1
DF = RNG.gamma(2.0, 5.0, QUANTILES) + 0.5
RATE = RNG.gamma(1.0, 30.0, QUANTILES) + 0.05
TRIALS, P = RNG.integers(1, 400, QUANTILES).astype(float), RNG.uniform(0.02, 0.98, QUANTILES)

# name: (genfast distribution, scipy.stats ppf, scipy.special function or None)
FAMILIES = {
    "Gamma": (
        lambda: gf.Gamma(A, 1.0),
        lambda: scipy.stats.gamma.ppf(U, A),
        lambda: scipy.special.gammaincinv(A, U),
    ),
    "Beta": (lambda: gf.Beta(A, B), lambda: scipy.stats.beta.ppf(U, A, B), lambda: scipy.special.betaincinv(A, B, U)),
    "StudentT": (lambda: gf.StudentT(DF), lambda: scipy.stats.t.ppf(U, DF), lambda: scipy.special.stdtrit(DF, U)),
    "Poisson": (
        lambda: gf.Poisson(RATE),
        lambda: scipy.stats.poisson.ppf(U, RATE),
        lambda: scipy.special.pdtrik(U, RATE),
    ),
    "Binomial": (
        lambda: gf.Binomial(TRIALS, P),
        lambda: scipy.stats.binom.ppf(U, TRIALS, P),
        lambda: scipy.special.bdtrik(U, TRIALS, P),
    ),
    "NegativeBinomial": (
        lambda: gf.NegativeBinomial(TRIALS, P),
        lambda: scipy.stats.nbinom.ppf(U, TRIALS, P),
        lambda: scipy.special.nbdtrik(U, TRIALS, P),
    ),
    "Normal": (lambda: gf.Normal(A, B), lambda: scipy.stats.norm.ppf(U, A, B), lambda: scipy.special.ndtri(U)),
}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_icdf_genfast(benchmark, threads, name, count):
    threads(count)
    d, out = FAMILIES[name][0](), np.empty(QUANTILES)
    note(benchmark, f"icdf, every element its own parameters: {name}", "genfast", QUANTILES, count)
    timed(benchmark, lambda: d.icdf(U, out=out), 30)


@pytest.mark.parametrize("side", ["scipy.stats", "scipy.special"])
@pytest.mark.parametrize("name", FAMILIES)
def test_icdf_scipy(benchmark, threads, name, side):
    function = FAMILIES[name][1 if side == "scipy.stats" else 2]
    note(benchmark, f"icdf, every element its own parameters: {name}", side, QUANTILES)
    timed(benchmark, function, 5)
