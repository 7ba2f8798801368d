"""Masked multilayer perceptrons: MADE (Germain et al., 2015), NADE (Larochelle & Murray, 2011) and masked
autoregressive flows (Papamakarios et al., 2017)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class MaskedLinear(nn.Linear):
    def __init__(self, n_in, n_out, bias=True):
        super().__init__(n_in, n_out, bias)
        self.register_buffer("mask", torch.ones(n_out, n_in))

    def set_mask(self, mask):
        self.mask.data.copy_(torch.from_numpy(mask.astype(np.uint8).T))

    def forward(self, x):
        return F.linear(x, self.mask * self.weight, self.bias)


class MADE(nn.Module):
    """Several masks, made anew from a cycle of seeds; natural ordering or a permuted one for each.

    forward: x (B, nin) → (B, nout): one logit an input, or nout / nin of them, all the first ones first.
    """

    def __init__(self, nin, hidden, nout, num_masks=1, natural=False):
        super().__init__()
        self.nin, self.nout, self.hidden, self.natural = nin, nout, hidden, natural
        self.net, sizes = [], [nin, *hidden, nout]
        for h0, h1 in pairwise(sizes):
            self.net.extend([MaskedLinear(h0, h1), nn.ReLU()])
        self.net.pop()
        self.net = nn.Sequential(*self.net)
        self.seed, self.num_masks, self.m = 0, num_masks, {}
        self.update_masks()

    def update_masks(self):
        layers = len(self.hidden)
        rng = np.random.RandomState(self.seed)
        self.seed = (self.seed + 1) % self.num_masks
        self.m[-1] = np.arange(self.nin) if self.natural else rng.permutation(self.nin)
        for i in range(layers):
            self.m[i] = rng.randint(self.m[i - 1].min(), self.nin - 1, size=self.hidden[i])
        masks = [self.m[i - 1][:, None] <= self.m[i][None, :] for i in range(layers)]
        masks.append(self.m[layers - 1][:, None] < self.m[-1][None, :])
        if self.nout > self.nin:
            masks[-1] = np.concatenate([masks[-1]] * (self.nout // self.nin), axis=1)
        for layer, mask in zip([m for m in self.net.modules() if isinstance(m, MaskedLinear)], masks, strict=True):
            layer.set_mask(mask)

    def forward(self, x):
        return self.net(x)


class NADE(nn.Module):
    """A loop over the inputs; the running sum of the hidden layer is updated in place. Probabilities, as a list."""

    def __init__(self, inputs=9, hidden=7):
        super().__init__()
        self.inputs, self.hidden = inputs, hidden
        self.W = nn.Parameter(torch.randn(hidden, inputs) * 0.5)
        self.c = nn.Parameter(torch.randn(1, hidden) * 0.5)
        self.V = nn.Parameter(torch.randn(inputs, hidden) * 0.5)
        self.b = nn.Parameter(torch.randn(inputs) * 0.5)

    def forward(self, x):
        a = self.c.expand(x.size(0), -1)
        p_hat = []
        for i in range(self.inputs):
            h = torch.sigmoid(a)
            p_hat.append(torch.sigmoid(h.mm(self.V[i : i + 1].t()) + self.b[i : i + 1]))
            a = a + x[:, i : i + 1].mm(self.W[:, i : i + 1].t())
        return torch.cat(p_hat, 1)


class MAF(nn.Module):
    """One layer of a masked autoregressive flow: x_i = mu_i + exp(alpha_i) · noise_i.

    forward: x (B, D) → (mu, alpha), (B, D) each; `joint` gives (B, 2·D) instead, mu first.
    """

    def __init__(self, dim=6, hidden=16, natural=True, joint=False, limit=2.0):
        super().__init__()
        self.made = MADE(dim, [hidden, hidden], 2 * dim, natural=natural)
        self.joint, self.limit = joint, limit

    def forward(self, x, context=None):
        mu, alpha = self.made(x).chunk(2, dim=1)
        alpha = torch.tanh(alpha) * self.limit
        return torch.cat([mu, alpha], 1) if self.joint else (mu, alpha)
