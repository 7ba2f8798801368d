"""Sites: how the input's elements are positions × channels, and where in an output the numbers of each site lie.

An output's axes are named N (the numbers of one site: levels, parameters), C (the input's channels) and P (positions,
as their grid or flattened). A reading is a string of them, outermost first; axes of size 1 do not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

import torch

from .probe import SAME_VALUES
from .record import Recording, Ref
from .view import View

Array = TypeVar("Array", View, torch.Tensor)


@dataclass(frozen=True)
class Sites:
    """`channels` of every position of the grid `space`; site ``c * positions + p`` is channel c of position p."""

    channels: int
    space: tuple[int, ...]

    @property
    def positions(self) -> int:
        return prod(self.space)

    @property
    def count(self) -> int:
        return self.channels * self.positions

    def flat(self) -> Sites:
        """The positions alone, for heads that draw all channels of a position at once."""
        return Sites(1, self.space)


def of_input(shape: Sequence[int], channelled: bool) -> Sites:
    """The sites of a row of input.

    (T,) and (H, W) have no channel axis, (C, H, W) and longer ones begin with it; (C, L) is told from (H, W) by
    `channelled`.
    """
    shape = tuple(shape)
    if not shape or 0 in shape:
        raise ValueError(f"a row of the example must have sites, got shape {shape}")
    if len(shape) == 1 or (len(shape) == 2 and shape[0] != 1 and not channelled):
        return Sites(1, shape)
    return Sites(shape[0], shape[1:])


def reads_channels(recording: Recording) -> bool:
    """Whether a 1-d convolution reads the input's first axis as channels."""
    first = recording.inputs[0]
    same, channels = {first}, recording.metas[first].shape[1]
    for op in recording.ops:
        x = op.args[0] if op.args else None
        if not isinstance(x, Ref) or x.id not in same:
            continue
        if op.name in ("convolution", "_convolution"):
            return len(recording.metas[x.id].shape) == 3
        if op.name in SAME_VALUES or op.name in ("constant_pad_nd", "add", "sub", "mul", "div"):
            shapes = [(out, recording.metas[out].shape) for out in op.outs if out is not None]
            same.update(out for out, shape in shapes if len(shape) == 3 and shape[1] == channels)
    return False


def _forms(reading: str, sizes: dict[str, int], space: tuple[int, ...], merged: bool) -> Iterator[tuple[int, ...]]:
    """The shapes, without axes of size 1, that a reading may have; `merged`: any two neighbouring axes may be one."""
    splits = [list(reading)]
    for i in range(len(reading) - 1):
        if merged or set(reading[i : i + 2]) == {"C", "P"}:
            splits.append([*reading[:i], reading[i : i + 2], *reading[i + 2 :]])
    for axes in splits:
        flat = [(prod(sizes[a] for a in axis),) for axis in axes]
        for form in (flat, [space if axis == "P" else size for axis, size in zip(axes, flat, strict=True)]):
            yield tuple(n for axis in form for n in axis if n != 1)


def gather(output: Array, sites: Sites, numbers: int, tokens: bool, layout: str | None, what: str) -> Array:
    """The matrix (sites, numbers) of each site's numbers.

    Parameters
    ----------
    output : View or torch.Tensor
        Of shape (1, …).
    sites : Sites
    numbers : int
        N, how many numbers a site has.
    tokens : bool
        Whether the last axis is preferred to axis 1 where both fit.
    layout : "channel_major", "interleaved" or None
        Whether on an axis that holds C · N numbers those of one channel lie together, or the C values of one number;
        without channels, on an axis that holds all P · N numbers those of one position, or the P values of one number.
    what : str
        The head, for messages.

    Raises
    ------
    ValueError
        If the shape fits no reading, or two that only `layout` tells apart.
    """
    shape = tuple(n for n in output.shape[1:] if n != 1)
    sizes = {"N": numbers, "C": sites.channels, "P": sites.positions}
    if sites.channels == 1 and shape == (numbers * sites.positions,) and 1 not in (numbers, sites.positions):
        if layout is None:
            raise ValueError(
                f"an output of shape {('B', *output.shape[1:])} can hold the {numbers} numbers of {sites.positions} "
                "sites in two ways: give the head layout='channel_major' (the numbers of one site lie together) or "
                f"'interleaved', or let the model return {_wanted(sites, numbers)}"
            )
        m = output.reshape(sites.positions, numbers) if layout == "channel_major" else output.reshape(numbers, -1)
        return m if layout == "channel_major" else m.permute(1, 0)
    for readings, merged in [*(PLAIN[::-1] if tokens else PLAIN), *MERGED]:
        told = dict.fromkeys("".join(a for a in r if a == "P" or sizes[a] > 1) for r in readings)
        fitting = [r for r in told if shape in _forms(r, sizes, sites.space, merged)]
        if len({r.find("C") < r.find("N") for r in fitting}) > 1:
            if layout is None:
                raise ValueError(
                    f"an output of shape {('B', *output.shape[1:])} can hold the {numbers} numbers of {sites.channels} "
                    "channels in two ways: give the head layout='channel_major' (the numbers of one channel lie "
                    "together) or 'interleaved'"
                )
            fitting = [r for r in fitting if (r.find("C") < r.find("N")) == (layout == "channel_major")]
        if fitting:
            reading = _padded(fitting[0])
            m = output.reshape(*(sizes[axis] for axis in reading))
            return m.permute(*(reading.index(axis) for axis in "CPN")).reshape(-1, numbers)
    raise ValueError(f"{what} needs an output of shape {_wanted(sites, numbers)}, got {('B', *output.shape[1:])}")


PLAIN = ((("NCP", "CNP"), False), (("CPN", "PCN"), False))
MERGED = ((("NCP", "CNP"), True), (("PCN", "PNC"), True))


def _padded(reading: str) -> str:
    """The reading with the axes that it leaves out, of size 1, in front."""
    return "".join(a for a in "NCP" if a not in reading) + reading


def _wanted(sites: Sites, numbers: int) -> str:
    if numbers == 1:
        return str(("B", sites.channels, *sites.space))
    channels = (sites.channels,) if sites.channels > 1 else ()
    return f"{('B', numbers, *channels, *sites.space)} or {('B', *channels, *sites.space, numbers)}"
