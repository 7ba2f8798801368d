"""Arrays in and out: NumPy, numbers, torch and DLPack; shared memory where promised; errors that name the argument."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import genfast as gf
from genfast.arrays import (
    NUMPY,
    as_numpy,
    as_shape,
    bfloat16_bits,
    check_size,
    check_uniforms,
    float_dtype,
    kind_of,
    output,
    result_dtype,
)


class Capsule:
    """An array of some other library that speaks DLPack and nothing else."""

    def __init__(self, array, device=(1, 0)):
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.device


def fake_library(monkeypatch):
    """A module `fakelib` whose arrays are Capsules."""
    import types

    module = types.ModuleType("fakelib")
    array = type("array", (Capsule,), {"__module__": "fakelib"})
    module.from_dlpack = lambda x: array(np.from_dlpack(x))
    monkeypatch.setitem(sys.modules, "fakelib", module)
    return array


# ---- in


def test_numpy_arrays_are_shared():
    base = np.arange(24.0).reshape(4, 6)
    for x in (base, base[::2, ::-1], base.T, base[1, 2:3].reshape(())):
        assert np.shares_memory(as_numpy(x, "x"), x) and as_numpy(x, "x").shape == x.shape
        assert np.shares_memory(as_numpy(x, "x", np.float64), x)
    read_only = base.view()
    read_only.flags.writeable = False
    assert np.shares_memory(as_numpy(read_only, "x", contiguous=True), base)
    copied = as_numpy(base.T, "x", contiguous=True)
    assert copied.flags.carray and (copied == base.T).all()
    unaligned = np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(np.float64)
    assert as_numpy(unaligned, "x", contiguous=True).flags.aligned


@pytest.mark.parametrize("x", [1, 1.5, np.float32(2), np.int8(3), [1, 2.5], ((1, 2), (3, 4)), range(3), [], 2**63])
def test_python_numbers_and_sequences(x):
    got = as_numpy(x, "x", np.float64)
    assert got.dtype == np.float64 and (got == np.asarray(x, np.float64)).all() and got.shape == np.shape(x)


def test_conversions():
    assert as_numpy(np.array([1, 2], ">f4"), "x").dtype == np.dtype("=f4")
    assert as_numpy(np.float16([0.5]), "x", np.float64)[0] == 0.5
    assert as_numpy(np.array([np.longdouble("1e4000")]), "x", np.float64)[0] == np.inf
    assert np.isnan(as_numpy(np.array([np.nan], np.float32), "x", np.float64)[0])
    assert as_numpy(np.uint64([2**63 - 1]), "x", np.int64)[0] == 2**63 - 1
    with pytest.raises(ValueError, match=r"x holds 9223372036854775808, which does not fit int64"):
        as_numpy(np.uint64([5, 2**63]), "x", np.int64)
    with pytest.raises(ValueError, match=r"x holds -1"):
        as_numpy([-1, 3], "x", np.uint8)
    with pytest.raises(TypeError, match="x must hold integers"):
        as_numpy([1.0], "x", np.int64)


@pytest.mark.parametrize(
    "x",
    [
        [True],
        np.array([1j]),
        "a",
        ["1.0"],
        None,
        object(),
        {"a": 1},
        [None],
        2**64 * 10**400,
        np.array(["2020-01-01"], "M8[D]"),
        np.array([1], "m8[s]"),
        np.zeros(2, [("a", "f8")]),
        b"abc",
        np.ma.masked_array([1.0, 2.0], [0, 1]),
        torch.tensor([True]),
        torch.tensor([1j]),
    ],
    ids=repr,
)
def test_what_is_no_real_number(x):
    with pytest.raises(TypeError, match="scale "):
        as_numpy(x, "scale", np.float64)


def test_ragged():
    with pytest.raises(ValueError, match="scale cannot be made an array"):
        as_numpy([[1.0, 2.0], [3.0]], "scale")


def test_torch_tensors_are_shared():
    base = torch.arange(24.0).reshape(4, 6)
    for x in (base, base[::2, 1:], base.T, base[0, 0], base[:0], base.expand(2, 4, 6)):
        got = as_numpy(x, "x")
        assert got.shape == tuple(x.shape) and (got == x.numpy()).all()
        assert got.ctypes.data == x.data_ptr() or not got.size
    for dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.float16, torch.float64):
        assert (as_numpy(torch.tensor([1, 2], dtype=dtype), "x", np.float64) == [1, 2]).all()


def test_torch_bfloat16():
    x = torch.tensor([[1.0, -2.5, 3e38], [float("nan"), float("-inf"), 1e-40]], dtype=torch.bfloat16)
    got = as_numpy(x, "x")
    assert got.dtype == np.float32 and np.array_equal(got, x.float().numpy(), equal_nan=True)
    assert np.array_equal(as_numpy(x, "x", np.float64), x.double().numpy(), equal_nan=True)
    bits = bfloat16_bits(x)
    assert bits.dtype == np.uint16 and bits.ctypes.data == x.data_ptr()
    assert (bits == x.view(torch.int16).numpy().view(np.uint16)).all()
    assert (bfloat16_bits(x.T) == bits.T).all()
    for other in (x.float(), x.half(), np.float16([1]), np.uint16([1]), 1.0, [1.0], None):
        assert bfloat16_bits(other) is None


def test_torch_gradients_are_not_dropped_silently():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"u requires a gradient.*u\.detach\(\)"):
        as_numpy(x, "u")
    with torch.no_grad():
        assert as_numpy(x, "u").tolist() == [1, 1]
    assert as_numpy(x.detach(), "u").tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"u cannot be made an array: .* requires grad"):
        as_numpy([x.sum()], "u")


def test_torch_tensors_that_are_not_plain_cpu_memory():
    with pytest.raises(ValueError, match=r"u is on meta.*u\.cpu\(\)"):
        as_numpy(torch.ones(2, device="meta"), "u")
    with pytest.raises(ValueError, match=r"u has layout torch\.sparse_coo"):
        as_numpy(torch.eye(2).to_sparse(), "u")
    assert as_numpy(torch.tensor([1 + 2j]).conj().imag, "u").tolist() == [-2]  # a lazily negated view


def test_dlpack():
    base = np.arange(6.0).reshape(2, 3)
    got = as_numpy(Capsule(base), "x")
    assert np.shares_memory(got, base) and (got == base).all()
    assert kind_of(Capsule(base)) is NUMPY  # no way back
    with pytest.raises(ValueError, match="x is not in the CPU's memory"):
        as_numpy(Capsule(base, (2, 0)), "x")
    with pytest.raises(TypeError, match="x"):
        as_numpy(Capsule(np.array(["a"])), "x")


# ---- out


def test_kinds(monkeypatch):
    array = fake_library(monkeypatch)
    t, n, other = torch.ones(2), np.ones(2), array(np.ones(2))
    assert kind_of() == kind_of(1, 2.0, [1], n, None) == NUMPY
    assert kind_of(n, t, 3) == kind_of(t, t) and kind_of(t).name == "torch"
    assert kind_of(other, n).name == "fakelib"
    with pytest.raises(TypeError, match="torch and of fakelib"):
        kind_of(t, other)

    data = np.arange(6.0).reshape(2, 3)
    assert NUMPY.wrap(data) is data or np.shares_memory(NUMPY.wrap(data), data)
    assert isinstance(NUMPY.wrap(np.array(1.5)), np.float64)
    wrapped = kind_of(t).wrap(data)
    assert isinstance(wrapped, torch.Tensor) and wrapped.data_ptr() == data.ctypes.data
    assert kind_of(t).wrap(np.array(1.5)).shape == ()
    assert isinstance(kind_of(other).wrap(data), array)
    assert np.shares_memory(as_numpy(kind_of(other).wrap(data), "x"), data)


def test_result_dtypes():
    f4, f8 = np.dtype("f4"), np.dtype("f8")
    assert result_dtype() == result_dtype(1, 2.5, [0.5]) == result_dtype(np.arange(3)) == f8
    assert result_dtype(np.float32([1]), 2.5) == result_dtype(torch.ones(1), np.arange(2)) == f4
    assert result_dtype(torch.ones(1, dtype=torch.bfloat16)) == result_dtype(np.float16([1])) == f4
    assert result_dtype(np.float32([1]), np.float64(2)) == result_dtype(torch.ones(1), torch.ones(1).double()) == f8


def test_float_dtypes():
    for x in (None, np.float64, "float64", float, np.dtype("f8"), torch.float64):
        assert float_dtype(x) == np.float64
    for x in (np.float32, "f4", torch.float32):
        assert float_dtype(x) == np.float32
    for x in (np.int64, "f2", np.longdouble, "nonsense", torch.bfloat16, torch.int32, 7, object, np.dtype(">f8")):
        with pytest.raises(TypeError, match="dtype must be float64 or float32"):
            float_dtype(x)


def test_shapes_and_sizes():
    assert as_shape(3) == as_shape(np.int64(3)) == as_shape([3]) == as_shape(torch.Size([3])) == (3,)
    assert as_shape(()) == () and as_shape(np.array([2, 0])) == (2, 0)
    for bad, error in [(-1, ValueError), ((2, -3), ValueError), (1.5, TypeError), ("3", TypeError), (None, TypeError)]:
        with pytest.raises(error, match="shape must"):
            as_shape(bad)
    with pytest.raises(ValueError, match="64 axes"):
        as_shape([1] * 65)
    assert check_size((3, 4)) == 12 and check_size(()) == 1 and check_size((0, 2**40)) == 0
    for bad in [(2**40, 2**40), (2**58,), (2**62, 0), (2**80,)]:
        with pytest.raises(ValueError, match="too large"):
            check_size(bad)


def test_uniforms_are_checked():
    good = np.array([[0.0, 1.0], [0.5, 5e-324]])
    assert check_uniforms(good) is good and check_uniforms(np.empty((0, 3))).shape == (0, 3)
    for bad in (np.nan, -5e-324, np.nextafter(1, 2), np.inf, -np.inf):
        with pytest.raises(ValueError, match=r"u must lie in \[0, 1\], got .* at index \(1, 0\)"):
            check_uniforms(np.array([[0.0, 1.0], [bad, bad]]))
    with pytest.raises(ValueError, match=r"got 2\.0 at index 1$"):
        check_uniforms(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"v must lie in \[0, 1\], got nan$"):
        check_uniforms(np.array(np.nan), "v")


def fill(result):
    result.array[...] = np.arange(result.array.size).reshape(result.array.shape)
    return result.finish()


def test_fresh_outputs():
    got = fill(output(None, (2, 3), np.float32))
    assert got.dtype == np.float32 and got.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert isinstance(fill(output(None, (), np.float64)), np.float64)
    got = fill(output(None, (2, 3), np.float64, kind_of(torch.ones(1))))
    assert isinstance(got, torch.Tensor) and got.dtype == torch.float64
    with pytest.raises(ValueError, match="too large"):
        output(None, (2**40, 2**40))


def test_given_outputs():
    want = np.arange(6.0).reshape(2, 3)
    contiguous, wide, tensor = np.zeros((2, 3)), np.zeros((4, 6)), torch.zeros(2, 3, dtype=torch.float64)
    result = output(contiguous, (2, 3))
    assert result.array is contiguous or np.shares_memory(result.array, contiguous)  # written in place
    assert fill(result) is contiguous and (contiguous == want).all()
    part = wide[::2, ::2]
    assert fill(output(part, (2, 3), np.float64)) is part and (part == want).all() and not wide[1::2].any()
    assert fill(output(tensor, (2, 3), np.float64)) is tensor and (tensor.numpy() == want).all()
    column = torch.zeros(3, 2, dtype=torch.float64).T
    assert fill(output(column, (2, 3), np.float64)) is column and (column.numpy() == want).all()
    zero_d = np.zeros(())
    assert fill(output(zero_d, ())) is zero_d


def test_an_output_that_overlaps_an_input_is_written_last():
    x = np.arange(10.0)
    result = output(x[1:], (9,), inputs=[x[:9]])
    assert not np.shares_memory(result.array, x)
    result.array[:] = x[:9]
    result.finish()
    assert x.tolist() == [0, *range(9)]


def test_wrong_outputs():
    read_only = np.zeros((2, 3))
    read_only.flags.writeable = False
    for bad, error, match in [
        (np.zeros((3, 2)), ValueError, r"out must have shape \(2, 3\), got \(3, 2\)"),
        (np.zeros((2, 3), np.float32), TypeError, "out must have dtype float64, got float32"),
        (read_only, ValueError, "out is read-only"),
        (np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8)), ValueError, "out overlaps itself"),
        (torch.zeros(3, dtype=torch.float64).expand(2, 3), ValueError, "out overlaps itself"),
        (torch.zeros((2, 3), dtype=torch.float64, requires_grad=True), ValueError, "out requires a gradient"),
        (torch.zeros((2, 3), dtype=torch.float64, device="meta"), ValueError, "out is on meta"),
        ([[0.0] * 3] * 2, TypeError, "out must be a NumPy array or a tensor, got list"),
        (1.0, TypeError, "out must be"),
        (np.float64(1), TypeError, "out must be"),
    ]:
        with pytest.raises(error, match=match):
            output(bad, (2, 3), np.float64)
    with pytest.raises(TypeError, match=r"out.dtype must be float64 or float32"):
        output(np.zeros((2, 3), np.int64), (2, 3))
    with pytest.raises(TypeError, match="out must have dtype"):
        output(torch.zeros((2, 3), dtype=torch.bfloat16), (2, 3), np.float32)


def test_streams_fill_tensors():
    out = torch.zeros(4, 6)
    assert gf.Stream(1).uniforms(4, 6, out=out) is out
    assert (out.numpy() == gf.Stream(1).uniforms(4, 6, dtype=torch.float32)).all()
    out = torch.zeros(6, 4, dtype=torch.float64).T
    assert (gf.Stream(1).uniforms(4, 6, out=out).numpy() == gf.Stream(1).uniforms(4, 6)).all()


def test_works_without_torch():
    code = (
        "import sys, numpy as np; from genfast.arrays import *\n"
        "assert as_numpy([1, 2], 'x').tolist() == [1, 2] and kind_of(np.ones(1)) is NUMPY\n"
        "assert bfloat16_bits(1) is None\n"
        "assert float_dtype('f4') == np.float32 and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
