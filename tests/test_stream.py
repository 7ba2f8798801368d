"""Stream and what `rng=` accepts: the layout of uniforms on every target, and other people's generators."""

import copy
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.stats import qmc

import genfast as gf
from genfast import _core, reference
from genfast.rng import as_seed, is_counted, uniforms

k = _core.kernels
TARGETS = [name for name, supported in k.targets() if supported]
KERNELS = {np.float64: (k.uniforms, k.uniform_rows_f64), np.float32: (k.uniforms_f32, k.uniform_rows_f32)}


@pytest.mark.parametrize("dtype", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("first_site", [0, 1, 2, 3, 2**33 - 3, 2**34 - 2, 2**35 + 7, 2**57 - 200])
def test_kernels_have_the_layout_of_the_plain_loop(target, dtype, first_site):
    plain, kernel = KERNELS[dtype]
    seed, first_row = 0xDEADBEEF12345678, 2**32 - 3
    # Every split into whole groups of blocks, one block of eight rows, and pieces of blocks.
    for sites in [0, 1, 2, 3, 5, 15, 16, 17, 31, 33, 64, 65, 100]:
        want = np.array([plain(seed, first_row + r, first_site, sites) for r in range(17)])
        for rows in (1, 2, 7, 8, 17):
            got = kernel(target, seed, first_row, rows, first_site, sites)
            assert (got == want[:rows]).all(), (sites, rows)


def test_the_numbers_are_those_of_the_reference():
    seed = 2**64 - 5
    want = reference.uniforms(seed, np.arange(2**40, 2**40 + 11), 37)
    assert (gf.Stream(seed).uniforms(11, 37, first_row=2**40) == want).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_window_is_a_window_of_the_whole(dtype):
    stream = gf.Stream(3)
    whole = stream.uniforms(40, 50, dtype=dtype)
    assert whole.dtype == dtype
    for row, rows, site, sites in [(0, 40, 0, 50), (7, 9, 3, 17), (39, 1, 49, 1), (5, 0, 5, 3), (1, 33, 2, 40)]:
        part = stream.uniforms(rows, sites, first_row=row, first_site=site, dtype=dtype)
        assert (part == whole[row : row + rows, site : site + sites]).all()


@pytest.mark.parametrize("shape", [(1, 300_001), (300_001, 1), (70_001, 5), (3, 90_007)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_threads_and_targets_change_nothing(shape, dtype):
    stream, before, threads = gf.Stream(9), k.active(), gf.num_threads()
    kernel = KERNELS[dtype][1]
    want = kernel("scalar", 9, 5, shape[0], 6, shape[1])
    try:
        for target in TARGETS:
            k.set_target(target)
            for count in (1, 2, 3):
                gf.set_num_threads(count)
                assert (stream.uniforms(*shape, first_row=5, first_site=6, dtype=dtype) == want).all()
    finally:
        k.set_target(before)
        gf.set_num_threads(threads)


def test_a_stream_is_a_value():
    stream = gf.Stream(7)
    assert stream == gf.Stream(np.uint64(7)) and stream != gf.Stream(8) and stream != 7
    assert {stream: 1}[gf.Stream(7)] == 1
    assert eval(repr(stream), {"genfast": gf}) == stream
    assert pickle.loads(pickle.dumps(stream)) == copy.deepcopy(stream) == stream
    assert stream.seed == 7 and isinstance(stream.seed, int)
    assert gf.Stream() != gf.Stream()
    with pytest.raises(AttributeError):
        stream.seed = 8
    with pytest.raises(AttributeError, match="immutable"):
        stream._seed = 8
    assert gf.Stream(2**64 - 1).uniforms(1, 1).shape == (1, 1)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: gf.Stream(-1), ValueError, "seed"),
        (lambda: gf.Stream(2**64), ValueError, r"2\*\*64"),
        (lambda: gf.Stream(1.0), TypeError, "seed"),
        (lambda: gf.Stream(True), TypeError, "seed"),
        (lambda: gf.Stream("1"), TypeError, "seed"),
        (lambda: gf.Stream(np.random.default_rng(0)), TypeError, "seed"),
        (lambda: gf.Stream(0).uniforms(-1, 2), ValueError, "rows"),
        (lambda: gf.Stream(0).uniforms(1, 2.0), TypeError, "sites"),
        (lambda: gf.Stream(0).uniforms(1, 2, first_row=-1), ValueError, "first_row"),
        (lambda: gf.Stream(0).uniforms(2, 2, first_row=2**64 - 1), ValueError, r"first_row \+ rows"),
        (lambda: gf.Stream(0).uniforms(2, 2, first_site=2**57 - 1), ValueError, r"first_site \+ sites"),
        (lambda: gf.Stream(0).uniforms(2, 2, dtype=np.float16), TypeError, "dtype"),
        (lambda: gf.Stream(0).uniforms(2, 2, dtype="no such"), TypeError, "dtype"),
        (lambda: gf.Stream(0).uniforms(2**40, 2**40), ValueError, "too large"),
        (lambda: gf.Stream(0).uniforms(2**62, 1), ValueError, "too large"),
        (lambda: gf.Stream(0).uniforms(2**48, 8), MemoryError, "allocate"),
    ],
)
def test_wrong_arguments(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_out():
    stream = gf.Stream(1)
    want = stream.uniforms(4, 6)
    out = np.zeros((4, 6))
    assert stream.uniforms(4, 6, out=out) is out and (out == want).all()
    wide = np.zeros((8, 12), np.float32)
    part = wide[::2, ::2]
    assert stream.uniforms(4, 6, out=part) is part
    assert (part == stream.uniforms(4, 6, dtype=np.float32)).all()
    assert not wide[1::2].any() and not wide[:, 1::2].any()
    for bad, error in [
        (np.zeros((4, 5)), ValueError),
        (np.zeros((4, 6), np.int64), TypeError),
        (np.zeros((4, 6), ">f8"), TypeError),
        ([[0.0] * 6] * 4, TypeError),
        (np.broadcast_to(np.zeros(6), (4, 6)), ValueError),
    ]:
        with pytest.raises(error, match="out"):
            stream.uniforms(4, 6, out=bad)
    with pytest.raises(TypeError, match="out"):
        stream.uniforms(4, 6, dtype=np.float64, out=part)


def test_rows_and_sites_are_uniform_and_uncorrelated():
    # False alarm rates: chi-square 1e-7 each, correlations |z| < 6.5 (1e-10 each).
    from scipy.stats import chi2

    for dtype in (np.float64, np.float32):
        u = gf.Stream(20).uniforms(2000, 500, dtype=dtype).astype(np.float64)
        counts = np.bincount((u * 1000).astype(int).ravel(), minlength=1000)
        assert ((counts - 1000) ** 2 / 1000).sum() < chi2.isf(1e-7, 999)
        z = (u - 0.5) * 12**0.5
        for a, b in [(z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[8:], z[:-8]), (z[:, 16:], z[:, :-16])]:
            assert abs((a * b).sum() / a.size**0.5) < 6.5


# ---- what rng= accepts


def test_counted_or_not():
    assert all(map(is_counted, [None, 0, np.int8(3), np.array(5), gf.Stream(1)]))
    assert not any(map(is_counted, [np.random.default_rng(0), np.random.MT19937(0), qmc.Sobol(2), gf.Philox(0)]))
    for wrong in ("a", 1.5, [1], object(), np.random):
        with pytest.raises(TypeError, match=r"rng must be an integer seed, a genfast\.Stream"):
            is_counted(wrong)
    assert as_seed(gf.Stream(5)) == 5 == as_seed(5)
    assert as_seed(None) != as_seed(None)
    for wrong in (np.random.default_rng(0), qmc.Sobol(2), "a"):
        with pytest.raises(TypeError, match="rng must be"):
            as_seed(wrong)


def test_seeds_and_streams():
    want = gf.Stream(4).uniforms(6, 5)
    assert (uniforms(4, 6, 5) == want).all() and (uniforms(gf.Stream(4), 6, 5) == want).all()
    assert (uniforms(4, 2, 5, first_row=3) == want[3:5]).all()
    assert uniforms(4, 6, 5, dtype=np.float32).dtype == np.float32
    assert (uniforms(None, 6, 5) != uniforms(None, 6, 5)).any()
    for rng in (np.random.default_rng(0), qmc.Sobol(5)):
        with pytest.raises(ValueError, match="first_row"):
            uniforms(rng, 2, 5, first_row=1)


NUMPY_BITS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64, gf.Philox]


@pytest.mark.parametrize("bits", NUMPY_BITS)
def test_numpy_generators_read_natively(bits):
    want = np.random.Generator(bits(3)).random((7, 11))
    assert (uniforms(np.random.Generator(bits(3)), 7, 11) == want).all()
    source = bits(3)
    assert (uniforms(source, 3, 11) == want[:3]).all()
    assert (uniforms(source, 4, 11) == want[3:]).all()  # read in order
    assert uniforms(source, 0, 11).shape == (0, 11)
    words = np.random.Generator(bits(3)).integers(0, 2**32, 77, np.uint32)
    assert (uniforms(bits(3), 7, 11, dtype=np.float32).ravel() == ((words >> 9) + 0.5) * 2.0**-23).all()


def test_generators_without_native_functions_are_refused():
    class Hollow(np.random.BitGenerator):  # has a capsule, whose pointers are null
        pass

    class Lockless:
        capsule, lock = np.random.PCG64(0).capsule, None

    class Impostor:
        capsule, lock = object(), threading.Lock()

    for wrong in (Hollow(0), np.random.Generator(Hollow(0)), Lockless(), Impostor(), np.random.RandomState(0)):
        with pytest.raises(TypeError, match="rng"):
            uniforms(wrong, 2, 2)
    for wrong in (np.random.default_rng(0), qmc.Sobol(1)):
        with pytest.raises(ValueError, match="too large"):
            uniforms(wrong, 2**40, 2**40)
    with pytest.raises(MemoryError):
        uniforms(np.random.default_rng(0), 2**48, 8)


def test_threads_that_share_a_generator_share_its_sequence():
    # Each call is atomic, so the parts put together are the sequence, cut into runs.
    for dtype in (np.float64, np.float32):
        for bits in (np.random.PCG64, gf.Philox):
            shared, n, parts = np.random.Generator(bits(8)), 20_000, []

            def draw(shared=shared, n=n, parts=parts, dtype=dtype):
                for _ in range(10):
                    parts.append(uniforms(shared, 1, n, dtype=dtype)[0])

            threads = [threading.Thread(target=draw) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            whole = uniforms(bits(8), 40, n, dtype=dtype)
            assert {part.tobytes() for part in parts} == {row.tobytes() for row in whole}


def test_a_lock_held_elsewhere_is_waited_for():
    source = np.random.PCG64(1)
    done = threading.Event()

    def draw():
        uniforms(source, 1, 1)
        done.set()

    with source.lock:
        thread = threading.Thread(target=draw)
        thread.start()
        assert not done.wait(0.2)
    assert done.wait(5)
    thread.join()


def test_ctrl_c_stops_long_draws_and_frees_the_lock():
    code = """
import sys, threading, _thread, time
import numpy as np, genfast as gf
from genfast.rng import uniforms
for rng in (np.random.MT19937(0), 1):
    big = np.empty((1, 1))
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    start = time.monotonic()
    try:
        while time.monotonic() - start < 20:
            uniforms(rng, 1, 30_000_000)
        print("not stopped")
    except KeyboardInterrupt:
        print("stopped", uniforms(rng, 1, 3).shape)
"""
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.split("\n")[:2] == ["stopped (1, 3)"] * 2, run.stdout + run.stderr


# ---- QMC engines


def test_qmc_engines_give_a_point_a_row():
    want = qmc.Halton(5, scramble=True, rng=3).random(12)
    engine = qmc.Halton(5, scramble=True, rng=3)
    assert (uniforms(engine, 8, 5) == want[:8]).all()
    assert (uniforms(engine, 4, 5) == want[8:]).all()
    got = uniforms(qmc.Halton(5, scramble=True, rng=3), 12, 5, dtype=np.float32)
    assert got.dtype == np.float32 and (got == want.astype(np.float32)).all()


def test_qmc_engines_of_one_dimension_fill_in_order():
    want = qmc.Sobol(1, scramble=False).random(16)
    got = uniforms(qmc.Sobol(1, scramble=False), 4, 4)
    assert (got == want.reshape(4, 4)).all() and got[0, 0] == 0  # an endpoint is a legal u
    assert uniforms(qmc.Sobol(1), 0, 3).shape == (0, 3)
    assert uniforms(qmc.Sobol(3), 0, 3).shape == (0, 3)


def test_qmc_engines_of_another_dimension():
    with pytest.raises(ValueError, match=r"d=5 here.*has d=3"):
        uniforms(qmc.Sobol(3), 8, 5)


class Engine:
    d = 2

    def __init__(self, points):
        self.points = points

    def random(self, n):
        return self.points


@pytest.mark.parametrize(
    ("points", "match"),
    [
        (np.array([[0.0, 1.0], [0.5, 1.5]]), r"\[0, 1\], got 1.5 at index \(1, 1\)"),
        (np.array([[0.0, np.nan], [0.5, 0.5]]), r"got nan at index \(0, 1\)"),
        (np.array([[-1e-300, 0.2], [0.5, 0.5]]), r"got -1e-300"),
        (np.zeros((2, 3)), r"shape \(2, 3\) instead of \(2, 2\)"),
        (np.zeros(4), r"shape \(4,\)"),
    ],
)
def test_engines_that_give_wrong_points(points, match):
    with pytest.raises(ValueError, match=match):
        uniforms(Engine(points), 2, 2)


def test_engine_points_are_copied():
    points = np.array([[0.0, 1.0], [0.5, 0.25]])
    uniforms(Engine(points), 2, 2)[:] = 9
    assert points[0, 1] == 1


# ---- a model takes them all


@pytest.fixture(scope="module")
def digits():
    return gf.load(gf.models()[0])


def test_models_take_streams_and_engines(digits):
    condition = {c["name"]: np.zeros(c["shape"], np.int64) for c in digits.conditions}
    assert (
        digits.sample(5, rng=gf.Stream(2), first_row=1, condition=condition)
        == digits.sample(5, rng=2, first_row=1, condition=condition)
    ).all()
    # More rows than a NumPy generator is read for at once: a Latin hypercube must be asked for all of its points.
    points = qmc.LatinHypercube(digits.sites, rng=1).random(1100)
    engine = qmc.LatinHypercube(digits.sites, rng=1)
    assert (
        digits.sample(1100, rng=engine, condition=condition) == digits.sample(1100, u=points, condition=condition)
    ).all()
    with pytest.raises(ValueError, match=f"d={digits.sites} here"):
        digits.sample(2, rng=qmc.Sobol(3), condition=condition)
    with pytest.raises(ValueError, match="first_row"):
        digits.sample(2, rng=engine, first_row=1, condition=condition)


def test_importing_genfast_leaves_the_heavy_modules_alone():
    code = (
        "import sys, numpy; before = set(sys.modules); import genfast; genfast.Stream(0).uniforms(2, 2)\n"
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] in ('torch', 'scipy', 'mpmath') "
        "or m.startswith('numpy.random')))"
    )
    run = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
