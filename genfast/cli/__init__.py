"""The `genfast` command: one file a command, imported when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script. Exits 0, 1 (failed), 2 (wrong usage) or 130 (Ctrl-C); never with a
    traceback."""
    try:
        try:
            from genfast.cli.app import app
        except ModuleNotFoundError as error:
            if error.name not in ("click", "rich"):
                raise
            sys.exit(f"genfast: the command line needs {error.name}: pip install 'genfast[cli]'")
        app(prog_name="genfast")
    except KeyboardInterrupt:
        sys.stderr.write("genfast: interrupted\n")
        sys.exit(130)
