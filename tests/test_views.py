"""Views that are strides: the addresses they stand for, and that a transformer's large tensors never become any."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genfast.export import export
from genfast.export import view as view_module
from genfast.export.view import Rectangle, Steps, View
from genfast.heads import Categorical

LAYOUTS = {
    "reshape": lambda t, r: t.reshape(t.shape[0], -1, *t.shape[-1:]) if t.dim() > 2 else t.reshape(3, -1, t.shape[-1]),
    "permute": lambda t, r: t.permute(*r.permutation(t.dim()).tolist()),
    "slice": lambda t, r: t[..., 1:] if t.shape[-1] > 2 else t,
    "every_other": lambda t, r: t[..., ::2],
    "unsqueeze": lambda t, r: t.unsqueeze(int(r.integers(t.dim() + 1))),
    "select": lambda t, r: t.select(int(r.integers(t.dim())), 0) if t.dim() > 3 else t,
    "expand": lambda t, r: t.unsqueeze(0).expand(2, *t.shape),
    "roll": lambda t, r: t.roll(1, -1),
}


@pytest.mark.parametrize("seed", range(40))
def test_layout_of_strides_is_layout_of_addresses(seed):
    rng = np.random.default_rng(seed)
    view = View.affine(2, torch.empty(12, 10, device="meta"))
    addr = torch.arange(120).reshape(12, 10) + (3 << 32)
    for name in rng.choice(list(LAYOUTS), 4):
        f, draws = LAYOUTS[name], int(rng.integers(1 << 30))
        view = view.map(lambda t, f=f, draws=draws: f(t, np.random.default_rng(draws)))
        addr = f(addr, np.random.default_rng(draws))
    assert view.shape == tuple(addr.shape)
    assert torch.equal(view.addr, addr)
    steps = None if view.meta is None else Steps.of(view.meta, 10)
    if steps is not None:
        index = np.indices(steps.shape)
        rank = len(steps.shape)
        position = steps.position + sum(index[d] * steps.positions[d] for d in range(rank))
        channel = steps.channel + sum(index[d] * steps.channels[d] for d in range(rank))
        np.testing.assert_array_equal(position * 10 + channel, addr.numpy() - (3 << 32))
        layout = Rectangle.of(steps)
        if layout is not None:
            places = layout.view(0).addr - (1 << 32)
            assert sorted(places.flatten().tolist()) == list(range(addr.numel()))


class Decoder(nn.Module):
    def __init__(self, length, width, vocabulary):
        super().__init__()
        self.embed, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.norm, self.qkv = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.logits = nn.Linear(width, vocabulary, bias=False)

    def forward(self, x):
        h = self.embed(x) + self.place(torch.arange(x.shape[1]))
        q, k, v = (y.unflatten(-1, (4, -1)).transpose(1, 2) for y in self.qkv(self.norm(h)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + y.transpose(1, 2).reshape(h.shape)
        return self.logits(h + self.down(F.gelu(self.up(h))))


def test_large_tensors_of_a_transformer_never_become_addresses(monkeypatch):
    length, width, vocabulary = 48, 16, 3000
    made = []
    original = view_module.View.__dict__["addr"].func

    def counted(self):
        if "given" in self.__dict__:
            return self.given
        made.append(int(np.prod(self.shape)))
        return original(self)

    monkeypatch.setattr(view_module.View, "addr", property(counted, lambda self, addr: setattr(self, "given", addr)))
    monkeypatch.setattr(
        view_module.View, "shape", property(lambda self: tuple(getattr(self, "given", self.meta).shape))
    )
    export(Decoder(length, width, vocabulary).eval(), torch.zeros(1, length, dtype=torch.long), Categorical(vocabulary))
    assert made and max(made) <= length * width  # queries, keys and values, but neither scores nor logits
