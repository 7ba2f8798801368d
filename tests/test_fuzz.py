"""10,000 mutated files under AddressSanitizer and UBSan: an error or other samples, never a crash or a hang.

`make sanitize` does the same on the bundled model, and stresses the thread pool under ThreadSanitizer.
"""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import genfast as gf
from genfast.zoo.gated import GatedPixelCNN
from genfast.zoo.pixelcnn import PixelCNN

ROOT = Path(__file__).resolve().parent.parent
nlohmann_json = pytest.importorskip("nlohmann_json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="needs the source tree"),
]


@pytest.fixture(scope="module")
def mutate(tmp_path_factory):
    """The fuzzer, which also plans and samples what the reader accepts."""
    folder = tmp_path_factory.mktemp("fuzz")
    include = Path(next(iter(nlohmann_json.__path__))) / "include"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags = ["-std=c++17", "-O1", "-g1", *sanitize, "-ffp-contract=off", "-pthread", "-DRUN"]
    paths = [f"-I{ROOT}/csrc", f"-I{ROOT}/csrc/include", f"-I{include}"]
    rooms = ("base", "engine", "graph", "kernels", "plan")
    sources = [ROOT / "tests/fuzz/mutate.cc", *(p for room in rooms for p in ROOT.glob(f"csrc/{room}/**/*.cc"))]

    def build(numbered):
        number, source = numbered
        target = folder / f"{number}.o"
        subprocess.run(["g++", *flags, *paths, "-c", str(source), "-o", str(target)], check=True)
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(build, enumerate(sources)))
    subprocess.run(["g++", *sanitize, "-pthread", *objects, "-o", str(folder / "mutate")], check=True)
    return folder / "mutate"


@pytest.mark.parametrize("kind", ["pixelcnn", "gated"])
def test_mutated_files(mutate, tmp_path, kind):
    torch.manual_seed(0)
    x = torch.zeros(2, 1, 4, 4)
    if kind == "pixelcnn":
        model, example = PixelCNN(3, channels=4, blocks=1), x
    else:
        model, example = GatedPixelCNN(3, channels=4, layers=2, classes=4), (x, torch.tensor([0, 3]))
    path = tmp_path / "model.genfast"
    gf.compile(model.eval(), example, head=gf.heads.Categorical(3)).save(path)
    done = subprocess.run([mutate, path, "10000"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
