"""Pruning a graph: passes after it find arrays and tables by their new indices."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import genfast as gf  # noqa: E402
from genfast.zoo.data import Dataset  # noqa: E402
from genfast.zoo.recipes import RECIPES  # noqa: E402


def test_a_pass_after_pruning_is_given_its_own_arrays() -> None:
    """Folding writes the shifts of BatchNorms, arrays of the graph already, as the biases of products."""
    torch.manual_seed(0)
    images, labels = np.zeros((20, 1, 8, 8), np.uint8), np.arange(20) % 10
    dataset = Dataset("none", 17, 10, images, images, labels, labels)
    network = RECIPES["gan"].recipe.task(dataset).build().generator.eval()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    z, label = torch.randn(3, 16), torch.tensor([1, 2, 9])
    model = gf.compile(network, (z, label), latent=gf.Normal(0, 1))
    with torch.no_grad():
        wanted = network(z, label).numpy()
    got = model.apply(z.numpy(), condition={"label": label.numpy()})
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
