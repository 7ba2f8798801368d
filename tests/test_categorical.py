"""gf.Categorical: exact intervals of u, filters against reference.py, dtypes, equal bits, errors, statistics.

Frequencies: one χ² test at a false-alarm rate of 1e-6, which is shown to catch odds that are wrong by 1 %.
"""

import pickle
import threading

import mpmath
import numpy as np
import pytest
from scipy.stats import chi2

import genfast as gf
from genfast import _core, reference

torch = pytest.importorskip("torch")

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
INF = np.inf


@pytest.fixture
def rng():
    return np.random.default_rng(20250101)


@pytest.fixture
def every_target():
    """Runs a function on every target; all results must have the same bits."""

    def run(function):
        try:
            results = []
            for target in TARGETS:
                _core.kernels.set_target(target)
                results.append(np.asarray(function()))
        finally:
            _core.kernels.set_target("")
        assert all(r.tobytes() == results[0].tobytes() for r in results)
        return results[0]

    return run


def bf16(x):
    return torch.from_numpy(np.ascontiguousarray(x)).to(torch.bfloat16)


def edges(d, k):
    """The greatest u that gives at most category k, by bisection over the floats."""
    low, high = 0, int(np.float64(1.0).view(np.int64))  # positive floats order like their bits
    while low < high:
        middle = (low + high + 1) // 2
        if d.icdf(np.int64(middle).view(np.float64)) <= k:
            low = middle
        else:
            high = middle - 1
    return float(np.int64(low).view(np.float64))


def test_logarithms_of_weights(rng, every_target):
    for n in (1, 7, 8, 100_003):
        weights = np.exp(rng.uniform(-700, 700, n))
        found = every_target(lambda weights=weights: _core.categorical.log_weights(weights))
        assert np.abs(found - np.log(weights)).max() < 2e-13
    special = np.array([0.0, -0.0, 5e-324, 1.0, INF, np.nan, -5e-324, -INF])
    found = every_target(lambda: _core.categorical.log_weights(special))
    assert found[:5].tolist() == [-INF, -INF, np.log(5e-324), 0.0, INF] and np.isnan(found[5:]).all()


# --- the discrete rule


def test_smallest_k_whose_cdf_reaches_u():
    d = gf.Categorical(np.log(np.float32([1, 1, 1, 1])))
    for u, k in {0.0: 0, 1e-300: 0, 0.25: 0, 0.2500001: 1, 0.5: 1, 0.75: 2, 0.7500001: 3, 1.0: 3}.items():
        assert d.icdf(u) == k
    p = gf.Categorical(probs=[0.5, 0.25, 0, 0.25])
    assert [p.icdf(u) for u in (0, 0.5, np.nextafter(0.5, 1), 0.75, np.nextafter(0.75, 1), 1)] == [0, 0, 1, 1, 3, 3]


@pytest.mark.parametrize("columns", [5, 16, 40, 129, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_intervals_are_those_of_the_cdf(rng, columns, dtype):
    d = gf.Categorical(rng.normal(0, 3, columns).astype(dtype))
    f = d.cdf(np.arange(columns))
    for k in rng.integers(0, columns, 12):
        u = edges(d, k)
        assert abs(u - f[k]) <= 4e-16
        assert d.icdf(u) <= k
        assert u == 1 or d.icdf(np.nextafter(u, 2)) > k


def test_width_of_a_tiny_interval_is_its_probability():
    # 128k categories; nearly all mass in three; one of 1e-9 among categories of 1e-12. float32 sums could not see it.
    logits = np.full(131072, np.log(1e-12))
    logits[[7, 5000, 100000]] = np.log([0.5, 0.3, 0.2])
    tiny = 65537
    logits[tiny] = np.log(1e-9)
    with mpmath.workdps(40):
        for dtype, tolerance in ((np.float64, 3e-7), (np.float32, 1e-6)):
            z = [mpmath.mpf(float(x)) for x in logits.astype(dtype)[[0, tiny, 7, 5000, 100000]]]
            e = [mpmath.e**x for x in z]
            p = e[1] / (e[0] * (131072 - 4) + sum(e[1:]))
            d = gf.Categorical(logits.astype(dtype))
            width = mpmath.mpf(edges(d, tiny)) - mpmath.mpf(edges(d, tiny - 1))
            assert abs(width / p - 1) < tolerance  # doubles near 0.5 are 1.1e-16 apart
            assert abs(mpmath.mpf(float(np.exp(d.log_prob(tiny)))) / p - 1) < tolerance


def test_all_intervals_add_up(rng):
    p = rng.random(50) ** 8
    d = gf.Categorical(np.log(p))
    widths = np.diff([0, *(edges(d, k) for k in range(50))])
    np.testing.assert_allclose(widths, p / p.sum(), rtol=1e-13, atol=3e-16)


@pytest.mark.parametrize("many", [1, 200])
def test_impossible_categories_are_never_drawn(rng, every_target, many):
    for columns in (2, 16, 17, 256, 2000):
        logits = rng.normal(size=(8, columns)).astype(np.float32)
        out = rng.random(logits.shape) < 0.6
        out[np.arange(8), rng.integers(0, columns, 8)] = False
        logits[out] = rng.choice([-INF, -200, -1e30], out.sum())
        u = rng.choice([0.0, 1.0, 5e-324, 2.0**-53, 1 - 2.0**-53, 0.5], (many, 8))
        for d in (gf.Categorical(logits), gf.Categorical(probs=np.where(out, 0, np.exp(logits)))):
            k = every_target(lambda d=d, u=u: d.icdf(u))
            assert not out[np.arange(8), k].any()
            assert (k[u == 0] == np.broadcast_to((~out).argmax(1), k.shape)[u == 0]).all()
            assert (k[u == 1] == np.broadcast_to(columns - 1 - (~out)[:, ::-1].argmax(1), k.shape)[u == 1]).all()


def test_one_category_and_one_possible():
    assert gf.Categorical([3.0]).icdf([0, 0.5, 1]).tolist() == [0, 0, 0]
    logits = np.full((3, 300), -INF)
    logits[:, 299] = [5, -700, 1e300]
    assert (gf.Categorical(logits).sample(100, rng=0) == 299).all()


# --- the row kernel, the table and any shape agree


@pytest.mark.parametrize("columns", [1, 3, 16, 100, 257, 5000])
def test_table_and_rows_agree(rng, columns):
    logits = (4 * rng.normal(size=columns)).astype(np.float32)
    logits[rng.random(columns) < 0.2] = -INF
    logits[0] = 1
    d = gf.Categorical(logits)
    f = d.cdf(np.arange(columns))
    u = np.concatenate([rng.random(3000), f, np.nextafter(f, 0), np.minimum(np.nextafter(f, 2), 1), [0, 1]])
    by_table = d.icdf(u)
    assert d._table is not None
    by_row = [int(gf.Categorical(logits).icdf(x)) for x in u]
    assert (by_table == by_row).all()
    assert (by_table == np.stack([gf.Categorical(np.stack([logits] * 2)).icdf(u[:, None])[:, 1]])[0]).all()


@pytest.mark.parametrize("columns", [20_000, 200_000])
def test_long_rows_are_searched_in_levels(rng, columns):
    logits = rng.normal(size=columns).astype(np.float32)
    f = np.cumsum(np.exp(logits.astype(np.float64)))
    d = gf.Categorical(logits)
    for u in rng.random(30):
        k = int(gf.Categorical(logits).icdf(u))
        assert f[k] >= (u - 1e-7) * f[-1]
        assert k == 0 or f[k - 1] <= (u + 1e-7) * f[-1]
    u = rng.random(20_000)
    assert (d.icdf(u)[:50] == [int(gf.Categorical(logits).icdf(x)) for x in u[:50]]).all()


def test_shapes(rng):
    logits = rng.normal(size=(3, 1, 4, 7)).astype(np.float32)
    d = gf.Categorical(logits)
    assert d.batch_shape == (3, 1, 4)
    assert d.sample(rng=0).shape == (3, 1, 4)
    assert d.sample((2, 5), rng=0).shape == (2, 5, 3, 1, 4)
    u = rng.random((6, 3, 5, 4))
    got = d.icdf(u)
    for i in np.ndindex(u.shape):
        assert got[i] == gf.Categorical(logits[i[1], 0, i[3]]).icdf(u[i])
    assert d.cdf(u * 7).shape == d.log_prob(np.floor(u * 7)).shape == u.shape
    assert isinstance(gf.Categorical([0.0, 1.0]).sample(rng=0), np.integer)
    assert gf.Categorical(np.zeros((0, 3))).sample(5, rng=0).shape == (5, 0)
    assert gf.Categorical(np.zeros((2, 3))).sample((0,), rng=0).shape == (0, 2)
    assert gf.Categorical(np.zeros((0, 3))).icdf(np.zeros((0,))).shape == (0,)


def test_uniforms_by_row_and_site(rng):
    logits = rng.normal(size=(5, 9)).astype(np.float32)
    d = gf.Categorical(logits)
    u = gf.Stream(3).uniforms(5, 70)
    assert (d.sample(70, rng=3) == d.icdf(u.T)).all()
    assert (d.sample((7, 10), rng=gf.Stream(3)).reshape(70, 5) == d.icdf(u.T)).all()
    assert (d.sample(rng=3) == d.icdf(u[:, 0])).all()
    assert (d.sample(4, rng=np.random.default_rng(1)) == d.icdf(np.random.default_rng(1).random((5, 4)).T)).all()
    assert (d.sample((4,), u=u[:, :4].T) == d.icdf(u[:, :4].T)).all()
    from scipy.stats import qmc

    assert (d.sample(4, rng=qmc.Halton(4, rng=0)) == d.icdf(qmc.Halton(4, rng=0).random(5).T)).all()
    assert not np.array_equal(d.sample(100), d.sample(100))


# --- equal bits


@pytest.mark.parametrize("columns", [3, 256, 3000])
@pytest.mark.parametrize("filters", [{}, {"temperature": 0.7}, {"top_k": 40, "top_p": 0.9, "min_p": 0.01}])
def test_bits_do_not_depend_on_target_threads_or_batch(rng, every_target, columns, filters):
    logits = (2 * rng.normal(size=(67, columns))).astype(np.float32)
    for x in (logits, logits.astype(np.float64), logits.astype(np.float16), bf16(logits)):
        for shape in ((), (3,)):
            whole = every_target(lambda x=x, shape=shape: gf.Categorical(x, **filters).sample(shape, rng=9))
            before = gf.num_threads()
            try:
                gf.set_num_threads(1 if before > 1 else 2)
                assert (np.asarray(gf.Categorical(x, **filters).sample(shape, rng=9)) == whole).all()
            finally:
                gf.set_num_threads(before)
            u = gf.Stream(9).uniforms(67, max(1, int(np.prod(shape))))
            for rows in (slice(0, 1), slice(5, 14), slice(60, 67)):
                part = np.asarray(gf.Categorical(x[rows], **filters).sample(shape, u=u[rows].T.reshape(*shape, -1)))
                assert (part == whole[..., rows]).all()


def test_half_precision_is_the_float32_it_stands_for(rng):
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    for x in (halves[np.isfinite(halves)], (3 * rng.normal(size=(9, 100))).astype(np.float16)):
        assert (gf.Categorical(x).sample(200, rng=1) == gf.Categorical(x.astype(np.float32)).sample(200, rng=1)).all()
        b = bf16(x.astype(np.float32))
        assert (gf.Categorical(b).sample(200, rng=1) == gf.Categorical(b.float()).sample(200, rng=1)).all()
    x = (3 * rng.normal(size=(20, 50))).astype(np.float16)
    for t in (1.0, 0.6):
        assert (
            gf.Categorical(x, temperature=t).sample(rng=1) == gf.Categorical(np.float32(x), temperature=t).sample(rng=1)
        ).all()


# --- filters


def filter_cases(rng):
    for columns in (5, 40, 300, 9000):
        for z in (2 * rng.normal(size=columns), np.round(2 * rng.normal(size=columns)), np.zeros(columns)):
            z = z.astype(np.float32)
            z[rng.random(columns) < 0.1] = -INF
            z[0] = 0.5
            for filters in (
                {"top_k": 1},
                {"top_k": max(1, columns // 3)},
                {"top_k": 10 * columns},
                {"top_p": 0.3},
                {"top_p": 0.95},
                {"top_p": 1.0},
                {"top_p": 0.0},
                {"min_p": 0.05},
                {"min_p": 1.0},
                {"top_k": max(1, columns // 2), "top_p": 0.8},
                {"top_p": 0.9, "min_p": 0.1},
                {"top_k": 3, "top_p": 0.99, "min_p": 0.2},
            ):
                yield z, filters


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_filters_keep_what_the_reference_keeps(rng, dtype):
    for z, filters in filter_cases(rng):
        z = z.astype(dtype)
        p = gf.Categorical(z, **filters).probs
        want = reference.kept(z, **filters)
        assert ((p > 0) == want).all(), (z.size, filters)
        e = np.where(want, np.exp(z.astype(np.float64)), 0)
        np.testing.assert_allclose(p, e / e.sum(), rtol=1e-6)


def test_ties_at_a_cut_keep_the_lower_index():
    assert gf.Categorical(np.zeros(6), top_k=2).probs.tolist() == [0.5, 0.5, 0, 0, 0, 0]
    assert gf.Categorical(np.zeros(4), top_p=0.5).probs.tolist() == [0.5, 0.5, 0, 0]
    assert gf.Categorical(np.zeros(4), top_p=0.51).probs.tolist() == [1 / 3, 1 / 3, 1 / 3, 0]
    p = gf.Categorical(np.log([1, 2, 1, 4, 2, 4.0]), top_k=3).probs
    np.testing.assert_allclose(p, [0, 0.2, 0, 0.4, 0, 0.4])
    # The category that crosses top_p stays; exactly reached is enough.
    assert (gf.Categorical(probs=[0.5, 0.25, 0.125, 0.125], top_p=0.6).probs > 0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_filters_of_extreme_logits(dtype):
    big = np.finfo(dtype).max
    for filters in (
        {"top_k": 3, "top_p": 0.9},
        {"top_p": 0.9},
        {"top_k": 4},
        {"min_p": 0.1},
        {"top_k": 3, "top_p": 1.0},
    ):
        for z in ([big, -big, 0, big], [-big, -big, -INF, -big], [0, 1e-40, -big, 5e-324], [0, -700, -800, -1e4]):
            z = np.array(z * 8, dtype)
            with np.errstate(over="ignore"):
                want = reference.kept(z, **filters)
            assert ((gf.Categorical(z, **filters).probs > 0) == want).all(), (z, filters)


def test_filtered_draws_invert_the_filtered_cdf(rng, every_target):
    for z, filters in filter_cases(rng):
        if z.size > 300:
            continue
        mask = reference.kept(z, **filters)
        d = gf.Categorical(z, **filters)
        only = np.flatnonzero(mask)
        u = np.concatenate([rng.random(20), [0, 1]])
        plain = gf.Categorical(z[mask])
        one_by_one = [int(gf.Categorical(z, **filters).icdf(x)) for x in u]
        assert (only[plain.icdf(u)] == one_by_one).all()
        assert (d.icdf(np.repeat(u, 20)) == np.repeat(one_by_one, 20)).all()


def test_parameters_of_every_row(rng):
    z = rng.normal(size=(2, 3, 50)).astype(np.float32)
    t, k = rng.uniform(0.5, 2, (2, 1)), np.array([1, 7, 50])
    p, m = rng.uniform(0.3, 1, (2, 3)), 0.02
    d = gf.Categorical(z, temperature=t, top_k=k, top_p=p, min_p=m)
    whole = d.sample(80, rng=2)
    u = gf.Stream(2).uniforms(6, 80).reshape(2, 3, 80)
    for i, j in np.ndindex(2, 3):
        one = gf.Categorical(z[i, j], temperature=t[i, 0], top_k=int(k[j]), top_p=p[i, j], min_p=m)
        assert (one.icdf(u[i, j]) == whole[:, i, j]).all()
        np.testing.assert_array_equal(one.probs, d.probs[i, j])
    x = rng.normal(size=(20, 30)).astype(np.float32)
    ts = rng.uniform(0.5, 2, 20)
    each = [int(gf.Categorical(x[r], temperature=ts[r]).icdf(0.3)) for r in range(20)]
    assert gf.Categorical(x, temperature=ts).icdf(np.full(20, 0.3)).tolist() == each


def test_filtered_probs(rng):
    w = rng.random((4, 20))
    w[:, 3] = 0
    a, b = (
        gf.Categorical(probs=w, top_k=5, temperature=0.8),
        gf.Categorical(np.log(w, where=w > 0, out=np.full_like(w, -INF)), top_k=5, temperature=0.8),
    )
    assert (a.sample(30, rng=0) == b.sample(30, rng=0)).all()


# --- probabilities


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.6}, {"top_k": 9}, {"top_p": 0.8, "temperature": 2.0}])
def test_probabilities(rng, filters):
    z = (2 * rng.normal(size=(3, 30))).astype(np.float32)
    z[1, 4] = -INF
    d = gf.Categorical(z, **filters)
    k = np.arange(30)
    t = np.float32(filters.get("temperature", 1))
    e = np.stack(
        [
            np.where(
                reference.kept(row, filters.get("top_k"), filters.get("top_p")), np.exp((row).astype(np.float64)), 0
            )
            for row in z / t
        ]
    )
    p = e / e.sum(1, keepdims=True)
    np.testing.assert_allclose(d.probs, p, rtol=2e-6)
    np.testing.assert_allclose(d.cdf(k[:, None]).T, p.cumsum(1), rtol=2e-6)
    np.testing.assert_allclose(d.ccdf(k[:, None]).T, p[:, ::-1].cumsum(1)[:, ::-1] - p, rtol=2e-6, atol=1e-15)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(d.log_prob(k[:, None]).T, np.log(p), rtol=2e-6, atol=2e-6)
        np.testing.assert_allclose(d.logits, np.log(p), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(d.mean, p @ k, rtol=2e-6)
    np.testing.assert_allclose(d.var, p @ k**2 - (p @ k) ** 2, rtol=1e-5)
    low, high = d.support
    assert (low == (p > 0).argmax(1)).all() and (high == 29 - (p > 0)[:, ::-1].argmax(1)).all()


def test_outside_the_categories():
    d = gf.Categorical(probs=[1, 3.0])
    np.testing.assert_array_equal(d.cdf([-1, -0.5, 0, 0.5, 1, 9, INF, -INF]), [0, 0, 0.25, 0.25, 1, 1, 1, 0])
    np.testing.assert_array_equal(d.ccdf([-1, 0, 1, 9]), [1, 0.75, 0, 0])
    np.testing.assert_allclose(d.log_prob([-1, 0, 0.5, 2, INF]), [-INF, np.log(0.25), -INF, -INF, -INF])
    assert all(np.isnan(f(np.nan)) for f in (d.cdf, d.ccdf, d.log_prob))


@pytest.mark.parametrize("columns", [1, 2, 300])
def test_iccdf_is_the_smallest_k_whose_tail_is_not_above_q(rng, columns):
    p = rng.random((3, columns)) ** 8
    if columns > 2:
        p[:, [0, 1, 5, 6, -1]] = 0
    d = gf.Categorical(probs=p)
    q = np.concatenate([np.sort(rng.random(200)), [0, 1], 10 ** rng.uniform(-30, 0, 100)])[:, None]
    k = d.iccdf(q)
    assert k.dtype == np.int64 and k.shape == (len(q), 3)
    first, last = d.support
    assert ((k >= first) & (k <= last) & (np.take_along_axis(p, k.T, 1).T > 0)).all()
    assert (d.ccdf(k) <= q).all() and ((d.ccdf(k - 1.0) > q) | (k == first)).all()
    assert (d.iccdf(np.zeros(3)) == last).all() and (d.iccdf(np.ones(3)) == first).all()
    with pytest.raises(ValueError, match=r"q must lie in .* at index 1"):
        gf.Categorical([0.0, 1.0]).iccdf([0.5, np.nan])


def test_no_rows():
    d = gf.Categorical(np.empty((0, 3), np.float32))
    for found in (d.icdf(0.5), d.iccdf(0.5), d.cdf(1), d.log_prob(1), d.mean, d.sample(rng=0)):
        assert found.shape == (0,)
    assert d.probs.shape == d.logits.shape == (0, 3)


def test_tail_is_accurate_relative_to_itself():
    p = np.array([1.0, 1e-30, 3e-40, 1e-45])
    np.testing.assert_allclose(gf.Categorical(probs=p).ccdf([0, 1, 2]), [1e-30 + 3e-40, 3.00001e-40, 1e-45], rtol=1e-14)
    assert gf.Categorical(np.float32([0, -150])).log_prob(1) == -150


# --- torch and other inputs


def test_torch_in_torch_out(rng):
    z = rng.normal(size=(4, 10)).astype(np.float32)
    d, want = gf.Categorical(torch.from_numpy(z)), gf.Categorical(z)
    got = d.sample((3,), rng=0)
    assert isinstance(got, torch.Tensor) and got.dtype == torch.int64
    assert (got.numpy() == want.sample((3,), rng=0)).all()
    assert isinstance(d.probs, torch.Tensor) and isinstance(d.log_prob(1), torch.Tensor)
    valid = d.sample(rng=0, check="mask")[1]
    assert valid.dtype == torch.bool and valid.all()
    assert isinstance(want.icdf(torch.tensor(0.5, dtype=torch.float64)), torch.Tensor)
    theirs = torch.distributions.Categorical(logits=torch.from_numpy(z.astype(np.float64)))
    np.testing.assert_allclose(d.log_prob(torch.tensor(3)), theirs.log_prob(torch.tensor(3)), rtol=1e-6, atol=1e-6)
    assert isinstance(gf.Categorical(bf16(z)).sample(rng=0), torch.Tensor)


def test_it_is_a_distribution(rng):
    d = gf.Categorical(rng.normal(size=(3, 9)).astype(np.float32))
    assert isinstance(d, gf.Distribution) and d.is_discrete and d.batch_shape == (3,)
    assert gf.from_torch(torch.distributions.Categorical(torch.tensor([0.5, 0.5]))).sample(5, rng=0).dtype == np.int64
    # A float32 argument gives float32, as everywhere.
    k = np.arange(9, dtype=np.float32)[:, None]
    for function in (d.cdf, d.ccdf, d.log_prob):
        assert function(k).dtype == np.float32 and function(k.astype(int)).dtype == np.float64
        np.testing.assert_array_equal(function(k), function(k.astype(int)).astype(np.float32))
        out = np.empty((9, 3))
        assert function(k, out=out) is out and (out == function(k, dtype=np.float64)).all()


@pytest.mark.parametrize("filters", [{}, {"top_k": 5, "temperature": 2.0}])
def test_iccdf_is_the_smallest_k_whose_tail_is_at_most_q(rng, filters):
    z = rng.normal(size=(4, 12))
    z[1, [0, 11]] = -INF
    d = gf.Categorical(z, **filters)
    tails, possible = np.asarray(d.ccdf(np.arange(12)[:, None])).T, d.probs > 0
    steps = np.unique(tails)
    q = np.concatenate([[0.0, 1.0, 1e-300], steps, np.nextafter(steps, 1), rng.random(50)]).clip(0, 1)
    want = [[next(k for k in range(12) if possible[r, k] and tails[r, k] <= p) for r in range(4)] for p in q]
    got = d.iccdf(q[:, None])
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, want)
    first, last = d.support
    np.testing.assert_array_equal(d.iccdf(1.0), first)
    np.testing.assert_array_equal(d.iccdf(0.0), last)
    assert isinstance(d.iccdf(torch.tensor(0.5, dtype=torch.float64)), torch.Tensor)
    with pytest.raises(ValueError, match=r"q must lie in \[0, 1\], got nan at index 1"):
        d.iccdf([0.5, np.nan, 0.5, 0.5])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64, torch.int16])
def test_dtype_and_out(rng, dtype):
    d, u = gf.Categorical(rng.normal(size=(5, 200))), rng.random((7, 5))
    name = str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else dtype
    for call in (lambda **k: d.sample(7, rng=3, **k), lambda **k: d.icdf(u, **k), lambda **k: d.iccdf(u, **k)):
        want, got = call(), call(dtype=dtype)
        assert want.dtype == np.int64 and got.dtype == name
        np.testing.assert_array_equal(got, want)
        for out in (np.empty((7, 5), name), np.empty((5, 7), name).T, np.empty((14, 5), name)[::2]):
            assert call(out=out) is out and (out == want).all()
    tensor = torch.empty(7, 5, dtype=torch.int32)
    draws, valid = d.sample(7, rng=3, out=tensor, check="mask")
    assert draws is tensor and valid.all() and (tensor.numpy() == d.sample(7, rng=3)).all()
    with pytest.raises(ValueError, match="dtype int8 does not hold category 199"):
        d.sample(rng=0, dtype=np.int8)
    with pytest.raises(ValueError, match=r"out.dtype int8 does not hold category 199"):
        d.icdf(0.5, out=np.empty(5, np.int8))
    with pytest.raises(TypeError, match="dtype must be an integer or float dtype"):
        d.icdf(0.5, dtype=complex)
    with pytest.raises(TypeError, match=r"out\.dtype must be an integer or float dtype"):
        d.sample(rng=0, out=torch.empty(5, dtype=torch.bfloat16))
    with pytest.raises(TypeError, match="out must be a NumPy array or a tensor, got list"):
        d.sample(rng=0, out=[0] * 5)
    with pytest.raises(ValueError, match=r"out must have shape \(5,\)"):
        d.sample(rng=0, out=np.empty(4, np.int64))


def test_views_lists_and_integers(rng):
    z = rng.normal(size=(6, 40)).astype(np.float32)
    want = gf.Categorical(np.ascontiguousarray(z[::2, ::3])).sample(rng=0)
    assert (gf.Categorical(z[::2, ::3]).sample(rng=0) == want).all()
    assert (
        gf.Categorical(z[::2, ::3].tolist()).sample(rng=0)
        == gf.Categorical(z[::2, ::3].astype(np.float64)).sample(rng=0)
    ).all()
    z.flags.writeable = False
    assert (gf.Categorical(z).sample(rng=0) == gf.Categorical(z.copy()).sample(rng=0)).all()
    assert (gf.Categorical(z.astype(">f4")).sample(rng=0) == gf.Categorical(z).sample(rng=0)).all()
    assert gf.Categorical([0, 0, 10000]).icdf(0.0) == 2
    again = pickle.loads(pickle.dumps(gf.Categorical(z, top_k=3)))
    assert (again.sample(9, rng=1) == gf.Categorical(z, top_k=3).sample(9, rng=1)).all()


def test_threads_share_an_object(rng):
    d = gf.Categorical(rng.normal(size=5000))
    want = d.sample(20_000, rng=4)
    shared = gf.Categorical(d._data)
    results = [None] * 4

    def work(i):
        results[i] = shared.sample(20_000, rng=4)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all((r == want).all() for r in results)


# --- errors

CALLS = (
    lambda d: d.sample(rng=0),
    lambda d: d.sample(500, rng=0),
    lambda d: d.icdf(0.5),
    lambda d: d.log_prob(0),
    lambda d: d.cdf(0),
    lambda d: d.probs,
)


@pytest.mark.parametrize("bad", [np.nan, INF, "all"])
@pytest.mark.parametrize("filters", [{}, {"top_p": 0.9}, {"temperature": 0.5}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_bad_rows_are_named_or_masked(bad, filters, dtype):
    for columns in (1, 20, 300):
        z = np.zeros((3, 4, columns), dtype)
        z[2, 1, columns // 2] = np.nan if bad == "all" else bad
        if bad == "all":
            z[2, 1] = -INF
        d = gf.Categorical(z, **filters)
        for call in CALLS:
            with pytest.raises(gf.NumericalError, match=r"logits: row \(2, 1\)"):
                call(d)
        for shape in ((), (2,), (500,), (0,)):
            k, valid = d.sample(shape, rng=0, check="mask")
            assert k.shape == (*shape, 3, 4) and (~valid).sum() == 1 and not valid[2, 1]
            assert (k[..., 2, 1] == 0).all() and ((k >= 0) & (k < columns)).all()
        with pytest.raises(gf.NumericalError, match="logits: the row"):
            gf.Categorical(z[2, 1], **filters).sample(100, rng=0)


@pytest.mark.parametrize("bad", [[0, 0, 0], [1, -1, 1], [1, np.nan, 1], [1, INF, 1], [-0.5, 1, 1]])
@pytest.mark.parametrize("filters", [{}, {"top_k": 2}])
def test_bad_probs(bad, filters):
    d = gf.Categorical(probs=[[1, 2, 3], bad], **filters)
    for call in CALLS:
        with pytest.raises(gf.NumericalError, match="probs: row 1"):
            call(d)
    assert d.sample(rng=0, check="mask")[1].tolist() == [True, False]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "either logits or probs"),
        ({"logits": [1.0], "probs": [1.0]}, TypeError, "either"),
        ({"logits": 1.0}, ValueError, "last axis"),
        ({"logits": np.zeros((3, 0))}, ValueError, "1 to 2\\*\\*31"),
        ({"logits": ["a"]}, TypeError, "logits"),
        ({"logits": [[1.0], [1.0, 2.0]]}, ValueError, "logits"),
        ({"logits": [True, False]}, TypeError, "logits"),
        ({"logits": [1j]}, TypeError, "logits"),
        ({"logits": [0.0, 1.0], "temperature": 0}, ValueError, "temperature must be positive"),
        ({"logits": [0.0, 1.0], "temperature": np.nan}, ValueError, "temperature"),
        ({"logits": np.zeros((2, 3)), "temperature": [1, -1]}, ValueError, "at index 1"),
        ({"logits": np.zeros((2, 3), np.float32), "temperature": 1e-60}, ValueError, "float32"),
        ({"logits": np.zeros((2, 3)), "temperature": [1, 1, 1]}, ValueError, "does not broadcast"),
        ({"logits": [0.0], "top_k": 0}, ValueError, "top_k must be at least 1"),
        ({"logits": [0.0], "top_k": 1.5}, TypeError, "top_k"),
        ({"logits": [0.0], "top_p": 1.1}, ValueError, "top_p"),
        ({"logits": [0.0], "min_p": -0.1}, ValueError, "min_p"),
        ({"logits": [0.0], "min_p": np.nan}, ValueError, "min_p"),
    ],
)
def test_wrong_parameters(arguments, error, message):
    with pytest.raises(error, match=message):
        gf.Categorical(**arguments)


def test_wrong_arguments():
    d = gf.Categorical(np.zeros((2, 3)))
    for u in (-1e-300, 1.0000001, np.nan):
        with pytest.raises(ValueError, match="u must lie in"):
            d.icdf(u)
    with pytest.raises(ValueError, match="does not broadcast"):
        d.icdf(np.zeros(3))
    with pytest.raises(ValueError, match="u must have shape"):
        d.sample(3, u=np.zeros(2))
    with pytest.raises(ValueError, match="not both"):
        d.sample(rng=0, u=[0.5, 0.5])
    with pytest.raises(ValueError, match="seed"):
        d.sample(rng=-1)
    with pytest.raises(TypeError, match="rng"):
        d.sample(rng="x")
    with pytest.raises(ValueError, match="shape"):
        d.sample(-1, rng=0)
    with pytest.raises(ValueError, match="too large"):
        d.sample((1 << 40, 1 << 40), rng=0)
    with pytest.raises(ValueError, match="check"):
        d.sample(rng=0, check="ignore")


# --- statistics with power


def test_frequencies():
    # False alarm 1e-6; odds wrong by 1 % on half of the categories must be caught.
    p = np.linspace(1, 4, 64)
    p /= p.sum()
    wrong = p * np.where(np.arange(64) % 2, 1.01, 1)
    wrong /= wrong.sum()
    n, limit = 6_000_000, chi2.isf(1e-6, 63)

    def statistic(k, p):
        return ((np.bincount(k, minlength=64) - n * p) ** 2 / (n * p)).sum()

    for d in (gf.Categorical(np.log(p).astype(np.float32)), gf.Categorical(probs=p)):
        assert statistic(d.sample(n, rng=5), p) < limit
    assert statistic(gf.Categorical(probs=wrong).sample(n, rng=5), p) > limit
    batch = np.broadcast_to(np.log(p).astype(np.float32), (n // 100, 64))
    drawn = gf.Categorical(batch).sample(100, rng=6)
    assert statistic(drawn.ravel(), p) < limit
