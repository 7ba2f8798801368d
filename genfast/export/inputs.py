"""What a network is given: the checks of a model before its trace, and its inputs and conditions as values and entries
of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..errors import UnsupportedOpError
from .lower import Lowering
from .probe import Argument
from .view import View

PRODUCER = "genfast 0.1.0"


def check_parameters(model: Any) -> None:
    """Raise TypeError for what is no model, ValueError for parameters off the CPU or not finite."""
    if not isinstance(model, torch.nn.Module):
        if not callable(model):
            raise TypeError(f"model must be a torch.nn.Module or a callable, got {type(model).__name__}")
        return
    for name, parameter in model.named_parameters():
        if parameter.device.type != "cpu":
            raise ValueError(f"parameter {name!r} is on {parameter.device}: export on the CPU")
        if not torch.isfinite(parameter).all():
            raise ValueError(f"parameter {name!r} is not finite")


def input_entry(argument: Argument) -> dict[str, Any]:
    """The file's entry of value 0."""
    return {"value": 0, "shape": list(argument.shape), "dtype": _dtype(argument), "name": argument.name}


def condition_entry(value: int, argument: Argument) -> dict[str, Any]:
    """The file's entry of a condition."""
    entry = {"name": argument.name, "value": value, "shape": list(argument.shape), "dtype": _dtype(argument)}
    if argument.integer:
        entry["size"] = 2 if argument.example.dtype == torch.bool else argument.size
    return entry


def _dtype(argument: Argument) -> str:
    return "int" if argument.integer else "float"


def condition_view(lowering: Lowering, argument: Argument) -> View:
    """A new value for a condition, and where the elements of its tensor lie in it."""
    graph, shape = lowering.graph, argument.shape
    if len(shape) > 3:
        raise UnsupportedOpError(
            f"condition {argument.name!r} has shape {shape} a row; at most three dimensions are supported"
        )
    if len(shape) >= 2:
        value = graph.value(int(np.prod(shape[1:])), shape[0])
        graph.grid(*shape[1:])
        return placed(lowering, value, shape)
    value = graph.value(1, int(np.prod(shape, dtype=int)))
    return placed(lowering, value, shape)


def placed(lowering: Lowering, value: int, shape: tuple[int, ...]) -> View:
    """The view (1, *shape) of a value: element number c · P + p, in C order, is channel c of position p."""
    addr = lowering.views.of_value(value).T
    return View(torch.from_numpy(np.ascontiguousarray(addr)).reshape(1, *shape))
