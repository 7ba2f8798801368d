"""gemm and lookup over bf16 and int8 weights: the f32 kernels on the widened numbers, bit for bit, on every target."""

import numpy as np
import pytest

from genfast import _core

k = _core.kernels
TARGETS = [name for name, supported in k.targets() if supported]
TYPES = ["bf16", "int8"]


def weights_of(kind, rng, *shape):
    """Numbers the type holds exactly, as float32."""
    if kind == "int8":
        return rng.integers(-127, 128, shape).astype(np.float32)
    bits = rng.standard_normal(shape).astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def f32(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 16, 17, 33])
def test_gemm(kind, target, rows):
    rng = np.random.default_rng(rows)
    for columns in (1, 16, 31, 48, 63, 64, 97, 130):
        w = weights_of(kind, rng, 300, columns)
        scales = f32(rng, columns) if kind == "int8" else None
        bias, residual = f32(rng, columns), f32(rng, rows, columns)
        x = f32(rng, rows, 300)
        segments = [(0, False, [x[:, :256]]), (256, True, [x[:, 256:]])]
        plain, got = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
        k.gemm("scalar", segments, w, out=[plain])
        want = plain * scales if kind == "int8" else plain
        want = np.maximum(want + bias + residual, 0)
        k.gemm(target, segments, w, bias, True, [got], residual=[residual], weight_type=kind, scales=scales)
        np.testing.assert_array_equal(got.view(np.uint32), (want + np.float32(0)).view(np.uint32))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_number_of_the_type_is_widened_exactly(kind, target):
    if kind == "int8":
        w = np.arange(-127, 128, dtype=np.float32)[None]
    else:
        bits = np.arange(1 << 16, dtype=np.uint32) << np.uint32(16)
        w = bits.view(np.float32)
        w = w[np.isfinite(w)][None]
    scales = np.ones(w.shape[1], np.float32) if kind == "int8" else None
    out = np.empty_like(w)
    k.gemm(target, [(0, False, [np.ones((1, 1), np.float32)])], w, out=[out], weight_type=kind, scales=scales)
    np.testing.assert_array_equal(out, w)
    table = np.ascontiguousarray(w.T)
    index = np.arange(len(table), dtype=np.float32)[:, None]
    found = np.empty_like(table)
    assert k.lookup(target, found, index, table, weight_type=kind, scales=scales) == -1
    np.testing.assert_array_equal(found.view(np.uint32), table.view(np.uint32))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_lookup(kind, target):
    rng = np.random.default_rng(4)
    for columns in (1, 15, 33):
        table = weights_of(kind, rng, 9, columns)
        scales = f32(rng, 9) if kind == "int8" else None
        index = rng.integers(0, 9, (20, 1)).astype(np.float32)
        out = np.empty((20, columns), np.float32)
        assert k.lookup(target, out, index, table, weight_type=kind, scales=scales) == -1
        rows = index[:, 0].astype(int)
        want = table[rows] * scales[rows, None] if kind == "int8" else table[rows]
        np.testing.assert_array_equal(out, want)
        index[3] = 9
        assert k.lookup(target, out, index, table, weight_type=kind, scales=scales) == 3


def test_scales_belong_to_int8():
    x, w = np.ones((1, 2), np.float32), np.ones((2, 3), np.float32)
    out = [np.empty((1, 3), np.float32)]
    with pytest.raises(ValueError, match="takes scales"):
        k.gemm("", [(0, False, [x])], w, out=out, weight_type="int8")
    with pytest.raises(ValueError, match="takes scales"):
        k.gemm("", [(0, False, [x])], w, out=out, weight_type="bf16", scales=[1, 1, 1])
    with pytest.raises(ValueError, match="unknown weight type"):
        k.gemm("", [(0, False, [x])], w, out=out, weight_type="f16")
