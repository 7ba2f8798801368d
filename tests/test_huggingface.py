"""Hugging Face's decoders as they come: random weights, small sizes, both ways of computing attention."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

import genfast as gf  # noqa: E402
from genfast import reference  # noqa: E402
from genfast.errors import NotCausalError, UnsupportedOpError  # noqa: E402
from genfast.export import export  # noqa: E402
from genfast.heads import Categorical  # noqa: E402
from tests.naive import assert_same_up_to_ties  # noqa: E402

T, V = 10, 11
TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
GPT2 = {"n_layer": 2, "n_head": 3, "n_embd": 24, "n_positions": 16, "vocab_size": V, **TOKENS}
LLAMA = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
    "vocab_size": V,
    **TOKENS,
}
IMAGE_GPT = {"n_layer": 2, "n_head": 3, "n_embd": 24, "n_positions": 16, "vocab_size": V + 1}
MODELS = {
    "GPT2LMHeadModel": ("GPT2Config", GPT2),
    "LlamaForCausalLM": ("LlamaConfig", LLAMA),
    "ImageGPTForCausalImageModeling": ("ImageGPTConfig", IMAGE_GPT),
    "Qwen3ForCausalLM": ("Qwen3Config", {**LLAMA, "head_dim": 8}),
    "MistralForCausalLM": ("MistralConfig", {**LLAMA, "sliding_window": 4}),
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", LLAMA),
    "BloomForCausalLM": ("BloomConfig", {"n_layer": 2, "n_head": 4, "hidden_size": 32, "vocab_size": V, **TOKENS}),
}


def make(name, implementation):
    config, sizes = MODELS[name]
    torch.manual_seed(0)
    kwargs = {k: v for k, v in sizes.items() if name != "GPTNeoXForCausalLM" or k != "num_key_value_heads"}
    model = getattr(transformers, name)(
        getattr(transformers, config)(**kwargs, attn_implementation=implementation)
    ).eval()
    with torch.no_grad():  # as large as trained ones, so that attention is not flat
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", MODELS)
def test_logits(name, implementation):
    if implementation == "sdpa" and name.startswith(("ImageGPT", "Bloom")):
        implementation = None
    model = make(name, implementation)
    graph = reference.read(export(model, torch.zeros(1, T, dtype=torch.long), Categorical(V)))
    x = torch.randint(V, (3, T), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = model(x).logits.numpy()
    got = reference.logits(graph, x.numpy())
    assert np.abs(got - want).max() < 1e-5 * max(1, np.abs(want).max())
    nodes = [n for n in graph.json["nodes"] if n["kind"] == "attend"]
    assert len(nodes) == 2 and all(n["name"] for n in nodes)
    near = MODELS[name][1].get("sliding_window", T)
    distance = np.arange(T)[:, None] - np.arange(T)
    np.testing.assert_array_equal(reference.seen(graph, nodes[0]), (distance >= 0) & (distance < near))
    if name in ("LlamaForCausalLM", "Qwen3ForCausalLM"):
        assert (nodes[0]["heads"], nodes[0]["kv_heads"]) == (4, 2)
    assert len(graph.json["nodes"]) < 130


def test_routing_is_refused_by_name():
    config = transformers.MixtralConfig(**LLAMA, num_local_experts=4)
    with pytest.raises(UnsupportedOpError, match=r"model\.layers\.0\.mlp"):
        export(transformers.MixtralForCausalLM(config).eval(), torch.zeros(1, T, dtype=torch.long), Categorical(V))


def draw(model, u):
    """Tokens (n, T) of the naive loop, the smallest level with F >= u, and how close u came to a step of F."""
    x = torch.zeros(len(u), T, dtype=torch.long)
    near = np.ones(u.shape)
    for t in range(1, T):
        with torch.no_grad():
            p = torch.softmax(model(x[:, :t]).logits[:, -1].double(), -1).numpy()
        f = p.cumsum(1) / p.sum(1, keepdims=True)
        x[:, t] = torch.from_numpy((f < u[:, t, None]).sum(1))
        near[:, t] = np.abs(f - u[:, t, None]).min(1)
    return x.numpy(), near


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "LlamaForCausalLM", "ImageGPTForCausalImageModeling"])
def test_samples_are_those_of_the_naive_loop(name):
    model = make(name, "eager")
    compiled = gf.compile(model, torch.zeros(1, T, dtype=torch.long))
    u = np.random.default_rng(0).random((8, T))
    ours, (theirs, near) = compiled.sample(8, u=u), draw(model, u)
    np.testing.assert_array_equal(ours[:, 0], 0)
    assert_same_up_to_ties(ours, theirs, near)


def test_attention_without_a_mask_is_refused_by_name():
    config = transformers.BertConfig(
        num_hidden_layers=2, num_attention_heads=4, hidden_size=32, intermediate_size=40, vocab_size=V
    )
    with pytest.raises(NotCausalError, match=r"bert\.encoder\.layer\.0\.attention"):
        gf.compile(transformers.BertLMHeadModel(config).eval(), torch.zeros(1, T, dtype=torch.long))
