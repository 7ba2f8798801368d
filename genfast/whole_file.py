"""Files that appear complete or not at all: written beside their place and renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write, which takes the place of `path` at the end and leaves nothing where anything fails.

    What is there and no regular file (a pipe, /dev/stdout) is written as it is.

    Raises
    ------
    OSError
        If it cannot be written, naming `path`.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():
            with open(target, "wb") as file:
                yield file
            return
        beside = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
        try:
            # Not tempfile: its files are private, while this one should follow the umask.
            with open(beside, "xb") as file:
                yield file
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise type(error)(error.errno or errno.EIO, error.strerror or str(error), os.fspath(path)) from None
