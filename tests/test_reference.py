"""The executable definition: uniforms, ops, heads and the sampler against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genfast import orders, reference
from genfast.errors import FormatError, NumericalError
from genfast.export import export
from genfast.heads import Bernoulli, Categorical
from tests import models_for_tests as M

X = torch.zeros(1, 1, 4, 3)


def test_philox_known_answers():
    """Random123's kat_vectors for philox4x32 10."""
    full = 0xFFFFFFFF
    cases = [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((full,) * 4, (full, full), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ]
    for counter, key, want in cases:
        assert reference.philox4x32(np.array(counter, np.uint32), key).tolist() == list(want)


def test_uniforms():
    u = reference.uniforms(7, np.arange(5), 9)
    assert u.shape == (5, 9) and (u > 0).all() and (u < 1).all()
    np.testing.assert_array_equal(reference.uniforms(7, np.array([3]), 6)[0], u[3, :6])
    w = [int(v) for v in reference.philox4x32(np.array([2, 0, 1, 0], np.uint32), (7, 0))]
    assert u[2, 3] == (((w[3] << 32 | w[2]) >> 12) + 0.5) / 2**52
    big = reference.uniforms(2**63 + 5, np.array([2**40 + 1], np.uint64), 2)
    w = [int(v) for v in reference.philox4x32(np.array([1, 256, 0, 0], np.uint32), (5, 2**31))]
    assert big[0, 0] == (((w[1] << 32 | w[0]) >> 12) + 0.5) / 2**52
    many = reference.uniforms(0, np.arange(500), 20)
    assert abs(many.mean() - 0.5) < 0.01 and abs(many.var() - 1 / 12) < 0.005


@pytest.mark.parametrize("op", list(reference.MAP_OPS))
def test_map_ops_against_torch(op):
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=100).astype(np.float32) for _ in range(3))
    named = {
        "identity": lambda x: x,
        "rsqrt": torch.rsqrt,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "gelu": F.gelu,
        "silu": F.silu,
        "elu": lambda x: torch.ops.aten.elu(x, 1.5, 2.0, 0.5),
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
        "clamp": lambda x: x.clamp(-0.5, 0.7),
        "softplus": lambda x: F.softplus(x, 2, 1),
        "where": lambda a, b, c: torch.where(a != 0, b, c),
        "madd": lambda a, b, c: a * b + c,
    }
    params = {"elu": (1.5, 2, 0.5), "leaky_relu": (0.2,), "clamp": (-0.5, 0.7), "softplus": (2, 1)}.get(op, ())
    count = (
        3
        if op in ("where", "madd")
        else 2
        if op in ["add", "sub", "mul", "div", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"]
        else 1
    )
    if op in ("log", "sqrt", "rsqrt"):
        a = np.abs(a) + 0.1
    if op in ("where", "logical_not", "eq"):
        a[::3] = b[::3] = 0
    args = (a, b, c)[:count]
    want = named.get(op, getattr(torch, op, None))(*(torch.tensor(x) for x in args))
    got = np.asarray(reference.MAP_OPS[op](*args, *params), np.float32)
    np.testing.assert_allclose(got, want.float().numpy(), rtol=2e-6, atol=1e-6)


def naive(model, graph, u, order, temperature=1.0):
    """The naive PyTorch loop: a forward for each site, the smallest level with F(k) >= u."""
    n, sites = u.shape
    fed = torch.zeros(n, sites)
    levels = np.zeros((n, sites), int)
    for s in order:
        with torch.no_grad():
            z = model(fed.view(n, 1, 4, 3)).reshape(n, -1, sites)[:, :, s] / temperature
        F_k = torch.softmax(z.double(), 1).cumsum(1)
        levels[:, s] = (F_k < torch.tensor(u[:, s])[:, None]).sum(1).clamp(max=z.shape[1] - 1)
        fed[:, s] = torch.tensor(graph.fed[levels[:, s]])
    return levels


@pytest.mark.parametrize("model", [M.pixelcnn, M.GatedPixelCNN])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_samples_are_the_naive_loops(model, temperature):
    torch.manual_seed(1)
    net = model()
    graph = reference.read(export(net, X, Categorical(4)))
    u = reference.uniforms(3, np.arange(6), 12)
    got = reference.sample(graph, u, temperature=temperature)
    assert got.shape == (6, 1, 4, 3)
    np.testing.assert_array_equal(got.reshape(6, 12), naive(net, graph, u, range(12), temperature))


def test_log_prob():
    torch.manual_seed(2)
    net = M.GatedPixelCNN()
    graph = reference.read(export(net, X, Categorical(4)))
    x = np.random.default_rng(0).integers(0, 4, (5, 1, 4, 3))
    with torch.no_grad():
        want = -F.cross_entropy(net(torch.tensor(graph.fed[x])).unsqueeze(2), torch.tensor(x), reduction="none").sum(
            (1, 2, 3)
        )
    np.testing.assert_allclose(reference.log_prob(graph, x), want, rtol=1e-5)


@pytest.mark.parametrize("probs", [False, True])
def test_bernoulli(probs):
    torch.manual_seed(3)
    made = M.Made(12)
    net = torch.nn.Sequential(made, torch.nn.Sigmoid()) if probs else made
    graph = reference.read(export(net, X, Bernoulli(probs=probs)))
    x = np.random.default_rng(0).integers(0, 2, (5, 1, 4, 3))
    with torch.no_grad():
        z = made(torch.tensor(x).float())
        want = -F.binary_cross_entropy_with_logits(z, torch.tensor(x).float(), reduction="none").sum((1, 2, 3))
    np.testing.assert_allclose(reference.log_prob(graph, x), want, rtol=1e-5)
    u = reference.uniforms(1, np.arange(4), 12)
    got = reference.sample(graph, u).reshape(4, 12)
    for s in range(12):
        with torch.no_grad():
            fed = torch.tensor(got).float()
            fed[:, s:] = 0
            p = torch.sigmoid(made(fed.view(4, 1, 4, 3))).view(4, 12)[:, s].numpy()
        np.testing.assert_array_equal(got[:, s], u[:, s] > 1 - p)


def test_edges_of_the_categorical():
    graph = reference.read(export(M.pixelcnn(levels=4), X, Categorical(4)))
    z = np.array([[-np.inf, 0, 0, -np.inf]] * 5, np.float32)
    assert reference.draw(graph, z, np.array([0, 0.5, 0.5 + 1e-12, 0.9, 1])).tolist() == [1, 1, 2, 2, 2]


def test_orders():
    torch.manual_seed(4)
    order = np.arange(12).reshape(4, 3).T.ravel()
    transposed = torch.nn.Sequential(M.pixelcnn())

    class Columns(torch.nn.Module):
        def forward(self, x):
            return transposed(x.transpose(2, 3)).transpose(2, 3)

    graph = reference.read(export(Columns(), X, Categorical(4), order=order))
    np.testing.assert_array_equal(graph.order, order)
    u = reference.uniforms(3, np.arange(3), 12)
    np.testing.assert_array_equal(reference.sample(graph, u).reshape(3, 12), naive(Columns(), graph, u, order))
    np.testing.assert_array_equal(orders.resolve("raster", (3,)), [0, 1, 2])
    for bad, error in [("spiral", ValueError), ([0, 1], ValueError), ([0, 1, 1], ValueError), ([0.0, 1, 2], TypeError)]:
        with pytest.raises(error):
            orders.resolve(bad, (3,))


def test_heads():
    assert Categorical(3).fed(False).tolist() == [0, 0.5, 1] and Categorical(3).fed(True).tolist() == [0, 1, 2]
    assert Categorical(256).fed(False).dtype == np.float32 and Categorical(256).fed(False)[77] == np.float32(
        77
    ) / np.float32(255)
    assert (
        Bernoulli(values=(-1, 1)).fed(False).tolist() == [-1, 1] and Categorical(np.int64(2), values=[0, 3]).levels == 2
    )
    assert hash(Categorical(3, values=np.arange(3))) == hash(Categorical(3, values=(0, 1, 2)))
    bad = [
        (lambda: Categorical(1), ValueError),
        (lambda: Categorical(2.5), TypeError),
        (lambda: Categorical(True), TypeError),
        (lambda: Categorical(3, values=[1, 2]), ValueError),
        (lambda: Categorical(2, values=[0, np.inf]), ValueError),
        (lambda: Categorical(2, values="ab"), TypeError),
        (lambda: Bernoulli(probs=1), TypeError),
        (lambda: Bernoulli(values=[1]), ValueError),
        (lambda: Categorical(2, values=[0, 0.5]).fed(True), ValueError),
    ]
    for make, error in bad:
        with pytest.raises(error):
            make()


def test_broken_files():
    data = export(M.pixelcnn(), X, Categorical(4))
    reference.read(data)
    header = 8 + int.from_bytes(data[:8], "little")
    for broken in (
        b"",
        data[:100],
        data[: header - 1],
        bytes(8) + data[8:],
        data[: header + 20] + b"?" + data[header + 21 :],
    ):
        with pytest.raises(FormatError):
            reference.read(broken)


def test_lookup_outside_its_table():
    graph = reference.read(export(M.Conditional("embedding"), (X, torch.tensor([0])), Categorical(4)))
    with pytest.raises(NumericalError, match="outside"):
        reference.logits(graph, np.zeros((1, 1, 4, 3), int), {"cond": np.array([3])})
    with pytest.raises(ValueError, match="missing"):
        reference.logits(graph, np.zeros((1, 1, 4, 3), int))


def test_packing():
    from genfast.export.contract import pack

    rng = np.random.default_rng(0)
    for k, n in [(1, 1), (3, 16), (5, 17), (2, 64), (4, 65), (7, 130), (3, 144)]:
        weight = rng.normal(size=(k, n)).astype(np.float32)
        packed = pack(weight)
        assert len(packed) == k * (-(-n // 16) * 16)
        np.testing.assert_array_equal(reference.unpack(packed, k, n), weight)


def graph_of(values, nodes, tables=(), weights=(), head=None, **rest):
    """A Graph by hand; what is not given is what a reader of `evaluate` does not look at."""
    json = {"values": values, "nodes": nodes, "conditions": [], "order": {"kind": "raster"}, "head": head, **rest}
    return reference.Graph(
        json, [np.asarray(t, np.int32) for t in tables], [np.asarray(w, np.float32) for w in weights]
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("bitmap", [False, True])
def test_attend_against_torch(groups, bias, bitmap):
    rng = np.random.default_rng(5)
    positions, keys, heads, dim, dim_v = 7, 37, 4, 5, 3
    width = heads * dim + groups * (dim + dim_v)
    begin = rng.integers(0, 20, positions)
    end = begin + rng.integers(1, 18, positions)
    end[2] = begin[2]  # sees nothing
    visible = (begin[:, None] <= np.arange(keys)) & (np.arange(keys) < end[:, None])
    words = np.pad(visible, ((0, 0), (0, 64 - keys))).reshape(positions, 2, 32) @ (1 << np.arange(32, dtype=np.uint32))
    added = rng.normal(size=(heads, positions, keys)).astype(np.float32)
    node = {
        "kind": "attend",
        "out": 1,
        "q": [0, 0, 0, dim],
        "k": [0, -1, heads * dim, dim],
        "v": [0, -1, heads * dim + groups * dim, dim_v],
        "heads": heads,
        "kv_heads": groups,
        "dim": dim,
        "dim_v": dim_v,
        "keys": keys,
        "scale": 0.3,
        "bias": 0 if bias else -1,
        **({"bitmap": 3} if bitmap else {"visible": [1, 2]}),
    }
    readers = rng.integers(0, keys, positions)
    tables = [readers, begin, end, words.astype(np.uint32).view(np.int32).reshape(-1)]
    graph = graph_of([[keys, width], [positions, heads * dim_v]], [node], tables, [added])
    np.testing.assert_array_equal(reference.seen(graph, node), visible)
    x = rng.normal(size=(2, keys, width)).astype(np.float32)
    got = reference.evaluate(graph, x.swapaxes(1, 2).reshape(2, -1))[1]
    t = torch.tensor(x)
    q = t[:, readers, : heads * dim].unflatten(2, (heads, dim)).transpose(1, 2)
    k, v = t[:, :, heads * dim :].split([groups * dim, groups * dim_v], 2)
    k, v = (y.unflatten(2, (groups, -1)).transpose(1, 2).repeat_interleave(heads // groups, 1) for y in (k, v))
    mask = torch.tensor(np.where(visible, added if bias else 0, -np.inf), dtype=torch.float32)
    want = F.scaled_dot_product_attention(q, k, v, mask, scale=0.3).transpose(1, 2).flatten(2)
    want[:, 2] = 0
    np.testing.assert_allclose(got, want, atol=2e-6)


def test_loops_run_position_after_position():
    """An exponential moving average, the nodes of the loop listed around one that only follows it."""
    nodes = [
        {"kind": "copy", "out": 1, "blocks": [[4, 0, 0, 2, 0]], "fill": 0.0},
        {"kind": "const", "out": 2, "data": 0},
        {"kind": "map", "out": 3, "op": "neg", "args": [[1, -1, 0, 0]], "params": []},
        {"kind": "map", "out": 4, "op": "madd", "args": [[1, -1, 0, 0], [2, -1, 0, 0], [0, -1, 0, 0]], "params": []},
        {"kind": "copy", "out": 5, "blocks": [[5, 0, 0, 2, 0], [0, 1, 0, 1, 1]], "fill": 0.5},
    ]
    previous = [-1, 0, 1, 2, 3]
    graph = graph_of([[5, 2], [5, 2], [1, 2], [5, 2], [5, 2], [5, 2]], nodes, [previous, [4, -1, 3, 2, -1]], [[0.5, 2]])
    assert sorted(map(tuple, reference.components(graph))) == [(0, 3), (1,), (2,), (4,)]
    fed = np.arange(20, dtype=np.float32).reshape(2, 10)  # site c * 5 + p
    values = reference.evaluate(graph, fed)
    x = fed.reshape(2, 2, 5).swapaxes(1, 2)
    state = np.zeros((2, 2))
    for p in range(5):
        np.testing.assert_array_equal(values[1][:, p], state)
        np.testing.assert_array_equal(values[3][:, p], -state)
        state = state * [0.5, 2] + x[:, p]
        np.testing.assert_array_equal(values[4][:, p], state)
    np.testing.assert_array_equal(values[5][:, :, 0], 0.5)
    last = x[:, 4, 0]  # position 1 and 4 read themselves a position before, the others the input
    np.testing.assert_array_equal(values[5][:, :, 1], np.stack([last, last, x[:, 3, 0], x[:, 2, 0], x[:, 2, 0]], 1))


def test_sites_of_several_channels_and_without_a_distribution():
    """Two channels of three positions; each draws from the site before it in the order, the first takes `bos`."""
    levels, bos = 3, 5
    before = [-1, 3, 4, 0, 1, 2]  # sites 0 3 1 4 2 5 in turn; value 1 holds the logits of the sites after them
    nodes = [
        {"kind": "copy", "out": 1, "blocks": [[0, 0, 0, 1, 0], [0, 1, 1, 1, 0]], "fill": 0.0},
        {"kind": "lookup", "out": 2, "in": [1, -1, 0], "data": 0, "rows": 6},
    ]
    rng = np.random.default_rng(1)
    data = rng.normal(size=(6, levels)).astype(np.float32)
    head = {"kind": "categorical", "value": 2, "table": 2, "channel": 0, "levels": levels, "values": 1}
    tables = [[0, 1, 2, -1, -1, -1], [-1, -1, -1, 0, 1, 2], before]
    graph = graph_of(
        [[3, 2], [6, 1], [6, levels]], nodes, tables, [data, [0, 1, 2]], head, bos=bos, input={"shape": [2, 3]}
    )
    np.testing.assert_array_equal(graph.order, [0, 3, 1, 4, 2, 5])
    np.testing.assert_array_equal(graph.drawn, [False, True, True, True, True, True])
    u = reference.uniforms(3, np.arange(50), 6)
    got = reference.sample(graph, u).reshape(50, 6)
    level = np.full(50, bos)
    for site in graph.order:
        if site:
            z = data[level]
            f = np.cumsum(np.exp(z.astype(np.float64)), 1)
            level = (f < (u[:, site] * f[:, -1])[:, None]).sum(1)
        np.testing.assert_array_equal(got[:, site], level)
    x = got.reshape(50, 2, 3)
    p = np.log(np.exp(data.astype(np.float64)) / np.exp(data.astype(np.float64)).sum(1, keepdims=True))
    want = sum(p[got[:, before[s]], got[:, s]] for s in range(1, 6))
    np.testing.assert_allclose(reference.log_prob(graph, x), want, rtol=1e-6)
