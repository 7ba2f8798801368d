"""What compile takes: examples, conditions and heads, inside inference mode too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genfast as gf
from genfast.errors import UnsupportedOpError


class Flagged(nn.Module):
    """A masked layer on four numbers, added to by a flag."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
        self.register_buffer("mask", torch.tril(torch.ones(4, 4), -1))

    def forward(self, x, flag):
        out = F.linear(x.reshape(-1, 4), self.inner.weight * self.mask, self.inner.bias)
        return out.reshape(-1, 1, 4) + torch.where(flag, 2.0, -2.0).reshape(-1, 1, 1)


def flagged():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Flagged().eval()


def test_conditions_take_bools_and_tensors_with_gradients():
    model = gf.compile(flagged(), (torch.zeros(1, 1, 4), torch.tensor([True])), head=gf.heads.Bernoulli())
    want = model.sample(2, rng=0, condition={"flag": np.array([1, 0])})
    assert (want == model.sample(2, rng=0, condition={"flag": np.array([True, False])})).all()
    assert model.sample(50, rng=0, condition={"flag": True}).mean() > 0.7
    inner = flagged()
    real = gf.compile(
        lambda x, c: inner(x, torch.tensor([True])) + c.reshape(-1, 1, 1),
        (torch.zeros(1, 1, 4), torch.zeros(1, 1)),
        head=gf.heads.Bernoulli(),
    )
    c = torch.ones(1, requires_grad=True)
    assert (real.sample(5, rng=0, condition={"c": c}) == real.sample(5, rng=0, condition={"c": np.ones(1)})).all()


def test_compile_inside_inference_mode():
    example = (torch.zeros(1, 1, 4), torch.tensor([True]))
    want = gf.compile(flagged(), example, head=gf.heads.Bernoulli())
    with torch.inference_mode():
        example = tuple(t.clone() for t in example)
        assert example[0].is_inference()
        got = gf.compile(flagged(), example, head=gf.heads.Bernoulli())
        assert torch.is_inference_mode_enabled()
    condition = {"flag": np.array([True] * 20)}
    assert (got.sample(20, rng=0, condition=condition) == want.sample(20, rng=0, condition=condition)).all()


class Shaped(nn.Module):
    """Logits (B, T, 7) of the next token, of which `shape` makes another output."""

    def __init__(self, shape, width=16):
        super().__init__()
        self.embed, self.conv, self.out = nn.Embedding(7, width), nn.Conv1d(width, width, 3), nn.Linear(width, 7)
        self.shape = shape

    def forward(self, x):
        h = F.pad(self.embed(x).transpose(1, 2), (2, 0))
        return self.shape(self.out(torch.tanh(self.conv(h)).transpose(1, 2)))


def shaped(shape):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Shaped(shape).eval()


def test_logits_flattened_for_a_loss_keep_their_rows():
    example = torch.zeros(1, 6).long()
    want = gf.compile(shaped(lambda y: y), example).sample(9, rng=0)
    for head in (None, gf.heads.Categorical(7)):
        got = gf.compile(shaped(lambda y: y.reshape(-1, 7)), example, head=head)
        assert (got.sample(9, rng=0) == want).all()


def test_what_a_batch_of_two_tells():
    example = torch.zeros(1, 6).long()

    def rounded(y):
        return y + (len(y) - 1) * 2.0**-7

    for shape, words in [
        (
            lambda y: y.transpose(0, 1),
            r"first axis is not the batch: its shape is \(6, 1, 7\) for one row and \(6, 2, 7\)",
        ),
        (lambda y: y.transpose(0, 1).reshape(-1, 7), "rows of a batch influence each other"),
        (lambda y: y + y.mean(0), "rows of a batch influence each other"),
        (rounded, "rows of a batch influence each other"),
    ]:
        with pytest.raises(UnsupportedOpError, match=words):
            gf.compile(shaped(shape), example)
    with pytest.raises(UnsupportedOpError, match=r"computes in bfloat16, whose rounding does that.*model.float\(\)"):
        gf.compile(shaped(rounded).bfloat16(), example)
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(UnsupportedOpError, match=r"computes in bfloat16.*without autocast"),
    ):
        gf.compile(shaped(rounded), example)


def test_a_head_must_be_one():
    for head in (gf.heads.Categorical, "categorical"):
        with pytest.raises(TypeError, match="head must be one of genfast"):
            gf.compile(flagged(), (torch.zeros(1, 1, 4), torch.tensor([True])), head=head)


def test_an_example_outside_the_tables():
    for example in (torch.full((1, 5), 11), torch.full((1, 5), -1)):
        with pytest.raises(ValueError, match="cannot index its tables with the example's tokens"):
            gf.compile(nn.Embedding(11, 11), example)
    places = nn.Embedding(4, 11)
    for head in (None, gf.heads.Categorical(11)):
        with pytest.raises(ValueError, match="the example's length of 5"):
            gf.compile(lambda x: F.one_hot(x, 11) + places(torch.arange(5)), torch.zeros(1, 5).long(), head=head)
