"""Mixtures: quantiles by a search on the mixture's own cdf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from genfast.arrays import as_numpy, at, check_elements, first_index, kind_of
from genfast.distributions.base import Distribution, common_kind, common_shape
from genfast.distributions.combinator import NEAR_HALF, Combinator, below, compute, mapped, on_integers
from genfast.distributions.convert import as_distribution
from genfast.distributions.elementary import log, log_sum_exp
from genfast.distributions.search import smallest_reached

__all__ = ["Mixture", "normalised_weights"]

LANES = 1 << 14


class _Lanes:
    """Elements of a distribution broadcast to `shape`, by flat index, as a distribution of batch shape (m,)."""

    def __init__(self, d: Distribution, shape: tuple[int, ...], lanes: np.ndarray) -> None:
        self._whole: Distribution | None = None
        try:
            index = np.unravel_index(lanes, shape)
            self._part = mapped(d, lambda a: np.broadcast_to(a, shape)[index] if a.ndim else a)
        except TypeError:
            self._whole, self._shape, self._lanes = d, shape, lanes

    def __call__(self, function: str, x: np.ndarray, lanes: np.ndarray | None) -> np.ndarray:
        """`function` of x at the given lanes of these (None: all)."""
        if self._whole is None:
            part = self._part
            if lanes is not None:
                part = mapped(part, lambda a: a[lanes] if a.ndim else a)
            return compute(part, function, x)
        where = self._lanes if lanes is None else self._lanes[lanes]
        full = np.full(self._shape, 0.5)
        full.reshape(-1)[where] = x
        return compute(self._whole, function, full).reshape(-1)[where]


def normalised_weights(weights: Any, name: str, count: int) -> np.ndarray:
    """Weights (..., count) divided by their sums. Raises ValueError naming the first bad index."""
    array = np.array(as_numpy(weights, name), np.float64)
    if not array.ndim or array.shape[-1] != count:
        raise ValueError(f"{name} must have {count} entries in the last axis, one a component, got shape {array.shape}")
    check_elements(array, np.isfinite(array) & (array >= 0), name, "finite and not negative")
    # By the largest first, so that the sum cannot overflow, and added in order.
    top = array.max(axis=-1, keepdims=True)
    empty = top[..., 0] == 0
    if empty.any():
        raise ValueError(f"{name} must not all be 0; they are{at(first_index(empty))}")
    array /= top
    total = sum((array[..., c] for c in range(count)), start=np.zeros(array.shape[:-1]))
    return array / total[..., None]


class Mixture(Combinator):
    """With probability weights[k], a draw of component k.

    Parameters
    ----------
    weights : array_like of shape (..., K)
        Non-negative, of any positive sum. The leading axes broadcast with the components.
    components : sequence of K Distribution, or one Distribution
        One distribution has its components along the last axis of its batch shape. Either all are discrete or none.
        What `from_scipy` and `from_torch` take is accepted too.

    Raises
    ------
    ValueError
        For weights that are negative, not finite or all 0, naming the index, and discrete components among continuous.
    TypeError
        For a component that is no distribution.

    Notes
    -----
    `icdf(u)` is the smallest double x with F(x) >= u, F as computed, found by a bracketed search (for u > 1/2: with
    1 - F(x) <= 1 - u): non-decreasing in u by definition, and the discrete rule for discrete components.

    Examples
    --------
    >>> gf.Mixture([0.3, 0.7], [gf.Normal(-2, 1), gf.Normal(3, 0.5)]).icdf([0.1, 0.5]).round(6).tolist()
    [-2.430727, 2.717026]
    """

    def __init__(self, weights: Any, components: Any) -> None:
        parts = _components(components)
        self._w = normalised_weights(weights, "weights", len(parts))
        self._parts = parts
        self.kind = common_kind(kind_of(weights), *(d.kind for d in parts))
        kinds = {d.is_discrete for d in parts}
        if len(kinds) > 1:
            raise ValueError("components must be all discrete or all continuous: a mixture of both has no density")
        self._set()

    @classmethod
    def unchecked(cls, weights: np.ndarray, components: Sequence[Distribution]) -> Mixture:
        """A mixture of parameters known to be valid: weights of sum 1, components of one kind."""
        mixture = object.__new__(cls)
        mixture._w, mixture._parts = weights, list(components)
        mixture._set()
        return mixture

    def _set(self) -> None:
        shapes = {f"components[{k}]": d.batch_shape for k, d in enumerate(self._parts)}
        self.batch_shape = common_shape(weights=self._w.shape[:-1], **shapes)
        self.is_discrete = self._parts[0].is_discrete
        self._integers = all(map(on_integers, self._parts))

    def __repr__(self) -> str:
        return f"Mixture({self._w.tolist()!r}, {self._parts!r})"

    @property
    def weights(self) -> np.ndarray:
        """The weights with sum 1, of shape (..., K)."""
        return self.kind.wrap(self._w.copy())

    @property
    def components(self) -> tuple[Distribution, ...]:
        """The K components."""
        return tuple(self._parts)

    def _mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> Distribution:
        weights = np.stack([change(w) for w in self._split()], axis=-1)
        return Mixture.unchecked(weights, [mapped(d, change) for d in self._parts])

    def _split(self) -> list[np.ndarray]:
        return [self._w[..., k] for k in range(len(self._parts))]

    def _sum(self, values: Callable[[Distribution], Any]) -> np.ndarray:
        total = np.zeros(())
        for w, d in zip(self._split(), self._parts, strict=True):
            # A component of weight 0 has no say, whatever its value.
            with np.errstate(invalid="ignore"):
                total = total + np.where(w > 0, w * np.asarray(values(d)), 0.0)
        return total

    def _cdf(self, x: np.ndarray) -> np.ndarray:
        return np.minimum(self._sum(lambda d: compute(d, "cdf", x)), 1.0)

    def _ccdf(self, x: np.ndarray) -> np.ndarray:
        return np.minimum(self._sum(lambda d: compute(d, "ccdf", x)), 1.0)

    def _compute_below(self, function: str, x: np.ndarray) -> np.ndarray:
        return np.minimum(self._sum(lambda d: below(d, function, x)), 1.0)

    def _log_prob(self, x: np.ndarray) -> np.ndarray:
        pairs = zip(self._split(), self._parts, strict=True)
        with np.errstate(invalid="ignore"):
            return log_sum_exp([np.where(w > 0, log(w) + compute(d, "log_prob", x), -np.inf) for w, d in pairs])

    def _search(self, p: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """Quantiles at F = p (lower) or 1 - F = p (upper), p <= 1/2."""
        out = np.empty(np.broadcast_shapes(p.shape, self.batch_shape))
        shape = out.shape or (1,)
        flat, p, upper = out.reshape(-1), np.broadcast_to(p, shape), np.broadcast_to(upper, shape)
        for side in (False, True):
            chosen = np.flatnonzero(upper == side)
            for start in range(0, chosen.size, LANES):
                lanes = chosen[start : start + LANES]
                flat[lanes] = self._search_lanes(shape, lanes, p[np.unravel_index(lanes, shape)], side)
        return out

    def _search_lanes(self, shape: tuple[int, ...], lanes: np.ndarray, p: np.ndarray, upper: bool) -> np.ndarray:
        index = np.unravel_index(lanes, shape)
        weights = [np.broadcast_to(w, shape)[index] for w in self._split()]
        parts = [_Lanes(d, shape, lanes) for d in self._parts]
        # x lies among the components' quantiles. And w F_k(x) <= F(x) bounds F_k(x), likewise the other tail.
        near, far = ("iccdf", "icdf") if upper else ("icdf", "iccdf")
        low, high = np.full(p.shape, np.inf), np.full(p.shape, -np.inf)
        bound, far_bound = (np.full(p.shape, side) for side in ((-np.inf, np.inf) if upper else (np.inf, -np.inf)))
        tighter, far_tighter = (np.maximum, np.minimum) if upper else (np.minimum, np.maximum)
        for w, d in zip(weights, parts, strict=True):
            x = d(near, p, None)
            low, high = np.where(w > 0, np.minimum(low, x), low), np.where(w > 0, np.maximum(high, x), high)
            safe = np.where(w > 0, w, 1.0)
            ratio = np.minimum(p / safe, 1.0)
            bound = np.where((w > 0) & (ratio < 1), tighter(bound, d(near, ratio, None)), bound)
            ratio = np.minimum((1.0 - p) / safe, 1.0)
            far_bound = np.where((w > 0) & (ratio < 1), far_tighter(far_bound, d(far, ratio, None)), far_bound)
        end = high if upper else low
        low, high = np.maximum(low, bound if upper else far_bound), np.minimum(high, far_bound if upper else bound)
        log_p = log(p)
        near_half = p > NEAR_HALF

        def evaluate(x: np.ndarray, active: np.ndarray) -> np.ndarray:
            part = None if active.size == p.size else active

            def total(function: str) -> np.ndarray:
                acc = np.zeros(x.shape)
                for w, d in zip(weights, parts, strict=True):
                    w = w if part is None else w[part]
                    acc += np.where(w > 0, w * d(function, x, part), 0.0)
                return np.minimum(acc, 1.0)

            f = total("ccdf" if upper else "cdf")
            target = p[active]
            with np.errstate(invalid="ignore"):
                g = log_p[active] - log(f) if upper else log(f) - log_p[active]
            holds = f <= target if upper else f >= target
            if upper and near_half[active].any():
                holds &= ~near_half[active] | (total("cdf") >= 0.5)
            return np.where(holds, np.maximum(g, 0.0), np.minimum(g, -5e-324))

        # p = 0 is an end of the support by definition, which F need not find.
        live = np.flatnonzero(p > 0)
        x = end.copy()
        x[live] = smallest_reached(lambda x, active: evaluate(x, live[active]), low[live], high[live], self._integers)
        return x

    @property
    def mean(self) -> np.ndarray:
        """The weighted mean of the components' means."""
        return self._full(self._sum(lambda d: np.asarray(d.mean)))

    @property
    def var(self) -> np.ndarray:
        """The weighted mean of the components' variances and squared distances from the mean."""
        mean = self._sum(lambda d: np.asarray(d.mean))
        with np.errstate(invalid="ignore"):
            return self._full(self._sum(lambda d: np.asarray(d.var) + (np.asarray(d.mean) - mean) ** 2))

    @property
    def support(self) -> tuple[np.ndarray, np.ndarray]:
        """From the smallest to the largest value of the components of positive weight."""
        low, high = self._spread(np.inf), self._spread(-np.inf)
        for w, d in zip(self._split(), self._parts, strict=True):
            low = np.where(w > 0, np.minimum(low, np.asarray(d.support[0])), low)
            high = np.where(w > 0, np.maximum(high, np.asarray(d.support[1])), high)
        return self._full(low), self._full(high)


def _components(components: Any) -> list[Distribution]:
    if isinstance(components, Sequence) and not isinstance(components, str):
        if not components:
            raise ValueError("components must not be empty")
        return [as_distribution(d, f"components[{k}]") for k, d in enumerate(components)]
    whole = as_distribution(components, "components")
    if not whole.batch_shape:
        raise ValueError("components: one distribution must have its components along the last axis of its batch shape")
    count = whole.batch_shape[-1]
    if not count:
        raise ValueError("components must not be empty")

    def pick(k: int, a: np.ndarray) -> np.ndarray:
        return a[..., k if a.shape[-1] > 1 else 0] if a.ndim else a

    try:
        return [mapped(whole, partial(pick, k)) for k in range(count)]
    except TypeError:
        raise TypeError(f"components: pass a list; a batch of {type(whole).__name__} cannot be taken apart") from None
