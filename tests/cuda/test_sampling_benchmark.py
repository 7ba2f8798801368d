"""What of benchmarks/bench_cuda_sampling.py needs no GPU: its cases, its arithmetic, and what it says without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genfast.devices import why_unavailable

FILE = Path(__file__).parents[2] / "benchmarks" / "bench_cuda_sampling.py"


@pytest.fixture
def bench(benchmark_file: Callable[[str], Any]) -> Any:
    return benchmark_file("bench_cuda_sampling")


def test_cases_have_titles_of_their_own(bench: Any) -> None:
    titles = [bench.title(case) for case in bench.cases()]
    assert len(set(titles)) == len(titles) and "256 rows of 131072 float32" in titles


def test_shares_of_the_bandwidth(bench: Any) -> None:
    case = {"what": "categorical", "rows": 10, "columns": 998, "dtype": "float32", "filters": {}}
    assert bench.bytes_of(case) == 40_000
    row = bench.summary(case, "genfast", [2.0, 1.0, 4.0], bandwidth=4e7)
    assert (row["median_us"], row["least_us"], row["most_us"], row["read"]) == (2000, 1000, 4000, 0.5)
    slower = bench.summary(case, "multinomial", [8.0], bandwidth=4e7)
    text = bench.table([slower, row]).splitlines()
    assert text[0] == "10 rows of 998 float32" and "genfast" in text[1] and "50.0 %" in text[1] and "multin" in text[2]


def test_it_lists_its_cases_and_says_why_it_measures_nothing() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, FILE, *arguments], capture_output=True, text=True)

    assert run("--list", "--only", "Gamma").stdout.splitlines() == [
        "Gamma.icdf of 16777216 float32",
        "Gamma.icdf of 16777216 float64",
    ]
    if why_unavailable():
        found = run("--only", "nothing of this name")
        assert found.returncode == 2 and found.stderr.startswith("nothing is measured: ")
