"""One thread on both sides unless a benchmark says otherwise, and the machine written into the results."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import genfast as gf


def cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def fma_peak() -> float:
    """GFLOP/s of one core, measured by benchmarks/fma_peak.cc; 0 without a compiler."""
    source = Path(__file__).parent / "fma_peak.cc"
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "fma_peak"
        try:
            subprocess.run(["g++", "-O2", str(source), "-o", str(binary)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return 0.0
        return max(float(subprocess.run([binary], check=True, capture_output=True).stdout) for _ in range(3))


@pytest.fixture(scope="session")
def peak() -> float:
    return fma_peak()


@pytest.fixture(scope="session")
def fma_rate(tmp_path_factory) -> Callable[[], float]:
    """GFLOP/s of FMAs without memory, now: what the core's clock allows, which falls while loads and FMAs run together.

    0 without a compiler.
    """
    library = tmp_path_factory.mktemp("fma") / "fma_rate.so"
    source = Path(__file__).parent / "fma_rate.cc"
    try:
        subprocess.run(["g++", "-O2", "-shared", "-fPIC", source, "-o", library], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return lambda: 0.0
    rate = ctypes.CDLL(str(library)).fma_rate
    rate.restype = ctypes.c_double
    return rate


@pytest.fixture
def threads():
    """threads(n): n on both sides, for this benchmark; otherwise one."""

    def use(n: int) -> None:
        gf.set_num_threads(n)
        torch.set_num_threads(n)

    use(1)
    yield use
    use(1)


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["genfast"] = {
        "cpu": cpu_name(),
        "target": gf.cpu_target(),
        "torch": torch.__version__,
        "torch_isa": torch.backends.cpu.get_cpu_capability(),
        "fma_peak_gflops": fma_peak(),
    }


def pytest_report_header(config):
    isa = torch.backends.cpu.get_cpu_capability()
    return f"CPU {cpu_name()}, genfast target {gf.cpu_target()}, torch {torch.__version__} ({isa})"
