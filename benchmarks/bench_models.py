"""Autoregressive models of many kinds against what people run today, f32, the same threads on both sides.

    pytest benchmarks/bench_models.py --benchmark-json=benchmarks/results/models.json
    python benchmarks/report_models.py benchmarks/results/models.json

GPT-2 small (12 × 768, vocabulary 50,257, random weights): 256 new tokens by genfast, by Hugging Face's `generate` with
its cache and by CTranslate2 on the same weights, all drawing from the full distribution. PixelCNN++ (32 × 32 RGB, 160
filters × 5 blocks) against one PyTorch forward pass of the batch; an ImageGPT-like model of 1024 tokens; MADE of 784
dimensions against the D passes that its definition asks for.
"""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import genfast as gf

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

NEW_TOKENS = 256


def note(benchmark, model, batch, side, threads=1, **extra):
    benchmark.group = f"{model}, batch {batch}" + (f", {threads} threads" if threads > 1 else "")
    benchmark.extra_info.update(model=model, batch=batch, side=side, threads=threads, **extra)


@functools.cache
def read_bandwidth() -> float:
    """GB/s that one core reads from memory, measured by benchmarks/read_bandwidth.cc."""
    source = Path(__file__).parent / "read_bandwidth.cc"
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "read_bandwidth"
        subprocess.run(["g++", "-O2", str(source), "-o", str(binary)], check=True, capture_output=True)
        return float(subprocess.run([binary], check=True, capture_output=True).stdout)


def hugging_face_gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(n_positions=512)).eval()


@functools.cache
def gpt2(dtype: str = "f32"):
    if dtype != "f32":
        return gpt2().quantize(dtype)
    example = torch.zeros(1, NEW_TOKENS + 1, dtype=torch.long)
    return gf.compile(hugging_face_gpt2(), example, head=gf.heads.Categorical(50257), name="gpt2-small")


@functools.cache
def ctranslate2_gpt2():
    import ctranslate2
    from ctranslate2.converters.transformers import GPT2Loader

    spec = GPT2Loader().get_model_spec(hugging_face_gpt2())
    spec.register_vocabulary([str(i) for i in range(50257)])
    spec.config.bos_token = spec.config.eos_token = spec.config.unk_token = "0"
    spec.validate()
    spec.optimize()
    folder = tempfile.mkdtemp()
    spec.save(folder)
    return ctranslate2.Generator(folder, device="cpu", compute_type="float32", intra_threads=1, inter_threads=1)


def weight_bytes(dtype: str) -> float:
    """Bytes a token reads: every matrix of the 12 blocks and of the output layer, once."""
    return (12 * 12 * 768 * 768 + 50257 * 768) * {"f32": 4, "bf16": 2, "int8": 1}[dtype]


@pytest.mark.parametrize("dtype", ["f32", "bf16", "int8"])
@pytest.mark.parametrize("batch", [1, 8])
def test_gpt2_genfast(benchmark, threads, batch, dtype):
    model = gpt2(dtype)
    note(
        benchmark,
        "GPT-2 small",
        batch,
        f"genfast {dtype}",
        tokens=NEW_TOKENS,
        weight_bytes=weight_bytes(dtype),
        read_gb_s=read_bandwidth(),
    )
    arguments = {"prompt": [0], "max_tokens": NEW_TOKENS, "rng": 0}
    benchmark.pedantic(model.sample, (batch,), arguments, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("batch", [1, 8])
def test_gpt2_hugging_face(benchmark, threads, batch):
    model = hugging_face_gpt2()
    prompt = torch.zeros(batch, 1, dtype=torch.long)
    note(benchmark, "GPT-2 small", batch, "Hugging Face generate", tokens=NEW_TOKENS)

    def generate():
        with torch.inference_mode():
            return model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=True,
                top_k=0,
                use_cache=True,
                min_new_tokens=NEW_TOKENS,
                max_new_tokens=NEW_TOKENS,
                pad_token_id=0,
            )

    benchmark.pedantic(generate, rounds=2, warmup_rounds=1)


@pytest.mark.parametrize("batch", [1, 8])
def test_gpt2_ctranslate2(benchmark, threads, batch):
    generator = ctranslate2_gpt2()
    note(benchmark, "GPT-2 small", batch, "CTranslate2", tokens=NEW_TOKENS)

    def generate():
        return generator.generate_batch(
            [["0"]] * batch,
            max_length=NEW_TOKENS + 1,
            min_length=NEW_TOKENS + 1,
            sampling_topk=0,
            include_prompt_in_result=True,
            end_token=[],
        )

    assert len(generate()[0].sequences_ids[0]) >= NEW_TOKENS
    benchmark.pedantic(generate, rounds=2, warmup_rounds=1)


@functools.cache
def pixelcnn_pp():
    from families.pixelcnnpp import PixelCNNPP

    torch.manual_seed(0)
    model = PixelCNNPP(resnets=5, c=160, mixtures=10, levels=3).eval()
    head = gf.heads.DiscretizedLogisticMixture(10)
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32))
        return model, gf.compile(model, torch.rand(1, 3, 32, 32), head=head, name="PixelCNN++")


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("side", ["genfast", "forward"])
def test_pixelcnn_pp(benchmark, threads, batch, side):
    model, compiled = pixelcnn_pp()
    note(benchmark, "PixelCNN++", batch, side)
    if side == "genfast":
        benchmark.pedantic(compiled.sample, (batch,), {"rng": 0}, rounds=3, warmup_rounds=1)
        return
    x = torch.rand(batch, 3, 32, 32)
    with torch.inference_mode():
        benchmark.pedantic(model, (x,), rounds=5, warmup_rounds=1)


@functools.cache
def image_gpt():
    """The smallest ImageGPT's shape, a third as wide: 1024 tokens of 512 colours, 8 blocks of 256."""
    from transformers import ImageGPTConfig, ImageGPTForCausalImageModeling

    torch.manual_seed(0)
    config = ImageGPTConfig(n_positions=1024, n_embd=256, n_layer=8, n_head=8)
    model = ImageGPTForCausalImageModeling(config).eval()
    example = torch.zeros(1, 1024, dtype=torch.long)
    return model, gf.compile(model, example, head=gf.heads.Categorical(512), bos=512, name="ImageGPT-like")


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("side", ["genfast", "forward"])
def test_image_gpt(benchmark, threads, batch, side):
    model, compiled = image_gpt()
    note(benchmark, "ImageGPT-like", batch, side, tokens=1023)
    if side == "genfast":
        benchmark.pedantic(compiled.sample, (batch,), {"rng": 0}, rounds=3, warmup_rounds=1)
        return
    x = torch.zeros(batch, 1024, dtype=torch.long)
    with torch.inference_mode():
        benchmark.pedantic(model, (x,), rounds=3, warmup_rounds=1)


class MADE(torch.nn.Module):
    """Germain et al. 2015: two masked hidden layers of 1000, natural order."""

    def __init__(self, d: int = 784, hidden: int = 1000) -> None:
        super().__init__()
        degrees = [torch.arange(d), torch.arange(hidden) % (d - 1), torch.arange(hidden) % (d - 1), torch.arange(d)]
        self.layers = torch.nn.ModuleList(torch.nn.Linear(len(a), len(b)) for a, b in itertools.pairwise(degrees))
        self.masks = [
            (b[:, None] > a[None] if last else b[:, None] >= a[None]).float()
            for (a, b), last in zip(itertools.pairwise(degrees), [False, False, True], strict=True)
        ]

    def forward(self, x):
        for i, (layer, mask) in enumerate(zip(self.layers, self.masks, strict=True)):
            x = torch.nn.functional.linear(x, layer.weight * mask, layer.bias)
            x = torch.relu(x) if i < 2 else x
        return x


@functools.cache
def made():
    torch.manual_seed(0)
    model = MADE().eval()
    return model, gf.compile(model, torch.zeros(1, 784), head=gf.heads.Bernoulli(), name="MADE")


@pytest.mark.parametrize("side", ["genfast", "D passes"])
def test_made(benchmark, threads, side):
    model, compiled = made()
    note(benchmark, "MADE 784", 100, side)
    if side == "genfast":
        benchmark.pedantic(compiled.sample, (100,), {"rng": 0}, rounds=5, warmup_rounds=1)
        return
    u = torch.from_numpy(np.random.default_rng(0).random((100, 784))).float()

    def naive():
        x = torch.zeros(100, 784)
        with torch.inference_mode():
            for d in range(784):
                x[:, d] = (u[:, d] > 1 - torch.sigmoid(model(x)[:, d])).float()
        return x

    benchmark.pedantic(naive, rounds=1, warmup_rounds=0)
