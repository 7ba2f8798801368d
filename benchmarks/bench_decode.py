"""Incremental sampling against PyTorch, f32, the same threads on both sides.

    pytest benchmarks/bench_decode.py --benchmark-json=benchmarks/results/decode.json
    python benchmarks/report.py benchmarks/results/decode.json --plot docs/images/decode.png

Two PixelCNNs of 28×28 pixels and 256 levels (7×7 mask A, residual blocks c → c/2 → 3×3 → c). "forward" is one PyTorch
forward pass of the whole batch: what a sampler built on the network as it stands pays 784 times. "naive" is that loop,
in full, at batch 1.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import genfast as gf
from genfast.zoo.pixelcnn import PixelCNN

MODELS = {"64x8": (64, 8), "128x15": (128, 15)}
SITES = 28 * 28
MADE: dict[str, tuple] = {}


def made(name):
    """The PyTorch model and its compiled sampler. Weights are random: speed does not depend on them."""
    if name not in MADE:
        torch.manual_seed(0)
        channels, blocks = MODELS[name]
        model = PixelCNN(256, channels, blocks).eval()
        MADE[name] = model, gf.compile(model, torch.zeros(1, 1, 28, 28), head=gf.heads.Categorical(256), name=name)
    return MADE[name]


def note(benchmark, name, batch, side, threads=1, **extra):
    benchmark.group = f"{name}, batch {batch}" + (f", {threads} threads" if threads > 1 else "")
    benchmark.extra_info.update(model=name, batch=batch, side=side, threads=threads, **extra)


def rounds(name, batch):
    return {1: 40, 16: 20, 64: 10}[batch] // (2 if name == "128x15" and batch > 1 else 1)


@pytest.mark.parametrize("batch", [1, 16, 64])
@pytest.mark.parametrize("name", MODELS)
class TestOneThread:
    def test_genfast(self, benchmark, threads, fma_rate, name, batch):
        _, compiled = made(name)
        rates = []

        def between():
            rates.append(fma_rate())
            return (batch,), {"rng": 0}

        benchmark.pedantic(compiled.sample, setup=between, rounds=rounds(name, batch), warmup_rounds=2)
        rate = statistics.median(rates[2:])
        note(benchmark, name, batch, "genfast", multiply_adds=multiply_adds(compiled), fma_rate_between_rounds=rate)

    @pytest.mark.parametrize("layout", ["default", "channels_last"])
    def test_forward(self, benchmark, threads, name, batch, layout):
        model, _ = made(name)
        x = torch.rand(batch, 1, 28, 28)
        note(benchmark, name, batch, f"forward {layout}")
        if layout == "channels_last":
            model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        try:
            with torch.inference_mode():
                benchmark.pedantic(model, (x,), rounds=max(5, rounds(name, batch) // 2), warmup_rounds=2)
        finally:
            model.to(memory_format=torch.contiguous_format)


@pytest.mark.parametrize("name", MODELS)
def test_naive_in_full_at_batch_1(benchmark, threads, name):
    model, _ = made(name)
    values = torch.arange(256, dtype=torch.float32) / 255
    u = np.random.default_rng(0).random((1, SITES))

    def naive():
        x = torch.zeros(1, 1, 28, 28)
        with torch.inference_mode():
            for site in range(SITES):
                y, column = divmod(site, 28)
                f = torch.softmax(model(x)[0, :, y, column].double(), 0).cumsum(0)
                level = int(torch.searchsorted(f, u[0, site] * f[-1]))
                x[0, 0, y, column] = values[level]
        return x

    note(benchmark, name, 1, "naive")
    benchmark.pedantic(naive, rounds=1, warmup_rounds=0)


@pytest.mark.parametrize("name", MODELS)
def test_two_threads_at_batch_64(benchmark, threads, name):
    _, compiled = made(name)
    threads(2)
    note(benchmark, name, 64, "genfast", threads=2)
    benchmark.pedantic(compiled.sample, (64,), {"rng": 0}, rounds=rounds(name, 64), warmup_rounds=2)


@pytest.mark.parametrize("name", MODELS)
def test_pixel_by_pixel_at_batch_1(benchmark, threads, name):
    """The same samples without wavefronts."""
    _, compiled = made(name)
    note(benchmark, name, 1, "genfast, no wavefronts")
    benchmark.pedantic(compiled.sample, (1,), {"rng": 0, "wavefront": False}, rounds=15, warmup_rounds=2)


@pytest.mark.parametrize("name", MODELS)
def test_load(benchmark, threads, name, tmp_path):
    _, compiled = made(name)
    path = tmp_path / "model.genfast"
    compiled.save(path)
    note(benchmark, name, 0, "load")
    benchmark.pedantic(gf.load, (path,), rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("name", MODELS)
def test_plan(benchmark, threads, name, tmp_path):
    """Planning 28×28 with wavefronts, in a fresh model each time."""
    _, compiled = made(name)
    path = tmp_path / "model.genfast"
    compiled.save(path)
    note(benchmark, name, 0, "plan")
    benchmark.pedantic(lambda core: core.plan(), setup=lambda: ((gf.load(path)._core,), {}), rounds=10, warmup_rounds=1)


def test_import(benchmark, threads):
    """What `import genfast`, and a first call after it, add to `import numpy`: medians of fresh processes."""

    def once(code):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-P", "-c", code], check=True)
        return time.perf_counter() - start

    imports = "import numpy, genfast"  # both: genfast itself loads NumPy only when it is used
    sample = f"{imports}; genfast.load('digits').sample(64, rng=0, condition={{'label': 3}})"
    times = [[once(code) for code in ("import numpy", imports, sample)] for _ in range(15)]
    over, first = (1e3 * statistics.median(run[k] - run[0] for run in times) for k in (1, 2))
    note(benchmark, "-", 0, "import", import_ms_over_numpy=over, first_sample_ms_over_numpy=first)
    benchmark.pedantic(once, (imports,), rounds=5)


def test_memory_of_ten_thousand_samples(benchmark, threads):
    """Peak memory of a process that draws 100 and then 10,000 digits."""
    code = """
import genfast as gf
def peak():  # not getrusage: that starts from the parent's peak
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
m = gf.load("digits"); condition = {"label": 3}
m.sample(100, rng=0, condition=condition); before = peak()
m.sample(10_000, rng=0, condition=condition); print(before, peak())
"""

    def once():
        return [
            int(word)
            for word in subprocess.run(
                [sys.executable, "-P", "-c", code], check=True, capture_output=True
            ).stdout.split()
        ]

    before, after = once()
    note(benchmark, "digits", 10_000, "memory", peak_mib_after_100=before, peak_mib_after_10000=after)
    benchmark.pedantic(once, rounds=2)


def multiply_adds(compiled) -> float:
    """From the plan's own account, to turn seconds into GFLOP/s."""
    line = next(line for line in compiled.explain().splitlines() if line.startswith("work"))
    number, unit = line.split()[1:3]
    return float(number) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(unit, 1.0)
