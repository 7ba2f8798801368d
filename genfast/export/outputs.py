"""What a model returns, as one tensor: its first tensor, or the parameters of a head joined from several."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import UnsupportedOpError


def tensors_of(result: Any) -> list[torch.Tensor]:
    """The tensors of a model's return value, in their order."""
    leaves = pytree.tree_leaves(result)
    if len(leaves) == 1 and leaves[0] is result and hasattr(result, "__dict__") and not torch.is_tensor(result):
        leaves = pytree.tree_leaves(list(vars(result).values()))
    return [t for t in leaves if isinstance(t, torch.Tensor)]


def by_row(output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The output with its batch axis: (B·T, N), as losses take it, is (B, T, N) again; any other is left as it is.

    Only inputs without channels, whose sites have one order to be flattened in.
    """
    rows = len(x)
    plain = x.dim() == 2 or x.shape[1] == 1
    if plain and output.dim() == 2 and len(output) == x.numel() != rows:
        return output.reshape(rows, -1, output.shape[1])
    return output


def output_of(result: Any, x: torch.Tensor, wanted: int) -> tuple[torch.Tensor, bool]:
    """The output in a model's return value.

    Parameters
    ----------
    result : anything
    x : torch.Tensor
        The input.
    wanted : int
        How many numbers the head needs, for all rows.

    Returns
    -------
    torch.Tensor
        The first tensor. Where that does not hold all the numbers, but the first few tensors together do, such as the
        means and scales of a masked autoregressive flow: these side by side, on a new axis 1 if each has one number for
        each element of the input, else on the axis that is not the input's, 1 or the last.

    Raises
    ------
    UnsupportedOpError
        If there is no tensor.
    """
    found = tensors_of(result)
    if not found:
        raise UnsupportedOpError(f"the model returned no tensor but {type(result).__name__}")
    count, total = 0, 0
    while count < len(found) and total < wanted:
        total += found[count].numel()
        count += 1
    parts = found[:count]
    if count < 2 or total != wanted or len({t.dim() for t in parts}) > 1:
        return found[0], False
    if all(t.numel() == x.numel() for t in parts):
        return torch.stack([t.reshape(parts[0].shape) for t in parts], 1), True
    axes = (1, -1) if x.dim() > 2 else (-1, 1)
    for axis in axes:
        rest = [[n for d, n in enumerate(t.shape) if d not in (0, axis % t.dim()) and n > 1] for t in parts]
        if rest.count(rest[0]) == len(rest) and prod(rest[0]) in (x[0].numel(), x[0, 0].numel()):
            return torch.cat(parts, axis), False
    return found[0], False
