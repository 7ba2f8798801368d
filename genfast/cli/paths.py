"""Where commands write: `-o` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["OUT"]


class Output(click.Path):
    """A path to write to: not an empty one, which a shell makes of an unset variable, nor "-"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("an empty path; name a file or a folder, '.' for this one", param, ctx)
        if value == "-":
            self.fail("'-': standard output is not supported; name a file or a folder", param, ctx)
        return super().convert(value, param, ctx)


OUT = Output(path_type=Path)
