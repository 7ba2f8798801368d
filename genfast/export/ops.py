"""Pointwise ATen ops in terms of the map ops of docs/format.md: rules of the emitter and the op's own arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from .pointwise import Pointwise
from .view import View

SPARSE = 0.25  # a table of numbers with fewer zeros is no mask
HUGE = float(np.finfo(np.float32).max)

Rule = Callable[..., Any]
RULES: dict[str, Rule] = {}


class NotHere(Exception):
    """A rule's way to say why it does not cover a call."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    def add(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, f))
        return f

    return add


def _simple(aten: str, op: str) -> None:
    RULES[aten] = lambda e, *args: e.emit(op, *args)


for _name in [
    "neg",
    "abs",
    "relu",
    "sigmoid",
    "tanh",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "reciprocal",
    "erf",
    "silu",
    "floor",
    "sign",
    "logical_not",
    "maximum",
    "minimum",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
]:
    _simple(_name, _name)


@rule("round")
def _round(e: Pointwise, x: View, *, decimals: int = 0) -> View:
    if decimals:
        return e.emit("div", e.emit("round", e.emit("mul", x, 10.0**decimals)), 10.0**decimals)
    return e.emit("round", x)


def _sine(e: Pointwise, x: View, half: float) -> View:
    """sin(x − half·π) times (−1)^k for the nearest multiple k: Taylor's polynomial to degree 11 of what Cody and
    Waite's reduction by two parts of π leaves, which is at most π/2 (Cody & Waite, *Software manual for the elementary
    functions*, 1980). Its error is below 2e-7 up to |x| = 1e4 or so, where float32 knows x itself no better.
    """
    k = e.emit("round", e.emit("madd", x, 1 / math.pi, -half))
    at = e.emit("add", k, half) if half else k
    high = float(np.float32(math.pi))
    r = e.emit("madd", at, -(math.pi - high), e.emit("madd", at, -high, x))
    square = e.emit("square", r)
    series: Any = -1 / math.factorial(11)
    for n in (9, 7, 5, 3):
        series = e.emit("madd", series, square, (-1) ** (n // 2) / math.factorial(n))
    odd = e.emit("madd", e.emit("floor", e.emit("mul", k, 0.5)), -2.0, k)
    return e.emit("mul", e.emit("madd", e.emit("mul", r, square), series, r), e.emit("madd", odd, -2.0, 1.0))


@rule("sin")
def _sin(e: Pointwise, x: View) -> View:
    return _sine(e, x, 0.0)


@rule("cos")
def _cos(e: Pointwise, x: View) -> View:
    return e.emit("neg", _sine(e, x, 0.5))


@rule("clamp", "clip")
def _clamp(e: Pointwise, x: View, min: Any = None, max: Any = None) -> View:
    if isinstance(min, (View, torch.Tensor)) or isinstance(max, (View, torch.Tensor)):
        x = x if min is None else e.emit("maximum", x, min)
        return x if max is None else e.emit("minimum", x, max)
    low, high = -HUGE if min is None else float(min), HUGE if max is None else float(max)
    return e.emit("clamp", x, params=(np.clip(low, -HUGE, HUGE), np.clip(high, -HUGE, HUGE)))


@rule("clamp_min")
def _clamp_min(e: Pointwise, x: View, min: Any) -> View:
    return _clamp(e, x, min)


@rule("clamp_max")
def _clamp_max(e: Pointwise, x: View, max: Any) -> View:
    return _clamp(e, x, None, max)


@rule("add")
def _add(e: Pointwise, a: Any, b: Any, alpha: float = 1) -> View:
    return e.emit("add", a, b) if alpha == 1 else e.emit("add", a, e.emit("mul", b, alpha))


@rule("sub")
def _sub(e: Pointwise, a: Any, b: Any, alpha: float = 1) -> View:
    return e.emit("sub", a, b) if alpha == 1 else e.emit("sub", a, e.emit("mul", b, alpha))


@rule("rsub")
def _rsub(e: Pointwise, a: Any, b: Any, alpha: float = 1) -> View:
    return _sub(e, b, a, alpha)


@rule("mul")
def _mul(e: Pointwise, a: Any, b: Any) -> View:
    """A factor that is constantly zero cuts the dependence: masks on activations are structure.

    The few zeros of a table of numbers (a sine at position 0) are none.
    """
    if isinstance(a, torch.Tensor) or not isinstance(a, View):
        a, b = b, a
    if not isinstance(b, torch.Tensor) or b.dim() == 0 or bool((b != 0).all()):
        return e.emit("mul", a, b)
    shape = torch.broadcast_shapes(a.shape, b.shape)
    if float((b == 0).float().mean()) < SPARSE and len(torch.unique(b)) > 2:
        return e.emit("mul", a, b)
    kept = (b != 0).expand(shape)
    product = a if bool(((b == 0) | (b == 1)).all()) else e.emit("mul", a, b)
    return View(torch.where(kept, product.addr.expand(shape), 0))


@rule("div", "divide", "true_divide")
def _div(e: Pointwise, a: Any, b: Any, *, rounding_mode: str | None = None) -> View:
    out = e.emit("div", a, b)
    if rounding_mode == "floor":
        return e.emit("floor", out)
    return _trunc(e, out) if rounding_mode == "trunc" else out


@rule("floor_divide")
def _floor_divide(e: Pointwise, a: Any, b: Any) -> View:
    return _div(e, a, b, rounding_mode="floor")


@rule("remainder")
def _remainder(e: Pointwise, a: Any, b: Any) -> View:
    return e.emit("sub", a, e.emit("mul", _floor_divide(e, a, b), b))


@rule("fmod")
def _fmod(e: Pointwise, a: Any, b: Any) -> View:
    return e.emit("sub", a, e.emit("mul", _trunc(e, e.emit("div", a, b)), b))


@rule("trunc", "fix")
def _trunc(e: Pointwise, x: View) -> View:
    return e.emit("mul", e.emit("sign", x), e.emit("floor", e.emit("abs", x)))


@rule("frac")
def _frac(e: Pointwise, x: View) -> View:
    return e.emit("sub", x, _trunc(e, x))


@rule("ceil")
def _ceil(e: Pointwise, x: View) -> View:
    return e.emit("neg", e.emit("floor", e.emit("neg", x)))


@rule("pow")
def _pow(e: Pointwise, x: Any, exponent: Any) -> View:
    if isinstance(exponent, torch.Tensor) and exponent.numel() == 1:
        exponent = exponent.item()
    if not isinstance(x, View) and isinstance(exponent, View):
        base = torch.as_tensor(x, dtype=torch.float32)
        if bool((base <= 0).any()):
            raise NotHere("a power of a base that is not positive")
        return e.emit("exp", e.emit("mul", exponent, base.log()))
    if isinstance(exponent, (View, torch.Tensor)):
        raise NotHere("an exponent that is a tensor")
    exponent = float(exponent)
    if exponent == 0:
        return e.emit("add", e.emit("mul", x, 0.0), 1.0)
    known = {1.0: "identity", 2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent in known:
        return e.emit(known[exponent], x)
    if exponent == int(exponent) and abs(exponent) <= 16:
        out: Any = None
        square, count = x, int(abs(exponent))
        while count:
            if count & 1:
                out = square if out is None else e.emit("mul", out, square)
            count >>= 1
            square = e.emit("square", square) if count else square
        return out if exponent > 0 else e.emit("reciprocal", out)
    return e.emit("exp", e.emit("mul", e.emit("log", x), exponent))


@rule("exp2")
def _exp2(e: Pointwise, x: View) -> View:
    return e.emit("exp", e.emit("mul", x, math.log(2)))


@rule("expm1")
def _expm1(e: Pointwise, x: View) -> View:
    return e.emit(
        "where", e.emit("gt", x, 0.0), e.emit("sub", e.emit("exp", x), 1.0), e.emit("elu", x, params=(1, 1, 1))
    )


@rule("log1p")
def _log1p(e: Pointwise, x: View) -> View:
    return e.emit("log", e.emit("add", x, 1.0))


@rule("log2")
def _log2(e: Pointwise, x: View) -> View:
    return e.emit("mul", e.emit("log", x), 1 / math.log(2))


@rule("log10")
def _log10(e: Pointwise, x: View) -> View:
    return e.emit("mul", e.emit("log", x), 1 / math.log(10))


@rule("erfc")
def _erfc(e: Pointwise, x: View) -> View:
    return e.emit("sub", 1.0, e.emit("erf", x))


@rule("where")
def _where(e: Pointwise, condition: Any, a: Any, b: Any) -> View:
    if isinstance(condition, View):
        out = e.emit("where", condition, a, b)
        if condition.meta is not None or not bool((condition.addr <= 0).any()):
            return out
        a, b = (x if isinstance(x, View) else e.views.constant(x) for x in (a, b))
        false, true = (_constant_elements(e, condition, v) for v in (0.0, 1.0))
        return View(torch.where(false, b.addr, torch.where(true, a.addr, out.addr)))
    a, b = (x if isinstance(x, View) else e.views.constant(x) for x in (a, b))
    return View(torch.where(condition.bool(), a.addr, b.addr))


@rule("masked_fill")
def _masked_fill(e: Pointwise, x: Any, mask: Any, value: Any) -> View:
    out = _where(e, mask, value, x)
    return View(out.addr.expand(torch.broadcast_shapes(out.shape, x.shape)))


@rule("lerp")
def _lerp(e: Pointwise, a: Any, b: Any, weight: Any) -> View:
    return e.emit("madd", weight, e.emit("sub", b, a), a)


@rule("addcmul")
def _addcmul(e: Pointwise, x: Any, a: Any, b: Any, *, value: float = 1) -> View:
    return e.emit("madd", a if value == 1 else e.emit("mul", a, value), b, x)


@rule("addcdiv")
def _addcdiv(e: Pointwise, x: Any, a: Any, b: Any, *, value: float = 1) -> View:
    return e.emit("madd", e.emit("div", a, b), value, x)


@rule("logical_and", "bitwise_and", "__and__")
def _and(e: Pointwise, a: Any, b: Any) -> View:
    return _settled(e, "mul", a, b, 0.0)


@rule("logical_or", "bitwise_or", "__or__")
def _or(e: Pointwise, a: Any, b: Any) -> View:
    return _settled(e, "maximum", a, b, 1.0)


def _settled(e: Pointwise, op: str, a: Any, b: Any, settles: float) -> View:
    """A logical op of two; elements that a constant settles are constants, and read nothing."""
    a, b = (e.emit("ne", x, 0.0) for x in (a, b))
    out = e.emit(op, a, b)
    for x in (a, b):
        if x.meta is None and bool((x.addr <= 0).any()):
            known = _constant_elements(e, x, settles)
            out = View(torch.where(known, int(e.views.constant(settles).addr), out.addr))
    return out


def _constant_elements(e: Pointwise, x: View, value: float) -> torch.Tensor:
    """Which elements of a view are this constant."""
    known = x.addr <= 0
    known[known.clone()] = torch.from_numpy(e.views.constants(x.addr[known].numpy()) == value)
    return known


@rule("logical_xor", "bitwise_xor")
def _xor(e: Pointwise, a: Any, b: Any) -> View:
    return e.emit("ne", e.emit("ne", a, 0.0), e.emit("ne", b, 0.0))


@rule("bitwise_not")
def _not(e: Pointwise, x: View) -> View:
    return e.emit("logical_not", x)


@rule("nan_to_num")
def _nan_to_num(e: Pointwise, x: View, nan: Any = None, posinf: Any = None, neginf: Any = None) -> View:
    x = e.emit("where", e.emit("eq", x, x), x, 0.0 if nan is None else nan)
    return _clamp(e, x, -HUGE if neginf is None else neginf, HUGE if posinf is None else posinf)


@rule("isnan")
def _isnan(e: Pointwise, x: View) -> View:
    return e.emit("ne", x, x)


@rule("fill")
def _fill(e: Pointwise, x: View, value: Any) -> View:
    return View(e.views.constant(value).addr.expand(x.shape))


@rule("zero")
def _zero(e: Pointwise, x: View) -> View:
    return View(torch.zeros(x.shape, dtype=torch.int64))


from . import activations  # noqa: E402, F401  (registers its rules)
