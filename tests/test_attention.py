"""Attention in every spelling becomes attend nodes that give PyTorch's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genfast as gf
from genfast import reference
from genfast.errors import UnsupportedOpError
from genfast.export import export
from genfast.heads import Categorical

T, D, H, V = 9, 4, 3, 5
TRIL = torch.ones(T, T).tril().bool()


class Block(nn.Module):
    """Token and position embeddings, one attention, a residual and logits."""

    def __init__(self, attention, groups=H, length=T):
        super().__init__()
        width = H * D
        self.embed, self.place = nn.Embedding(V, width), nn.Parameter(torch.randn(length, width))
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * groups * D)
        self.out, self.logits, self.attention, self.groups = (
            nn.Linear(width, width),
            nn.Linear(width, V),
            attention,
            groups,
        )

    def forward(self, x):
        h = self.embed(x) + self.place
        k, v = (y.unflatten(-1, (self.groups, D)).transpose(1, 2) for y in self.kv(h).chunk(2, -1))
        y = self.attention(self.q(h).unflatten(-1, (H, D)).transpose(1, 2), k, v)
        return self.logits(h + self.out(y.transpose(1, 2).reshape(h.shape)))


def check(model, length=T, nodes=1, levels=V, tolerance=1e-5):
    """The parsed graph, after comparing its logits with the model's."""
    model.eval()
    graph = reference.read(export(model, torch.zeros(1, length, dtype=torch.long), Categorical(levels)))
    x = torch.randint(levels, (3, length), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = model(x).numpy()
    got = reference.logits(graph, x.numpy())
    assert np.abs(got - want).max() < tolerance * max(1, np.abs(want).max())
    found = [n for n in graph.json["nodes"] if n["kind"] == "attend"]
    assert len(found) == nodes
    return graph, found


def spelled(f):
    """softmax(f(scores)) v."""
    return lambda q, k, v: torch.softmax(f(q @ k.transpose(-2, -1)), -1) @ v


def safe(q, k, v):
    """Strictly causal, the empty first row made 0."""
    w = torch.softmax((q @ k.transpose(-2, -1)).masked_fill(~TRIL.tril(-1), -math.inf), -1)
    return torch.nan_to_num(w) @ v


def batched(q, k, v):
    """As torch.nn.functional's multi-head attention spells it."""
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    mask = torch.zeros(1, T, T).masked_fill(~TRIL, -math.inf).expand(len(q), T, T)
    return torch.bmm(torch.baddbmm(mask, q * D**-0.5, k.transpose(1, 2)).softmax(-1), v).unflatten(0, (-1, H))


def channels_first(q, k, v):
    """Values times transposed weights, as in SAGAN."""
    q, k, v = (x.flatten(0, 1).transpose(1, 2) for x in (q, k, v))
    w = torch.bmm(q.transpose(1, 2), k).masked_fill(~TRIL, -math.inf).softmax(-1)
    return torch.bmm(v, w.transpose(1, 2)).transpose(1, 2).unflatten(0, (-1, H))


def keys_first(q, k, v):
    """Softmax along the first axis of k qᵀ."""
    w = torch.softmax((k @ q.transpose(-2, -1)).masked_fill(~TRIL.T, -math.inf), -2)
    return torch.einsum("bhji,bhjd->bhid", w, v)


def one_by_one(q, k, v):
    """A loop over heads."""
    heads = [F.scaled_dot_product_attention(*(x[:, i] for x in (q, k, v)), is_causal=True) for i in range(H)]
    return torch.stack(heads, 1)


def upcast(q, k, v):
    w = (q.float() @ k.float().transpose(-1, -2)) / math.sqrt(D)
    w = torch.where(TRIL, w, torch.full([], torch.finfo(w.dtype).min))
    return torch.matmul(F.dropout(F.softmax(w, -1, dtype=torch.float32).type_as(q), 0.1, False), v)


ADDITIVE = torch.zeros(T, T).masked_fill(~TRIL, -math.inf)
SPELLINGS = {
    "sdpa": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "sdpa_bool": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, TRIL, scale=0.3),
    "sdpa_additive": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, ADDITIVE[None]),
    "sdpa_finite": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, (~TRIL) * torch.finfo(torch.float32).min),
    "sdpa_flat": lambda q, k, v: F.scaled_dot_product_attention(
        q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), is_causal=True
    ).unflatten(0, (-1, H)),
    "masked_fill": spelled(lambda w: (w / math.sqrt(D)).masked_fill(TRIL[None, None] == 0, -math.inf)),
    "finite_fill": spelled(lambda w: (w * 0.5).masked_fill(~TRIL, -1e9)),
    "where": spelled(lambda w: torch.where(TRIL, w, torch.tensor(-1e4)) * 0.5),
    "additive": spelled(lambda w: w * 0.5 + ADDITIVE),
    "additive_finite": spelled(lambda w: w * 0.5 - 1e10 * (~TRIL)),
    "gpt1": spelled(lambda w: (w * TRIL.float() - 1e9 * (1 - TRIL.float())) / 2),
    "neg": spelled(lambda w: ADDITIVE - -w),
    "learned_temperature": spelled(lambda w: w * torch.tensor([0.3, 1, 2]).view(H, 1, 1) + ADDITIVE),
    "in_place": spelled(lambda w: w.mul_(0.5).masked_fill_(~TRIL, -math.inf)),
    "einsum": lambda q, k, v: torch.einsum(
        "bhij,bhjd->bhid", (torch.einsum("bhid,bhjd->bhij", q, k) + ADDITIVE).softmax(-1), v
    ),
    "einsum_interleaved": lambda q, k, v: torch.einsum(
        "bhij,bjhd->bihd",
        (torch.einsum("bihd,bjhd->bhij", q.transpose(1, 2), k.transpose(1, 2)) + ADDITIVE).softmax(-1),
        v.transpose(1, 2),
    ).transpose(1, 2),
    "batched": batched,
    "channels_first": channels_first,
    "keys_first": keys_first,
    "upcast": upcast,
    "safe": safe,
    "one_by_one": one_by_one,
    "scaled_q": lambda q, k, v: spelled(lambda w: w + ADDITIVE)(q * D**-0.25, k * D**-0.25, v),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings(name):
    torch.manual_seed(0)
    graph, found = check(Block(SPELLINGS[name]), nodes=H if name == "one_by_one" else 1)
    begin, end = (graph.tables[t] for t in found[0]["visible"])
    np.testing.assert_array_equal(begin, 0)
    np.testing.assert_array_equal(end, np.arange(T) + (name != "safe"))
    assert all(n["bias"] < 0 for n in found)
    finite = name in ("sdpa_finite", "finite_fill", "where", "additive_finite", "gpt1", "upcast")
    assert len(graph.json["assumed"]) == finite and all("count as -inf" in a for a in graph.json["assumed"])
    copies = [n for n in graph.json["nodes"] if n["kind"] == "copy"]
    assert not copies or name == "one_by_one"


SLOPES = torch.tensor([0.5, 0.25, 0.125]).view(H, 1, 1)
DISTANCE = (torch.arange(T)[:, None] - torch.arange(T)).float()
BIASES = {
    "alibi": spelled(lambda w: w - SLOPES * DISTANCE + ADDITIVE),
    "same_for_heads": spelled(lambda w: w + torch.linspace(-3, 3, T * T).view(T, T) + ADDITIVE),
    "sdpa": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, ADDITIVE - SLOPES * DISTANCE),
}


@pytest.mark.parametrize("name", BIASES)
def test_biases(name):
    torch.manual_seed(1)
    graph, (node,) = check(Block(BIASES[name]))
    assert node["bias"] >= 0 and len(graph.weights[node["bias"]]) >= H * T * T


def repeat_kv(x):
    return x[:, :, None].expand(-1, -1, H, -1, -1).reshape(len(x), H, *x.shape[2:])


GROUPED = {
    "enable_gqa": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
    "repeat_interleave": lambda q, k, v: SPELLINGS["additive"](q, k.repeat_interleave(H, 1), v.repeat_interleave(H, 1)),
    "expand": lambda q, k, v: SPELLINGS["sdpa"](q, repeat_kv(k), repeat_kv(v)),
    "broadcast": SPELLINGS["masked_fill"],
    "merged_rows": lambda q, k, v: (
        torch.einsum("bgij,bgjd->bgid", (q.reshape(-1, 1, H * T, D) @ k.mT + ADDITIVE.repeat(H, 1)).softmax(-1), v)
    ).reshape(q.shape),
}


@pytest.mark.parametrize("name", GROUPED)
def test_grouped_heads_share_keys(name):
    torch.manual_seed(2)
    _, (node,) = check(Block(GROUPED[name], groups=1))
    assert (node["heads"], node["kv_heads"]) == (H, 1)


def test_interleaved_heads_keep_their_step():
    """GPT-NeoX lays out q, k and v of a head side by side."""

    class Fused(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.qkv, self.logits = nn.Embedding(V, 12), nn.Linear(12, 3 * H * D), nn.Linear(H * D, V)

        def forward(self, x):
            q, k, v = self.qkv(self.embed(x)).unflatten(-1, (H, 3 * D)).transpose(1, 2).chunk(3, -1)
            return self.logits(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))

    torch.manual_seed(3)
    _, (node,) = check(Fused())
    assert [node[x][2:] for x in "qkv"] == [[0, 3 * D], [D, 3 * D], [2 * D, 3 * D]]


def complex_rotary(x):
    """As Llama's first code turns pairs of channels."""
    angle = torch.arange(T)[:, None] / 100 ** (torch.arange(0, D, 2) / D)
    turned = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2)) * torch.polar(torch.ones(T, D // 2), angle)
    return torch.view_as_real(turned).flatten(-2).type_as(x)


def rotary(x, halves):
    angle = torch.arange(T)[:, None] / 100 ** (torch.arange(0, D, 2) / D)
    cos, sin = (f(angle) for f in (torch.cos, torch.sin))
    if halves:
        cos, sin = torch.cat([cos, cos], -1), torch.cat([sin, sin], -1)
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


ROTARY = {"halves": lambda x: rotary(x, True), "pairs": lambda x: rotary(x, False), "complex": complex_rotary}


@pytest.mark.parametrize("name", ROTARY)
def test_rotary_positions(name):
    torch.manual_seed(4)
    turn = ROTARY[name]
    graph, _ = check(Block(lambda q, k, v: SPELLINGS["sdpa"](turn(q), turn(k), v)))
    assert len(graph.json["nodes"]) < 30


def test_normed_queries_and_keys():
    torch.manual_seed(5)
    check(Block(lambda q, k, v: SPELLINGS["sdpa"](F.rms_norm(q, (D,)), F.normalize(k, dim=-1), v)))


def test_local_and_strided_attention():
    torch.manual_seed(6)
    near = (DISTANCE >= 0) & (DISTANCE < 3)
    graph, (node,) = check(Block(spelled(lambda w: w.masked_fill(~near, -math.inf))))
    np.testing.assert_array_equal(reference.seen(graph, node), near)
    strided = (DISTANCE >= 0) & (DISTANCE % 2 == 0)
    graph, (node,) = check(Block(spelled(lambda w: w.masked_fill(~strided, -math.inf))))
    assert "bitmap" in node
    np.testing.assert_array_equal(reference.seen(graph, node), strided)


def test_masks_that_differ_between_heads_are_nodes_of_their_own():
    torch.manual_seed(7)
    masks = torch.stack([TRIL, TRIL & (DISTANCE < 2), TRIL])
    _, found = check(Block(spelled(lambda w: w.masked_fill(~masks, -math.inf))), nodes=2)
    assert sorted(n["heads"] for n in found) == [1, 2]


def test_windows():
    """Attention inside blocks of three tokens, the blocks in the batch axis."""
    torch.manual_seed(8)

    def windows(q, k, v):
        q, k, v = (x.reshape(-1, H, 3, 3, D).transpose(1, 2).flatten(0, 1) for x in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.unflatten(0, (-1, 3)).transpose(1, 2).flatten(2, 3)

    check(Block(windows), nodes=3)


STRICT = TRIL.tril(-1)


def snail(fill, start):
    """PixelSNAIL: strictly causal, a finite fill, the first row cut or not."""

    def f(q, k, v):
        w = torch.softmax((q @ k.transpose(-2, -1) / 2).masked_fill(~STRICT, fill), 3)
        return (w * (torch.arange(T) > 0).float()[:, None] if start else w) @ v

    return f


@pytest.mark.parametrize("fill", [-1e4, -1e10, torch.finfo(torch.float32).min])
def test_a_row_that_is_masked_with_a_finite_fill_attends_to_everything(fill):
    torch.manual_seed(9)
    graph, found = check(Block(snail(fill, False)), nodes=2)
    seen = [reference.seen(graph, n) for n in found]
    np.testing.assert_array_equal(seen[0], STRICT[1:])
    assert seen[1].all() and seen[1].shape == (1, T) and found[1]["scale"] == 0
    graph, (node,) = check(Block(snail(fill, True)))
    np.testing.assert_array_equal(reference.seen(graph, node), STRICT)


def test_an_additive_fill_that_does_not_vanish_is_a_bias():
    torch.manual_seed(10)
    graph, (node,) = check(Block(spelled(lambda w: w - 20.0 * (~TRIL))))
    assert reference.seen(graph, node).all() and node["bias"] >= 0


class Multihead(nn.Module):
    """Sinusoidal positions and a layer of torch."""

    def __init__(self, layer, call):
        super().__init__()
        self.embed, self.layer, self.logits, self.call = nn.Embedding(V, 12), layer, nn.Linear(12, V), call

    def forward(self, x):
        h = self.embed(x) + torch.sin(torch.arange(T)[:, None] / torch.arange(1, 13))
        return self.logits(self.call(self.layer, h, nn.Transformer.generate_square_subsequent_mask(T)))


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_torch_encoder_layers():
    torch.manual_seed(11)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 3, 16, batch_first=True), 2)
    check(Multihead(encoder, lambda layer, h, mask: layer(h, mask)), nodes=2)
    check(Multihead(encoder, lambda layer, h, mask: layer(h, mask, is_causal=True)), nodes=2)
    late = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 3, 16, norm_first=True), 1)
    check(Multihead(late, lambda layer, h, mask: layer(h.transpose(0, 1), mask).transpose(0, 1)))


@pytest.mark.parametrize("weights", [False, True])
def test_torch_multihead_attention(weights):
    torch.manual_seed(11)
    layer = nn.MultiheadAttention(12, 3, batch_first=True, add_zero_attn=True)
    check(Multihead(layer, lambda layer, h, mask: layer(h, h, h, need_weights=weights, attn_mask=mask)[0]))


def test_small_products_that_are_no_attention():
    torch.manual_seed(12)
    check(Block(lambda q, k, v: ((q @ k.mT) * TRIL / T) @ v), nodes=0)
    check(Block(lambda q, k, v: torch.tanh(q @ k.mT / 9 + 1) * TRIL @ v), nodes=0)


def clamped(w):
    """XGLM: the mask's sum is cut off at the lowest number."""
    return torch.max(w + (~TRIL) * torch.finfo(w.dtype).min, torch.tensor(torch.finfo(w.dtype).min))


MASKED = {
    "softcap": spelled(lambda w: 5 * torch.tanh(w / 5) + ADDITIVE),
    "softcap_finite": spelled(lambda w: 5 * torch.tanh(w / 5) + (~TRIL) * torch.finfo(torch.float32).min),
    "softcap_fill": spelled(lambda w: (5 * torch.tanh(w / 5)).masked_fill(~TRIL, -math.inf)),
    "softcap_small_fill": spelled(lambda w: torch.where(TRIL, 5 * torch.tanh(w / 5), torch.tensor(-1e4))),
    "clamped_before": spelled(lambda w: w.clamp(-1, 1) - -ADDITIVE),
    "two_masks": spelled(lambda w: torch.tanh(w) + ADDITIVE + torch.zeros(T, T).masked_fill(DISTANCE > 4, -math.inf)),
    "product_with_a_constant": lambda q, k, v: spelled(
        lambda w: torch.baddbmm(ADDITIVE, w.flatten(0, 1), 2 * torch.eye(T).expand(len(w) * H, T, T)).view_as(w)
    )(q, k, v),
    "empty_row": lambda q, k, v: (
        torch.softmax(torch.tanh(q @ k.mT).masked_fill(~TRIL | (DISTANCE == 0), -1e38), -1) * TRIL @ v
    ),
    "tril": lambda q, k, v: (q @ k.mT).tril() @ v / T,
    "times": lambda q, k, v: ((q @ k.mT) * TRIL / T) @ v,
    "filled_with_zero": lambda q, k, v: (q @ k.mT).masked_fill(~TRIL, 0) @ v / T,
    "filled_with_one": lambda q, k, v: (q @ k.mT).masked_fill(~TRIL, 1).tril() @ v / T,
    "sigmoid": lambda q, k, v: torch.sigmoid(q @ k.mT + ADDITIVE) @ v / T,
}
CLAMPED = {
    "max": spelled(clamped),
    "maximum": spelled(lambda w: torch.maximum(w + ADDITIVE, torch.tensor(torch.finfo(w.dtype).min))),
    "clamp": spelled(lambda w: (w + ADDITIVE).clamp(min=torch.finfo(w.dtype).min)),
}


def check_causal(model, condition=()):
    """log_prob of samples, both of the compiled model, against the model's own."""
    model.eval()
    given = {"condition": {"c": condition[0].item()}} if condition else {}
    compiled = gf.compile(model, (torch.zeros(1, T).long(), *condition), head=Categorical(V))
    x = compiled.sample(3, rng=0, **given)
    with torch.no_grad():
        logits = model(torch.from_numpy(x).long(), *(c.expand(3, *c.shape[1:]) for c in condition)).double()
    next_tokens = torch.from_numpy(x[:, 1:, None]).long()
    want = logits[:, :-1].log_softmax(-1).gather(2, next_tokens).sum((1, 2))
    assert compiled.bos == 0
    np.testing.assert_allclose(compiled.log_prob(x, **given), want.numpy(), rtol=1e-5)
    return compiled


@pytest.mark.parametrize("name", MASKED)
def test_masks_of_scores_that_are_no_plain_products(name):
    torch.manual_seed(13)
    check_causal(Block(MASKED[name]))


@pytest.mark.parametrize("name", CLAMPED)
def test_a_bound_that_only_masks_fall_below_is_none(name):
    torch.manual_seed(14)
    assert "attend" in check_causal(Block(CLAMPED[name])).explain()


class Conditioned(nn.Module):
    """Attention that sees keys nearer than a condition says, besides the first."""

    def __init__(self, f):
        super().__init__()
        self.block, self.f = Block(lambda q, k, v: self.f(q, k, v, self.near)), f

    def forward(self, x, c):
        self.near = (c[:, None, None, None] > DISTANCE) | (DISTANCE == 0)
        return self.block(x)


CONDITIONED = {
    "where": lambda q, k, v, near: spelled(lambda w: torch.where(near, w, -math.inf) + ADDITIVE)(q, k, v),
    "fill_before": lambda q, k, v, near: spelled(lambda w: w.masked_fill(~near, -math.inf) + ADDITIVE)(q, k, v),
    "fill_after": lambda q, k, v, near: spelled(lambda w: (w + ADDITIVE).masked_fill(~near, -math.inf))(q, k, v),
    "additive": lambda q, k, v, near: spelled(lambda w: w + torch.where(near & TRIL, 0.0, -math.inf))(q, k, v),
}


@pytest.mark.parametrize("name", CONDITIONED)
def test_masks_that_depend_on_a_condition(name):
    torch.manual_seed(15)
    model = Conditioned(CONDITIONED[name])
    compiled = check_causal(model, (torch.tensor([3.0]),))
    assert "count as -1.7e+38" in compiled.explain()


def test_a_condition_that_may_hide_everything():
    model = Conditioned(lambda q, k, v, near: spelled(lambda w: w.masked_fill(~near, -math.inf))(q, k, v))
    model.forward = lambda x, c: (setattr(model, "near", (c < 0)[:, None, None, None]), model.block(x))[1]
    with pytest.raises(ValueError, match="may hide everything: fill it with -1e9"):
        export(model, (torch.zeros(1, T).long(), torch.tensor([-1.0])), Categorical(V))


@pytest.mark.parametrize("f", [torch.exp, torch.tanh, lambda w: w.clamp(-1e4, 1e4), lambda w: w.log_softmax(-1)])
def test_masked_scores_that_go_elsewhere_are_refused(f):
    with pytest.raises(UnsupportedOpError, match="masked scores may only go into a softmax"):
        export(Block(lambda q, k, v: f(q @ k.mT + ADDITIVE) @ v), torch.zeros(1, T).long(), Categorical(V))


REFUSED = {
    "weights": (lambda q, k, v: torch.tanh((q @ k.mT).softmax(-1)) @ v, "attention weights may only"),
    "mask_of_values": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, q @ k.mT), "mask depends on the input"),
    "zeroed": (lambda q, k, v: ((q @ k.mT).softmax(-1) * TRIL) @ v, "set to zero after the softmax"),
    "fill": (lambda q, k, v: (q @ k.mT).masked_fill(~TRIL, -2.0).softmax(-1) @ v, "does not vanish"),
    "dropout": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.5), r"eval\(\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    f, message = REFUSED[name]
    with pytest.raises(UnsupportedOpError, match=message) as error:
        export(Block(f), torch.zeros(1, T, dtype=torch.long), Categorical(V))
    assert f"test_attention.py:{f.__code__.co_firstlineno}" in str(error.value)


def test_large_products_are_refused():
    with pytest.raises(UnsupportedOpError, match="too big"):
        export(Block(lambda q, k, v: torch.tanh(q @ k.mT) @ v, length=700), torch.zeros(1, 700).long(), Categorical(V))
