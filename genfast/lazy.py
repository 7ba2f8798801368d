"""Public names whose modules are imported when they are first used, so that `import genfast` stays quick."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["exports"]


def exports(
    namespace: dict[str, Any], homes: dict[str, tuple[str, ...]], modules: tuple[str, ...] = ()
) -> Callable[[str], Any]:
    """A package's `__getattr__`: fetches the names that `homes` lists by the modules they live in, and the package's
    own `modules`, once each.

    No name in `homes` may be that of a submodule: importing one binds its name in the package.
    """
    home = {name: module for module, names in homes.items() for name in names}

    def fetch(name: str) -> Any:
        if name in modules:
            return import_module(f"{namespace['__name__']}.{name}")  # which binds it
        if name not in home:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
        namespace[name] = getattr(import_module(home[name]), name)
        return namespace[name]

    return fetch
