"""Samples, log-probabilities and logits against PyTorch; the same bits for any batch, threads, wavefront and target."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch

import genfast as gf
from genfast import _core
from genfast.zoo.gated import GatedPixelCNN
from genfast.zoo.pixelcnn import PixelCNN

TARGETS = [name for name, supported in _core.kernels.targets() if supported]


def randomise(model, seed=0, scale=0.1):
    """Untrained weights give nearly uniform pixels; these give distributions with shape."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=generator)
    return model.eval()


class Case:
    def __init__(self, name, model, size, levels, labelled=False, bernoulli=False, probs=False):
        self.name, self.size, self.levels, self.bernoulli = name, size, levels, bernoulli
        self.shape = (1, size, size)
        self.torch_model = randomise(model)
        example = torch.zeros(2, 1, size, size)
        head = gf.heads.Bernoulli(probs=probs) if bernoulli else gf.heads.Categorical(levels)
        self.model = gf.compile(
            self.torch_model, (example, torch.tensor([0, 1])) if labelled else example, head=head, name=name
        )
        self.values = np.arange(levels) / (levels - 1)
        self.labelled = labelled

    def condition(self, n):
        return {"label": np.arange(n) % 10} if self.labelled else None

    def torch_condition(self, n):
        return (torch.arange(n) % 10,) if self.labelled else ()


def build(name):
    torch.manual_seed(0)
    if name == "pixelcnn-8":
        return Case(name, PixelCNN(17, channels=24, blocks=2), 8, 17)
    if name == "pixelcnn-13":
        return Case(name, PixelCNN(256, channels=32, blocks=3), 13, 256)
    if name == "gated-8":
        return Case(name, GatedPixelCNN(17, channels=20, layers=3), 8, 17, labelled=True)
    if name == "gated-11":
        return Case(name, GatedPixelCNN(5, channels=12, layers=2), 11, 5, labelled=True)
    assert name == "bernoulli-9"
    return Case(name, PixelCNN(1, channels=16, blocks=2), 9, 2, bernoulli=True)


NAMES = ["pixelcnn-8", "pixelcnn-13", "gated-8", "gated-11", "bernoulli-9"]
CASES: dict[str, Case] = {}


@pytest.fixture(params=NAMES)
def case(request):
    if request.param not in CASES:
        CASES[request.param] = build(request.param)
    return CASES[request.param]


@pytest.fixture
def threads():
    before = gf.num_threads()
    yield gf.set_num_threads
    gf.set_num_threads(before)


@pytest.fixture
def target():
    yield _core.kernels.set_target
    _core.kernels.set_target("")


def uniforms(n, sites, seed=0):
    return np.random.default_rng(seed).random((n, sites))


@pytest.mark.parametrize("wavefront", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_samples_are_those_of_the_naive_loop(case, wavefront, temperature):
    n = 24
    u = uniforms(n, case.model.sites)
    ours = case.model.sample(n, u=u, condition=case.condition(n), temperature=temperature, wavefront=wavefront)
    theirs, near = naive.sample(
        case.torch_model, case.values, case.shape, u, case.torch_condition(n), temperature, case.bernoulli
    )
    naive.assert_same_up_to_ties(ours, theirs, near)
    assert len(np.unique(ours)) > min(case.levels, 17) // 2, "the case must exercise many levels"


def test_logits_and_log_prob_are_those_of_pytorch(case):
    n = 9
    x = case.model.sample(n, rng=1, condition=case.condition(n))
    with torch.no_grad():
        fed = torch.tensor(case.values[x], dtype=torch.float32)
        want = case.torch_model(fed, *case.torch_condition(n))
    got = case.model.logits(x, condition=case.condition(n))
    assert got.shape == tuple(want.shape)
    assert np.abs(got - want.numpy()).max() <= 1e-5 * want.abs().max()

    for temperature in (1.0, 0.7):
        z = want.double() / temperature
        if case.bernoulli:
            log_p = torch.where(
                torch.tensor(x) == 1, torch.nn.functional.logsigmoid(z), torch.nn.functional.logsigmoid(-z)
            )
        else:
            log_p = torch.log_softmax(z, 1).gather(1, torch.tensor(x, dtype=torch.int64))
        want_log_prob = log_p.sum((1, 2, 3)).numpy()
        got_log_prob = case.model.log_prob(x, condition=case.condition(n), temperature=temperature)
        assert got_log_prob.dtype == np.float64
        np.testing.assert_allclose(got_log_prob, want_log_prob, rtol=1e-5)
    np.testing.assert_allclose(
        case.model.bits_per_dim(x, condition=case.condition(n)),
        -case.model.log_prob(x, condition=case.condition(n)) / (x[0].size * np.log(2)),
    )


def test_batch_rows_and_splits_do_not_matter(case):
    n = 64
    labels = case.condition(n)
    part = lambda i, j: {"label": labels["label"][i:j]} if labels else None
    whole = case.model.sample(n, rng=5, condition=labels)
    for size in (1, 7, 64):
        parts = [
            case.model.sample(min(size, n - i), rng=5, first_row=i, condition=part(i, i + size))
            for i in range(0, n, size)
        ]
        assert (np.concatenate(parts) == whole).all(), size
    u = uniforms(n, case.model.sites)
    shuffled = np.random.default_rng(1).permutation(n)
    straight = case.model.sample(n, u=u, condition=labels)
    moved = case.model.sample(n, u=u[shuffled], condition={"label": labels["label"][shuffled]} if labels else None)
    assert (moved == straight[shuffled]).all()


def test_threads_wavefronts_and_targets_do_not_matter(case, threads, target):
    n = 37
    condition = case.condition(n)
    x = case.model.sample(n, rng=2, condition=condition)
    log_prob = case.model.log_prob(x, condition=condition)
    logits = case.model.logits(x, condition=condition)
    for name in TARGETS:
        for count in (1, 2):
            target(name)
            threads(count)
            rows = 5 if name == "scalar" else n
            part = {"label": condition["label"][:rows]} if condition else None
            assert (case.model.sample(rows, rng=2, condition=part) == x[:rows]).all(), (name, count)
            assert (case.model.sample(rows, rng=2, condition=part, wavefront=False) == x[:rows]).all(), (name, count)
            assert (case.model.log_prob(x[:rows], condition=part) == log_prob[:rows]).all(), (name, count)
            got = case.model.logits(x[:rows], condition=part)
            assert (got.view(np.uint32) == logits[:rows].view(np.uint32)).all(), (name, count)


def test_seed_is_philox_by_row_and_site():
    case = CASES.setdefault("pixelcnn-8", build("pixelcnn-8"))
    u = np.stack([_core.kernels.uniforms(11, 3 + row, 0, case.model.sites) for row in range(4)])
    assert (case.model.sample(4, rng=11, first_row=3) == case.model.sample(4, u=u)).all()


def test_numpy_generators_are_read_in_order():
    case = CASES.setdefault("pixelcnn-8", build("pixelcnn-8"))
    sites = case.model.sites
    u = np.random.Generator(np.random.PCG64(4)).random((1500, sites))
    assert (case.model.sample(1500, rng=np.random.default_rng(4)) == case.model.sample(1500, u=u)).all()
    assert (case.model.sample(3, rng=np.random.PCG64(4)) == case.model.sample(3, u=u[:3])).all()


def test_saving_and_loading_changes_nothing(case, tmp_path):
    path = tmp_path / "model.genfast"
    case.model.save(path)
    loaded = gf.load(path)
    condition = case.condition(6)
    assert (loaded.sample(6, rng=0, condition=condition) == case.model.sample(6, rng=0, condition=condition)).all()
    assert loaded.input_shape == case.shape
    loaded.save(tmp_path / "again.genfast")
    assert (tmp_path / "again.genfast").read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_explain_tells_the_program(case):
    text = case.model.explain()
    for word in ("nodes", "wavefront levels", "multiply-adds", "weights", "activations"):
        assert word in text


def test_wavefront_levels_are_those_of_the_design():
    """A 28×28 PixelCNN needs 136 levels instead of 784: level = x + 4y for a 7×7 mask A and 3×3 masks B."""
    model = gf.compile(PixelCNN(4, channels=4, blocks=8), torch.zeros(1, 1, 28, 28), head=gf.heads.Categorical(4))
    assert "136 wavefront levels for 784 sites, at most 7 sites at once" in model.explain()


def test_distribution_is_that_of_the_model():
    """Chi-square of a million first pixels; false alarm 1e-6, and a 1 % error in one level's probability is caught."""
    from scipy.stats import chi2

    n = 1_000_000
    small = gf.compile(
        randomise(PixelCNN(5, channels=4, blocks=1)), torch.zeros(1, 1, 2, 2), head=gf.heads.Categorical(5)
    )
    first = small.sample(n, rng=3).reshape(n, -1)[:, 0]
    logits = small.logits(np.zeros((1, 1, 2, 2), np.int64))[0, :, 0, 0].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum()
    limit = chi2.isf(1e-6, 4)
    counts = np.bincount(first, minlength=5)
    assert ((counts - n * p) ** 2 / (n * p)).sum() < limit
    wrong = p.copy()
    wrong[p.argmax()] += 0.01
    wrong /= wrong.sum()
    planted = np.random.default_rng(0).multinomial(n, wrong)
    assert ((planted - n * p) ** 2 / (n * p)).sum() > limit


def test_meta_is_kept_and_checked(tmp_path):
    def compiled(**options):
        return gf.compile(
            PixelCNN(4, channels=4, blocks=1), torch.zeros(1, 1, 2, 2), head=gf.heads.Categorical(4), **options
        )

    meta = {"vocabulary": ["a", "\n", "", "b"], "n": 1}
    compiled(name="é", meta=meta).save(tmp_path / "m.genfast")
    assert gf.load(tmp_path / "m.genfast").meta == {"name": "é", **meta}
    for short in ("abc", ["a", "\n"]):
        with pytest.raises(ValueError, match=r"meta: the vocabulary has \d entries, and the head 4 levels"):
            compiled(meta={"vocabulary": short})
    for wrong, error in (
        (3, TypeError),
        ({1: 2}, TypeError),
        ({"name": 3}, TypeError),
        ({"a": object()}, TypeError),
        ({"a": np.nan}, ValueError),
    ):
        with pytest.raises(error):
            compiled(meta=wrong)
