"""Finite masks: where a softmax of the traced run was exactly 0, which is what a mask of -1e9 stands for."""

from __future__ import annotations

from typing import Any

import torch

SOFTMAX = {"_softmax", "softmax", "_safe_softmax"}


def vanished(func: Any, args: tuple, kwargs: dict, out: Any) -> torch.Tensor | None:
    """Where the weights of a softmax or a fused attention were exactly 0, bool, broadcast with them; None: nowhere."""
    name = func._schema.name.split("::")[1]
    if name in SOFTMAX:
        return _shared(out == 0)
    if not name.startswith(("_scaled_dot_product", "scaled_dot_product")):
        return None
    given = dict(zip((a.name for a in func._schema.arguments), args, strict=False)) | kwargs
    mask = given.get("attn_mask", given.get("attn_bias"))
    if mask is None or mask.dtype == torch.bool or not (torch.isfinite(mask) & (mask < -1)).any():
        return None
    q, k, scale = given["query"], given["key"], given.get("scale")
    if q.dim() > 2 and q.shape[-3] != k.shape[-3]:
        k = k.repeat_interleave(q.shape[-3] // k.shape[-3], -3)
    scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    return _shared(torch.softmax(scores + mask, -1) == 0)


def _shared(zero: torch.Tensor) -> torch.Tensor | None:
    """Without its leading axes where they are all the same."""
    if not zero.any():
        return None
    if zero.dim() > 2:
        first = zero[(slice(0, 1),) * (zero.dim() - 2)]
        return first.clone() if bool((zero == first).all()) else zero
    return zero
