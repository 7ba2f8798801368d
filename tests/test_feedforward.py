"""Feed-forward networks as public repositories write them, and layer by layer: what is compiled is what PyTorch
computes, with the same bits for any batch, thread or target. What cannot be compiled is refused, with what to do."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families import feedforward as f  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

import genfast as gf  # noqa: E402
from genfast import _core  # noqa: E402

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
ROWS = 3


def normal(*shape: int) -> Callable[[], Any]:
    return lambda: torch.randn(ROWS, *shape)


def label(classes: int) -> Callable[[], Any]:
    return lambda: torch.arange(ROWS) % classes


# name: network, and what makes its arguments.
FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[Callable[[], Any], ...]]] = {
    "DCGAN": (f.DCGAN, (normal(12, 1, 1),)),
    "discriminator": (f.Discriminator, (normal(1, 8, 8),)),
    "conditional GAN": (f.ConditionalGAN, (normal(8), label(5))),
    "conditional GAN, times": (lambda: f.ConditionalGAN(times=True), (normal(8), label(5))),
    "ACGAN": (f.ACGAN, (normal(6), label(4))),
    "label maps": (f.LabelMaps, (normal(1, 6, 6), label(4))),
    "WGAN-GP": (f.WGANGP, (normal(10),)),
    "SAGAN": (f.SAGAN, (normal(6), label(3))),
    "SAGAN, no pool": (lambda: f.SAGAN(pool=False), (normal(6), label(3))),
    "StyleGAN": (f.StyleGAN, (normal(8),)),
    "VAE decoder": (f.VAEDecoder, (normal(5),)),
    "VAE decoder, image": (lambda: f.VAEDecoder(image=True), (normal(5),)),
    "VAE encoder": (f.VAEEncoder, (normal(1, 6, 6),)),
    "conv VAE decoder": (f.ConvVAEDecoder, (normal(6),)),
    "VQ-VAE decoder": (f.VQVAE, (lambda: torch.randint(0, 7, (ROWS, 3, 3)),)),
    "VQ-VAE": (lambda: f.VQVAE(encode=True), (normal(1, 8, 8),)),
    "U-Net": (f.UNet, (normal(1, 9, 10),)),
    "U-Net, transposed": (lambda: f.UNet(bilinear=False), (normal(1, 9, 10),)),
    "ResNet": (f.ResNet, (normal(3, 16, 16),)),
    "MobileNet": (f.MobileNet, (normal(1, 12, 12),)),
    "ViT": (f.ViT, (normal(1, 8, 8),)),
    "text classifier": (lambda: f.ViT(text=9), (lambda: torch.randint(0, 9, (ROWS, 4)),)),
    "latent tokens": (f.LatentTokens, (normal(4, 6),)),
    "WaveGAN": (f.WaveGAN, (normal(6),)),
    "super-resolution": (f.SuperResolution, (normal(1, 6, 6),)),
    "diffusion block": (f.DiffusionBlock, (normal(2, 4, 5), normal(5))),
}

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(5, 7), (5,)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, 2, 1, dilation=2), (3, 9)),
    "conv2d, groups": (lambda: nn.Conv2d(4, 6, 3, 1, "same", groups=2), (4, 5, 6)),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(3, 4, 4, 3, 1, output_padding=2), (3, 5)),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(3, 4, (3, 4), (2, 1), (1, 2), dilation=(1, 2)), (3, 5, 6)),
    "conv_transpose2d, groups": (lambda: nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2), (4, 3, 3)),
    "nearest": (lambda: nn.Upsample(scale_factor=2.5), (2, 4, 3)),
    "bilinear": (lambda: nn.Upsample(size=(7, 5), mode="bilinear"), (2, 4, 3)),
    "bilinear, corners": (lambda: nn.Upsample(size=(7, 5), mode="bilinear", align_corners=True), (2, 4, 3)),
    "bilinear, by a ratio": (lambda: nn.Upsample(scale_factor=(1.7, 0.6), mode="bilinear"), (2, 4, 5)),
    "linear upsampling": (lambda: nn.Upsample(scale_factor=3, mode="linear"), (2, 4)),
    "trilinear": (lambda: nn.Upsample(scale_factor=2, mode="trilinear"), (2, 2, 3, 2)),
    "bicubic": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), (2, 4, 3)),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), (8, 2, 3)),
    "pixel unshuffle": (lambda: nn.PixelUnshuffle(2), (2, 4, 6)),
    "max pool": (lambda: nn.MaxPool2d(3, 2, 1), (2, 5, 6)),
    "average pool": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 5, 6)),
    "adaptive average": (lambda: nn.AdaptiveAvgPool2d((3, 2)), (2, 5, 7)),
    "adaptive max": (lambda: nn.AdaptiveMaxPool2d((3, 2)), (2, 5, 7)),
    "layer norm": (lambda: nn.LayerNorm((2, 5)), (3, 2, 5)),
    "group norm": (lambda: nn.GroupNorm(2, 6), (6, 4, 3)),
    "instance norm": (lambda: nn.InstanceNorm2d(3, affine=True), (3, 4, 5)),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Conv2d(2, 3, 3)), (2, 5, 5)),
    "spectral norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 5)), (4,)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 12, batch_first=True), (5, 8)),
}


def randomize(net: nn.Module) -> nn.Module:
    """Norms as after training: their statistics and gains are not what they start as."""
    torch.manual_seed(1)
    for layer in net.modules():
        for name in ("running_mean", "weight", "bias"):
            value = getattr(layer, name, None)
            if "Norm" in type(layer).__name__ and isinstance(value, torch.Tensor):
                value.data.add_(0.3 * torch.randn_like(value))
        if isinstance(getattr(layer, "running_var", None), torch.Tensor):
            layer.running_var.data.uniform_(0.5, 2)
    return net.eval()


def first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def compiled(
    make: Callable[[], nn.Module], *arguments: Callable[[], Any]
) -> tuple[nn.Module, tuple[Any, ...], gf.Model]:
    torch.manual_seed(0)
    net, inputs = randomize(make()), tuple(argument() for argument in arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return net, inputs, gf.compile(net, inputs, latent="given")


def apply(model: gf.Model, inputs: tuple[Any, ...]) -> np.ndarray:
    names = [condition["name"] for condition in model.conditions]
    condition = {name: x.numpy() for name, x in zip(names, inputs[1:], strict=True)}
    return model.apply(inputs[0].numpy(), condition=condition or None)


def close(ours: np.ndarray, theirs: Any) -> None:
    theirs = first(theirs).detach().numpy()
    ours = ours.reshape(theirs.shape)
    assert np.abs(ours - theirs).max() <= 1e-5 * max(1.0, np.abs(theirs).max())


@pytest.fixture
def machine():
    threads = gf.num_threads()
    yield
    gf.set_num_threads(threads)
    _core.kernels.set_target("")


@pytest.mark.parametrize("name", FAMILIES)
def test_families_are_what_pytorch_computes(name: str, machine: None) -> None:
    make, arguments = FAMILIES[name]
    net, inputs, model = compiled(make, *arguments)
    ours = apply(model, inputs)
    close(ours, net(*inputs))
    for target in TARGETS:
        _core.kernels.set_target(target)
        for threads in (1, 2):
            gf.set_num_threads(threads)
            assert apply(model, inputs).tobytes() == ours.tobytes()
            assert apply(model, tuple(x[1:2] for x in inputs)).tobytes() == ours[1:2].tobytes()


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_what_pytorch_computes(name: str) -> None:
    make, shape = LAYERS[name]
    net, inputs, model = compiled(make, normal(*shape))
    close(apply(model, inputs), net(*inputs))


ACTIVATIONS = ["ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Tanh", "Sigmoid", "Hardswish"]


@pytest.mark.parametrize("name", [*ACTIVATIONS, "Hardsigmoid", "Hardtanh", "ReLU6", "Softsign", "PReLU", "CELU"])
def test_activations_are_what_pytorch_computes(name: str) -> None:
    net, inputs, model = compiled(lambda: nn.Sequential(nn.Linear(6, 9), getattr(nn, name)()), normal(6))
    close(apply(model, inputs), net(*inputs))


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_waves_are_what_pytorch_computes(name: str, scale: float) -> None:
    function = getattr(torch, name)
    model = gf.compile(lambda x: function(scale * x), torch.zeros(1, 500), latent="given")
    x = np.linspace(-7, 7, 1000, dtype=np.float32).reshape(2, 500)
    exact = getattr(np, name)((np.float32(scale) * x).astype(float))
    assert np.abs(model.apply(x) - exact).max() < 3e-7


def test_a_truth_value_is_returned_as_a_number() -> None:
    model = gf.compile(lambda x: x > 0, torch.zeros(1, 3), latent="given")
    np.testing.assert_array_equal(model.apply(np.float32([[-1, 0, 2]])), np.float32([[0, 0, 1]]))


def test_a_latent_is_drawn_by_its_inverse_cdf() -> None:
    net = randomize(f.ConvVAEDecoder())
    model = gf.compile(net, torch.zeros(1, 6), latent=gf.Laplace(np.arange(6.0), 2))
    u = np.random.default_rng(0).random((4, 6))
    x, z = model.sample(4, u=u, return_latent=True)
    np.testing.assert_array_equal(z, gf.Laplace(np.arange(6.0), 2).icdf(u).astype(np.float32))
    close(x, net(torch.from_numpy(z)))
    assert x.tobytes() == model.apply(z).tobytes()


def test_batch_norm_is_folded() -> None:
    net, inputs, model = compiled(
        lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()), normal(2, 5, 5)
    )
    assert "1 gemm" in model.explain()
    assert "1 map" in model.explain()  # the relu
    close(apply(model, inputs), net(*inputs))


def test_padding_keeps_a_norm_before_it() -> None:
    """A zero that is padded after the norm is no zero before it."""
    net, inputs, model = compiled(
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 3, padding=1)), normal(2, 4, 4)
    )
    close(apply(model, inputs), net(*inputs))


def test_randomness_inside_says_what_to_do() -> None:
    with pytest.raises(gf.Error, match=r"(?s)randn_like.*latent"):
        gf.compile(f.VAE().eval(), torch.zeros(1, 1, 6, 6), latent="given")


@pytest.mark.parametrize(
    ("layer", "said"),
    [(nn.Dropout(0.5), r"eval\(\)"), (nn.BatchNorm1d(4), r"eval\(\)|training")],
    ids=["dropout", "norm"],
)
def test_training_mode_is_named(layer: nn.Module, said: str) -> None:
    net = nn.Sequential(nn.Linear(4, 4), copy.deepcopy(layer)).train()
    with pytest.raises((gf.Error, ValueError), match=said):
        gf.compile(net, torch.randn(2, 4), latent=gf.Normal(0, 1))


@pytest.mark.parametrize("latent", [3, "normal", gf.Normal, gf.Normal(np.zeros(5), 1), gf.Chain([gf.Normal(0, 1)])])
def test_a_latent_that_is_none_is_refused(latent: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="latent"):
        gf.compile(nn.Linear(4, 2).eval(), torch.zeros(1, 4), latent=latent)


def test_a_decoder_has_no_head() -> None:
    with pytest.raises((TypeError, ValueError), match="head"):
        gf.compile(nn.Linear(4, 2).eval(), torch.zeros(1, 4), head=gf.heads.Bernoulli(), latent=gf.Normal(0, 1))


def test_an_integer_input_takes_integers_only() -> None:
    model = gf.compile(nn.Embedding(9, 3), torch.zeros(1, 4, dtype=torch.long), latent="given")
    assert model.apply(np.full((2, 4), 8)).shape == (2, 4, 3)
    with pytest.raises(ValueError, match=r"x\[0, 1\] is 1\.5, not an integer"):
        model.apply(np.array([[1, 1.5, 2, 3]]))
    with pytest.raises(gf.NumericalError, match="9 rows"):
        model.apply(np.full((1, 4), 9))


def test_an_instance_norm_that_keeps_statistics_is_named() -> None:
    net = nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True))
    before = net[0].running_mean.clone()
    with pytest.raises(gf.Error, match=r"InstanceNorm1d in training mode.*eval\(\)"):
        gf.compile(net, torch.randn(1, 3, 5), latent="given")
    assert torch.equal(net[0].running_mean, before)


def described(model: gf.Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """The graph of a compiled model, and its plan."""
    data = bytes(model._core.file_bytes())
    return _core.read_graph_summary(data), _core.plan_summary(data, output=True)


def image(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*layers)


@pytest.mark.parametrize(
    ("make", "shape", "nodes", "blocks"),
    [
        pytest.param(
            image(nn.Linear(5, 216), nn.LayerNorm(216), nn.Unflatten(1, (6, 6, 6)), nn.Conv2d(6, 2, 3)),
            (5,), 4, 36, id="norm of one position before an image",
        ),
        pytest.param(
            image(nn.Conv2d(3, 12, 3), nn.GroupNorm(3, 12), nn.SiLU(), nn.Conv2d(12, 2, 3)),
            (3, 14, 14), 36, 0, id="norm over positions of groups",
        ),
        pytest.param(
            lambda: nn.TransformerEncoderLayer(12, 2, 24, batch_first=True), (30, 12), 14, 60, id="attention",
        ),
    ],
)  # fmt: skip
def test_what_lies_over_positions_takes_few_nodes_and_blocks(
    make: Callable[[], nn.Module], shape: tuple[int, ...], nodes: int, blocks: int
) -> None:
    """Not a block for every number: that ran ten times as long."""
    net, inputs, model = compiled(make, normal(*shape))
    graph, plan = described(model)
    close(apply(model, inputs), net(*inputs))
    assert len(graph["nodes"]) <= nodes
    assert sum(len(node["sources"]) for node in graph["nodes"] if node["kind"] == "copy") <= blocks
    assert all(len(classes) == 1 for classes in plan["classes"])


def test_positions_of_a_plane_lie_side_by_side() -> None:
    _, _, model = compiled(
        image(nn.Conv2d(2, 16, 3), nn.GroupNorm(4, 16), nn.SiLU(), nn.Conv2d(16, 3, 3)), normal(2, 14, 14)
    )
    graph, plan = described(model)
    planes = [
        offsets
        for (positions, channels, *_), offsets in zip(graph["values"], plan["offset"], strict=True)
        if positions == 144 and channels == 16 and min(offsets) >= 0
    ]
    assert len(planes) > 3
    assert all((np.diff(offsets) != 16).sum() <= 1 for offsets in planes)
