"""The naive sampler that genfast must agree with: PyTorch, one whole forward pass per site, the same uniforms."""

from __future__ import annotations

import numpy as np
import torch

NEAR_TIE = 1e-5


def probabilities(logits: torch.Tensor, bernoulli: bool, temperature: float) -> np.ndarray:
    """(n, levels) float64 from the model's output at one site."""
    z = logits.double() / temperature
    if bernoulli:
        p = torch.sigmoid(z)
        return torch.cat([1 - p, p], 1).numpy()
    return torch.softmax(z, 1).numpy()


def invert(p: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest level of positive probability with F(level) >= u, and the distance of u to the nearest step of F."""
    f = p.cumsum(1)
    f /= f[:, -1:]
    level = np.where(p > 0, f >= u[:, None], False).argmax(1)
    return level, np.abs(f - u[:, None]).min(1)


def site_logits(model, x, site: tuple[int, ...], condition) -> torch.Tensor:
    with torch.no_grad():
        return model(x, *condition)[(slice(None), slice(None), *site)]


def sample(model, values, shape, u, condition=(), temperature=1.0, bernoulli=False, dtype=torch.float32):
    """Levels (n, *shape) and near (n, sites): how close each uniform came to a step of its distribution function.

    The sites are drawn in raster order; `shape` is (1, H, W).
    """
    n, (_, height, width) = len(u), shape
    x = torch.zeros(n, *shape, dtype=dtype)
    levels, near = np.zeros((n, height * width), np.int64), np.zeros((n, height * width))
    fed = torch.tensor(values, dtype=dtype)
    for site in range(height * width):
        y, column = divmod(site, width)
        p = probabilities(site_logits(model, x, (y, column), condition), bernoulli, temperature)
        levels[:, site], near[:, site] = invert(p, u[:, site])
        x[:, 0, y, column] = fed[levels[:, site]]
    return levels.reshape(n, *shape), near


def assert_same_up_to_ties(ours: np.ndarray, theirs: np.ndarray, near: np.ndarray, most: int = 1) -> None:
    """Each image's first difference must be a near tie, and at most `most` images may differ at all."""
    a, b = ours.reshape(len(ours), -1), theirs.reshape(len(theirs), -1)
    differing = np.flatnonzero((a != b).any(1))
    for row in differing:
        first = (a[row] != b[row]).argmax()
        assert near[row, first] < NEAR_TIE, f"row {row} differs at site {first}, {near[row, first]:.2g} away from a tie"
    assert len(differing) <= most, f"{len(differing)} of {len(a)} images differ"
