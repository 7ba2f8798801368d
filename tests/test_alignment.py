"""Which site an output predicts: its own, or the next one, as in GPT."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import genfast as gf
from genfast import reference
from genfast.errors import NotCausalError
from genfast.export import export, lower

T, V = 8, 5
TOKENS = torch.zeros(2, T, dtype=torch.int64)


class Tokens(nn.Module):
    """A causal 1-d convolution over embedded tokens; `ahead` shifts what output p sees: 0 is up to p, −1 before it."""

    def __init__(self, ahead=0, vocabulary=V, rows=None, width=6):
        super().__init__()
        self.ahead = ahead
        self.embed = nn.Embedding(rows or vocabulary, width)
        self.conv, self.out = nn.Conv1d(width, width, 3), nn.Linear(width, vocabulary)

    def forward(self, x):
        y = self.embed(x).transpose(1, 2)
        y = torch.relu(self.conv(nn.functional.pad(y, (2 - self.ahead, self.ahead))))
        return self.out(y.transpose(1, 2))


def naive(model, u, bos=None):
    """Tokens by one whole pass each; with `bos` the first is given and output p predicts p + 1."""
    x = torch.zeros(u.shape, dtype=torch.int64)
    if bos is not None:
        x[:, 0] = bos
    for p in range(bos is not None, u.shape[1]):
        with torch.no_grad():
            f = torch.softmax(model(x)[:, p - (bos is not None)].double(), 1).cumsum(1).numpy()
        x[:, p] = torch.from_numpy((f >= u[:, p, None]).argmax(1))
    return x.numpy()


@pytest.fixture
def u():
    return np.random.default_rng(3).random((4, T))


def test_next_is_found_and_told(u):
    torch.manual_seed(0)
    model = Tokens()
    compiled = gf.compile(model, TOKENS, head=gf.heads.Categorical(V), bos=3)
    assert "output p predicts site p + 1" in compiled.explain()
    np.testing.assert_array_equal(compiled.sample(4, u=u), naive(model, u, bos=3))
    file = compiled._core.file_bytes()
    assert file == export(model, TOKENS, gf.heads.Categorical(V), alignment="next", bos=3)
    np.testing.assert_array_equal(reference.sample(reference.read(file), u), naive(model, u, bos=3))


def test_same_is_preferred(u):
    torch.manual_seed(0)
    model = Tokens(ahead=-1)
    compiled = gf.compile(model, TOKENS, head=gf.heads.Categorical(V))
    assert "p + 1" not in compiled.explain()
    np.testing.assert_array_equal(compiled.sample(4, u=u), naive(model, u))
    shifted = gf.compile(model, TOKENS, head=gf.heads.Categorical(V), alignment="next")
    np.testing.assert_array_equal(shifted.sample(4, u=u), naive(model, u, bos=0))


def test_same_can_be_insisted_on():
    with pytest.raises(NotCausalError):
        gf.compile(Tokens(), TOKENS, head=gf.heads.Categorical(V), alignment="same")


def test_one_token_too_far_is_not_causal_for_either():
    with pytest.raises(NotCausalError, match=r"conv.*outputs p that predict site p \+ 1.*own site either"):
        gf.compile(Tokens(ahead=1), TOKENS)


def test_the_default_head_is_the_vocabulary(u):
    torch.manual_seed(0)
    model = Tokens()
    np.testing.assert_array_equal(gf.compile(model, TOKENS).sample(4, u=u), naive(model, u, bos=0))
    with pytest.raises(ValueError, match=r"head= is needed.*needs latent="):
        gf.compile(model, TOKENS.float())
    with pytest.raises(ValueError, match="head= is needed"):
        gf.compile(lambda x: x.float(), TOKENS)


def test_start_token_beyond_the_vocabulary(u):
    """ImageGPT: 513 embeddings, 512 logits; the last token only starts a sequence."""
    torch.manual_seed(0)
    model = Tokens(vocabulary=V, rows=V + 1)
    compiled = gf.compile(model, TOKENS, bos=V)
    out = compiled.sample(4, u=u)
    np.testing.assert_array_equal(out, naive(model, u, bos=V))
    assert (out[:, 0] == V).all() and (out[:, 1:] < V).all()
    with pytest.raises(ValueError, match="bos must be a level from 0 to 5"):
        gf.compile(model, TOKENS, bos=V + 1)


def test_images_and_floats_are_never_shifted():
    """A first layer with mask type B must be found, not hidden by predicting the next site."""

    def image(x):
        return torch.stack([x, -x, x * x], 1)

    with pytest.raises(NotCausalError):
        gf.compile(image, torch.zeros(1, 3, 4, dtype=torch.int64), head=gf.heads.Categorical(3))
    with pytest.raises(NotCausalError):
        gf.compile(image, torch.zeros(1, 6), head=gf.heads.Categorical(3))
    assert lower(image, torch.zeros(1, 6), gf.heads.Categorical(3)).alignments == ("same",)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alignment": "after"}, ValueError, "'infer', 'same', 'next'"),
        ({"alignment": "next", "head": gf.heads.Bernoulli()}, ValueError, "needs a Categorical head"),
        ({"bos": -1}, ValueError, "bos must be"),
        ({"bos": 1.5}, TypeError, "bos must be an integer"),
        ({"bos": True}, ValueError, "bos must be"),
    ],
)
def test_bad_arguments(options, error, message):
    model = Tokens() if "head" not in options else Tokens(vocabulary=1, rows=2)
    with pytest.raises(error, match=message):
        gf.compile(model, TOKENS, **options)


def test_next_is_for_inputs_without_channels():
    def model(x):
        return torch.stack([x, -x, x * x], 1)

    with pytest.raises(ValueError, match="without channels"):
        export(model, torch.zeros(1, 2, 3, 4), gf.heads.Categorical(3), alignment="next")
