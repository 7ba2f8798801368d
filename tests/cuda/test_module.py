"""genfast._cuda itself: it imports anywhere, tells what there is, and its errors are typed and say what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import genfast as gf
from genfast.devices import resolve, why_unavailable


def test_importing_it_touches_no_driver(cuda) -> None:
    code = (
        "import genfast._cuda\n"
        "maps = open('/proc/self/maps').read()\n"
        "print([name for name in ('libcuda.so', 'libcudart.so', 'libnvidia') if name in maps])"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_it_needs_no_cuda_library(cuda) -> None:
    listed = subprocess.run(["ldd", cuda.__file__], capture_output=True, text=True, check=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    assert [name for name in names if name.startswith("libc.so")]
    assert not [name for name in names if "cu" in name or "nv" in name]


def test_what_there_is_agrees_with_why_there_is_nothing(cuda) -> None:
    names = [device.name for device in gf.devices()]
    if why_unavailable():
        assert names == ["cpu"]
        with pytest.raises(gf.DeviceError, match="'cuda' cannot be had"):
            resolve("cuda")
    else:
        assert names[1].startswith("cuda:") and resolve(names[1]) == names[1]
    assert resolve("cuda-emulated") == "cuda-emulated"


def test_a_build_with_nvcc_asks_the_driver(cuda) -> None:
    if cuda.oldest_capability is None:
        pytest.skip("genfast was built without nvcc")
    survey = cuda.survey()
    assert survey.runtime >= 12000
    assert survey.driver >= 0
    assert (survey.error == "") == (survey.meaning == "")
    assert not survey.devices or survey.driver


def test_failures_name_the_call_the_step_and_what_cuda_says(cuda) -> None:
    with pytest.raises(gf.DeviceError) as failed:
        cuda.fail("decode kernel", "step 7 (gemm 'out.3')", "cudaErrorIllegalAddress", "an illegal access", True)
    assert str(failed.value) == (
        "decode kernel, step 7 (gemm 'out.3'): cudaErrorIllegalAddress (an illegal access); "
        "CUDA cannot be used any more in this process: start a new one"
    )
    with pytest.raises(gf.DeviceError, match=r"^cudaMalloc: cudaErrorX \(x\)$"):
        cuda.fail("cudaMalloc", "", "cudaErrorX", "x", False)


def test_out_of_memory_says_how_much_and_what_needs_less(cuda) -> None:
    with pytest.raises(gf.DeviceMemoryError) as failed:
        cuda.fail_memory(3 << 30, "activations of 4096 rows", 1 << 30, 8 << 30, "use a tile of 1024 rows")
    assert str(failed.value) == (
        "the device has no 3072.0 MiB (3221225472 bytes) for activations of 4096 rows: "
        "1024.0 MiB of 8192.0 MiB are free; use a tile of 1024 rows"
    )
    assert isinstance(failed.value, MemoryError) and isinstance(failed.value, gf.DeviceError)


@pytest.mark.gpu
def test_the_gpus_of_this_machine(cuda) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA to compare with")
    for gpu in cuda.survey().devices:
        properties = torch.cuda.get_device_properties(gpu.index)
        assert gpu.name == properties.name
        assert gpu.capability == (properties.major, properties.minor)
        assert gpu.memory == properties.total_memory
        assert gpu.processors == properties.multi_processor_count
