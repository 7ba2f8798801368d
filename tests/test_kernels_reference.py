"""Every kernel against genfast/reference.py, which the exporter is tested against too: one meaning of each op.

tests/test_kernels.py has the sharp bounds against independent mathematics; here the two definitions are held together.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from genfast import _core, reference

k = _core.kernels
TARGETS = [name for name, supported in k.targets() if supported]
COLUMNS = [1, 7, 16, 33, 64, 257]
POSITIVE = {"log", "sqrt", "rsqrt", "reciprocal", "div"}
PARAMS = {"elu": [0.7, 1.1, 0.9], "leaky_relu": [0.125], "clamp": [-0.5, 0.75], "softplus": [1.0, 20.0]}
OPERANDS = {"where": 3, "madd": 3} | dict.fromkeys(
    ["add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"], 2
)


def misaligned(shape, fill=None):
    """A float32 view that starts one float off any boundary."""
    room = np.zeros((shape[0], shape[1] + 1), np.float32)
    view = room[:, 1:]
    if fill is not None:
        view[:] = fill
    return view


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("op", reference.MAP_OPS)
@pytest.mark.parametrize("target", TARGETS)
def test_maps(target, op, columns):
    rng = np.random.default_rng(columns)
    args = [rng.normal(size=(3, columns)).astype(np.float32) for _ in range(OPERANDS.get(op, 1))]
    if op in POSITIVE:
        args = [np.abs(a) + np.float32(0.1) for a in args]
    if op in ("eq", "ne", "where", "logical_not"):
        args = [np.round(a) for a in args]
    params = [np.float32(p) for p in PARAMS.get(op, [])]
    out = misaligned((3, columns))
    k.map(target, op, out, [misaligned(a.shape, a) for a in args], [float(p) for p in params])
    np.testing.assert_allclose(out, reference.MAP_OPS[op](*args, *params), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("op", reference.ROW_OPS)
@pytest.mark.parametrize("target", TARGETS)
def test_rows(target, op, columns):
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(4, columns)).astype(np.float32)
    params = [1e-5] if "norm" in op else []
    want = reference.ROW_OPS[op](x.astype(np.float64), *params)
    out = misaligned(want.shape)
    k.row(target, op, out, misaligned(x.shape, x), params)
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("columns", [2, 15, 17, 256, 1000])
@pytest.mark.parametrize("target", TARGETS)
def test_categorical(target, columns, temperature):
    rng = np.random.default_rng(columns)
    z = misaligned((50, columns), 3 * rng.normal(size=(50, columns)))
    z[:, 0] = -np.inf
    u = rng.random(50)
    u[:2] = 0, 1
    graph = SimpleNamespace(json={"head": {"kind": "categorical"}})
    want = reference.draw(graph, np.ascontiguousarray(z), u, temperature)
    level, bad = k.categorical(target, z, u, temperature)
    assert bad == -1
    inner = slice(2, None)  # at u = 1 both name a level whose rounded F is the total
    assert (level[inner] == want[inner]).all()
    assert level[0] == want[0] == 1
    table = reference._log_probs(graph, np.ascontiguousarray(z), temperature)
    got, bad = k.categorical_log_prob(target, z, level, temperature)
    assert bad == -1
    np.testing.assert_allclose(got, np.take_along_axis(table, level[:, None], 1)[:, 0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("target", TARGETS)
def test_bernoulli(target):
    rng = np.random.default_rng(0)
    z, u = rng.normal(size=(200, 1)).astype(np.float32), rng.random(200)
    graph = SimpleNamespace(json={"head": {"kind": "bernoulli", "probs": False}})
    level, bad = k.bernoulli(target, z, u, 0.7, False)
    assert bad == -1
    assert (level == reference.draw(graph, z, u, 0.7)).all()


@pytest.mark.parametrize("seed", [0, 11, (1 << 64) - 1])
def test_uniforms(seed):
    want = reference.uniforms(seed, np.array([5, 1 << 40]), 7)
    assert (np.stack([k.uniforms(seed, row, 0, 7) for row in (5, 1 << 40)]) == want).all()


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("target", TARGETS)
def test_gemm_with_its_epilogue(target, columns, relu):
    """The residual and the relu are the maps that would follow, to the bit."""
    rng = np.random.default_rng(columns)
    x, w, residual = (rng.normal(size=s).astype(np.float32) for s in ((13, 40), (40, columns), (13, columns)))
    bias = rng.normal(size=columns).astype(np.float32)
    segments = [(0, False, [misaligned(x.shape, x)])]
    plain, fused, apart = (misaligned((13, columns)) for _ in range(3))
    k.gemm(target, segments, w, bias, False, [plain])
    np.testing.assert_allclose(plain, x.astype(np.float64) @ w + bias, rtol=1e-5, atol=1e-5)
    k.gemm(target, segments, w, bias, relu, [fused], 0, -1, [misaligned(residual.shape, residual)])
    k.map(target, "add", apart, [plain, residual], [])
    if relu:
        k.map(target, "relu", apart, [apart.copy()], [])
    assert (fused.view(np.uint32) == apart.view(np.uint32)).all()


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("target", TARGETS)
def test_gemm_stores_its_relu_beside(target, columns):
    """out is what it is without relu_out, and relu_out the relu of it, to the bit: zeros of either sign too."""
    rng = np.random.default_rng(columns)
    x, w, residual = (rng.integers(-2, 3, s).astype(np.float32) for s in ((13, 40), (40, columns), (13, columns)))
    residual[0] = -0.0
    x[0] = -0.0
    segments = [(0, False, [misaligned(x.shape, x)])]
    plain, out, clipped, apart = (misaligned((13, columns)) for _ in range(4))
    k.gemm(target, segments, w, None, False, [plain], 0, -1, [residual])
    k.gemm(target, segments, w, None, False, [out], 0, -1, [residual], relu_out=[clipped])
    k.map(target, "relu", apart, [plain], [])
    assert (out.view(np.uint32) == plain.view(np.uint32)).all()
    assert (clipped.view(np.uint32) == apart.view(np.uint32)).all()
    assert (clipped != out).any()
