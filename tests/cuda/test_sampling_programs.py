"""The sampling programs, interpreted on the host, against the CPU's kernels: the same bits, in any order of items."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from sampling_for_tests import ALL, FILTERS, FUNCTIONS, PARAMETERS, SHAPES, arguments, spoilt, structured

from genfast import _core

ORDERS = ("rising", "falling", "shuffled")


def tensor(cuda: Any, array: np.ndarray) -> Any:
    return cuda.sampling.Tensor(array.__dlpack__())


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("family", [name for name, _, _ in _core.distributions.families()])
def test_families(cuda: Any, family: str) -> None:
    place = cuda.sampling.Place.emulated("shuffled")
    for values, function in product(PARAMETERS[family], FUNCTIONS):
        params = [np.array([value]) for value in values]
        x64 = arguments(family, function, params)
        with np.errstate(over="ignore"):
            x32 = x64.astype(np.float32)
        for x, dtype in product((x64, x32), (np.float64, np.float32)):
            expected, found = np.empty(len(x), dtype), np.empty(len(x), dtype)
            assert _core.distributions.evaluate(family, function, x, params, expected) == -1
            cuda.sampling.evaluate(place, family, function, tensor(cuda, x), list(values), tensor(cuda, found))
            assert same(expected, found), (values, function, x.dtype, dtype)


@pytest.mark.parametrize(("family", "dtype"), [(f, d) for f in ("Normal", "Gamma", "Poisson") for d in ("f4", "f8")])
def test_samples_and_arrays_of_parameters(cuda: Any, family: str, dtype: str) -> None:
    first = [np.full(6, v) * np.linspace(1, 2, 6) for v in PARAMETERS[family][0]]
    for order in ORDERS:
        place = cuda.sampling.Place.emulated(order)
        expected, found = np.empty(66, dtype), np.empty(66, dtype)
        _core.distributions.sample(family, 1 << 63, 5, (1 << 40) + 3, first, expected)
        cuda.sampling.evaluate(
            place, family, "icdf", (1 << 63, 5, (1 << 40) + 3), [tensor(cuda, p) for p in first], tensor(cuda, found)
        )
        assert same(expected, found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniforms(cuda: Any, dtype: type) -> None:
    for rows, sites, row, site in [(1, 1, 0, 0), (3, 17, 1 << 62, 5), (5, 4, 7, (1 << 56) - 2), (1, 1000, 0, 1)]:
        expected, found = np.empty((rows, sites), dtype), np.empty((rows, sites), dtype)
        _core.fill_uniforms(expected, 99, row, site)
        for order in ORDERS:
            place = cuda.sampling.Place.emulated(order)
            cuda.sampling.fill_uniforms(place, tensor(cuda, found), 99, row, site, rows, sites)
            assert same(expected, found)


def test_what_is_no_probability_gives_nan(cuda: Any) -> None:
    u = np.array([-1e-300, 1.0000001, np.nan, np.inf, 0.5])
    for family, function in product(("Normal", "Beta", "Poisson"), ("icdf", "iccdf")):
        for dtype in (np.float32, np.float64):
            out = np.empty(5, dtype)
            x = u.astype(dtype)
            x[0] = -1e-30
            place = cuda.sampling.Place.emulated()
            cuda.sampling.evaluate(
                place, family, function, tensor(cuda, x), list(PARAMETERS[family][0]), tensor(cuda, out)
            )
            assert np.isnan(out[:4]).all() and np.isfinite(out[4])


# ---- rows


def half(z: np.ndarray) -> np.ndarray:
    """The bits of bfloat16."""
    return (z.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def logits_of(cuda: Any, z: np.ndarray, kind: int) -> tuple[np.ndarray, Any]:
    """The array for the core, and the same borrowed; kinds as of LogitType."""
    with np.errstate(over="ignore"):
        data = (z.astype(np.float32), z, half(z), z.astype(np.float16))[kind]
    if kind == 2:
        torch = pytest.importorskip("torch")
        return data, cuda.sampling.Tensor(torch.from_numpy(data.view(np.int16)).view(torch.bfloat16).__dlpack__())
    return data, tensor(cuda, data)


def draw(cuda: Any, place: Any, data: Any, rows: int, draws: int, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Levels and good rows, seed 11."""
    given: dict[str, Any] = {"weights": False, "temperature": 1.0, "filtered": False}
    given |= {"top_k": ALL, "top_p": 1.0, "min_p": 0.0, "u": 11, "bad": 0, "distrust": False} | options
    levels, good = np.full((draws, rows), -9, np.int64), np.full(rows, 9, np.uint8)
    if given["filtered"]:
        room = np.empty(cuda.sampling.row_workspace(place, data, True) + 16, np.uint8)
        given["workspace"] = tensor(cuda, room[-room.ctypes.data % 16 :])
    sampling = cuda.sampling
    sampling.sample_rows(place, data, out=tensor(cuda, levels), good=tensor(cuda, good), **given)
    return levels, good.astype(bool)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize(("rows", "columns", "draws"), SHAPES)
def test_rows(cuda: Any, rows: int, columns: int, draws: int, kind: int) -> None:
    z = spoilt(np.random.default_rng(columns).standard_normal((rows, columns)) * 4)
    data, borrowed = logits_of(cuda, z, kind)
    for temperature in (np.array([1.0]), np.array([0.7]), np.linspace(0.5, 3, rows)):
        core = _core.categorical.Rows(data, kind, False, temperature, None, None, None)
        expected, _, valid = core.sample((draws, rows), 11, None, True)
        one = tensor(cuda, temperature) if len(temperature) == rows > 1 else float(temperature[0])
        # Rows that fit shared memory, and rows that do not.
        for order, room in product(ORDERS, (65536, 4096)):
            place = cuda.sampling.Place.emulated(order, room)
            levels, good = draw(cuda, place, borrowed, rows, draws, temperature=one)
            assert np.array_equal(levels, expected) and np.array_equal(good, valid), (temperature, order, room)


@pytest.mark.parametrize("kind", [0, 1, 3])
def test_rows_whose_sums_are_added_apart(cuda: Any, kind: int) -> None:
    """Draws settled by the rough sums or, with `distrust`, by the exact ones; and targets that only those settle."""
    for rows, columns in [(5, 1041), (2, 20_000), (1, 70_001)]:
        data, borrowed = logits_of(cuda, spoilt(np.random.default_rng(1).standard_normal((rows, columns)) * 2), kind)
        core = _core.categorical.Rows(data, kind, False, None, None, None, None)
        sums, _, totals = core.weights(True, True)
        u = np.random.default_rng(2).random((rows, 300))
        with np.errstate(invalid="ignore"):
            # A category's own running sum, and its neighbours in double precision.
            at = (sums / totals[:, None])[:, :: columns // 60][:, :60]
        u[:, :60], u[:, 60:120], u[:, 120:180] = at, np.nextafter(at, 0), np.nextafter(at, 1)
        u[:, 180:184] = [0.0, 1.0, 5e-324, 1 - 2.0**-53]
        u = np.clip(np.nan_to_num(u, nan=0.5), 0, 1)
        expected, _, _ = core.sample((300, rows), 0, u, True)
        for order, room, distrust in product(ORDERS, (65536, 8192), (False, True)):
            place = cuda.sampling.Place.emulated(order, room)
            levels, _ = draw(cuda, place, borrowed, rows, 300, u=tensor(cuda, u), distrust=distrust)
            assert np.array_equal(levels, expected), (rows, columns, order, room, distrust)


@pytest.mark.parametrize("kind", [0, 1])
def test_rows_longer_than_their_marks(cuda: Any, kind: int) -> None:
    z = spoilt(np.random.default_rng(0).standard_normal((2, 400_003)) * 3)
    data, borrowed = logits_of(cuda, z, kind)
    expected, _, _ = _core.categorical.Rows(data, kind, False, None, None, None, None).sample((9, 2), 11, None, True)
    levels, _ = draw(cuda, cuda.sampling.Place.emulated("shuffled"), borrowed, 2, 9)
    assert np.array_equal(levels, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "columns", "draws"), SHAPES)
def test_weights(cuda: Any, rows: int, columns: int, draws: int, dtype: type) -> None:
    rng = np.random.default_rng(5)
    p = rng.random((rows, columns)).astype(dtype)
    p[rng.random(p.shape) < 0.3] = 0
    p[0, 0] = 1
    if rows >= 5:
        p[1] = 0
        p[2, 0], p[3, 0], p[4, -1] = np.nan, -1, np.inf
    core = _core.categorical.Rows(p, int(dtype is np.float64), True, None, None, None, None)
    expected, _, valid = core.sample((draws, rows), 11, None, True)
    for order, room in product(ORDERS, (65536, 4096)):
        place = cuda.sampling.Place.emulated(order, room)
        levels, good = draw(cuda, place, tensor(cuda, p), rows, draws, weights=True)
        assert np.array_equal(levels, expected) and np.array_equal(good, valid), (order, room)


def test_uniforms_that_are_given(cuda: Any) -> None:
    z = np.random.default_rng(0).standard_normal((4, 50)).astype(np.float32)
    u = np.random.default_rng(1).random((4, 7))
    u[0, :4] = [0.0, 1.0, 5e-324, 1 - 2.0**-53]
    core = _core.categorical.Rows(z, 0, False, None, None, None, None)
    for dtype in (np.float64, np.float32):
        given = u.astype(dtype)
        expected, _, _ = core.sample((7, 4), 0, given.astype(np.float64), True)
        levels, _ = draw(cuda, cuda.sampling.Place.emulated(), tensor(cuda, z), 4, 7, u=tensor(cuda, given))
        assert np.array_equal(levels, expected)
    u[1, 1:5] = [-0.1, 1.1, np.nan, np.inf]
    levels, good = draw(cuda, cuda.sampling.Place.emulated(), tensor(cuda, z), 4, 7, u=tensor(cuda, u))
    assert (levels[1:5, 1] == -1).all() and (levels >= 0).sum() == 24 and good.all()


def test_shared_memory_of_real_devices_is_enough(cuda: Any) -> None:
    """Compute capability 8.0, 8.6 and 9.0: what a block may have."""
    for most, kind, filtered in product((166912, 101376, 232448), range(6), (False, True)):
        if filtered and kind > 3:
            continue
        for columns in [1, 16, 257, 1000, 4096, 50_257, 65_537, 131_072, 151_936, 262_144, 262_145, 10**7, ALL]:
            for rows, draws in ((1, 1), (1000, 1), (3, 10**6)):
                need = cuda.sampling.row_shared_bytes(kind, filtered, rows, columns, draws, most)
                assert 0 < need <= most, (kind, filtered, columns, rows, draws)


# ---- filters


# The last sends every row of top-p through the CPU's own additions.
RUNS = [("rising", 65536, False), ("shuffled", 20480, False), ("falling", 65536, True)]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("style", ["smooth", "equal", "ties", "eighths", "halving", "sparse"])
def test_filters(cuda: Any, style: str, kind: int) -> None:
    for rows, columns in [(1, 1), (5, 10), (4, 37), (6, 700), (1, 3001)]:
        data, borrowed = logits_of(cuda, structured(style, rows, columns), kind)
        for (top_k, top_p, min_p), temperature in product(FILTERS, (1.0, 0.7)):
            filters = [np.array([top_k]), np.array([top_p]), np.array([min_p])]
            core = _core.categorical.Rows(data, kind, False, np.array([temperature]), *filters)
            expected, _, valid = core.sample((20, rows), 11, None, True)
            for order, room, distrust in [
                ("rising", 65536, False),
                ("shuffled", 20480, False),
                ("falling", 65536, True),
            ]:
                place = cuda.sampling.Place.emulated(order, room)
                options = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "distrust": distrust}
                levels, good = draw(cuda, place, borrowed, rows, 20, temperature=temperature, filtered=True, **options)
                same_set = np.array_equal(levels, expected) and np.array_equal(good, valid)
                assert same_set, (rows, columns, top_k, top_p, min_p, temperature, order, distrust)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("columns", [9, 300])
def test_top_p_at_the_sums_themselves(cuda: Any, columns: int, kind: int) -> None:
    """Targets that the largest weights reach to the last bit, or miss by it: there the order of additions decides."""
    rows = 2000
    z = np.random.default_rng(columns).standard_normal((rows, columns)) * 0.3
    data, borrowed = logits_of(cuda, z, kind)
    weights, _, totals = _core.categorical.Rows(data, kind, False, None, None, None, None).weights(True, False)
    reached = np.sort(weights, axis=1)[:, ::-1].cumsum(axis=1)[np.arange(rows), np.arange(rows) % 8]
    top_p = np.nextafter(reached / totals, np.arange(rows) // 8 % 3 - 1.0)
    filters = [np.array([ALL]), top_p, np.array([0.0])]
    u = np.tile(np.linspace(0, 1, 50), (rows, 1))
    expected, _, _ = _core.categorical.Rows(data, kind, False, np.array([1.0]), *filters).sample((50, rows), 0, u, True)
    place = cuda.sampling.Place.emulated("shuffled")
    levels, _ = draw(cuda, place, borrowed, rows, 50, filtered=True, top_p=tensor(cuda, top_p), u=tensor(cuda, u))
    assert np.array_equal(levels, expected)


def test_filters_of_every_row(cuda: Any) -> None:
    rng = np.random.default_rng(4)
    z = rng.standard_normal((6, 90)).astype(np.float32)
    filters = [np.array([1, 5, 90, 1000, 3, 8]), np.array([1, 0.5, 0.9, 0.2, 0, 1]), np.array([0, 0.1, 0, 1, 0, 0.5])]
    temperature = np.linspace(0.3, 2, 6)
    expected, _, _ = _core.categorical.Rows(z, 0, False, temperature, *filters).sample((50, 6), 11, None, True)
    borrowed = dict(zip(("top_k", "top_p", "min_p"), (tensor(cuda, f) for f in filters), strict=True))
    levels, _ = draw(
        cuda,
        cuda.sampling.Place.emulated("shuffled"),
        tensor(cuda, z),
        6,
        50,
        temperature=tensor(cuda, temperature),
        filtered=True,
        **borrowed,
    )
    assert np.array_equal(levels, expected)


# ---- what is refused


def test_arrays_that_do_not_fit_are_refused(cuda: Any) -> None:
    sampling = cuda.sampling
    place, out = sampling.Place.emulated(), tensor(cuda, np.empty(4))
    x = np.random.default_rng(0).random(4)
    with pytest.raises(ValueError, match="unknown family Nothing"):
        sampling.evaluate(place, "Nothing", "icdf", tensor(cuda, x), [0.0, 1.0], out)
    with pytest.raises(ValueError, match="unknown function sum"):
        sampling.evaluate(place, "Normal", "sum", tensor(cuda, x), [0.0, 1.0], out)
    with pytest.raises(ValueError, match="Normal takes 2 parameters"):
        sampling.evaluate(place, "Normal", "icdf", tensor(cuda, x), [0.0], out)
    with pytest.raises(ValueError, match="x does not repeat evenly"):
        sampling.evaluate(place, "Normal", "icdf", tensor(cuda, x[:3].copy()), [0.0, 1.0], out)
    with pytest.raises(ValueError, match="must be contiguous"):
        sampling.evaluate(
            place, "Normal", "icdf", tensor(cuda, np.empty((2, 4)).T[:, :1].reshape(4, 1)[::2]), [0, 1.0], out
        )
    with pytest.raises(ValueError, match=r"wrong dtype, int32"):
        sampling.evaluate(place, "Normal", "icdf", tensor(cuda, np.zeros(4, np.int32)), [0.0, 1.0], out)
    with pytest.raises(ValueError, match=r"x is not on cuda:0"):
        sampling.evaluate(sampling.Place.on(0, 1), "Normal", "icdf", tensor(cuda, x), [0.0, 1.0], out)
    with pytest.raises(ValueError, match="unknown order sideways"):
        sampling.Place.emulated("sideways")
    z = tensor(cuda, np.zeros((2, 3)))
    levels = tensor(cuda, np.zeros((1, 2), np.int64))
    with pytest.raises(ValueError, match="filtered rows need a workspace"):
        sampling.sample_rows(place, z, False, 1.0, True, 1, 1.0, 0.0, 0, levels)
    with pytest.raises(ValueError, match="workspace is too short"):
        sampling.sample_rows(
            place, z, False, 1.0, True, 1, 1.0, 0.0, 0, levels, workspace=tensor(cuda, np.zeros(8, np.uint8))
        )
    with pytest.raises(TypeError, match="logits must be float64"):
        sampling.sample_rows(place, tensor(cuda, np.zeros((2, 3), int)), False, 1.0, False, 1, 1.0, 0.0, 0, levels)
    with pytest.raises(ValueError, match=r"out must be \(draws, rows\)"):
        sampling.sample_rows(place, z, False, 1.0, False, 1, 1.0, 0.0, 0, tensor(cuda, np.zeros((2, 1), np.int64)))
