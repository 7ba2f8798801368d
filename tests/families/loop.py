"""The naive loop of a family: one whole forward pass a site, float64 distributions, the same uniforms; its score."""

from __future__ import annotations

import naive
import numpy as np
import torch
from scipy import stats

import genfast as gf
from families.catalogue import Family


def mixture_levels(head, numbers: np.ndarray, channels: int) -> tuple:
    """(n, …) of one position: mixture weights (n, K); means, scales, coefficients (n, C, K). Salimans et al., 2017."""
    k = head.components
    weights = torch.softmax(torch.from_numpy(numbers[:, :k]), 1).numpy()
    rest = numbers[:, k:].reshape(len(numbers), channels, -1, k)
    coefficients = np.tanh(rest[:, :, 2]) if channels > 1 else None
    return weights, rest[:, :, 0], np.exp(np.maximum(rest[:, :, 1], -7.0)), coefficients


def mixture_channel(head, parts: tuple, channel: int, before: list[np.ndarray]) -> np.ndarray:
    """(n, K, levels): F of every component, given the values of the channels before."""
    _, means, scales, coefficients = parts
    mean = means[:, channel].copy()
    if channel == 1:
        mean += coefficients[:, 0] * before[0][:, None]
    elif channel == 2:
        mean += coefficients[:, 1] * before[0][:, None] + coefficients[:, 2] * before[1][:, None]
    step = (head.high - head.low) / (head.levels - 1)
    edges = head.low + step * (np.arange(head.levels) + 0.5)
    f = stats.logistic.cdf((edges - mean[..., None]) / scales[:, channel][..., None])
    f[..., -1] = 1
    return f


def site_of(family: Family, position: int, channel: int) -> int:
    return channel * (family.sites // family.shape[0]) + position


def draw_position(family: Family, numbers: np.ndarray, position: int, u: np.ndarray, x: np.ndarray, near: np.ndarray):
    """Draw the channels of a position, or score those of `x` where `u` is None: log-probabilities (n,)."""
    head, channels = family.head, family.shape[0]
    parts = mixture_levels(head, numbers, channels)
    weights, before, score = parts[0].copy(), [], 0
    step = (head.high - head.low) / (head.levels - 1)
    for channel in range(channels):
        f = mixture_channel(head, parts, channel, before)
        p = np.diff(f, axis=2, prepend=0)
        site = site_of(family, position, channel)
        whole = (weights[..., None] * p).sum(1)
        if u is not None:
            x[:, site], near[:, site] = naive.invert(whole, u[:, site])
        taken = x[:, site]
        score = score + np.log(np.take_along_axis(whole, taken[:, None], 1)[:, 0])
        weights = weights * np.take_along_axis(p, taken[:, None, None], 2)[..., 0]
        weights /= weights.sum(1, keepdims=True)
        before.append(head.low + step * taken)
    return score


def is_mixture(family: Family) -> bool:
    return not isinstance(family.head, gf.heads.Categorical | gf.heads.Bernoulli) and hasattr(family.head, "coupled")


def is_continuous(family: Family) -> bool:
    return not isinstance(family.head, gf.heads.Categorical | gf.heads.Bernoulli) and not is_mixture(family)


def probabilities(family: Family, numbers: torch.Tensor) -> np.ndarray:
    if isinstance(family.head, gf.heads.Bernoulli) and family.head.probs:
        return torch.cat([1 - numbers, numbers], -1).numpy()
    if isinstance(family.head, gf.heads.Bernoulli):
        p = torch.sigmoid(numbers)
        return torch.cat([1 - p, p], -1).numpy()
    return torch.softmax(numbers, -1).numpy()


def sample(family: Family, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Levels (or numbers) (n, *shape), and how close each uniform came to a step of its distribution function."""
    n = len(u)
    near = np.ones((n, family.sites))
    if is_continuous(family):
        x = np.zeros((n, family.sites), np.float32)
        for site in family.order:
            fed = torch.from_numpy(x.reshape(n, *family.shape))
            mean, log_scale = family.outputs(fed)[:, site].T.numpy()
            x[:, site] = stats.norm.ppf(u[:, site], mean, np.exp(log_scale))
        return x.reshape(n, *family.shape), near
    x = np.zeros((n, family.sites), np.int64)
    positions = family.sites // family.shape[0]
    for site in family.order:
        if is_mixture(family) and site >= positions:
            continue
        if family.shift and site == 0:
            x[:, 0] = family.bos
            continue
        numbers = family.outputs(family.fed(x.reshape(n, *family.shape)))[:, site]
        if is_mixture(family):
            draw_position(family, numbers.numpy(), site, u, x, near)
        else:
            x[:, site], near[:, site] = naive.invert(probabilities(family, numbers), u[:, site])
    return x.reshape(n, *family.shape), near


def log_prob(family: Family, x: np.ndarray) -> np.ndarray:
    """(n,) float64, from one teacher-forced pass. A first token without a distribution scores 0."""
    n = len(x)
    if is_continuous(family):
        mean, log_scale = family.outputs(torch.from_numpy(x)).numpy().transpose(2, 0, 1)
        return stats.norm.logpdf(x.reshape(n, -1), mean, np.exp(log_scale)).sum(1)
    numbers, flat = family.outputs(family.fed(x)), x.reshape(n, -1).astype(np.int64)
    if is_mixture(family):
        positions = numbers.shape[1]
        return sum(draw_position(family, numbers[:, p].numpy(), p, None, flat, None) for p in range(positions))
    log_p = np.log(np.take_along_axis(probabilities(family, numbers), flat[..., None], 2)[..., 0])
    return log_p[:, int(family.shift) :].sum(1)
