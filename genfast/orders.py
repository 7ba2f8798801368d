"""Orders: the order in which the sites of a sample are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["NAMES", "resolve"]


def _raster(space: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(space)))


def _column(space: tuple[int, ...]) -> np.ndarray:
    return _raster(space).reshape(space).T.reshape(-1)


def _snake(space: tuple[int, ...]) -> np.ndarray:
    rows = _raster(space).reshape(-1, space[-1]).copy()
    rows[1::2] = rows[1::2, ::-1]
    return rows.reshape(-1)


def _hilbert(space: tuple[int, ...]) -> np.ndarray:
    if len(space) > 2:
        raise ValueError(f"order 'hilbert' is for one or two dimensions, the sites form {space}")
    height, width = (1, *space)[-2:]
    wide = width >= height
    right, down = (width, 0), (0, height)
    walk = _hilbert_walk((0, 0), right if wide else down, down if wide else right)
    return np.array([y * width + x for x, y in walk])


def _hilbert_walk(
    corner: tuple[int, int], along: tuple[int, int], across: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """The cells (x, y) of the parallelogram `corner`, `along`, `across`, from `corner` to the other end of `along`."""
    length, width = abs(sum(along)), abs(sum(across))
    step, side = _unit(along), _unit(across)
    if width == 1 or length == 1:
        for i in range(length * width):
            yield _move(corner, step if width == 1 else side, i)
        return
    half, other = (along[0] // 2, along[1] // 2), (across[0] // 2, across[1] // 2)
    if 2 * length > 3 * width:  # long: two in a row
        if abs(sum(half)) % 2 and length > 2:
            half = _move(half, step)
        yield from _hilbert_walk(corner, half, across)
        yield from _hilbert_walk(_move(corner, half), _move(along, half, -1), across)
        return
    if abs(sum(other)) % 2 and width > 2:  # out, along, and back
        other = _move(other, side)
    yield from _hilbert_walk(corner, other, half)
    yield from _hilbert_walk(_move(corner, other), along, _move(across, other, -1))
    end = _move(_move(_move(_move(corner, along), step, -1), other), side, -1)
    yield from _hilbert_walk(end, (-other[0], -other[1]), _move(half, along, -1))


def _unit(v: tuple[int, int]) -> tuple[int, int]:
    return (v[0] > 0) - (v[0] < 0), (v[1] > 0) - (v[1] < 0)


def _move(a: tuple[int, int], b: tuple[int, int], times: int = 1) -> tuple[int, int]:
    return a[0] + times * b[0], a[1] + times * b[1]


_POSITIONS: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
    "raster": _raster,
    "subpixel": _raster,
    "column": _column,
    "snake": _snake,
    "hilbert": _hilbert,
}
NAMES = (*_POSITIONS, "infer")


def resolve(order: str | np.ndarray, space: tuple[int, ...], channels: int = 1) -> np.ndarray | None:
    """The site of each rank.

    Parameters
    ----------
    order : str or array_like of int of shape (positions,) or (sites,)
        At each position its channels are drawn in turn, unless an array says otherwise.

        - ``"raster"``: positions in C order. ``"subpixel"`` is the same, with channels said out loud.
        - ``"column"``: the first axis of a grid fastest.
        - ``"snake"``: C order with every other row backwards, the S-curve.
        - ``"hilbert"``: the Hilbert curve, generalised to rectangles of any size.
        - ``"infer"``: the order that the model's own structure asks for, smallest site first.

        An array gives the position, or the site, drawn at each rank and must be a permutation.
    space : tuple of int
        The grid of positions, such as (H, W) or (T,).
    channels : int
        Channels C of a position. Site ``c * positions + p`` is channel c of position p (docs/format.md, "Sites").

    Returns
    -------
    numpy.ndarray of shape (sites,), int32, or None
        ``table[rank] = site``; None for ``"infer"``.

    Raises
    ------
    TypeError
        If `order` is neither a string nor an array of integers.
    ValueError
        If the name is unknown, the shape is wrong or the array is not a permutation.

    Notes
    -----
    The generalised Hilbert curve halves rectangles into two or three smaller ones as in J. Červený, *gilbert* (2018);
    consecutive positions are neighbours, but for one diagonal step where the larger side is odd and the smaller even.
    """
    positions = int(np.prod(space))
    sites = positions * channels
    if isinstance(order, str):
        if order == "infer":
            return None
        if order not in _POSITIONS:
            raise ValueError(f"unknown order {order!r}: give {', '.join(map(repr, NAMES))} or a permutation")
        return _with_channels(_POSITIONS[order](space), positions, channels)
    table = np.asarray(order)
    if table.dtype.kind not in "iu":
        raise TypeError(f"order must be a name or an array of integers, got dtype {table.dtype}")
    if table.shape not in ((sites,), (positions,)):
        shapes = f"({sites},)" if channels == 1 else f"({sites},), one site per rank, or ({positions},), one position"
        raise ValueError(f"order must have shape {shapes}, got {table.shape}")
    if not np.array_equal(np.sort(table), np.arange(len(table))):
        raise ValueError(f"order must be a permutation of 0 … {len(table) - 1}")
    return table.astype(np.int32) if len(table) == sites else _with_channels(table, positions, channels)


def _with_channels(table: np.ndarray, positions: int, channels: int) -> np.ndarray:
    return (table[:, None] + np.arange(channels) * positions).reshape(-1).astype(np.int32)
