"""Classifier-free guidance against two PyTorch passes; one pass and the same bits where it is off."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch
from models_for_tests import Conditional, GatedPixelCNN
from test_rosenblatt import sharpen

import genfast as gf
from genfast import _core

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
LEVELS, NONE = 5, 3


def build(kind):
    torch.manual_seed(0)
    image = torch.zeros(2, 1, 5, 5)
    if kind == "label":
        model = sharpen(GatedPixelCNN(levels=LEVELS, classes=NONE + 1), scale=0.3)
        return model, gf.compile(model, (image, torch.tensor([0, 1])), head=gf.heads.Categorical(LEVELS))
    model = sharpen(Conditional("vector", levels=LEVELS, classes=3), scale=0.3)
    return model, gf.compile(model, (image, torch.zeros(2, 3)), head=gf.heads.Categorical(LEVELS))


@pytest.fixture(scope="module", params=["label", "vector"])
def case(request):
    model, compiled = build(request.param)
    name = compiled.conditions[0]["name"]
    rng = np.random.default_rng(0)
    if request.param == "label":
        return model, compiled, name, lambda n: np.arange(n) % NONE, NONE
    vectors = rng.standard_normal((64, 3)).astype(np.float32)
    return model, compiled, name, lambda n: vectors[:n], np.zeros(3, np.float32)


def guided(model, x, condition, without, g):
    """(n, levels, H, W) float32 as the contract says: without + g (with − without)."""
    fed = torch.tensor(x / (LEVELS - 1), dtype=torch.float32)
    with torch.no_grad():
        a = model(fed, torch.tensor(condition))
        b = model(fed, torch.tensor(np.broadcast_to(without, np.shape(condition)).copy()))
    return b + g * (a - b)


def loop(model, u, condition, without, g, temperature=1.0):
    n = len(u)
    x = np.zeros((n, 1, 5, 5), np.int64)
    near = np.zeros((n, 25))
    for site in range(25):
        z = guided(model, x, condition, without, g)[:, :, site // 5, site % 5]
        p = naive.probabilities(z, False, temperature)
        x[:, 0, site // 5, site % 5], near[:, site] = naive.invert(p, u[:, site])
    return x, near


@pytest.mark.parametrize("g", [2.0, 0.0, -0.5, 3.5])
def test_samples_are_those_of_two_passes(case, g):
    model, compiled, name, condition, without = case
    n = 24
    u = np.random.default_rng(1).random((n, 25))
    ours = compiled.sample(
        n, u=u, condition={name: condition(n)}, guidance=g, unconditional={name: without}, temperature=0.9
    )
    theirs, near = loop(model, u, condition(n), without, g, 0.9)
    naive.assert_same_up_to_ties(ours, theirs, near)
    plain = compiled.sample(n, u=u, condition={name: condition(n)}, temperature=0.9)
    assert (ours != plain).any(), "the case must feel the guidance"


def test_log_prob_and_rosenblatt_score_what_is_sampled(case):
    model, compiled, name, condition, without = case
    n = 12
    u = np.random.default_rng(2).random((n, 25))
    how = {"condition": {name: condition(n)}, "guidance": 1.7, "unconditional": {name: without}}
    x = compiled.sample(n, u=u, **how)
    z = guided(model, x, condition(n), without, 1.7).double()
    want = torch.log_softmax(z, 1).gather(1, torch.tensor(x, dtype=torch.int64)).sum((1, 2, 3)).numpy()
    np.testing.assert_allclose(compiled.log_prob(x, **how), want, rtol=1e-5)
    lower, upper = compiled.rosenblatt(x, **how)
    assert ((lower < u) & (u <= upper)).all()
    assert (compiled.inverse_rosenblatt((lower, upper), **how) == x).all()


def test_one_is_off_and_zero_is_the_unconditional_model(case):
    _, compiled, name, condition, without = case
    n = 9
    with_label, without_label = {name: condition(n)}, {name: without}
    plain = compiled.sample(n, rng=3, condition=with_label)
    assert (compiled.sample(n, rng=3, condition=with_label, guidance=1, unconditional=without_label) == plain).all()
    assert (compiled.sample(n, rng=3, condition=with_label, guidance=1.0) == plain).all()
    off = compiled.log_prob(plain, condition=without_label)
    got = compiled.log_prob(plain, condition=with_label, guidance=0.0, unconditional=without_label)
    assert (got == off).all()
    same = compiled.sample(n, rng=3, condition=with_label, guidance=5.0, unconditional=with_label)
    assert (same == plain).all(), "equal passes leave the logits as they are"


def test_bits_do_not_depend_on_batch_threads_or_target(case):
    _, compiled, name, condition, without = case
    n = 50
    how = {"guidance": 2.5, "unconditional": {name: without}, "top_k": 4}
    x = compiled.sample(n, rng=4, condition={name: condition(n)}, **how)
    scores = compiled.log_prob(x, condition={name: condition(n)}, **how)
    for i in (0, 17, 49):
        one = compiled.sample(1, rng=4, first_row=i, condition={name: condition(n)[i : i + 1]}, **how)
        assert (one == x[i]).all()
    before = gf.num_threads()
    try:
        for target in TARGETS:
            _core.kernels.set_target(target)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                assert (compiled.sample(n, rng=4, condition={name: condition(n)}, **how) == x).all()
                assert (compiled.log_prob(x, condition={name: condition(n)}, **how) == scores).all()
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)


def test_generators_and_completion(case):
    _, compiled, name, condition, without = case
    n = 1030  # more than the rows whose uniforms are filled at once
    labels = np.resize(condition(3), (n, *np.shape(condition(3))[1:]))
    how = {"condition": {name: labels}, "guidance": 2.0, "unconditional": {name: without}}
    u = np.random.default_rng(5).random((n, 25))
    x = compiled.sample(n, u=u, **how)
    assert (compiled.sample(n, rng=np.random.default_rng(5), **how) == x).all()
    mask = np.zeros((5, 5), bool)
    mask[:2] = True
    assert (compiled.complete(x, known=mask, u=u, **how) == x).all()


def test_wrong_arguments(case):
    _, compiled, name, condition, without = case
    how = {"condition": {name: condition(2)}}
    for more, words in [
        ({"guidance": 2.0}, f"guidance=2.0 needs unconditional=.*'{name}'"),
        ({"guidance": 2.0, "unconditional": {}}, f"needs unconditional=.*'{name}'"),
        ({"guidance": 2.0, "unconditional": {"colour": 1}}, "no condition 'colour'"),
        ({"guidance": np.inf, "unconditional": {name: without}}, "guidance must be finite"),
        (
            {"guidance": 2.0, "unconditional": {name: np.zeros((3, 7, 7), int)}},
            f"unconditional '{name}' must have shape",
        ),
    ]:
        with pytest.raises(ValueError, match=words):
            compiled.sample(2, rng=0, **how, **more)
        with pytest.raises(ValueError, match=words):
            compiled.log_prob(np.zeros((2, 1, 5, 5), int), **how, **more)
    with pytest.raises(TypeError, match="guidance must be a number"):
        compiled.sample(2, **how, guidance="strong", unconditional={name: without})
    with pytest.raises(TypeError, match="unconditional must be a mapping"):
        compiled.sample(2, **how, guidance=2, unconditional=[without])


def test_guidance_needs_a_condition_and_logits():
    from models_for_tests import Made, pixelcnn

    plain = gf.compile(pixelcnn(), torch.zeros(1, 1, 4, 4), head=gf.heads.Categorical(4))
    with pytest.raises(ValueError, match="this model has none"):
        plain.sample(1, rng=0, guidance=2.0)

    class WithLabel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.made, self.embed = Made(16), torch.nn.Embedding(3, 1)

        def forward(self, x, label):
            return torch.sigmoid(self.made(x) + self.embed(label)[:, :, None, None])

    example = torch.zeros(1, 1, 4, 4), torch.zeros(1, dtype=torch.long)
    model = gf.compile(WithLabel().eval(), example, head=gf.heads.Bernoulli(probs=True))
    with pytest.raises(ValueError, match="guidance mixes logits"):
        model.sample(1, rng=0, condition={"label": 0}, guidance=2.0, unconditional={"label": 2})
