"""Exported models give PyTorch's numbers when NumPy executes the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genfast import reference
from genfast.export import export
from genfast.heads import Bernoulli, Categorical
from tests import models_for_tests as M

IMAGE = (1, 6, 5)


def check(model, shape, head, conditions=(), integer=False, n=3, tolerance=1e-5):
    """Export with an example, execute the file, compare with the model on random levels; the parsed graph."""
    gen = torch.Generator().manual_seed(7)
    example = torch.zeros(2, *shape, dtype=torch.int64 if integer else torch.float32)
    graph = reference.read(export(model, (example, *(c[:2] for c in conditions)) if conditions else example, head))
    levels = torch.randint(head.levels, (n, *shape), generator=gen)
    fed = levels if integer else torch.tensor(graph.fed)[levels]
    with torch.no_grad():
        want = model(fed, *(c[:n] for c in conditions))
    sites = graph.sites
    if isinstance(head, Bernoulli):
        want = want.reshape(n, sites, 1)
    elif want.shape[-1] == head.levels and want.shape[1] != head.levels:
        want = want.reshape(n, sites, head.levels)
    else:
        want = want.reshape(n, head.levels, sites).transpose(1, 2)
    names = [c["name"] for c in graph.json["conditions"]]
    got = reference.logits(graph, levels.numpy(), {k: c[:n].numpy() for k, c in zip(names, conditions, strict=True)})
    error = np.abs(got - want.numpy()).max() / max(1e-3, float(want.abs().max()))
    assert error < tolerance, error
    return graph


CONVS = [
    M.MaskData,
    M.MaskCall,
    M.MaskLate,
    M.MaskOnce,
    M.masked_old_weight_norm,
    M.masked_new_weight_norm,
    M.masked_parametrized,
]


@pytest.mark.parametrize("conv", CONVS, ids=lambda c: c.__name__)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
def test_every_way_of_masking(conv):
    torch.manual_seed(0)
    graph = check(M.pixelcnn(conv), IMAGE, Categorical(4))
    first = next(n for n in graph.json["nodes"] if n["kind"] == "gemm")
    assert len(first["segments"]) == 12  # the zero taps of the 5 × 5 mask are left out
    assert first["name"] == "0" and first["source"].rpartition(":")[0] in ("", M.__file__, "tests/models_for_tests.py")


@pytest.mark.parametrize(
    "activation",
    [
        nn.ELU,
        nn.SELU,
        nn.CELU,
        nn.GELU,
        lambda: nn.GELU("tanh"),
        nn.SiLU,
        nn.Mish,
        nn.Hardswish,
        nn.Hardsigmoid,
        nn.Hardtanh,
        nn.ReLU6,
        nn.LeakyReLU,
        nn.PReLU,
        nn.Softplus,
        nn.Softsign,
        nn.LogSigmoid,
        nn.Sigmoid,
        nn.Tanh,
        nn.Tanhshrink,
        nn.Softshrink,
        nn.Hardshrink,
        lambda: nn.Threshold(0.1, 0.2),
        lambda: nn.ReLU(inplace=True),
        lambda: nn.ELU(inplace=True),
        nn.Identity,
    ],
    ids=lambda a: a.__name__,
)
def test_activations(activation):
    torch.manual_seed(1)
    check(M.pixelcnn(c=4, blocks=1, activation=activation), IMAGE, Categorical(4))


def test_gated():
    torch.manual_seed(2)
    graph = check(M.GatedPixelCNN(), IMAGE, Categorical(4))
    assert not [n for n in graph.json["nodes"] if n["kind"] == "copy"]


@pytest.mark.parametrize("kind", ["embedding", "one_hot", "scatter", "index", "vector", "image"])
def test_conditions(kind):
    torch.manual_seed(3)
    label = torch.tensor([0, 2, 1])
    condition = {"vector": torch.randn(3, 3), "image": torch.randn(3, 2, 6, 5)}.get(kind, label)
    graph = check(M.Conditional(kind), IMAGE, Categorical(4), [condition])
    entry = graph.json["conditions"][0]
    assert entry["name"] == "cond" and entry["shape"] == list(condition.shape[1:])
    assert entry.get("size") == (3 if condition.dtype == torch.int64 else None)


def test_gated_with_labels_and_without():
    torch.manual_seed(4)
    graph = check(M.GatedPixelCNN(classes=3), IMAGE, Categorical(4), [torch.tensor([0, 2, 1])])
    assert graph.json["conditions"][0]["name"] == "label"
    export(M.GatedPixelCNN(), (torch.zeros(1, *IMAGE), None), Categorical(4))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("one_hot", [False, True])
def test_token_images(last, one_hot):
    torch.manual_seed(5)
    graph = check(M.TokenImage(last=last, one_hot=one_hot), (6, 7), Categorical(5), integer=True)
    assert graph.fed.tolist() == [0, 1, 2, 3, 4]


def test_wavenet():
    torch.manual_seed(6)
    check(M.WaveNet(), (1, 12), Categorical(5))
    check(M.WaveNet(tokens=True), (12,), Categorical(5), integer=True)


@pytest.mark.parametrize(
    ("c", "groups", "gemms"), [(12, 4, 1), (24, 12, 2), (64, 4, 4), (64, 64, 4), (160, 160, 8), (36, 9, 3)]
)
def test_groups_are_bundled(c, groups, gemms):
    torch.manual_seed(18)
    graph = check(M.Grouped(c, groups), (1, 4, 4), Categorical(4))
    assert sum(n["kind"] == "gemm" and n["name"] == "net.3" for n in graph.json["nodes"]) == gemms


@pytest.mark.parametrize(
    "model",
    [M.ChannelsLast, M.DownUp, M.Grouped, lambda: M.Grouped(groups=12)],
    ids=["channels_last", "down_up", "grouped", "depthwise"],
)
def test_layouts(model):
    torch.manual_seed(7)
    check(model(), (1, 6, 6), Categorical(4))


def test_made():
    torch.manual_seed(8)
    check(M.Made(), (1, 4, 4), Bernoulli())
    check(M.Made(levels=3), (16,), Categorical(3))
    check(nn.Sequential(M.Made(), nn.Sigmoid()), (1, 4, 4), Bernoulli(probs=True))


@pytest.mark.parametrize(
    "norm",
    [
        M.batch_norm,
        M.ChannelNorm,
        lambda c: nn.GroupNorm(2, c),
        nn.InstanceNorm2d,
        lambda c: nn.InstanceNorm2d(c, affine=True),
        lambda c: nn.LayerNorm([c, 6, 5]),
    ],
    ids=["batch", "channel", "group", "instance", "instance_affine", "layer_chw"],
)
def test_norms(norm):
    torch.manual_seed(9)
    check(M.pixelcnn(norm=norm), IMAGE, Categorical(4))


class Tail(nn.Module):
    """A PixelCNN whose features go through a function."""

    def __init__(self, f):
        super().__init__()
        self.first, self.f = M.MaskData("A", 1, 6, 3, padding=1), f
        self.out = nn.Conv2d(6, 4, 1)

    def forward(self, x):
        return self.out(self.f(self.first(x)))


def shifted(x):
    y = x.clone()
    y[:, :, 1:] = x[:, :, :-1]
    y[:, :, 0].zero_()
    return y


def in_place_alias(x):
    y = x * 1
    part = y[:, :3]
    part += 1
    y[:, :, 2] *= 3
    part[:, 0].fill_(4)
    return y + part.repeat(1, 2, 1, 1)


def into_buffer(x):
    out = torch.zeros(len(x), 6, 8, 7)
    out[:, :, 1:7, 1:6] = x
    out[:, 0, 0] = x[:, 1, 0, 0, None]
    return F.relu(out)[:, :, :6, 1:6]


TAILS = {
    "glu": lambda x: F.glu(torch.cat([x, x * 2], 1), 1),
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "softmax_space": lambda x: F.softmax(x.flatten(2), -1).view_as(x),
    "mean_space": lambda x: x - x.mean((2, 3), keepdim=True),
    "mean_channels": lambda x: x - x.mean(1, keepdim=True),
    "max_channels": lambda x: x - x.max(1, keepdim=True)[0] + x.amin(1, keepdim=True),
    "std": lambda x: x / (x.std(1, keepdim=True) + 1),
    "var_all": lambda x: x / (x.var((1, 2, 3), keepdim=True) + 1),
    "normalize": lambda x: F.normalize(x, dim=1),
    "logsumexp": lambda x: x - x.logsumexp(1, keepdim=True),
    "rms_norm": lambda x: F.rms_norm(x.movedim(1, -1), (6,), torch.arange(6.0)).movedim(-1, 1),
    "pow": lambda x: x**3 + x.abs() ** 1.5 + (x * x + 1) ** -0.5 + 2.0**x,
    "where": lambda x: torch.where(x > 0, x, 0.3 * x) + x.masked_fill(x < -0.5, 7),
    "masks": lambda x: x * torch.tril(torch.ones(6, 5)) + x.masked_fill(torch.eye(6, 5).bool(), 2),
    "lerp": lambda x: torch.lerp(x, -x, 0.3) + torch.addcmul(x, x, x, value=0.5),
    "trig_free": lambda x: x.exp().log1p() + x.expm1() + x.abs().sqrt() + torch.erfc(x) + 1 - (1 / (x.abs() + 1)),
    "rounding": lambda x: torch.floor(x) + torch.round(x * 4) + torch.ceil(x) + torch.trunc(x * 3) + x % 0.7 + x // 0.3,
    "clamp": lambda x: x.clamp(-0.1, 0.2) + x.clamp(min=0.1) + torch.maximum(x, -x) + torch.minimum(x, x * x),
    "logic": lambda x: ((x > 0) & (x < 0.5)).float() + ((x > 0) | ~(x > 1)).float() + (x != 0),
    "pixel_shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x.repeat(1, 2, 1, 1)[:, :8], 2), 2)[:, :6],
    "interpolate": lambda x: F.interpolate(x, scale_factor=2)[:, :, ::2, 1::2],
    "roll_flip": lambda x: x.roll(1, 2) + x.flip(3) + x.roll((1, 2), (1, 3)),
    "pads": lambda x: (
        F.pad(x, (1, 1, 1, 1), mode="reflect")
        + F.pad(x, (2, 0, 1, 1), mode="replicate")
        + F.pad(x, (1, 1, 2, 0), mode="circular")
        + F.pad(x, (1, 1, 1, 1), value=3.0)
    )[:, :, 1:-1, 1:-1],
    "relu_of_pad": lambda x: F.relu(F.pad(x, (1, 1, 1, 1), value=-1.0))[:, :, 2:, 2:],
    "unfold": lambda x: torch.einsum(
        "bckhw,k->bchw", F.unfold(x, 3, padding=1).view(-1, 6, 9, 6, 5), torch.arange(9.0)
    ),
    "einsum": lambda x: torch.einsum("bchw,oc->bohw", x, torch.arange(36.0).view(6, 6) / 36),
    "stack": lambda x: torch.stack([x, x * 2], 2).flatten(1, 2)[:, 1:7],
    "coords": lambda x: torch.cat([x[:, :4], torch.arange(5.0).expand(x.shape[0], 2, 6, 5)], 1),
    "index": lambda x: x[:, [3, 1, 0, 2, 5, 4]][:, :, :, torch.tensor([0, 0, 1, 2, 3])],
    "gather": lambda x: x.gather(1, torch.arange(6).flip(0).view(1, 6, 1, 1).expand(len(x), 6, 6, 5)),
    "in_place": shifted,
    "split": lambda x: torch.cat([p.tanh() for p in x.split([1, 2, 3], 1)][::-1], 1),
    "flat": lambda x: (x.flatten(1) * 2 + x.flatten(1).tanh()).view_as(x),
    "position_embedding": lambda x: x + torch.arange(30.0).view(1, 1, 6, 5) + torch.arange(6.0).view(1, 6, 1, 1),
    "channels_last": lambda x: F.linear(x.permute(0, 2, 3, 1), torch.arange(36.0).view(6, 6) / 36).permute(0, 3, 1, 2),
    "shuffle_channels": lambda x: x.view(-1, 2, 3, 6, 5).transpose(1, 2).reshape(-1, 6, 6, 5).relu(),
    "rows_as_batch": lambda x: (
        F.conv1d(x.permute(0, 2, 1, 3).reshape(-1, 6, 5), torch.arange(108.0).view(6, 6, 3) / 108, padding=1)
        .view(-1, 6, 6, 5)
        .permute(0, 2, 1, 3)
    ),
    "avg_pool": lambda x: F.avg_pool2d(x, 3, 1, 1),
    "max_pool": lambda x: F.max_pool2d(x, 3, 1, 1) + F.max_pool2d(x, (1, 2), (1, 1))[..., [0, 1, 2, 3, 3]],
    "transposed": lambda x: F.conv_transpose2d(
        x, torch.arange(162.0).view(6, 3, 3, 3) / 162, stride=2, padding=1, output_padding=1, groups=2
    )[:, :, 1::2, ::2],
    "dilated": lambda x: F.conv2d(x, torch.arange(108.0).view(6, 2, 3, 3) / 108, padding=2, dilation=2, groups=3),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")[:, :, ::2, 1::2],
    "adaptive_pool": lambda x: x + F.adaptive_avg_pool2d(x, 1) + F.adaptive_max_pool2d(x, 1),
    "layer_norm_groups": lambda x: (
        F.layer_norm(x.permute(0, 2, 3, 1).reshape(-1, 6, 5, 2, 3), (3,)).view(-1, 6, 5, 6).permute(0, 3, 1, 2)
    ),
    "dtypes": lambda x: x.double().float().to(torch.float64).mul(2).float(),
}


TAILS = {
    **TAILS,
    "data_alias": lambda x: x.data * 2,
    "detach": lambda x: x.detach() + x.clone().contiguous(),
    "in_place_chain": lambda x: x.mul(2).add_(1).relu_().clamp_(max=3).div_(2),
    "in_place_alias": in_place_alias,
    "buffer": into_buffer,
    "mean_tokens": lambda x: x + x.flatten(2).mean(-1)[..., None, None],
    "mix_positions": lambda x: (x.flatten(2) @ (torch.arange(900.0).view(30, 30) / 900).tril()).view_as(x),
    "left_product": lambda x: (torch.arange(36.0).view(6, 6) / 36 @ x.flatten(2)).view_as(x),
    "two_layouts": lambda x: x + F.linear(x.flatten(1), torch.arange(32400.0).view(180, 180) / 32400).view_as(x),
    "cat_space": lambda x: torch.cat([x[:, :, :3], x[:, :, 3:].tanh()], 2) * 2,
    "concat_elu": lambda x: F.elu(torch.cat([x, -x], 1))[:, ::2],
    "gated_resnet": lambda x: x[:, :3].tanh().repeat(1, 2, 1, 1) * x.sigmoid(),
    "group_softmax": lambda x: x.view(-1, 2, 3, 6, 5).softmax(2).view_as(x),
    "prelu_channels": lambda x: F.prelu(x, torch.arange(6.0) / 6),
    "constant_half": lambda x: torch.cat([x[:, :3], torch.zeros_like(x[:, 3:])], 1).exp(),
}


@pytest.mark.parametrize("name", TAILS)
def test_ops(name):
    torch.manual_seed(10)
    check(Tail(TAILS[name]), IMAGE, Categorical(4))


class Wrapped(nn.Module):
    """A PixelCNN whose further inputs go through a function that makes a bias of them."""

    def __init__(self, f):
        super().__init__()
        self.first, self.f = M.MaskData("A", 1, 6, 3, padding=1), f
        self.out = nn.Conv2d(6, 4, 1)
        self.table = nn.Parameter(torch.randn(6, 9))

    def forward(self, x, extra, scale=2.0):
        return self.out(F.relu(self.first(x) + self.f(self, extra) * scale))


CONDITIONS = {
    "columns": (lambda m, c: m.table[:, c].T[:, :, None, None], torch.tensor([1, 8, 4])),
    "rows_of_buffer": (lambda m, c: torch.arange(12.0).view(2, 6)[c][:, :, None, None], torch.tensor([1, 0, 1])),
    "map": (lambda m, c: F.embedding(c, m.table.T).permute(0, 3, 1, 2), torch.arange(90).view(3, 6, 5) % 9),
    "sequence": (lambda m, c: F.linear(c, m.table[:, :3]).mean(1)[:, :, None, None], torch.randn(3, 4, 3)),
    "number": (lambda m, c: c.view(-1, 1, 1, 1), torch.randn(3)),
    "unused": (lambda m, c: 0, torch.tensor([1, 0, 1])),
    "bits": (
        lambda m, c: (c.float() @ m.table[:, :4].T)[:, :, None, None],
        torch.tensor([[1, 0, 0, 1]] * 3).bool(),
    ),
    "scaled_label": (lambda m, c: (c.float() / 10).view(-1, 1, 1, 1), torch.tensor([1, 0, 70])),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_kinds_of_conditions(name):
    torch.manual_seed(11)
    f, condition = CONDITIONS[name]
    graph = check(Wrapped(f), IMAGE, Categorical(4), [condition])
    entry = graph.json["conditions"][0]
    sizes = {"columns": 9, "rows_of_buffer": 2, "map": 9, "unused": 1 << 24, "bits": 2, "scaled_label": 1 << 24}
    assert entry["name"] == "extra" and entry.get("size") == sizes.get(name)


def test_inputs_of_bytes():
    torch.manual_seed(12)
    net = M.pixelcnn()

    class Bytes(nn.Module):
        def forward(self, x):
            return net(x.float() / 3 - 0.5)

    graph = reference.read(export(Bytes(), torch.zeros(1, *IMAGE, dtype=torch.uint8), Categorical(4)))
    x = np.random.default_rng(0).integers(0, 4, (2, *IMAGE))
    with torch.no_grad():
        want = Bytes()(torch.tensor(x, dtype=torch.uint8)).flatten(2).transpose(1, 2)
    np.testing.assert_allclose(reference.logits(graph, x), want, atol=1e-5)


def test_values_of_the_head():
    torch.manual_seed(13)
    graph = check(M.pixelcnn(), IMAGE, Categorical(4, values=[-1, -0.3, 0.3, 1]))
    np.testing.assert_allclose(graph.fed, [-1, -0.3, 0.3, 1], rtol=1e-6)


def test_double_precision_is_assumed():
    torch.manual_seed(14)
    model = M.pixelcnn().double()
    graph = reference.read(export(model, torch.zeros(1, *IMAGE), Categorical(4)))
    assert "float64" in graph.json["assumed"][0]
    x = np.random.default_rng(0).integers(0, 4, (2, *IMAGE))
    with torch.no_grad():
        want = model(torch.tensor(graph.fed[x]).double()).flatten(2).transpose(1, 2)
    np.testing.assert_allclose(reference.logits(graph, x), want, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_and_compiled_wrappers():
    torch.manual_seed(15)
    model = M.pixelcnn(M.MaskOnce)
    plain = reference.read(export(model, torch.zeros(1, *IMAGE), Categorical(4)))
    scripted = torch.jit.trace(model, torch.zeros(1, *IMAGE))
    graph = reference.read(export(scripted, torch.zeros(1, *IMAGE), Categorical(4)))
    assert [n["kind"] for n in graph.json["nodes"]] == [n["kind"] for n in plain.json["nodes"]]
    graph = reference.read(export(torch.compile(model), torch.zeros(1, *IMAGE), Categorical(4)))
    assert [n["kind"] for n in graph.json["nodes"]] == [n["kind"] for n in plain.json["nodes"]]


def test_first_tensor_of_a_structure():
    torch.manual_seed(16)
    net = M.pixelcnn()

    class Many(nn.Module):
        def forward(self, x):
            y = net(x)
            return {"logits": y, "aux": y.mean()}

    reference.read(export(Many(), torch.zeros(1, *IMAGE), Categorical(4)))


def test_a_batch_size_written_into_the_model():
    torch.manual_seed(17)
    net = M.pixelcnn()

    class One(nn.Module):
        def forward(self, x):
            return net(x.reshape(1, 1, 6, 5))

    graph = reference.read(export(One(), torch.zeros(1, *IMAGE), Categorical(4)))
    assert "batch of 2" in graph.json["assumed"][0]


def test_large_models_lower_quickly():
    import time

    model = M.pixelcnn(c=32, blocks=4, levels=256)
    start = time.process_time()
    export(model, torch.zeros(1, 1, 28, 28), Categorical(256))
    assert time.process_time() - start < 6
