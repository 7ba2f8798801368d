"""Every kernel of every target against float64, and every target against every other one, bit for bit.

Shapes are ragged on purpose and views start one float off alignment, because that is where vector code goes wrong.
"""

import math
import os
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import scipy.special as sp
from scipy.stats import chi2

from genfast import _core

k = _core.kernels
TARGETS = [name for name, supported in k.targets() if supported]
SIZES = [*range(1, 71), 255, 256, 257]
FEW_SIZES = [1, 7, 15, 16, 17, 31, 33, 64, 65, 257]


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)


def misaligned(a, pad=3):
    """A copy of a matrix as a view that starts one float after an aligned address and has padded rows."""
    a = np.atleast_2d(np.asarray(a, np.float32))
    room = np.full(a.shape[0] * (a.shape[1] + pad) + 17, np.nan, np.float32)
    start = (-room.ctypes.data // 4) % 16 + 1
    view = room[start : start + a.shape[0] * (a.shape[1] + pad)].reshape(a.shape[0], a.shape[1] + pad)[:, : a.shape[1]]
    view[:] = a
    return view


def guarded(rows, columns, pad=5):
    """An output view whose padding must survive: (view, check)."""
    room = np.full((rows + 1, columns + pad), 123.25, np.float32)
    view = room[:rows, 1 : 1 + columns]

    def check():
        outside = room.copy()
        outside[:rows, 1 : 1 + columns] = 123.25
        assert (outside == 123.25).all(), "wrote outside the output"

    return view, check


def bits(a):
    return np.ascontiguousarray(a).view(np.uint32 if a.dtype == np.float32 else np.uint64)


def same_bits(arrays):
    first = bits(arrays[0])
    return all((bits(a) == first).all() for a in arrays[1:])


def ulps(got, expected):
    """Error in units of the last place of float32, down to 2^-126."""
    expected = np.asarray(expected, np.float64)
    size = np.maximum(np.abs(expected), 2.0**-126)
    return np.abs(got.astype(np.float64) - expected) / 2.0 ** (np.floor(np.log2(size)) - 23)


# --- map


def relu(x):
    return np.where(x > 0, x, 0)


def elu(x, alpha, scale, input_scale):
    return np.where(x > 0, scale * x, scale * alpha * np.expm1(np.minimum(input_scale * x, 80)))


def softplus(x, beta, threshold):
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def gelu_tanh(x):
    return x * sp.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


SYMMETRIC, POSITIVE = (-4, 4), (0.01, 20)
# op: (float64 reference, range of the operands, parameters, ulp)
MAP_OPS = {
    "identity": (lambda a: a, SYMMETRIC, (), 0),
    "neg": (lambda a: -a, SYMMETRIC, (), 0),
    "abs": (np.abs, SYMMETRIC, (), 0),
    "relu": (relu, SYMMETRIC, (), 0),
    "sigmoid": (sp.expit, (-20, 20), (), 3),
    "tanh": (np.tanh, SYMMETRIC, (), 3),
    "exp": (np.exp, (-80, 80), (), 1.5),
    "log": (np.log, POSITIVE, (), 1.5),
    "sqrt": (np.sqrt, POSITIVE, (), 0.5),
    "rsqrt": (lambda a: 1 / np.sqrt(a), POSITIVE, (), 1.6),
    "square": (np.square, SYMMETRIC, (), 0.5),
    "reciprocal": (lambda a: 1 / a, POSITIVE, (), 0.5),
    "erf": (sp.erf, SYMMETRIC, (), 2),
    "gelu": (lambda a: a * sp.ndtr(a), (-6, 6), (), 8),
    "gelu_tanh": (gelu_tanh, SYMMETRIC, (), 24),
    "silu": (lambda a: a * sp.expit(a), (-20, 20), (), 3),
    "floor": (np.floor, SYMMETRIC, (), 0),
    "round": (np.round, SYMMETRIC, (), 0),
    "sign": (np.sign, SYMMETRIC, (), 0),
    "logical_not": (lambda a: a == 0, SYMMETRIC, (), 0),
    "elu": (elu, SYMMETRIC, (1.5, 1.25, 0.5), 4),
    "leaky_relu": (lambda a, s: np.where(a > 0, a, a * s), SYMMETRIC, (0.125,), 0.5),
    "clamp": (lambda a, low, high: np.clip(a, low, high), SYMMETRIC, (-1.5, 2.0), 0),
    "softplus": (softplus, (-20, 20), (1.5, 20.0), 24),
    "add": (np.add, SYMMETRIC, (), 0.5),
    "sub": (np.subtract, SYMMETRIC, (), 0.5),
    "mul": (np.multiply, SYMMETRIC, (), 0.5),
    "div": (np.divide, POSITIVE, (), 0.5),
    "maximum": (np.maximum, SYMMETRIC, (), 0),
    "minimum": (np.minimum, SYMMETRIC, (), 0),
    "eq": (np.equal, SYMMETRIC, (), 0),
    "ne": (np.not_equal, SYMMETRIC, (), 0),
    "lt": (np.less, SYMMETRIC, (), 0),
    "le": (np.less_equal, SYMMETRIC, (), 0),
    "gt": (np.greater, SYMMETRIC, (), 0),
    "ge": (np.greater_equal, SYMMETRIC, (), 0),
    "where": (lambda c, a, b: np.where(c != 0, a, b), SYMMETRIC, (), 0),
    "madd": (lambda a, b, c: a * b + c, SYMMETRIC, (), 0.51),
}
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"]
ARITY = dict.fromkeys(MAP_OPS, 1) | dict.fromkeys(BINARY, 2) | {"where": 3, "madd": 3}


def operand(rng, op, shape):
    low, high = MAP_OPS[op][1]
    x = rng.uniform(low, high, shape).astype(np.float32)
    if op in ("eq", "ne", "le", "ge", "sign", "logical_not", "where", "round", "relu"):
        x = np.where(rng.random(shape) < 0.5, np.round(x), x).astype(np.float32)  # ties and zeros
    return x


def check_map(target, op, args, out_view):
    reference, _, params, bound = MAP_OPS[op]
    k.map(target, op, out_view, args, list(params))
    full = np.broadcast_arrays(*[np.asarray(a, np.float64) for a in args], np.empty(out_view.shape))[:-1]
    expected = np.asarray(reference(*full, *params), np.float64)
    error = ulps(out_view, expected)
    assert error.max() <= bound, (op, error.max())
    return out_view.copy()


@pytest.mark.parametrize("op", MAP_OPS)
def test_map_ragged_misaligned_and_equal(op, rng):
    for n in SIZES:
        args = [misaligned(operand(rng, op, (2, n))) for _ in range(ARITY[op])]
        results = []
        for target in TARGETS:
            out, check = guarded(2, n)
            results.append(check_map(target, op, args, out))
            check()
        assert same_bits(results)


@pytest.mark.parametrize("op", ["add", "div", "where", "madd"])
def test_map_strides_and_broadcasts(op, rng):
    for rows, n in [(1, 5), (4, 1), (3, 16), (5, 33), (7, 64)]:
        for case in range(4 ** ARITY[op]):
            args = []
            for i in range(ARITY[op]):
                kind = case // 4**i % 4
                shape = [(rows, n), (1, n), (rows, 1), (1, 1)][kind]
                x = operand(rng, op, shape)
                args.append(misaligned(x) if case % 3 else x)
            results = []
            for target in TARGETS:
                out, check = guarded(rows, n)
                results.append(check_map(target, op, args, out))
                check()
                dense = np.empty((rows, n), np.float32)
                results.append(check_map(target, op, args, dense))
            assert same_bits(results)


@pytest.mark.parametrize("target", TARGETS)
def test_map_in_place(target, rng):
    for n in (5, 16, 100):
        for make in (misaligned, np.ascontiguousarray):
            a, b = make(operand(rng, "add", (3, n))), make(operand(rng, "add", (3, n)))
            total, difference = a + b, a - b
            k.map(target, "sub", b, [a, b])
            assert (b == difference).all()
            b[:] = total - a
            expected = a + b
            k.map(target, "add", a, [a, b])
            assert (a == expected).all()


def test_every_listed_op_is_tested():
    for op in MAP_OPS:
        with pytest.raises(ValueError, match="operands"):
            k.map("", op, np.empty((1, 1), np.float32), [])
    with pytest.raises(ValueError, match="unknown operation"):
        k.map("", "sine", np.empty((1, 1), np.float32), [])


SPECIAL = np.array(
    [
        *[0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-39, 2.0**-126],
        *[88.72284, 88.72283, -87.33654, -87.33655, -103.0, -104.0, 3e38, -3e38],
        *[1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 2.0**23 + 1, 2.0**31, -(2.0**40)],
    ],
    np.float32,
)


@pytest.mark.parametrize("op", [op for op in MAP_OPS if ARITY[op] == 1])
def test_special_values_and_random_bit_patterns_agree(op, rng):
    patterns = rng.integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([SPECIAL, patterns])[None]
    results = []
    for target in TARGETS:
        out = np.empty_like(x)
        k.map(target, op, out, [x], list(MAP_OPS[op][2]))
        results.append(out)
    assert same_bits(results)
    nan = np.isnan(x)
    if op not in ("relu", "logical_not"):  # max(NaN, 0) is 0 by the rule a > b ? a : b; NaN is true
        assert np.isnan(results[0][nan]).all()
    assert (bits(results[0][np.isnan(results[0])]) == 0x7FC00000).all(), "NaNs are canonical"


@pytest.mark.parametrize("op", [op for op in MAP_OPS if ARITY[op] == 2])
def test_special_pairs_agree(op):
    a, b = (x.reshape(1, -1).copy() for x in np.meshgrid(SPECIAL, SPECIAL))
    results = []
    for target in TARGETS:
        out = np.empty_like(a)
        k.map(target, op, out, [a, b], [])
        results.append(out)
    assert same_bits(results)
    if op in ("maximum", "minimum"):
        pick = a > b if op == "maximum" else a < b
        expected = np.where(pick, a, b)
        assert np.array_equal(expected, results[0], equal_nan=True)


def spread(rng, low, high, n=300_000):
    """Evenly in value and evenly in exponent."""
    flat = rng.uniform(low, high, n)
    signs = np.where(rng.random(n) < 0.5, low, high)
    return np.concatenate([flat, signs * 2.0 ** rng.uniform(-40, 0, n)]).astype(np.float32)


ACCURACY = [
    ("exp", np.exp, -87.33654, 88.72283, (), 1.5),
    ("log", np.log, 0, 1e9, (), 1.5),
    ("log", np.log, 0.5, 2, (), 1.5),
    ("tanh", np.tanh, -12, 12, (), 4),
    ("sigmoid", sp.expit, -80, 80, (), 4),
    ("erf", sp.erf, -5, 5, (), 4),
    ("elu", lambda x, *p: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), -100, 5, (1.0, 1.0, 1.0), 4),
    ("elu", lambda x, *p: np.expm1(-x), -88, 0, (1.0, 1.0, -1.0), 4),
    ("softplus", softplus, -80, 30, (1.0, 20.0), 4),
    ("silu", lambda x: x * sp.expit(x), -80, 80, (), 4),
    ("gelu", lambda x: x * sp.ndtr(x), -13, 13, (), 16),
]


@pytest.mark.parametrize(("op", "reference", "low", "high", "params", "bound"), ACCURACY)
def test_accuracy(op, reference, low, high, params, bound, rng):
    x = spread(rng, low, high)
    x = x[(x != 0) | (op != "log")]
    out = np.empty_like(x[None])
    k.map("", op, out, [x[None]], list(params))
    expected = reference(x.astype(np.float64), *params)
    normal = (
        np.abs(expected) >= 2.0**-126 if op in ("exp", "sigmoid", "softplus", "silu", "gelu") else np.ones(len(x), bool)
    )
    error = ulps(out[0], expected)[normal]
    assert error.max() <= bound, (error.max(), x[normal][error.argmax()])


def test_exp_flushes_to_plus_zero_exactly_below_the_normals():
    x = (
        np.nextafter(np.float32(-87.3365), np.float32(-88), dtype=np.float32)
        + np.arange(-64, 64, dtype=np.float32) * 7.6294e-6
    )
    x = x.astype(np.float32)
    out = np.empty_like(x[None])
    k.map("", "exp", out, [x[None]], [])
    below = np.exp(x.astype(np.float64)) < 2.0**-126
    assert below.any()
    assert not below.all()
    assert (bits(out[0][below]) == 0).all()
    assert (out[0][~below] >= 2.0**-126).all()


# --- row

ROW_OPS = ["layer_norm", "rms_norm", "softmax", "log_softmax", "sum", "mean", "max"]


def row_reference(op, x, eps, weight, bias):
    x = x.astype(np.float64)
    if op in ("layer_norm", "rms_norm"):
        y = x - x.mean(1, keepdims=True) if op == "layer_norm" else x
        y = y / np.sqrt((y**2).mean(1, keepdims=True) + eps)
        return y * (1 if weight is None else weight) + (0 if bias is None else bias)
    if op in ("softmax", "log_softmax"):
        return getattr(sp, op)(x, axis=1)
    return {"sum": np.sum, "mean": np.mean, "max": np.max}[op](x, axis=1, keepdims=True)


def lane_sum(x):
    """The documented order: 16 lanes, rising channel, then folds of 8, 4, 2, 1."""
    lanes = np.zeros(16, np.float32)
    for c, value in enumerate(x):
        lanes[c % 16] += value
    for step in (8, 4, 2, 1):
        lanes = lanes[:step] + lanes[step : 2 * step]
    return lanes[0]


@pytest.mark.parametrize("op", ROW_OPS)
def test_row(op, rng):
    for n in SIZES:
        x = misaligned(rng.normal(0, 3, (3, n)))
        for weight, bias in [(None, None), (rng.random(n) + 0.5, None), (rng.random(n) + 0.5, rng.normal(size=n))]:
            if weight is not None and not op.endswith("norm"):
                continue
            eps = 1e-5 if op.endswith("norm") else None
            results = []
            for target in TARGETS:
                out, check = guarded(3, 1 if op in ("sum", "mean", "max") else n)
                k.row(target, op, out, x, [eps] if eps else [], weight, bias)
                check()
                results.append(out.copy())
            expected = row_reference(op, x, eps, weight, bias)
            np.testing.assert_allclose(results[0], expected, rtol=3e-6, atol=3e-6)
            assert same_bits(results)


@pytest.mark.parametrize("target", TARGETS)
def test_row_sums_have_the_documented_order(target, rng):
    for n in FEW_SIZES:
        x = (rng.normal(size=(2, n)) * 10.0 ** rng.integers(-4, 4, (2, n))).astype(np.float32)
        out = np.empty((2, 1), np.float32)
        k.row(target, "sum", out, x)
        assert [lane_sum(r) for r in x] == out[:, 0].tolist()


@pytest.mark.parametrize("op", ["layer_norm", "rms_norm", "softmax", "log_softmax"])
@pytest.mark.parametrize("target", TARGETS)
def test_row_in_place(op, target, rng):
    x = rng.normal(size=(4, 37)).astype(np.float32)
    out = np.empty_like(x)
    params = [1e-5] if op.endswith("norm") else []
    k.row(target, op, out, x, params)
    k.row(target, op, x, x, params)
    assert same_bits([out, x])


def test_row_special_values():
    inf, nan = np.inf, np.nan
    x = np.array([[1, -inf, 2], [-inf, -inf, -inf], [inf, 1, 2], [nan, 1, 2], [-0.0, -0.0, -0.0]], np.float32)
    for op in ROW_OPS:
        results = []
        for target in TARGETS:
            out = np.empty((5, 1 if op in ("sum", "mean", "max") else 3), np.float32)
            k.row(target, op, out, x, [1e-5] if op.endswith("norm") else [])
            results.append(out)
        assert same_bits(results)
        assert np.isnan(results[0][3]).all(), op
        if op == "softmax":
            assert results[0][0, 1] == 0
            assert np.isnan(results[0][1]).all()
        if op == "max":
            assert results[0][:3, 0].tolist() == [2, -inf, inf]


# --- lookup


@pytest.mark.parametrize("target", TARGETS)
def test_lookup(target, rng):
    for n in FEW_SIZES:
        table = rng.normal(size=(11, n)).astype(np.float32)
        index = misaligned(rng.integers(0, 11, (6, 1)))
        out, check = guarded(6, n)
        assert k.lookup(target, out, index, table) == -1
        check()
        assert (out == table[index[:, 0].astype(int)]).all()


@pytest.mark.parametrize("bad", [-1, 11, 0.5, 10.5, np.nan, np.inf, -np.inf, 1e30, 2.0**31, 2.0**63, -0.25])
@pytest.mark.parametrize("target", TARGETS)
def test_lookup_names_the_bad_row(target, bad):
    table = np.arange(22, dtype=np.float32).reshape(11, 2)
    index = np.array([[3], [bad], [4], [bad]], np.float32)
    assert k.lookup(target, np.empty((4, 2), np.float32), index, table) == 1


# --- gemm


class Case:
    """Segments with their undropped K start, as the planner would split them: never across a multiple of 256."""

    def __init__(self, rng, groups, group_rows, n, pieces, exact=False):
        self.groups, self.rows, self.n = groups, group_rows, n
        self.k0, self.segments, self.sources = [], [], []
        weight_row, previous = 0, 0
        for k0, count in pieces:
            parts = []
            while count:  # split at chunk boundaries
                take = min(count, 256 - k0 % 256)
                parts.append((k0, take))
                k0, count = k0 + take, count - take
            for start, take in parts:
                self.k0.append(start)
                chunk = start // 256
                values = (
                    rng.integers(-8, 9, (groups, group_rows, take))
                    if exact
                    else rng.normal(size=(groups, group_rows, take))
                )
                self.sources.append(values.astype(np.float32))
                self.segments.append((weight_row, chunk != previous))
                previous = chunk
                weight_row += take
        self.k_rows = weight_row
        w = rng.integers(-8, 9, (weight_row, n)) if exact else rng.normal(size=(weight_row, n))
        self.weights = w.astype(np.float32)
        self.bias = rng.normal(size=n).astype(np.float32) if not exact else rng.integers(-9, 9, n).astype(np.float32)

    def run(self, target, groups=None, rows=None, m_range=None, bias=True, relu=False, dense=True):
        g = list(range(self.groups)) if groups is None else groups
        r = slice(None) if rows is None else rows
        segments = []
        for (weight_row, chunk), s in zip(self.segments, self.sources, strict=True):
            parts = [s[i][r] for i in g]
            segments.append((weight_row, chunk, [np.ascontiguousarray(p) if dense else misaligned(p) for p in parts]))
        count = len(range(self.rows)[r])
        room = np.full((len(g), count, self.n + 3), 77.5, np.float32)
        out = room[:, :, 1 : 1 + self.n]
        m = m_range or (0, -1)
        k.gemm(target, segments, self.weights, self.bias if bias else None, relu, list(out), *m)
        assert (room[:, :, 0] == 77.5).all()
        assert (room[:, :, 1 + self.n :] == 77.5).all()
        return out.copy()

    def expected(self, bias=True, relu=False):
        total = np.zeros((self.groups, self.rows, self.n))
        for (weight_row, _), s in zip(self.segments, self.sources, strict=True):
            total += s.astype(np.float64) @ self.weights[weight_row : weight_row + s.shape[2]].astype(np.float64)
        total = total + (self.bias if bias else 0)
        return np.maximum(total, 0) if relu else total


@pytest.mark.parametrize("n", [1, 15, 16, 17, 32, 40, 48, 63, 64, 65, 80, 96, 112, 128, 130])
def test_gemm_exact_on_integers(n, rng):
    # Integers this small make every order exact, so any wrong index shows.
    for rows in [*range(1, 20), 33, 50]:
        case = Case(rng, 1, rows, n, [(0, 5), (7, 1), (250, 20), (600, 3)], exact=True)
        for target in TARGETS:
            for relu in (False, True):
                assert (case.run(target, relu=relu, dense=rows % 2 == 0) == case.expected(relu=relu)).all()


def test_gemm_groups_straddled_by_tiles(rng):
    for groups, rows in [(30, 1), (7, 1), (5, 3), (3, 7), (2, 64), (13, 5)]:
        case = Case(rng, groups, rows, 70, [(0, 9), (20, 4)], exact=True)
        for target in TARGETS:
            for bias in (False, True):
                assert (case.run(target, bias=bias) == case.expected(bias=bias)).all()


@pytest.mark.parametrize("n", [16, 32, 48, 64, 100, 192])
def test_gemm_bits_do_not_depend_on_target_or_split(n, rng):
    for pieces in ([(0, 64), (64, 64)], [(0, 300)], [(3, 1), (5, 1), (300, 250)], [(0, 256), (256, 256), (1024, 30)]):
        case = Case(rng, 3, 9, n, pieces)
        whole = case.run(TARGETS[0])
        np.testing.assert_allclose(whole, case.expected(), rtol=2e-4, atol=2e-4)
        for target in TARGETS:
            assert same_bits([whole, case.run(target), case.run(target, dense=False)])
            for g in range(3):  # one group alone, and one row alone
                assert same_bits([whole[g : g + 1], case.run(target, groups=[g])])
                assert same_bits([whole[g : g + 1, 4:5], case.run(target, groups=[g], rows=slice(4, 5))])
            assert same_bits([whole[[2, 0]], case.run(target, groups=[2, 0])])
            for height in (1, 2, 5, 8, 13):  # any way of cutting the rows
                pieces_of = np.full((27, n), np.nan, np.float32)
                for m in range(0, 27, height):
                    part = case.run(target, m_range=(m, min(m + height, 27))).reshape(27, n)
                    pieces_of[m : m + height] = part[m : m + height]
                assert same_bits([whole.reshape(27, n), pieces_of])


def chains(case, g, r, c):
    """The documented order in exact arithmetic: one fma chain a 256-chunk, then the chunk sums, then the bias."""

    def rounded(x):
        return np.float32(0) if x == 0 else np.float32(float_nearest(x))

    def float_nearest(x):
        # Round to float32 directly: going through float64 could round twice.
        sign, x = (-1, -x) if x < 0 else (1, x)
        e = math.floor(math.log2(x.numerator) - math.log2(x.denominator))
        while Fraction(2) ** (e + 1) <= x:
            e += 1
        while Fraction(2) ** e > x:
            e -= 1
        unit = Fraction(2) ** (e - 23)
        return sign * float(round(x / unit) * unit)

    total, acc = None, np.float32(0)
    for (weight_row, fold), s in zip(case.segments, case.sources, strict=True):
        if fold:
            total = acc if total is None else np.float32(total + acc)
            acc = np.float32(0)
        for j in range(s.shape[2]):
            exact = Fraction(float(s[g, r, j])) * Fraction(float(case.weights[weight_row + j, c])) + Fraction(
                float(acc)
            )
            acc = rounded(exact)
    total = acc if total is None else np.float32(total + acc)
    return np.float32(total + case.bias[c])


def test_gemm_follows_the_documented_order(rng):
    case = Case(rng, 2, 3, 33, [(0, 100), (150, 60), (250, 40), (700, 40)])
    for target in TARGETS:
        got = case.run(target)
        for g, r, c in [(0, 0, 0), (1, 2, 32), (0, 1, 17)]:
            assert got[g, r, c] == chains(case, g, r, c)


# --- categorical


def probabilities(logits, temperature=1.0):
    return sp.softmax(np.asarray(logits, np.float32).astype(np.float64) / temperature, axis=-1)


def draw(target, logits, u, temperature=1.0):
    level, bad = k.categorical(target, np.atleast_2d(logits), np.atleast_1d(np.asarray(u, np.float64)), temperature)
    assert bad == -1
    return level


@pytest.mark.parametrize("n", [*FEW_SIZES, 256, 1000, 50_000])
def test_categorical_inverts_the_cdf(n, rng):
    logits = misaligned(rng.normal(0, 2, (200 if n < 5000 else 8, n)))
    u = rng.random(len(logits))
    for temperature in (1.0, 0.7, 3.0):
        levels = [draw(target, logits, u, temperature) for target in TARGETS]
        assert all((level == levels[0]).all() for level in levels)
        cdf = np.cumsum(probabilities(logits, temperature), axis=1)
        at = np.arange(len(u))
        upper, lower = cdf[at, levels[0]], np.where(levels[0] > 0, cdf[at, levels[0] - 1], 0)
        assert (u <= upper + 3e-7).all()
        assert (u >= lower - 3e-7).all()


@pytest.mark.parametrize("target", TARGETS)
def test_categorical_rule_where_everything_is_exact(target):
    # Four equal categories: F is 1/4, 1/2, 3/4, 1 exactly, and F(k) >= u takes the lower level at a tie.
    logits = np.zeros((1, 4), np.float32)
    cases = {0.0: 0, 1e-300: 0, 0.25: 0, 0.2500001: 1, 0.5: 1, 0.75: 2, 0.7500001: 3, 1.0: 3}
    for u, level in cases.items():
        assert draw(target, logits, u)[0] == level
    # The same across blocks of 16: 64 equal categories.
    logits = np.zeros((1, 64), np.float32)
    for j in range(64):
        assert draw(target, logits, (j + 1) / 64)[0] == j
        assert draw(target, logits, (j + 0.5) / 64)[0] == j


@pytest.mark.parametrize("target", TARGETS)
def test_impossible_categories_are_never_drawn(target, rng):
    for n in (5, 16, 17, 40, 256, 257):
        logits = rng.normal(size=(400, n)).astype(np.float32)
        mask = rng.random((400, n)) < 0.7
        mask[np.arange(400), rng.integers(0, n, 400)] = False
        logits[mask] = rng.choice([-np.inf, -1e4, -200], mask.sum())
        u = rng.choice([0.0, 1.0, 0.5, 2.0**-53, 1 - 2.0**-53], 400)
        level = draw(target, logits, u)
        assert not mask[np.arange(400), level].any()
        possible = ~mask
        assert (level[u == 0] == possible.argmax(1)[u == 0]).all()
        assert (level[u == 1] == (n - 1 - possible[:, ::-1].argmax(1))[u == 1]).all()


@pytest.mark.parametrize("target", TARGETS)
def test_categorical_single_possible_level(target):
    for n in (1, 16, 17, 33, 300):
        for only in {0, n // 2, n - 1}:
            logits = np.full((3, n), -np.inf, np.float32)
            logits[:, only] = [5, -700, 1e38]
            assert (draw(target, logits, [0, 0.5, 1]) == only).all()


@pytest.mark.parametrize("target", TARGETS)
def test_bad_rows_are_named(target):
    for n in (1, 5, 16, 20, 100):
        for bad in (np.nan, np.inf, "all"):
            for at in {0, n // 2, n - 1}:
                logits = np.zeros((4, n), np.float32)
                logits[2, at] = np.nan if bad == "all" else bad
                if bad == "all":
                    logits[2] = -np.inf
                assert k.categorical(target, logits, np.full(4, 0.5), 1.0)[1] == 2
                assert k.categorical(target, logits, np.full(4, 0.5), 0.5)[1] == 2
                assert k.categorical_log_prob(target, logits, np.zeros(4, np.int32), 1.0)[1] == 2
                payload = np.zeros((1, n), np.float32)
                payload.view(np.uint32)[0, at] = 0xFF800123  # a signalling NaN with another sign
                assert k.categorical(target, payload, np.full(1, 0.5), 1.0)[1] == 0


@pytest.mark.parametrize("n", [1, 3, 16, 100, 256, 5000])
def test_categorical_log_prob(n, rng):
    logits = misaligned(rng.normal(0, 3, (50, n)))
    level = rng.integers(0, n, 50).astype(np.int32)
    for temperature in (1.0, 0.6):
        results = []
        for target in TARGETS:
            value, bad = k.categorical_log_prob(target, logits, level, temperature)
            assert bad == -1
            results.append(value)
        assert same_bits(results)
        expected = np.log(probabilities(logits, temperature))[np.arange(50), level]
        np.testing.assert_allclose(results[0], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_log_prob_of_an_impossible_level(target):
    logits = np.array([[0, -np.inf, 0, -150]], np.float32)
    assert k.categorical_log_prob(target, logits, np.array([1], np.int32))[0][0] == -np.inf
    assert k.categorical_log_prob(target, logits, np.array([3], np.int32))[0][0] == pytest.approx(-150 - np.log(2))


def chi_square(level, p):
    counts = np.bincount(level, minlength=len(p))
    expected = p * len(level)
    return ((counts - expected) ** 2 / expected).sum()


def test_frequencies():
    # False alarm 1e-6; a tilt of the odds by 1% on half of the categories must be caught.
    draws, n = 4_000_000, 64
    logits = np.random.default_rng(3).normal(0, 1, n).astype(np.float32)
    u = k.uniforms(99, 0, 0, draws)
    level = draw("", np.broadcast_to(logits, (draws, n)), u)
    p = probabilities(logits)
    limit = chi2.isf(1e-6, n - 1)
    assert chi_square(level, p) < limit
    tilted = p * np.where(np.arange(n) % 2, 1.01, 1.0)
    assert chi_square(level, tilted / tilted.sum()) > limit


# --- bernoulli


def bernoulli(target, x, u, temperature=1.0, probs=False):
    x = np.asarray(x, np.float32).reshape(-1, 1)
    level, bad = k.bernoulli(
        target, x, np.broadcast_to(np.asarray(u, np.float64), (len(x),)).copy(), temperature, probs
    )
    assert bad == -1
    return level


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("probs", [False, True])
def test_bernoulli(probs, temperature, rng):
    x = rng.random(5000) if probs else rng.normal(0, 4, 5000)
    x = x.astype(np.float32).reshape(-1, 1)
    u = rng.random(5000)
    z = (sp.logit(x.astype(np.float64)) if probs else x.astype(np.float64)) / temperature
    levels, scores = [], []
    for target in TARGETS:
        levels.append(bernoulli(target, misaligned(x), u, temperature, probs))
        score, bad = k.bernoulli_log_prob(target, misaligned(x), levels[0], temperature, probs)
        assert bad == -1
        scores.append(score)
    assert all((level == levels[0]).all() for level in levels)
    assert same_bits(scores)
    zero = sp.expit(-z)[:, 0]
    clear = np.abs(u - zero) > 3e-7
    assert (levels[0][clear] == (u > zero)[clear]).all()
    np.testing.assert_allclose(
        scores[0], sp.log_expit(np.where(levels[0] == 1, z[:, 0], -z[:, 0])), rtol=2e-6, atol=1e-9
    )


@pytest.mark.parametrize("target", TARGETS)
def test_bernoulli_edges(target):
    assert bernoulli(target, [0, 0, 0], [0.0, 0.5, 1.0]).tolist() == [0, 0, 1]
    assert bernoulli(target, [0, 0, 1, 1], [0.0, 1.0, 0.0, 1.0], probs=True).tolist() == [0, 0, 1, 1]
    assert bernoulli(target, [0, 0, 1, 1], [0.0, 1.0, 0.0, 1.0], 0.5, probs=True).tolist() == [0, 0, 1, 1]
    assert bernoulli(target, [-np.inf, -np.inf], [0.0, 1.0]).tolist() == [0, 0]
    assert bernoulli(target, [200, 200], [0.0, 1.0]).tolist() == [1, 1]
    for x, probs in [(np.nan, False), (np.inf, False), (np.nan, True), (-0.1, True), (1.1, True), (np.inf, True)]:
        rows = np.array([[0.5], [x]], np.float32)
        for temperature in (1.0, 2.0):
            assert k.bernoulli(target, rows, np.array([0.5, 0.5]), temperature, probs)[1] == 1
            assert k.bernoulli_log_prob(target, rows, np.array([0, 0], np.int32), temperature, probs)[1] == 1
    impossible = k.bernoulli_log_prob(
        target, np.array([[0], [1], [0]], np.float32), np.array([1, 0, 0], np.int32), 1.0, True
    )[0]
    assert impossible.tolist() == [-np.inf, -np.inf, 0]


def test_f64_exp_and_log_through_the_bernoulli_head():
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 50
    z = np.random.default_rng(0).normal(0, 12, 2000).astype(np.float32)
    score = k.bernoulli_log_prob("", z.reshape(-1, 1), np.ones(2000, np.int32))[0]
    for value, x in zip(score, z, strict=True):
        exact = -mp.log1p(mp.exp(-mp.mpf(float(x))))
        assert abs((mp.mpf(value) - exact) / exact) < 1e-15


# --- targets and argument checks


def test_set_target():
    try:
        for name in TARGETS:
            k.set_target(name)
            assert k.active() == name
        with pytest.raises(ValueError, match=f"available: {', '.join(TARGETS)}"):
            k.set_target("avx9000")
    finally:
        k.set_target("")
    assert k.active() in TARGETS


def in_new_process(value):
    code = "from genfast import _core; print(_core.kernels.active())"
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "GENFAST_TARGET": value},
        capture_output=True,
        text=True,
        check=False,
    )


def test_target_from_the_environment():
    assert in_new_process("scalar").stdout.strip() == "scalar"
    failed = in_new_process("mmx")
    assert failed.returncode != 0
    assert "GENFAST_TARGET" in failed.stderr
    assert "available: scalar" in failed.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++") or not shutil.which("nm"), reason="needs g++ and nm")
@pytest.mark.parametrize("target", ["scalar", "avx2", "avx512"])
def test_no_symbol_leaks_from_a_target(target, tmp_path):
    # A weak symbol compiled for AVX-512 could be the copy the linker keeps for everyone.
    csrc = Path(__file__).parent.parent / "csrc"
    if not csrc.is_dir():
        pytest.skip("needs the sources")
    compiled = tmp_path / "target.o"
    flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", f"-I{csrc}", "-c"]
    sources = [path for path in (csrc / "kernels/targets").glob("*.cc") if path.stem.split("_")[0] == target]
    assert len(sources) > 1
    for source in sources:
        subprocess.run(["g++", *flags, str(source), "-o", str(compiled)], check=True)
        listing = subprocess.run(["nm", "-C", str(compiled)], capture_output=True, text=True, check=True).stdout
        shared = [line for line in listing.splitlines() if line[17:18] in "WVuTDRBS" and line[17:18] != ""]
        assert shared
        assert all(re.search(rf"::{target}_(\w+_)?kernels$", line) for line in shared), shared


def test_shapes_are_checked():
    f = lambda *shape: np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="does not fit"):
        k.map("", "add", f(2, 3), [f(2, 3), f(2, 4)])
    with pytest.raises(ValueError, match="params"):
        k.map("", "clamp", f(2, 3), [f(2, 3)], [1.0])
    with pytest.raises(ValueError, match="out does not fit"):
        k.row("", "sum", f(2, 3), f(2, 3))
    with pytest.raises(ValueError, match="weight rows"):
        k.gemm("", [(1, False, [f(2, 4)])], f(4, 8), None, False, [f(2, 8)])
    with pytest.raises(ValueError, match="level out of range"):
        k.categorical_log_prob("", f(1, 3), np.array([3], np.int32))
    with pytest.raises(ValueError, match="temperature"):
        k.categorical("", f(1, 3), np.zeros(1), 0.0)
    with pytest.raises(ValueError, match="one entry"):
        k.categorical("", f(1, 3), np.zeros(2))
    with pytest.raises(ValueError, match="unknown target"):
        k.row("mmx", "sum", f(2, 1), f(2, 3))
