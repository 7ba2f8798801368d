"""A small decoder-only transformer: Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2),
2019.

Pre-norm blocks, GELU, one matrix for the embedding and the logits; but with the rotary positions of Su et al.,
"RoFormer", 2021, which learn a short text several times as fast as learned ones.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 1000.0  # the longest wave, in tokens, is 2π times as long: enough for contexts of a few hundred


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pair (x[i], x[i + D/2]) of each of the T rows by the angles (T, D/2). x: (…, T, D)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), dim=-1)


class Attention(nn.Module):
    """Causal multi-head self-attention (Vaswani et al., 2017, section 3.2), with rotary positions where angles are
    given. forward: (n, T, channels) → the same."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor] | None = None) -> Tensor:
        n, length, channels = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        if angles is not None:
            q, k = rotate(q, *angles), rotate(k, *angles)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, length, channels))


class Block(nn.Module):
    """Attention, then a two-layer perceptron four times as wide; LayerNorm before and a residual around each."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = Attention(channels, heads)
        self.expand, self.reduce = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor] | None = None) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), angles))
        return x + self.dropout(self.reduce(F.gelu(self.expand(self.norm2(x)))))


def initialise(model: nn.Module, layers: int) -> None:
    """Small normal weights and no biases. Residual branches start smaller, so that the sum's variance does not grow
    with depth (GPT-2, 2.3)."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            last = name.endswith(("out.weight", "reduce.weight"))
            nn.init.normal_(parameter, std=0.05 / (math.sqrt(2 * layers) if last else 1))
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


class GPT(nn.Module):
    """A language model over `vocabulary` tokens with a context of `length` tokens.

    channels: width, divisible by 2 · `heads`. layers: blocks.
    forward: x (n, T) int64 tokens, T ≤ length → logits (n, T, vocabulary); those at p are for the token at p + 1.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(
        self,
        vocabulary: int,
        length: int = 256,
        channels: int = 64,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        if channels % (2 * heads):
            raise ValueError(f"channels must be divisible by 2 · heads, got {channels} and {heads}")
        super().__init__()
        self.length = length
        self.tokens = nn.Embedding(vocabulary, channels)
        self.blocks = nn.ModuleList(Block(channels, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.logits = nn.Linear(channels, vocabulary, bias=False)
        self.logits.weight = self.tokens.weight
        initialise(self, layers)
        half = channels // heads // 2
        angles = torch.arange(length)[:, None] * ROTARY_BASE ** (-torch.arange(half) / half)
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length > self.length:
            raise ValueError(f"the context is {self.length} tokens, got {length}")
        h = self.tokens(x)
        for block in self.blocks:
            h = block(h, (self.cosine[:length], self.sine[:length]))
        return self.logits(self.norm(h))
