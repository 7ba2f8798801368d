"""Decoders and generators, one pass for a batch of given latents: genfast against PyTorch eager, `torch.compile` and
ONNX Runtime, f32, one thread on every side, each fed a batch of its own kind of array.

    pip install '.[bench,test]' torch==2.13.0 onnx onnxruntime onnxscript
    pytest benchmarks/bench_feedforward.py --benchmark-json=benchmarks/results/feedforward.json
    python benchmarks/report_feedforward.py benchmarks/results/feedforward.json

Every side's result is compared with PyTorch's first. BatchNorm has running statistics as after training, and is in eval
mode everywhere.
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import genfast as gf

ROUNDS = {1: 50, 16: 15, 256: 5}


def dcgan64(latent: int = 100, width: int = 64) -> nn.Module:
    """Radford et al. 2016: 100 → 512 × 4 × 4 → … → 3 × 64 × 64."""
    channels = width * 8
    layers = [nn.ConvTranspose2d(latent, channels, 4, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    for _ in range(3):
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 4, 2, 1, bias=False))
        channels //= 2
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh())


def dcgan28(latent: int = 100) -> nn.Module:
    """The same for 28 × 28: 100 → 256 × 7 × 7 → 128 × 14 × 14 → 1 × 28 × 28."""
    return nn.Sequential(
        nn.ConvTranspose2d(latent, 256, 7, bias=False),
        nn.BatchNorm2d(256),
        nn.ReLU(),
        nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 1, 4, 2, 1),
        nn.Tanh(),
    )


def vae28(latent: int = 32) -> nn.Module:
    """A convolutional VAE's decoder."""
    return nn.Sequential(
        nn.Linear(latent, 256),
        nn.ReLU(),
        nn.Linear(256, 64 * 7 * 7),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1),
        nn.Sigmoid(),
    )


class Up(nn.Module):
    """A residual block that doubles height and width (Gulrajani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.skip = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x) + self.skip(x)


def resnet32(latent: int = 128, channels: int = 128) -> nn.Module:
    """WGAN-GP's generator of 3 × 32 × 32."""
    return nn.Sequential(
        nn.Linear(latent, channels * 16),
        nn.Unflatten(1, (channels, 4, 4)),
        *(Up(channels) for _ in range(3)),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 3, 3, padding=1),
        nn.Tanh(),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "DCGAN 28×28": (dcgan28, (100, 1, 1)),
    "DCGAN 64×64": (dcgan64, (100, 1, 1)),
    "VAE decoder 28×28": (vae28, (32,)),
    "ResNet decoder 32×32": (resnet32, (128,)),
}


@functools.cache
def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = MODELS[name][0]().eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return net


def latents(name: str, batch: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(batch).standard_normal((batch, *MODELS[name][1]), np.float32))


@functools.cache
def compiled(name: str) -> gf.Model:
    return gf.compile(network(name), latents(name, 2), latent=gf.Normal(0, 1), name=name)


@functools.cache
def onnx(name: str) -> Any:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        axes = {"z": {0: "batch"}, "x": {0: "batch"}}
        torch.onnx.export(
            network(name),
            (latents(name, 2),),
            path,
            dynamo=False,
            input_names=["z"],
            output_names=["x"],
            dynamic_axes=axes,
        )
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def eager_call(name: str, z: Tensor) -> Callable[[], np.ndarray]:
    """Whichever memory format is faster for this network and batch, by the median of a few runs."""

    def timed(net: nn.Module) -> float:
        net(z)
        return statistics.median(timeit.repeat(lambda: net(z), number=1, repeat=5))

    plain = network(name)
    last = MODELS[name][0]().eval().to(memory_format=torch.channels_last)
    last.load_state_dict(plain.state_dict())
    fastest = min((plain, last), key=timed)
    return lambda: fastest(z).numpy()


def call_of(side: str, name: str, z: Tensor) -> Callable[[], np.ndarray]:
    if side == "PyTorch eager":
        return eager_call(name, z)
    if side == "torch.compile":
        torch._dynamo.reset()
        optimized = torch.compile(network(name))
        return lambda: optimized(z).numpy()
    z_numpy = z.numpy()
    if side == "ONNX Runtime":
        session = onnx(name)
        return lambda: session.run(None, {"z": z_numpy})[0]
    model = compiled(name)
    return lambda: model.apply(z_numpy)


def multiply_adds(name: str) -> int:
    """Of one row of the network as PyTorch counts them: with taps that lie outside, which genfast leaves out."""
    with FlopCounterMode(display=False) as counter:
        network(name)(latents(name, 1))
    return counter.get_total_flops() // 2


# The sides of one model and batch follow each other: a machine's speed drifts.
@pytest.mark.parametrize("side", ["genfast", "PyTorch eager", "torch.compile", "ONNX Runtime"])
@pytest.mark.parametrize("batch", [1, 16, 256])
@pytest.mark.parametrize("name", MODELS)
def test_decoder(benchmark, threads, name, side, batch):
    z = latents(name, batch)
    with torch.inference_mode():
        call = call_of(side, name, z)
        expected = network(name)(z).numpy()
        np.testing.assert_allclose(call(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
        benchmark.group = f"{name}, batch {batch}"
        benchmark.extra_info.update(model=name, batch=batch, side=side, multiply_adds=multiply_adds(name))
        benchmark.pedantic(call, rounds=ROUNDS[batch], warmup_rounds=1)


@pytest.mark.parametrize("batch", [1, 256])
@pytest.mark.parametrize("name", MODELS)
@torch.inference_mode()
def test_sample(benchmark, threads, name, batch):
    """Latents drawn as well."""
    benchmark.group = f"{name}, batch {batch}"
    benchmark.extra_info.update(model=name, batch=batch, side="genfast, sample()", multiply_adds=multiply_adds(name))
    benchmark.pedantic(compiled(name).sample, (batch,), {"rng": 0}, rounds=ROUNDS[batch], warmup_rounds=1)
