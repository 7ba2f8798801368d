"""Bad input is a typed error that names the culprit; threads, fork, signals and progress do no harm."""

from __future__ import annotations

import copy
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

import genfast as gf
from genfast import _core
from genfast.zoo.pixelcnn import MaskedConv2d, PixelCNN

X = torch.zeros(2, 1, 8, 8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return gf.compile(PixelCNN(4, channels=8, blocks=2).eval(), X, head=gf.heads.Categorical(4))


@pytest.fixture(scope="module")
def digits():
    return gf.load("digits")


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"n": -1}, ValueError, "n must be at least 0"),
        ({"n": 2.5}, TypeError, "n must be an integer"),
        ({"n": True}, TypeError, "n must be an integer"),
        ({"n": 1 << 63}, ValueError, r"n must be .* below 2\*\*63"),
        ({"n": 1 << 58}, ValueError, "n is too large"),
        ({"n": 2, "temperature": 1e40}, ValueError, "temperature"),
        ({"n": 2, "progress": 1}, TypeError, "progress must be"),
        ({"n": 2, "progress": []}, TypeError, "progress must be"),
        ({"n": 2, "condition": 3}, TypeError, "condition must be a mapping"),
        ({"n": 2, "rng": -1}, ValueError, r"rng.*2\*\*64"),
        ({"n": 2, "rng": 1 << 64}, ValueError, r"rng.*2\*\*64"),
        ({"n": 2, "rng": "a"}, TypeError, "rng must be"),
        ({"n": 2, "first_row": -1}, ValueError, "first_row"),
        ({"n": 2, "temperature": 0}, ValueError, "temperature"),
        ({"n": 2, "temperature": -1}, ValueError, "temperature"),
        ({"n": 2, "temperature": float("nan")}, ValueError, "temperature"),
        ({"n": 2, "temperature": float("inf")}, ValueError, "temperature"),
        ({"n": 2, "temperature": "hot"}, TypeError, "temperature"),
        ({"n": 2, "u": [[0.5] * 64, [0.5]]}, ValueError, "u cannot be made an array: .*inhomogeneous"),
        ({"n": 2, "u": np.ma.zeros((2, 64))}, TypeError, "u is a masked array"),
        ({"n": 2, "u": np.zeros((2, 63))}, ValueError, r"u must have shape.*\(2, 64\)"),
        ({"n": 2, "u": np.full((2, 64), 1.5)}, ValueError, r"u: row 0, site 0 is outside \[0, 1\]"),
        ({"n": 2, "u": np.full((2, 64), -1e-9)}, ValueError, "u: row 0"),
        ({"n": 2, "u": np.full((2, 64), np.nan)}, ValueError, "u: row 0"),
        ({"n": 2, "u": np.zeros((2, 64)), "rng": 0}, ValueError, "either rng or u"),
        ({"n": 2, "condition": {"label": 1}}, ValueError, "no condition 'label'"),
    ],
)
def test_wrong_arguments_of_sample(model, arguments, error, match):
    with pytest.raises(error, match=match):
        model.sample(**arguments)


@pytest.mark.parametrize(
    ("label", "error", "match"),
    [
        (10, ValueError, "'label' must be from 0 to 9"),
        (-1, ValueError, "'label' must be from 0 to 9"),
        (1.5, TypeError, "'label' must be int"),
        ([1, 2, 3], ValueError, "'label' must have shape"),
        ([[1], [2, 3]], ValueError, "condition 'label' cannot be made an array"),
        ([1, 11], ValueError, r"'label' must be from 0 to 9, got 11 at \[1\]"),
    ],
)
def test_wrong_labels(digits, label, error, match):
    with pytest.raises(error, match=match):
        digits.sample(2, rng=0, condition={"label": label})
    with pytest.raises(ValueError, match="condition 'label' is missing"):
        digits.sample(2, rng=0)


@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.full((2, 1, 8, 8), 4), ValueError, r"x\[0, 0, 0, 0\] is 4"),
        (np.full((2, 1, 8, 8), -1), ValueError, r"is -1"),
        (np.zeros((2, 8, 8), int), ValueError, r"shape \(n, 1, 8, 8\)"),
        (np.zeros((2, 1, 8, 8)), TypeError, "integer levels"),
        ([[[1], [2, 3]]], ValueError, "x cannot be made an array"),
    ],
)
def test_wrong_samples(model, x, error, match):
    for method in (model.log_prob, model.bits_per_dim, model.logits):
        with pytest.raises(error, match=match):
            method(x)


def test_no_rows_are_an_empty_array(model):
    assert model.sample(0, rng=0).shape == (0, 1, 8, 8)
    assert model.sample(0, rng=0).dtype == np.uint8
    assert model.sample(0, u=np.zeros((0, 64))).shape == (0, 1, 8, 8)
    assert model.sample(0, rng=np.random.default_rng(0)).shape == (0, 1, 8, 8)
    empty = np.zeros((0, 1, 8, 8), int)
    assert model.log_prob(empty).shape == (0,)
    assert model.logits(empty).shape == (0, 4, 8, 8)


def test_the_ends_of_u_are_defined(model):
    assert model.sample(1, u=np.zeros((1, 64))).shape == (1, 1, 8, 8)
    assert model.sample(1, u=np.ones((1, 64))).max() == 3


def test_non_finite_weights_and_logits():
    broken = PixelCNN(4, 8, 2).eval()
    broken.logits.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"logits\.weight"):
        gf.compile(broken, X, head=gf.heads.Categorical(4))

    torch.manual_seed(0)
    model = gf.compile(PixelCNN(4, 8, 2).eval(), X, head=gf.heads.Categorical(4))
    with pytest.raises(gf.NumericalError, match=r"row \d+, site \d+.*temperature"):
        model.sample(3, rng=0, temperature=1e-44)


class Unmasked(PixelCNN):
    def __init__(self):
        super().__init__(4, 8, 2)
        self.blocks[1].conv = nn.Conv2d(4, 4, 3, padding=1)


class FirstMaskB(PixelCNN):
    def __init__(self):
        super().__init__(4, 8, 2)
        self.first = MaskedConv2d("B", 1, 8, 7)


class GroupNormed(PixelCNN):
    def __init__(self):
        super().__init__(4, 8, 2)
        self.head = nn.Sequential(nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 1))


class TrainingBatchNorm(PixelCNN):
    def __init__(self):
        super().__init__(4, 8, 2)
        self.head = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Unmasked, ["blocks.1.conv", "pixelcnn.py:", "63 of 64", "site (0, 0)", "through first ->", "mask"]),
        (FirstMaskB, ["layer first", "64 of 64", "reads site (0, 0)", "type A"]),
        (GroupNormed, ["head.0", "mixes all positions"]),
        (TrainingBatchNorm, ["head.1", "eval()"]),
    ],
)
def test_models_that_are_not_causal(make, words):
    torch.manual_seed(0)
    with pytest.raises(gf.NotCausalError) as error:
        gf.compile(make().train(make is TrainingBatchNorm), X, head=gf.heads.Categorical(4))
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_the_order_must_be_the_models():
    with pytest.raises(gf.NotCausalError):
        gf.compile(PixelCNN(4, 8, 2).eval(), X, head=gf.heads.Categorical(4), order=np.arange(64)[::-1])


def test_files_that_are_not_there_or_not_models(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.genfast"):
        gf.load(tmp_path / "absent.genfast")
    with pytest.raises(gf.FormatError, match="directory"):
        gf.load(tmp_path)
    path = tmp_path / "half.genfast"
    gf.load("digits").save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(gf.FormatError, match=r"half\.genfast"):
        gf.load(path)


def test_a_refused_value_read_stays_refused():
    class Swallows(PixelCNN):
        def forward(self, x):
            try:
                if bool(x.mean() > 0.99):
                    x = x * 3
            except gf.Error:
                pass
            return super().forward(x)

    with pytest.raises(gf.UnsupportedOpError, match=r"test_safety\.py:\d+"):
        gf.compile(Swallows(4, 8, 2).eval(), X, head=gf.heads.Categorical(4))


def test_names_and_threads_are_checked():
    with pytest.raises(TypeError, match="name must be a str or None, got int"):
        gf.compile(PixelCNN(4, 8, 2).eval(), X, head=gf.heads.Categorical(4), name=3)
    for n in (1.5, True):
        with pytest.raises(TypeError, match="n must be an integer"):
            gf.set_num_threads(n)
    for n in (0, -1, 1 << 40):
        with pytest.raises(ValueError, match=r"n must|threads"):
            gf.set_num_threads(n)


def test_models_can_be_pickled_and_copied(digits):
    want = digits.sample(3, rng=0, condition={"label": 3})
    for twin in (pickle.loads(pickle.dumps(digits)), copy.deepcopy(digits), copy.copy(digits)):
        assert (twin.sample(3, rng=0, condition={"label": 3}) == want).all()


def test_saving_follows_links_and_names_its_target(digits, tmp_path):
    target = tmp_path / "target.genfast"
    target.write_bytes(b"")
    (tmp_path / "link.genfast").symlink_to(target)
    digits.save(tmp_path / "link.genfast")
    assert (tmp_path / "link.genfast").is_symlink()
    assert gf.load(target).input_shape == (1, 8, 8)
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        digits.save(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere/x\.genfast"):
        digits.save(tmp_path / "nowhere" / "x.genfast")
    assert {path.name for path in tmp_path.iterdir()} == {"target.genfast", "link.genfast"}


def test_two_threads_may_use_one_model(digits):
    alone = [digits.sample(40, rng=seed, condition={"label": 3}) for seed in range(2)]
    for _ in range(10):
        together = [None, None]

        def work(seed, results=together):
            results[seed] = digits.sample(40, rng=seed, condition={"label": 3})

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def run(code, **options):
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, **options)


def test_fork_after_use():
    done = run(
        """
import os, genfast as gf
gf.set_num_threads(2)
m = gf.load("digits")
before = m.sample(64, rng=0, condition={"label": 3})
child = os.fork()
same = (m.sample(64, rng=0, condition={"label": 3}) == before).all()
if child == 0:
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
print(bool(same), os.waitstatus_to_exitcode(status))
"""
    )
    assert done.stdout.split() == ["True", "0"], done.stderr


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_long_call(threads):
    code = f"""
import genfast as gf
gf.set_num_threads({threads})
m = gf.load("digits")
print("ready", flush=True)
try:
    m.sample(10_000_000, rng=0, condition={{"label": 3}})
except KeyboardInterrupt:
    print("stopped", m.sample(1, rng=0, condition={{"label": 3}}).shape, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    try:
        out, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert out == "stopped (1, 1, 8, 8)\n"


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_a_stream_inside_a_step(threads):
    """A step that was stopped is not taken: no token of it is lost."""
    done = run(
        f"""
import signal, threading, numpy as np, genfast as gf
from genfast import _core
gf.set_num_threads({threads})
m, n = gf.load("alice"), 1000 * {threads}
prompt = np.ones((n, 15), int)
want = m.sample(n, rng=0, prompt=prompt, max_tokens=2)
arguments = _core.Arguments(seed=0, prompt=np.full(n, 15), max_tokens=2)
stream = m._core.stream(n, arguments, np.ones((n, m.sites), np.int32))
threading.Timer(0.01, signal.raise_signal, [signal.SIGINT]).start()
try:
    stream.next()
except KeyboardInterrupt:
    columns = [stream.next(), stream.next()]
    print((np.stack(columns, 1) == want[:, 15:]).all(), stream.next())
"""
    )
    assert done.stdout.split() == ["True", "None"], done.stderr


def test_a_stream_needs_memory_for_all_rows():
    with pytest.raises(ValueError, match=r"n: a stream keeps .* stream at most \d+ rows at a time"):
        gf.load("alice").stream(2**32, rng=0)


def test_a_daemon_thread_may_be_sampling_at_exit():
    done = run(
        """
import threading, time, genfast as gf
m = gf.load("digits")
threading.Thread(target=lambda: m.sample(10_000_000, rng=0, condition={"label": 3}), daemon=True).start()
time.sleep(0.3)
"""
    )
    assert done.returncode == 0, done.stderr


def test_progress(digits, capsys):
    seen = []
    digits.sample(3000, rng=0, condition={"label": 3}, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3000 * 64, 3000 * 64)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    digits.sample(10, rng=0, condition={"label": 3}, progress=True)
    assert "100%" in capsys.readouterr().err

    def refuse(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        digits.sample(10, rng=0, condition={"label": 3}, progress=refuse)
    assert digits.sample(1, rng=0, condition={"label": 3}).shape == (1, 1, 8, 8)


def test_memory_does_not_grow_with_the_samples():
    done = run(
        """
import genfast as gf
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
m = gf.load("digits")
m.sample(200, rng=0, condition={"label": 3}); before = peak()
m.sample(10_000, rng=0, condition={"label": 3}); print(peak() - before)
"""
    )
    # 10,000 digits are 0.6 MB themselves.
    assert int(done.stdout) < 8_000, done.stderr


def test_targets_and_threads_are_checked():
    with pytest.raises(ValueError, match="sse"):
        _core.kernels.set_target("sse")
    done = run("import genfast as gf; print(gf.cpu_target())", env={**os.environ, "GENFAST_TARGET": "mmx"})
    assert done.returncode == 1
    assert "mmx" in done.stderr
    done = run("import genfast as gf; print(gf.cpu_target())", env={**os.environ, "GENFAST_TARGET": "scalar"})
    assert done.stdout == "scalar\n"
    done = run("import genfast as gf; print(gf.num_threads())", env={**os.environ, "GENFAST_NUM_THREADS": "many"})
    assert "GENFAST_NUM_THREADS" in done.stderr
