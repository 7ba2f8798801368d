"""Small matrix products. BLAS starts threads for them, which makes them slower, and lets a row depend on the others."""

from __future__ import annotations

import numpy as np

__all__ = ["times"]


def times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`rows` (m, k) times the transpose of `matrix` (n, k): (m, n); with a vector (k,), (m,)."""
    return np.einsum("ij,j->i" if matrix.ndim == 1 else "ij,kj->ik", rows, matrix)
