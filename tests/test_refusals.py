"""What stands in the way of incremental sampling is refused with the layer named."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genfast as gf
from genfast.errors import NotCausalError, UnsupportedOpError
from tests import models_for_tests as M

X = torch.zeros(2, 1, 6, 5)
L = 4


class Net(nn.Module):
    """A PixelCNN of two masked layers with something between them."""

    def __init__(self, between=None, first="A"):
        super().__init__()
        self.first = M.MaskData(first, 1, 8, 3, padding=1)
        self.between = between or nn.Identity()
        self.last = M.MaskData("B", 8, L, 3, padding=1)

    def forward(self, x):
        return self.last(torch.relu(self.between(self.first(x))))


class SqueezeAndExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.excite = nn.Sequential(nn.Conv2d(8, 2, 1), nn.ReLU(), nn.Conv2d(2, 8, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.excite(self.squeeze(x))


class Halting(nn.Module):
    def forward(self, x):
        for _ in range(3):
            if x.abs().mean() < 0.5:
                break
            x = x * 0.9
        return x


class Routed(nn.Module):
    """A mixture of experts: the best of two per position, by indices that depend on values."""

    def __init__(self):
        super().__init__()
        self.router = nn.Conv2d(8, 2, 1)
        self.experts = nn.ModuleList([nn.Conv2d(8, 8, 1) for _ in range(2)])

    def forward(self, x):
        best = self.router(x).topk(1, dim=1).indices
        return sum(torch.where(best == i, expert(x), 0.0) for i, expert in enumerate(self.experts))


def compile(model):
    return gf.compile(model, X, head=gf.heads.Categorical(L))


@pytest.mark.parametrize(
    "layer",
    [nn.GroupNorm(2, 8), nn.GroupNorm(8, 8), nn.InstanceNorm2d(8), nn.LayerNorm([8, 6, 5]), SqueezeAndExcite()],
    ids=lambda layer: f"{type(layer).__name__}{getattr(layer, 'num_groups', '')}",
)
def test_statistics_over_positions(layer):
    with pytest.raises(NotCausalError, match="between"):
        compile(Net(layer).eval())


def test_batch_statistics():
    with pytest.raises(NotCausalError, match=r"between.*eval\(\)"):
        compile(Net(nn.BatchNorm2d(8)).train())
    compile(Net(nn.BatchNorm2d(8)).eval())


def test_first_layer_of_mask_type_b():
    with pytest.raises(NotCausalError, match=r"layer first .*type A"):
        compile(Net(first="B"))


def test_a_hole_in_a_later_mask():
    model = Net()
    model.last = nn.Conv2d(8, L, 3, padding=1)
    with pytest.raises(NotCausalError, match="layer last "):
        compile(model)


class Linear(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


class Made(nn.Module):
    """Masked linear layers over all positions, drawn from the last to the first."""

    def __init__(self, sites=6, hidden=20):
        super().__init__()
        seen = torch.arange(hidden) % (sites - 1)
        rank = torch.arange(sites).flip(0)
        self.first, self.last = Linear(sites, hidden), Linear(hidden, L * sites)
        self.first.mask = (seen[:, None] >= rank).float()
        self.last.mask = (rank.repeat(L)[:, None] > seen).float()

    def forward(self, x):
        return self.last(F.relu(self.first(x))).unflatten(1, (L, -1))


def test_linear_layers_over_positions_in_a_wrong_order():
    example, head = torch.zeros(2, 6), gf.heads.Categorical(L)
    gf.compile(Made(), example, head=head, order="infer")
    with pytest.raises(NotCausalError, match=r"layer first .*Hint: this linear layer .*order='infer'"):
        gf.compile(Made(), example, head=head)


def test_dropout_left_on():
    with pytest.raises(UnsupportedOpError, match=r"module 'between'.*dropout.*eval\(\)"):
        compile(Net(nn.Dropout(0.1)).train())
    compile(Net(nn.Dropout(0.1)).eval())


def test_control_flow_on_values():
    with pytest.raises(UnsupportedOpError, match=r"module 'between' at .*test_refusals.py:\d+.*control flow"):
        compile(Net(Halting()))


def test_routing_on_values():
    with pytest.raises(UnsupportedOpError, match=r"topk.*module 'between'"):
        compile(Net(Routed()))


class Attention(nn.Module):
    def __init__(self, ahead):
        super().__init__()
        self.qkv, self.ahead = nn.Linear(8, 24), ahead

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        seen = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril(self.ahead)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


class Text(nn.Module):
    """One attention layer over tokens that sees `ahead` tokens too many."""

    def __init__(self, ahead=0):
        super().__init__()
        self.embed, self.attention, self.out = nn.Embedding(L, 8), Attention(ahead), nn.Linear(8, L)

    def forward(self, x):
        return self.out(self.attention(self.embed(x)))


@pytest.mark.parametrize("ahead", [1, 5], ids=["off by one", "BERT"])
def test_attention_that_sees_too_far(ahead):
    tokens = torch.zeros(2, 6, dtype=torch.int64)
    gf.compile(Text(), tokens)
    with pytest.raises(NotCausalError, match=r"layer attention .*predict site p \+ 1"):
        gf.compile(Text(ahead), tokens)
