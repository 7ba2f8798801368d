"""Where in the user's code an op was called: source lines by walking the stack, module paths by forward hooks."""

from __future__ import annotations

import ast
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
TRACE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace.py")
HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
# Files of torch that only pass a call on: a read of a value that comes through them was asked for by their caller.
PASSING_ON = tuple(
    TORCH + name
    for name in (
        "utils/_python_dispatch.py",
        "utils/_device.py",
        "_ops.py",
        "overrides.py",
        "_tensor.py",
        "_compile.py",
        "_dynamo/",
    )
)


def _frames() -> Iterator[FrameType]:
    """The frames of the model's own call, innermost first: those below the exporter that called it are not its code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name == TRACE and frame.f_code.co_name == "trace":
            return
        if not name.startswith((HERE, "<frozen")):
            yield frame
        frame = frame.f_back


def source_line() -> str:
    """`file.py:41` of the innermost frame of the user's code, empty where torch's own modules call each other."""
    for frame in _frames():
        name = frame.f_code.co_filename
        if not name.startswith(TORCH):
            return f"{_short(name, frame.f_globals.get('__name__'))}:{frame.f_lineno}"
    return ""


def _short(name: str, module: object) -> str:
    """A file's path as its module is imported, or below the working directory, else its name alone.

    Files of models hold it, and nobody's folders should go out with them.
    """
    if isinstance(module, str):
        path = module.replace(".", os.sep)
        for end in (f"{path}.py", os.path.join(path, "__init__.py")):
            if name.endswith(os.sep + end):
                return end
    relative = os.path.relpath(name)
    return os.path.basename(name) if relative.startswith("..") else relative


def is_check() -> bool:
    """Whether the innermost Python code is a check.

    That is code in torch itself, an `assert`, an `if` that only raises, or a function named `warn…`.
    """
    for frame in _frames():
        name = frame.f_code.co_filename
        if name.startswith(PASSING_ON):
            continue
        warns = frame.f_code.co_name.lstrip("_").startswith("warn")
        return warns or name.startswith(TORCH) or frame.f_lineno in _check_lines(name)
    return False


@functools.lru_cache(maxsize=64)
def _check_lines(name: str) -> frozenset[int]:
    try:
        with open(name, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return frozenset()
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        elif isinstance(node, ast.If) and not node.orelse and all(isinstance(s, ast.Raise) for s in node.body):
            lines.update(range(node.lineno, (node.body[-1].end_lineno or node.lineno) + 1))
    return frozenset(lines)


class ModuleStack:
    """The path of the module whose forward is running."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def path(self) -> str:
        return self.paths[-1] if self.paths else ""

    @contextmanager
    def watching(self, model: torch.nn.Module) -> Iterator[ModuleStack]:
        """Follow the forwards of the model's modules; the hooks are gone on exit."""
        handles = []

        def enter(path: str) -> None:
            self.paths.append(path)

        def leave() -> None:
            self.paths.pop()

        try:
            for path, module in model.named_modules():
                if isinstance(module, torch.jit.ScriptModule):
                    continue
                handles.append(module.register_forward_pre_hook(lambda m, a, path=path: enter(path), prepend=True))
                handles.append(module.register_forward_hook(lambda m, a, o: leave(), always_call=True))
            yield self
        finally:
            for handle in handles:
                handle.remove()
            self.paths.clear()
