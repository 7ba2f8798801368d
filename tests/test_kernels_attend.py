"""The attention kernel against float64, and every target against every other one, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from genfast import _core

k = _core.kernels
TARGETS = [name for name, supported in k.targets() if supported]


def off_boundary(a):
    """A copy of a matrix that starts one float off any boundary and has padded rows."""
    room = np.full((a.shape[0], a.shape[1] + 4), np.nan, np.float32)
    view = room[:, 1 : 1 + a.shape[1]]
    view[:] = a
    return view


class Case:
    """One position's attention: rows × heads over keys that lie, as activations do, one matrix a key."""

    def __init__(self, rng, rows=2, heads=2, kv_heads=1, dim=16, dim_v=16, keys=20, bias=False, gap=0, spread=1.0):
        self.heads, self.dims = (heads, kv_heads), (dim, dim_v)
        self.steps = (dim + gap, dim + 2 * gap, dim_v + gap)
        self.scale = float(np.float32(dim**-0.5))
        self.q = spread * rng.normal(size=(rows, heads * self.steps[0])).astype(np.float32)
        self.k = spread * rng.normal(size=(keys, rows, kv_heads * self.steps[1])).astype(np.float32)
        self.v = rng.normal(size=(keys, rows, kv_heads * self.steps[2])).astype(np.float32)
        self.bias = rng.normal(size=(heads, keys)).astype(np.float32) if bias else None

    def run(self, target, seen, rows=slice(None), scores=None, keep=lambda j: True):
        heads, dims = self.heads, self.dims
        q, key, v = self.q[rows], self.k[:, rows], self.v[:, rows]
        count = seen[1] if isinstance(seen, tuple) else len(seen)
        out = off_boundary(np.full((len(q), heads[0] * dims[1]), 7.0, np.float32))
        ks = [off_boundary(x) if keep(j) else None for j, x in enumerate(key)]
        vs = [off_boundary(x) if keep(j) else None for j, x in enumerate(v)]
        room = -(-count // 16) * 16 + 1
        k.attend(
            target, out, off_boundary(q), ks, vs, seen, heads, dims, self.steps, self.scale, scores or room, self.bias
        )
        assert np.isnan(out.base[:, 0]).all() and np.isnan(out.base[:, 1 + out.shape[1] :]).all(), "wrote outside"
        return out.copy()

    def expected(self, seen):
        seen = np.arange(seen[0], seen[0] + seen[1]) if isinstance(seen, tuple) else np.asarray(seen, int)
        heads, kv_heads = self.heads
        dim, dim_v = self.dims
        out = np.zeros((len(self.q), heads, dim_v))
        for h in range(heads):
            g = h // (heads // kv_heads)
            q = self.q[:, h * self.steps[0] :][:, :dim].astype(np.float64)
            key = self.k[seen][:, :, g * self.steps[1] :][:, :, :dim].astype(np.float64)
            v = self.v[seen][:, :, g * self.steps[2] :][:, :, :dim_v].astype(np.float64)
            s = np.float64(np.float32(self.scale)) * np.einsum("rd,jrd->rj", q, key)
            if self.bias is not None:
                s = s + self.bias[h, seen]
            if len(seen):
                w = np.exp(s - s.max(1, keepdims=True))
                out[:, h] = np.einsum("rj,jre->re", w / w.sum(1, keepdims=True), v)
        return out.reshape(len(self.q), -1)


def same_bits(arrays):
    return all((a.view(np.uint32) == arrays[0].view(np.uint32)).all() for a in arrays[1:])


def check(case, seen, **how):
    outs = [case.run(target, seen, **how) for target in TARGETS]
    np.testing.assert_allclose(outs[0], case.expected(seen), rtol=2e-5, atol=2e-6)
    assert same_bits(outs)
    return outs[0]


@pytest.mark.parametrize("dim", [1, 3, 15, 16, 17, 33, 64, 80])
@pytest.mark.parametrize("dim_v", [1, 16, 31, 64, 129])
def test_ragged_dims(dim, dim_v):
    rng = np.random.default_rng(100 * dim + dim_v)
    check(Case(rng, dim=dim, dim_v=dim_v, gap=3), (2, 17))


@pytest.mark.parametrize("count", [*range(1, 36), 63, 64, 65, 257])
def test_any_number_of_keys(count):
    rng = np.random.default_rng(count)
    check(Case(rng, dim=20, dim_v=24, keys=count + 5, bias=count % 2 == 1), (count % 5, count))


@pytest.mark.parametrize(("heads", "kv_heads"), [(1, 1), (6, 6), (6, 3), (6, 2), (6, 1), (7, 7)])
@pytest.mark.parametrize("bias", [False, True])
def test_grouped_heads(heads, kv_heads, bias):
    rng = np.random.default_rng(heads)
    check(Case(rng, heads=heads, kv_heads=kv_heads, dim=8, dim_v=5, bias=bias, gap=1), (0, 20))


@pytest.mark.parametrize("bias", [False, True])
def test_scattered_keys(bias):
    """The i-th key seen is what counts, not its index; the rest may be absent."""
    rng = np.random.default_rng(3)
    case = Case(rng, keys=90, bias=bias)
    for seen in ([5], [0, 89], list(range(0, 90, 3)), sorted(rng.permutation(90)[:37].tolist())):
        check(case, seen, keep=lambda j, seen=seen: j in seen)
    interval = check(case, (11, 40))
    assert same_bits([interval, check(case, list(range(11, 51)))])


@pytest.mark.parametrize("seen", [(0, 0), (7, 0), []])
def test_seeing_nothing_is_zero(seen):
    case = Case(np.random.default_rng(0), keys=9)
    out = check(case, seen)
    assert (out.view(np.uint32) == 0).all()


def test_rows_and_scratch_change_no_bit():
    rng = np.random.default_rng(5)
    case = Case(rng, rows=7, heads=5, kv_heads=5, dim=24, dim_v=40, keys=70, bias=True)
    whole = check(case, (3, 61))
    for target in TARGETS:
        for row in range(7):
            assert same_bits([whole[row : row + 1], case.run(target, (3, 61), rows=slice(row, row + 1))])
        for scores in (65, 66, 129, 130, 131, 324, 325, 4000):
            assert same_bits([whole, case.run(target, (3, 61), scores=scores)])


def test_far_scores():
    """Weights that vanish are +0, and the largest score is subtracted before anything can overflow."""
    rng = np.random.default_rng(6)
    case = Case(rng, keys=33, spread=40.0)
    outs = [case.run(target, (0, 33)) for target in TARGETS]
    np.testing.assert_allclose(outs[0], case.expected((0, 33)), rtol=1e-3, atol=1e-3)
    assert same_bits(outs)


@pytest.mark.parametrize("where", ["q", "k", "v"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(where, bad):
    rng = np.random.default_rng(7)
    case = Case(rng, rows=3, keys=21)
    clean = check(case, (0, 21))
    array = getattr(case, where)
    array[(1, slice(None)) if where == "q" else (4, 1, slice(None))] = bad
    outs = [case.run(target, (0, 21)) for target in TARGETS]
    assert same_bits(outs)
    assert same_bits([clean[[0, 2]], outs[0][[0, 2]]])
    assert not np.isfinite(outs[0][1]).all()


@pytest.mark.parametrize("scattered", [False, True])
def test_the_arrangement_of_the_sums(scattered):
    """With q · k and w · v exact in any order, the rest is a fixed list of float32 operations: here it is."""
    rng = np.random.default_rng(8)
    case = Case(rng, rows=1, heads=1, dim=20, dim_v=1, keys=100, bias=True)
    case.q[:], case.k[:] = rng.integers(-4, 5, case.q.shape), rng.integers(-4, 5, case.k.shape)
    case.v[:] = 2.0 ** rng.integers(-3, 4, case.v.shape)
    seen = sorted(rng.permutation(100)[:75].tolist()) if scattered else (9, 75)
    index = np.asarray(seen) if scattered else np.arange(9, 84)
    dots = (case.k[index, 0, :20] * case.q[0]).sum(1)
    scores = dots * np.float32(case.scale) + case.bias[0, index]
    w = np.empty((1, 75), np.float32)
    k.map(TARGETS[0], "exp", w, [(scores - scores.max())[None]])
    chains, top = np.zeros(16, np.float32), np.float32(0)
    for i, weight in enumerate(w[0]):
        chains[i % 16] += weight
        top += weight * case.v[index[i], 0, 0]
    for step in (8, 4, 2, 1):
        chains = chains[:step] + chains[step : 2 * step]
    for target in TARGETS:
        assert case.run(target, seen)[0, 0] == top / chains[0]


@pytest.mark.parametrize("dim", [1, 5, 8, 9, 16, 17, 32, 40, 64, 80])
@pytest.mark.parametrize(("dim_v", "kv_heads"), [(3, 1), (16, 2), (40, 4)])
@pytest.mark.parametrize("bias", [False, True])
def test_positions_that_attend_together_are_those_that_attend_alone(dim, dim_v, kv_heads, bias):
    """Whatever the number of positions and of keys that each sees, down to the bit."""
    rng = np.random.default_rng(dim + dim_v)
    case = Case(rng, rows=2, heads=4, kv_heads=kv_heads, dim=dim, dim_v=dim_v, keys=41, gap=2)
    for counts in ([39] * 4, [1, 2, 3, 16, 17, 31, 32, 33, 38], [7]):
        q = [rng.normal(size=case.q.shape).astype(np.float32) for _ in counts]
        added = [rng.normal(size=(4, 41)).astype(np.float32) for _ in counts] if bias else []
        k_and_v = list(case.k), list(case.v)
        for target in TARGETS:
            outs = k.attend_many(target, q, *k_and_v, 2, counts, case.heads, case.dims, case.steps, case.scale, added)
            for i, (count, out) in enumerate(zip(counts, outs, strict=True)):
                case.q, case.bias = q[i], added[i] if bias else None
                assert same_bits([out, case.run(target, (2, count))])
