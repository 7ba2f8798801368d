"""The bar that `progress=True` draws."""

from __future__ import annotations

import sys
import time
from typing import Any

__all__ = ["Bar", "reporter"]


class Bar:
    """A one-line bar on stderr: ``bar(done, total)`` redraws it, ``close()`` ends the line."""

    WIDTH = 40

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._drawn = False

    def __call__(self, done: int, total: int) -> None:
        part = done / total if total else 1.0
        filled = round(part * self.WIDTH)
        seconds = time.monotonic() - self._start
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (self.WIDTH - filled)}] {part:4.0%} {seconds:.1f} s")
        sys.stderr.flush()
        self._drawn = True

    def close(self) -> None:
        if self._drawn:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._drawn = False


def reporter(progress: Any) -> Any:
    """What `progress=` stands for: a new bar for True, None for False or None, else the callable (done, total) itself.

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if progress is True:
        return Bar()
    if progress is None or progress is False:
        return None
    if not callable(progress):
        raise TypeError(f"progress must be a bool or a callable (done, total), got {type(progress).__name__}")
    return progress
