"""Categorical draws from logits against PyTorch and SciPy, whole calls from Python, one thread on both sides.

    pytest benchmarks/bench_categorical.py --benchmark-json=benchmarks/results/categorical.json

"searchsorted" is softmax, cumsum, rand and searchsorted; "multinomial" is softmax and torch.multinomial.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats.sampling import DiscreteAliasUrn

import genfast as gf

SHAPES = [(1, 256), (64, 256), (256, 256), (4096, 256), (64, 4096), (1, 50_257), (32, 131_072)]
SIDES = ["genfast", "genfast, torch tensors", "searchsorted", "multinomial"]


def logits(rows, columns, dtype=np.float32):
    return (2 * np.random.default_rng(rows + columns).normal(size=(rows, columns))).astype(dtype)


def note(benchmark, group, side, **extra):
    benchmark.group = group
    benchmark.extra_info.update(side=side, **extra)


def searchsorted(z):
    f = torch.softmax(z, -1).cumsum(-1)
    return torch.searchsorted(f, torch.rand(len(f), 1)).squeeze(-1)


def multinomial(z):
    return torch.multinomial(torch.softmax(z, -1), 1)


def named(filters):
    return ", ".join(f"{name} {value}" for name, value in filters.items())


def rounds(rows, columns):
    return int(np.clip(2e8 / (rows * columns + 2e4), 7, 2000))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("rows", "columns"), SHAPES)
def test_rows(benchmark, threads, rows, columns, side):
    z = logits(rows, columns)
    tensor = torch.from_numpy(z)
    call = {
        "genfast": lambda: gf.Categorical(z).sample(rng=0),
        "genfast, torch tensors": lambda: gf.Categorical(tensor).sample(rng=0),
        "searchsorted": lambda: searchsorted(tensor),
        "multinomial": lambda: multinomial(tensor),
    }[side]
    note(benchmark, f"categorical: {rows} rows of {columns}", side, n=rows)
    benchmark.pedantic(call, rounds=rounds(rows, columns), iterations=5 if rows * columns < 1e5 else 1, warmup_rounds=3)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_other_types(benchmark, threads, dtype):
    z = torch.from_numpy(logits(32, 50_257)).to(getattr(torch, dtype))
    note(benchmark, f"categorical: 32 rows of 50257, {dtype}", "genfast", n=32)
    benchmark.pedantic(lambda: gf.Categorical(z).sample(rng=0), rounds=50, warmup_rounds=3)


@pytest.mark.parametrize("filters", [{"top_k": 50}, {"top_p": 0.95}, {"min_p": 0.05}, {"top_k": 50, "top_p": 0.9}])
def test_filters(benchmark, threads, filters):
    z = logits(8, 50_257)
    note(benchmark, f"categorical: 8 rows of 50257, {named(filters)}", "genfast", n=8)
    benchmark.pedantic(lambda: gf.Categorical(z, **filters).sample(rng=0), rounds=50, warmup_rounds=3)


def test_torch_top_k(benchmark, threads):
    z = torch.from_numpy(logits(8, 50_257))

    def top_k():
        value, index = torch.topk(z, 50)
        return index.gather(1, multinomial(value))

    note(benchmark, "categorical: 8 rows of 50257, top_k 50", "torch topk, multinomial", n=8)
    benchmark.pedantic(top_k, rounds=50, warmup_rounds=3)


def test_torch_top_p(benchmark, threads):
    z = torch.from_numpy(logits(8, 50_257))

    def top_p():
        value, index = torch.sort(z, descending=True)
        p = torch.softmax(value, -1)
        p[p.cumsum(-1) - p > 0.95] = 0
        return index.gather(1, torch.multinomial(p, 1))

    note(benchmark, "categorical: 8 rows of 50257, top_p 0.95", "torch sort, multinomial", n=8)
    benchmark.pedantic(top_p, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("columns", [4, 100, 1000, 100_000])
@pytest.mark.parametrize("side", ["genfast", "DiscreteAliasUrn"])
def test_many_draws_of_one_row(benchmark, threads, side, columns):
    p = np.random.default_rng(0).random(columns)
    p /= p.sum()
    if side == "genfast":
        d = gf.Categorical(probs=p)
        call = lambda: d.sample(1_000_000, rng=0)
    else:
        urn = DiscreteAliasUrn(p, random_state=0)
        call = lambda: urn.rvs(1_000_000)
    note(benchmark, f"categorical: 1e6 draws of one row of {columns}", side, n=1_000_000)
    benchmark.pedantic(call, rounds=20, warmup_rounds=2)
