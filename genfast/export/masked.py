"""Masks on scores that are no plain products: constants that stand for -inf, kept out of every sum they vanish from.

A constant of -inf, or so low that a score added to it vanishes, becomes the finite constant `FLOOR` in the addresses;
a softmax leaves such elements out, so what they hide is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .ops import RULES
from .record import Op
from .view import View

if TYPE_CHECKING:
    from .lower import Lowering
    from .views import Views

LOW = -1e30  # float32 numbers below it stand for -inf
KNOWN = {"add", "sub", "masked_fill", "where", "sigmoid", "relu"}  # pointwise ops that keep what is masked apart
FILL = -1e3  # a constant score below it may stand for -inf too, where the softmax of the traced run is 0
FLOOR = float(np.finfo(np.float32).min) / 2  # the sum of two is finite


def step(low: Lowering, op: Op, args: tuple, kwargs: dict) -> View | None:
    """A sum, fill or choice with constants that stand for -inf; None for anything else."""
    if op.name in ("add", "sub"):
        if all(isinstance(a, View) for a in args[:2]):
            return together(low, op, args, kwargs)
        x, c = (args[0], args[1]) if isinstance(args[0], View) else (args[1], args[0])
        if isinstance(c, View) or (op.name == "sub" and c is args[0]):
            return None
        c = torch.as_tensor(c).float() * (kwargs.get("alpha", 1) * (-1 if op.name == "sub" else 1))
        if not bool((c < LOW).any()):
            return None
        return plus(low, x, c)
    if op.name in ("masked_fill", "where") and any(map(_infinite, args)):
        note(low)
        args = tuple(torch.as_tensor(a).float().clamp(min=FLOOR) if _infinite(a) else a for a in args)
        out = RULES[op.name](low.pointwise, *args)
        choices = (args[1], args[2]) if op.name == "where" else (args[0], args[2])
        a, b = (where(low.views, x if isinstance(x, View) else low.views.constant(x)) for x in choices)
        return out if a is None or b is None else _hide(low, out, a & b)
    return None


def together(low: Lowering, op: Op, args: tuple, kwargs: dict) -> View | None:
    """The sum of two views of which one is masked."""
    hidden = [h for h in (where(low.views, a) for a in args) if h is not None]
    if not hidden or kwargs.get("alpha", 1) != 1:
        return None
    return _hide(low, RULES[op.name](low.pointwise, *args), hidden[0] if len(hidden) == 1 else hidden[0] | hidden[1])


def _hide(low: Lowering, x: View, hidden: torch.Tensor) -> View:
    return View(torch.where(hidden, int(low.views.constant(FLOOR).addr), x.addr))


def plus(low: Lowering, x: View, c: torch.Tensor) -> View:
    """The sum of a view and a constant, elements that are masked in either being so in the sum."""
    note(low)
    hidden = c < LOW
    out = low.emit("add", x, torch.where(hidden, 0.0, c))
    before = where(low.views, x)
    addr = out.addr if before is None else torch.where(before, x.addr, out.addr)
    return _hide(low, View(addr), hidden)


def unseen(low: Lowering, x: View, vanished: torch.Tensor | None) -> torch.Tensor | None:
    """Which elements a softmax leaves out; None: none. `vanished`: where its traced run was exactly 0."""
    hidden = where(low.views, x)
    filled = None if vanished is None else where(low.views, x, FILL)
    if vanished is None or filled is None:
        return hidden
    filled = filled & vanished if hidden is None else filled & vanished & ~hidden
    if not bool(filled.any()):
        return hidden
    note(low, "-inf")
    return filled if hidden is None else filled | hidden


def where(views: Views, x: View, low: float = LOW) -> torch.Tensor | None:
    """Which elements are constants below `low`, by default so that they stand for -inf; None: none."""
    if x.meta is not None:
        return None
    addr = x.addr.numpy()
    out = np.asarray(addr < 0)
    if not out.any():
        return None
    out[out] = views.constants(addr[out]) < low
    return torch.from_numpy(out) if out.any() else None


def note(low: Lowering, what: str = f"{FLOOR:.3g}") -> None:
    """Say in the file what masked scores count as."""
    text = f"masked scores of {low.graph.where()} count as {what}"
    if text not in low.recording.assumed:
        low.recording.assumed.append(text)


def _infinite(x: Any) -> bool:
    number = isinstance(x, float) or (isinstance(x, torch.Tensor) and x.is_floating_point())
    return number and bool((torch.as_tensor(x) == -np.inf).any())
