"""Orders: the order in which the sites of a sample are drawn."""

from __future__ import annotations

import numpy as np

__all__ = ["resolve"]


def resolve(order: str | np.ndarray, sites: int) -> np.ndarray:
    """The site of each rank.

    Parameters
    ----------
    order : "raster" or array_like of int of shape (sites,)
        ``"raster"``: sites in C order of the model's input. An array gives the site drawn at each rank and must be a
        permutation of 0 … sites - 1.
    sites : int
        Number of sites.

    Returns
    -------
    numpy.ndarray of shape (sites,), int32
        ``table[rank] = site`` (docs/format.md, "Sites").

    Raises
    ------
    TypeError
        If `order` is neither a string nor an array of integers.
    ValueError
        If the name is unknown, the shape is wrong or the array is not a permutation.
    """
    if isinstance(order, str):
        if order != "raster":
            raise ValueError(f"unknown order {order!r}: give 'raster' or a permutation of the sites")
        return np.arange(sites, dtype=np.int32)
    table = np.asarray(order)
    if table.dtype.kind not in "iu":
        raise TypeError(f"order must be 'raster' or an array of integers, got dtype {table.dtype}")
    if table.shape != (sites,):
        raise ValueError(f"order must have shape ({sites},), one site per rank, got {table.shape}")
    if not np.array_equal(np.sort(table), np.arange(sites)):
        raise ValueError(f"order must be a permutation of 0 … {sites - 1}")
    return table.astype(np.int32)
