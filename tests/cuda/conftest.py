"""Tests of genfast._cuda are skipped where it was not built, those marked `gpu` where there is no GPU: with the reason.

GENFAST_TEST_CUDA=1, which CI sets where it has built the module, makes its absence an error.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genfast import DeviceError
from genfast.devices import extension, why_unavailable

HERE = Path(__file__).parent


def reasons() -> tuple[str, str]:
    """Why tests of the module, and why tests on a GPU, cannot run; empty where they can."""
    try:
        extension()
    except DeviceError as error:
        if os.environ.get("GENFAST_TEST_CUDA") == "1":
            raise pytest.UsageError(f"GENFAST_TEST_CUDA=1, but {error}") from None
        return str(error), str(error)
    return "", why_unavailable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if HERE in item.path.parents]
    if not own:
        return
    module, gpu = reasons()
    for item in own:
        why = gpu if item.get_closest_marker("gpu") else module
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def cuda():
    """The module genfast._cuda."""
    return extension()


@pytest.fixture
def benchmark_file(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a file of benchmarks/ by its name, with those beside it in reach."""
    monkeypatch.syspath_prepend(HERE.parents[1] / "benchmarks")
    return importlib.import_module
