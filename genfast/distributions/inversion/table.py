"""Tables of F⁻¹ for the native kernel (csrc/sampling/inverse_table.h explains them), from any source of quantiles.

Where u is folded to v = min(u, 1 − u), each piece of the table is a polynomial that interpolates x(v) in
Chebyshev–Lobatto
points of its range. A piece is taken when (1) Bernstein's coefficients of its derivative prove that it is monotone,
by more
than its rounding errors, and (2) F at test points between the nodes is within the tolerance of v, or x is within
four units in
its last place of the exact quantile. Otherwise its range is cut. A straight line is monotone and errs in u by no
more than
the width of its range, so cutting always ends. At last the ends of neighbouring pieces, computed as the kernel computes
them, are put in order.
"""

from __future__ import annotations

from math import comb
from typing import NamedTuple, Protocol

import numpy as np

import genfast._core as _core
from genfast.distributions.inversion.products import times
from genfast.errors import NumericalError

__all__ = ["Source", "Table", "build"]

OCTAVES, CELL_BITS, NODE_BITS = 10, 3, 3
SIDE = OCTAVES << CELL_BITS
ROW_CELLS = 2 * (SIDE + 1)
DEGREE, TAIL_DEGREE = 7, 11
TAIL_EDGES = np.array([-1022, -640, -320, -160, -80, -40, -20, -11])
LINE_DEPTH = 48  # bits of v's mantissa after which a line is taken as it is
MAX_PIECES = 20_000  # of a row


class Source(Protocol):
    """What a table is made from. Arrays are (m,); `upper` means v = 1 − F(x) instead of F(x); messages call the first
    row `first`."""

    rows: int
    first: int

    def quantile(self, row: np.ndarray, v: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(anchor, d): x = anchor + d, where d may be far more precise than the sum."""
        ...

    def tail(self, row: np.ndarray, x: np.ndarray, upper: np.ndarray) -> np.ndarray: ...

    def resolution(self, row: np.ndarray, upper: np.ndarray) -> np.ndarray:
        """The absolute error of `tail`, where its relative error is not small."""
        ...


class Table(NamedTuple):
    """The arguments of `_core.InverseTable`, the number of pieces and the largest |F(x(u)) − u| seen at test points."""

    parts: dict[str, np.ndarray]
    pieces: np.ndarray
    u_error: np.ndarray


def _lobatto(degree: int) -> np.ndarray:
    """Points of [-1, 1] with both ends."""
    points = np.cos(np.pi * np.arange(degree, -1, -1) / degree)
    points[degree // 2] = 0.0 if degree % 2 == 0 else points[degree // 2]
    return points


def _bernstein(degree: int, low: float) -> np.ndarray:
    """Matrix from the coefficients c of a polynomial on [low, 1] to Bernstein's coefficients of its derivative."""
    n = degree - 1
    width = 1 - low
    # t = low + width * s: Taylor shift, then monomials in s to Bernstein.
    out = np.zeros((degree, degree + 1))
    for j in range(1, degree + 1):
        shifted = [comb(j - 1, k) * low ** (j - 1 - k) * width**k * j for k in range(j)]
        for i in range(degree):
            out[i, j] = sum(comb(i, k) / comb(n, k) * shifted[k] for k in range(min(i, j - 1) + 1))
    return out


T_NODES = (_lobatto(DEGREE) + 1) / 2
T_INVERSE = np.linalg.inv(np.vander(T_NODES, increasing=True)[1:, 1:])
T_BERNSTEIN = _bernstein(DEGREE, 0.0)
T_TESTS = np.round((np.arange(9) + 0.5) / 9 * 2**20) / 2**20
TAU_NODES = _lobatto(TAIL_DEGREE)
TAU_INVERSE = np.linalg.inv(np.vander(TAU_NODES, increasing=True))
TAU_BERNSTEIN = _bernstein(TAIL_DEGREE, -1.0)
TAU_TESTS = np.sin(np.linspace(-1.55, 1.55, 25))
ORDER = np.arange(DEGREE + 1.0)
TAIL_ORDER = np.arange(TAIL_DEGREE + 1.0)


class _Check:
    """The accuracy test, and the largest error let through so far."""

    def __init__(self, source: Source, u_error: float) -> None:
        self.source, self.u_error = source, u_error
        self.worst = np.zeros(source.rows)

    def __call__(self, row: np.ndarray, upper: np.ndarray, v: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Whether each row of x (m, k) is an acceptable quantile of v (m, k)."""
        m, k = v.shape
        row, upper, v, x = np.repeat(row, k), np.repeat(upper, k), v.ravel(), x.ravel()
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(x)
            x = np.where(finite, x, 0.0)
            miss = np.abs(self.source.tail(row, x, upper) - v)
            allowed = np.maximum(0.5 * self.u_error * np.minimum(1, 2048 * v), self.source.resolution(row, upper))
            good = finite & (miss <= allowed)
        doubtful = np.flatnonzero(finite & ~good)
        if len(doubtful):
            r, s, w, y = row[doubtful], upper[doubtful], v[doubtful], x[doubtful]
            step = 4 * np.spacing(np.abs(y))
            with np.errstate(over="ignore"):
                a = self.source.tail(r, np.maximum(y - step, -np.finfo(float).max), s)
                b = self.source.tail(r, np.minimum(y + step, np.finfo(float).max), s)
            good[doubtful] = (np.minimum(a, b) <= w) & (w <= np.maximum(a, b))
            miss[doubtful] = 0  # x has no better neighbour: not an error of the table
        good = good.reshape(m, k).all(axis=1)
        seen = np.where(good[:, None], miss.reshape(m, k), 0).max(axis=1)
        np.maximum.at(self.worst, row.reshape(m, k)[:, 0], seen)
        return good


class _Builder:
    def __init__(self, source: Source, u_error: float) -> None:
        self.source, self.check = source, _Check(source, u_error)
        self.rows = source.rows
        self.cells = np.full((self.rows, ROW_CELLS, DEGREE + 1), np.nan)
        self.cell_refs = np.zeros((self.rows, ROW_CELLS), np.int32)
        self.nodes: list[np.ndarray] = [np.zeros(0, np.int32)]
        self.node_count = 0
        self.pieces: list[np.ndarray] = [np.zeros((0, DEGREE + 1))]
        self.piece_count = 0
        self.leaves: list[tuple[np.ndarray, ...]] = []  # row, upper, v0, v1, used, coefficients, where
        self.tails: list[tuple[np.ndarray, ...]] = []  # row, upper, first exponent, last, piece
        self.roots: list[tuple[np.ndarray, ...]] = []  # row, upper, exponent, node

    def exact(self, row: np.ndarray, v: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Anchors and distances of quantiles, (m, k) each."""
        k = v.shape[1]
        anchor, d = self.source.quantile(np.repeat(row, k), v.ravel(), np.repeat(upper, k))
        return anchor.reshape(v.shape), d.reshape(v.shape)

    # ---- pieces in the bits of v

    def fit(
        self, row: np.ndarray, upper: np.ndarray, v0: np.ndarray, width: np.ndarray, used: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (m, 8) and whether they are good enough."""
        anchor, d = self.exact(row, v0[:, None] + width[:, None] * T_NODES, upper)
        x = np.clip(anchor + d, -np.finfo(float).max, np.finfo(float).max)
        with np.errstate(over="ignore", invalid="ignore"):
            rise = x - x[:, :1]
            same = (anchor == anchor[:, :1]).all(axis=1)
            rise[same] = d[same] - d[same, :1]
            c = np.zeros_like(x)
            for _ in range(3):
                missing = rise - _core.inverse_piece(c, np.broadcast_to(T_NODES, x.shape))
                c[:, 1:] += times(missing[:, 1:], T_INVERSE)
            c[:, 0] = x[:, 0]
            sign = np.where(upper, -1.0, 1.0)
            slope = (sign[:, None] * times(c, T_BERNSTEIN)).min(axis=1)
            flat = (c[:, 1:] == 0).all(axis=1)
            monotone = (slope >= 2.0**-used * times(np.abs(c[:, 1:]), ORDER[1:])) & np.isfinite(c).all(axis=1) | flat
        v = v0[:, None] + width[:, None] * T_TESTS
        line = np.zeros_like(c)
        line[:, 0], line[:, 1] = x[:, 0], np.clip(rise[:, -1], -np.finfo(float).max, np.finfo(float).max)
        line[sign * line[:, 1] < 0, 1] = 0  # rounding of a plateau
        c[~monotone] = line[~monotone]
        tests = np.broadcast_to(T_TESTS, v.shape)
        good = self.check(row, upper, v, _core.inverse_piece(c, tests))
        again = np.flatnonzero(monotone & ~good)
        if len(again):
            fine = self.check(row[again], upper[again], v[again], _core.inverse_piece(line[again], tests[again]))
            c[again[fine]], good[again[fine]] = line[again[fine]], True
        if used >= LINE_DEPTH:
            c[~good], good[~good] = line[~good], True
        return c, good

    def add_cells(self) -> None:
        """The ten octaves of each side, and their nodes."""
        bits = np.arange(SIDE, dtype=np.int64) + ((1023 - 1 - OCTAVES) << CELL_BITS)
        edges = np.append(bits, bits[-1] + 1) << (52 - CELL_BITS)
        edges = edges.view(np.float64)
        row = np.repeat(np.arange(self.rows), 2 * SIDE)
        upper = np.tile(np.repeat([False, True], SIDE), self.rows)
        cell = np.tile(np.arange(SIDE), 2 * self.rows)
        v0, width = edges[:-1][cell], np.diff(edges)[cell]
        place = row * ROW_CELLS + cell + np.where(upper, SIDE + 1, 0)
        c, good = self.fit(row, upper, v0, width, CELL_BITS)
        flat = self.cells.reshape(-1, DEGREE + 1)
        flat[place[good]] = c[good]
        self.leaf(row[good], upper[good], v0[good], width[good], CELL_BITS, c[good], place[good])
        bad = ~good
        nodes = self.tree(row[bad], upper[bad], v0[bad], width[bad], CELL_BITS)
        self.cell_refs.reshape(-1)[place[bad]] = -1 - nodes

    def leaf(self, row, upper, v0, width, used, c, where) -> None:  # type: ignore[no-untyped-def]
        self.leaves.append((row, upper, v0, v0 + width, np.full(len(row), used), c, where))

    def tree(self, row: np.ndarray, upper: np.ndarray, v0: np.ndarray, width: np.ndarray, used: int) -> np.ndarray:
        """A node for each range, with all that is below it; breadth first, so that nodes point forwards."""
        first = self.node_count
        roots = np.arange(first, first + len(row))
        while len(row):
            node = np.arange(self.node_count, self.node_count + len(row))
            self.node_count += len(row)
            used += NODE_BITS
            row, upper = np.repeat(row, 8), np.repeat(upper, 8)
            width = np.repeat(width / 8, 8)
            v0 = np.repeat(v0, 8) + width * np.tile(np.arange(8), len(node))
            c, good = self.fit(row, upper, v0, width, used)
            refs = np.zeros(len(row), np.int32)
            refs[good] = np.arange(self.piece_count, self.piece_count + good.sum())
            self.leaf(row[good], upper[good], v0[good], width[good], used, c[good], -1 - refs[good].astype(np.int64))
            self.pieces.append(c[good])
            self.piece_count += int(good.sum())
            if self.piece_count + 8 * int((~good).sum()) > MAX_PIECES * self.rows:
                r = int(row[0])
                at = self.source.quantile(row[:1], v0[:1], upper[:1])
                raise NumericalError(
                    f"the inverse needs more than {MAX_PIECES} pieces (now near x = {float(at[0][0] + at[1][0])!r}, "
                    f"row {self.source.first + r}): "
                    "the distribution function is too rough; ask for a larger u_error"
                )
            bad = ~good
            refs[bad] = -1 - np.arange(self.node_count, self.node_count + bad.sum())
            self.nodes.append(refs)
            row, upper, v0, width = row[bad], upper[bad], v0[bad], width[bad]
        return roots

    # ---- pieces in log2 v

    def fit_tail(
        self, row: np.ndarray, upper: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tail pieces (m, 16) for v in [2^first, 2^last), and whether they are good enough."""
        middle, half = (first + last) / 2, (last - first) / 2
        anchor, d = self.exact(row, np.exp2(middle[:, None] + half[:, None] * TAU_NODES), upper)
        v = np.exp2(middle[:, None] + half[:, None] * TAU_TESTS)
        piece = np.zeros((len(row), 16))
        piece[:, 0], piece[:, 1] = middle, 1 / half
        good = np.zeros(len(row), bool)
        sign = np.where(upper, -1.0, 1.0)
        with np.errstate(all="ignore"):
            x = anchor + d
            # Direct; as a power of two from the density's own anchor; the same from 0.
            near = np.abs(d)
            near[(anchor != anchor[:, :1]).any(axis=1) | (np.sign(d) != np.sign(d[:, :1])).any(axis=1)] = np.nan
            away = np.abs(x)
            away[(np.sign(x) != np.sign(x[:, :1])).any(axis=1)] = np.nan
            for y, mode, base in (
                (x, np.zeros(len(row)), np.zeros(len(row))),
                (np.log2(near), np.sign(d[:, 0]), anchor[:, 0]),
                (np.log2(away), np.sign(x[:, 0]), np.zeros(len(row))),
            ):
                todo = np.flatnonzero(~good & np.isfinite(y).all(axis=1))
                if not len(todo):
                    continue
                c = times(y[todo], TAU_INVERSE)
                for _ in range(2):
                    c += times(y[todo] - _horner(c, TAU_NODES), TAU_INVERSE)
                level = (y[todo] == y[todo, :1]).all(axis=1)
                c[level] = 0
                c[level, 0] = y[todo][level, 0]
                slope = (sign * np.where(mode == 0, 1, mode))[todo, None] * times(c, TAU_BERNSTEIN)
                noise = 2.0**-52 * times(np.abs(c[:, 1:]), TAIL_ORDER[1:]) / (2.0**-41 / half[todo])
                monotone = (slope.min(axis=1) >= noise) | level
                todo, c = todo[monotone], c[monotone]
                trial = piece[todo]
                trial[:, 2], trial[:, 3], trial[:, 4:] = base[todo], mode[todo], c
                fine = self.check(row[todo], upper[todo], v[todo], _core.inverse_tail_piece(trial, v[todo]))
                piece[todo[fine]] = trial[fine]
                good[todo[fine]] = True
        return piece, good

    def add_tails(self) -> None:
        k = len(TAIL_EDGES) - 1
        row = np.repeat(np.arange(self.rows), 2 * k)
        upper = np.tile(np.repeat([False, True], k), self.rows)
        first, last = np.tile(TAIL_EDGES[:-1], 2 * self.rows), np.tile(TAIL_EDGES[1:], 2 * self.rows)
        while len(row):
            piece, good = self.fit_tail(row, upper, first, last)
            self.tails.append((row[good], upper[good], first[good], last[good], piece[good]))
            single = ~good & (last - first == 1)
            low = np.exp2(first[single].astype(float))
            nodes = self.tree(row[single], upper[single], low, low, 0)
            self.roots.append((row[single], upper[single], first[single], nodes))
            cut = ~good & ~single
            row, upper, first, last = row[cut], upper[cut], first[cut], last[cut]
            middle = (first + last) // 2
            row, upper = np.tile(row, 2), np.tile(upper, 2)
            first, last = np.concatenate([first, middle]), np.concatenate([middle, last])

    # ---- order and assembly

    def finish(self, low: np.ndarray, high: np.ndarray) -> Table:
        self.add_cells()
        self.add_tails()
        anchor, d = self.source.quantile(np.arange(self.rows), np.full(self.rows, 0.5), np.zeros(self.rows, bool))
        middle = anchor + d
        row, upper, v0, _, used, c, where = (np.concatenate(column) for column in zip(*self.leaves, strict=True))
        t_row, t_upper, t_first, t_last, tail = (np.concatenate(column) for column in zip(*self.tails, strict=True))
        n = len(row)

        # One list of all pieces in the order of v; a piece's end must not pass the next one's start.
        all_row, all_upper = np.concatenate([row, t_row]), np.concatenate([upper, t_upper])
        start_v = np.concatenate([v0, np.exp2(t_first.astype(float))])
        order = np.lexsort((start_v, all_upper, all_row))
        group = 2 * all_row[order] + all_upper[order]
        final = np.append(group[1:] != group[:-1], True)
        initial = np.append(True, final[:-1])
        sign = np.where(all_upper[order], -1.0, 1.0)
        t_last_v = np.nextafter(np.exp2(t_last.astype(float)), 0)
        last_t = 1 - 2.0 ** -(52.0 - used)
        line = (c[:, 2:] == 0).all(axis=1)
        steps = leap = 1.0
        for _ in range(200):
            ends = np.empty((n + len(tail), 2))
            ends[:n] = _core.inverse_piece(c, np.stack([np.zeros(n), last_t], axis=1))
            ends[n:] = _core.inverse_tail_piece(tail, np.stack([start_v[n:], t_last_v], axis=1))
            begin, end = ends[order, 0], ends[order, 1]
            limit = np.where(final, middle[all_row[order]], np.append(begin[1:], 0.0))
            with np.errstate(over="ignore"):
                excess = sign * (end - limit)
            wrong = np.flatnonzero(excess > 0)
            if not len(wrong):
                break
            which, over = order[wrong], excess[wrong]
            bits = which < n
            p, over_p, s = which[bits], over[bits], sign[wrong][bits]
            lowered = s * c[p, 1] - 1.5 * over_p - steps * np.spacing(np.abs(c[p, 1]))
            # So large a correction that the proof of monotonicity would be in doubt, or a plateau: a line, or a
            # constant.
            hard = (over_p > 2.0**-6 * s * c[p, 1]) | line[p]
            c[p, 1] = s * np.maximum(lowered, 0)
            rest = p[hard]
            c[rest, 2:] = 0
            line[rest] = True
            room = s[hard] * (limit[wrong][bits][hard] - c[rest, 0])
            c[rest, 1] = np.where(room > 0, s[hard] * np.minimum(np.abs(c[rest, 1]), room), 0)
            c[rest, 0] = np.where(room < 0, limit[wrong][bits][hard], c[rest, 0])
            q, over_q, s = which[~bits] - n, over[~bits], sign[wrong][~bits]
            mode = tail[q, 3]
            # Where x = a ± 2^y is rounded to a, y has to move far to move x by the last place.
            unit = np.where(mode == 0, over_q + steps * np.spacing(np.abs(tail[q, 4])), leap * 2.0**-40)
            tail[q, 4] -= s * np.where(mode == 0, 1, mode) * unit
            steps, leap = min(steps * 1.3, 1e6), leap * 1.3
        else:
            at = f"u = {float(start_v[which[0]])!r}, row {self.source.first + int(all_row[which[0]])}"
            raise NumericalError(f"the pieces of the inverse near {at} could not be put in order")
        self.cells.reshape(-1, DEGREE + 1)[where[where >= 0]] = c[where >= 0]
        pieces = np.concatenate(self.pieces)
        pieces[-1 - where[where < 0]] = c[where < 0]
        low = np.minimum(low, begin[initial & (sign > 0)])
        high = np.maximum(high, begin[initial & (sign < 0)])

        r_row, r_upper, r_first, root = (np.concatenate(column) for column in zip(*self.roots, strict=True))
        side = np.concatenate([2 * t_row + t_upper, 2 * r_row + r_upper])
        exponent = np.concatenate([t_first, r_first])
        ref = np.concatenate([np.arange(len(tail)), -1 - root])
        order = np.lexsort((exponent, side))
        parts = {
            "cells": self.cells,
            "cell_refs": self.cell_refs,
            "segment_start": np.concatenate([[0], np.cumsum(np.bincount(side, minlength=2 * self.rows))]),
            "segment_exponent": exponent[order],
            "segment_ref": ref[order],
            "nodes": np.concatenate(self.nodes),
            "pieces": pieces,
            "tail_pieces": tail,
            "low": low,
            "middle": middle,
            "high": high,
        }
        count = np.bincount(all_row, minlength=self.rows)
        return Table(parts, count, self.check.worst)


def _horner(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    """c (m, k) at t (n,): (m, n)."""
    out = np.broadcast_to(c[:, -1:], (len(c), len(t)))
    for j in range(c.shape[1] - 2, -1, -1):
        out = out * t + c[:, j : j + 1]
    return out


def build(source: Source, u_error: float, low: np.ndarray, high: np.ndarray) -> Table:
    """Tables of all rows of `source`, whose supports are [low, high]."""
    return _Builder(source, u_error).finish(low, high)


def joined(tables: list[Table]) -> dict[str, np.ndarray]:
    """The arguments of `_core.InverseTable` for the rows of all tables, one after the other."""
    if len(tables) == 1:
        return tables[0].parts
    out: dict[str, list[np.ndarray]] = {name: [] for name in tables[0].parts}
    nodes = pieces = tails = segments = 0
    for t in tables:
        p = dict(t.parts)
        p["cell_refs"] = np.where(p["cell_refs"] < 0, p["cell_refs"] - nodes, p["cell_refs"])
        p["segment_ref"] = np.where(p["segment_ref"] < 0, p["segment_ref"] - nodes, p["segment_ref"] + tails)
        p["nodes"] = np.where(p["nodes"] < 0, p["nodes"] - nodes, p["nodes"] + pieces)
        p["segment_start"] = p["segment_start"][bool(segments) :] + segments
        nodes += len(p["nodes"]) // 8
        pieces += len(p["pieces"])
        tails += len(p["tail_pieces"])
        segments += len(p["segment_ref"])
        for name, array in p.items():
            out[name].append(array)
    return {name: np.concatenate(arrays) for name, arrays in out.items()}
