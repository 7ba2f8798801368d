"""Masked convolutions over images: RGB with a mask a sub-pixel, masks a position, and conditions of several kinds."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class RGBMaskedConv2d(nn.Conv2d):
    """PixelRNN's masks: at the centre, R sees no channel, G sees R, B sees R and G (type A), or itself too (type B).

    The channels of a feature map belong to R, G, B in turn.
    """

    def __init__(self, kind, c_in, c_out, kernel, **kwargs):
        super().__init__(c_in, c_out, kernel, padding=kernel // 2, **kwargs)
        mask = np.ones((c_out, c_in, kernel, kernel), dtype=np.float32)
        centre = kernel // 2
        mask[:, :, centre, centre + 1 :] = 0
        mask[:, :, centre + 1 :, :] = 0

        def groups(out, channels):
            return np.arange(channels) % 3 if channels % 3 == 0 else np.zeros(channels)

        colour_out, colour_in = groups(True, c_out)[:, None], groups(False, c_in)[None, :]
        allowed = colour_in < colour_out if kind == "A" else colour_in <= colour_out
        mask[:, :, centre, centre] = allowed
        self.register_buffer("mask", torch.from_numpy(mask))

    def forward(self, x):
        self.weight.data.mul_(self.mask)
        return super().forward(x)


class RGBResidual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(), RGBMaskedConv2d("B", 2 * c, c, 1), nn.BatchNorm2d(c), nn.ReLU(),
            RGBMaskedConv2d("B", c, c, 3), nn.BatchNorm2d(c), nn.ReLU(), RGBMaskedConv2d("B", c, 2 * c, 1),
        )  # fmt: skip

    def forward(self, x):
        return self.net(x) + x


class RGBPixelCNN(nn.Module):
    """forward: x (B, 3, H, W) → logits (B, levels, 3, H, W); `flat` leaves them at (B, levels · 3, H, W)."""

    def __init__(self, levels=4, c=6, blocks=1, flat=False):
        super().__init__()
        self.levels, self.flat = levels, flat
        self.first = RGBMaskedConv2d("A", 3, 2 * c, 5)
        self.blocks = nn.Sequential(*[RGBResidual(c) for _ in range(blocks)])
        self.out = nn.Sequential(nn.ReLU(), RGBMaskedConv2d("B", 2 * c, levels * 3, 1))

    def forward(self, x):
        out = self.out(self.blocks(self.first(x)))
        if self.flat:
            return out
        return out.view(x.shape[0], self.levels, 3, x.shape[2], x.shape[3])


class LocallyMaskedConv2d(nn.Module):
    """Jain et al., 2020: patches by unfold, a mask for each position, one matrix product."""

    def __init__(self, c_in, c_out, kernel, bias=True):
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.randn(c_out, c_in * kernel * kernel) / kernel)
        self.bias = nn.Parameter(torch.randn(c_out, 1)) if bias else None

    def forward(self, x, mask):
        batch, c_in, height, width = x.shape
        patches = F.unfold(x, self.kernel, padding=self.kernel // 2)
        patches = patches.view(batch, c_in, self.kernel * self.kernel, height * width) * mask[None, None]
        out = torch.matmul(self.weight, patches.view(batch, -1, height * width))
        if self.bias is not None:
            out = out + self.bias
        return out.view(batch, -1, height, width)


def local_mask(order, size, kernel, own):
    """(kernel², H·W): which taps around each position come before it in `order`, or are itself if `own`."""
    rank = np.empty(size * size, int)
    rank[order] = np.arange(size * size)
    rank, reach = rank.reshape(size, size), kernel // 2
    mask = np.zeros((kernel * kernel, size * size), np.float32)
    for y in range(size):
        for x in range(size):
            for tap in range(kernel * kernel):
                yy, xx = y + tap // kernel - reach, x + tap % kernel - reach
                if 0 <= yy < size and 0 <= xx < size:
                    before = rank[yy, xx] < rank[y, x] or (own and rank[yy, xx] == rank[y, x])
                    mask[tap, y * size + x] = before
    return torch.from_numpy(mask)


class LocallyMaskedPixelCNN(nn.Module):
    """A PixelCNN for any order of its pixels."""

    def __init__(self, order, size=5, levels=4, c=6, kernel=3):
        super().__init__()
        self.first = LocallyMaskedConv2d(1, c, kernel)
        self.norm = nn.ModuleList([nn.LayerNorm(c), nn.LayerNorm(c)])
        self.convs = nn.ModuleList([LocallyMaskedConv2d(c, c, kernel, bias=bool(i)) for i in range(2)])
        self.last = nn.Conv2d(c, levels, 1)
        self.register_buffer("mask_init", local_mask(order, size, kernel, own=False))
        self.register_buffer("mask_undilated", local_mask(order, size, kernel, own=True))

    def forward(self, x):
        x = self.first(x, self.mask_init)
        for norm, conv in zip(self.norm, self.convs, strict=True):
            h = F.relu(norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
            x = x + conv(h, self.mask_undilated)
        return self.last(F.relu(x))


class VerticalConv(nn.Conv2d):
    def __init__(self, kind, c_in, c_out, kernel):
        super().__init__(c_in, c_out, kernel, padding=kernel // 2)
        mask = torch.ones_like(self.weight)
        mask[:, :, kernel // 2 + (kind == "B") :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        self.weight.data *= self.mask
        return super().forward(x)


class HorizontalConv(nn.Conv2d):
    def __init__(self, kind, c_in, c_out, kernel):
        super().__init__(c_in, c_out, (1, kernel), padding=(0, kernel // 2))
        mask = torch.ones_like(self.weight)
        mask[:, :, :, kernel // 2 + (kind == "B") :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        self.weight.data *= self.mask
        return super().forward(x)


class ConditionalGated(nn.Module):
    """A Gated PixelCNN (vertical stack masked, fed to the horizontal one) with a condition.

    condition: "label" (B,) through an embedding; "vector" (B, D) through a Linear; "image" (B, 1, H/2, W/2) through its
    own convolutions (with BatchNorm and pooling, which may look everywhere) and nearest-neighbour upsampling.
    """

    def __init__(self, condition, levels=4, c=6, classes=5):
        super().__init__()
        self.kind = condition
        self.vertical, self.horizontal = VerticalConv("A", 1, 2 * c, 3), HorizontalConv("A", 1, 2 * c, 3)
        self.vertical2, self.horizontal2 = VerticalConv("B", c, 2 * c, 3), HorizontalConv("B", c, 2 * c, 3)
        self.link, self.link2 = nn.Conv2d(2 * c, 2 * c, 1), nn.Conv2d(2 * c, 2 * c, 1)
        if condition == "label":
            self.project = nn.Embedding(classes, 2 * c)
        elif condition == "vector":
            self.project = nn.Sequential(nn.Linear(classes, c), nn.Tanh(), nn.Linear(c, 2 * c, bias=False))
        else:
            self.project = nn.Sequential(
                nn.Conv2d(1, c, 3, padding=1), nn.GroupNorm(2, c), nn.ReLU(), nn.MaxPool2d(3, 1, 1),
                nn.Conv2d(c, 2 * c, 3, padding=1), nn.BatchNorm2d(2 * c), nn.Upsample(scale_factor=2),
            )  # fmt: skip
        self.head = nn.Sequential(nn.Conv2d(c, c, 1), nn.LeakyReLU(0.1), nn.Conv2d(c, levels, 1))

    @staticmethod
    def gate(x):
        a, b = x.chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)

    def forward(self, x, cond):
        bias = self.project(cond)
        if self.kind != "image":
            bias = bias.view(bias.shape[0], -1, 1, 1)
        v = self.vertical(x)
        h = self.gate(self.horizontal(x) + self.link(v) + bias)
        v2 = self.vertical2(self.gate(v + bias))
        h = h + self.gate(self.horizontal2(h) + self.link2(v2) + bias)
        return self.head(h)
