"""Products of which many taps lie outside: positions are bound apart by the taps they use, and blocks are shared by
threads, with the bits of docs/format.md for any batch, target and number of threads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from outputs_for_tests import bits
from test_engine_graphs import TARGETS
from torch import nn

import genfast as gf
from genfast import _core, reference


def chains(graph: reference.Graph, x: np.ndarray) -> np.ndarray:
    """A graph of one product whose output is that product, as docs/format.md words it: (rows, channels, positions)."""
    node = next(node for node in graph.json["nodes"] if node["kind"] == "gemm")
    rows, (positions, channels) = sum(s[3] for s in node["segments"]), graph.json["values"][node["out"]]
    weights = reference.unpack(graph.weights[node["data"]], rows, channels).astype(np.float64)
    total, acc, chunk, row = np.float32(0), np.float32(0), None, 0
    for value, table, first, count, k0 in node["segments"]:
        assert value == 0
        at = graph.tables[table] if table >= 0 else np.arange(positions)
        source = np.where(at >= 0, x[:, :, at], np.float32(0)).astype(np.float64)
        for j in range(count):
            if chunk is not None and (k0 + j) // 256 != chunk:
                total, acc = total + acc, np.float32(0)
            chunk = (k0 + j) // 256
            # In f64 the product is exact.
            acc = (source[:, first + j, None] * weights[row + j, None, :, None] + acc).astype(np.float32)
        row += count
    return total + acc + graph.weights[node["bias"]][:channels, None]


@pytest.mark.parametrize(
    ("layer", "size"),
    [
        (nn.ConvTranspose2d(32, 40, 4, 2, 1), 7),
        (nn.ConvTranspose2d(16, 19, 3, 2, 1, output_padding=1), 9),
        (nn.Conv2d(24, 64, 3, 1, 1), 8),
        (nn.Conv2d(8, 64, 5, 2, 4, dilation=2), 12),
    ],
)
def test_bits_are_those_of_the_format(layer, size):
    x = np.random.default_rng(0).standard_normal((3, layer.in_channels, size, size)).astype(np.float32)
    model = gf.compile(layer.eval(), torch.from_numpy(x[:1]), latent="given")
    out = model.apply(x)
    with torch.no_grad():
        np.testing.assert_allclose(out, layer(torch.from_numpy(x)), rtol=1e-4, atol=1e-5)
    want = chains(reference.read(model.__reduce__()[1][0]), x.reshape(*x.shape[:2], -1))
    assert (bits(out) == bits(want.reshape(out.shape))).all()


class Generator(nn.Module):
    """Transposed convolutions, a border, attention over all positions and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ConvTranspose2d(12, 64, 4)
        self.up = nn.Sequential(nn.ConvTranspose2d(64, 48, 4, 2, 1), nn.BatchNorm2d(48), nn.LeakyReLU(0.2))
        self.attend = nn.MultiheadAttention(48, 4, batch_first=True)
        self.last = nn.Sequential(nn.ConvTranspose2d(48, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 3, 3, 1, 1), nn.Tanh())

    def forward(self, z):
        x = self.up(self.first(z))
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = self.attend(tokens, tokens, tokens, need_weights=False)
        return self.last(x + mixed.transpose(1, 2).reshape(x.shape))


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    network = Generator().eval()
    return network, gf.compile(network, torch.zeros(1, 12, 1, 1), latent=gf.Normal(0, 1))


def test_generator_is_pytorchs(generator):
    network, model = generator
    z = torch.randn(5, 12, 1, 1)
    with torch.no_grad():
        np.testing.assert_allclose(model.apply(z.numpy()), network(z), rtol=1e-4, atol=1e-6)


def test_bits_for_any_batch_target_and_threads(generator):
    model = generator[1]
    whole, latent = model.sample(64, rng=5, return_latent=True)
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads, rows in ((1, 1), (3, 1), (2, 3), (4, 7), (3, 64)):
                gf.set_num_threads(threads)
                assert (bits(model.apply(latent[:rows])) == bits(whole[:rows])).all(), (target, threads, rows)
                assert (bits(model.apply(latent[:rows][::-1])) == bits(whole[:rows][::-1])).all(), (
                    target,
                    threads,
                    rows,
                )
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
