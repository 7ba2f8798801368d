"""Attend nodes from scores and values: heads, key heads, what each position sees, biases."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .lower import Lowering, handles
from .ops import NotHere
from .record import Op
from .scores import Scores
from .view import MASK, SHIFT, View

FILL = -1e3  # a finite number added to a score, or in its place, that may stand for -inf
ABSORBING = -1e7  # a number that a score added to it vanishes in


def product(low: Lowering, a: View, b: View) -> View:
    """A batched product (N, M, D) × (N, D, K) of input-dependent matrices."""
    if low.gradient:
        return View(Scores(low, a, b.permute(0, 2, 1)).addr)
    if isinstance(a, Scores) and a.soft:
        return attend(low, a, b)
    if isinstance(b, Scores) and b.soft:
        turned = b.permute(0, 2, 1)
        assert isinstance(turned, Scores)
        return attend(low, turned, a.permute(0, 2, 1)).permute(0, 2, 1)
    return Scores(low, a, b.permute(0, 2, 1))


@handles(
    "scaled_dot_product_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_fused_attention_overrideable",
)
def _fused(low: Lowering, op: Op, *args: Any, **kwargs: Any) -> Any:
    """PyTorch's fused attention in any of its spellings."""
    given = dict(zip((a.name for a in op.func._schema.arguments), args, strict=False)) | kwargs
    q, k, v = (
        x if isinstance(x, View) else low.views.constant(x) for x in (given[n] for n in ("query", "key", "value"))
    )
    mask, scale = given.get("attn_mask", given.get("attn_bias")), given.get("scale")
    if isinstance(mask, View):
        raise NotHere("the attention mask depends on the input: write softmax(q kᵀ + mask) v out")
    if given.get("dropout_p"):
        raise NotHere("dropout in attention: call eval() on the model")
    if len(q.shape) > 2 and q.shape[-3] != k.shape[-3]:
        times = q.shape[-3] // k.shape[-3]
        k, v = (x.map(lambda t: t.repeat_interleave(times, -3)) for x in (k, v))
    lead, (m, n) = q.shape[:-2], (q.shape[-2], k.shape[-2])
    scores = product(low, *(x.reshape(-1, *x.shape[-2:]) for x in (q, k.map(lambda t: t.transpose(-2, -1)))))
    assert isinstance(scores, Scores)
    stages = [lambda s: s.reshape(*lead, m, n), lambda s: s.scaled(q.shape[-1] ** -0.5 if scale is None else scale)]
    if given.get("is_causal"):
        stages.append(lambda s: s.filled(~torch.ones(m, n, dtype=torch.bool).tril(), -math.inf))
    if mask is not None and mask.dtype == torch.bool:
        stages.append(lambda s: s.filled(~mask, -math.inf))
    elif mask is not None:
        stages.append(lambda s: s.shifted(mask))
    for stage in [*stages, lambda s: s.softmax(-1, op.vanished), lambda s: s.reshape(-1, m, n)]:
        scores = stage(scores)
        if scores is None:
            raise NotHere("this form of attention is not supported")
    out = attend(low, scores, v.reshape(-1, *v.shape[-2:])).reshape(*lead, m, v.shape[-1])
    return (out, None) if len(op.func._schema.returns) > 1 else out


@dataclass
class Sight:
    """What the rows of scores see. Axes (N, M, K); those along which all is the same have size 1."""

    seen: np.ndarray  # bool
    bias: np.ndarray  # added to the scores, 0 where nothing is seen
    flat: np.ndarray  # (N, M, 1) bool: rows that see keys but not their scores
    times: np.ndarray  # (N, M, 1): the factor of the scores
    gain: np.ndarray  # (N, M, 1): the factor of the result

    def row(self, name: str, n: np.ndarray, m: np.ndarray) -> np.ndarray:
        """Rows of a field."""
        field = getattr(self, name)
        return field[n if field.shape[0] > 1 else n * 0, m if field.shape[1] > 1 else m * 0]


def sight(low: Lowering, s: Scores) -> Sight:
    """Factors, masks and biases of scores sorted out: docs/format.md has a set of keys, one scale and one bias."""
    times, plus, after = (t.numpy() for t in (s.times, s.plus, s.after))
    seen = plus > -np.inf
    fill = seen & (plus <= FILL)
    if fill.any() and s.vanished is not None:
        vanished = fill & s.vanished.numpy()
        if vanished.any():
            seen = seen & ~vanished
            note = f"masked scores of {low.graph.where()} count as -inf"
            if note not in low.recording.assumed:
                low.recording.assumed.append(note)
    cut = after == 0
    dead = cut.all(2, keepdims=True)
    if (seen & cut & ~dead).any():
        raise NotHere("attention weights are set to zero after the softmax")
    seen = seen & ~dead
    gain = np.where(cut, 1, after)
    if gain.shape[2] > 1:
        if (gain != 1).any():
            raise NotHere("attention weights are multiplied by a matrix after the softmax")
        gain = np.ones((1, 1, 1), np.float32)
    free = seen & (times != 0)
    fixed = seen & (times == 0)
    if (free.any(2) & fixed.any(2)).any():
        raise NotHere("a masked score of a finite value does not vanish in the softmax")
    top = np.where(seen, plus, -np.inf).max(2, keepdims=True)
    flat = fixed.any(2, keepdims=True) | (seen.any(2, keepdims=True) & (top <= ABSORBING))
    bias = np.where(seen, plus - np.where(np.isfinite(top) & (top <= FILL), top, 0), 0)
    high, low_ = (f(np.where(free, times, w), axis=2, keepdims=True) for f, w in ((np.max, -np.inf), (np.min, np.inf)))
    if (high > low_).any():
        raise NotHere("scores are scaled by a constant that varies over the keys")
    scale = np.where(free.any(2, keepdims=True), high, np.nan)
    return Sight(seen, bias.astype(np.float32), flat, scale.astype(np.float32), gain.astype(np.float32))


def attend(low: Lowering, s: Scores, v: View) -> View:
    """Softmaxed scores times values (N', K, E): the view (N', M', E)."""
    keys, (batches, count) = s.core[2], s.shape[:2]
    if s.layout.dim() != 3 or s.layout.shape[2] != keys or (keys > 1 and s.layout.stride(2) != 1):
        raise NotHere("attention weights are multiplied with values along another axis than their softmax's")
    what = sight(low, s)
    q = s.q
    known = what.times[np.isfinite(what.times)]
    scale = float(known[0]) if len(known) else 1.0
    if (known != scale).any():
        q, scale = low.emit("mul", q, torch.from_numpy(np.nan_to_num(what.times, nan=1.0))), 1.0
    rows = (View.affine(0, s.layout[:, :, 0]).flat() & MASK) // keys
    return _Emitter(low, q, s.k, v, what, scale).run(rows, batches, count)


class _Emitter:
    """Cuts the rows of a product into nodes: rows that see the same keys by the same sets are heads of one."""

    def __init__(self, low: Lowering, q: View, k: View, v: View, what: Sight, scale: float) -> None:
        self.low, self.graph, self.views = low, low.graph, low.views
        self.q, self.k, self.v = (x.addr.contiguous().numpy() for x in (q, k, v))
        self.what, self.scale = what, scale

    def run(self, rows: np.ndarray, batches: int, count: int) -> View:
        """The view (batches, count, E) for the row of q and scores that each row of the result has."""
        width = self.v.shape[2]
        self.n, self.m = np.divmod(rows, self.q.shape[1])
        self.batch = np.arange(len(rows)) // count
        self.flat_q = self.q.reshape(-1, self.q.shape[2])[rows]
        groups = self.groups()
        classes: dict[Any, list[np.ndarray]] = {}
        for group in groups:
            classes.setdefault(self.signature(group), []).append(group)
        gain = self.what.row("gain", self.n, self.m)[:, 0].reshape(batches, count, 1)
        out = np.zeros((len(rows), width), np.int64)
        for members in classes.values():
            heads, order = self.key_heads(members)
            chosen = np.stack([members[h] for h in order])
            flat = self.what.row("flat", self.n[chosen[0]], self.m[chosen[0]])[:, 0]
            for part, scale in ((~flat, self.scale), (flat, 0.0)):
                if not part.any():
                    continue
                node = self.node(chosen[:, part], heads, scale)
                whole = len(classes) == 1 and part.all()
                if whole and np.array_equal(chosen, np.arange(len(rows)).reshape(chosen.shape)):
                    strides = (width, width * len(chosen), 1)
                    view = View.strided(node, len(rows) * width, (*chosen.shape, width), strides, 0)
                    return self.gained(view.reshape(batches, count, width), gain)
                addr = self.views.of_value(node).reshape(-1, len(chosen), width).swapaxes(0, 1)
                out[chosen[:, part].reshape(-1)] = addr.reshape(-1, width)
        return self.gained(View(torch.from_numpy(out.reshape(batches, count, width))), gain)

    def gained(self, view: View, gain: np.ndarray) -> View:
        return view if (gain == 1).all() else self.low.emit("mul", view, torch.from_numpy(gain))

    def groups(self) -> list[np.ndarray]:
        """The rows of each head: those with the same keys and values, and the same channels of queries."""
        first = self.flat_q[:, 0]
        top = first >> SHIFT
        channel = np.where(first > 0, (top << SHIFT) + (first & MASK) % self.views.widths(top), -1)
        for marks in ([self.n, self.batch, channel], [self.n, self.batch]):
            _, which = np.unique(np.stack(marks), axis=1, return_inverse=True)
            which = which.reshape(-1)
            sizes = np.bincount(which)
            if (sizes == sizes[0]).all():
                break
        order = np.argsort(which, kind="stable")
        groups = np.split(order, np.cumsum(sizes)[:-1])
        return sorted(groups, key=lambda g: int(g[0]))

    def positions(self, addr: np.ndarray) -> bytes:
        """Which positions of which values the rows of a matrix of addresses begin at."""
        first = addr[:, 0]
        top = first >> SHIFT
        return np.where(first > 0, (top << SHIFT) + (first & MASK) // self.views.widths(top), first).tobytes()

    def signature(self, group: np.ndarray) -> Any:
        """What the heads of a node must have in common."""
        n, batch = self.n[group[0]], self.batch[group[0]]
        own = [self.what.row(name, self.n[group], self.m[group]).tobytes() for name in ("seen", "flat")]
        return len(group), self.positions(self.k[n]), self.positions(self.v[batch]), *own

    def key_heads(self, members: list[np.ndarray]) -> tuple[list[tuple[int, int]], list[int]]:
        """The distinct (row of k, row of v) that heads read, and the heads in an order in which each serves a run."""
        distinct: list[tuple[int, int]] = []
        which = []
        for group in members:
            n, b = int(self.n[group[0]]), int(self.batch[group[0]])
            same = (
                i
                for i, (p, c) in enumerate(distinct)
                if np.array_equal(self.k[p], self.k[n]) and np.array_equal(self.v[c], self.v[b])
            )
            found = next(same, len(distinct))
            if found == len(distinct):
                distinct.append((n, b))
            which.append(found)
        sizes = np.bincount(which)
        if (sizes != sizes[0]).any():
            return [(int(self.n[g[0]]), int(self.batch[g[0]])) for g in members], list(range(len(members)))
        return distinct, np.argsort(which, kind="stable").tolist()

    def node(self, chosen: np.ndarray, key_heads: list[tuple[int, int]], scale: float) -> int:
        """An attend node over rows (heads, positions)."""
        heads, positions = chosen.shape
        keys, dim, width = self.k.shape[1], self.k.shape[2], self.v.shape[2]
        n, m = self.n[chosen], self.m[chosen]
        seen = np.broadcast_to(self.what.row("seen", n[0], m[0]), (positions, keys))
        bias = np.zeros(0)
        if self.what.bias.any():
            bias = np.where(seen, np.broadcast_to(self.what.row("bias", n, m), (heads, positions, keys)), 0)
        q = self.source(self.flat_q[chosen].swapaxes(0, 1))
        k = self.source(self.k[[p for p, _ in key_heads]].swapaxes(0, 1), keys)
        v = self.source(self.v[[b for _, b in key_heads]].swapaxes(0, 1), keys)
        return self.graph.node(
            "attend",
            positions,
            heads * width,
            q=q,
            k=k,
            v=v,
            heads=heads,
            kv_heads=len(key_heads),
            dim=dim,
            dim_v=width,
            keys=keys,
            scale=scale,
            **self.sets(seen),
            bias=self.graph.weight(bias) if bias.any() else -1,
        )

    def source(self, addr: np.ndarray, keys: int = 0) -> list[int]:
        """`[value, table, c0, step]` for addresses (positions, heads, dim); a copy where they lie otherwise."""
        count, heads, dim = addr.shape
        first = addr[:, 0]
        step = int(addr[0, 1, 0] - addr[0, 0, 0]) if heads > 1 else dim
        runs = list(self.views.runs(np.ascontiguousarray(first)))
        if len(runs) == 1 and runs[0].simple and step > 0:
            value, channel, table = runs[0].groups[0]
            inside = channel + (heads - 1) * step + dim <= self.graph.values[value][1]
            if inside and (addr == first[:, None] + step * np.arange(heads)[:, None]).all():
                return [value, self.table(table, value, keys), channel, step]
        value = self.views.copy(addr.reshape(count, -1))
        return [value, -1, 0, dim]

    def table(self, table: np.ndarray, value: int, keys: int) -> int:
        if keys > 1 and self.graph.values[value][0] == 1:  # no table would be the identity
            return self.graph.numbers(table, 1)
        return self.graph.table(table, value)

    def sets(self, seen: np.ndarray) -> dict[str, Any]:
        """The fields that say which keys each position sees: intervals if they are, else bits."""
        keys = seen.shape[1]
        total = seen.sum(1)
        begin = np.where(total > 0, seen.argmax(1), 0)
        end = np.where(total > 0, keys - seen[:, ::-1].argmax(1), 0)
        if (end - begin == total).all():
            return {"visible": [self.graph.numbers(t, keys + 1) for t in (begin, end)]}
        words = np.pad(seen, ((0, 0), (0, -keys % 32))).reshape(len(seen), -1, 32)
        packed = np.packbits(words, axis=-1, bitorder="little").view("<u4").astype(np.uint32).view(np.int32)
        return {"bitmap": self.graph.numbers(packed.reshape(-1), 0)}
