"""The fast mode, interpreted on the host: how far from f32 it is, and that rows depend on themselves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families.catalogue import build  # noqa: E402

import genfast as gf  # noqa: E402
from genfast._core import backend_registry  # noqa: E402
from genfast.devices import extension  # noqa: E402

# Unit roundoff of bf16, half of 2**-7.
ROUNDOFF = 2.0**-8


def variant(model: gf.Model, order: str, threads: int, block_rows: int) -> gf.Model:
    name = f"test-fast-{order}-{threads}-{block_rows}"
    extension().register_emulated(backend_registry(), name, "fast", order, threads, block_rows)
    return gf.Model(model._core.to(name))


def rounded(x: np.ndarray) -> np.ndarray:
    """The nearest bf16, by PyTorch's conversion."""
    return torch.from_numpy(np.asarray(x, np.float32)).bfloat16().double().numpy()


def test_lanes_hold_what_ptx_says(cuda: Any) -> None:
    """PTX ISA, "Matrix Fragments for mma.m16n8k16" of .bf16: where each lane's numbers of A, B and C lie."""
    layout = cuda.tile_layout()
    for lane in range(32):
        group, thread = lane >> 2, lane % 4
        for i in range(8):  # A, two to a register: rows g, g + 8, g, g + 8 by pairs; columns 8 to the right from a4 on
            row = group if i < 2 or 4 <= i < 6 else group + 8
            column = thread * 2 + (i & 1) + (8 if i >= 4 else 0)
            assert (layout["left"][lane][i // 2][0], layout["left"][lane][i // 2][1] + i % 2) == (row, column)
        for i in range(4):
            k = thread * 2 + (i & 1) + (8 if i >= 2 else 0)
            assert layout["right"][k][group] == 4 * lane + i
            assert layout["sums"][lane][i] == (group if i < 2 else group + 8, thread * 2 + (i & 1))


@pytest.mark.parametrize("columns", [1, 7, 64, 100])
@pytest.mark.parametrize("channels", [16, 40, 300])
def test_product_is_that_of_rounded_numbers(cuda: Any, channels: int, columns: int) -> None:
    """One layer against float64 products of bf16 numbers: sums in f32 are all that may differ."""
    torch.manual_seed(channels + columns)
    layer = torch.nn.Linear(channels, columns)
    model = gf.compile(layer, torch.zeros(1, channels), latent="given").to("cuda-emulated", precision="fast")
    x = np.random.default_rng(0).standard_normal((37, channels)).astype(np.float32)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    plain = columns < 4 or channels < 16  # padded to sixteen by eight it would more than double: left in f32
    a, b = (x, weight) if plain else (rounded(x), rounded(weight))
    want = a.astype(np.float64) @ b.T.astype(np.float64) + bias
    scale = np.abs(a).astype(np.float64) @ np.abs(b).T + np.abs(bias)
    assert (np.abs(model.apply(x) - want) <= 2e-7 * channels * scale).all()
    if not plain:
        exact = x.astype(np.float64) @ weight.T + bias
        assert 0.1 * ROUNDOFF < (np.abs(model.apply(x) - exact) / scale).max() < 2 * ROUNDOFF


@pytest.mark.parametrize("name", ["PixelSNAIL", "minGPT", "gated by a label"])
def test_close_to_f32(cuda: Any, name: str) -> None:
    family = build(name)
    model = family.compile()
    condition = family.condition(6) or None
    x = model.sample(6, rng=0, condition=condition)
    want, fast = model.logits(x, condition=condition), model.to("cuda-emulated", precision="fast")
    found = fast.logits(x, condition=condition)
    difference = np.abs(found - want).max() / np.abs(want).max()
    assert 0 < difference < 0.05
    loss = fast.log_prob(x, condition=condition) - model.log_prob(x, condition=condition)
    assert np.abs(loss).max() / np.prod(model.input_shape) < 0.02


def test_bundled_digits_cost_no_bits(cuda: Any) -> None:
    model = gf.load("digits")
    label = np.arange(64) % 10
    x = model.sample(64, rng=1, condition={"label": label})
    f32 = model.bits_per_dim(x, condition={"label": label}).mean()
    fast = model.to("cuda-emulated", precision="fast").bits_per_dim(x, condition={"label": label}).mean()
    assert abs(fast - f32) < 0.005


def test_rows_depend_on_themselves_alone(cuda: Any) -> None:
    model = gf.load("digits")
    label = np.arange(21) % 10
    want = variant(model, "rising", 1, 0).sample(21, rng=3, condition={"label": label})
    for order, threads, block_rows in [("falling", 64, 5), ("shuffled", 1024, 1), ("shuffled", 256, 8)]:
        fast = variant(model, order, threads, block_rows)
        assert np.array_equal(fast.sample(21, rng=3, condition={"label": label}), want)
        some = fast.sample(4, rng=3, first_row=9, condition={"label": label[9:13]})
        assert np.array_equal(some, want[9:13])


def test_precision_is_checked(cuda: Any) -> None:
    model = gf.load("digits")
    with pytest.raises(ValueError, match="precision must be one of 'f32', 'fast', got 'bf16'"):
        model.to("cuda-emulated", precision="bf16")
    with pytest.raises(ValueError, match="precision='fast' is for GPUs"):
        model.to("cpu", precision="fast")
    fast = model.to("cuda-emulated", precision="fast")
    assert fast.device == "cuda-emulated fast"
    assert fast.to("cpu").device == "cpu" and model.to("cpu") is model
