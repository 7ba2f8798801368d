"""The distribution function of a density, as polynomials on panels.

The real line is cut at the points where something may happen (the ends of the domain, a centre, poles and jumps). From
each such anchor `a` the density is seen through x = a ± 2^s, so that poles, power-law ends and heavy tails all become
smooth functions of s. On every panel of s the density is a Chebyshev interpolant in 16 points (its antiderivative is
the
distribution function); panels are halved until the coefficients have died out. Both running sums, from the left and
from
the right, are kept, so that either tail has its full relative precision. What is nearer to an anchor than the smallest
panel is a power law, fitted to the density there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

import genfast._core as _core
from genfast.distributions.inversion.density import Density
from genfast.distributions.inversion.products import times
from genfast.errors import NumericalError

__all__ = ["Halves", "Panels", "halves", "integrate"]

NODES = 16
_ANGLE = np.pi - (np.arange(NODES) + 0.5) * (np.pi / NODES)
TAU = np.cos(_ANGLE)
_FROM_COEFFICIENTS = np.cos(np.outer(_ANGLE, np.arange(NODES)))
_TO_COEFFICIENTS = _FROM_COEFFICIENTS.T * (2 / NODES)
_TO_COEFFICIENTS[0] /= 2
# Fejér's first rule: the integral over [-1, 1] of the interpolant.
_WEIGHTS = np.array([0 if k % 2 else 2 / (1 - k * k) for k in range(NODES)]) @ _TO_COEFFICIENTS
LN2 = np.log(2.0)

MAX_PANELS = 20_000  # of a row, accepted or not; a density that needs more is not piecewise smooth
MAX_DECAY = 1e3  # of the density inside a panel of a tail: keeps relative precision at its far end
LAST_EXPONENT = 1022.0


class Halves(NamedTuple):
    """Stretches x = anchor + sign · 2^s, s in [low, high], in the order of x, row after row: arrays of one length."""

    row: np.ndarray
    anchor: np.ndarray
    sign: np.ndarray
    low: np.ndarray
    high: np.ndarray


def halves(points: np.ndarray) -> Halves:
    """The stretches between neighbours of `points` (rows, k), increasing along a row; the outer two may be infinite."""
    rows, k = points.shape
    out: list[tuple[int, float, float, float, float]] = []

    def nearest(a: float, at_end: bool) -> float:
        # Nearer than this, a ± 2^s no longer resolves 2^s. Nothing but the end of a domain needs a tail to 1e-300.
        return np.log2(abs(a)) - 44 if a else (-LAST_EXPONENT if at_end else -120.0)

    for r in range(rows):
        for i in range(k - 1):
            a, b = float(points[r, i]), float(points[r, i + 1])
            if a == b:
                continue
            if np.isinf(b):
                middle, far = np.inf, LAST_EXPONENT + 1
            elif np.isinf(a):
                middle, far = -np.inf, LAST_EXPONENT + 1
            else:
                middle = a / 2 + b / 2
                far = np.log2(b / 2 - a / 2)
            for anchor, sign, at_end in ((a, 1.0, i == 0), (b, -1.0, i == k - 2)):
                if np.isinf(anchor) or (np.isinf(middle) and np.isinf(anchor)):
                    continue
                out.append((r, anchor, sign, min(nearest(anchor, at_end), far - 1), far))
    return Halves(*(np.array(column) for column in zip(*out, strict=True)))


class _Work:
    """Panels under construction: half (index), s range, masses and coefficients."""

    def __init__(self, half: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.half, self.low, self.high = half, low, high

    def take(self, which: np.ndarray) -> _Work:
        out = _Work(self.half[which], self.low[which], self.high[which])
        for name in ("coefficients", "mass", "error", "decay", "top", "bottom"):
            if hasattr(self, name):
                setattr(out, name, getattr(self, name)[which])
        return out

    coefficients: np.ndarray
    mass: np.ndarray
    error: np.ndarray
    decay: np.ndarray
    top: np.ndarray
    bottom: np.ndarray

    def split(self) -> _Work:
        middle = (self.low + self.high) / 2
        return _Work(
            np.concatenate([self.half, self.half]),
            np.concatenate([self.low, middle]),
            np.concatenate([middle, self.high]),
        )


def _join(parts: list[_Work]) -> _Work:
    out = _Work(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("half", "low", "high")))
    for name in ("coefficients", "mass", "error", "decay", "top", "bottom"):
        setattr(out, name, np.concatenate([getattr(p, name) for p in parts]))
    return out


def _places(h: Halves, w: _Work) -> tuple[np.ndarray, np.ndarray]:
    """x and |x − anchor| of the nodes, (m, 16), in the order of x."""
    sign, anchor = h.sign[w.half][:, None], h.anchor[w.half][:, None]
    middle, half = (w.low + w.high) / 2, (w.high - w.low) / 2
    d = np.exp2(middle)[:, None] * np.exp2(sign * half[:, None] * TAU)
    return anchor + sign * d, d


def _slopes(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dy/dx (m, k) along each row: of the parabola through three neighbours, at the ends of the line through two."""
    step = np.diff(x, axis=1)
    line = np.diff(y, axis=1) / step
    before, after = step[:, :-1], step[:, 1:]
    middle = (line[:, :-1] * after + line[:, 1:] * before) / (before + after)
    return np.concatenate([line[:, :1], middle, line[:, -1:]], axis=1)


def _fill(h: Halves, w: _Work, density: Density, y: np.ndarray, x: np.ndarray, d: np.ndarray) -> None:
    """Coefficients, mass and error estimate of the panels from the raw density y at their nodes."""
    row = h.row[w.half]
    true = np.abs(x - h.anchor[w.half][:, None])
    g = density.weight(y, true, row)
    rounded = np.abs(true - d).max(axis=1) > 1e-14 * d.min(axis=1)
    if rounded.any():
        # Beside an anchor that is not 0, x is rounded and y belongs to another distance: move it along the local
        # power law.
        some = np.flatnonzero(rounded & (g > 0).all(axis=1) & (np.diff(true, axis=1) != 0).all(axis=1))
        if len(some):
            g[some] *= (d[some] / true[some]) ** _slopes(np.log(g[some]), np.log(true[some]))
    g *= (LN2 * (w.high - w.low) / 2)[:, None]
    w.coefficients = times(g, _TO_COEFFICIENTS)
    w.mass = times(g, _WEIGHTS)
    w.top, w.bottom = g.max(axis=1), g.min(axis=1)
    w.error = 2 * np.abs(w.coefficients[:, -3:]).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        w.decay = np.where(w.top > 0, w.top / w.bottom, 1.0)


def _first(h: Halves) -> _Work:
    """Panels fine enough to find what is there: an eighth of an octave between nodes near the anchor's scale."""
    half, low, high = [], [], []
    for i in range(len(h.row)):
        if h.high[i] > LAST_EXPONENT:
            edges = np.concatenate(
                [np.arange(-16.0, -1024, -4)[::-1], np.arange(-15.5, 24.5, 0.5), np.arange(28.0, 1024, 4)]
            )
        else:
            edges = h.high[i] - np.concatenate([np.arange(0, 16, 0.5), np.arange(16.0, 2200, 4)])[::-1]
        edges = edges[(edges > h.low[i] + 1e-3) & (edges < h.high[i] - 1e-3)]
        edges = np.concatenate([[h.low[i]], edges, [h.high[i]]])
        half.append(np.full(len(edges) - 1, i))
        low.append(edges[:-1])
        high.append(edges[1:])
    return _Work(*(np.concatenate(parts) for parts in (half, low, high)))


def _forgive_overflow(h: Halves, w: _Work, density: Density, y: np.ndarray) -> None:
    """NaN (∞ · 0) beyond the place where the density has already underflowed to 0 counts as 0. In place."""
    for i in np.unique(w.half[np.isnan(y).any(axis=1)]):
        mine = np.flatnonzero(w.half == i)
        mine = mine[np.argsort(w.low[mine])]
        flip = slice(None, None, int(h.sign[i]))
        outward = y[mine][:, flip].ravel()
        with np.errstate(invalid="ignore"):
            largest = np.max(outward, where=~np.isnan(outward), initial=-np.inf)
            zero = outward < largest - 1500 if density.log else outward == 0
        positive = np.flatnonzero(~zero & ~np.isnan(outward))
        gone = np.flatnonzero(zero)
        gone = gone[gone > positive[-1]] if len(positive) else gone
        if h.high[i] > LAST_EXPONENT and len(gone):
            beyond = outward[gone[0] :]
            beyond[np.isnan(beyond)] = -np.inf if density.log else 0.0
            y[mine] = outward.reshape(-1, NODES)[:, flip]


def _inclusive(h: Halves, w: _Work, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """For each panel the smaller of the two tail masses that begin with it, and its row's total."""
    row = h.row[w.half]
    order = np.lexsort((h.sign[w.half] * w.low, w.half, row))
    mass = np.maximum(w.mass[order], 0)
    count = np.bincount(row, minlength=rows)
    place = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    table = np.zeros((rows, count.max()))
    table[row[order], place] = mass
    left = np.cumsum(table, axis=1)[row[order], place]
    right = np.cumsum(table[:, ::-1], axis=1)[:, ::-1][row[order], place]
    tail = np.empty(len(order))
    tail[order] = np.minimum(left, right)
    return tail, table.sum(axis=1)


def integrate(density: Density, h: Halves, u_error: float) -> Panels:
    """Adaptive construction. Raises NumericalError for what is no integrable density."""
    for attempt in range(8):
        panels = _attempt(density, h, u_error, attempt == 0)
        if panels is not None:
            return panels
    raise NumericalError(f"{density.name} keeps growing as it is refined: it has no finite maximum or integral")


def _attempt(density: Density, h: Halves, u_error: float, fresh: bool) -> Panels | None:
    """One construction with the present scale; None if the density turned out far larger, with the scale mended."""
    rows = density.rows
    work = _first(h)
    x, d = _places(h, work)
    y = density.raw(x, h.row[work.half])
    _forgive_overflow(h, work, density, y)
    density.check(y, x, h.row[work.half])
    largest = np.full(rows, -np.inf)
    np.maximum.at(largest, h.row[work.half], y.max(axis=1))
    empty = np.flatnonzero(largest == (-np.inf if density.log else 0.0))
    if len(empty):
        r = int(empty[0])
        mine = h.row[work.half] == r
        name = f" for row {density.first + r}" if rows > 1 or density.first else ""
        raise NumericalError(
            f"{density.name} is zero{name} at all {mine.sum() * NODES} points tried between x = {x[mine].min():.6g} "
            f"and "
            f"{x[mine].max():.6g}: give center= (a point where it is positive), points= or a narrower domain"
        )
    if fresh:
        density.scale[:] = -np.inf if density.log else 0.0
        density.rescale(y, d, h.row[work.half])
    _fill(h, work, density, y, x, d)

    done: list[_Work] = []
    spent = np.zeros(rows, int)
    pending = work
    while True:
        pending = pending.take(pending.top > 0)
        everything = _join([*done, pending])
        tail, total = _inclusive(h, everything, rows)
        tail = tail[len(everything.half) - len(pending.half) :]
        row = h.row[pending.half]
        total = total[row]
        allowed = 1e-3 * u_error * np.minimum(total, 4096 * tail)
        width = pending.high - pending.low
        near = np.exp2(pending.low)
        step = np.spacing(np.maximum(np.abs(h.anchor[pending.half]), near))
        # A density that underflows is known in steps of 2^-1074 and has no relative precision left.
        steps = np.zeros(len(row)) if density.log else 2.0**-1072 * np.exp2(pending.high) / density.scale[row]
        fading = pending.bottom < 2.0**52 * steps
        accept = (pending.error <= allowed + steps) & ((pending.decay <= MAX_DECAY) | (tail > total / 256) | fading)
        accept |= tail < 1e-310 * total
        smallest = (width * near * LN2 < 4 * step) | (width < 8 * np.spacing(np.maximum(1, np.abs(pending.low))))
        # Where x or the density is resolved no further there is nothing to know but the mass; a wiggly interpolant
        # of noise would
        # make F fall.
        constant = (smallest & ~accept) | (accept & (pending.error > allowed))
        pending.coefficients[constant] = 0
        pending.coefficients[constant, 0] = pending.mass[constant] / 2
        accept |= smallest
        done.append(pending.take(accept))
        if accept.all():
            break
        stuck = np.flatnonzero(~accept)
        spent += np.bincount(row, minlength=rows)
        over = spent > MAX_PANELS
        if over[row[stuck]].any():
            i = stuck[over[row[stuck]]]
            i = i[np.argmax((pending.error / total)[i])]
            at = float(h.anchor[pending.half[i]] + h.sign[pending.half[i]] * near[i])
            reached = float((pending.error[stuck] / total[stuck]).max())
            raise NumericalError(
                f"{density.name} is not smooth enough near {density.where(at, int(row[i]))}: after "
                f"{MAX_PANELS * NODES} evaluations "
                f"its integral is known to {max(reached, 1e-17):.1e} there, not to {1e-3 * u_error:.0e}. "
                "Name jumps and poles by points=, or ask for a larger u_error"
            )
        pending = pending.take(~accept).split()
        x, d = _places(h, pending)
        row = h.row[pending.half]
        y = density.raw(x, row)
        density.check(y, x, row)
        if (density.weight(y, d, row) > 1e150).any():
            density.rescale(y, d, row)
            return None
        _fill(h, pending, density, y, x, d)
    return Panels(density, h, _join(done), u_error)


class Panels:
    """F and F⁻¹ of one or many rows of densities.

    A panel with `power` k is no polynomial: its mass nearer than d to the anchor (k > 0), or farther (k < 0), goes
    like d^k.

    Arrays are (rows, panels), padded with panels of no mass: `left` and `right` are the masses strictly before and
    after a
    panel, as shares of 1.
    """

    def __init__(self, density: Density, h: Halves, w: _Work, u_error: float) -> None:
        self.density, self.rows, self.first = density, density.rows, density.first
        _, total = _inclusive(h, w, self.rows)
        w = w.take(w.mass > 1e-312 * total[h.row[w.half]])
        w, outer = self._outer_laws(density, h, w, total)
        extra = [np.concatenate(pair) for pair in zip(self._inner_laws(density, h), outer, strict=True)]
        power = np.concatenate([np.zeros(len(w.half)), extra[2]])
        half = np.concatenate([w.half, extra[0]]).astype(int)
        low, high = np.concatenate([w.low, extra[1]]), np.concatenate([w.high, extra[1]])
        mass = np.concatenate([w.mass, extra[3]])
        coefficients = np.concatenate([w.coefficients, np.zeros((len(extra[0]), NODES))])

        row = h.row[half]
        order = np.lexsort((h.sign[half] * (low + high), half, row))
        count = np.bincount(row, minlength=self.rows)
        place = (row[order], np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count))
        self.count = count

        def table(values: np.ndarray, fill: float = 0.0) -> np.ndarray:
            out = np.full((self.rows, int(count.max()), *values.shape[1:]), fill)
            out[place] = values[order]
            return out

        raw = table(mass)
        self.total = raw.astype(np.longdouble).sum(axis=1)
        self._outer_tails(h, u_error)
        share = raw / self.total[:, None]
        before, after = np.cumsum(share, axis=1), np.cumsum(share[:, ::-1], axis=1)[:, ::-1]
        zero = np.zeros((self.rows, 1))
        self.left = np.concatenate([zero, before[:, :-1]], axis=1).astype(np.float64)
        self.right = np.concatenate([after[:, 1:], zero], axis=1).astype(np.float64)
        self.mass = share.astype(np.float64)
        self.anchor, self.sign = table(h.anchor[half]), table(h.sign[half], 1.0)
        self.middle, self.radius = table((low + high) / 2), table((high - low) / 2)
        self.power = table(power)
        integral = chebyshev.chebint(coefficients, lbnd=-1, axis=1)
        whole = integral.sum(axis=1, keepdims=True)
        whole[whole <= 0] = 1
        self._densities = table(coefficients / whole).reshape(-1, NODES)
        self._integrals = table(integral / whole).reshape(-1, NODES + 1)
        near, far = np.where(power > 0, 0, np.exp2(low)), np.where(power < 0, np.inf, np.exp2(high))
        positive = h.sign[half] > 0
        self.x_low = table(np.where(positive, h.anchor[half] + near, h.anchor[half] - far), np.inf)
        self.x_high = table(np.where(positive, h.anchor[half] + far, h.anchor[half] - near), np.inf)

    def _outer_laws(self, density: Density, h: Halves, w: _Work, total: np.ndarray) -> tuple[_Work, list[np.ndarray]]:
        """Heavy tails go on where the density underflows or overflows on its way (1 / (1 + x²) at 1e200): as power
        laws,
        if that is what they are. Returns the panels without those that are replaced, and what `_inner_laws` returns."""
        keep = np.ones(len(w.half), bool)
        found: list[tuple[Any, ...]] = []
        for i in np.flatnonzero((h.high > LAST_EXPONENT) & (not density.log)):
            mine = np.flatnonzero(w.half == i)
            scale = density.scale[h.row[i]]
            width = LN2 * (w.high[mine] - w.low[mine]) / 2
            good = mine[w.bottom[mine] / width > 2.0**-960 * np.exp2(w.high[mine]) / scale]
            if not len(good):
                continue
            end = good[np.argmax(w.high[good])]
            d = np.exp2(w.high[end] - np.array([16.0, 8.0, 0.0]))
            x = (h.anchor[i] + h.sign[i] * d)[None, :]
            with np.errstate(divide="ignore", invalid="ignore"):
                g = density.weight(density.raw(x, h.row[i : i + 1]), d[None, :], h.row[i : i + 1])[0]
                before, last = np.log2(g[1] / g[0]) / 8, np.log2(g[2] / g[1]) / 8
            if not (abs(before - last) < 1e-5 * abs(last) and last < -1e-4 and g[2] > -1e-300 * last * total[h.row[i]]):
                continue
            keep[mine[w.low[mine] >= w.high[end]]] = False
            found.append((i, w.high[end], last, -g[2] / last))
        return w.take(keep), [np.array(column) for column in zip(*found, strict=True)] if found else [np.zeros(0)] * 4

    def _inner_laws(self, density: Density, h: Halves) -> list[np.ndarray]:
        """Half, log2 of the distance, exponent and mass of what lies nearest to each anchor."""
        d = np.exp2(h.low)
        x = h.anchor[:, None] + h.sign[:, None] * np.stack([d, 2 * d], axis=1)
        true = np.abs(x - h.anchor[:, None])
        y = density.raw(x, h.row)
        density.check(y, x, h.row)
        g = density.weight(y, true, h.row)
        with np.errstate(divide="ignore", invalid="ignore"):
            exponent = np.where(g.min(axis=1) > 0, np.log(g[:, 1] / g[:, 0]) / np.log(true[:, 1] / true[:, 0]), 1.0)
            mass = np.where(g[:, 0] > 0, g[:, 0] * (d / true[:, 0]) ** exponent / exponent, 0.0)
        endless = np.flatnonzero((exponent < 1e-4) & (g[:, 0] > 0))
        if len(endless):
            i = endless[0]
            raise NumericalError(
                f"{density.name} is not integrable: it grows like |x - a|^{exponent[i] - 1:.3g} towards a = "
                f"{float(h.anchor[i])!r}"
                f" ({density.where(float(x[i, 0]), int(h.row[i]))})"
            )
        keep = mass > 0
        return [np.flatnonzero(keep), h.low[keep], exponent[keep], mass[keep]]

    def _outer_tails(self, h: Halves, u_error: float) -> None:
        """Refuse a density whose mass does not fit between the largest doubles."""
        outer = np.flatnonzero(h.high > LAST_EXPONENT)
        if not len(outer):
            return
        d = np.exp2(np.array([LAST_EXPONENT - 1, LAST_EXPONENT]))
        x = h.anchor[outer][:, None] + h.sign[outer][:, None] * d
        y = self.density.raw(x, h.row[outer])
        y = np.where(np.isnan(y), -np.inf if self.density.log else 0.0, y)
        g = self.density.weight(y, np.broadcast_to(d, y.shape), h.row[outer])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            slope = np.log2(g[:, 1] / g[:, 0]) - 1
            mass = np.where(slope < -1, g[:, 1] / (-1 - slope), np.inf)
            share = np.where(g.min(axis=1) > 0, mass / self.total[h.row[outer]].astype(float), 0.0)
        for i in np.flatnonzero(share > 1e-3 * u_error):
            at = self.density.where(float(x[i, 1]), int(h.row[outer[i]]))
            if slope[i] >= -1:
                raise NumericalError(f"{self.density.name} is not integrable: it falls like x^{slope[i]:.3g} at {at}")
            raise NumericalError(
                f"{self.density.name} has {share[i]:.2g} of its mass beyond the largest double ({at}): it can only "
                f"be inverted "
                "in another variable, such as log x"
            )

    # ---- the two functions

    def _panel(self, row: np.ndarray, i: np.ndarray) -> np.ndarray:
        """The number of panel i of a row in `_integrals` and `_densities`."""
        return row * self.mass.shape[1] + i

    def _find(self, keys: np.ndarray, row: np.ndarray, value: np.ndarray) -> np.ndarray:
        """The last panel i with keys[row, i] <= value, at least 0; keys increase along a row."""
        if self.rows == 1:
            found = np.searchsorted(keys[0, : self.count[0]], value, side="right") - 1
            return np.clip(found, 0, self.count[0] - 1)
        low, high = np.zeros(len(row), int), self.count[row]
        for _ in range(int(keys.shape[1]).bit_length()):
            middle = (low + high) // 2
            go = (high - low > 1) & (keys[row, middle.clip(max=keys.shape[1] - 1)] <= value)
            low, high = np.where(go, middle, low), np.where(go, high, np.where(high - low > 1, middle, high))
        return low

    def quantile(self, row: np.ndarray, v: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(anchor, d) with x = anchor + d: F(x) = v, or 1 − F(x) = v where `upper`. All arrays are (m,)."""
        i = np.empty(len(v), int)
        low = ~upper
        i[low] = self._find(self.left, row[low], v[low])
        i[upper] = self._last_right(row[upper], v[upper])
        mass = self.mass[row, i]
        share = np.clip((v - np.where(upper, self.right[row, i], self.left[row, i])) / mass, 0, 1)
        anchor, sign, power = self.anchor[row, i], self.sign[row, i], self.power[row, i]
        d = np.empty(len(v))
        law = power != 0
        if law.any():
            near = np.where(upper[law] == ((sign[law] < 0) ^ (power[law] < 0)), share[law], 1 - share[law])
            with np.errstate(under="ignore", over="ignore", divide="ignore"):
                d[law] = np.minimum(np.exp2(self.middle[row, i][law]) * near ** (1 / power[law]), np.finfo(float).max)
        rest = np.flatnonzero(~law)
        if len(rest):
            at = (row[rest], i[rest])
            panel = self._panel(*at)
            tau = _core.chebyshev_inverse(self._integrals, self._densities, panel, share[rest], upper[rest])
            d[rest] = np.exp2(self.middle[at]) * np.exp2(sign[rest] * self.radius[at] * tau)
        return anchor, sign * d

    def _last_right(self, row: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The first panel i with right[row, i] <= v."""
        reverse = np.full(self.right.shape, np.inf)
        for r in range(self.rows):
            reverse[r, : self.count[r]] = self.right[r, : self.count[r]][::-1]
        return self.count[row] - 1 - self._find(reverse, row, v)

    def tail(self, row: np.ndarray, x: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """F(x), or 1 − F(x) where `upper`. All arrays are (m,); x must not be NaN."""
        i = self._find(self.x_low, row, x)
        before, after = self._shares(row, i, x)
        mass = self.mass[row, i]
        both = np.where(upper, self.right[row, i] + mass * after, self.left[row, i] + mass * before)
        return np.minimum(both, 1)

    def resolution(self, row: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.zeros(len(row))

    def _shares(self, row: np.ndarray, i: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The shares of panel i's mass left and right of x."""
        x = np.clip(x, self.x_low[row, i], self.x_high[row, i])
        sign = self.sign[row, i]
        d = np.abs(x - self.anchor[row, i])
        with np.errstate(divide="ignore", invalid="ignore"):
            s = np.log2(d)
            tau = np.clip(np.nan_to_num(sign * (s - self.middle[row, i]) / self.radius[row, i]), -1, 1)
            power = self.power[row, i]
            near = np.minimum((d / np.exp2(self.middle[row, i])) ** power, 1)
        polynomial = np.clip(_core.chebyshev(self._integrals, self._panel(row, i), tau), 0, 1)
        polynomial = np.where(tau <= -1, 0, np.where(tau >= 1, 1, polynomial))  # to the last bit
        at_left = (sign > 0) ^ (power < 0)  # where the power law's own side is
        before = np.where(power != 0, np.where(at_left, near, 1 - near), polynomial)
        after = np.where(power != 0, np.where(at_left, 1 - near, near), 1 - polynomial)
        return before, after

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of each row, infinite or NaN where the integrals diverge."""
        s = self.middle[..., None] + self.sign[..., None] * self.radius[..., None] * TAU
        x = self.anchor[..., None] + self.sign[..., None] * np.exp2(s)
        values = times(self._densities, _FROM_COEFFICIENTS).reshape(x.shape)
        weight = values * _WEIGHTS * self.mass[..., None]
        law = self.power != 0
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # Of a power law's mass the mean distance is d k / (k + 1), the mean square d² k / (k + 2).
            k, d = self.power, np.exp2(self.middle)
            first = self.sign * d * k / (k + 1)
            mean = (self.mass * self.anchor).sum(axis=1)
            mean += np.where(law, first * self.mass, ((x - self.anchor[..., None]) * weight).sum(axis=-1)).sum(axis=1)
            off = self.anchor - mean[:, None]
            square = np.where(
                law,
                (off**2 + 2 * off * first + d**2 * k / (k + 2)) * self.mass,
                ((x - mean[:, None, None]) ** 2 * weight).sum(axis=-1),
            ).sum(axis=1)
        for r in range(self.rows):
            heavy = [self._exponent(r, i) for i in (0, self.count[r] - 1)]
            endless = [e >= -1 - 1e-9 for e in heavy]
            if any(endless):
                mean[r] = np.nan if all(endless) else (-np.inf if endless[0] else np.inf)
                square[r] = np.nan
            elif max(heavy) >= -2 - 1e-9:
                square[r] = np.inf
        return mean, square

    def _exponent(self, r: int, i: int) -> float:
        """The exponent with which the tail mass falls in the outermost panel i, −∞ if it does not reach to infinity."""
        outward = self.sign[r, i] > 0 if i else self.sign[r, i] < 0
        if self.power[r, i] != 0:
            return float(self.power[r, i]) if self.power[r, i] < 0 else -np.inf
        far = np.exp2(self.middle[r, i] + self.radius[r, i])
        if not outward or far < 2.0**500:
            return -np.inf
        ends = chebyshev.chebval([-1.0, 1.0], self._densities[r * self.mass.shape[1] + i])
        slope = np.log2(ends[1] / ends[0]) / (2 * self.radius[r, i]) if min(ends) > 0 else -np.inf
        return float(slope * self.sign[r, i])
