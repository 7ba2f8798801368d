"""What is installed: small, quick to import, and content with NumPy."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import genfast as gf

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> str:
    """What `code` prints in a fresh interpreter that does not look into the current folder."""
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_numpy_is_all_that_a_sample_needs() -> None:
    code = (
        "import sys\n"
        "others = ('torch', 'safetensors', 'scipy', 'click', 'rich', 'PIL', 'sklearn', 'matplotlib')\n"
        "sys.modules.update(dict.fromkeys(others))\n"
        "import genfast as gf\n"
        "m = gf.load('digits'); x = m.sample(2, rng=0, condition={'label': 3})\n"
        "print(x.shape, x.dtype, m.log_prob(x, condition={'label': 3}).shape)"
    )
    assert python(code) == "(2, 1, 8, 8) uint8 (2,)"


def test_importing_genfast_loads_little() -> None:
    new = python("import sys, numpy; old = set(sys.modules); import genfast; print(*sorted(set(sys.modules) - old))")
    loaded = set(new.split())
    own = {name for name in loaded if name.split(".")[0] == "genfast" and not name.startswith("genfast._core.")}
    assert own == {"genfast", "genfast._core", "genfast.devices", "genfast.errors", "genfast.lazy"}
    assert not loaded & {"hashlib", "json", "secrets", "shutil", "threading", "zipfile"}


def test_every_public_name_is_there_however_it_is_asked_for() -> None:
    code = (
        "import sys, pkgutil, importlib, genfast as gf\n"
        "print(set(gf.__all__) <= set(dir(gf)))\n"
        "from genfast import *\n"
        "first = {name: getattr(gf, name) for name in gf.__all__}\n"
        "print(all(globals()[name] is first[name] for name in gf.__all__))\n"
        "print(gf.distributions.Normal is gf.Normal, gf.joints.Joint is gf.Joint, gf.model.Model is gf.Model)"
    )
    assert python(code).split() == ["True"] * 5
    # Importing a submodule binds its name in the package, which must not hide a function there.
    code = (
        "import pkgutil, importlib, genfast as gf\n"
        "for module in pkgutil.iter_modules(gf.__path__):\n"
        "    if module.name not in ('_cuda', 'export', 'zoo'): importlib.import_module('genfast.' + module.name)\n"
        "print(*[name for name in gf.__all__ if type(getattr(gf, name)) is type(gf)])"
    )
    assert python(code) == "heads"


def test_a_misspelt_name_is_an_attribute_error_with_a_hint() -> None:
    assert not hasattr(gf, "Normall") and not hasattr(gf.distributions, "Normall")
    command = [sys.executable, "-P", "-c", "import genfast as gf; gf.Normall"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "module 'genfast' has no attribute 'Normall'. Did you mean: 'Normal'?" in result.stderr


def test_a_source_folder_without_the_library_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "genfast").mkdir()
    for file in Path(gf.__file__).parent.glob("*.py"):
        shutil.copy(file, tmp_path / "genfast")
    # -S: an editable install would find the library in its own folder.
    command = [sys.executable, "-S", "-c", "import genfast"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith(f"ImportError: {tmp_path / 'genfast'} holds genfast's source and no built library")
    assert "-P" in last


def test_the_bundled_models_are_small() -> None:
    sizes = {file.stem: file.stat().st_size for file in (Path(gf.__file__).parent / "models").glob("*.genfast")}
    assert {"alice", "digits"} <= sizes.keys() == set(gf.models())
    assert sizes["alice"] < 1_000_000
    assert sum(size for name, size in sizes.items() if name.startswith("digits")) < 2_000_000


def test_installed_files() -> None:
    distribution = importlib.metadata.distribution("genfast")
    files = distribution.files or []
    if any("__editable__" in str(file) or str(file).endswith(".pth") for file in files):
        pytest.skip("an editable install has no files of its own")
    names = {str(file) for file in files}
    assert "genfast/py.typed" in names
    assert "genfast/models/digits.genfast" in names
    assert any(name.startswith("genfast/_core.") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "csrc/", "benchmarks/"))]
    own = [file for file in files if file.suffix not in (".genfast", ".pyc")]
    assert sum(len(zlib.compress(Path(str(file.locate())).read_bytes())) for file in own) < 3_000_000  # as in the wheel


@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="needs the source tree")
def test_a_wheel_takes_nothing_from_earlier_builds(tmp_path: Path) -> None:
    for needed in ("setuptools", "pybind11", "Cython", "nlohmann_json"):
        pytest.importorskip(needed)
    built = tmp_path / "genfast"
    (built / "models").mkdir(parents=True)
    left = [built / "generate.py", built / "_cuda.cpython-311-x86_64-linux-gnu.so", built / "models/old.genfast"]
    for file in left:
        file.touch()
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert not [file for file in left if file.exists()]
    assert (built / "__init__.py").exists() and (built / "models/digits.genfast").exists()


def test_the_version_is_one() -> None:
    assert importlib.metadata.version("genfast") == gf.__version__


def test_numpy_is_the_only_requirement_without_extras() -> None:
    requirements = importlib.metadata.requires("genfast") or []
    assert [r for r in requirements if "extra ==" not in r] == ["numpy>=1.26"]
    assert all(
        any(f'extra == "{extra}"' in r for r in requirements)
        for extra in ("cli", "torch", "data", "viz", "test", "bench", "dev")
    )


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64"])
def test_bit_generators_are_read_exactly(kind: str) -> None:
    import numpy as np

    from genfast._bitgen import fill_uniforms

    out = np.empty(1001)
    generator = np.random.Generator(getattr(np.random, kind)(3))
    fill_uniforms(generator, out)
    twin = np.random.Generator(getattr(np.random, kind)(3))
    np.testing.assert_array_equal(out, twin.random(1001))
    assert generator.random() == twin.random()
    fill_uniforms(generator.bit_generator, out[:0])
    for wrong in (3, None, np.random):
        with pytest.raises(TypeError, match=r"numpy\.random\.Generator"):
            fill_uniforms(wrong, out)
    with pytest.raises(TypeError, match="signature"):
        fill_uniforms(generator, np.empty(3, np.int64))
    with pytest.raises(ValueError, match="contiguous"):
        fill_uniforms(generator, out[::2])
