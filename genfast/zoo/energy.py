"""The energy distance between two samples: Székely & Rizzo, "Energy statistics: A class of statistics based on
distances", Journal of Statistical Planning and Inference 143, 2013."""

from __future__ import annotations

import torch
from torch import Tensor


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|A − B| − E|A − A'| − E|B − B'| of the rows of a (n, d) and b (m, d); 0 in the mean for equal distributions.

    The unbiased estimate, so it may fall below 0. Raises ValueError for fewer than two rows.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an energy distance needs two rows of each, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    within = sum(torch.pdist(rows).mean() for rows in (a, b))
    return float(2 * torch.cdist(a, b).mean() - within)
