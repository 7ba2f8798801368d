"""Decoder-only transformers: fused or spelled-out attention, learned, sinusoidal and rotary positions, token shifts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class CausalSelfAttention(nn.Module):
    """Fused q, k, v; a registered triangle and masked_fill, or the fused kernel where `flash`."""

    def __init__(self, c, heads, block_size, flash):
        super().__init__()
        self.c_attn = nn.Linear(c, 3 * c)
        self.c_proj = nn.Linear(c, c)
        self.attn_dropout, self.resid_dropout = nn.Dropout(0.1), nn.Dropout(0.1)
        self.n_head, self.n_embd, self.flash = heads, c, flash
        if not flash:
            triangle = torch.tril(torch.ones(block_size, block_size))
            self.register_buffer("bias", triangle.view(1, 1, block_size, block_size))

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(self.n_embd, dim=2)
        k = k.view(b, t, self.n_head, c // self.n_head).transpose(1, 2)
        q = q.view(b, t, self.n_head, c // self.n_head).transpose(1, 2)
        v = v.view(b, t, self.n_head, c // self.n_head).transpose(1, 2)
        if self.flash:
            y = F.scaled_dot_product_attention(
                q, k, v, attn_mask=None, dropout_p=0.1 if self.training else 0, is_causal=True
            )
        else:
            att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
            att = att.masked_fill(self.bias[:, :, :t, :t] == 0, float("-inf"))
            att = self.attn_dropout(F.softmax(att, dim=-1))
            y = att @ v
        y = y.transpose(1, 2).contiguous().view(b, t, c)
        return self.resid_dropout(self.c_proj(y))


class NewGELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))))


class GPTBlock(nn.Module):
    def __init__(self, c, heads, block_size, flash):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn = CausalSelfAttention(c, heads, block_size, flash)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(c, 4 * c), "c_proj": nn.Linear(4 * c, c), "act": nn.GELU() if flash else NewGELU()}
        )
        m = self.mlp
        self.mlpf = lambda x: m.c_proj(m.act(m.c_fc(x)))

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlpf(self.ln_2(x))


class MinGPT(nn.Module):
    """forward: idx (B, T) int64 → logits (B, T, V) and a loss. Output p predicts token p + 1."""

    def __init__(self, vocab=11, block_size=12, c=16, heads=2, layers=2, flash=False):
        super().__init__()
        self.block_size = block_size
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocab, c),
                "wpe": nn.Embedding(block_size, c),
                "drop": nn.Dropout(0.1),
                "h": nn.ModuleList([GPTBlock(c, heads, block_size, flash) for _ in range(layers)]),
                "ln_f": nn.LayerNorm(c),
            }
        )
        self.lm_head = nn.Linear(c, vocab, bias=False)

    def forward(self, idx, targets=None):
        _, t = idx.size()
        assert t <= self.block_size, f"sequence of {t} tokens, block size is only {self.block_size}"
        pos = torch.arange(0, t, dtype=torch.long, device=idx.device).unsqueeze(0)
        x = self.transformer.drop(self.transformer.wte(idx) + self.transformer.wpe(pos))
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        loss = None
        if targets is not None:
            loss = F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
        return logits, loss


class RMSNorm(nn.Module):
    def __init__(self, c, eps=1e-5):
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(c))

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)
        return y.type_as(x) * self.weight


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def repeat_kv(x, times):
    if times == 1:
        return x
    batch, heads, length, dim = x.shape
    return x[:, :, None].expand(batch, heads, times, length, dim).reshape(batch, heads * times, length, dim)


def rotate_complex(x, freqs):
    """Rotary positions as complex numbers."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * freqs[None, None]).flatten(3).type_as(x)


class LlamaAttention(nn.Module):
    def __init__(self, c, heads, kv_heads, spelling):
        super().__init__()
        self.heads, self.kv_heads, self.dim, self.spelling = heads, kv_heads, c // heads, spelling
        self.q_proj = nn.Linear(c, heads * self.dim, bias=False)
        self.k_proj = nn.Linear(c, kv_heads * self.dim, bias=False)
        self.v_proj = nn.Linear(c, kv_heads * self.dim, bias=False)
        self.o_proj = nn.Linear(heads * self.dim, c, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.dim).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.kv_heads, self.dim).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.kv_heads, self.dim).transpose(1, 2)
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k, v = repeat_kv(k, self.heads // self.kv_heads), repeat_kv(v, self.heads // self.kv_heads)
        if self.spelling == "eager":
            scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.dim)
            scores = scores + mask[:, :, :length, :length]
            weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
            y = torch.matmul(weights, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, :, :length, :length])
        return self.o_proj(y.transpose(1, 2).contiguous().reshape(batch, length, -1))


class LlamaLayer(nn.Module):
    def __init__(self, c, heads, kv_heads, spelling):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = RMSNorm(c), RMSNorm(c)
        self.self_attn = LlamaAttention(c, heads, kv_heads, spelling)
        self.gate_proj, self.up_proj = nn.Linear(c, 3 * c, bias=False), nn.Linear(c, 3 * c, bias=False)
        self.down_proj = nn.Linear(3 * c, c, bias=False)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    """RMSNorm, rotary positions, SiLU gates, grouped queries, an additive mask of finfo.min. Returns a dictionary."""

    def __init__(self, vocab=13, c=16, heads=4, kv_heads=2, layers=2, spelling="eager"):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocab, c)
        self.layers = nn.ModuleList([LlamaLayer(c, heads, kv_heads, spelling) for _ in range(layers)])
        self.norm = RMSNorm(c)
        self.lm_head = nn.Linear(c, vocab, bias=False)
        dim = c // heads
        self.register_buffer("inv_freq", 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim)), persistent=False)

    def forward(self, input_ids, attention_mask=None, use_cache=False):
        length = input_ids.shape[1]
        x = self.embed_tokens(input_ids)
        angles = torch.arange(length)[:, None].float() * self.inv_freq[None]
        angles = torch.cat((angles, angles), dim=-1)
        mask = torch.full((length, length), torch.finfo(x.dtype).min).triu(1)[None, None]
        for layer in self.layers:
            x = layer(x, angles.cos(), angles.sin(), mask)
        return {"logits": self.lm_head(self.norm(x)), "past_key_values": None}


class LlamaComplex(nn.Module):
    """Rotary positions by complex multiplication, q·k of shape (B, H, T, T) by einsum; output p is for p + 1."""

    def __init__(self, vocab=9, c=16, heads=2):
        super().__init__()
        self.tok, self.heads, self.dim = nn.Embedding(vocab, c), heads, c // heads
        self.norm, self.qkv, self.wo = RMSNorm(c), nn.Linear(c, 3 * c, bias=False), nn.Linear(c, c, bias=False)
        self.output = nn.Linear(c, vocab, bias=False)

    def forward(self, tokens):
        batch, length = tokens.shape
        h = self.tok(tokens)
        q, k, v = self.qkv(self.norm(h)).view(batch, length, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4)
        freqs = 1.0 / (100.0 ** (torch.arange(0, self.dim, 2)[: self.dim // 2].float() / self.dim))
        freqs = torch.outer(torch.arange(length).float(), freqs)
        freqs = torch.polar(torch.ones_like(freqs), freqs)
        q, k = rotate_complex(q, freqs), rotate_complex(k, freqs)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) * self.dim**-0.5
        keep = torch.ones(length, length, dtype=torch.bool).tril()
        scores = torch.where(keep, scores, torch.full((), -1e9))
        y = torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)
        h = h + self.wo(y.permute(0, 2, 1, 3).flatten(2))
        return self.output(self.norm(h))


class ImageGPTBlock(nn.Module):
    """Sequence first; nn.MultiheadAttention with an additive mask of -inf, made in forward."""

    def __init__(self, c, heads):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.attn = nn.MultiheadAttention(c, heads)
        self.mlp = nn.Sequential(nn.Linear(c, c * 4), nn.GELU(), nn.Linear(c * 4, c))

    def forward(self, x):
        attn_mask = torch.full((len(x), len(x)), -float("Inf"), device=x.device, dtype=x.dtype)
        attn_mask = torch.triu(attn_mask, diagonal=1)
        x = self.ln_1(x)
        a, _ = self.attn(x, x, x, attn_mask=attn_mask, need_weights=False)
        x = x + a
        return x + self.mlp(self.ln_2(x))


class ImageGPT(nn.Module):
    """forward: x (B, H, W) int64 → logits (B, H·W, levels). A start vector takes the place of token -1, so output p
    predicts pixel p."""

    def __init__(self, size=4, levels=6, c=12, heads=2, layers=2):
        super().__init__()
        self.c = c
        self.sos = nn.Parameter(torch.randn(c))
        self.token_embeddings = nn.Embedding(levels, c)
        self.position_embeddings = nn.Embedding(size * size, c)
        self.layers = nn.ModuleList([ImageGPTBlock(c, heads) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(c)
        self.head = nn.Linear(c, levels, bias=False)

    def forward(self, x):
        x = x.reshape(x.shape[0], -1).transpose(0, 1)
        length, batch = x.shape
        h = self.token_embeddings(x)
        sos = torch.ones(1, batch, self.c, device=x.device) * self.sos
        h = torch.cat([sos, h[:-1, :, :]], dim=0)
        positions = torch.arange(length, device=x.device).unsqueeze(-1)
        h = h + self.position_embeddings(positions).expand_as(h)
        for layer in self.layers:
            h = layer(h)
        return self.head(self.ln_f(h)).transpose(0, 1)


class PositionalEncoding(nn.Module):
    def __init__(self, c, length):
        super().__init__()
        position = torch.arange(length).unsqueeze(1)
        div_term = torch.exp(torch.arange(0, c, 2) * (-math.log(10000.0) / c))
        pe = torch.zeros(1, length, c)
        pe[0, :, 0::2] = torch.sin(position * div_term)
        pe[0, :, 1::2] = torch.cos(position * div_term)
        self.register_buffer("pe", pe)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        return self.dropout(x + self.pe[:, : x.size(1)])


class EncoderLM(nn.Module):
    """nn.TransformerEncoder under a causal mask, sinusoidal positions; batch first or not, norm first or not."""

    def __init__(self, vocab=8, length=10, c=12, heads=2, layers=2, batch_first=True, norm_first=False):
        super().__init__()
        self.encoder = nn.Embedding(vocab, c)
        self.pos_encoder = PositionalEncoding(c, length)
        layer = nn.TransformerEncoderLayer(c, heads, 2 * c, batch_first=batch_first, norm_first=norm_first)
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.decoder = nn.Linear(c, vocab)
        self.c, self.batch_first, self.mask = c, batch_first, None

    def forward(self, src):
        if self.mask is None or self.mask.size(0) != src.shape[1]:
            self.mask = nn.Transformer.generate_square_subsequent_mask(src.shape[1])
        x = self.pos_encoder(self.encoder(src) * math.sqrt(self.c))
        if self.batch_first:
            x = self.transformer_encoder(x, mask=self.mask, is_causal=True)
        else:
            x = self.transformer_encoder(x.transpose(0, 1), mask=self.mask).transpose(0, 1)
        return self.decoder(x)


class Alibi(nn.Module):
    """No positions but slopes added to the scores (Press et al., 2022); keys and values of one head for all queries."""

    def __init__(self, vocab=7, c=12, heads=2):
        super().__init__()
        self.embed, self.heads, self.dim = nn.Embedding(vocab, c), heads, c // heads
        self.q, self.kv, self.o = nn.Linear(c, c), nn.Linear(c, 2 * self.dim), nn.Linear(c, c)
        self.head = nn.Linear(c, vocab)
        self.register_buffer("slopes", torch.tensor([2.0 ** -(2 * i + 1) for i in range(heads)]).view(1, heads, 1, 1))

    def forward(self, ids):
        batch, length = ids.shape
        x = self.embed(ids)
        q = self.q(x).view(batch, length, self.heads, self.dim).transpose(1, 2)
        k, v = self.kv(x).unsqueeze(1).chunk(2, -1)
        position = torch.arange(length)
        distance = position[None, :] - position[:, None]
        bias = self.slopes * distance + torch.where(distance > 0, -torch.inf, 0.0)
        y = ((q @ k.transpose(-1, -2)) / self.dim**0.5 + bias).softmax(-1) @ v
        return self.head(x + self.o(y.transpose(1, 2).reshape(batch, length, -1)))


class LinearAttention(nn.Module):
    """Katharopoulos et al., 2020: attention as cumulative sums of key-value products."""

    def __init__(self, vocab=7, c=8, heads=2):
        super().__init__()
        self.embed, self.heads, self.dim = nn.Embedding(vocab, c), heads, c // heads
        self.qkv, self.o, self.head = nn.Linear(c, 3 * c), nn.Linear(c, c), nn.Linear(c, vocab)

    def forward(self, ids):
        batch, length = ids.shape
        x = self.embed(ids)
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, self.dim).unbind(2)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        state = torch.cumsum(k.unsqueeze(-1) * v.unsqueeze(-2), dim=1)
        norm = torch.cumsum(k, dim=1)
        top = (q.unsqueeze(-2) @ state).squeeze(-2)
        y = top / ((q * norm).sum(-1, keepdim=True) + 1e-6)
        return self.head(x + self.o(y.flatten(2)))
