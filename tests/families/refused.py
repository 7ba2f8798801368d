"""Networks that are not what they seem: each must be refused, with the layer named that is in the way."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from families.transformers import MinGPT


class Masked(nn.Conv2d):
    def __init__(self, kind, c_in, c_out, kernel):
        super().__init__(c_in, c_out, kernel, padding=kernel // 2)
        mask = torch.ones_like(self.weight)
        mask[:, :, kernel // 2, kernel // 2 + (kind == "B") :] = 0
        mask[:, :, kernel // 2 + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class SqueezeExcite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(c, c // 2), nn.Linear(c // 2, c)

    def forward(self, x):
        s = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(s))))[:, :, None, None]


class Net(nn.Module):
    """A small PixelCNN with something between its layers."""

    def __init__(self, between, first="A", c=8, levels=4):
        super().__init__()
        self.first, self.between = Masked(first, 1, c, 3), between
        self.second, self.out = Masked("B", c, c, 3), nn.Conv2d(c, levels, 1)

    def forward(self, x):
        return self.out(F.relu(self.second(F.relu(self.between(self.first(x))))))


class Depends(nn.Module):
    """Control flow on values."""

    def forward(self, x):
        if x.abs().mean() > 0.5:
            return x * 2
        return x


class Bert(nn.Module):
    """Attention without a mask."""

    def __init__(self, vocab=8, length=6, c=8, heads=2):
        super().__init__()
        self.embed, self.positions = nn.Embedding(vocab, c), nn.Parameter(torch.randn(length, c))
        self.query, self.key, self.value = nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c)
        self.heads, self.dense, self.out = heads, nn.Linear(c, c), nn.Linear(c, vocab)

    def forward(self, ids):
        batch, length = ids.shape
        x = self.embed(ids) + self.positions
        shape = lambda t: t.view(batch, length, self.heads, -1).permute(0, 2, 1, 3)
        q, k, v = shape(self.query(x)), shape(self.key(x)), shape(self.value(x))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
        context = torch.matmul(nn.functional.softmax(scores, dim=-1), v)
        return self.out(self.dense(context.permute(0, 2, 1, 3).contiguous().view(batch, length, -1)) + x)


class OffByOne(MinGPT):
    """A triangle with one diagonal too many."""

    def __init__(self):
        super().__init__(vocab=7, block_size=6, c=8, layers=2)
        triangle = torch.ones(6, 6).tril(1).view(1, 1, 6, 6)
        self.transformer.h[1].attn.bias.copy_(triangle)


class Experts(nn.Module):
    """Each token goes to the expert of its highest score."""

    def __init__(self, c, experts=3):
        super().__init__()
        self.gate = nn.Linear(c, experts, bias=False)
        self.experts = nn.ModuleList([nn.Linear(c, c) for _ in range(experts)])

    def forward(self, x):
        rows = x.view(-1, x.shape[-1])
        weights, chosen = torch.topk(self.gate(rows).softmax(-1), 2)
        out = torch.zeros_like(rows)
        for i, expert in enumerate(self.experts):
            row, nth = torch.where(chosen == i)
            out[row] += weights[row, nth, None] * expert(rows[row])
        return out.view_as(x)


class MixtureOfExperts(nn.Module):
    def __init__(self, vocab=7, c=6):
        super().__init__()
        self.embed, self.experts, self.out = nn.Embedding(vocab, c), Experts(c), nn.Linear(c, vocab)

    def forward(self, ids):
        return self.out(self.experts(self.embed(ids)))
