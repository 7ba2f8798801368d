"""Small causal networks, one for each way in which people mask, lay out and condition them. Seeded, ready to call."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def mask(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """The raster mask of a convolution's weight; type A hides the centre too."""
    m = torch.ones_like(weight)
    height, width = weight.shape[2:]
    m[:, :, height // 2, width // 2 + (kind == "B") :] = 0
    m[:, :, height // 2 + 1 :] = 0
    return m


class MaskData(nn.Conv2d):
    """`weight.data *= mask` in forward."""

    def __init__(self, kind, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("mask", mask(self.weight, kind))

    def forward(self, x):
        self.weight.data *= self.mask
        return super().forward(x)


class MaskCall(MaskData):
    """`F.conv2d(x, w * mask)`."""

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, self.stride, self.padding, self.dilation, self.groups)


class MaskLate(nn.Conv2d):
    """A mask that is made on the first call."""

    def __init__(self, kind, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kind = kind

    def forward(self, x):
        if not hasattr(self, "mask"):
            self.register_buffer("mask", mask(self.weight, self.kind))
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class MaskOnce(nn.Conv2d):
    """Weights zeroed once, at construction."""

    def __init__(self, kind, *args, **kwargs):
        super().__init__(*args, **kwargs)
        with torch.no_grad():
            self.weight *= mask(self.weight, kind)


def masked_old_weight_norm(kind, *args, **kwargs):
    with_mask = nn.utils.weight_norm(MaskOnce(kind, *args, **kwargs))
    return with_mask


def masked_new_weight_norm(kind, *args, **kwargs):
    return nn.utils.parametrizations.weight_norm(MaskOnce(kind, *args, **kwargs))


class MaskParametrization(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.register_buffer("m", m)

    def forward(self, weight):
        return weight * self.m


def masked_parametrized(kind, *args, **kwargs):
    conv = nn.Conv2d(*args, **kwargs)
    nn.utils.parametrize.register_parametrization(conv, "weight", MaskParametrization(mask(conv.weight, kind)))
    return conv


class Block(nn.Module):
    def __init__(self, conv, c, activation):
        super().__init__()
        self.net = nn.Sequential(
            activation(),
            nn.Conv2d(c, c // 2, 1),
            activation(),
            conv("B", c // 2, c // 2, 3, padding=1),
            activation(),
            nn.Conv2d(c // 2, c, 1),
        )

    def forward(self, x):
        return x + self.net(x)


def pixelcnn(conv=MaskData, c=8, blocks=2, levels=4, activation=nn.ReLU, norm=None):
    norms = [norm(c)] if norm else []
    return nn.Sequential(
        conv("A", 1, c, 5, padding=2),
        *[Block(conv, c, activation) for _ in range(blocks)],
        *norms,
        activation(),
        nn.Conv2d(c, levels, 1),
    ).eval()


class GatedLayer(nn.Module):
    """Vertical and horizontal stacks (van den Oord et al., 2016b); shifts by padding and cropping."""

    def __init__(self, kind, c_in, c, k=3, classes=0):
        super().__init__()
        self.kind, self.k = kind, k
        self.vertical = nn.Conv2d(c_in, 2 * c, (k // 2 + 1, k))
        self.horizontal = nn.Conv2d(c_in, 2 * c, (1, k // 2 + (kind == "B")))
        self.link = nn.Conv2d(2 * c, 2 * c, 1)
        self.out = nn.Conv2d(c, c, 1)
        self.classes = nn.Embedding(classes, 2 * c) if classes else None

    def forward(self, v, h, label=None):
        k, width = self.k, h.shape[-1]
        row = self.vertical(F.pad(v, (k // 2, k // 2, k // 2 + 1, 0)))
        vertical = row[:, :, 1:]
        down = row[:, :, :-1]
        horizontal = self.horizontal(F.pad(h, (k // 2, 0, 0, 0)))[..., :width] + self.link(down)
        if self.classes is not None:
            c = self.classes(label)[:, :, None, None]
            vertical, horizontal = vertical + c, horizontal + c
        v = self.gate(vertical)
        h2 = self.out(self.gate(horizontal))
        return v, h2 + h if self.kind == "B" else h2

    @staticmethod
    def gate(x):
        a, b = torch.chunk(x, 2, 1)
        return torch.tanh(a) * torch.sigmoid(b)


class GatedPixelCNN(nn.Module):
    def __init__(self, c=8, layers=3, levels=4, classes=0):
        super().__init__()
        self.layers = nn.ModuleList(
            [GatedLayer("A" if i == 0 else "B", 1 if i == 0 else c, c, classes=classes) for i in range(layers)]
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(c, levels, 1))

    def forward(self, x, label=None):
        v = h = x
        for layer in self.layers:
            v, h = layer(v, h, label)
        return self.head(h)


class Conditional(nn.Module):
    """A PixelCNN with a condition: an embedded label, a one-hot label, a vector or an image."""

    def __init__(self, kind, c=6, levels=4, classes=3):
        super().__init__()
        self.kind, self.classes = kind, classes
        self.first = MaskData("A", 1, c, 3, padding=1)
        self.net = pixelcnn(MaskData, c, 1, levels)[1:]
        if kind == "embedding":
            self.project = nn.Embedding(classes, c)
        elif kind in ("one_hot", "scatter", "vector"):
            self.project = nn.Linear(classes, c)
        elif kind == "index":
            self.project = nn.Parameter(torch.randn(classes, c))
        else:
            self.project = nn.Conv2d(2, c, 3, padding=1)

    def forward(self, x, cond):
        if self.kind == "one_hot":
            cond = F.one_hot(cond, self.classes).float()
        if self.kind == "scatter":
            cond = torch.zeros(cond.shape[0], self.classes).scatter_(1, cond.unsqueeze(1), 1.0)
        bias = self.project[cond] if self.kind == "index" else self.project(cond)
        return self.net(self.first(x) + (bias if bias.dim() == 4 else bias[:, :, None, None]))


class TokenImage(nn.Module):
    """Integer input (B, H, W) through an embedding, logits on axis 1 or last."""

    def __init__(self, levels=5, c=6, last=False, one_hot=False):
        super().__init__()
        self.embed = nn.Embedding(levels, c)
        self.levels, self.last, self.one_hot = levels, last, one_hot
        self.net = nn.Sequential(
            MaskCall("A", levels if one_hot else c, c, 3, padding=1), nn.GELU(), MaskCall("B", c, levels, 3, padding=1)
        )

    def forward(self, x):
        e = F.one_hot(x, self.levels).float() if self.one_hot else self.embed(x)
        y = self.net(e.permute(0, 3, 1, 2))
        return y.permute(0, 2, 3, 1) if self.last else y


class WaveNet(nn.Module):
    """Causal 1-d convolutions with dilation; tokens (B, T) or samples (B, 1, T)."""

    def __init__(self, levels=5, c=6, tokens=False):
        super().__init__()
        self.embed = nn.Embedding(levels, c) if tokens else None
        self.inp = nn.Conv1d(c if tokens else 1, c, 2)
        self.gates = nn.ModuleList([nn.Conv1d(c, 2 * c, 2, dilation=d) for d in (1, 2, 4)])
        self.skips = nn.ModuleList([nn.Conv1d(c, c, 1) for _ in range(3)])
        self.out = nn.Conv1d(c, levels, 1)

    def forward(self, x):
        h = self.embed(x).transpose(1, 2) if self.embed else x
        h = self.inp(F.pad(h, (2, 0)))[..., :-1]
        skip = 0
        for gate, out in zip(self.gates, self.skips, strict=True):
            g = F.glu(gate(F.pad(h, (gate.dilation[0], 0))), 1)
            skip = skip + g
            h = h + out(g)
        y = self.out(F.relu(skip))
        return y.transpose(1, 2) if self.embed else y


class ChannelsLast(nn.Module):
    """NHWC with Linear, LayerNorm over channels and shifts by roll and mask."""

    def __init__(self, c=8, levels=4):
        super().__init__()
        self.inp = nn.Linear(2, c)
        self.norm = nn.LayerNorm(c)
        self.mlp = nn.Sequential(nn.Linear(c, 2 * c), nn.SiLU(), nn.Linear(2 * c, c))
        self.out = nn.Linear(c, levels)

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        left, up = torch.zeros_like(x), torch.zeros_like(x)
        left[:, :, 1:] = x[:, :, :-1]
        up[:, 1:] = x[:, :-1]
        h = self.inp(torch.cat([left, up], -1))
        h = h + self.mlp(self.norm(h))
        return self.out(torch.softmax(h, -1)).permute(0, 3, 1, 2)


class DownUp(nn.Module):
    """Strided down, transposed up, shifted so that it stays causal: a block of rows sees the blocks above."""

    def __init__(self, c=4, levels=4):
        super().__init__()
        self.first = MaskData("A", 1, c, 3, padding=1)
        self.down = nn.Conv2d(c, c, 2, stride=2)
        self.up = nn.ConvTranspose2d(c, c, 2, stride=2)
        self.mid = MaskData("B", c, c, 3, padding=1)
        self.out = nn.Conv2d(2 * c, levels, 1)

    def forward(self, x):
        h = self.first(x)
        d = F.elu(self.down(h))
        d = F.pad(d, (0, 0, 1, 0))[:, :, :-1]
        return self.out(F.elu(torch.cat([self.up(d), self.mid(F.elu(h))], 1)))


class ConcatElu(nn.Module):
    def forward(self, x):
        return F.elu(torch.cat([x, -x], 1))


class Grouped(nn.Module):
    """Grouped and depthwise masked convolutions, few and many groups."""

    def __init__(self, c=12, groups=4, levels=4):
        super().__init__()
        self.net = nn.Sequential(
            MaskData("A", 1, c, 3, padding=1),
            ConcatElu(),
            nn.Conv2d(2 * c, c, 1),
            MaskData("B", c, c, 3, padding=1, groups=groups),
            nn.Mish(),
            nn.Conv2d(c, levels, 1),
        )

    def forward(self, x):
        return self.net(x)


class Made(nn.Module):
    """Masked linear layers on a flattened image; one logit a pixel."""

    def __init__(self, sites=16, hidden=24, levels=0):
        super().__init__()
        out = sites * max(levels, 1)
        self.levels, self.sites = levels, sites
        degrees = torch.arange(hidden) % (sites - 1)
        self.register_buffer("m1", (degrees[:, None] >= torch.arange(sites)[None]).float())
        self.register_buffer("m2", (torch.arange(sites).repeat(max(levels, 1))[:, None] > degrees[None]).float())
        self.l1, self.l2 = nn.Linear(sites, hidden), nn.Linear(hidden, out)

    def forward(self, x):
        h = F.relu(F.linear(x.flatten(1), self.l1.weight * self.m1, self.l1.bias))
        y = F.linear(h, self.l2.weight * self.m2, self.l2.bias)
        return y.view(x.shape[0], self.levels, self.sites) if self.levels else y.view(x.shape)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of an image, by permuting."""

    def __init__(self, c):
        super().__init__()
        self.norm = nn.LayerNorm(c)

    def forward(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def batch_norm(c):
    norm = nn.BatchNorm2d(c)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(norm.weight)
    return norm
