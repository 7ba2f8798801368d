"""Inputs with channels, where their logits lie, and the orders in which sites are drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import genfast as gf
from genfast import orders, reference
from genfast.errors import NotCausalError
from genfast.export import export
from genfast.heads import Bernoulli, Categorical

C, L, H, W = 3, 4, 4, 5
P = H * W
X = torch.zeros(2, C, H, W)


class RGB(nn.Module):
    """A PixelCNN over sub-pixels, R before G before B, as published ones mask it; `shape` arranges its logits."""

    def __init__(self, shape, levels=L, channels=C, width=12):
        super().__init__()
        self.shape, self.levels, self.channels = shape, levels, channels
        out = levels * channels
        self.layers = nn.ModuleList([nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)])
        self.out = nn.Conv2d(width, out, 1)
        for i, layer in enumerate([*self.layers, self.out]):
            last = layer is self.out
            layer.register_buffer("mask", self.mask(layer, "A" if i == 0 else "B", last))

    def mask(self, layer, kind, last):
        mask = torch.ones_like(layer.weight)
        height, width = mask.shape[2:]
        mask[:, :, height // 2, width // 2 + 1 :] = 0
        mask[:, :, height // 2 + 1 :] = 0
        of_in = torch.arange(mask.shape[1]) % self.channels
        of_out = torch.arange(mask.shape[0]) % self.channels
        if last and self.shape != "NCP":  # the channel is the slow part of the output's axis
            of_out = torch.arange(mask.shape[0]) // self.levels
        later = of_in[None] >= of_out[:, None] if kind == "A" else of_in[None] > of_out[:, None]
        centre = mask[:, :, height // 2, width // 2]
        centre[later] = 0
        return mask

    def forward(self, x):
        for layer in self.layers:
            layer.weight.data *= layer.mask
            x = torch.relu(layer(x))
        self.out.weight.data *= self.out.mask
        b, n, h, w = (y := self.out(x)).shape
        if self.shape == "NCP":
            return y.view(b, self.levels, self.channels, h, w)
        y = y.view(b, self.channels, self.levels, h, w)
        return {
            "CNP": y,
            "CPN": y.permute(0, 1, 3, 4, 2),
            "PCN": y.permute(0, 3, 4, 1, 2),
            "channel_major": y.flatten(1, 2),
            "interleaved": y.transpose(1, 2).reshape(b, n, h, w),
        }[self.shape]

    def by_site(self, x):
        """Logits (B, C·P, L), site c·P + p."""
        y = self(x)
        b = len(y)
        if self.shape == "interleaved":
            return y.reshape(b, self.levels, -1).transpose(1, 2)
        axes = {"NCP": (0, 2, 3, 4, 1), "CNP": (0, 1, 3, 4, 2), "CPN": (0, 1, 2, 3, 4), "PCN": (0, 3, 1, 2, 4)}
        if self.shape == "channel_major":
            y = y.reshape(b, self.channels, self.levels, *y.shape[2:])
        return y.permute(axes.get(self.shape, axes["CNP"])).reshape(b, -1, self.levels)


def naive(model, head, shape, u, order):
    """Levels by one whole pass per site; u is (n, sites)."""
    fed = torch.from_numpy(head.fed(False))
    x = torch.zeros(len(u), *shape)
    levels = np.zeros(u.shape, np.int64)
    flat = x.view(len(u), -1)
    for site in order:
        with torch.no_grad():
            p = torch.softmax(model.by_site(x)[:, site].double(), 1).cumsum(1).numpy()
        levels[:, site] = (p >= u[:, site, None]).argmax(1)
        flat[:, site] = fed[levels[:, site]]
    return levels.reshape(len(u), *shape)


LAYOUTS = ["NCP", "CNP", "CPN", "PCN", "channel_major", "interleaved"]


@pytest.mark.parametrize("shape", LAYOUTS)
def test_every_layout_of_logits(shape):
    torch.manual_seed(1)
    model = RGB(shape)
    head = Categorical(L, layout=shape if shape in ("channel_major", "interleaved") else None)
    graph = reference.read(export(model, X, head))
    assert graph.json["values"][0] == [P, C] and graph.json["input"]["shape"] == [C, H, W]
    *_, product, copy = graph.json["nodes"]
    assert (product["kind"], copy["kind"], len(copy["blocks"])) == ("gemm", "copy", C)
    rng = np.random.default_rng(0)
    levels = rng.integers(0, L, (3, C, H, W))
    with torch.no_grad():
        want = model.by_site(torch.from_numpy(graph.fed[levels]))
    np.testing.assert_allclose(reference.logits(graph, levels), want.numpy(), atol=1e-5)
    u = rng.random((2, C * P))
    raster = np.arange(C * P).reshape(C, P).T.reshape(-1)
    want = naive(model, head, (C, H, W), u, raster)
    np.testing.assert_array_equal(reference.sample(graph, u), want)
    np.testing.assert_array_equal(gf.compile(model, X, head=head).sample(2, u=u), want)


def test_an_axis_of_all_logits_needs_a_layout():
    with pytest.raises(ValueError, match="layout='channel_major'"):
        export(RGB("channel_major"), X, Categorical(L))
    with pytest.raises(ValueError, match="layout must be"):
        Categorical(L, layout="rgb")


@pytest.mark.parametrize("layout", ["channel_major", "interleaved"])
@pytest.mark.parametrize("shape", [(5,), (1, 1, 5)])
def test_a_flat_output_of_sites_without_channels_needs_a_layout(shape, layout):
    """MADE with several levels: the numbers of a site together, or those of a level."""
    torch.manual_seed(0)
    sites, levels = torch.arange(5), 3
    of_out = sites.repeat_interleave(levels) if layout == "channel_major" else sites.repeat(levels)
    linear = nn.Linear(5, 5 * levels)
    linear.weight.data *= of_out[:, None] > sites
    model = nn.Sequential(nn.Flatten(), linear)
    compiled = gf.compile(model, torch.zeros(1, *shape), head=Categorical(levels, layout=layout))
    x = np.random.default_rng(0).integers(0, levels, (4, *shape))
    with torch.no_grad():
        out = linear(torch.from_numpy(x / 2).float().flatten(1))
    logits = out.view(4, 5, levels) if layout == "channel_major" else out.view(4, levels, 5).mT
    index = torch.from_numpy(x).reshape(4, 5, 1)
    want = logits.double().log_softmax(-1).gather(2, index).sum((1, 2))
    np.testing.assert_allclose(compiled.log_prob(x), want.numpy(), rtol=1e-5)
    with pytest.raises(ValueError, match="3 numbers of 5 sites in two ways"):
        gf.compile(model, torch.zeros(1, *shape), head=Categorical(levels))


def test_as_many_levels_as_channels_needs_a_layout():
    model = RGB("CNP", levels=C)
    with pytest.raises(ValueError, match="two ways"):
        export(model, X, Categorical(C))
    graph = reference.read(export(model, X, Categorical(C, layout="channel_major")))
    levels = np.random.default_rng(0).integers(0, C, (2, C, H, W))
    with torch.no_grad():
        want = model.by_site(torch.from_numpy(graph.fed[levels]))
    np.testing.assert_allclose(reference.logits(graph, levels), want.numpy(), atol=1e-5)


def test_wrong_output_names_what_fits():
    with pytest.raises(ValueError, match=r"\('B', 7, 3, 4, 5\) or \('B', 3, 4, 5, 7\), got \('B', 4, 3, 4, 5\)"):
        export(RGB("NCP"), X, Categorical(7))


class Unmasked(nn.Module):
    """Every site reads the sites before it in an order of its own, through one masked matrix (MADE without a layer)."""

    def __init__(self, order, levels=L):
        super().__init__()
        rank = torch.from_numpy(np.argsort(order))
        self.linear = nn.Linear(len(order), len(order) * levels)
        mask = (rank[None] < rank[:, None]).repeat_interleave(levels, 0)
        self.linear.weight.data *= mask * 3
        self.levels = levels

    def forward(self, x):
        return self.linear(x.flatten(1)).view(len(x), *x.shape[1:], self.levels)

    def by_site(self, x):
        return self(x).reshape(len(x), -1, self.levels)


@pytest.mark.parametrize("order", ["raster", "column", "snake", "hilbert", "subpixel", "positions", "sites", "infer"])
def test_every_order_samples_as_the_naive_loop(order):
    torch.manual_seed(2)
    rng = np.random.default_rng(1)
    given = {"positions": rng.permutation(P), "sites": rng.permutation(C * P)}.get(order, order)
    table = rng.permutation(C * P) if order == "infer" else orders.resolve(given, (H, W), C)
    model, head, u = Unmasked(table), Categorical(L), rng.random((3, C * P))
    compiled = gf.compile(model, X, head=head, order=given)
    graph = reference.read(compiled._core.file_bytes())
    np.testing.assert_array_equal(graph.order, table)
    want = naive(model, head, (C, H, W), u, table)
    np.testing.assert_array_equal(compiled.sample(3, u=u), want)
    with torch.no_grad():
        p = torch.log_softmax(model.by_site(torch.from_numpy(graph.fed[want])).double(), -1)
    want = np.take_along_axis(p.numpy(), want.reshape(3, -1, 1), -1).sum((1, 2))
    np.testing.assert_allclose(compiled.log_prob(compiled.sample(3, u=u)), want, rtol=1e-6)


def test_an_order_that_does_not_exist_is_not_inferred():
    with pytest.raises(NotCausalError):
        gf.compile(lambda x: torch.stack([x, -x], 1), torch.zeros(1, 4), head=Categorical(2), order="infer")
    with pytest.raises(NotCausalError):
        gf.compile(Unmasked(np.arange(C * P)), X, head=Categorical(L), order=np.arange(C * P)[::-1])


@pytest.mark.parametrize("last", [False, True])
def test_bernoulli_channels(last):
    class Bits(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = RGB("CNP", levels=1)

        def forward(self, x):
            y = self.conv(x)[:, :, 0]
            return y.permute(0, 2, 3, 1) if last else y

    model = Bits()
    graph = reference.read(export(model, X, Bernoulli()))
    levels = np.random.default_rng(0).integers(0, 2, (3, C, H, W))
    with torch.no_grad():
        want = model.conv(torch.from_numpy(graph.fed[levels])).reshape(3, -1, 1)
    np.testing.assert_allclose(reference.logits(graph, levels), want.numpy(), atol=1e-5)


class Wave(nn.Module):
    """Two channels along time; the convolution reads them as channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 2 * L, 2)

    def forward(self, x):
        y = self.conv(nn.functional.pad(x, (2, -1)))
        return y.view(len(x), 2, L, -1)


def test_a_convolution_tells_channels_from_rows():
    graph = reference.read(export(Wave(), torch.zeros(1, 2, 6), Categorical(L)))
    assert graph.json["values"][0] == [6, 2]
    np.testing.assert_array_equal(graph.order, np.arange(12).reshape(2, 6).T.reshape(-1))
    rows = reference.read(export(lambda x: torch.stack([x, -x, x * x, x + 1], 1), torch.zeros(1, 2, 6), Categorical(L)))
    assert rows.json["values"][0] == [12, 1]
    said = export(lambda x: torch.stack([x, -x, x * x, x + 1], 1), torch.zeros(1, 2, 6), Categorical(L), "subpixel")
    assert reference.read(said).json["values"][0] == [6, 2]


# ---- orders


def test_named_orders():
    assert orders.resolve("raster", (2, 3)).tolist() == [0, 1, 2, 3, 4, 5]
    assert orders.resolve("column", (2, 3)).tolist() == [0, 3, 1, 4, 2, 5]
    assert orders.resolve("snake", (3, 2)).tolist() == [0, 1, 3, 2, 4, 5]
    assert orders.resolve("subpixel", (2, 2), 3).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert orders.resolve("hilbert", (4, 4)).tolist() == [0, 1, 5, 4, 8, 12, 13, 9, 10, 14, 15, 11, 7, 6, 2, 3]
    assert orders.resolve("infer", (4,)) is None
    for name in ("raster", "column", "snake", "hilbert", "subpixel"):
        assert orders.resolve(name, (5,)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("height", "width"), list(itertools.product([1, 2, 3, 5, 6, 8], repeat=2)))
def test_hilbert_walks_to_neighbours(height, width):
    walk = orders.resolve("hilbert", (height, width))
    assert sorted(walk) == list(range(height * width))
    y, x = np.divmod(walk, width)
    far = np.flatnonzero(np.abs(np.diff(y)) + np.abs(np.diff(x)) > 1)
    odd_by_even = max(height, width) % 2 == 1 and min(height, width) % 2 == 0
    assert len(far) <= odd_by_even
    assert all(abs(np.diff(y)[i]) == 1 and abs(np.diff(x)[i]) == 1 for i in far)


def test_orders_of_arrays():
    assert orders.resolve([1, 0], (2,), 2).tolist() == [1, 3, 0, 2]
    assert orders.resolve(np.array([3, 1, 0, 2]), (2,), 2).tolist() == [3, 1, 0, 2]
    with pytest.raises(ValueError, match=r"\(4,\), one site per rank, or \(2,\)"):
        orders.resolve([0, 1, 2], (2,), 2)
    with pytest.raises(ValueError, match="permutation of 0 … 3"):
        orders.resolve([0, 1, 2, 2], (4,))
    with pytest.raises(ValueError, match="'hilbert'"):
        orders.resolve("spiral", (4,))
    with pytest.raises(ValueError, match="one or two dimensions"):
        orders.resolve("hilbert", (2, 2, 2))
    with pytest.raises(TypeError, match="integers"):
        orders.resolve([0.0, 1.0], (2,))


@pytest.mark.parametrize("order", ["column", "snake", "hilbert", "subpixel"])
def test_the_file_keeps_the_order(order):
    graph = reference.read(export(RGB("CNP"), X, Categorical(L), order=order))
    np.testing.assert_array_equal(graph.order, orders.resolve(order, (H, W), C))
    assert (graph.json["order"]["kind"] == "raster") == (order == "subpixel")


class Local(nn.Module):
    """A locally masked convolution (Jain et al., 2020): every position has a mask of its own."""

    def __init__(self, channels, width, rank, kind):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, channels * 9) * 0.2)
        self.bias = nn.Parameter(torch.randn(width) * 0.1)
        around = nn.functional.unfold(nn.functional.pad(rank, (1, 1, 1, 1), value=1e9), 3)[0]
        here = rank.reshape(1, -1)
        self.register_buffer("mask", (around < here if kind == "A" else around <= here).float())

    def forward(self, x):
        b, c, h, w = x.shape
        patches = nn.functional.unfold(x, 3, padding=1).view(b, c, 9, -1) * self.mask
        return (self.weight @ patches.view(b, c * 9, -1) + self.bias[:, None]).view(b, -1, h, w)


def test_locally_masked_convolutions_stay_one_product():
    torch.manual_seed(0)
    order = orders.resolve("hilbert", (H, W))
    rank = torch.from_numpy(np.argsort(order)).float().view(1, 1, H, W)
    model = nn.Sequential(Local(1, 8, rank, "A"), nn.ReLU(), Local(8, 8, rank, "B"), nn.ReLU(), nn.Conv2d(8, L, 1))
    compiled = gf.compile(model, torch.zeros(1, 1, H, W), head=Categorical(L), order="hilbert")
    graph = reference.read(compiled._core.file_bytes())
    products = [n for n in graph.json["nodes"] if n["kind"] == "gemm"]
    assert len(products) == 3 and [len(n["segments"]) for n in products] == [8, 9, 1]
    u = np.random.default_rng(0).random((3, P))
    x = torch.zeros(3, 1, H, W)
    for site in order:
        with torch.no_grad():
            f = torch.softmax(model(x).view(3, L, -1)[:, :, site].double(), 1).cumsum(1).numpy()
        x.view(3, -1)[:, site] = torch.from_numpy(graph.fed[(f >= u[:, site, None]).argmax(1)])
    np.testing.assert_array_equal(graph.fed[compiled.sample(3, u=u)], x.numpy())
