"""What a model returns, as one tensor: its first tensor, or the parameters of a head joined from several."""

from __future__ import annotations

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


def output_of(result: Any, elements: int, wanted: int) -> torch.Tensor:
    """The output in a model's return value.

    Parameters
    ----------
    result : anything
    elements : int
        Elements of the input, of all rows.
    wanted : int
        How many numbers the head needs, for all rows.

    Returns
    -------
    torch.Tensor
        The first tensor. Where that does not hold all the numbers, but the first few tensors together do, such as the
        means and scales of a masked autoregressive flow: these side by side, on a new axis 1 if each has one number a
        site, else joined on the axis along which their sizes differ, failing that on axis 1.

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
    same = all(t.dim() == parts[0].dim() for t in parts)
    if count < 2 or total != wanted or not same:
        return found[0]
    if all(t.numel() == elements for t in parts):
        return torch.stack([t.reshape(parts[0].shape) for t in parts], 1)
    sizes = [{t.shape[d] for t in parts} for d in range(parts[0].dim())]
    differing = [d for d, s in enumerate(sizes) if len(s) > 1]
    return torch.cat(parts, differing[0] if differing else 1) if len(differing) < 2 else found[0]
