"""What of benchmarks/bench_cuda_decode.py needs no GPU: its cases, its arithmetic, and what it says without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import genfast as gf
from genfast.devices import why_unavailable

FILE = Path(__file__).parents[2] / "benchmarks" / "bench_cuda_decode.py"


@pytest.fixture
def bench(benchmark_file: Callable[[str], Any]) -> Any:
    return benchmark_file("bench_cuda_decode")


def test_cases(bench: Any) -> None:
    titles = [bench.title(case) for case in bench.cases()]
    assert len(set(titles)) == len(titles) == 10 and "128x15, batch 8192" in titles and "gpt2, batch 64" in titles


def test_multiply_adds_are_the_plan_s(bench: Any) -> None:
    found = bench.multiply_adds(gf.load("digits-independent"))
    assert found >= 0 and bench.multiply_adds(gf.load("digits")) > 1_000_000


def test_floors(bench: Any) -> None:
    # 1e9 multiply-adds at 4e12 FLOP/s are 0.5 ms; 3e8 bytes at 1e12 a second 0.3 ms.
    floors = bench.shares(10**9, 3 * 10**8, 1e-3, peak=4e12, bandwidth=1e12)
    assert floors == {"of_operations": pytest.approx(0.5), "of_bytes": pytest.approx(0.3)}
    row = bench.row({"model": "64x8", "batch": 1}, "genfast f32", [2e-3, 1e-3, 4e-3], **floors)
    assert (row["median_ms"], row["least_ms"], row["most_ms"]) == (2, 1, 4)
    text = bench.table([row])
    assert text.startswith("64x8, batch 1\n") and "50.0 % of the floor of operations" in text


def test_naive_loop_visits_every_pixel(bench: Any) -> None:
    torch = pytest.importorskip("torch")
    x = torch.full((2, 1, 28, 28), -1.0)
    bench.sample_naively(lambda x: torch.zeros(2, 256, 28, 28), x)
    assert bool(((x >= 0) & (x <= 1)).all()) and x.std() > 0.2


def test_without_a_gpu_it_says_so() -> None:
    if not why_unavailable():
        pytest.skip("there is a GPU")
    run = subprocess.run([sys.executable, FILE], capture_output=True, text=True, check=False)
    assert run.returncode == 2 and run.stderr.startswith("nothing is measured: ") and not run.stdout
    listed = subprocess.run([sys.executable, FILE, "--list"], capture_output=True, text=True, check=True)
    assert "64x8, batch 1024" in listed.stdout
