"""Model.quantize: what is rounded and how, against the reference, with the same bits everywhere, and what it costs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from file_for_tests import File, node

import genfast as gf
from genfast import _core, container, reference
from genfast.cli.app import app
from genfast.quantize import _bf16, _int8, added_bits_per_dim
from tests import models_for_tests as M

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
DTYPES = ["bf16", "int8"]
LABELS = {"label": np.arange(40) % 10}


@pytest.fixture(scope="module")
def digits() -> gf.Model:
    return gf.load("digits")


@pytest.fixture(scope="module")
def x(digits: gf.Model) -> np.ndarray:
    return digits.sample(40, rng=1, condition=LABELS)


def made() -> gf.Model:
    torch.manual_seed(0)
    return gf.compile(M.Made(levels=3).eval(), torch.zeros(1, 16), head=gf.heads.Categorical(3))


# How numbers are rounded


def test_bf16_is_torchs_rounding() -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 200_000, dtype=np.uint64).astype(np.uint32)
    ties = (np.arange(1000, dtype=np.uint32) << np.uint32(16)) + np.uint32(0x3F808000)
    numbers = np.concatenate([bits, ties]).view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    want = torch.tensor(numbers).bfloat16()
    finite = torch.isfinite(want).numpy()
    got = _bf16(numbers)
    np.testing.assert_array_equal(got[finite], want.view(torch.uint16).numpy()[finite])
    assert (_bf16(np.array([3.4e38, -3.4e38], np.float32)) == [0x7F7F, 0xFF7F]).all()  # torch: infinity


def test_int8_is_the_nearest_multiple_of_the_scale() -> None:
    w = np.random.default_rng(1).standard_normal((50, 30)).astype(np.float32)
    w[:, 7] = 0
    q, scale = _int8(w, None)
    np.testing.assert_array_equal(scale, (np.abs(w).max(0).astype(np.float64) / 127).astype(np.float32))
    assert (np.abs(q).max(0)[scale > 0] == 127).all() and not q[:, 7].any()
    assert (np.abs(w - q * scale.astype(np.float64)) <= 0.5001 * scale).all()
    half, _ = _int8(np.array([[127.0], [0.5], [1.5], [-2.5]], np.float32), None)
    assert half[:, 0].tolist() == [127, 0, 2, -2]


def test_int8_makes_no_zeros_that_tell_columns_apart() -> None:
    w = np.array([[127, 127, 127], [0.1, 0.1, 0], [0.2, 3, 0.3], [-0.3, 1, -0.3]], np.float32)
    q, _ = _int8(w, np.array([0, 2]))
    # Column 0: the second segment keeps its largest weight. Column 2 has a zero: what is not zero stays so.
    assert q.T.tolist() == [[127, 0, 0, -1], [127, 0, 3, 1], [127, 0, 1, -1]]


# What is rounded


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_gemm_and_lookup_data_is_rounded(digits: gf.Model, dtype: str) -> None:
    before, _, old = container.unpack(digits._core.file_bytes())
    after, _, new = container.unpack(digits.quantize(dtype)._core.file_bytes())
    assert after["meta"]["quantized"] == {"dtype": dtype}
    rounded = 0
    for a, b in zip(before["nodes"], after["nodes"], strict=True):
        for field in ("data", "weight", "bias"):
            if field == "data" and a["kind"] in ("gemm", "lookup"):
                assert new[b["data"]].dtype == (np.uint16 if dtype == "bf16" else np.int8)
                assert ("scales" in b) == (dtype == "int8")
                rounded += 1
            elif a.get(field, -1) >= 0:
                np.testing.assert_array_equal(old[a[field]], new[b[field]])
    assert rounded == 32
    np.testing.assert_array_equal(old[before["head"]["values"]], new[after["head"]["values"]])


def test_one_array_in_several_uses() -> None:
    """The same numbers as a table, as products of two shapes, and as a bias and levels: each use gets what it needs."""
    w = np.random.default_rng(0).normal(0, 0.25, 256).astype(np.float32)
    w[:2] = 3, 1
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[4, 1], [4, 16], [4, 16], [4, 16], [4, 64], [4, 2]],
        "tables": [{"grid": [1, 4, 1, 4, 1, 1, 0, -1]}],
        "input": {"value": 0, "shape": [4], "dtype": "int", "name": "x"},
        "conditions": [],
        "nodes": [
            node("lookup", 1, "embed", **{"in": [0, -1, 0]}, data=0, rows=16),
            node("gemm", 2, "square", segments=[[1, 0, 0, 16, 0]], data=0, bias=1),
            node("gemm", 3, "again", segments=[[2, -1, 0, 16, 0]], data=0, bias=-1),
            node("gemm", 4, "wide", segments=[[3, -1, 0, 4, 0]], data=0, bias=-1),
            node("gemm", 5, "logits", segments=[[4, -1, 0, 16, 0]], data=2, bias=-1),
        ],
        "head": {"kind": "categorical", "value": 5, "table": -1, "channel": 0, "levels": 2, "values": 1},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    last = np.pad(w[:32].reshape(16, 2), ((0, 0), (0, 14)))
    model = gf.Model(_core.Model.from_bytes(File(graph, [], [w, np.pad(w[:2], (0, 14)), last]).bytes(), "test"))
    x = np.random.default_rng(1).integers(0, 2, (9, 4))
    for dtype in DTYPES:
        small = model.quantize(dtype)
        after, _, weights = container.unpack(small._core.file_bytes())
        table, square, again, wide, _ = after["nodes"]
        assert square["data"] == again["data"] != wide["data"] and table["data"] != square["data"]
        assert weights[square["bias"]].dtype == np.float32 and square["bias"] == after["head"]["values"]
        np.testing.assert_allclose(small.log_prob(x), reference.log_prob(read(small), x), rtol=1e-5)


# What it computes


def read(model: gf.Model) -> reference.Graph:
    return reference.read(model._core.file_bytes())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_reference_runs_the_reduced_file(digits: gf.Model, x: np.ndarray, dtype: str) -> None:
    small = digits.quantize(dtype)
    want = reference.log_prob(read(small), x[:8], conditions={"label": LABELS["label"][:8]})
    np.testing.assert_allclose(small.log_prob(x[:8], condition={"label": LABELS["label"][:8]}), want, rtol=1e-5)
    u = np.random.default_rng(0).random((3, 64))
    want = reference.sample(read(small), u, conditions={"label": np.arange(3)})
    np.testing.assert_array_equal(small.sample(3, u=u, condition={"label": np.arange(3)}), want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_close_to_the_original(digits: gf.Model, x: np.ndarray, dtype: str) -> None:
    error = digits.quantize(dtype).bits_per_dim(x, condition=LABELS) - digits.bits_per_dim(x, condition=LABELS)
    assert 0 < np.abs(error).max() < {"bf16": 0.005, "int8": 0.02}[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_target_batch_and_threads(digits: gf.Model, x: np.ndarray, dtype: str) -> None:
    small = digits.quantize(dtype)
    samples = small.sample(40, rng=7, condition=LABELS)
    scores = small.log_prob(x, condition=LABELS)
    threads = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            gf.set_num_threads(1)
            np.testing.assert_array_equal(small.sample(40, rng=7, condition=LABELS), samples)
            for i in (0, 39):
                one = {"label": LABELS["label"][i]}
                np.testing.assert_array_equal(small.sample(1, rng=7, first_row=i, condition=one)[0], samples[i])
                assert small.log_prob(x[i : i + 1], condition=one)[0] == scores[i]
            gf.set_num_threads(2)
            np.testing.assert_array_equal(small.log_prob(x, condition=LABELS), scores)
    finally:
        gf.set_num_threads(threads)
        _core.kernels.set_target("")


def plan_of(model: gf.Model) -> list[str]:
    return [line for line in model.explain().splitlines() if not line.startswith(("weights", "quantized"))]


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_plan_stays(digits: gf.Model, dtype: str) -> None:
    """Zeros are structure: rounding makes none that matter, in a convolution or in a masked perceptron."""
    for model in (digits, made()):
        assert plan_of(model.quantize(dtype)) == plan_of(model)


@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_perceptron_whose_columns_are_split(dtype: str) -> None:
    small = made().quantize(dtype)
    x = np.random.default_rng(0).integers(0, 3, (20, 16))
    np.testing.assert_allclose(small.log_prob(x), reference.log_prob(read(small), x), rtol=1e-5)
    u = np.random.default_rng(1).random((20, 16))
    np.testing.assert_array_equal(small.sample(20, u=u), reference.sample(read(small), u))


# What it says


def test_the_loss_is_measured_and_reported(digits: gf.Model, x: np.ndarray) -> None:
    small = digits.quantize("int8", check=x, condition=LABELS)
    mean = np.mean(small.bits_per_dim(x, condition=LABELS) - digits.bits_per_dim(x, condition=LABELS))
    assert small.meta["quantized"] == {"dtype": "int8", "bits_per_dim": mean, "samples": 40}
    assert added_bits_per_dim(digits, small, x, condition=LABELS) == mean
    assert f"quantized    int8: {mean:+.4f} bits/dim on 40 samples" in small.explain().splitlines()
    assert "quantized    int8" in digits.quantize("int8").explain().splitlines()
    assert "quantized" not in digits.explain()
    assert small.meta["name"] == digits.meta["name"] and "quantized" not in digits.meta


def test_explain_says_what_weights_are_of_which_type(digits: gf.Model) -> None:
    line = next(line for line in digits.quantize("int8").explain().splitlines() if line.startswith("weights"))
    assert line == "weights      82 KiB (f32 9.4 KiB, int8 72 KiB)"
    whole, half = (len(m._core.file_bytes()) for m in (digits, digits.quantize("bf16")))
    assert half < 0.7 * whole


def test_saved_loaded_and_pickled(digits: gf.Model, x: np.ndarray, tmp_path) -> None:
    small = digits.quantize("int8", check=x, condition=LABELS)
    small.save(tmp_path / "small.genfast")
    summary = _core.read_graph_summary(tmp_path / "small.genfast")
    assert summary["weight_types"].count("int8") > 10
    want = small.log_prob(x, condition=LABELS)
    for other in (gf.load(tmp_path / "small.genfast"), pickle.loads(pickle.dumps(small))):
        np.testing.assert_array_equal(other.log_prob(x, condition=LABELS), want)
        assert other.meta == small.meta and other.explain() == small.explain()


def test_the_container_writes_what_it_read(digits: gf.Model) -> None:
    for model in (digits, digits.quantize("bf16"), digits.quantize("int8")):
        data = model._core.file_bytes()
        assert container.pack(*container.unpack(data)) == data


def test_errors(digits: gf.Model, x: np.ndarray) -> None:
    for wrong in ("int4", "f16", "BF16", ""):
        with pytest.raises(ValueError, match="dtype must be 'bf16' or 'int8', got"):
            digits.quantize(wrong)
    with pytest.raises(TypeError, match="dtype must be 'bf16' or 'int8', got type"):
        digits.quantize(float)  # type: ignore[arg-type]
    for dtype in DTYPES:
        with pytest.raises(ValueError, match="quantized already; quantize the original"):
            digits.quantize(dtype).quantize("int8")
    with pytest.raises(ValueError, match="condition 'label' is missing"):
        digits.quantize("int8", check=x)
    with pytest.raises(ValueError, match="condition belongs to check"):
        digits.quantize("int8", condition=LABELS)
    with pytest.raises(ValueError, match="no samples to compare on"):
        digits.quantize("int8", check=x[:0], condition={"label": 0})


def test_nothing_to_quantize() -> None:
    graph = {
        "version": 1,
        "producer": "test",
        "values": [[2, 1], [2, 2]],
        "tables": [],
        "input": {"value": 0, "shape": [2], "dtype": "int", "name": "x"},
        "conditions": [],
        "nodes": [node("const", 1, "logits", data=0)],
        "head": {"kind": "categorical", "value": 1, "table": -1, "channel": 0, "levels": 2, "values": 1},
        "order": {"kind": "raster"},
        "assumed": [],
        "meta": {},
    }
    model = gf.Model(_core.Model.from_bytes(File(graph, [], [np.zeros(4), np.arange(2.0)]).bytes(), "test"))
    with pytest.raises(ValueError, match="nothing to quantize: the model has no matrix products and no tables"):
        model.quantize("int8")


# The command


def test_command(digits: gf.Model, x: np.ndarray, tmp_path) -> None:
    out = tmp_path / "small.genfast"
    result = CliRunner().invoke(app, ["quantize", "digits", "-o", str(out), "--dtype", "bf16"])
    assert result.exit_code == 0, result.output
    assert " MiB, was " in result.output
    np.testing.assert_array_equal(
        gf.load(out).log_prob(x, condition=LABELS), digits.quantize("bf16").log_prob(x, condition=LABELS)
    )
    again = CliRunner().invoke(app, ["quantize", str(out), "-o", str(tmp_path / "smaller.genfast")])
    assert again.exit_code == 1 and "quantized already" in again.stderr
    assert CliRunner().invoke(app, ["quantize", "digits", "-o", str(out), "--dtype", "int4"]).exit_code == 2


def test_command_measures(tmp_path) -> None:
    made().save(tmp_path / "made.genfast")
    np.save(tmp_path / "x.npy", made().sample(30, rng=0))
    arguments = [
        str(tmp_path / "made.genfast"),
        "-o",
        str(tmp_path / "out.genfast"),
        "--check",
        str(tmp_path / "x.npy"),
    ]
    result = CliRunner().invoke(app, ["quantize", *arguments])
    assert result.exit_code == 0 and "bits/dim on 30 samples" in result.output
    assert gf.load(tmp_path / "out.genfast").meta["quantized"]["samples"] == 30
