"""Fields of a recipe from the command line: `--set channels=32`."""

from __future__ import annotations

import dataclasses
from typing import Any

import click


def changed(recipe: Any, texts: tuple[str, ...]) -> dict[str, Any]:
    """The fields that FIELD=VALUE texts name, each as the type of the recipe's default.

    Raises click.UsageError for a text of another form, a field that the recipe does not have, or a value that is none
    of its type.
    """
    fields = {field.name: getattr(recipe, field.name) for field in dataclasses.fields(recipe)}
    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in fields:
            raise click.UsageError(f"--set {text}: write FIELD=VALUE; the recipe's fields are {', '.join(fields)}")
        default = fields[name]
        try:
            if isinstance(default, tuple):
                parts = value.split(",")
                given[name] = tuple(type(old)(part) for old, part in zip(default, parts, strict=True))
            else:
                given[name] = type(default)(value)
        except ValueError:
            raise click.UsageError(f"--set {text}: {value!r} is none like {default!r}") from None
    return given
