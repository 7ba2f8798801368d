"""Tokens and text: prompts from the command line, and samples of token models as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def vocabulary_of(meta: dict[str, Any]) -> list[str] | None:
    """The text of each token as the model's file says it, or None. Raises ValueError for one that is no text."""
    given = meta.get("vocabulary")
    if given is None:
        return None
    if not isinstance(given, str | list) or not all(isinstance(text, str) for text in given):
        raise ValueError("the model's vocabulary is neither a string nor a list of strings")
    return list(given)


def read_prompt(text: str, vocabulary: list[str] | None, name: str = "--prompt") -> list[int]:
    """The tokens of a prompt: of text, from its beginning the longest entry of the vocabulary each time; without a
    vocabulary, numbers parted by commas. Raises ValueError naming what is no token."""
    if vocabulary is None:
        try:
            return [int(part) for part in text.split(",")] if text.strip() else []
        except ValueError:
            raise ValueError(f"{name} {text!r}: this model has no vocabulary: write tokens parted by commas") from None
    known = {entry: token for token, entry in reversed(list(enumerate(vocabulary))) if entry}
    lengths = sorted({len(entry) for entry in known}, reverse=True)
    tokens, at = [], 0
    while at < len(text):
        size = next((size for size in lengths if text[at : at + size] in known), None)
        if size is None:
            raise ValueError(f"{name} {text!r}: {text[at]!r} is not in the model's vocabulary")
        tokens.append(known[text[at : at + size]])
        at += size
    return tokens


def write_tokens(tokens: NDArray[Any] | Sequence[int], vocabulary: list[str] | None) -> str:
    """One sample as text, or as numbers parted by commas. A token beyond the vocabulary is a U+FFFD, so that none goes
    missing unseen."""
    if vocabulary is None:
        return ",".join(str(int(token)) for token in tokens)
    return "".join(vocabulary[token] if token < len(vocabulary) else "\ufffd" for token in tokens)


def ends(row: NDArray[Any], begin: int, stop: list[int]) -> int:
    """How many tokens of a sample come before the first stop token from `begin` on."""
    hits = np.flatnonzero(np.isin(row[begin:], stop))
    return begin + int(hits[0]) if len(hits) else len(row)
