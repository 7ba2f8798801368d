"""How genfast._cuda is built (setup_cuda.py): what is refused and what is said, with compilers that are played."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "setup_cuda.py"
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="needs the source tree")

PTXAS = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN7genfast4cuda6decodeILi32EEEvPfi' for 'sm_80'
ptxas info    : Function properties for _ZN7genfast4cuda6decodeILi32EEEvPfi
    40 bytes stack frame, 76 bytes spill stores, 92 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 40 bytes cumulative stack size, 256 bytes smem, 364 bytes cmem[0]
ptxas info    : Compile time = 15.840 ms
ptxas info    : Function properties for _ZN7genfast4cuda6helperEPfi
    0 bytes stack frame, 120 bytes spill stores, 24 bytes spill loads
ptxas info    : Compiling entry function '_ZN7genfast4cuda6decodeILi32EEEvPfi' for 'sm_90'
ptxas info    : Function properties for _ZN7genfast4cuda6decodeILi32EEEvPfi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """setup_cuda, imported as setup.py does, that writes into a folder of the test."""
    spec = importlib.util.spec_from_file_location("setup_cuda", SOURCE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "setup_cuda", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def script(path: Path, text: str) -> Path:
    """An executable that stands for nvcc."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def nvcc(path: Path, release: str = "12.4") -> Path:
    answer = f'case "$1" in --version) echo "Cuda compilation tools, release {release}, V{release}.1";; *)'
    return script(
        path,
        f"""{answer}
echo '#$ TOP=/opt/cuda/bin/..'
echo '#$ INCLUDES="-I/opt/cuda/bin/../include"  '
echo '#$ LIBRARIES=  "-L/opt/cuda/bin/../lib/stubs" "-L/opt/cuda/bin/../lib"';;
esac""",
    )


@pytest.mark.parametrize(("environ", "mode"), [({}, ""), ({"GENFAST_CUDA": ""}, ""), ({"GENFAST_CUDA": "0"}, "")])
def test_nothing_is_built_unless_asked_for(build, environ, mode) -> None:
    assert build.mode(environ) == mode


def test_modes(build) -> None:
    assert build.mode({"GENFAST_CUDA": "1"}) == "gpu"
    assert build.mode({"GENFAST_CUDA": "host"}) == "host"
    for word in ("yes", "2", "HOST", "on"):
        with pytest.raises(SystemExit, match=f"GENFAST_CUDA='{word}' is not known: 1 builds"):
            build.mode({"GENFAST_CUDA": word})


def test_architectures(build) -> None:
    assert build.architectures({}) == [80, 90]
    assert build.architectures({"GENFAST_CUDA_ARCHS": "90"}) == [90]
    assert build.architectures({"GENFAST_CUDA_ARCHS": "120; 80 90,"[:-1]}) == [80, 90, 120]
    for text in ("75", "sm_90", "9.0", "90a", "80,,", ","):
        with pytest.raises(SystemExit, match="is not a list of compute capabilities from 80 on"):
            build.architectures({"GENFAST_CUDA_ARCHS": text})
    assert build.gencode([80, 90]) == [
        "-gencode",
        "arch=compute_80,code=[sm_80]",
        "-gencode",
        "arch=compute_90,code=[sm_90,compute_90]",
    ]


def test_without_nvcc_the_message_says_what_was_tried_and_what_to_do(build, tmp_path, monkeypatch) -> None:
    real = build.output
    monkeypatch.setattr(build, "output", lambda command: None if "/usr/local" in command[0] else real(command))
    home = str(tmp_path / "cuda")
    with pytest.raises(SystemExit) as refused:
        build.find_nvcc({"CUDA_HOME": home, "PATH": str(tmp_path)})
    message = str(refused.value)
    assert f"tried {home}/bin/nvcc, /usr/local/cuda/bin/nvcc and nvcc on PATH." in message
    assert "CUDA toolkit" in message and "GENFAST_CUDA=host" in message and "CUDA_HOME" in message
    with pytest.raises(SystemExit, match=r"tried /no/nvcc\."):
        build.find_nvcc({"NVCC": "/no/nvcc", "PATH": os.environ["PATH"]})


@pytest.mark.parametrize("release", ["11.8", "10.2", "9.0"])
def test_an_old_nvcc_is_refused(build, tmp_path, release) -> None:
    old = nvcc(tmp_path / "nvcc", release)
    with pytest.raises(SystemExit, match=rf"nvcc {release} \({old}\) is too old .* needs 12\.0 or newer"):
        build.find_nvcc({"NVCC": str(old)})


def test_what_is_no_nvcc_is_refused(build, tmp_path) -> None:
    with pytest.raises(SystemExit, match="of an unknown version"):
        build.find_nvcc({"NVCC": str(script(tmp_path / "nvcc", "echo hello"))})


def test_nvcc_is_looked_for_in_order_and_tells_its_folders(build, tmp_path) -> None:
    first, second, third = (
        nvcc(tmp_path / name / "bin" / "nvcc", r) for name, r in zip("abc", ("13.0", "12.9", "12.0"), strict=True)
    )
    environ = {"NVCC": f"{first}", "CUDA_HOME": str(tmp_path / "b"), "PATH": f"{third.parent}:{os.environ['PATH']}"}
    found = build.find_nvcc(environ)
    assert found.command == [str(first)] and found.version == (13, 0)
    assert found.include_dirs == ["/opt/cuda/include"]
    assert found.library_dirs == ["/opt/cuda/lib/stubs", "/opt/cuda/lib"]
    del environ["NVCC"]
    assert build.find_nvcc(environ).command == [str(second)]
    del environ["CUDA_HOME"]
    assert build.find_nvcc(environ).command == [str(third)]


def test_the_flags_keep_the_bits_of_the_cpu(build) -> None:
    found = build.Nvcc(["ccache", "nvcc"], (13, 0), [], [])
    command = build.compile_command(found, [90], "a.cu", "a.o", ["-Icsrc"])
    assert command[:2] == ["ccache", "nvcc"] and command[-5:] == ["-Icsrc", "-c", "a.cu", "-o", "a.o"]
    assert {"-fmad=false", "-ftz=false", "-prec-div=true", "-prec-sqrt=true", "-std=c++17"} <= set(command)
    assert command[command.index("-Werror") + 1] == "cross-execution-space-call"
    assert "-ffp-contract=off" in command[command.index("-Xcompiler") + 1]
    assert not {"-use_fast_math", "--use_fast_math", "-rdc=true"} & set(command)


def test_resources_are_read_from_ptxas(build) -> None:
    name = "_ZN7genfast4cuda6decodeILi32EEEvPfi"
    assert build.kernels(PTXAS) == [
        build.Kernel(name, "sm_80", registers=64, shared=256, stack=40, spilled=120),
        build.Kernel(name, "sm_90", registers=32, shared=0, stack=0, spilled=0),
    ]
    assert build.kernels("ptxas info    : 0 bytes gmem\n") == []


def test_the_table_is_printed_and_written(build, tmp_path, capsys) -> None:
    (tmp_path / "a.o.ptxas").write_text(PTXAS)
    (tmp_path / "b.o.ptxas").write_text("")
    build.report([str(tmp_path / "a.o"), str(tmp_path / "b.o")])
    head, line = capsys.readouterr().out.splitlines()
    assert "sm_80 / sm_90" in head
    assert "decode" in line and line.endswith("64 / 32          256 / 0           40 / 0          120 / 0")
    written = json.loads((tmp_path / build.RESOURCES).read_text())
    assert [(kernel["arch"], kernel["registers"]) for kernel in written] == [("sm_80", 64), ("sm_90", 32)]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("256 bytes smem", "49153 bytes smem", "uses 49153 bytes of static shared memory, 49152 are allowed"),
        ("76 bytes spill stores", "513 bytes spill stores", "uses 513 spilled bytes, 512 are allowed"),
        ("24 bytes spill loads", "600 bytes spill loads", "uses 600 spilled bytes"),
        ("Used 64 registers", "Used 256 registers", "uses 256 registers, 255 are allowed"),
    ],
)
def test_a_kernel_beyond_the_limits_fails_the_build(build, tmp_path, old, new, words) -> None:
    assert old in PTXAS
    (tmp_path / "a.o.ptxas").write_text(PTXAS.replace(old, new))
    with pytest.raises(SystemExit, match=f"decode.* on sm_80 {words}"):
        build.report([str(tmp_path / "a.o")])


def test_a_source_is_compiled_again_when_what_it_includes_is_newer(build, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.cu", "a.h", "b.h", "a.o", "a.o.ptxas"):
        Path(name).write_text("")
    Path("a.o.d").write_text("a.o : a.cu \\\n    a.h\n")
    past = time.time() - 100
    for name in ("a.cu", "a.h"):
        os.utime(name, (past, past))
    assert not build.needs_nvcc("a.o")  # b.h is newer and not included
    os.utime("a.h")
    os.utime("a.o", (past + 50, past + 50))
    assert build.needs_nvcc("a.o")
    os.utime("a.o")
    Path("a.h").unlink()
    assert build.needs_nvcc("a.o")
    Path("a.o.d").unlink()
    assert build.needs_nvcc("a.o")


def test_a_failed_compilation_fails_the_build_and_shows_why(build, tmp_path, capfd) -> None:
    broken = script(
        tmp_path / "nvcc", "echo 'a.cu(3): error: no such thing'; echo 'ptxas info    : 0 bytes gmem'; exit 2"
    )
    with pytest.raises(RuntimeError, match=r"nvcc failed on a\.cu"):
        build.compile_source(build.Nvcc([str(broken)], (13, 0), [], []), [90], "a.cu", str(tmp_path / "a.o"), [])
    shown = capfd.readouterr().out
    assert "error: no such thing" in shown and "0 bytes gmem" not in shown
    assert not (tmp_path / "a.o.ptxas").exists()


def test_settings_are_touched_only_when_they_change(build, tmp_path) -> None:
    build.save_settings({"mode": "host"})
    file = tmp_path / build.SETTINGS
    os.utime(file, (0, 0))
    build.save_settings({"mode": "host"})
    assert file.stat().st_mtime == 0
    build.save_settings({"mode": "gpu"})
    assert file.stat().st_mtime > 0


def test_no_two_sources_share_an_object() -> None:
    sources = [path for pattern in ("*.cc", "*.cu") for path in (ROOT / "csrc").rglob(pattern)]
    stems = [path.with_suffix("") for path in sources]
    assert sources and len(set(stems)) == len(stems)


def setup(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_setup_refuses_before_it_builds() -> None:
    for module in ("setuptools", "Cython", "pybind11", "nlohmann_json"):
        pytest.importorskip(module)
    assert setup(GENFAST_CUDA="").returncode == 0
    wrong = setup(GENFAST_CUDA="maybe")
    assert wrong.returncode == 1 and "GENFAST_CUDA='maybe' is not known" in wrong.stderr
    absent = setup(GENFAST_CUDA="1", NVCC="/no/nvcc")
    assert absent.returncode == 1 and "none was found; tried /no/nvcc" in absent.stderr
