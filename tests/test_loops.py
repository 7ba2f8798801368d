"""Cumulative sums and recurrent layers become loops of a few nodes, and give PyTorch's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import genfast as gf
from genfast import reference
from genfast.errors import NotCausalError, UnsupportedOpError
from genfast.export import export
from genfast.heads import Categorical

T, V = 7, 5
TOKENS = torch.zeros(2, T, dtype=torch.int64)


def check(model, *conditions, tolerance=1e-5):
    """Export a token model, run the file in NumPy, compare with PyTorch; the parsed graph."""
    model = model.eval() if isinstance(model, nn.Module) else model
    graph = reference.read(export(model, (TOKENS, *conditions), Categorical(V)))
    x = torch.from_numpy(np.random.default_rng(0).integers(0, V, (2, T)))
    with torch.no_grad():
        want = model(x, *conditions)
    names = [c["name"] for c in graph.json["conditions"]]
    got = reference.logits(graph, x.numpy(), {k: c.numpy() for k, c in zip(names, conditions, strict=True)})
    np.testing.assert_allclose(got, want.numpy(), atol=1e-5, rtol=tolerance)
    return graph


def check_samples(model, *conditions, n=3):
    """Compile with output p predicting token p + 1; tokens and log_prob must be those of one whole pass a token."""
    compiled = gf.compile(model.eval(), (TOKENS, *conditions), bos=2)
    condition = {c["name"]: x[:n] for c, x in zip(compiled.conditions, conditions, strict=True)}
    u = np.random.default_rng(4).random((n, T))
    x = torch.full((n, T), 2)
    total = np.zeros(n)
    for t in range(1, T):
        with torch.no_grad():
            p = torch.softmax(model(x, *(c[:n] for c in conditions))[:, t - 1].double(), 1)
        x[:, t] = torch.from_numpy((p.cumsum(1).numpy() >= u[:, t, None]).argmax(1))
        total += p.gather(1, x[:, t : t + 1]).log()[:, 0].numpy()
    np.testing.assert_array_equal(compiled.sample(n, u=u, condition=condition), x.numpy())
    np.testing.assert_allclose(compiled.log_prob(x.numpy(), condition=condition), total, rtol=1e-5)


def loops(graph):
    return [c for c in reference.components(graph) if len(c) > 1]


class Recurrent(nn.Module):
    def __init__(self, kind, batch_first=True, start=None, width=6, **options):
        super().__init__()
        self.embed, self.batch_first, self.start = nn.Embedding(V, 4), batch_first, start
        self.core = getattr(nn, kind)(4, width, batch_first=batch_first, **options)
        sides = 2 if options.get("bidirectional") else 1
        self.out = nn.Linear(options.get("proj_size", width) * sides, V)

    def forward(self, x):
        y = self.embed(x)
        y = y if self.batch_first else y.transpose(0, 1)
        start = None
        if self.start is not None:
            start = torch.full((self.core.num_layers, len(x), self.core.hidden_size), self.start)
            start = (start, -start) if isinstance(self.core, nn.LSTM) else start
        y = self.core(y, start)[0]
        return self.out(y if self.batch_first else y.transpose(0, 1))


OPTIONS = [{}, {"num_layers": 2}, {"batch_first": False}, {"bias": False}, {"start": 0.5, "num_layers": 2}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_are_loops(kind, options):
    torch.manual_seed(0)
    graph = check(Recurrent(kind, **options))
    assert len(loops(graph)) == options.get("num_layers", 1)
    assert len(graph.json["nodes"]) < 20 * options.get("num_layers", 1)
    assert {graph.json["nodes"][i]["name"] for i in loops(graph)[0]} == {"core"}


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers_sample(kind):
    torch.manual_seed(0)
    check_samples(Recurrent(kind))
    check_samples(Recurrent(kind, num_layers=2, start=0.5))


def test_relu_recurrence_and_projection():
    torch.manual_seed(0)
    assert len(loops(check(Recurrent("RNN", nonlinearity="relu")))) == 1
    assert len(loops(check(Recurrent("LSTM", proj_size=3)))) == 1


def test_both_directions_is_a_loop_that_runs_backwards():
    torch.manual_seed(0)
    assert len(loops(check(Recurrent("GRU", bidirectional=True, num_layers=2)))) == 4


class Captioner(nn.Module):
    """The state begins with a condition, and the last states are used."""

    def __init__(self):
        super().__init__()
        self.embed, self.start = nn.Embedding(V, 4), nn.Linear(3, 6)
        self.core, self.out = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, V)

    def forward(self, x, picture):
        h = self.start(picture).unsqueeze(0)
        y, (h, c) = self.core(self.embed(x), (h, torch.tanh(h)))
        return self.out(y + 0.1 * (h + c).transpose(0, 1))


def test_state_from_a_condition():
    torch.manual_seed(0)
    model, picture = Captioner(), torch.randn(3, 3)
    assert len(loops(check(model, picture[:2]))) == 1


def test_both_directions_are_refused_by_name():
    torch.manual_seed(0)
    with pytest.raises(NotCausalError, match="core"):
        gf.compile(Recurrent("LSTM", bidirectional=True), TOKENS)


def test_the_first_layer_of_time_steps_reads_the_condition():
    class Prompted(nn.Module):
        def __init__(self):
            super().__init__()
            self.model, self.start = Recurrent("GRU"), nn.Linear(3, 6)

        def forward(self, x, picture):
            y = self.model.core(self.model.embed(x), self.start(picture).unsqueeze(0))[0]
            return self.model.out(y)

    torch.manual_seed(0)
    check_samples(Prompted(), torch.randn(3, 3))


class Across(nn.Module):
    """Time runs over the channels of one position: steps are written out."""

    def __init__(self, kind):
        super().__init__()
        self.mix, self.core, self.out = nn.Linear(T, T * 2), getattr(nn, kind)(2, 4, batch_first=True), nn.Linear(4, V)

    def forward(self, x):
        return self.out(self.core(self.mix(x.float()).view(len(x), T, 2))[0])


class Rows(nn.Module):
    """A row of a picture is a sequence of its own, which begins with a state made of the row above."""

    def __init__(self, kind, backwards):
        super().__init__()
        self.first, self.start = nn.Conv2d(1, 4, 1), nn.Linear(4 * 3, 5)
        self.core, self.out = getattr(nn, kind)(4, 5, batch_first=True), nn.Conv2d(5, 3, 1)
        self.backwards = backwards

    def forward(self, x):
        b, _, h, w = x.shape
        y = self.first(nn.functional.pad(x, (0, 0, 1, -1))).permute(0, 2, 3, 1)
        y = y.flip(2) if self.backwards else y
        start = self.start(y.flatten(2)).view(1, b * h, -1)
        out = self.core(y.reshape(b * h, w, -1), (start, -start) if isinstance(self.core, nn.LSTM) else start)[0]
        return self.out(out.view(b, h, w, -1).permute(0, 3, 1, 2))


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_a_sequence_for_every_row_of_a_picture(kind, backwards):
    torch.manual_seed(0)
    model = Rows(kind, backwards).eval()
    compiled = gf.compile(model, torch.zeros(1, 1, 4, 3), head=Categorical(3))
    graph = reference.read(compiled._core.file_bytes())
    assert len(loops(graph)) == 1
    levels = np.random.default_rng(0).integers(0, 3, (2, 1, 4, 3))
    with torch.no_grad():
        want = model(torch.from_numpy(graph.fed[levels]))
    np.testing.assert_allclose(compiled.logits(levels), want.numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_steps_that_are_no_positions_are_unrolled(kind):
    torch.manual_seed(0)
    assert not loops(check(Across(kind)))


def test_dropout_between_layers_is_refused():
    model = Recurrent("GRU", num_layers=2, dropout=0.5)
    with pytest.raises(UnsupportedOpError, match=r"eval\(\)"):
        export(model.train(), TOKENS, Categorical(V))


# ---- cumulative sums


class LinearAttention(nn.Module):
    """Katharopoulos et al., 2020: two heads, state by cumulative sums."""

    def __init__(self, heads=2, width=3):
        super().__init__()
        self.heads, self.embed = heads, nn.Embedding(V, heads * width)
        self.qkv, self.out = nn.Linear(heads * width, 3 * heads * width), nn.Linear(heads * width, V)

    def forward(self, x):
        b, t = x.shape
        q, k, v = (z.view(b, t, self.heads, -1).transpose(1, 2) for z in self.qkv(self.embed(x)).chunk(3, -1))
        q, k = nn.functional.elu(q) + 1, nn.functional.elu(k) + 1
        state = (k.unsqueeze(-1) * v.unsqueeze(-2)).cumsum(2)
        y = (q.unsqueeze(-1) * state).sum(-2) / (q * k.cumsum(2)).sum(-1, keepdim=True)
        return self.out(y.transpose(1, 2).reshape(b, t, -1))


def test_linear_attention():
    torch.manual_seed(0)
    graph = check(LinearAttention())
    assert len(loops(graph)) == 2
    assert len(graph.json["nodes"]) < 30
    check_samples(LinearAttention())


@pytest.mark.parametrize("dim", [1, 2])
def test_cumsum_over_grid_positions(dim):
    embed, out = nn.Embedding(V, 4), nn.Linear(4, V)

    def model(x):
        return out(embed(x).view(len(x), 1, T, 4).repeat(1, 3, 1, 1).cumsum(dim).sum(1) / 3)

    graph = check(model)
    assert len(loops(graph)) == (dim == 2)


def test_cumsum_backwards_in_time():
    embed, out = nn.Embedding(V, 4), nn.Linear(4, V)
    assert len(loops(check(lambda x: out(embed(x).flip(1).cumsum(1).flip(1))))) == 1


def test_cumsum_over_channels_is_a_product():
    embed, out = nn.Embedding(V, 4), nn.Linear(4, V)
    graph = check(lambda x: out(embed(x).cumsum(-1)))
    assert not loops(graph)


def test_cumsum_of_a_grid_runs_along_its_own_axis():
    """Rows of a picture: the position before lies a whole row earlier."""

    def model(x):
        y = torch.nn.functional.pad(x, (0, 0, 1, -1)).cumsum(2)
        return torch.cat([y, -y, y * 0.5], 1)

    graph = reference.read(export(model, torch.zeros(1, 1, 4, 3), Categorical(3)))
    levels = np.random.default_rng(0).integers(0, 3, (2, 1, 4, 3))
    want = model(torch.from_numpy(graph.fed[levels])).reshape(2, 3, 12).transpose(1, 2)
    np.testing.assert_allclose(reference.logits(graph, levels), want.numpy(), atol=1e-6)
    assert len(loops(graph)) == 1


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_sequence_over_the_channels_of_every_position(kind):
    torch.manual_seed(0)
    embed, core, out = nn.Embedding(V, 6), getattr(nn, kind)(2, 3, batch_first=True), nn.Linear(9, V)

    def model(x):
        return out(core(embed(x).view(-1, 3, 2))[0].reshape(*x.shape, 9))

    graph = check(model)
    assert not loops(graph)
    assert len(graph.json["nodes"]) < 3 * 12
    check_samples(Wrapped(model))


class Wrapped(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f

    def forward(self, x):
        return self.f(x)


def test_exclusive_cumulative_sums_over_padding():
    """The sum of everything before: the padded first position is a constant."""
    torch.manual_seed(0)
    embed, out = nn.Embedding(V, 4), nn.Linear(4, V)
    model = Wrapped(lambda x: out(nn.functional.pad(embed(x), (0, 0, 1, -1)).cumsum(1)))
    assert len(loops(check(model))) == 1
    compiled = gf.compile(model, TOKENS)
    assert "p + 1" not in compiled.explain()
