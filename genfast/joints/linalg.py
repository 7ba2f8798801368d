"""Triangular linear algebra in a fixed order: the same bits for every batch size, thread count and BLAS."""

from __future__ import annotations

import numpy as np

__all__ = ["apply_lower", "cholesky", "inverse_lower", "sum_rows"]

BLOCK_BYTES = 1 << 18


def symmetric(matrix: np.ndarray, name: str) -> np.ndarray:
    """`matrix` if it is square, finite and symmetric to rounding, symmetrised exactly; else a ValueError.

    Parameters
    ----------
    matrix : ndarray of shape (..., d, d), float64
    name : str
        The argument's name, for the error.
    """
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
        raise ValueError(f"{name} must be a square matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        row, column = np.argwhere(~np.isfinite(matrix))[0][-2:]
        raise ValueError(f"{name} must be finite: entry ({row}, {column}) is not")
    transposed = np.swapaxes(matrix, -1, -2)
    scale = np.abs(matrix).max(initial=0.0)
    wrong = np.abs(matrix - transposed) > 1e-8 * scale
    if wrong.any():
        row, column = np.argwhere(wrong)[0][-2:]
        raise ValueError(f"{name} must be symmetric: entries ({row}, {column}) and ({column}, {row}) differ")
    return 0.5 * matrix + 0.5 * transposed


def cholesky(matrix: np.ndarray, name: str) -> np.ndarray:
    """The lower Cholesky factor of a symmetric positive definite matrix.

    Parameters
    ----------
    matrix : ndarray of shape (d, d), float64
    name : str
        The argument's name, for the error.

    Returns
    -------
    ndarray of shape (d, d)

    Raises
    ------
    ValueError
        If the matrix is not symmetric, or not positive definite to rounding (a pivot below d·eps of its diagonal
        entry).

    Notes
    -----
    Outer-product form (Golub & Van Loan, *Matrix Computations*, 4th ed., 2013, algorithm 4.2.2).
    """
    rest = symmetric(matrix, name)
    d = len(rest)
    floor = d * np.finfo(np.float64).eps * np.diagonal(rest)
    factor = np.zeros((d, d))
    for k in range(d):
        pivot = rest[k, k]
        if not pivot > max(floor[k], 0.0):
            raise ValueError(
                f"{name} must be positive definite: coordinate {k} has no positive variance given the ones before it "
                f"(pivot {pivot:.3g}); drop it, or add a little to the diagonal"
            )
        column = rest[k:, k] / np.sqrt(pivot)
        factor[k:, k] = column
        rest[k + 1 :, k + 1 :] -= column[1:, None] * column[1:]
    return factor


def inverse_lower(factor: np.ndarray) -> np.ndarray:
    """The inverse of a lower triangular matrix with a positive diagonal, by forward substitution; shape (d, d)."""
    d = len(factor)
    inverse = np.zeros((d, d))
    rest = np.eye(d)
    for k in range(d):
        inverse[k, : k + 1] = rest[k, : k + 1] / factor[k, k]
        rest[k + 1 :, : k + 1] -= factor[k + 1 :, k, None] * inverse[k, : k + 1]
    return inverse


def apply_lower(factor: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``factor @ z`` for a lower triangular factor, each entry summed from the first term to the last.

    Parameters
    ----------
    factor : ndarray of shape (d, d)
    z : ndarray of shape (d, n)

    Returns
    -------
    ndarray of shape (d, n)

    Notes
    -----
    One product per column of `factor` for all rows below and a block of samples: d NumPy calls a block. A BLAS product
    would be faster but changes its bits with n.
    """
    d, n = z.shape
    out = np.zeros((d, n))
    block = max(BLOCK_BYTES // (8 * max(d, 1)), 64)
    for start in range(0, n, block):
        columns = slice(start, start + block)
        part, source = out[:, columns], z[:, columns]
        for k in range(d):
            part[k:] += factor[k:, k, None] * source[k]
    return out


def sum_rows(a: np.ndarray) -> np.ndarray:
    """The sum over the first axis, from the first row to the last."""
    total = np.zeros(a.shape[1:])
    for row in a:
        total += row
    return total
