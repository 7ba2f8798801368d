"""Complex numbers as rotary positions use them: pairs of reals, multiplied by constants, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .layout import joined
from .ops import NotHere
from .record import Op
from .view import View

if TYPE_CHECKING:
    from .lower import Lowering


class Complex(View):
    """A complex tensor: `pair` is the view of its real and imaginary parts, along a last axis of 2."""

    def __init__(self, pair: View) -> None:
        self.pair = pair

    @property
    def addr(self) -> torch.Tensor:
        raise NotHere("complex numbers may only be multiplied with constants and viewed as reals")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pair.shape[:-1]


def step(low: Lowering, op: Op, args: tuple) -> View | None:
    """What an op makes of complex numbers, or of reals viewed so; None for other ops."""
    if op.name == "view_as_complex":
        return Complex(args[0])
    if op.name == "view_as_real" and isinstance(args[0], Complex):
        return args[0].pair
    if op.name == "mul" and any(isinstance(x, Complex) for x in args):
        z, c = args if isinstance(args[0], Complex) else args[::-1]
        return None if isinstance(c, View) else _product(low, z, torch.as_tensor(c).to(torch.complex64))
    return None


def _product(low: Lowering, z: Complex, c: torch.Tensor) -> Complex:
    a, b = z.pair.map(lambda t: t[..., 0]), z.pair.map(lambda t: t[..., 1])
    emit = low.emit
    real = emit("sub", emit("mul", a, c.real), emit("mul", b, c.imag))
    imaginary = emit("add", emit("mul", a, c.imag), emit("mul", b, c.real))
    together = joined(low.views, True, [real, imaginary], -1)
    return Complex(View(torch.stack([real.addr, imaginary.addr], -1)) if together is None else together)
