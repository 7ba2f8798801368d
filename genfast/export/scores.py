"""Attention scores on their way from q·k to the softmax: never addresses, only what a model did to them.

A product of two input-dependent matrices becomes a `Scores` and travels through the lowering like a view. Scaling,
constant biases and masks, layout and the softmax are noted; `attention.py` makes an attend node of the product with
the values. Anything else asks for its addresses, which a small product has and a large one or a softmax refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from . import masked
from .layout import SAME, relaid
from .ops import NotHere
from .record import Op, map_refs
from .view import View, same_storage

if TYPE_CHECKING:
    from .lower import Lowering

MAX_PRODUCT = 1 << 22  # elements of a product that is written out as multiplications and sums


class Scores(View):
    """`times · (q kᵀ) + plus`, its softmax if `soft`, that times `after`; all of shape (N, M, K) broadcast.

    Parameters
    ----------
    low : Lowering
    q : View (N, M, D)
    k : View (N, K, D)
    """

    def __init__(self, low: Lowering, q: View, k: View) -> None:
        self.low, self.q, self.k = low, q, k
        self.core = (q.shape[0], q.shape[1], k.shape[1])
        self.layout = torch.empty(self.core, device="meta")  # the tensor's shape over the elements of `core`
        self.times, self.plus, self.after = torch.ones(1, 1, 1), torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
        self.soft = False
        self.vanished: torch.Tensor | None = None  # where the probe's softmax was exactly 0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.layout.shape)

    def but(self, **changes: Any) -> Scores:
        """A copy with other fields."""
        new = Scores.__new__(Scores)
        new.__dict__.update({k: v for k, v in self.__dict__.items() if k != "addr"} | changes)
        return new

    def map(self, layout: Callable[[torch.Tensor], torch.Tensor]) -> View:
        out = layout(self.layout)
        return self.but(layout=out) if same_storage(out, self.layout) else View(layout(self.addr))

    @cached_property
    def addr(self) -> torch.Tensor:
        if self.soft:
            raise NotHere("attention weights may only be multiplied with values")
        n, m, k = self.core
        size = self.q.shape[2]
        if n * m * k * size > MAX_PRODUCT:
            raise NotHere(
                f"a product of two input-dependent matrices, {n} × {m} × {size} × {k}, that is no attention, is too big"
            )
        emit = self.low.emit
        q, key = self.q.reshape(n, m, 1, size), self.k.reshape(n, 1, k, size)
        product = emit("mul", q, key)
        zero = [x.addr == 0 for x in (q, key) if x.meta is None]
        if any(bool(z.any()) for z in zero):  # a weight that is constantly 0 reads nothing
            product = View(torch.where(zero[0] if len(zero) == 1 else zero[0] | zero[1], 0, product.addr))
        out = self.low.rows.reduce("sum", product, [3], False)
        out = out if bool((self.times == 1).all()) else emit("mul", out, self.times)
        if (self.times == 0).any():
            out = View(torch.where(self.times == 0, 0, out.addr))
        if (self.plus < masked.LOW).any():
            out = masked.plus(self.low, out, self.plus)
        elif self.plus.any():
            out = emit("add", out, self.plus)
            if (self.times == 0).any():
                constant = self.low.views.constant(self.plus).addr
                out = View(torch.where(self.times == 0, constant, out.addr))
        where = (self.layout.shape, self.layout.stride(), self.layout.storage_offset())
        return out.addr.expand(self.core).contiguous().as_strided(*where).contiguous()

    def _axes(self) -> list[list[int]] | None:
        """The dims of the layout that number N, M and K, slowest first; None if not every element has its place."""
        _, m, k = self.core
        dims = [d for d, n in enumerate(self.shape) if n > 1]
        dims.sort(key=self.layout.stride, reverse=True)
        step = 1
        for d in reversed(dims):
            if self.layout.stride(d) != step:
                return None
            step *= self.shape[d]
        if step != math.prod(self.core):
            return None
        parts = [
            [d for d in dims if self.layout.stride(d) >= m * k],
            [d for d in dims if k <= self.layout.stride(d) < m * k],
            [d for d in dims if self.layout.stride(d) < k],
        ]
        whole = [math.prod(self.shape[d] for d in part) for part in parts]
        return parts if tuple(whole) == self.core else None

    def place(self, constant: Any) -> torch.Tensor | None:
        """A constant that broadcasts with the tensor, in the core's axes; axes along which it is one number have 1."""
        axes = self._axes()
        t = torch.as_tensor(constant).detach()
        if t.numel() == 1:
            return t.reshape(1, 1, 1)
        if axes is None or torch.broadcast_shapes(t.shape, self.shape) != self.shape:
            return None
        t = t.expand(self.shape)
        sizes = []
        for part in axes:
            varying = any(t.stride(d) for d in part)
            sizes.append(math.prod(self.shape[d] for d in part) if varying else 1)
            if not varying:
                t = t[tuple(slice(0, 1) if d in part else slice(None) for d in range(t.dim()))]
        order = [d for part in axes for d in part]
        rest = [d for d in range(t.dim()) if d not in order]
        return t.permute(*rest, *order).reshape(sizes)

    def swapped(self) -> Scores:
        """The same with the parts of q and k exchanged."""
        _, m, k = self.core
        stride = [s if s >= m * k else s // k if s >= k else s * m for s in self.layout.stride()]
        core = (self.core[0], k, m)
        layout = torch.empty(core, device="meta").as_strided(self.shape, stride, 0)
        turned = {name: getattr(self, name).transpose(1, 2) for name in ("times", "plus", "after")}
        return self.but(q=self.k, k=self.q, core=core, layout=layout, **turned)

    # -- what a model may do to scores; None where it has to go without

    def scaled(self, constant: Any) -> Scores | None:
        c = self.place(constant)
        if c is None:
            return None
        if self.soft:
            return self.but(after=self.after * c.float())
        return self.but(times=self.times * c.float(), plus=torch.where(c == 0, 0.0, self.plus * c.float()))

    def shifted(self, constant: Any) -> Scores | None:
        c = None if self.soft else self.place(constant)
        return None if c is None else self.but(plus=self.plus + c.float())

    def filled(self, mask: Any, value: Any) -> Scores | None:
        """`value` where the mask is true."""
        m, c = self.place(mask), self.place(value)
        if m is None or c is None:
            return None
        if self.soft:
            return None if c.any() else self.but(after=torch.where(m, 0.0, self.after))
        return self.but(times=torch.where(m, 0.0, self.times), plus=torch.where(m, c.float(), self.plus))

    def softmax(self, dim: int, vanished: torch.Tensor | None) -> Scores | None:
        axes = self._axes()
        if self.soft or axes is None:
            return None
        dim %= len(self.shape)
        if axes[1] == [dim] and axes[2] != [dim]:
            return self.swapped().softmax(dim, vanished)
        if axes[2] != [dim]:
            return None
        return self.but(soft=True, vanished=None if vanished is None else self.place(vanished))


def step(op: Op, args: tuple, kwargs: dict) -> Scores | None:
    """What an op makes of scores among its arguments; None where nothing is known but their addresses."""
    name, x = op.name, args[0]
    if isinstance(x, Scores):
        if name in SAME or name in ("_to_copy", "to", "type_as"):
            return x
        affine = relaid(x.layout, op, args, kwargs)
        if affine is not None:
            return map_refs(lambda t: x.but(layout=t), affine)
    rule = STEPS.get(name)
    return None if rule is None else rule(op, *args, **kwargs)


def _mul(op: Op, a: Any, b: Any) -> Scores | None:
    x, c = (a, b) if isinstance(a, Scores) else (b, a)
    return None if isinstance(c, View) else x.scaled(c)


def _div(op: Op, a: Any, b: Any, **kwargs: Any) -> Scores | None:
    if kwargs.get("rounding_mode") or isinstance(b, View):
        return None
    return a.scaled(1 / torch.as_tensor(b, dtype=torch.float64))


def _add(op: Op, a: Any, b: Any, alpha: float = 1) -> Scores | None:
    if isinstance(a, View) and isinstance(b, View):
        return None
    return a.shifted(torch.as_tensor(b) * alpha) if isinstance(a, Scores) else _scale(b, alpha, a)


def _sub(op: Op, a: Any, b: Any, alpha: float = 1) -> Scores | None:
    return _add(op, a, b, -alpha)


def _scale(x: Scores, factor: float, constant: Any) -> Scores | None:
    scaled = x.scaled(factor)
    return None if scaled is None else scaled.shifted(constant)


def _masked_fill(op: Op, x: Any, mask: Any, value: Any) -> Scores | None:
    if not isinstance(x, Scores) or isinstance(mask, View) or isinstance(value, View):
        return None
    return x.filled(mask, value)


def _where(op: Op, condition: Any, a: Any, b: Any) -> Scores | None:
    if isinstance(condition, View) or (isinstance(a, View) and isinstance(b, View)):
        return None
    kept = condition.bool()
    return a.filled(~kept, b) if isinstance(a, Scores) else b.filled(kept, a)


def _softmax(op: Op, x: Any, dim: int, *rest: Any, **kwargs: Any) -> Scores | None:
    return x.softmax(dim, op.vanished)


def _maximum(op: Op, a: Any, b: Any = None, *rest: Any, **kwargs: Any) -> Scores | None:
    """A lower bound that only a mask falls below."""
    x, c = (a, b) if isinstance(a, Scores) else (b, a)
    c = kwargs.get("min", c)
    high = [y for y in (*rest, kwargs.get("max")) if y is not None]
    if high or c is None or isinstance(c, View) or x.soft:
        return None
    c = torch.as_tensor(c)
    if c.numel() != 1 or float(c) >= masked.LOW:
        return None
    return x.but(plus=x.plus.clamp(min=float(c)))


def _nan_to_num(op: Op, x: Any, nan: float | None = None, *rest: Any) -> Scores | None:
    """A row that sees nothing is NaN, and 0 after this: so is attention here."""
    return x if x.soft and not nan else None


STEPS: dict[str, Callable[..., Scores | None]] = {
    "mul": _mul,
    "div": _div,
    "add": _add,
    "sub": _sub,
    "rsub": lambda op, a, b, alpha=1: _scale(a, -alpha, b) if not isinstance(b, View) else None,
    "neg": lambda op, x: x.scaled(-1.0),
    "masked_fill": _masked_fill,
    "where": _where,
    "_softmax": _softmax,
    "softmax": _softmax,
    "_safe_softmax": _softmax,
    "maximum": _maximum,
    "clamp": _maximum,
    "clamp_min": _maximum,
    "nan_to_num": _nan_to_num,
}
