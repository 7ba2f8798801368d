"""Sampling on a real GPU: the CPU's bits, streams, graphs, and no waiting."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from sampling_for_tests import FILTERS, FUNCTIONS, PARAMETERS, SHAPES, arguments, spoilt, structured

import genfast as gf
from genfast import _core

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def torch() -> Any:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    return torch


def equal(found: Any, expected: Any) -> bool:
    """Bit for bit; `found` is a tensor on a GPU."""
    assert found.is_cuda
    a, b = found.cpu().numpy(), np.asarray(expected)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("family", [name for name, _, _ in _core.distributions.families()])
def test_families(torch: Any, family: str) -> None:
    for values, function in product(PARAMETERS[family], FUNCTIONS):
        d = getattr(gf, family)(*values)
        x = arguments(family, function, [np.array([value]) for value in values])
        with np.errstate(over="ignore"):
            both = (x, x.astype(np.float32))
        for given, dtype in product(both, ("float32", "float64")):
            found = getattr(d, function)(torch.from_numpy(given).cuda(), dtype=dtype)
            assert equal(found, getattr(d, function)(given, dtype=dtype)), (values, function, given.dtype, dtype)
    big = d.sample((1 << 20,), rng=5, device="cuda")
    assert equal(big, d.sample((1 << 20,), rng=5))


@pytest.mark.parametrize("family", [name for name, _, _ in _core.distributions.families()])
def test_parameters(torch: Any, family: str) -> None:
    make, sets = getattr(gf, family), np.array(PARAMETERS[family]).T
    u = np.random.default_rng(0).random((700, sets.shape[1]))
    here, there = make(*sets), make(*(torch.from_numpy(column.copy()).cuda() for column in sets))
    x = here.icdf(u)
    for function in FUNCTIONS:
        for given in (u, u.astype(np.float32)) if function in ("icdf", "iccdf") else (x,):
            assert equal(getattr(there, function)(torch.from_numpy(given).cuda()), getattr(here, function)(given))
    assert equal(there.sample(1000, rng=5, dtype="float32"), here.sample(1000, rng=5, dtype="float32"))
    spoilt = [torch.from_numpy(np.append(column, np.nan)).cuda() for column in sets]
    found = make(*spoilt).sample(9, rng=1)
    assert found[:, -1].isnan().all() and not found[:, :-1].isnan().any()
    assert "on cuda:0" in repr(there)


def test_half_precision_parameters(torch: Any) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        loc, scale = torch.randn(5).to(dtype), (torch.rand(3, 1) + 0.5).to(dtype)
        expected = gf.Normal(loc, scale).sample(40, rng=1)
        assert equal(gf.Normal(loc.cuda(), scale.cuda()).sample(40, rng=1), expected)


def test_numerical_inverse(torch: Any) -> None:
    d = gf.NumericalInverse(logpdf=lambda x, rate: -rate * x, params=[[1.0, 2.0, 5.0]], domain=(0, np.inf))
    assert equal(d.sample(100_000, rng=2, device="cuda"), d.sample(100_000, rng=2))
    u = np.concatenate([np.geomspace(5e-324, 1, 999), [0.0]])[:, None] * np.ones(3)
    assert equal(d.iccdf(torch.from_numpy(u).cuda()), d.iccdf(u))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(("rows", "columns", "draws"), [*SHAPES, (5, 131_072, 3), (2, 1_000_003, 2), (5000, 100, 1)])
def test_rows(torch: Any, rows: int, columns: int, draws: int, dtype: str) -> None:
    z = spoilt(np.random.default_rng(columns).standard_normal((rows, columns)) * 4)
    logits = torch.from_numpy(z).to(getattr(torch, dtype))
    for temperature in (1.0, np.linspace(0.5, 3, rows)):
        expected, good = gf.Categorical(logits, temperature=temperature).sample(draws, rng=3, check="mask")
        found, valid = gf.Categorical(logits.cuda(), temperature=temperature).sample(draws, rng=3, check="mask")
        assert equal(found, expected) and equal(valid, good)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("style", ["smooth", "equal", "ties", "eighths", "halving", "sparse"])
def test_filters(torch: Any, style: str, dtype: str) -> None:
    for (rows, columns), (top_k, top_p, min_p) in product([(5, 10), (6, 700), (3, 50_257)], FILTERS):
        logits = torch.from_numpy(structured(style, rows, columns)).to(getattr(torch, dtype))
        options = {"top_k": top_k, "top_p": top_p, "min_p": min_p}
        expected, _ = gf.Categorical(logits, **options).sample(50, rng=3, check="mask")
        found, _ = gf.Categorical(logits.cuda(), **options).sample(50, rng=3, check="mask")
        assert equal(found, expected), (rows, columns, options)


def test_weights_and_tables(torch: Any) -> None:
    p = torch.rand(7, 3000)
    for options in ({}, {"temperature": 0.7}, {"top_k": 50, "top_p": 0.9}):
        expected = gf.Categorical(probs=p, **options).sample(20, rng=1)
        assert equal(gf.Categorical(probs=p.cuda(), **options).sample(20, rng=1), expected)
    d = gf.Categorical(p[0].log(), top_k=100)
    assert equal(d.sample(100_000, rng=1, device="cuda"), d.sample(100_000, rng=1))


def test_bad_rows_raise_when_asked(torch: Any) -> None:
    z = torch.zeros(4, 9, device="cuda")
    z[2, 1] = float("nan")
    assert gf.Categorical(z).sample(rng=0)[2] == -1
    with pytest.raises(gf.NumericalError, match="row 2"):
        gf.Categorical(z).sample(rng=0, check="raise")


def test_nothing_waits_for_the_device(torch: Any) -> None:
    u, z, n = torch.rand(1000, device="cuda"), torch.randn(64, 500, device="cuda"), gf.Normal([0.0, 1.0], 1)
    n.sample(500, rng=0, device="cuda")
    loc, scale = torch.zeros(1000, dtype=torch.float16, device="cuda"), torch.ones(2, 1, device="cuda")
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        gf.Normal(0, 1).icdf(u)
        n.icdf(u.reshape(500, 2))
        there = gf.Normal(loc, scale)
        there.icdf(u)
        assert "on cuda:0" in repr(there) and there == there
        assert there.sample(3, rng=0).shape == (3, 2, 1000)
        gf.Categorical(z, top_p=0.9).sample(rng=0)
        gf.Categorical(z).icdf(u[:64])
    finally:
        torch.cuda.set_sync_debug_mode(before)
    # PyTorch sees its own waiting only: a stream that sleeps shows whether anybody waits for it.
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(200_000_000)
        gf.Normal(0, 1).icdf(u)
        gf.Categorical(z, top_k=5).sample(rng=0)
        assert not stream.query()
    stream.synchronize()


def test_work_is_in_the_order_of_the_current_stream(torch: Any) -> None:
    streams = [torch.cuda.Stream() for _ in range(4)]
    expected = gf.Gamma(2.5, 1).icdf(np.full(1 << 18, 0.25))
    results = []
    for stream in streams:
        with torch.cuda.stream(stream):
            u = torch.zeros(1 << 18, dtype=torch.float64, device="cuda")
            torch.cuda._sleep(20_000_000)
            u.fill_(0.25)
            results.append(gf.Gamma(2.5, 1).icdf(u))
    torch.cuda.synchronize()
    assert all(equal(found, expected) for found in results)


def test_arrays_need_not_be_on_the_current_device(torch: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    u = torch.rand(1000, dtype=torch.float64).to("cuda:1")
    with torch.cuda.device(0):
        found = gf.Normal(0, u + 1).icdf(u)
        assert torch.cuda.current_device() == 0
    assert found.device == u.device and equal(found, gf.Normal(0, u.cpu().numpy() + 1).icdf(u.cpu().numpy()))


def test_calls_can_be_captured(torch: Any) -> None:
    u, z = torch.rand(1000, device="cuda"), torch.randn(64, 500, device="cuda")
    d = gf.NumericalInverse(pdf=lambda x: np.exp(-(x**4)))
    loc = torch.randn(1000, device="cuda").to(torch.bfloat16)
    normal = gf.Normal(loc, u + 1)

    def calls() -> list[Any]:
        filtered = gf.Categorical(z, top_k=50, top_p=0.9)
        own = [normal.icdf(u), normal.sample(5, rng=1)]
        return [*own, gf.Gamma(2, 1).icdf(u), d.icdf(u), gf.Categorical(z).sample(rng=7), filtered.sample(3, rng=7)]

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        calls()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = calls()
    for _ in range(3):
        u.copy_(torch.rand(1000))
        z.copy_(torch.randn(64, 500))
        loc.copy_(torch.randn(1000))
        graph.replay()
        assert all(torch.equal(a, b) for a, b in zip(captured, calls(), strict=True))


def test_a_thousand_runs_are_the_same(torch: Any) -> None:
    z = torch.randn(300, 1000, device="cuda")
    d, filtered = gf.Categorical(z), gf.Categorical(z, top_p=0.9)
    first = d.sample(rng=1), filtered.sample(rng=1)
    for _ in range(1000):
        assert torch.equal(d.sample(rng=1), first[0]) and torch.equal(filtered.sample(rng=1), first[1])


def test_two_devices(torch: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    u = torch.rand(100, device="cuda:1")
    assert gf.Normal(0, 1).icdf(u).device == u.device and equal(gf.Normal(0, 1).icdf(u), gf.Normal(0, 1).icdf(u.cpu()))
    assert torch.cuda.current_device() == 0
    with pytest.raises(ValueError, match="u is on cuda:1 and out on cuda:0"):
        gf.Normal(0, 1).icdf(u, out=torch.zeros(100, device="cuda:0"))


def test_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    u = np.random.default_rng(0).random((1000, 3))
    d = gf.Gamma([1.0, 2.0, 3.0], 2.0)
    found = d.icdf(cupy.asarray(u))
    assert isinstance(found, cupy.ndarray) and cupy.asnumpy(found).tobytes() == d.icdf(u).tobytes()
    z = np.random.default_rng(0).standard_normal((50, 100)).astype(np.float32)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        levels = gf.Categorical(cupy.asarray(z)).sample(9, rng=1)
        stream.synchronize()
    assert np.array_equal(cupy.asnumpy(levels), gf.Categorical(z).sample(9, rng=1))
