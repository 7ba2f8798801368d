"""One thread on both sides unless a benchmark says otherwise, and the machine written into the results."""

from __future__ import annotations

import platform
import subprocess
import tempfile
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
