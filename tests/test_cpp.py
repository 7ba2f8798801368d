"""A C++ program uses genfast without Python: built with one g++ line, it gives the bits that Python gets."""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from file_for_tests import node
from test_format_output import decoder, iterated

import genfast as gf

ROOT = Path(__file__).resolve().parent.parent
nlohmann_json = pytest.importorskip("nlohmann_json")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="needs the source tree"),
]


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compiles an example; the objects of csrc/ are shared by the examples."""
    folder = tmp_path_factory.mktemp("examples")
    sources = [
        str(p) for room in ("base", "engine", "graph", "kernels", "plan") for p in ROOT.glob(f"csrc/{room}/**/*.cc")
    ]
    include = Path(next(iter(nlohmann_json.__path__))) / "include"
    command = ["g++", "-std=c++17", "-O2", "-ffp-contract=off", "-pthread", f"-I{ROOT}/csrc", f"-I{ROOT}/csrc/include"]
    command.append(f"-I{include}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda source: subprocess.run([*command, "-c", source], check=True, cwd=folder), sources))
    objects = [str(p) for p in folder.glob("*.o")]
    assert len(objects) == len(sources), "two sources of one name"

    def example(name):
        binary = folder / name
        subprocess.run([*command, f"{ROOT}/examples/{name}.cc", *objects, "-o", str(binary)], check=True)
        return binary

    return example


@pytest.fixture(scope="module")
def program(build):
    return build("sample")


@pytest.fixture(scope="module")
def writer(build):
    return build("text")


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


def test_a_decoder_gives_pythons_bits(build, tmp_path):
    decode, out = build("decode"), tmp_path / "out.f32"
    file = iterated()
    file.graph["conditions"], file.graph["values"][5] = [], [4, 1]
    file.graph["nodes"].insert(0, node("const", 5, "to", data=1))
    file.weights.append([1.0, 2.0, 3.0, 4.0])
    for name, data in (("decoder", decoder().bytes()), ("rounds", file.bytes())):
        path = tmp_path / f"{name}.genfast"
        path.write_bytes(data)
        subprocess.run([decode, path, "70", "9", out], check=True)
        assert np.array_equal(np.fromfile(out, np.float32), gf.load(path).sample(70, rng=9).ravel())
    gf.load("digits").save(tmp_path / "digits.genfast")
    done = subprocess.run([decode, tmp_path / "digits.genfast", "1", "0", out], capture_output=True, text=True)
    assert done.returncode == 1 and "sample.cc" in done.stderr


def test_the_text_example_writes_pythons_text(writer, tmp_path):
    model = gf.load("alice")
    model.save(tmp_path / "alice.genfast")
    vocabulary = model.meta["vocabulary"]
    for prompt, seed in (("Alice ", 3), ("", 2**63)):
        command = [writer, tmp_path / "alice.genfast", str(seed), "60", prompt]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        tokens = [vocabulary.index(character) for character in prompt]
        row = model.sample(1, rng=seed, prompt=tokens, max_tokens=60)[0]
        drawn = row[max(len(tokens), 1) :]  # without a prompt, token 0 is the start token, which is not drawn
        assert done.stdout == prompt + "".join(vocabulary[token] for token in drawn) + "\n"


def test_the_text_example_says_what_is_wrong(writer, tmp_path):
    for name in ("alice", "digits"):
        gf.load(name).save(tmp_path / f"{name}.genfast")
    for arguments, word in [
        ((tmp_path / "digits.genfast", "0", "5", ""), "vocabulary"),
        ((tmp_path / "alice.genfast", "0", "5", "Alice{"), "'{'"),
        ((tmp_path / "alice.genfast", "0", "5", "a" * 300), "too long"),
    ]:
        done = subprocess.run([writer, *arguments], capture_output=True, text=True)
        assert done.returncode == 1
        assert word in done.stderr
