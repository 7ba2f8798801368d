"""rosenblatt and its inverse: intervals against PyTorch's distribution functions, exact round trips, equal bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models_for_tests import Conditional, Made, TokenImage, pixelcnn

import genfast as gf
from genfast import _core, reference

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
FILTERS = [{}, {"temperature": 0.6}, {"top_k": 3, "top_p": 0.9, "min_p": 0.05, "temperature": 1.3}]


def sharpen(model, seed=0, scale=0.5):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=generator)
    return model.eval()


class Case:
    """A torch model, its compiled twin, and what turns levels into inputs."""

    def __init__(self, model, example, head, values=None, condition=None):
        torch.manual_seed(0)
        self.torch_model = sharpen(model)
        self.condition = condition
        self.model = gf.compile(self.torch_model, example, head=head)
        self.bernoulli = isinstance(head, gf.heads.Bernoulli)
        self.values = values

    def named(self, n):
        return {"cond": np.arange(n) % 3} if self.condition else None

    def torch_logits(self, x):
        """(n, sites, levels) float64."""
        fed = torch.tensor(x).long() if self.values is None else torch.tensor(self.values[x], dtype=torch.float32)
        with torch.no_grad():
            z = self.torch_model(fed, *([torch.arange(len(x)) % 3] if self.condition else [])).double()
        if self.bernoulli:
            z = z.reshape(len(x), 1, -1)
            return torch.cat([0 * z, z], 1).permute(0, 2, 1).numpy()
        return z.reshape(len(x), z.shape[1], -1).permute(0, 2, 1).numpy()


def build(name):
    torch.manual_seed(0)
    image = torch.zeros(2, 1, 6, 6)
    if name == "categorical":
        return Case(pixelcnn(levels=7), image, gf.heads.Categorical(7), np.arange(7) / 6)
    if name == "bernoulli":
        head = gf.heads.Bernoulli()
        return Case(Made(16), torch.zeros(2, 1, 4, 4), head, np.arange(2.0))
    if name == "conditional":
        model = Conditional("embedding", levels=5)
        return Case(model, (image, torch.tensor([0, 1])), gf.heads.Categorical(5), np.arange(5) / 4, condition=True)
    assert name == "tokens"
    return Case(TokenImage(levels=5), torch.zeros(2, 5, 5, dtype=torch.long), gf.heads.Categorical(5))


CASES: dict[str, Case] = {}


@pytest.fixture(params=["categorical", "bernoulli", "conditional", "tokens"])
def case(request):
    if request.param not in CASES:
        CASES[request.param] = build(request.param)
    return CASES[request.param]


def refuses(case, filters):
    """Whether the head takes no filters; then that is what it says."""
    if not case.bernoulli or "top_k" not in filters:
        return False
    with pytest.raises(ValueError, match="not categorical"):
        case.model.rosenblatt(np.zeros((1, *case.model.input_shape), int), **filters)
    return True


def probabilities(z, temperature=1.0, **filters):
    """(…, levels) from logits, tempered and filtered."""
    z = z / temperature
    p = np.exp(z - z.max(-1, keepdims=True))
    if filters:
        for index in np.ndindex(p.shape[:-1]):
            p[index] *= reference.kept(z[index].astype(np.float32), **filters)
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("filters", FILTERS)
def test_intervals_are_those_of_pytorch(case, filters):
    if refuses(case, filters):
        return
    n = 9
    x = case.model.sample(n, rng=1, condition=case.named(n), **filters)
    lower, upper = case.model.rosenblatt(x, condition=case.named(n), **filters)
    assert lower.shape == upper.shape == (n, case.model.sites) and lower.dtype == upper.dtype == np.float64
    p = probabilities(case.torch_logits(x), **filters)
    level = x.reshape(n, -1, 1).astype(np.int64)
    want = np.take_along_axis(p.cumsum(-1), level, -1)[..., 0]
    np.testing.assert_allclose(upper, want, atol=2e-6)
    np.testing.assert_allclose(lower, want - np.take_along_axis(p, level, -1)[..., 0], atol=2e-6)
    assert (upper - lower).std() > 0.05, "the case must have likely and unlikely levels"


@pytest.mark.parametrize("filters", FILTERS)
def test_the_uniforms_of_a_sample_lie_in_its_intervals(case, filters):
    if refuses(case, filters):
        return
    n = 40
    u = np.random.default_rng(0).random((n, case.model.sites))
    x = case.model.sample(n, u=u, condition=case.named(n), **filters)
    lower, upper = case.model.rosenblatt(x, condition=case.named(n), **filters)
    assert ((lower < u) & (u <= upper)).all()
    assert (lower >= 0).all() and (upper <= 1).all()
    assert np.exp(case.model.log_prob(x, condition=case.named(n), **filters)) == pytest.approx(
        (upper - lower).prod(1), rel=1e-4
    )


@pytest.mark.parametrize("filters", FILTERS)
def test_the_inverse_gives_x_back(case, filters):
    if refuses(case, filters):
        return
    n = 30
    condition = case.named(n)
    x = case.model.sample(n, rng=3, condition=condition, **filters)
    pair = case.model.rosenblatt(x, condition=condition, **filters)
    assert (case.model.inverse_rosenblatt(pair, condition=condition, **filters) == x).all()
    lower, upper = pair
    for share in (1e-3, 0.999, 1.0):
        u = np.minimum(lower + share * (upper - lower), upper)
        assert (case.model.inverse_rosenblatt(u, condition=condition, **filters) == x).all()
    # Just below the interval lies another level, at the first site where there is one.
    below = np.nextafter(lower, 0)
    first = (lower > 0).argmax(1)
    rows = np.flatnonzero((lower > 0).any(1))
    u = lower + (upper - lower) / 2
    u[rows, first[rows]] = below[rows, first[rows]]
    other = case.model.inverse_rosenblatt(u, condition=condition, **filters).reshape(n, -1)
    assert len(rows) > n // 2
    assert (other[rows, first[rows]] < x.reshape(n, -1)[rows, first[rows]]).all()


def test_any_image_comes_back_where_its_intervals_are_wide(case):
    """Not drawn from the model: some levels are very unlikely."""
    x = np.random.default_rng(4).integers(0, case.model.levels, (50, *case.model.input_shape))
    condition = case.named(50)
    lower, upper = case.model.rosenblatt(x, condition=condition)
    wide = (upper - lower > 2.0**-50).all(1)
    assert wide.sum() > 40
    back = case.model.inverse_rosenblatt((lower, upper), condition=condition)
    assert (back[wide] == x[wide]).all()


def test_filtered_levels_have_empty_intervals():
    if "categorical" not in CASES:
        CASES["categorical"] = build("categorical")
    case = CASES["categorical"]
    x = np.random.default_rng(5).integers(0, 7, (20, 1, 6, 6))
    lower, upper = case.model.rosenblatt(x, top_k=2)
    p = probabilities(case.torch_logits(x), top_k=2)
    mine = np.take_along_axis(p, x.reshape(20, -1, 1), -1)[..., 0]
    assert (mine == 0).any() and (mine > 0).any()
    assert ((upper == lower) == (mine == 0)).all()
    assert np.isneginf(case.model.log_prob(x, top_k=2)).all()


def test_bits_do_not_depend_on_batch_threads_or_target(case):
    n = 21
    condition = case.named(n)
    x = case.model.sample(n, rng=6, condition=condition)
    want = case.model.rosenblatt(x, condition=condition)
    before = gf.num_threads()
    try:
        for name in TARGETS:
            _core.kernels.set_target(name)
            for threads in (1, 2):
                gf.set_num_threads(threads)
                got = case.model.rosenblatt(x, condition=condition)
                assert (got[0] == want[0]).all() and (got[1] == want[1]).all(), (name, threads)
    finally:
        _core.kernels.set_target("")
        gf.set_num_threads(before)
    for i in (0, 20):
        part = {"cond": condition["cond"][i : i + 1]} if condition else None
        got = case.model.rosenblatt(x[i : i + 1], condition=part)
        assert (got[0] == want[0][i]).all() and (got[1] == want[1][i]).all()


def test_wrong_arguments():
    if "categorical" not in CASES:
        CASES["categorical"] = build("categorical")
    model = CASES["categorical"].model
    half = np.full((2, 36), 0.5)
    for u, words in [
        (half[:, :35], r"\(n, 36\), got \(2, 35\)"),
        (half[0], r"got \(36,\)"),
        (half + 1, "u: row 0, site 0 is outside"),
        ((half,), "pair"),
        ((half, half[:1]), r"upper must have shape .*\(2, 36\)"),
        ((half, half - 0.1), "lower <= upper"),
        ((half, half + np.nan), "lower <= upper"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.inverse_rosenblatt(u)
    with pytest.raises(TypeError, match="u must hold real numbers"):
        model.inverse_rosenblatt([["a"] * 36])
    with pytest.raises(ValueError, match="levels 0 to 6"):
        model.rosenblatt(np.full((1, 1, 6, 6), 7))
    with pytest.raises(ValueError, match="top_k"):
        model.rosenblatt(np.zeros((1, 1, 6, 6), int), top_k=0)
    with pytest.raises(ValueError, match="not categorical"):
        (CASES.get("bernoulli") or build("bernoulli")).model.rosenblatt(np.zeros((1, 1, 4, 4), int), top_k=1)
    lower, upper = model.rosenblatt(np.zeros((0, 1, 6, 6), int))
    assert lower.shape == upper.shape == (0, 36)
