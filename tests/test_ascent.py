"""Gradient ascent: the compiled iteration gives what a PyTorch loop with autograd and torch.optim gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genfast as gf
from genfast import _core

STEPS = 200


class Residual(nn.Module):
    """A residual network, with BatchNorm and ReLUs in place, as torchvision writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.conv1 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.short = nn.Sequential(nn.Conv2d(6, 8, 1, stride=2, bias=False), nn.BatchNorm2d(8))
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.short(x)
        return self.fc(self.relu(y).mean((2, 3)))


class Transformer(nn.Module):
    """A small vision transformer: patches, a class token, positions, one pre-norm layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 16, 4, stride=4)
        self.cls = nn.Parameter(0.5 * torch.randn(1, 1, 16))
        self.position = nn.Parameter(0.5 * torch.randn(1, 5, 16))
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True, activation="gelu")
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        t = self.patch(x).flatten(2).transpose(1, 2)
        t = torch.cat([self.cls.expand(len(x), -1, -1), t], 1) + self.position
        return self.fc(self.layer(t)[:, 0])


class Maxout(nn.Module):
    """The larger of two features, and maxima over windows that overlap, then an affine map by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        y = self.conv(x).unflatten(1, (4, 2)).max(2)[0]
        return self.fc(F.batch_norm(F.max_pool2d(y, 3, 1), torch.zeros(4), 2 * torch.ones(4)).sum((2, 3)))


class Rows(nn.Module):
    """A recurrent layer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(8, 12, batch_first=True)
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        return self.fc(self.gru(x[:, 0])[0][:, -1])


CLASSIFIERS = {
    "mlp": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10)),
    "conv and maxpool": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    ),
    "overlapping maxpool": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(64, 10)
    ),
    "adaptive maxpool": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.Sigmoid(), nn.AdaptiveMaxPool2d(3), nn.Flatten(), nn.Linear(36, 10)
    ),
    "strides and avgpool": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(6, 6, 3, padding=1, groups=3),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 10),
    ),
    "residual": Residual,
    "norms": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.LayerNorm(72),
        nn.Linear(72, 10),
    ),
    "resampling": lambda: nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.ReflectionPad2d(1),
        nn.ConvTranspose2d(1, 3, 2, stride=2),
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(5),
        nn.Upsample(scale_factor=2),
        nn.Flatten(),
        nn.Linear(300, 10),
    ),
    "instance norm": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.InstanceNorm2d(4, affine=True),
        nn.PReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 10),
    ),
    "maxout": Maxout,
    "rows": Rows,
    "transformer": Transformer,
}


def classifier(make) -> nn.Module:
    """In eval mode, with statistics and weights that do something."""
    torch.manual_seed(1)
    net = make().eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return net


def ascend(net, x, label, step_size, steps=STEPS, optimizer="sgd", shifts=None, l2=0.0, tv=0.0, clip=None, **options):
    """The PyTorch loop."""
    x = x.clone().requires_grad_()
    maker = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer]
    optim = maker([x], lr=step_size, maximize=True, **options)
    for k in range(steps):
        rolled = x
        if shifts is not None:
            rolled = torch.stack([torch.roll(row, tuple(s[k]), (-2, -1)) for row, s in zip(x, shifts, strict=True)])
        total = -F.cross_entropy(net(rolled), label, reduction="sum") - l2 * rolled.square().sum()
        for axis in (-2, -1):
            total = total - tv * (rolled.diff(dim=axis).square() + 1e-6).sqrt().sum()
        x.grad = torch.autograd.grad(total, x)[0]
        optim.step()
        if clip is not None:
            with torch.no_grad():
                x.clamp_(*clip)
    return x.detach().numpy()


def rows(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return 0.5 + 0.25 * torch.randn(n, 1, 8, 8, generator=generator), torch.arange(n) % 10


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_the_pytorch_loop(make) -> None:
    net = classifier(make)
    x, label = rows(3)
    m = gf.compile_ascent(net, x, step_size=0.05, steps=STEPS)
    got = m.apply(x.numpy(), condition={"label": label.numpy()})
    want = ascend(net, x, label, 0.05)
    assert np.abs(want - x.numpy()).max() > 0.01
    assert np.abs(got - want).max() <= 1e-4


SETTINGS = {
    "momentum": {"step_size": 0.01, "momentum": 0.8},
    "adam": {"step_size": 0.01, "optimizer": "adam"},
    "adam with its numbers": {
        "step_size": 0.02,
        "optimizer": "adam",
        "betas": (0.7, 0.95),
        "eps": 1e-3,
        "clip": (0, 1),
    },
    "regularised": {"step_size": 0.05, "l2": 0.02, "total_variation": 0.01, "clip": (0, 1)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_optimizers_of_pytorch(settings) -> None:
    net = classifier(CLASSIFIERS["strides and avgpool"])
    x, label = rows(3)
    m = gf.compile_ascent(net, x, steps=STEPS, **settings)
    got = m.apply(x.numpy(), condition={"label": label.numpy()})
    options = {"tv" if k == "total_variation" else k: v for k, v in settings.items()}
    assert np.abs(got - ascend(net, x, label, **options)).max() <= 1e-4


def test_jitter_rolls_what_the_uniforms_say() -> None:
    net = classifier(CLASSIFIERS["conv and maxpool"])
    x, label = rows(2)
    m = gf.compile_ascent(net, x, step_size=0.02, steps=30, momentum=0.5, total_variation=0.01, jitter=2)
    assert m.uniforms == 64 + 2 * 30
    u = np.random.default_rng(0).random((2, m.uniforms))
    got, begin = m.sample(2, u=u, condition={"label": label.numpy()}, return_latent=True)
    shifts = np.minimum(np.floor(u[:, 64:].reshape(2, 30, 2) * 5), 4).astype(int) - 2
    want = ascend(net, torch.from_numpy(begin), label, 0.02, 30, shifts=shifts, tv=0.01, momentum=0.5)
    assert np.abs(got - want).max() <= 1e-4
    assert np.abs(begin - gf.Normal(0.5, 0.25).icdf(u[:, :64].reshape(2, 1, 8, 8))).max() < 1e-6


def test_it_reaches_the_class_from_noise() -> None:
    net = classifier(CLASSIFIERS["mlp"])
    with torch.no_grad():
        net[3].weight.mul_(4)
    more = {"start": gf.Uniform(0, 1), "name": "mlp", "meta": {"a": 1}}
    m = gf.compile_ascent(net, rows(1)[0], step_size=0.1, steps=200, optimizer="adam", **more)
    label = np.arange(10)
    x = m.sample(10, rng=0, condition={"label": label})
    with torch.no_grad():
        p = net(torch.from_numpy(x)).softmax(1).numpy()
    assert p[label, label].min() > 0.9
    assert m.output_shape == (1, 8, 8) and m.meta == {"a": 1, "name": "mlp"}
    assert [(c["name"], c["size"]) for c in m.conditions] == [("label", 10)]
    with pytest.raises(ValueError, match="label"):
        m.sample(1, rng=0, condition={"label": 10})


def test_the_bits_depend_on_the_row_alone() -> None:
    m = gf.compile_ascent(classifier(Residual), rows(1)[0], step_size=0.02, steps=10, optimizer="adam", jitter=1)
    label = np.arange(20) % 10
    want = m.sample(20, rng=3, condition={"label": label})
    for begin, end in ((0, 1), (3, 10), (19, 20)):
        part = m.sample(end - begin, rng=3, first_row=begin, condition={"label": label[begin:end]})
        assert np.array_equal(part, want[begin:end])
    threads = gf.num_threads()
    try:
        for target in (name for name, supported in _core.kernels.targets() if supported):
            _core.kernels.set_target(target)
            for count in (1, 2):
                gf.set_num_threads(count)
                assert np.array_equal(m.sample(20, rng=3, condition={"label": label}), want), (target, count)
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(threads)


def test_shapes_of_inputs_and_outputs() -> None:
    """Vectors, images without channels, sequences; probabilities, a tuple, further inputs."""
    torch.manual_seed(0)
    x, label = torch.rand(2, 12), torch.tensor([1, 2])

    def same(net, x, *conditions, **given):
        m = gf.compile_ascent(net, (x, *conditions), step_size=0.05, steps=20)
        got = m.apply(x.numpy(), condition={"label": label.numpy(), **given})
        want = ascend(lambda y: net(y, *conditions), x, label, 0.05, 20)
        assert m.output_shape == x.shape[1:] and np.abs(got - want).max() <= 1e-4
        return m

    dense = nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 5))
    same(dense, x)
    same(lambda x: dense(x.flatten(1)), x.reshape(2, 3, 4))
    sequence = nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(16, 5))
    same(sequence, x.reshape(2, 3, 4))
    m = same(lambda x, c: dense(x) + c, x, torch.ones(2, 5), c=np.ones((2, 5), np.float32))
    assert [c["name"] for c in m.conditions] == ["c", "label"]
    scores = gf.compile_ascent(dense, x, step_size=0.05, steps=20).apply(x, condition={"label": label})
    for net in (nn.Sequential(dense, nn.Softmax(1)), nn.Sequential(dense, nn.LogSoftmax(1)), lambda x: (dense(x), x)):
        m = gf.compile_ascent(net, x, step_size=0.05, steps=20)
        assert np.abs(m.apply(x, condition={"label": label}) - scores).max() <= 1e-5


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"steps": 0}, ValueError, "steps must be from 1"),
        ({"steps": 2.0}, TypeError, "steps"),
        ({"step_size": float("nan")}, ValueError, "step_size must be positive and finite in float32, got nan"),
        ({"step_size": 0}, ValueError, "step_size"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be 'sgd' or 'adam', got 'lbfgs'"),
        ({"momentum": 1}, ValueError, "momentum must be at least 0 and below 1"),
        ({"momentum": 0.5, "optimizer": "adam"}, ValueError, "momentum belongs"),
        ({"betas": (0.9, 1)}, ValueError, "betas"),
        ({"betas": 0.9}, TypeError, "betas must be two numbers"),
        ({"l2": -1}, ValueError, "l2"),
        ({"total_variation": float("inf")}, ValueError, "total_variation"),
        ({"jitter": 8}, ValueError, "jitter=8 needs images"),
        ({"jitter": -1}, ValueError, "jitter"),
        ({"clip": (1, 0)}, ValueError, "clip must be"),
        ({"start": 3}, TypeError, "start"),
        ({"start": gf.Normal(np.zeros(7), 1)}, ValueError, r"start: parameters of shape \(7,\)"),
        ({"name": 3}, TypeError, "name must be"),
        ({"meta": {"x": float("nan")}}, ValueError, "JSON"),
    ],
)
def test_wrong_arguments(settings, error, match) -> None:
    with pytest.raises(error, match=match):
        gf.compile_ascent(plain(), torch.zeros(1, 1, 8, 8), **{"step_size": 0.1, "steps": 5, **settings})


def double(x):
    with torch.no_grad():
        return x.flatten(1)[:, :10] * 2


def sorted_scores(x):
    return x.flatten(1).sort(1)[0][:, :10]


@pytest.mark.parametrize(
    ("net", "error", "match"),
    [
        (double, gf.UnsupportedOpError, "no gradient with respect to its input"),
        (torch.no_grad()(lambda x: x.flatten(1)[:, :10]), gf.UnsupportedOpError, "no gradient with respect to its"),
        (lambda x: x.flatten(1)[:, :10].round(), gf.UnsupportedOpError, "gradient of the classifier is zero"),
        (lambda x: x.flatten(1)[:, :10].argmax(1), gf.UnsupportedOpError, "int64, which has no gradient"),
        (lambda x: x.flatten(1)[:, :1], ValueError, r"\(B, K\), got \('B', 1\)"),
        (lambda x: x, ValueError, r"got \('B', 1, 8, 8\)"),
        (lambda x: x.flatten(1).log(), ValueError, "NaN or infinity"),
        (sorted_scores, gf.UnsupportedOpError, "sort.* at .*test_ascent.py"),
        (lambda x, label: x.flatten(1) + label, ValueError, "named 'label'"),
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64)), gf.UnsupportedOpError, "training mode"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Dropout()), gf.UnsupportedOpError, r"call eval\(\)"),
        (None, TypeError, "must be a torch.nn.Module"),
    ],
)
def test_classifiers_that_are_refused(net, error, match) -> None:
    example = (torch.zeros(1, 1, 8, 8), torch.zeros(1, 64)) if "label" in str(match) else torch.zeros(1, 1, 8, 8)
    with pytest.raises(error, match=match):
        gf.compile_ascent(net, example, step_size=0.1, steps=5)


def test_integers_are_no_input() -> None:
    with pytest.raises(TypeError, match="floats"):
        gf.compile_ascent(plain(), torch.zeros(1, 64, dtype=torch.int64), step_size=0.1, steps=5)
