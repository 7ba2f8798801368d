"""Conditions from the command line: `label=3`, `label=0,1,2`, `style=0.5,-1,2`, `style=@rows.npy`."""

from __future__ import annotations

from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


def parse(texts: tuple[str, ...], label: str | None) -> dict[str, str]:
    """NAME=VALUE texts, and --label as one more, by name. Raises ValueError for a text without a name or a name
    twice."""
    given: dict[str, str] = {}
    if label == "":
        raise ValueError("--label is empty: write a number, or several parted by commas")
    for text in (*texts, *([] if label is None else [f"label={label}"])):
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"--condition {text!r}: write NAME=VALUE")
        if name in given:
            raise ValueError(f"condition {name!r} is given twice")
        given[name] = value
    return given


def read(name: str, text: str, dtype: str) -> NDArray[Any]:
    """The numbers of one VALUE. Raises ValueError when they are none, OSError when a file cannot be read."""
    if text.startswith("@"):
        try:
            table = np.load(text[1:], allow_pickle=False)
        except (ValueError, EOFError, BadZipFile):
            table = None
        if not isinstance(table, np.ndarray) or table.dtype.kind not in "biuf" or not table.ndim:
            raise ValueError(f"condition {name!r}: {text[1:]}: not an .npy file of numbers, one row a sample")
        return table
    try:
        table = np.array([int(part) if dtype == "int" else float(part) for part in text.split(",")])
    except ValueError:
        raise ValueError(f"condition {name!r}: {text!r} is not {dtype}s parted by commas, nor @FILE.npy") from None
    if table.dtype.kind not in "iuf":
        raise ValueError(f"condition {name!r}: {text!r} is out of range")
    return table


def rows(wanted: list[dict[str, Any]], given: dict[str, str], first_row: int, n: int) -> dict[str, NDArray[Any]]:
    """Arrays of n rows for each condition of a model (`Model.conditions`), as row ids first_row … first_row + n − 1.

    Values of a scalar condition, and rows of a file, repeat from row id 0 on, so that `--first-row` continues the same
    table. A scalar int condition that is not given counts through its values. Raises ValueError for unknown names,
    missing conditions, wrong shapes and row ids from 2**63 on.
    """
    if first_row + n >= 1 << 63:
        raise ValueError(f"--first-row {first_row} and -n {n}: their sum must be below 2**63")
    known = {condition["name"]: condition for condition in wanted}
    for name in given:
        if name not in known:
            raise ValueError(f"the model has no condition {name!r}; it has: {', '.join(known) or 'none'}")
    ids = np.arange(first_row, first_row + n)
    out = {}
    for name, condition in known.items():
        shape, dtype = tuple(condition["shape"]), condition["dtype"]
        if name in given:
            table = read(name, given[name], dtype)
            if not given[name].startswith("@") and shape:
                table = table[None] if shape == table.shape else table
        elif dtype == "int" and not shape:
            table = np.arange(condition["size"])
        else:
            raise ValueError(f"the model needs the condition {name!r} of shape {shape}: --condition {name}=…")
        if table.shape[1:] != shape or not len(table):
            raise ValueError(f"condition {name!r}: rows of shape {shape} are needed, got an array of {table.shape}")
        out[name] = table[ids % len(table)]
    return out
