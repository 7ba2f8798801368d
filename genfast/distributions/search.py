"""The smallest double at which a monotone predicate turns true: how a mixture's quantile is defined and found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["double", "rank", "smallest_reached"]

# evaluate(x, lanes) → g: g >= 0 exactly where the predicate holds; near the change g should be close to linear in x.
Evaluate = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Steps after which every second one is a bisection.
PATIENCE = 20

_TOP = np.int64(np.float64(np.inf).view(np.int64))


def rank(x: np.ndarray) -> np.ndarray:
    """int64 that orders as the doubles do; both zeros are 0, infinities are ±_TOP."""
    bits = np.ascontiguousarray(x).view(np.int64)
    return np.where(bits >= 0, bits, np.int64(-(2**63)) - bits)


def double(ranks: np.ndarray) -> np.ndarray:
    """The doubles of such ranks."""
    return np.where(ranks >= 0, ranks, np.int64(-(2**63)) - ranks).view(np.float64)


def _widen(evaluate: Evaluate, x: np.ndarray, want: bool, integers: bool) -> tuple[np.ndarray, np.ndarray]:
    """Moves x outward, by 2, 16, 128 … doubles (or integers), until the predicate is `want`; x and g there."""
    x = x.copy()
    g = evaluate(x, np.arange(x.size))
    lanes = np.flatnonzero((g >= 0) != want)
    step = 2
    while lanes.size:
        at = x[lanes]
        # Clipped before, not after, adding the step: ranks fill the range of int64.
        if want:
            far = double(np.minimum(rank(at), _TOP - step) + step)
            far = np.maximum(far, np.ceil(at + step)) if integers else far
        else:
            far = double(np.maximum(rank(at), step - _TOP) - step)
            far = np.minimum(far, np.floor(at - step)) if integers else far
        x[lanes] = np.rint(far) if integers else far
        new = evaluate(x[lanes], lanes)
        g[lanes] = new
        # At an infinity there is nothing left to move to: the predicate holds at inf and not at -inf by definition.
        lanes = lanes[((new >= 0) != want) & np.isfinite(x[lanes])]
        step = min(step * 8, 1 << 61)
    return x, g


def _middle(lo: np.ndarray, hi: np.ndarray) -> np.ndarray:
    """The middle double between lo and hi, which for ends of one sign takes at most 64 halvings; 0 across zero."""
    low, high = rank(lo), rank(hi)
    return np.where((lo < 0) & (hi > 0), 0.0, double(low + (high - low) // 2))


def smallest_reached(evaluate: Evaluate, lo: np.ndarray, hi: np.ndarray, integers: bool = False) -> np.ndarray:
    """The smallest double x (or integer) with evaluate(x) >= 0, lane by lane.

    The answer depends on the sign of `evaluate` alone, which must not decrease in x; its size only steers the search.
    So the answer is monotone in whatever the predicate is monotone in, and no lane's depends on the others.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(x, lanes)``: g at x, of the given lanes, both of shape (m,).
    lo, hi : ndarray of shape (n,), float64
        First guess of a bracket, widened where it is none.
    integers : bool
        Whether the predicate changes at integers only.

    Returns
    -------
    ndarray of shape (n,), float64

    Notes
    -----
    Inverse quadratic interpolation inside a bracket, then steps of double length that bring the other end along
    (Alefeld, Potra & Shi, *Algorithm 748*, ACM TOMS 21, 1995), kept the wider of one double and the rounding plateau of
    `evaluate` from the ends (Brent, *Algorithms for Minimization without Derivatives*, 1973, ch. 4); bisection where
    three steps do not halve the bracket and, in the end, every second time. Bisection takes the middle *double*, so
    that no scale of x is hard.
    """
    lo, hi = np.minimum(lo, hi), np.maximum(lo, hi)
    if integers:
        lo = lo - 1.0
    lo, g_lo = _widen(evaluate, lo, want=False, integers=integers)
    hi, g_hi = _widen(evaluate, hi, want=True, integers=integers)
    answer = hi.copy()
    lanes: np.ndarray = np.arange(answer.size)
    stall: np.ndarray = np.zeros(answer.size, np.int8)
    old, g_old = lo, np.full(answer.size, np.nan)
    turn = 0
    while lanes.size:
        turn += 1
        open_ = rank(hi) > rank(lo) + 1
        if integers:
            open_ &= hi - lo > 1
        if not open_.all():
            answer[lanes[~open_]] = hi[~open_]
            lanes, lo, hi, old, g_lo, g_hi, g_old, stall = (
                a[open_] for a in (lanes, lo, hi, old, g_lo, g_hi, g_old, stall)
            )
        if not lanes.size:
            break
        with np.errstate(all="ignore"):
            width = hi - lo
            slope = (g_hi - g_lo) / width
            plateau = np.maximum(2.0**-52 / slope, np.maximum(np.abs(lo), np.abs(hi)) * 2.0**-52)
            inverse = (old - hi) / (g_old - g_hi)
            bend = (inverse - 1.0 / slope) / (g_old - g_lo) * g_lo * g_hi
            x = lo - g_lo / slope
            curved = x + bend
            x = np.where((curved > lo) & (curved < hi), curved, x)
            near = np.where(-g_lo < g_hi, lo, hi)
            x = np.where(stall > 0, x + (x - near), x)
            x = np.minimum(np.maximum(x, lo + plateau), hi - plateau)
            secant = (stall < 3) & (x > lo) & (x < hi) & (width > 3 * plateau) & np.isfinite(slope)
        if turn > PATIENCE and turn % 2:
            secant[:] = False
        x = np.where(secant, x, _middle(lo, hi))
        if integers:
            x = np.clip(np.floor(x), np.where(np.isinf(lo), lo, lo + 1), np.where(np.isinf(hi), hi, hi - 1))
        g = evaluate(x, lanes)
        reached = g >= 0
        old, g_old = np.where(reached, hi, lo), np.where(reached, g_hi, g_lo)
        lo, hi = np.where(reached, lo, x), np.where(reached, x, hi)
        g_lo, g_hi = np.where(reached, g_lo, g), np.where(reached, g, g_hi)
        with np.errstate(invalid="ignore"):
            stall = np.where((hi - lo <= 0.5 * width) | ~secant, 0, stall + 1).astype(np.int8)
    return answer
