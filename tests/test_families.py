"""Every family of models, written as the world writes it: logits, samples and log-probabilities are PyTorch's, and the
bits depend on no batch, thread or target. What is no causal model is refused, with its layer named."""

from __future__ import annotations

import re

import naive
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("scipy")

from families import images, loop, pixelcnnpp, pixelsnail, refused  # noqa: E402
from families.catalogue import FAMILIES, Family, build  # noqa: E402

import genfast as gf  # noqa: E402
from genfast import _core  # noqa: E402
from genfast.zoo.pixelcnn import PixelCNN  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

TARGETS = [name for name, supported in _core.kernels.targets() if supported]
ROWS = 6
BUILT: dict[str, tuple[Family, gf.Model]] = {}


def built(name: str) -> tuple[Family, gf.Model]:
    if name not in BUILT:
        family = build(name)
        BUILT[name] = family, family.compile()
    return BUILT[name]


def uniforms(family: Family, n: int = ROWS) -> np.ndarray:
    return np.random.default_rng(0).random((n, family.sites))


def draw(family: Family, model: gf.Model, u: np.ndarray, **options) -> np.ndarray:
    return model.sample(len(u), u=u, condition=family.condition(len(u)) or None, **options)


@pytest.fixture
def machine():
    """Threads and target, given back after the test."""
    threads = gf.num_threads()
    yield
    gf.set_num_threads(threads)
    _core.kernels.set_target("")


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_are_those_of_the_naive_loop(name: str) -> None:
    family, model = built(name)
    u = uniforms(family)
    ours = draw(family, model, u)
    theirs, near = loop.sample(family, u)
    assert ours.shape == theirs.shape == (ROWS, *family.shape)
    if loop.is_continuous(family):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    else:
        naive.assert_same_up_to_ties(ours, theirs, near)
    assert len(np.unique(ours)) > 1


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_log_prob_are_those_of_pytorch(name: str) -> None:
    family, model = built(name)
    x = draw(family, model, uniforms(family))
    condition = family.condition(ROWS) or None
    want = family.outputs(torch.from_numpy(x) if loop.is_continuous(family) else family.fed(x)).numpy()
    got = model.logits(x, condition=condition).reshape(ROWS, want.shape[2], -1).transpose(0, 2, 1)
    first = int(family.shift)
    assert np.abs(got[:, first:] - want[:, first:]).max() <= 1e-5 * np.abs(want).max()
    np.testing.assert_allclose(model.log_prob(x, condition=condition), loop.log_prob(family, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_bits_depend_on_no_batch_threads_or_target(name: str, machine) -> None:
    family, model = built(name)
    n = 7
    u = uniforms(family, n)
    whole = draw(family, model, u)
    log_prob = model.log_prob(whole, condition=family.condition(n) or None)
    for row in (0, n - 1):
        one = {key: array[row : row + 1] for key, array in family.condition(n).items()} or None
        assert (model.sample(1, u=u[row : row + 1], condition=one) == whole[row : row + 1]).all()
        assert model.log_prob(whole[row : row + 1], condition=one) == log_prob[row]
    for target in TARGETS:
        for threads in (1, 2):
            _core.kernels.set_target(target)
            gf.set_num_threads(threads)
            assert (draw(family, model, u) == whole).all(), (target, threads)
            assert (draw(family, model, u, wavefront=False) == whole).all(), (target, threads)
            assert (model.log_prob(whole, condition=family.condition(n) or None) == log_prob).all(), (target, threads)


def passes(model: gf.Model) -> float:
    """Multiply-adds of a sample over those of one forward pass, as `explain` counts them."""
    return float(re.search(r"([\d.]+) of one pass", model.explain())[1])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_sample_costs_no_more_than_one_forward_pass(name: str) -> None:
    assert 0 < passes(built(name)[1]) <= 1


def test_wavefronts_are_those_of_the_study() -> None:
    rgb = gf.compile(images.RGBPixelCNN().eval(), torch.rand(2, 3, 12, 12), head=gf.heads.Categorical(4))
    assert "135 wavefront levels for 432 sites" in rgb.explain()
    grey = gf.compile(PixelCNN(4, 8, 2).eval(), torch.rand(2, 1, 12, 12), head=gf.heads.Categorical(4))
    assert "56 wavefront levels for 144 sites" in grey.explain()


@pytest.mark.slow
def test_pixelcnnpp_of_three_resolutions_costs_what_the_study_says() -> None:
    net = pixelcnnpp.PixelCNNPP(c=4, levels=3).eval()
    model = gf.compile(net, torch.rand(2, 3, 12, 12), head=gf.heads.DiscretizedLogisticMixture(2))
    assert "114 wavefront levels for 144 positions" in model.explain()
    assert passes(model) == 0.98


def image_net(between: torch.nn.Module, train: bool = False, **options) -> tuple:
    return refused.Net(between, **options).train(train), torch.rand(2, 1, 6, 6), gf.heads.Categorical(4)


def token_net(model: torch.nn.Module, vocabulary: int, length: int = 6) -> tuple:
    return model.eval(), torch.arange(2 * length).view(2, length) % vocabulary, gf.heads.Categorical(vocabulary)


def leaking_snail() -> tuple:
    return pixelsnail.PixelSNAIL(start=False).eval(), torch.zeros(2, 5, 5, dtype=torch.int64), gf.heads.Categorical(5)


REFUSED = {
    "a first layer of mask type B": (
        lambda: image_net(torch.nn.Identity(), first="B"), gf.NotCausalError, r"layer first .*mask of type A"),
    "GroupNorm over positions": (
        lambda: image_net(torch.nn.GroupNorm(2, 8)), gf.NotCausalError, r"layer between .*GroupNorm"),
    "batch statistics": (
        lambda: image_net(torch.nn.BatchNorm2d(8), train=True), gf.NotCausalError, r"module 'between'.*eval\(\)"),
    "squeeze and excite": (
        lambda: image_net(refused.SqueezeExcite(8)), gf.NotCausalError, r"layer between"),
    "dropout left on": (
        lambda: image_net(torch.nn.Dropout(0.5), train=True), gf.UnsupportedOpError, r"module 'between'.*eval\(\)"),
    "control flow on values": (
        lambda: image_net(refused.Depends()), gf.UnsupportedOpError, r"refused\.py:\d+"),
    "attention without a mask": (
        lambda: token_net(refused.Bert(), 8), gf.NotCausalError, r"attention"),
    "a transformer off by one": (
        lambda: token_net(refused.OffByOne(), 7), gf.NotCausalError, r"layer transformer\.h\.1\.attn"),
    "an all-masked row that attends to the future": (
        leaking_snail, gf.NotCausalError, r"layer blocks\.0\.attention"),
    "a mixture of experts": (
        lambda: token_net(refused.MixtureOfExperts(), 7), gf.UnsupportedOpError, r"module 'experts'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_causal_model_is_refused_with_its_layer_named(name: str) -> None:
    torch.manual_seed(0)
    make, error, words = REFUSED[name]
    model, example, head = make()
    with pytest.raises(error, match=words):
        gf.compile(model, example, head=head)
