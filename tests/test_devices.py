"""What `device=` accepts, and what is said where there is no GPU; drivers and GPUs that are not here are played."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import genfast as gf
from genfast.devices import Device, resolve, why_unavailable

module = sys.modules["genfast.devices"]  # genfast.devices is the function


def gpu(index=0, name="H100", capability=(9, 0)):
    return SimpleNamespace(index=index, name=name, capability=capability, memory=80 * 2**30, processors=132)


@pytest.fixture
def driver(monkeypatch):
    """Makes genfast believe in a build with CUDA 13.0 for capability 8.0, and in what its driver tells."""

    def told(**facts):
        survey = {"runtime": 13000, "driver": 13000, "error": "", "meaning": "", "devices": [], **facts}
        fake = SimpleNamespace(oldest_capability=(8, 0), survey=lambda: SimpleNamespace(**survey))
        monkeypatch.setattr(module, "extension", lambda: fake)
        module.survey.cache_clear()

    yield told
    module.survey.cache_clear()


def absent(monkeypatch, error):
    def extension():
        raise gf.DeviceError(error)

    monkeypatch.setattr(module, "extension", extension)


def test_the_cpu_is_first_and_says_what_it_is() -> None:
    cpu = gf.devices()[0]
    assert cpu.name == "cpu" and cpu.capability is None and cpu.memory > 2**28
    assert gf.cpu_target() in cpu.description
    with pytest.raises(AttributeError):
        cpu.name = "gpu"  # type: ignore[misc]
    for device in ("cpu", torch.device("cpu"), torch.device("cpu", 0)):
        assert resolve(device) == "cpu"


def test_gpus_are_listed_and_found(driver) -> None:
    driver(devices=[gpu(), gpu(1, "T4", (7, 5)), gpu(2, "A100", (8, 0))])
    assert gf.devices()[1:] == [
        Device("cuda:0", "H100, compute capability 9.0, 132 multiprocessors", 80 * 2**30, (9, 0)),
        Device("cuda:2", "A100, compute capability 8.0, 132 multiprocessors", 80 * 2**30, (8, 0)),
    ]
    assert why_unavailable() == ""
    names = [resolve(device) for device in ("cuda", "cuda:0", "cuda:2", torch.device("cuda", 2))]
    assert names == ["cuda:0", "cuda:0", "cuda:2", "cuda:2"]
    with pytest.raises(gf.DeviceError, match=r"'cuda:1' cannot be had: .*\(T4\) .* 7\.5 is too old: .* needs 8\.0"):
        resolve("cuda:1")
    with pytest.raises(gf.DeviceError, match=r"'cuda:3' cannot be had: .* are 'cpu', 'cuda:0', 'cuda:2'$"):
        resolve(torch.device("cuda", 3))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"driver": 0, "error": "cudaErrorInsufficientDriver"}, "no NVIDIA driver is installed"),
        ({"driver": 12040, "error": "cudaErrorInsufficientDriver"}, r"supports CUDA 12\.4, and this build needs 13\.0"),
        ({"error": "cudaErrorNoDevice"}, "sees no device"),
        ({}, "sees no device"),
        ({"error": "cudaErrorSystemNotReady", "meaning": "not yet"}, r"cudaErrorSystemNotReady \(not yet\)"),
        ({"devices": [gpu(0, "V100", (7, 0))]}, r"cuda:0 \(V100\) of compute capability 7\.0 is too old"),
    ],
)
def test_why_there_is_no_gpu(driver, facts, words) -> None:
    driver(**facts)
    assert [device.name for device in gf.devices()] == ["cpu"]
    with pytest.raises(gf.DeviceError, match=f"device 'cuda' cannot be had: .*{words}"):
        resolve("cuda")
    assert resolve("cuda-emulated") == "cuda-emulated"  # needs no GPU


def test_hidden_devices_are_a_hint(driver, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    driver(error="cudaErrorNoDevice")
    assert why_unavailable() == "the NVIDIA driver sees no device (CUDA_VISIBLE_DEVICES='')"


def test_a_build_without_nvcc_has_the_emulation_alone(monkeypatch) -> None:
    monkeypatch.setattr(module, "extension", lambda: SimpleNamespace(oldest_capability=None))
    assert [device.name for device in gf.devices()] == ["cpu"]
    assert resolve("cuda-emulated") == "cuda-emulated"
    with pytest.raises(gf.DeviceError, match=r"'cuda' cannot be had: genfast was built without nvcc.*GENFAST_CUDA=1"):
        resolve("cuda")


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "cuda-emulated"])
def test_a_build_without_cuda_says_how_to_get_it(monkeypatch, name) -> None:
    monkeypatch.setitem(sys.modules, "genfast._cuda", None)
    module.extension.cache_clear()
    assert [device.name for device in gf.devices()] == ["cpu"]
    with pytest.raises(gf.DeviceError, match=f"'{name}' cannot be had: .* without CUDA; GENFAST_CUDA=1 pip"):
        resolve(name)


def test_modules_that_were_not_built_together_are_refused(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "genfast._cuda", SimpleNamespace(interface="of another source"))
    module.extension.cache_clear()
    with pytest.raises(gf.DeviceError, match=r"'cuda' cannot be had: .* from different sources: build both again"):
        resolve("cuda")


@pytest.mark.parametrize("name", ["gpu", "mps", "CUDA", "cuda:", "cuda:-1", "cuda:01", "cuda:0 ", ""])
def test_unknown_names(monkeypatch, name) -> None:
    absent(monkeypatch, "not built")
    with pytest.raises(ValueError, match=f"there is no device '{name}': the devices here are 'cpu'"):
        resolve(name)


@pytest.mark.parametrize("device", [0, None, b"cuda", SimpleNamespace(type=3)])
def test_what_is_no_name(device) -> None:
    with pytest.raises(TypeError, match="a device is a name such as"):
        resolve(device)


def test_nothing_of_cuda_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, genfast as gf; gf.Normal(0, 1).sample((3,), rng=0); gf.load('digits')\n"
        "from genfast.devices import resolve; resolve('cpu')\n"
        "print('genfast._cuda' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_the_command(driver, monkeypatch) -> None:
    testing = pytest.importorskip("click.testing")
    from genfast.cli.app import app

    def printed() -> str:
        result = testing.CliRunner().invoke(app, ["devices"])
        assert result.exit_code == 0, result.output
        return result.output

    driver(devices=[gpu()])
    lines = printed().splitlines()
    assert lines[0].startswith("cpu ") and gf.cpu_target() in lines[0]
    assert lines[1:] == ["cuda:0      80.0 GiB  H100, compute capability 9.0, 132 multiprocessors"]
    driver(driver=0)
    assert printed().splitlines()[1:] == ["no GPU: no NVIDIA driver is installed (libcuda.so.1 was not found)"]
    absent(monkeypatch, "genfast was built without CUDA")
    assert printed().splitlines()[1:] == ["no GPU: genfast was built without CUDA"]


@pytest.fixture(autouse=True)
def fresh():
    """`extension` remembers the module it found, and a test may have put another in its place."""
    yield
    if hasattr(module.extension, "cache_clear"):
        module.extension.cache_clear()
