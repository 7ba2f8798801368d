"""gf.NumericalInverse against SciPy's FastGeneratorInversion, one thread, evaluation of icdf at given uniforms.

    pytest benchmarks/bench_numerical_inverse.py --benchmark-json=results.json

Each size is a whole call from Python. genfast at u_error 1e-12, SciPy at its default of 1e-10.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats as st
from scipy.stats.sampling import FastGeneratorInversion

import genfast as gf

DISTRIBUTIONS = {"normal": st.norm(), "gamma 2.5": st.gamma(2.5), "beta 2 3.5": st.beta(2, 3.5)}
SIZES = [1_000, 100_000, 1_000_000]
MADE: dict[str, tuple] = {}


def made(name):
    if name not in MADE:
        truth = DISTRIBUTIONS[name]
        MADE[name] = gf.NumericalInverse(truth), FastGeneratorInversion(truth)
    return MADE[name]


def note(benchmark, name, size, side, **extra):
    benchmark.group = f"NumericalInverse icdf: {name}, {size} elements"
    benchmark.extra_info.update(side=side, n=max(size, 1), **extra)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
class TestOneThread:
    def test_genfast(self, benchmark, threads, name, size):
        d, _ = made(name)
        u, out = np.random.default_rng(0).random(size), np.empty(size)
        note(benchmark, name, size, "genfast", u_error=float(d.u_error))
        benchmark.pedantic(d.icdf, (u,), {"out": out}, rounds=30_000_000 // size // 3, warmup_rounds=3)

    def test_scipy(self, benchmark, threads, name, size):
        _, d = made(name)
        u = np.random.default_rng(0).random(size)
        note(benchmark, name, size, "scipy")
        benchmark.pedantic(d.ppf, (u,), rounds=3_000_000 // size // 3 + 3, warmup_rounds=1)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_sample(benchmark, threads, name):
    """The uniforms included."""
    d, _ = made(name)
    note(benchmark, name, 1_000_000, "genfast.sample, uniforms included")
    benchmark.pedantic(d.sample, (1_000_000,), {"rng": 0}, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_construction(benchmark, threads, name):
    note(benchmark, name, 0, "genfast, construction")
    benchmark.pedantic(gf.NumericalInverse, (DISTRIBUTIONS[name],), rounds=5, warmup_rounds=1)


def test_construction_of_a_thousand_rows(benchmark, threads):
    params = np.linspace(-3, 3, 1000), np.linspace(0.5, 2, 1000)
    note(benchmark, "normal", 1000, "genfast, construction of rows")
    pdf = lambda x, a, b: np.exp(-0.5 * ((x - a) / b) ** 2)
    benchmark.pedantic(gf.NumericalInverse, (), {"pdf": pdf, "params": params}, rounds=2)
