"""A C++ program uses genfast without Python: built with one g++ line, it gives the bits that Python gets."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import genfast as gf

ROOT = Path(__file__).resolve().parent.parent
nlohmann_json = pytest.importorskip("nlohmann_json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="needs the source tree"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    binary = tmp_path_factory.mktemp("example") / "sample"
    sources = [
        str(p) for room in ("base", "engine", "graph", "kernels", "plan") for p in ROOT.glob(f"csrc/{room}/**/*.cc")
    ]
    include = Path(next(iter(nlohmann_json.__path__))) / "include"
    command = ["g++", "-std=c++17", "-O2", "-ffp-contract=off", "-pthread", f"-I{ROOT}/csrc", f"-I{ROOT}/csrc/include"]
    subprocess.run([*command, f"-I{include}", f"{ROOT}/examples/sample.cc", *sources, "-o", str(binary)], check=True)
    return binary


def test_the_example_gives_pythons_bits(program, tmp_path):
    model = gf.load("digits")
    path, out = tmp_path / "digits.genfast", tmp_path / "out.pgm"
    model.save(path)
    done = subprocess.run([program, path, "6", "5", out, "label=3"], check=True, capture_output=True, text=True)
    x = model.sample(6, rng=5, condition={"label": 3})
    header, width, height, top, *pixels = out.read_text().split()
    assert (header, int(width), int(height), int(top)) == ("P2", 48, 8, model.levels - 1)
    picture = np.array(pixels, int).reshape(8, 6, 8).transpose(1, 0, 2)
    assert (picture == x[:, 0]).all()
    assert [float(line) for line in done.stdout.split()] == model.log_prob(x, condition={"label": 3}).tolist()


def test_errors_are_messages(program, tmp_path):
    path = tmp_path / "digits.genfast"
    gf.load("digits").save(path)
    for arguments, word in [
        ((path, "2", "0", tmp_path / "o.pgm"), "label"),
        ((path, "2", "0", tmp_path / "o.pgm", "label=10"), "label"),
        ((tmp_path / "absent.genfast", "2", "0", tmp_path / "o.pgm"), "absent.genfast"),
    ]:
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert word in done.stderr


def test_wrong_arguments_are_one_line(program, tmp_path):
    path, out = tmp_path / "digits.genfast", tmp_path / "o.pgm"
    gf.load("digits").save(path)
    for arguments, word in [
        (("two", "0", out, "label=3"), "'two'"),
        (("-1", "0", out, "label=3"), "'-1'"),
        (("2x", "0", out, "label=3"), "'2x'"),
        (("9223372036854775807", "0", out, "label=3"), "N must be"),
        (("2", "0x", out, "label=3"), "SEED must be"),
        (("2", "0", out, "label=3x"), "'label=3x'"),
        (("2", "0", out, "label"), "CONDITION=VALUE"),
        (("2", "0", out, "colour=3"), "no condition 'colour'"),
    ]:
        done = subprocess.run([program, path, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert word in done.stderr
        assert done.stderr.count("\n") == 1
        assert not out.exists()
