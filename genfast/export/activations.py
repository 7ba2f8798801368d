"""Activations of torch.nn in terms of the map ops of docs/format.md."""

from __future__ import annotations

from typing import Any

from .ops import rule
from .pointwise import Pointwise
from .view import View


@rule("gelu")
def _gelu(e: Pointwise, x: View, *, approximate: str = "none") -> View:
    return e.emit("gelu_tanh" if approximate == "tanh" else "gelu", x)


@rule("elu")
def _elu(e: Pointwise, x: View, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> View:
    return e.emit("elu", x, params=(alpha, scale, input_scale))


@rule("selu")
def _selu(e: Pointwise, x: View) -> View:
    return e.emit("elu", x, params=(1.6732632423543772, 1.0507009873554805, 1))


@rule("celu")
def _celu(e: Pointwise, x: View, alpha: float = 1.0) -> View:
    return e.emit("elu", x, params=(alpha, 1, 1 / alpha))


@rule("leaky_relu")
def _leaky(e: Pointwise, x: View, slope: float = 0.01) -> View:
    return e.emit("leaky_relu", x, params=(slope,))


@rule("softplus")
def _softplus(e: Pointwise, x: View, beta: float = 1, threshold: float = 20) -> View:
    return e.emit("softplus", x, params=(beta, threshold))


@rule("log_sigmoid_forward")
def _log_sigmoid(e: Pointwise, x: View) -> tuple:
    return e.emit("neg", e.emit("softplus", e.emit("neg", x), params=(1, 40))), None


@rule("hardtanh")
def _hardtanh(e: Pointwise, x: View, low: float = -1, high: float = 1) -> View:
    return e.emit("clamp", x, params=(low, high))


@rule("relu6")
def _relu6(e: Pointwise, x: View) -> View:
    return e.emit("clamp", x, params=(0, 6))


@rule("hardsigmoid")
def _hardsigmoid(e: Pointwise, x: View) -> View:
    return e.emit("mul", e.emit("clamp", e.emit("add", x, 3.0), params=(0, 6)), 1 / 6)


@rule("hardswish")
def _hardswish(e: Pointwise, x: View) -> View:
    return e.emit("mul", x, _hardsigmoid(e, x))


@rule("mish")
def _mish(e: Pointwise, x: View) -> View:
    return e.emit("mul", x, e.emit("tanh", _softplus(e, x)))


@rule("_prelu_kernel", "prelu")
def _prelu(e: Pointwise, x: View, weight: Any) -> View:
    return e.emit("madd", weight, e.emit("minimum", x, 0.0), e.emit("relu", x))


@rule("threshold")
def _threshold(e: Pointwise, x: View, threshold: float, value: float) -> View:
    return e.emit("where", e.emit("gt", x, threshold), x, value)
