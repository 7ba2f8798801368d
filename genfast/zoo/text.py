"""Text to learn from, as integer tokens, one a character, with a fixed split. Carried by the package."""

from __future__ import annotations

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TEXTS = Path(__file__).parent / "texts"
TEST_SHARE = 0.05


@dataclass(frozen=True)
class Text:
    """`train` and `test`: (T,) uint8 tokens, consecutive parts of one text. `vocabulary[token]` is the character."""

    name: str
    vocabulary: str
    train: NDArray[np.uint8]
    test: NDArray[np.uint8]


def of_string(name: str, text: str) -> Text:
    """One token a character, numbered in the order of code points; the last twentieth is the test part.

    Raises ValueError below 1000 characters or above 256 different ones.
    """
    vocabulary = "".join(sorted(set(text)))
    if len(text) < 1000:
        raise ValueError(f"{name}: {len(text)} characters are too few; at least 1000 are needed")
    if len(vocabulary) > 256:
        raise ValueError(f"{name}: {len(vocabulary)} different characters; at most 256 are supported")
    token = {character: i for i, character in enumerate(vocabulary)}
    tokens = np.array([token[character] for character in text], dtype=np.uint8)
    cut = len(tokens) - round(len(tokens) * TEST_SHARE)
    return Text(name, vocabulary, tokens[:cut], tokens[cut:])


def alice() -> Text:
    """Lewis Carroll, *Alice's Adventures in Wonderland*, 1865: 148 thousand characters, in the public domain."""
    return of_string("alice", lzma.decompress((TEXTS / "alice.txt.xz").read_bytes()).decode("ascii"))


def of_file(path: str | Path) -> Text:
    """A UTF-8 text file. Raises OSError when it cannot be read, ValueError when it is no UTF-8 or as `of_string`."""
    file = Path(path)
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not a UTF-8 text: {error}") from None
    return of_string(file.stem, text)
