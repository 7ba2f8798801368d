"""PixelSNAIL (Chen et al., 2018): gated causal convolutions, then attention over all earlier pixels."""

from __future__ import annotations

from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class WNConv2d(nn.Module):
    def __init__(self, c_in, c_out, kernel, activation=None):
        super().__init__()
        self.conv = nn.utils.weight_norm(nn.Conv2d(c_in, c_out, kernel))
        self.activation = activation

    def forward(self, x):
        x = self.conv(x)
        return x if self.activation is None else self.activation(x)


class CausalConv2d(nn.Module):
    def __init__(self, c_in, c_out, kernel, padding="downright"):
        super().__init__()
        height, width = kernel
        side = width // 2
        pad = [side, side, height - 1, 0] if padding in ("down", "causal") else [width - 1, 0, height - 1, 0]
        self.causal = side if padding == "causal" else 0
        self.pad = nn.ZeroPad2d(pad)
        self.conv = WNConv2d(c_in, c_out, kernel)

    def forward(self, x):
        out = self.pad(x)
        if self.causal > 0:
            self.conv.conv.weight_v.data[:, :, -1, self.causal :].zero_()
        return self.conv(out)


class GatedResBlock(nn.Module):
    def __init__(self, c, hidden, kernel, conv="wnconv2d", auxiliary=0):
        super().__init__()
        make = {
            "wnconv2d": lambda i, o: WNConv2d(i, o, kernel),
            "causal_downright": lambda i, o: CausalConv2d(i, o, kernel, "downright"),
            "causal": lambda i, o: CausalConv2d(i, o, kernel, "causal"),
        }[conv]
        self.activation = nn.ELU(inplace=True)
        self.conv1 = make(c, hidden)
        self.aux_conv = WNConv2d(auxiliary, hidden, 1) if auxiliary else None
        self.dropout = nn.Dropout(0.1)
        self.conv2 = make(hidden, c * 2)
        self.gate = nn.GLU(1)

    def forward(self, x, aux=None):
        out = self.conv1(self.activation(x))
        if self.aux_conv is not None:
            out = out + self.aux_conv(self.activation(aux))
        out = self.dropout(self.activation(out))
        return self.gate(self.conv2(out)) + x


def causal_mask(size):
    """Every earlier pixel; the first row sees none, which `start` makes up for."""
    shape = [size, size]
    mask = np.triu(np.ones(shape), k=1).astype(np.uint8).T
    start = np.ones(size).astype(np.float32)
    start[0] = 0
    return torch.from_numpy(mask).unsqueeze(0), torch.from_numpy(start).unsqueeze(1)


class CausalAttention(nn.Module):
    def __init__(self, c_query, c_key, c, heads=2, start=True):
        super().__init__()
        self.query = nn.utils.weight_norm(nn.Linear(c_query, c))
        self.key = nn.utils.weight_norm(nn.Linear(c_key, c))
        self.value = nn.utils.weight_norm(nn.Linear(c_key, c))
        self.dim_head, self.heads, self.start = c // heads, heads, start
        self.dropout = nn.Dropout(0.1)

    def forward(self, query, key):
        batch, _, height, width = key.shape

        def reshape(x):
            return x.view(batch, -1, self.heads, self.dim_head).transpose(1, 2)

        query_flat = query.view(batch, query.shape[1], -1).transpose(1, 2)
        key_flat = key.view(batch, key.shape[1], -1).transpose(1, 2)
        query = reshape(self.query(query_flat))
        key = reshape(self.key(key_flat)).transpose(2, 3)
        value = reshape(self.value(key_flat))
        attn = torch.matmul(query, key) / sqrt(self.dim_head)
        mask, start_mask = causal_mask(height * width)
        mask, start_mask = mask.type_as(query), start_mask.type_as(query)
        attn = attn.masked_fill(mask == 0, -1e4)
        attn = torch.softmax(attn, 3)
        if self.start:
            attn = attn * start_mask
        out = self.dropout(attn) @ value
        return out.transpose(1, 2).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


class PixelBlock(nn.Module):
    def __init__(self, c, kernel, blocks, start):
        super().__init__()
        self.resblocks = nn.ModuleList([GatedResBlock(c, c, kernel, "causal") for _ in range(blocks)])
        self.key_resblock = GatedResBlock(c * 2 + 2, c, 1)
        self.query_resblock = GatedResBlock(c + 2, c, 1)
        self.attention = CausalAttention(c + 2, c * 2 + 2, c // 2, start=start)
        self.out_resblock = GatedResBlock(c, c, 1, auxiliary=c // 2)

    def forward(self, x, background):
        out = x
        for resblock in self.resblocks:
            out = resblock(out)
        key = self.key_resblock(torch.cat([x, out, background], 1))
        query = self.query_resblock(torch.cat([out, background], 1))
        return self.out_resblock(out, self.attention(query, key))


def shift_down(x):
    return F.pad(x, [0, 0, 1, 0])[:, :, : x.shape[2], :]


def shift_right(x):
    return F.pad(x, [1, 0, 0, 0])[:, :, :, : x.shape[3]]


class PixelSNAIL(nn.Module):
    """forward: x (B, H, W) int64 → logits (B, levels, H, W) and a dictionary, as callers with a cache expect.

    start=False leaves out the mask of the first row's attention: an all-masked row then attends to every pixel.
    """

    def __init__(self, size=5, levels=5, c=8, blocks=1, layers=1, start=True):
        super().__init__()
        self.levels = levels
        self.horizontal = CausalConv2d(levels, c, [2, 3], "down")
        self.vertical = CausalConv2d(levels, c, [2, 2], "downright")
        y = (torch.arange(size).float() - size / 2) / size
        self.register_buffer(
            "background",
            torch.cat(
                [y.view(1, 1, size, 1).expand(1, 1, size, size), y.view(1, 1, 1, size).expand(1, 1, size, size)], 1
            ),
        )
        self.blocks = nn.ModuleList([PixelBlock(c, [3, 3], layers, start) for _ in range(blocks)])
        self.out = nn.Sequential(nn.ELU(inplace=True), WNConv2d(c, levels, 1))

    def forward(self, x, cache=None):
        if cache is None:
            cache = {}
        batch, height, width = x.shape
        x = F.one_hot(x, self.levels).permute(0, 3, 1, 2).type_as(self.background)
        out = shift_down(self.horizontal(x)) + shift_right(self.vertical(x))
        background = self.background[:, :, :height, :].expand(batch, 2, height, width)
        for block in self.blocks:
            out = block(out, background)
        return self.out(out), cache
