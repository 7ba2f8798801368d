"""Distributions on a device, as a user sees them: `device=`, arrays that lie on a GPU, and what is refused.

The programs run interpreted. Arrays of a GPU are played by PyTorch's CPU tensors of a class of their own, and by a
stand-in for CuPy; that the real ones reach a real GPU is for the tests marked `gpu`.
"""

from __future__ import annotations

import ctypes
import pickle
import sys
from itertools import product
from typing import Any

import numpy as np
import pytest
from gpu_arrays_for_tests import CupyArray, Waits, fake_cupy, fake_torch_gpu
from sampling_for_tests import FUNCTIONS, PARAMETERS, arguments

import genfast as gf
from genfast import device_arrays

EMULATED = "cuda-emulated"


def family_examples() -> list[Any]:
    return [
        gf.Normal(0.5, 2.0),
        gf.Gamma([1.0, 2.0, 3.0], 2.0),
        gf.StudentT(3.0, [[0.0], [1.0]], 1.0),
        gf.Poisson(np.linspace(0, 9, 6).reshape(2, 3)),
        gf.NumericalInverse(pdf=lambda x: np.exp(-(x**4))),
        gf.NumericalInverse(logpdf=lambda x, rate: -rate * x, params=[[1.0, 2.0]], domain=(0, np.inf)),
    ]


def equal(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", family_examples(), ids=repr)
def test_samples_by_name_of_the_device(d: Any, dtype: str) -> None:
    for shape in ((), 5, (4, 3)):
        assert equal(d.sample(shape, rng=3, dtype=dtype), d.sample(shape, rng=3, dtype=dtype, device=EMULATED))
    u = np.random.default_rng(0).random((7, *d.batch_shape)).astype(dtype)
    assert equal(d.sample(u=u), d.sample(u=u, device=EMULATED))
    generators = [np.random.default_rng(5) for _ in range(2)]
    assert equal(d.sample(9, rng=generators[0]), d.sample(9, rng=generators[1], device=EMULATED))
    assert generators[0].random() == generators[1].random()
    out = np.zeros((3, *d.batch_shape), dtype)
    assert d.sample(3, rng=1, out=out, device=EMULATED) is out and equal(out, d.sample(3, rng=1, dtype=dtype))
    assert equal(d.sample(3, rng=1, dtype=dtype, device="cpu"), out)


def test_uniforms_by_name_of_the_device() -> None:
    for dtype, first_row, first_site in (("float64", 0, 0), ("float32", 7, (1 << 40) + 1)):
        options = {"first_row": first_row, "first_site": first_site, "dtype": dtype}
        assert equal(gf.Stream(3).uniforms(5, 9, **options), gf.Stream(3).uniforms(5, 9, **options, device=EMULATED))
    assert gf.Stream(3).uniforms(0, 9, device=EMULATED).shape == (0, 9)


def test_uploads_are_not_pickled() -> None:
    d = family_examples()[-1]
    d.sample(3, rng=0, device=EMULATED)
    again = pickle.loads(pickle.dumps(d._core and gf.Gamma([1.0, 2.0], 1.0)))
    assert equal(again.sample(3, rng=0, device=EMULATED), again.sample(3, rng=0))
    assert "_uploads" not in d.__getstate__()


CATEGORICALS = [
    {},
    {"temperature": 0.7},
    {"temperature": np.linspace(0.5, 2, 6).reshape(2, 3)},
    {"top_k": 4, "top_p": 0.8},
    {"top_p": [[0.9], [0.5]], "min_p": 0.01},
]


@pytest.mark.parametrize("options", CATEGORICALS, ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_categorical_by_name_of_the_device(options: dict[str, Any], kind: type) -> None:
    z = (np.random.default_rng(0).standard_normal((2, 3, 50)) * 3).astype(kind)
    d = gf.Categorical(z, **options)
    for shape in ((), 7, (2, 100)):
        assert equal(d.sample(shape, rng=8), d.sample(shape, rng=8, device=EMULATED))
    for u in (np.random.default_rng(1).random((4, 2, 3)), np.random.default_rng(1).random((5, 1, 3))):
        assert equal(d.sample(u=u), d.sample(u=u, device=EMULATED))
    assert equal(d.sample(3, rng=1, dtype=np.uint8), d.sample(3, rng=1, dtype=np.uint8, device=EMULATED))


def test_many_draws_of_one_row_read_a_table() -> None:
    z = np.random.default_rng(0).standard_normal(300)
    for d in (gf.Categorical(z), gf.Categorical(z, top_k=20, top_p=0.9), gf.Categorical(probs=np.exp(z))):
        found = d.sample(2000, rng=4, device=EMULATED)
        assert d._table is not None and equal(found, d.sample(2000, rng=4))
        u = np.random.default_rng(2).random((100, 5))
        assert equal(d.sample(u=u), d.sample(u=u, device=EMULATED))


def test_bad_rows_of_a_device() -> None:
    z = np.zeros((4, 8), np.float32)
    z[1, 3], z[2] = np.nan, -np.inf
    d = gf.Categorical(z)
    assert (d.sample(5, rng=0, device=EMULATED)[:, 1:3] == -1).all()
    levels, good = d.sample(5, rng=0, check="mask", device=EMULATED)
    assert good.dtype == bool and good.tolist() == [True, False, False, True]
    expected, _ = d.sample(5, rng=0, check="mask")
    assert equal(levels, expected)
    with pytest.raises(gf.NumericalError, match="row 1 holds NaN"):
        d.sample(5, rng=0, check="raise", device=EMULATED)
    assert gf.Categorical(z[:1]).sample(u=[[0.5], [1.5], [np.nan]], device=EMULATED).tolist()[1:] == [[-1], [-1]]
    with pytest.raises(ValueError, match=r"u must lie in \[0, 1\]: draw 1 of row 0 does not"):
        gf.Categorical(z[:1]).sample(u=[[0.5], [1.5], [np.nan]], check="raise", device=EMULATED)
    with pytest.raises(ValueError, match="check must be"):
        d.sample(rng=0, check="perhaps", device=EMULATED)
    assert gf.Categorical(z).sample((0, 2), rng=0, device=EMULATED).shape == (0, 2, 4)
    assert gf.Categorical(z[:0]).sample(3, rng=0, device=EMULATED).shape == (3, 0)
    assert gf.Categorical(z).sample(0, rng=0, check="mask", device=EMULATED)[1].tolist() == [True, False, False, True]


def test_no_probability_is_nan_on_a_device() -> None:
    assert np.isnan(gf.Normal(0, 1).sample(u=[2.0, -1.0, np.nan], device=EMULATED)).all()
    assert np.isnan(family_examples()[4].sample(u=[2.0, -1.0, np.nan], device=EMULATED)).all()


def test_what_computes_on_the_cpu_alone_says_so() -> None:
    with pytest.raises(ValueError, match=r"Mixture.icdf computes on the CPU, not on cuda-emulated"):
        gf.Mixture([0.5, 0.5], gf.Normal([0.0, 1.0], 1.0)).sample(3, rng=0, device=EMULATED)
    with pytest.raises(ValueError, match="there is no device 'tpu'"):
        gf.Normal(0, 1).sample(3, rng=0, device="tpu")
    with pytest.raises(ValueError, match="computes on the CPU"):
        gf.NumericalInverse(samples=[1.0, 2.0, 3.0]).sample(3, rng=0, device=EMULATED)


# ---- arrays that lie on a GPU


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def gpu(torch: Any, monkeypatch: pytest.MonkeyPatch, cuda: Any) -> Any:
    return fake_torch_gpu(torch, cuda, monkeypatch, Waits())


@pytest.mark.parametrize("d", family_examples(), ids=repr)
def test_tensors_in_and_out(d: Any, gpu: Any, torch: Any) -> None:
    shape = (7, *d.batch_shape)
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        u = torch.rand(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        for function in ("icdf", "iccdf"):
            expected = getattr(d, function)(u.clone())
            found = getattr(d, function)(gpu(u))
            assert type(found) is torch.Tensor and found.dtype == expected.dtype and equal(found, expected)
    u = torch.rand(shape, dtype=torch.float64)
    out = gpu(torch.zeros(shape, dtype=torch.float64))
    expected = d.icdf(u.clone())
    assert d.icdf(gpu(u), out=out) is out and equal(out, expected)
    assert d.icdf(u, out=u) is u and equal(u, expected)
    strided = gpu(torch.zeros(shape[::-1], dtype=torch.float32).permute(*reversed(range(len(shape)))))
    again = gpu(torch.full(shape, 0.25))
    assert d.icdf(again, out=strided) is strided and equal(
        strided.contiguous(), d.icdf(np.full(shape, np.float32(0.25)))
    )
    if isinstance(d, gf.NumericalInverse):
        with pytest.raises(ValueError, match=r"NumericalInverse.cdf computes on the CPU"):
            d.cdf(again)
    else:
        x = gpu(torch.linspace(-3, 9, 7 * max(1, int(np.prod(d.batch_shape)))).reshape(shape))
        for function in ("cdf", "ccdf", "log_prob"):
            assert equal(getattr(d, function)(x), getattr(d, function)(x.numpy()))


def test_arguments_that_broadcast(gpu: Any, torch: Any) -> None:
    d = gf.Gamma([1.0, 2.0, 3.0], [[1.0], [2.0]])
    for shape in ((), (1,), (3,), (2, 1), (4, 2, 3), (4, 1, 3), (5, 1, 1)):
        u = torch.rand(shape, dtype=torch.float64)
        assert equal(d.icdf(gpu(u)), d.icdf(u.numpy()))
    with pytest.raises(ValueError, match=r"u of shape \(5,\) does not broadcast"):
        d.icdf(gpu(torch.rand(5)))
    assert equal(gf.Normal(0, 1).icdf(gpu(torch.zeros(3, dtype=torch.int64))), [-np.inf] * 3)


@pytest.mark.parametrize("family", PARAMETERS)
def test_parameters_on_a_gpu(family: str, gpu: Any, torch: Any) -> None:
    make = getattr(gf, family)
    for values, dtype in product(PARAMETERS[family], (torch.float64, torch.float32, torch.bfloat16)):
        given = [torch.tensor(value, dtype=torch.float64).to(dtype) for value in values]
        numbers = [float(x) for x in given]
        there = make(*(gpu(x.expand(4, 1)) for x in given))
        try:
            here = make(*(np.full((4, 1), x) for x in numbers))
        except ValueError:  # what rounding made of these
            assert there.icdf(gpu(torch.rand(3))).isnan().all()
            continue
        for function in FUNCTIONS:
            x64 = torch.from_numpy(arguments(family, function, [np.array([x]) for x in numbers])[:60])
            for x in (x64, x64.float()):
                expected = getattr(here, function)(x.clone())
                found = getattr(there, function)(gpu(x))
                assert found.shape == (4, 60) and equal(found, expected), (values, dtype, function, x.dtype)
        for kind in ("float32", "float64"):
            found = there.sample(50, rng=3, dtype=kind)
            assert type(found) is torch.Tensor and equal(found, here.sample(50, rng=3, dtype=kind))


@pytest.mark.parametrize("family", PARAMETERS)
def test_parameters_on_a_gpu_that_make_no_distribution_give_nan(family: str, gpu: Any, torch: Any) -> None:
    make, count = getattr(gf, family), len(PARAMETERS[family][0])
    edges = [np.nan, np.inf, -1e308, -1.0, -0.0, 0.0, 5e-324, 1e-10, 9e-11, 0.3, 1.0, 3.0, 1e9, 1.1e9, 1e15, 1.1e15]
    edges += [1e300, 1.1e300, 1e308] if count < 3 else [1e308]
    edges += [2.0**52, 2.0**53, 2.0**53 + 2] if count < 3 else []
    sets = np.array(list(product(edges, repeat=count)))

    def good(values: np.ndarray) -> bool:
        try:
            make(*values)
        except ValueError:
            return False
        return True

    expected = np.array([good(values) for values in sets])
    d = make(*(gpu(torch.from_numpy(column.copy())) for column in sets.T))
    half = gpu(torch.tensor(0.5, dtype=torch.float64))
    for function in ("icdf", "iccdf"):
        found = getattr(d, function)(half).numpy()
        assert np.isnan(found[~expected]).all() and not np.isnan(found[expected]).any()
    assert expected.any() and not expected.all()
    one = int(np.argmax(~expected))
    bad = make(*(gpu(torch.tensor([x])) for x in sets[one]))
    for function in FUNCTIONS:
        assert getattr(bad, function)(half).isnan().all()
    assert bad.sample((2, 3), rng=0).isnan().all() and bad.sample((2, 3), rng=0, dtype="float32").isnan().all()


def test_shapes_and_kinds_of_parameters_on_a_gpu(gpu: Any, torch: Any) -> None:
    loc, scale = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    here, there = gf.Normal(loc.numpy(), scale.numpy()), gf.Normal(gpu(loc.clone()), gpu(scale.clone()))
    assert there.batch_shape == (2, 3) and there.kind.name == "torch"
    for shape in ((), (1,), (3,), (2, 1), (4, 2, 3), (4, 1, 3), (5, 1, 1)):
        for u in (torch.rand(shape, dtype=torch.float64), torch.rand(shape)):
            assert equal(there.icdf(gpu(u.clone())), here.icdf(u.numpy()))
    assert equal(there.icdf(0.25), here.icdf(0.25)) and equal(there.cdf([0.0, 1.0, 2.0]), here.cdf([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match=r"u of shape \(5,\) does not broadcast"):
        there.icdf(gpu(torch.rand(5)))
    for shape in ((), 5, (2, 7), 0):
        assert equal(there.sample(shape, rng=3), here.sample(shape, rng=3))
    generators = [np.random.default_rng(5) for _ in range(2)]
    assert equal(there.sample(9, rng=generators[0]), here.sample(9, rng=generators[1]))
    u = torch.rand(6, 2, 3)
    assert equal(there.sample(u=gpu(u.clone())), here.sample(u=u.numpy()))
    out = gpu(torch.zeros((6, 2, 3)))
    assert there.sample(6, rng=1, out=out) is out and equal(out, here.sample(6, rng=1, dtype="float32"))
    # Some numbers, some arrays; strides; integers; all the library's.
    mixed = gf.StudentT([3.0, 4.0], 0.5, gpu(torch.tensor([1.0, 2.0])))
    assert equal(mixed.sample(8, rng=0), gf.StudentT([3.0, 4.0], 0.5, [1.0, 2.0]).sample(8, rng=0))
    wide = torch.rand(3, 4) + 0.5
    assert equal(gf.Exponential(gpu(wide).T).sample(5, rng=0), gf.Exponential(wide.numpy().T).sample(5, rng=0))
    draws = gf.Hypergeometric(gpu(torch.tensor([10, 20])), 5, gpu(torch.tensor([3], dtype=torch.int8)))
    assert equal(draws.sample(9, rng=0), gf.Hypergeometric([10, 20], 5, 3).sample(9, rng=0))
    single = gf.Normal(gpu(torch.tensor(2.0)), 1.0)
    assert single.batch_shape == () and equal(single.sample(9, rng=0), gf.Normal(2.0, 1.0).sample(9, rng=0))
    with pytest.raises(ValueError, match=r"the parameters do not broadcast: loc \(3,\), scale \(2,\)"):
        gf.Normal(gpu(loc.clone()), gpu(torch.ones(2)))


def test_parameters_on_a_gpu_are_read_by_every_call(gpu: Any, torch: Any) -> None:
    loc, half = gpu(torch.zeros(3)), gpu(torch.ones(3, dtype=torch.float16))
    d = gf.Normal(loc, half)
    assert d.loc is loc and d.icdf(0.5).tolist() == [0.0] * 3
    loc += 2.0
    half *= 4.0
    assert equal(d.icdf(0.25), gf.Normal(np.full(3, 2.0), 4.0).icdf(0.25))


def test_nobody_waits_for_parameters_on_a_gpu(torch: Any, cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits()
    gpu = fake_torch_gpu(torch, cuda, monkeypatch, waits)
    loc, scale, x = gpu(torch.zeros(3, dtype=torch.float16)), gpu(torch.ones(2, 1)), gpu(torch.rand(2, 3))
    d = gf.Normal(loc, scale)
    assert "on cuda:0" in repr(d) and d == gf.Normal(loc, scale) and hash(d) == hash(gf.Normal(loc, scale))
    for function in FUNCTIONS:
        getattr(d, function)(x)
    d.sample(4, rng=0)
    gf.Beta(scale, 2.0).sample(u=x)
    gf.Categorical(probs=x, temperature=0.5, top_p=0.9).sample(rng=0)
    assert waits.count == 0
    d.icdf(0.5), d.icdf(1), d.cdf(np.float32(0.5))
    assert waits.count == 0
    d.icdf([0.5])  # a list is brought there
    assert waits.count == 1


def test_a_mask_of_one_row_waits_for_nothing(torch: Any, cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits()
    fake_torch_gpu(torch, cuda, monkeypatch, waits)
    d = gf.Categorical(np.zeros(20))
    d.sample(100, rng=0, device="cuda", check="mask")  # uploads the table
    before = waits.count
    _, good = d.sample(100, rng=0, device="cuda", check="mask")
    assert waits.count == before and good.dtype == torch.bool and good.tolist() is True


def test_arguments_on_the_cpu_of_a_named_device(gpu: Any, torch: Any) -> None:
    u = np.random.default_rng(0).random((4, 3))
    d, z = gf.Gamma([1.0, 2.0, 3.0], 2.0), gf.Categorical(np.random.default_rng(1).standard_normal((3, 9)))
    for given in (u, u.astype(np.float32), u.astype(np.float16), torch.from_numpy(u), u.tolist(), u.astype(">f8")):
        for one in (d, z):
            found = one.sample(u=given, device="cuda")
            assert type(found) is torch.Tensor and equal(found, one.sample(u=given))
            assert equal(one.sample(u=given, device=EMULATED), one.sample(u=given))
    for number in (0.25, 1, np.float32(0.3), np.float64(0.3), np.array(0.3), torch.tensor(0.3)):
        for one in (d, z):
            assert equal(one.sample(u=number, device="cuda"), one.sample(u=number))
    for out in (np.zeros(3), torch.zeros(3, dtype=torch.float64)):
        with pytest.raises(ValueError, match="and out elsewhere: pass an array that is there"):
            d.sample(rng=0, out=out, device="cuda")
    with pytest.raises(ValueError, match="and out elsewhere: pass an array that is there"):
        z.sample(rng=0, out=np.zeros(3, np.int64), device="cuda")
    with pytest.raises(ValueError, match="and out elsewhere: pass an array that is there"):
        gf.Stream(0).uniforms(1, 3, out=np.zeros((1, 3)), device="cuda")
    with pytest.raises(ValueError, match="the result is on cuda-emulated and out elsewhere"):
        d.sample(rng=0, out=torch.zeros(3, dtype=torch.float64), device=EMULATED)
    with pytest.raises(TypeError, match=r"out must be an array on .*, got list"):
        d.icdf(gpu(torch.rand(3)), out=[0.0] * 3)
    with pytest.raises(ValueError, match="out overlaps itself"):
        d.icdf(gpu(torch.rand(3)), out=gpu(torch.zeros(1)).expand(3))
    with pytest.raises(TypeError, match="u must hold real numbers, got dtype bool"):
        d.sample(u=True, device="cuda")


def test_too_little_memory_of_the_library(gpu: Any, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    d, u = gf.Normal(0, 1), gpu(torch.rand(3))

    def exhausted(*_: Any, **__: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with monkeypatch.context() as within:
        within.setattr(torch, "empty", exhausted)
        for call in (lambda: d.icdf(u), lambda: gf.Categorical(u).sample(rng=0), lambda: d.sample(9, device="cuda")):
            with pytest.raises(gf.DeviceMemoryError, match="fewer rows need less: CUDA out of memory"):
                call()
    assert equal(d.icdf(u), d.icdf(u.numpy()))


def test_what_parameters_on_a_gpu_may_not_be(gpu: Any, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loc, other = gpu(torch.zeros(3)), gpu(torch.ones(3), 1)
    with pytest.raises(ValueError, match="loc is on cuda:0 and scale on the CPU: bring them to one device"):
        gf.Normal(loc, np.ones(3))
    with pytest.raises(ValueError, match="loc is on cuda:0 and scale on cuda:1"):
        gf.Normal(loc, other)
    with pytest.raises(ValueError, match=r"scale requires a gradient, .*: pass scale.detach\(\)"):
        gf.Normal(0.0, gpu(torch.ones(3, requires_grad=True)))
    with pytest.raises(TypeError, match="scale must hold real numbers, got dtype bool"):
        gf.Normal(0.0, gpu(torch.ones(3, dtype=torch.bool)))
    with pytest.raises(ValueError, match=r"scale must be positive and finite, got -1\.0"):
        gf.Normal(loc, -1.0)
    d = gf.Normal(loc, 1.0)
    with pytest.raises(ValueError, match="loc is on cuda:0 and u on the CPU"):
        d.icdf(np.zeros(3))
    with pytest.raises(ValueError, match="loc is on cuda:0 and out on the CPU"):
        d.sample(rng=0, out=np.zeros(3))
    with pytest.raises(ValueError, match="loc is on cuda:0, and device is cpu: bring it there"):
        d.sample(rng=0, device="cpu")
    assert equal(d.sample(4, rng=0, device="cuda"), gf.Normal(np.zeros(3), 1.0).sample(4, rng=0))

    def missing() -> Any:
        raise gf.DeviceError("genfast was built without CUDA; …")

    monkeypatch.setattr(device_arrays, "extension", missing)
    with pytest.raises(ValueError, match=r"computes on the CPU: pass loc.cpu\(\) \(genfast was built"):
        gf.Normal(loc, 1.0)


def test_what_parameters_on_a_gpu_are_not_used_for(gpu: Any, torch: Any) -> None:
    low = gpu(torch.zeros(3))
    d = gf.Uniform(low, 2.0)
    for name in ("mean", "var", "support"):
        message = rf"Uniform.{name} is computed on the CPU, and low is float32 of shape \(3,\) on cuda:0"
        with pytest.raises(ValueError, match=message):
            getattr(d, name)
    for make in (gf.Affine, lambda d: gf.Truncated(d, 0.0, 1.0), lambda d: gf.Mixture([1.0], [d])):
        with pytest.raises(ValueError, match=r"is computed with on the CPU, and its low is float32 of shape \(3,\)"):
            make(d)
    with pytest.raises(ValueError, match=r"loc is float32 of shape \(3,\) on cuda:0, and is used on the CPU"):
        gf.Affine(gf.Uniform(), low)


def test_distributions_of_parameters_on_a_gpu_as_objects(gpu: Any, torch: Any) -> None:
    scale = gpu(torch.ones(2, 3, dtype=torch.bfloat16))
    d = gf.Normal([1.0, 2.0, 3.0], scale)
    assert repr(d) == "Normal(loc=[1., 2., 3.], scale=<bfloat16 of shape (2, 3) on cuda:0>)"
    assert d == gf.Normal([1.0, 2.0, 3.0], scale) and hash(d) == hash(gf.Normal([1.0, 2.0, 3.0], scale))
    assert d != gf.Normal([1.0, 2.0, 4.0], scale) and d != gf.Normal([1.0, 2.0, 3.0], gpu(scale.clone()))
    assert d != gf.Normal([1.0, 2.0, 3.0], np.ones((2, 3))) and gf.Normal([1.0, 2.0, 3.0], np.ones((2, 3))) != d
    family, arguments = d.__reduce__()
    assert family is gf.Normal and arguments[0] == [1.0, 2.0, 3.0] and arguments[1] is scale
    with pytest.raises(AttributeError, match="immutable"):
        d.scale = scale


@pytest.mark.parametrize("options", CATEGORICALS, ids=str)
def test_logits_on_a_gpu(options: dict[str, Any], gpu: Any, torch: Any) -> None:
    z = torch.randn((2, 3, 50), generator=torch.Generator().manual_seed(1)) * 3
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        logits = z.to(dtype)
        here, there = gf.Categorical(logits.clone(), **options), gf.Categorical(gpu(logits), **options)
        assert there.batch_shape == (2, 3) and "on cuda:0" in repr(there)
        for shape in ((), 5, (2, 70)):
            found = there.sample(shape, rng=7)
            assert type(found) is torch.Tensor and equal(found, here.sample(shape, rng=7))
        u = torch.rand((4, 2, 3))
        assert equal(there.icdf(gpu(u)), here.icdf(u.numpy()))
        assert equal(there.icdf(0.25), here.icdf(0.25))
    transposed = gpu(z.permute(2, 1, 0))
    assert equal(gf.Categorical(transposed).sample(rng=1), gf.Categorical(z.permute(2, 1, 0).numpy()).sample(rng=1))
    out = gpu(torch.zeros((5, 2, 3), dtype=torch.int32))
    assert there.sample(5, rng=7, out=out) is out and equal(out, here.sample(5, rng=7, dtype=np.int32))


def test_uniforms_on_a_gpu_bring_logits_there(gpu: Any, torch: Any) -> None:
    for z in (torch.randn(2, 9), torch.randn(2, 9).to(torch.bfloat16)):
        d, u = gf.Categorical(z), torch.rand(6, 2)
        expected = d.icdf(u.clone())
        found = d.icdf(gpu(u))
        assert type(found) is torch.Tensor and equal(found, expected)


def test_weights_on_a_gpu(gpu: Any, torch: Any) -> None:
    p = torch.rand(3, 20)
    assert equal(gf.Categorical(probs=gpu(p.clone())).sample(30, rng=0), gf.Categorical(probs=p).sample(30, rng=0))


@pytest.mark.parametrize("options", CATEGORICALS[1:], ids=str)
def test_tempered_and_filtered_weights_on_a_gpu(options: dict[str, Any], gpu: Any, torch: Any) -> None:
    p = torch.rand((2, 3, 50), generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** 3 * 7
    p[0, 0, :30], p[1, 2, 7], p[0, 1, 4:6] = 0.0, 5e-324, 1.0
    p[1, 0, 3], p[1, 1, 9] = -1.0, np.inf
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        weights = p.to(dtype)
        here, there = gf.Categorical(probs=weights.clone(), **options), gf.Categorical(probs=gpu(weights), **options)
        for shape in ((), 5, (2, 70)):
            (found, good), (expected, valid) = (d.sample(shape, rng=7, check="mask") for d in (there, here))
            assert type(found) is torch.Tensor and equal(found, expected) and equal(good, valid)
        assert good[0].all() and not good[1, :2].any()
        u = torch.rand((4, 2, 3))
        assert equal(there.icdf(gpu(u), check="mask")[0], here.icdf(u.numpy(), check="mask")[0])
        with pytest.raises(gf.NumericalError, match=r"probs: row \(1, 0\) has a negative"):
            there.sample(rng=1, check="raise")
    counts = torch.randint(0, 9, (3, 20))
    expected = gf.Categorical(probs=counts.clone(), **{**options, "temperature": 0.5, "top_p": 0.9}).sample(9, rng=1)
    there = gf.Categorical(probs=gpu(counts.T.contiguous()).T, **{**options, "temperature": 0.5, "top_p": 0.9})
    assert equal(there.sample(9, rng=1), expected)


def test_devices_that_differ(gpu: Any, torch: Any) -> None:
    u, other, here = gpu(torch.rand(3)), gpu(torch.zeros(3), 1), torch.zeros(3)
    with pytest.raises(ValueError, match="u is on cuda:0 and out on cuda:1: bring them to one device"):
        gf.Normal(0, 1).icdf(u, out=other)
    with pytest.raises(ValueError, match="u is on cuda:0 and out on the CPU: bring them to one device"):
        gf.Normal(0, 1).icdf(u, out=here)
    with pytest.raises(ValueError, match="out is on cuda:0 and x on the CPU"):
        gf.Normal(0, 1).cdf(here, out=u)
    with pytest.raises(ValueError, match="logits is on cuda:0 and u on cuda:1"):
        gf.Categorical(gpu(torch.zeros(3, 4))).icdf(other)
    with pytest.raises(ValueError, match="logits is on cuda:0 and u on the CPU"):
        gf.Categorical(gpu(torch.zeros(3, 4))).icdf(here)
    with pytest.raises(ValueError, match="u is on cuda:1, and device is cuda: bring it there"):
        gf.Normal(0, 1).sample(u=other, device="cuda")


def test_what_a_gpu_tensor_may_not_be(gpu: Any, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    u = gpu(torch.rand(3, requires_grad=True))
    with pytest.raises(ValueError, match=r"u requires a gradient, which genfast does not compute: pass u.detach\(\)"):
        gf.Normal(0, 1).icdf(u)
    with torch.no_grad():
        gf.Normal(0, 1).icdf(u)
    with pytest.raises(TypeError, match="u must hold real numbers, got dtype bool"):
        gf.Normal(0, 1).icdf(gpu(torch.ones(3, dtype=torch.bool)))
    with pytest.raises(TypeError, match="out must have dtype float64, got float32"):
        gf.Normal(0, 1).icdf(gpu(torch.rand(3)), out=gpu(torch.zeros(3)), dtype="float64")
    with pytest.raises(ValueError, match=r"out must have shape \(3,\), got \(4,\)"):
        gf.Normal(0, 1).icdf(gpu(torch.rand(3)), out=gpu(torch.zeros(4)))
    with pytest.raises(ValueError, match="logits must have the categories on its last axis"):
        gf.Categorical(gpu(torch.tensor(1.0)))
    with pytest.raises(ValueError, match="u must have shape"):
        gf.Normal(0, 1).sample(4, u=gpu(torch.rand(3)))
    monkeypatch.setattr(device_arrays, "gpu_of", lambda x: ("torch", 0) if isinstance(x, torch.Tensor) else None)
    with pytest.raises(ValueError, match=r"u has layout torch\.sparse_coo; pass a dense tensor"):
        device_arrays.space_of(u=torch.ones(3).to_sparse())


def test_what_is_not_computed_from_logits_on_a_gpu(gpu: Any, torch: Any) -> None:
    d = gf.Categorical(gpu(torch.zeros(3, 4)))
    for wanted in (lambda: d.probs, lambda: d.mean, lambda: d.log_prob([0, 0, 0]), lambda: d.cdf(1.0)):
        with pytest.raises(ValueError, match="where genfast computes sample and icdf alone"):
            wanted()
    with pytest.raises(ValueError, match=r"Categorical.cdf computes on the CPU"):
        d.cdf(gpu(torch.zeros(3)))


def test_without_the_extension_arrays_are_sent_to_the_cpu(
    gpu: Any, torch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise gf.DeviceError("genfast was built without CUDA; …")

    monkeypatch.setattr(device_arrays, "extension", missing)
    u = gpu(torch.rand(3))
    with pytest.raises(ValueError, match=r"genfast computes on the CPU: pass u.cpu\(\) \(genfast was built"):
        gf.Normal(0, 1).icdf(u)
    with pytest.raises(ValueError, match=r"logits is on cuda:0; genfast computes on the CPU: pass logits.cpu\(\)"):
        gf.Categorical(u)


def test_results_over_parameters_that_are_read_again(gpu: Any, torch: Any, cupy: Any) -> None:
    u = np.random.default_rng(0).random((50, 8))
    for put in (lambda x: gpu(torch.from_numpy(x.copy())), lambda x: CupyArray(x.copy())):
        for row in (0, 49):
            out = put(u)
            gf.Normal(out[row], 1.0).icdf(put(u), out=out)
            assert equal(getattr(out, "array", out), gf.Normal(u[row], 1.0).icdf(u))
            out = put(u)
            gf.Normal(out[row], 1.0).sample(50, rng=0, out=out)
            assert equal(getattr(out, "array", out), gf.Normal(u[row], 1.0).sample(50, rng=0))


# ---- CuPy, and libraries that cannot be written to


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, cuda: Any) -> Any:
    return fake_cupy(cuda, monkeypatch, Waits())


def test_cupy(cupy: Any) -> None:
    u = np.random.default_rng(0).random((4, 3))
    d = gf.Gamma([1.0, 2.0, 3.0], 2.0)
    found = d.icdf(CupyArray(u))
    assert type(found) is CupyArray and equal(found.array, d.icdf(u))
    shapes = CupyArray(np.array([1.0, 2.0, 3.0]))
    there = gf.Gamma(shapes, CupyArray(np.array([[2.0]], np.float32)))
    assert there.kind.name == "cupy" and there == gf.Gamma(shapes, there.scale) and isinstance(hash(there), int)
    assert equal(there.sample(9, rng=1).array, gf.Gamma([1.0, 2.0, 3.0], [[2.0]]).sample(9, rng=1))
    assert equal(there.cdf(CupyArray(u)).array, d.cdf(u))
    out = CupyArray(np.zeros((3, 4)).T)
    assert d.icdf(CupyArray(u), out=out) is out and equal(out.array.copy(), d.icdf(u))
    z = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
    levels, good = gf.Categorical(CupyArray(z), top_p=0.7).sample(9, rng=2, check="mask")
    assert equal(levels.array, gf.Categorical(z, top_p=0.7).sample(9, rng=2)) and good.array.tolist() == [True] * 3
    assert equal(gf.Categorical(z).icdf(CupyArray(u[:, :3])).array, gf.Categorical(z).icdf(u[:, :3]))


def test_torch_without_cuda_makes_no_results(cupy: Any, torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_arrays, "torch_has_cuda", lambda: False)
    d = gf.Normal(0, 1)
    assert equal(d.sample(3, rng=0, device="cuda").array, d.sample(3, rng=0))
    monkeypatch.delitem(sys.modules, "cupy")
    with pytest.raises(gf.DeviceError, match="this PyTorch was built without CUDA and has no arrays on cuda:0"):
        d.sample(3, rng=0, device="cuda")
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(TypeError, match="results on cuda:0 are arrays of torch or cupy: import one of them first"):
        d.sample(3, rng=0, device="cuda")


def test_libraries_may_not_be_mixed(cupy: Any, gpu: Any, torch: Any) -> None:
    with pytest.raises(TypeError, match="u is an array of torch and out of cupy; convert them to one library"):
        gf.Normal(0, 1).icdf(gpu(torch.rand(3)), out=CupyArray(np.zeros(3)))
    with pytest.raises(TypeError, match="loc is an array of torch and scale of cupy"):
        gf.Normal(gpu(torch.rand(3)), CupyArray(np.ones(3)))
    other = type("Array", (CupyArray,), {"__module__": "jaxlib.xla"})(np.zeros(3))
    with pytest.raises(TypeError, match=r"with torch or cupy, not jaxlib: pass torch.from_dlpack\(x\)"):
        gf.Normal(0, 1).icdf(other)


# ---- DLPack itself


class Managed(ctypes.Structure):
    """DLManagedTensorVersioned."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("flags", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def capsule(array: np.ndarray, device: tuple[int, int], freed: list[int], *, major: int = 1, flags: int = 0) -> Any:
    """A capsule that claims float64 `array` to be on another device; `freed` gets an element when it is given back."""
    sizes = (ctypes.c_int64 * array.ndim)(*array.shape)
    deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda address: freed.append(address))
    managed = Managed(major, 0, None, deleter, flags, array.ctypes.data, *device, array.ndim, 2, 64, 1, sizes, None, 0)
    capsule.kept = [*getattr(capsule, "kept", []), (array, sizes, deleter, managed)]  # as long as the tests run
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return new(ctypes.addressof(managed), b"dltensor_versioned", None)


def test_capsules(cuda: Any) -> None:
    Tensor, Place = cuda.sampling.Tensor, cuda.sampling.Place
    freed: list[int] = []
    x = np.zeros((2, 3))
    given = capsule(x, (2, 1), freed, flags=1)
    tensor = Tensor(given)
    assert (tensor.shape, tensor.dtype, tensor.device, tensor.read_only) == ((2, 3), "float64", (2, 1), True)
    with pytest.raises(ValueError, match="can still be used: used_dltensor_versioned"):
        Tensor(given)
    with pytest.raises(ValueError, match="x is not in the CPU's memory, where the emulation runs"):
        cuda.sampling.evaluate(Place.emulated(), "Normal", "cdf", tensor, [0.0, 1.0], Tensor(np.zeros(6).__dlpack__()))
    writable = Tensor(capsule(x, (2, 0), freed))
    with pytest.raises(ValueError, match="x is not on cuda:0"):
        cuda.sampling.evaluate(Place.on(0, 1), "Normal", "cdf", tensor, [0.0, 1.0], writable)
    with pytest.raises(ValueError, match="out is read-only"):
        cuda.sampling.evaluate(Place.on(1, 1), "Normal", "cdf", (0, 0, 0), [0.0, 1.0], tensor)
    assert not freed
    del tensor
    assert len(freed) == 1
    with pytest.raises(ValueError, match="speaks DLPack 2, genfast version 1"):
        Tensor(capsule(x, (1, 0), freed, major=2))
