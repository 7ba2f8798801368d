"""Public names whose modules are imported when they are first used, so that `import genfast` stays quick."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["exports"]


def exports(namespace: dict[str, Any], homes: dict[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """A module's `__getattr__` that fetches the names `homes` lists by the modules they live in, once each."""
    home = {name: module for module, names in homes.items() for name in names}

    def fetch(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        namespace[name] = getattr(import_module(home[name]), name)
        return namespace[name]

    return fetch
