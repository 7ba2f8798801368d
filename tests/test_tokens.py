"""Token models: prompts of any lengths, max_tokens, stop, filters and streams, against PyTorch's naive loop."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import naive
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from models_for_tests import WaveNet
from test_rosenblatt import probabilities, sharpen
from torch import nn

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
T, LEVELS, BOS = 40, 11, 3


class NextToken(nn.Module):
    """Causal convolutions over embedded tokens; the output at p predicts token p + 1."""

    def __init__(self, levels=LEVELS, c=12, inputs=None):
        super().__init__()
        self.embed = nn.Embedding(inputs or levels, c)
        self.convs = nn.ModuleList([nn.Conv1d(c, c, 3, dilation=d) for d in (1, 3, 9)])
        self.out = nn.Conv1d(c, levels, 1)

    def forward(self, x):
        h = self.embed(x).transpose(1, 2)
        for conv in self.convs:
            h = h + torch.tanh(conv(F.pad(h, (2 * conv.dilation[0], 0))))
        return self.out(h).transpose(1, 2)


class Case:
    def __init__(self, shift):
        torch.manual_seed(0)
        self.shift = shift  # output p predicts token p + shift
        self.torch_model = sharpen(NextToken() if shift else WaveNet(levels=LEVELS, tokens=True), scale=0.2)
        self.model = gf.compile(
            self.torch_model,
            torch.zeros(2, T, dtype=torch.long),
            head=gf.heads.Categorical(LEVELS),
            alignment="next" if shift else "same",
            bos=BOS,
        )

    def logits(self, tokens, t):
        """(n, levels) float64: of the token at position t."""
        with torch.no_grad():
            z = self.torch_model(torch.tensor(tokens, dtype=torch.long))
        return z[:, t - self.shift].double().numpy()

    def loop(self, u, prompts, end=T, **filters):
        """(tokens (n, T), near): the naive loop, one forward pass a token."""
        n = len(u)
        tokens, near = np.zeros((n, T), np.int64), np.ones((n, T))
        lengths = np.array([len(p) for p in prompts])
        for i, prompt in enumerate(prompts):
            tokens[i, : len(prompt)] = prompt
            if self.shift and not len(prompt):
                tokens[i, 0], lengths[i] = BOS, 1
        for t in range(lengths.min(), end):
            drawn, close = naive.invert(probabilities(self.logits(tokens, t), **filters), u[:, t])
            free = lengths <= t
            tokens[free, t], near[free, t] = drawn[free], close[free]
        return tokens, near


CASES: dict[int, Case] = {}


@pytest.fixture(params=[1, 0], ids=["next", "same"])
def case(request):
    if request.param not in CASES:
        CASES[request.param] = Case(request.param)
    return CASES[request.param]


@pytest.fixture
def following():
    if 1 not in CASES:
        CASES[1] = Case(1)
    return CASES[1]


def prompts_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, LEVELS, k).tolist() for k in lengths]


@pytest.mark.parametrize("filters", [{}, {"temperature": 0.7}, {"top_k": 4}, {"top_p": 0.8, "min_p": 0.1, "top_k": 9}])
@pytest.mark.parametrize("lengths", [[0] * 6, [5] * 6, [20] * 6, [0, 1, 2, 17, 33, 39], [35, 40, 38, 37, 36, 40]])
def test_samples_are_those_of_the_naive_loop(case, lengths, filters):
    prompts = prompts_of(lengths)
    u = np.random.default_rng(1).random((6, T))
    ours = case.model.sample(6, u=u, prompt=prompts, **filters)
    theirs, near = case.loop(u, prompts, **filters)
    assert ours.shape == (6, T)
    for row, prompt in zip(ours, prompts, strict=True):
        assert row[: len(prompt)].tolist() == prompt
    naive.assert_same_up_to_ties(ours, theirs, near)


def test_rows_do_not_depend_on_the_prompts_beside_them(case):
    lengths = [0, 3, 15, 16, 17, 31, 32, 33, 39, 40]
    prompts = prompts_of(lengths)
    together = case.model.sample(10, rng=4, prompt=prompts, top_k=5)
    for i, prompt in enumerate(prompts):
        alone = case.model.sample(1, rng=4, first_row=i, prompt=prompt, top_k=5)
        assert (alone[0] == together[i]).all(), i
    # What the model drew itself, given as a prompt, changes nothing.
    whole = case.model.sample(1, rng=4)[0]
    for k in (1, 7, 16, 29, 40):
        assert (case.model.sample(1, rng=4, prompt=whole[:k])[0] == whole).all()


def test_long_prompts_are_planned_in_round_lengths():
    torch.manual_seed(0)
    model = sharpen(NextToken(c=4), scale=0.2)
    compiled = gf.compile(model, torch.zeros(1, 600, dtype=torch.long), alignment="next")
    whole = compiled.sample(1, rng=1)
    for k in (15, 16, 127, 128, 255, 256, 257, 287, 288, 511, 512, 575, 576, 599, 600):
        assert (compiled.sample(1, rng=1, prompt=whole[0, :k]) == whole).all(), k


def test_calls_of_several_threads_do_not_meet(case):
    prompts = prompts_of(range(0, 40, 3))
    want = [case.model.sample(2, rng=3, prompt=prompt, stop=5) for prompt in prompts]
    copy = pickle.loads(pickle.dumps(case.model))  # no plans yet
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(copy.sample, 2, rng=3, prompt=prompt, stop=5) for prompt in prompts * 3]
        for job, rows in zip(jobs, want * 3, strict=True):
            assert (job.result() == rows).all()


def test_forms_of_prompts(case):
    prompts = prompts_of([4, 4, 4])
    want = case.model.sample(3, rng=0, prompt=prompts)
    for same in (np.array(prompts), torch.tensor(prompts), [np.array(p, np.uint8) for p in prompts], tuple(prompts)):
        assert (case.model.sample(3, rng=0, prompt=same) == want).all()
    one = case.model.sample(3, rng=0, prompt=[prompts[0]] * 3)
    for same in (prompts[0], tuple(prompts[0]), np.array(prompts[0])):
        assert (case.model.sample(3, rng=0, prompt=same) == one).all()
    plain = case.model.sample(3, rng=0)
    for empty in ([], [[], [], []], np.zeros((3, 0), int), np.zeros(0, int)):
        assert (case.model.sample(3, rng=0, prompt=empty) == plain).all()
    ragged = np.empty(3, object)
    ragged[:] = [[1], np.array([2, 3]), []]
    assert (case.model.sample(3, rng=0, prompt=ragged) == case.model.sample(3, rng=0, prompt=[[1], [2, 3], []])).all()
    assert case.model.sample(0, prompt=[1, 2]).shape == (0, T)
    if case.shift:
        assert (plain[:, 0] == BOS).all() and case.model.bos == BOS
    else:
        assert case.model.bos is None and len(np.unique(case.model.sample(50, rng=0)[:, 0])) > 2


def test_max_tokens(case):
    whole = case.model.sample(4, rng=2)
    first = case.shift  # bos is no new token
    for most in (0, 1, 5, T - 1, T, 10**9):
        got = case.model.sample(4, rng=2, max_tokens=most)
        assert (got == whole[:, : min(T, first + most)]).all() and got.shape == (4, min(T, first + most))
    prompts = prompts_of([2, 20, 38])
    whole = case.model.sample(3, rng=2, prompt=prompts)
    got = case.model.sample(3, rng=2, prompt=prompts, max_tokens=3)
    assert got.shape == (3, T)
    for row, full, k in zip(got, whole, (2, 20, 38), strict=True):
        end = min(T, k + 3)
        assert (row[:end] == full[:end]).all() and (row[end:] == 0).all()
    assert (case.model.sample(3, rng=2, prompt=[[1, 2, 3]] * 3, max_tokens=0) == [1, 2, 3]).all()


@pytest.mark.parametrize("stop", [7, np.array(7), torch.tensor(7), [7, 2], []])
def test_stop(case, stop):
    n = 30
    tokens = stop if isinstance(stop, list) else [int(stop)]
    prompts = prompts_of([1, 2, 20] * 10, seed=3)
    prompts[0] = [7]  # a stop token in a prompt stops nothing
    whole = case.model.sample(n, rng=5, prompt=prompts)
    got = case.model.sample(n, rng=5, prompt=prompts, stop=stop)
    want = whole.copy()
    for row, prompt in zip(want, prompts, strict=True):
        hits = np.flatnonzero(np.isin(row, tokens) & (np.arange(T) >= len(prompt)))
        if len(hits):
            row[hits[0] :] = row[hits[0]]
    assert (got == want).all()
    assert not tokens or (want != whole).any()
    limited = case.model.sample(n, rng=5, prompt=prompts, stop=stop, max_tokens=4)
    for row, full, prompt in zip(limited, want, prompts, strict=True):
        end = len(prompt) + 4
        assert (row[:end] == full[:end]).all()
        padding = row[end - 1] if np.isin(row[len(prompt) : end], tokens).any() else (tokens or [0])[0]
        assert (row[end:] == padding).all()


def test_a_stop_that_all_rows_draw_saves_the_rest(following):
    """Fewer sites are reported as done by the progress of the last poll but the final one."""
    sites = []
    stream = following.model.stream(3, rng=0, stop=list(range(LEVELS)))
    for tokens in stream:
        sites.append(tokens)
    assert len(sites) == 1
    assert (following.model.sample(3, rng=0, stop=list(range(LEVELS)))[:, 1] == sites[0]).all()


def test_streams_give_the_columns_of_samples(case):
    for lengths in ([0, 0], [5, 5], [0, 21], [20, 37], [17, 40], [40, 40]):
        prompts = prompts_of(lengths)
        for more in ({}, {"stop": [1, 2]}, {"max_tokens": 6}, {"max_tokens": 9, "stop": 4, "top_k": 3}):
            whole = case.model.sample(2, rng=6, prompt=prompts, **more)
            columns = list(case.model.stream(2, rng=6, prompt=prompts, **more))
            begin = max(min(lengths), case.shift)
            assert all(column.shape == (2,) and column.dtype == np.int32 for column in columns)
            drawn = np.stack(columns, 1) if columns else np.zeros((2, 0), int)
            end = begin + drawn.shape[1]
            assert (drawn == whole[:, begin:end]).all()
            # Where the stream ended, every row had: padding follows, or the rest of a prompt that fills its row.
            assert all(
                (row[end:] == row[end]).all() for row, k in zip(whole, lengths, strict=True) if end < len(row) != k
            )
    u = np.random.default_rng(7).random((1, T))
    a = np.stack(list(case.model.stream(u=u)), 1)
    assert (a == case.model.sample(1, u=u)[:, case.shift :]).all()
    generator = np.random.default_rng(7)
    assert (np.stack(list(case.model.stream(rng=generator)), 1) == a).all()


def test_streams_of_many_rows_and_threads(case):
    n = 150  # several tiles
    before = gf.num_threads()
    prompts = prompts_of([i % 25 for i in range(n)])
    whole = case.model.sample(n, rng=8, prompt=prompts, stop=5)
    try:
        for threads in (1, 2):
            gf.set_num_threads(threads)
            columns = np.stack(list(case.model.stream(n, rng=8, prompt=prompts, stop=5)), 1)
            assert (columns == whole[:, case.shift : case.shift + columns.shape[1]]).all()
    finally:
        gf.set_num_threads(before)


def test_streams_stop_cleanly(following):
    model = following.model
    want = model.sample(1, rng=0)[0, 1:6].tolist()
    threads = threading.active_count()
    stream = model.stream(rng=0)
    assert [int(tokens[0]) for tokens in itertools.islice(stream, 5)] == want
    stream.close()
    assert list(stream) == []
    for tokens in model.stream(rng=0):
        assert int(tokens[0]) == want[0]
        break

    def fails():
        for _ in model.stream(rng=0):
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    many = [model.stream(rng=0) for _ in range(20)]
    for stream in many:
        next(stream)
    del many, stream
    gc.collect()
    assert threading.active_count() == threads
    assert (model.sample(1, rng=0)[0, 1:6] == want).all()


def test_a_stream_outlives_its_model_and_its_arrays(following):
    data = following.model._core.file_bytes()
    model = gf.Model(_core.Model.from_bytes(data, "copy"))
    u = np.random.default_rng(1).random((2, T))
    prompt = np.array([[1, 2], [3, 4]])
    want = model.sample(2, u=u, prompt=prompt)
    stream = model.stream(2, u=u.copy(), prompt=prompt)
    del model
    prompt[:] = 0
    gc.collect()
    assert (np.stack(list(stream), 1) == want[:, 2:]).all()


def test_bits_do_not_depend_on_threads_or_target(case):
    prompts = prompts_of([i % 40 for i in range(45)])
    want = case.model.sample(45, rng=9, prompt=prompts, top_p=0.9)
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (case.model.sample(45, rng=9, prompt=prompts, top_p=0.9) == want).all()
                assert (case.model.sample(45, rng=9, prompt=prompts, top_p=0.9, wavefront=False) == want).all()
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    assert (case.model.sample(45, u=uniforms_of(9, 45), prompt=prompts, top_p=0.9) == want).all()


def uniforms_of(seed, n):
    return gf.Stream(seed).uniforms(n, T)


def test_filters_are_those_of_categorical(case):
    """The same logits and uniform give the same level, bit for bit, as gf.Categorical does."""
    for filters in (
        {"top_k": 3},
        {"top_p": 0.5},
        {"min_p": 0.2},
        {"top_k": 6, "top_p": 0.7, "temperature": 1.7},
        {"top_p": 0.0},
    ):
        u = np.random.default_rng(2).random((40, T))
        x = case.model.sample(40, u=u, **filters)
        z = case.model.logits(x).transpose(0, 2, 1)
        want = gf.Categorical(np.ascontiguousarray(z[:, case.shift :]), **filters)
        assert (want.icdf(u[:, case.shift :]) == x[:, case.shift :]).all()
        np.testing.assert_allclose(
            case.model.log_prob(x, **filters), want.log_prob(x[:, case.shift :]).sum(1), rtol=1e-6
        )


def test_scores_of_tokens(case):
    x = case.model.sample(12, rng=3)
    p = np.stack([probabilities(case.logits(x, t)) for t in range(case.shift, T)], 1)
    want = np.log(np.take_along_axis(p, x[:, case.shift :, None].astype(np.int64), -1)).sum((1, 2))
    np.testing.assert_allclose(case.model.log_prob(x), want, rtol=1e-5)
    np.testing.assert_allclose(case.model.bits_per_dim(x), -want / np.log(2) / (T - case.shift), rtol=1e-5)
    filters = {"temperature": 0.9, "top_k": 6, "top_p": 0.9, "min_p": 0.01}
    filtered = case.model.log_prob(x, **filters)
    assert (case.model.bits_per_dim(x, **filters) == -filtered / ((T - case.shift) * np.log(2))).all()
    assert (filtered != case.model.log_prob(x)).all()
    lower, upper = case.model.rosenblatt(x)
    if case.shift:
        assert (lower[:, 0] == 0).all() and (upper[:, 0] == 1).all()
        x = case.model.sample(12, rng=3, prompt=np.arange(8)[:, None].repeat(1, 1)[np.arange(12) % 8])
        pair = case.model.rosenblatt(x)
        assert (case.model.inverse_rosenblatt(pair, prompt=x[:, :1]) == x).all()
        assert (case.model.logits(x)[:, :, 0] == 0).all()
    else:
        assert (case.model.inverse_rosenblatt((lower, upper)) == x).all()


def test_a_bos_outside_the_levels():
    """As ImageGPT has it: 11 output levels, 12 input tokens, the last of which only begins."""
    torch.manual_seed(0)
    model = sharpen(NextToken(levels=LEVELS, inputs=LEVELS + 1), scale=0.2)
    compiled = gf.compile(
        model, torch.zeros(2, 20, dtype=torch.long), head=gf.heads.Categorical(LEVELS), alignment="next", bos=LEVELS
    )
    assert compiled.bos == LEVELS
    u = np.random.default_rng(0).random((8, 20))
    x = compiled.sample(8, u=u)
    assert (x[:, 0] == LEVELS).all() and (x[:, 1:] < LEVELS).all()
    near = np.ones((8, 20))
    theirs = np.full((8, 20), LEVELS)
    for t in range(1, 20):
        with torch.no_grad():
            z = model(torch.tensor(np.where(np.arange(20) < t, theirs, 0)))[:, t - 1].double().numpy()
        theirs[:, t], near[:, t] = naive.invert(probabilities(z), u[:, t])
    naive.assert_same_up_to_ties(x, theirs, near)
    assert (compiled.sample(8, u=u, prompt=x[:, :5]) == x).all()
    lower, upper = compiled.rosenblatt(x)
    assert (compiled.inverse_rosenblatt((lower, upper)) == x).all()
    assert np.isfinite(compiled.log_prob(x)).all()
    with pytest.raises(ValueError, match=r"prompt\[1\] is 11"):
        compiled.sample(1, prompt=[3, LEVELS])
    with pytest.raises(ValueError, match=r"x\[0, 3\] is 11"):
        compiled.log_prob(np.where(np.arange(20) == 3, LEVELS, x[:1]))


def test_wrong_arguments(case):
    model = case.model
    for arguments, words in [
        ({"n": 1, "prompt": [0] * (T + 1)}, f"prompt has {T + 1} tokens; the model was compiled for {T}"),
        ({"n": 2, "prompt": [[1], [0] * (T + 1)]}, f"prompt 1 has {T + 1} tokens"),
        ({"n": 2, "prompt": [[1], [2], [3]]}, "prompt has 3 rows for n=2"),
        ({"n": 2, "prompt": np.ones((3, 2), int)}, "prompt has 3 rows for n=2"),
        ({"n": 1, "prompt": np.ones((1, 2, 3), int)}, r"shape \(k,\) or \(n, k\)"),
        ({"n": 1, "prompt": [1, LEVELS]}, rf"prompt\[1\] is {LEVELS}, outside the tokens 0 to {LEVELS - 1}"),
        ({"n": 2, "prompt": [[1, 2], [-1]]}, r"prompt 1\[0\] is -1"),
        ({"n": 1, "max_tokens": -1}, "max_tokens must be at least 0"),
        ({"n": 1, "stop": LEVELS}, f"stop must be one of the levels 0 to {LEVELS - 1}"),
        ({"n": 1, "stop": [0, -1]}, "stop must be at least 0"),
        ({"n": 2, "u": np.zeros((2, T - 1))}, rf"u must have shape \(n, sites\) = \(2, {T}\), got \(2, {T - 1}\)"),
        ({"n": 1, "top_k": 0}, "top_k must be at least 1"),
        ({"n": 1, "top_p": -0.1}, "top_p must be in"),
        ({"n": 1, "min_p": 1.5}, "min_p must be in"),
        ({"n": 1, "min_p": np.nan}, "min_p must be in"),
        ({"n": 1, "temperature": 0}, "temperature must be positive"),
    ]:
        for call in (model.sample, model.stream):
            with pytest.raises(ValueError, match=words):
                call(**arguments)
    for arguments, words in [
        ({"n": 1, "prompt": "text"}, "prompt must hold integers"),
        ({"n": 1, "prompt": [0.5, 1.0]}, "prompt must hold integers"),
        ({"n": 1, "prompt": 3}, "prompt must hold integers"),
        ({"n": 2, "prompt": [[1], ["a"]]}, "prompt 1 must hold integers"),
        ({"n": 1, "prompt": ["a"]}, "prompt must hold integers"),
        ({"n": 2, "prompt": [None, [1]]}, "prompt 0 must be a sequence of integers, got NoneType"),
        ({"n": 1, "max_tokens": 1.5}, "max_tokens must be an integer"),
        ({"n": 1, "stop": "x"}, "stop must be an integer"),
        ({"n": 1, "top_k": 2.0}, "top_k must be an integer"),
        ({"n": 1, "top_p": "most"}, "top_p must be a number"),
    ]:
        for call in (model.sample, model.stream):
            with pytest.raises(
                (TypeError, ValueError) if "a" in str(arguments.get("prompt")) else TypeError, match=words
            ):
                call(**arguments)


def test_images_take_no_prompts():
    digits = gf.load("digits")
    for arguments in ({"prompt": [1]}, {"max_tokens": 3}, {"stop": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(arguments))} is for models of token sequences.*complete"):
            digits.sample(1, condition={"label": 1}, **arguments)
    with pytest.raises(ValueError, match="stream is for models of token sequences"):
        digits.stream(1, condition={"label": 1})
