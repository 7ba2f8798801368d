"""Distribution functions that are linear between knots: empirical ones and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["PiecewiseLinear", "from_histogram", "from_samples"]


class PiecewiseLinear:
    """x grows linearly from x[i] to x[i + 1] while F grows from before[i] to before[i + 1].

    `before` and `after` = 1 − before are both kept, for the two tails.
    """

    def __init__(self, x: np.ndarray, share: np.ndarray) -> None:
        self.x = x
        self.share = share
        zero = np.zeros(1)
        self.before = np.concatenate([zero, np.cumsum(share)])
        self.after = np.concatenate([np.cumsum(share[::-1])[::-1], zero])
        self.before[self.before > 1] = self.after[self.after > 1] = 1.0
        self.before[-1] = self.after[0] = 1.0
        self.slope = np.diff(x) / np.where(share > 0, share, 1)

    def icdf(self, u: np.ndarray) -> np.ndarray:
        """The smallest x with F(x) >= u; at 0 the lowest."""
        i = np.clip(np.searchsorted(self.before, u, side="left") - 1, 0, len(self.share) - 1)
        inside = np.minimum(self.x[i] + (u - self.before[i]) * self.slope[i], self.x[i + 1])
        return np.where(u >= self.before[i + 1], self.x[i + 1], inside)

    def iccdf(self, q: np.ndarray) -> np.ndarray:
        """The largest x with 1 − F(x) >= q, counted from above."""
        i = np.clip(len(self.after) - np.searchsorted(self.after[::-1], q, side="left") - 1, 0, len(self.share) - 1)
        inside = np.maximum(self.x[i + 1] - (q - self.after[i + 1]) * self.slope[i], self.x[i])
        return np.where(q >= self.after[i], self.x[i], inside)

    def _place(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i = np.clip(np.searchsorted(self.x, x, side="right") - 1, 0, len(self.share) - 1)
        width = self.x[i + 1] - self.x[i]
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = np.where(width > 0, (x - self.x[i]) / np.where(width > 0, width, 1), 1.0)
        return i, np.clip(inside, 0, 1)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        i, inside = self._place(x)
        return np.where(np.isnan(x), np.nan, np.minimum(self.before[i] + inside * self.share[i], 1))

    def ccdf(self, x: np.ndarray) -> np.ndarray:
        i, inside = self._place(x)
        return np.where(np.isnan(x), np.nan, np.minimum(self.after[i + 1] + (1 - inside) * self.share[i], 1))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        i, _ = self._place(x)
        with np.errstate(divide="ignore"):
            density = np.log(self.share[i] / (self.x[i + 1] - self.x[i]))
        outside = (x < self.x[0]) | (x > self.x[-1])
        return np.where(np.isnan(x), np.nan, np.where(outside, -np.inf, density))

    def moments(self) -> tuple[float, float]:
        a, b = self.x[:-1], self.x[1:]
        mean = float((self.share * (a + b)).sum() / 2)
        a, b = a - mean, b - mean
        return mean, float((self.share * (a * a + a * b + b * b)).sum() / 3)


def _finite(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(f"{name} must be finite, got {float(array[i])!r} at index {i}")
    return array


def from_samples(samples: Any) -> PiecewiseLinear:
    """Linear between the order statistics x(0) … x(n − 1), with F(x(i)) = i / (n − 1)."""
    x = np.sort(_finite(samples, "samples"))
    if len(x) < 2:
        raise ValueError(f"samples must be at least two numbers, got {len(x)}")
    return PiecewiseLinear(x, np.full(len(x) - 1, 1 / (len(x) - 1)))


def from_histogram(histogram: Any) -> PiecewiseLinear:
    """Uniform in each bin of (counts, edges), as numpy.histogram returns them."""
    try:
        counts, edges = histogram
    except (TypeError, ValueError):
        raise ValueError("histogram must be a pair (counts, edges)") from None
    counts, edges = _finite(counts, "histogram counts"), _finite(edges, "histogram edges")
    if len(edges) != len(counts) + 1 or not len(counts):
        raise ValueError(f"histogram needs one more edge than counts, got {len(edges)} edges and {len(counts)} counts")
    if (counts < 0).any():
        i = int(np.argmax(counts < 0))
        raise ValueError(f"histogram counts must not be negative, got {float(counts[i])!r} at index {i}")
    if (np.diff(edges) <= 0).any():
        i = int(np.argmax(np.diff(edges) <= 0))
        raise ValueError(
            f"histogram edges must increase, got {float(edges[i])!r} and {float(edges[i + 1])!r} at index {i}"
        )
    if not (counts > 0).any():
        raise ValueError("histogram counts are all zero")
    share = counts / counts.max()
    return PiecewiseLinear(edges, share / share.sum())
