"""Models on a real GPU: the CPU's bits in f32, the same bits again and again, and what the fast mode costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families.catalogue import FAMILIES, build  # noqa: E402
from outputs_for_tests import feed_forward, iterated, load  # noqa: E402

import genfast as gf  # noqa: E402

pytestmark = pytest.mark.gpu
N = 300


def condition_of(model: gf.Model, n: int) -> dict[str, Any] | None:
    return {c["name"]: np.arange(n) % c["size"] for c in model.conditions if c["dtype"] == "int"} or None


@pytest.mark.parametrize("name", list(gf.models()))
def test_bundled_models(name: str) -> None:
    model = gf.load(name)
    there, condition = model.to("cuda"), condition_of(model, N)
    if not model._core.has_distribution:
        x = np.random.default_rng(0).random((N, *model.input_shape), np.float32)
        assert there.apply(x, condition=condition).tobytes() == model.apply(x, condition=condition).tobytes()
        return
    n = 8 if model.is_tokens else N
    x = model.sample(n, rng=0, condition=condition_of(model, n))
    assert there.sample(n, rng=0, condition=condition_of(model, n)).tobytes() == x.tobytes()
    if model.output_shape is None:
        condition = condition_of(model, n)
        assert there.log_prob(x, condition=condition).tobytes() == model.log_prob(x, condition=condition).tobytes()


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    family = build(name)
    model = family.compile()
    there = model.to("cuda")
    for rows in (1, 7, 64):
        condition = family.condition(rows) or None
        x = model.sample(rows, rng=1, condition=condition)
        assert there.sample(rows, rng=1, condition=condition).tobytes() == x.tobytes()
        for what in ("log_prob", "logits"):
            found, want = (getattr(m, what)(x, condition=condition) for m in (there, model))
            assert found.tobytes() == want.tobytes(), what


@pytest.mark.parametrize("precision", ["f32", "fast"])
def test_a_thousand_runs(precision: str) -> None:
    model = gf.load("digits").to("cuda", precision=precision)
    want = model.sample(64, rng=0, condition={"label": 3})
    for _ in range(1000):
        assert np.array_equal(model.sample(64, rng=0, condition={"label": 3}), want)


@pytest.mark.parametrize("precision", ["f32", "fast"])
def test_any_batch(precision: str) -> None:
    model = gf.load("digits").to("cuda", precision=precision)
    label = np.arange(1000) % 10
    want = model.sample(1000, rng=5, condition={"label": label})
    for first, rows in [(0, 1), (1, 7), (64, 64), (500, 500)]:
        part = model.sample(rows, rng=5, first_row=first, condition={"label": label[first : first + rows]})
        assert np.array_equal(part, want[first : first + rows])


def test_threads_at_once() -> None:
    model = gf.load("digits").to("cuda")
    want = [model.sample(50, rng=seed, condition={"label": seed}) for seed in range(4)]
    found: list[Any] = [None] * 4

    def draw(seed: int) -> None:
        for _ in range(20):
            found[seed] = model.sample(50, rng=seed, condition={"label": seed})

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(found, want, strict=True))


# ---- tensors


def on_gpu(x: np.ndarray) -> Any:
    return torch.from_numpy(x).cuda()


def equal(found: Any, want: np.ndarray) -> bool:
    assert found.is_cuda
    here = found.cpu().numpy()
    return here.dtype == want.dtype and here.shape == want.shape and here.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", FAMILIES)
def test_tensors(name: str) -> None:
    family = build(name)
    model = family.compile()
    there = model.to("cuda")
    for rows in (1, 7, 64):
        condition = family.condition(rows)
        x, u = (
            model.sample(rows, rng=1, condition=condition or None),
            np.random.default_rng(0).random((rows, model.sites)),
        )
        know = {"condition": {key: on_gpu(value) for key, value in condition.items()} or None, "check": "raise"}
        how = {"condition": condition or None}
        assert equal(there.sample(rows, u=on_gpu(u), **know), model.sample(rows, u=u, **how))
        for method in ("log_prob", "bits_per_dim", "logits"):
            assert equal(getattr(there, method)(on_gpu(x), **know), getattr(model, method)(x, **how)), method
        for found, want in zip(there.rosenblatt(on_gpu(x), **know), model.rosenblatt(x, **how), strict=True):
            assert equal(found, want)
        half = np.zeros(model.sites, bool)
        half[(np.arange(model.sites) if family.order is None else family.order)[: model.sites // 2]] = True
        half = half.reshape(model.input_shape)
        found = there.complete(on_gpu(x), known=half, u=on_gpu(u), **know)
        assert equal(found, model.complete(x, known=half, u=u, **how))


def test_large_batches_of_tensors() -> None:
    model = gf.load("digits")
    label = np.arange(20_000) % 10
    found = model.to("cuda").sample(20_000, rng=0, condition={"label": on_gpu(label)}, check="raise")
    assert equal(found, model.sample(20_000, rng=0, condition={"label": label}))


def test_outputs_and_rounds_of_tensors() -> None:
    for seed in range(10):
        for model in (load(feed_forward(seed, False)), load(iterated(seed, False, 2))):
            u, c = np.random.default_rng(seed).random((50, model.uniforms)), np.zeros((50, 3), np.float32)
            want = model.sample(50, u=u, condition={"c": c}, return_latent=True)
            found = model.to("cuda").sample(50, u=on_gpu(u), condition={"c": on_gpu(c)}, return_latent=True)
            assert all(map(equal, found, want))


def test_failed_rows_of_tensors() -> None:
    model, label = gf.load("digits"), torch.arange(300, device="cuda") % 10
    label[123] = 10
    there = model.to("cuda")
    found, good = there.sample(300, rng=0, condition={"label": label}, check="mask")
    assert torch.nonzero(~good).tolist() == [[123]] and not found[123].any() and found[122].any()
    with pytest.raises(ValueError, match=r"condition 'label' must be from 0 to 9, got 10 at \[123\]"):
        there.sample(300, rng=0, condition={"label": label}, check="raise")


def test_nothing_waits_for_the_device() -> None:
    model = gf.load("digits").to("cuda", arrays="torch")
    label, u = torch.arange(64, device="cuda") % 10, torch.rand(64, 64, device="cuda", dtype=torch.float64)
    x, half = torch.zeros(64, 1, 8, 8, device="cuda", dtype=torch.int64), np.arange(64).reshape(8, 8) < 32

    def calls() -> None:
        model.sample(64, rng=0, condition={"label": 3})
        model.sample(64, u=u, condition={"label": label}, temperature=0.7, top_k=5, check="mask")
        model.complete(x, known=half, u=u, condition={"label": label})
        model.log_prob(x, condition={"label": label})
        model.bits_per_dim(x, condition={"label": label})
        model.rosenblatt(x, condition={"label": label})
        model.inverse_rosenblatt((u, u), condition={"label": label})
        model.logits(x, condition={"label": label})

    calls()
    torch.cuda.synchronize()
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        calls()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    # PyTorch sees its own waiting only: a stream that sleeps shows whether anybody waits for it.
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(2_000_000_000)
        calls()
        assert not stream.query()
    stream.synchronize()


def test_streams_of_tensors() -> None:
    model = gf.load("digits")
    there, label = model.to("cuda"), np.arange(200) % 10
    u = [np.random.default_rng(seed).random((200, 64)) for seed in range(4)]
    want = [model.sample(200, u=v, condition={"label": label}) for v in u]
    there.sample(1, rng=0, condition={"label": 3})
    streams, found = [torch.cuda.Stream() for _ in u], []
    for _ in range(3):
        for v, stream in zip(u, streams, strict=True):
            with torch.cuda.stream(stream):
                late = torch.zeros(200, 64, dtype=torch.float64, device="cuda")
                torch.cuda._sleep(20_000_000)
                late.copy_(torch.from_numpy(v).pin_memory(), non_blocking=True)
                found.append(there.sample(200, u=late, condition={"label": torch.arange(200, device="cuda") % 10}))
    torch.cuda.synchronize()
    assert all(equal(f, want[i % 4]) for i, f in enumerate(found))


@pytest.mark.parametrize("precision", ["f32", "fast"])
def test_calls_can_be_captured(precision: str) -> None:
    model = gf.load("digits").to("cuda", precision=precision)
    u, label = torch.rand(64, 64, device="cuda", dtype=torch.float64), torch.full((64,), 3, device="cuda")
    half = np.arange(64).reshape(8, 8) < 32

    def call() -> Any:
        x, good = model.sample(64, u=u, condition={"label": label}, check="mask")
        return (
            x,
            good,
            model.log_prob(x, condition={"label": label}),
            model.complete(x, known=half, u=u, condition={"label": label}),
        )

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = call()
    for seed in range(4):
        u.copy_(torch.rand(64, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
        label.fill_(11 if seed == 2 else seed)  # 11 fails, and the next replay does not
        graph.replay()
        torch.cuda.synchronize()
        replayed = [part.clone() for part in found]
        assert bool(replayed[1].all()) == (seed != 2)
        assert all(torch.equal(a, b) or a.isnan().all() for a, b in zip(replayed, call(), strict=True))


def test_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    model, label = gf.load("digits"), np.arange(50) % 10
    want = model.sample(50, rng=0, condition={"label": label})
    with cupy.cuda.Stream(non_blocking=True) as stream:
        found = model.to("cuda").sample(50, rng=0, condition={"label": cupy.asarray(label)}, check="raise")
        stream.synchronize()
    assert isinstance(found, cupy.ndarray) and np.array_equal(cupy.asnumpy(found), want)
    assert isinstance(model.to("cuda", arrays="cupy").sample(1, rng=0, condition={"label": 3}), cupy.ndarray)


# ---- both


def test_fast_mode_costs_little() -> None:
    """Over 2,000 digits. Levels of another rounding are another draw: compared by what the f32 model says of them."""
    model = gf.load("digits")
    fast, label = model.to("cuda", precision="fast"), np.arange(2000) % 10
    x, y = (m.sample(2000, rng=7, condition={"label": label}) for m in (model, fast))
    a, b = (model.bits_per_dim(z, condition={"label": label}) for z in (x, y))
    error = np.sqrt(a.var() / 2000 + b.var() / 2000)
    # Two-sided, a false alarm in 16,000 runs.
    assert abs(a.mean() - b.mean()) < 4 * error + 0.002
    assert abs(fast.bits_per_dim(x, condition={"label": label}).mean() - a.mean()) < 0.005


def test_errors_name_row_and_site() -> None:
    layer = torch.nn.Linear(4, 4)
    torch.nn.init.ones_(layer.weight)
    model = gf.compile(layer, torch.zeros(1, 4), latent="given").to("cuda")
    with pytest.raises(gf.NumericalError, match=r"row 1, element 0 of the output is not finite"):
        model.apply(np.array([[0] * 4, [3e38] * 4], np.float32))


@pytest.mark.skipif(not os.environ.get("COMPUTE_SANITIZER"), reason="set COMPUTE_SANITIZER to its path")
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_sanitizers(tool: str) -> None:
    code = (
        "import genfast as gf; "
        "[m.sample(9, rng=0) for p in ('f32', 'fast') for m in [gf.load('digits-made').to('cuda', precision=p)]]"
    )
    command = [os.environ["COMPUTE_SANITIZER"], "--tool", tool, "--error-exitcode", "9"]
    command += [sys.executable, "-P", "-c", code]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
