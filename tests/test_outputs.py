"""Heads of numbers and of mixtures: where a network's parameters lie, one tensor or several, and what is sampled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

import genfast as gf
from genfast import reference
from genfast.export import export
from genfast.heads import Categorical, Distribution, GaussianMixture, Normal

D = 6
X = torch.zeros(2, D)


class Flow(nn.Module):
    """A masked autoregressive flow's conditioner (Papamakarios et al., 2017); `shape` arranges `parts` of `each`."""

    def __init__(self, shape="tuple", parts=2, each=1):
        super().__init__()
        self.shape, self.parts, self.each = shape, parts, each
        self.linear = nn.Linear(D, parts * each * D)
        mask = torch.ones(D, D).tril(-1)
        self.linear.weight.data *= mask.repeat(parts * each, 1)

    def forward(self, x):
        y = self.linear(x).view(len(x), self.parts * self.each, D)
        if self.shape == "tuple":
            z = y.view(len(x), self.parts, self.each, D)
            return tuple(p[:, 0] if self.each == 1 else p for p in z.unbind(1))
        if self.shape == "last":
            return tuple(p.transpose(1, 2) for p in y.view(len(x), self.parts, self.each, D).unbind(1))
        return {"NP": y, "PN": y.transpose(1, 2), "flat": y.flatten(1)}[self.shape]

    def by_site(self, x):
        return self.linear(x).view(len(x), -1, D).transpose(1, 2)


@pytest.mark.parametrize("shape", ["tuple", "NP", "PN", "flat"])
def test_gaussian_flow(shape):
    """z by the inverse CDF, x = μ + e^α z, one dimension after another."""
    torch.manual_seed(0)
    model = Flow(shape)
    compiled = gf.compile(model, X, head=Normal(layout="interleaved" if shape == "flat" else None))
    u = np.random.default_rng(0).random((5, D))
    x = torch.zeros(5, D)
    for d in range(D):
        with torch.no_grad():
            mu, alpha = model.by_site(x)[:, d].double().numpy().T
        x[:, d] = torch.from_numpy(mu + np.exp(alpha) * special.ndtri(u[:, d]))
    np.testing.assert_allclose(compiled.sample(5, u=u), x.numpy(), rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        mu, alpha = model.by_site(x).double().unbind(2)
    want = torch.distributions.Normal(mu, alpha.exp()).log_prob(x.double()).sum(1)
    np.testing.assert_allclose(compiled.log_prob(x.numpy()), want.numpy(), rtol=1e-5)


@pytest.mark.parametrize("shape", ["tuple", "last", "NP", "PN", "flat"])
def test_mixture_of_gaussians(shape):
    torch.manual_seed(0)
    model = Flow(shape, parts=3, each=4)
    compiled = gf.compile(model, X, head=GaussianMixture(4, layout="interleaved" if shape == "flat" else None))
    x = compiled.sample(5, rng=1)
    with torch.no_grad():
        logits, mu, alpha = model.by_site(torch.from_numpy(x)).double().chunk(3, -1)
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits), torch.distributions.Normal(mu, alpha.exp())
    )
    value = torch.from_numpy(x).double()
    np.testing.assert_allclose(compiled.log_prob(x), mixture.log_prob(value).sum(1).numpy(), rtol=1e-5)
    lower, upper = compiled.rosenblatt(x)
    np.testing.assert_array_equal(lower, upper)
    np.testing.assert_allclose(lower, mixture.cdf(value).numpy(), atol=1e-5)


def test_counts_through_a_mapping():
    torch.manual_seed(0)
    compiled = gf.compile(Flow("NP", parts=1), X, head=Distribution("Poisson", rate=(0, "exp")))
    x = compiled.sample(20, rng=0)
    assert x.dtype == np.float32 and (x == np.round(x)).all() and x.max() > 1


def test_images_of_numbers():
    class Pictures(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3)

        def forward(self, x):
            y = self.conv(nn.functional.pad(x, (1, 1, 3, -1)))
            return y.chunk(2, 1)  # means of both channels, then log-scales

    torch.manual_seed(0)
    model = Pictures()
    x = torch.zeros(1, 2, 4, 3)
    graph = reference.read(export(model, x, Normal()))
    assert graph.json["values"][0] == [12, 2]
    compiled = gf.compile(model, x, head=Normal())
    drawn = compiled.sample(3, rng=0)
    with torch.no_grad():
        mu, alpha = model(torch.from_numpy(drawn))
    want = torch.distributions.Normal(mu.double(), alpha.double().exp()).log_prob(torch.from_numpy(drawn).double())
    np.testing.assert_allclose(compiled.log_prob(drawn), want.sum((1, 2, 3)).numpy(), rtol=1e-5)


class Plus(nn.Module):
    """What PixelCNN++ ends in, over a causal convolution: 10 K numbers a pixel for RGB in [−1, 1]."""

    def __init__(self, components, last):
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, components * 10, 3), last

    def forward(self, x):
        y = self.conv(nn.functional.pad(x, (1, 1, 3, -1)))
        return y.permute(0, 2, 3, 1) if self.last else y


def discretized(params, x, components, levels):
    """Log-probability (B, C, H, W) of x in [−1, 1] in float64 as in PixelCNN++, by differences of sigmoids."""
    b, _, h, w = params.shape
    logits, rest = params[:, :components], params[:, components:].reshape(b, 3, 3 * components, h, w)
    means, scales = rest[:, :, :components], rest[:, :, components : 2 * components].clamp(min=-7).exp()
    c = torch.tanh(rest[:, :, 2 * components :])
    red, green = x[:, 0:1], x[:, 1:2]
    centres = torch.stack([means[:, 0], means[:, 1] + c[:, 0] * red, means[:, 2] + c[:, 1] * red + c[:, 2] * green], 1)
    half = 1 / (levels - 1)
    y = x.unsqueeze(2)
    up = torch.where(y > 1 - half, 1.0, torch.sigmoid((y + half - centres) / scales))
    down = torch.where(y < -1 + half, 0.0, torch.sigmoid((y - half - centres) / scales))
    return torch.logsumexp(torch.log_softmax(logits, 1) + (up - down).log().sum(1), 1).sum((1, 2))


@pytest.mark.parametrize("last", [False, True])
def test_mixture_of_logistics(last):
    torch.manual_seed(0)
    model, levels = Plus(3, last), 16
    compiled = gf.compile(model, torch.zeros(1, 3, 3, 4), head=gf.heads.DiscretizedLogisticMixture(3, levels))
    k = compiled.sample(4, rng=0)
    assert k.shape == (4, 3, 3, 4) and 0 <= k.min() < k.max() < levels
    x = torch.from_numpy(k / (levels - 1) * 2 - 1).double()
    with torch.no_grad():
        params = model(x.float()).double()
    want = discretized(params.permute(0, 3, 1, 2) if last else params, x, 3, levels)
    np.testing.assert_allclose(compiled.log_prob(k), want.numpy(), rtol=1e-5)
    low, high = compiled.rosenblatt(k)
    np.testing.assert_array_equal(compiled.inverse_rosenblatt((low, high)), k)


# ---- examples


class Keywords(nn.Module):
    def __init__(self):
        super().__init__()
        self.out, self.label = nn.Linear(D, D * 3), nn.Embedding(4, D)
        self.out.weight.data *= torch.ones(D, D).tril(-1).repeat_interleave(3, 0)

    def forward(self, label=None, scale=1.0, *, pixels):
        return self.out(pixels).view(len(pixels), D, 3) * scale + self.label(label).unsqueeze(-1)


def test_an_example_may_name_its_arguments():
    torch.manual_seed(0)
    model = Keywords()
    example = {"pixels": X, "label": torch.tensor([0, 1]), "scale": 0.5}
    compiled = gf.compile(model, example, head=Categorical(3))
    assert [c["name"] for c in compiled.conditions] == ["label"]
    k = np.random.default_rng(0).integers(0, 3, (4, D))
    label = np.array([0, 3, 1, 2])
    with torch.no_grad():
        want = model(pixels=torch.from_numpy(k / 2).float(), label=torch.from_numpy(label), scale=0.5)
    got = compiled.logits(k, condition={"label": label})
    np.testing.assert_allclose(got, want.transpose(1, 2).numpy(), atol=1e-5)
    with pytest.raises(TypeError, match="example"):
        gf.compile(model, {}, head=Categorical(3))
