from __future__ import annotations

from typing import Any

import click

WIDTH = 200  # of a table that goes into a file or a pipe


def described(model: Any) -> dict[str, Any]:
    """What is worth knowing of a model, as JSON; what its file does not tell is None."""
    told = {name: model.meta.get(name) for name in ("kind", "data", "figures", "parameters", "seed", "command")}
    shapes = {"input_shape": model.input_shape, "output_shape": model.output_shape, "levels": model.levels}
    return {"name": model.meta.get("name"), **told, **shapes, "conditions": model.conditions}


@click.command(name="models")
@click.option(
    "--json", "as_json", is_flag=True, help="All that their files tell: data, seed, the command that made one."
)
def command(as_json: bool) -> None:
    """List the bundled models, with what they make and how good they are.

    \b
    Examples:
      genfast models
      genfast models --json
      genfast sample digits
    """
    import json
    import sys

    from rich.console import Console
    from rich.table import Column, Table

    import genfast as gf

    rows = {name: described(gf.load(name)) for name in gf.models()}
    if as_json:
        click.echo(json.dumps([{**row, "name": name} for name, row in rows.items()], indent=1))
        return
    table = Table(Column("name", no_wrap=True), "kind", "shape", "conditions", "parameters", "figures")
    for name, row in rows.items():
        shapes = [" × ".join(map(str, shape)) for shape in (row["input_shape"], row["output_shape"]) if shape]
        conditions = [
            f"{c['name']}: {c['dtype']}" + (f" below {c['size']}" if c["dtype"] == "int" else f" {list(c['shape'])}")
            for c in row["conditions"]
        ]
        figures = [f"{figure:.4g} {unit}" for unit, figure in (row["figures"] or {}).items()]
        table.add_row(
            name,
            row["kind"] or "",
            " → ".join(shapes) + (f", {row['levels']} levels" if row["levels"] else ""),
            ", ".join(conditions) or "none",
            f"{row['parameters']:,}" if row["parameters"] else "",
            ", ".join(figures),
        )
    # Cells that are cut off cannot be searched for.
    width = None if sys.stdout.isatty() else WIDTH
    Console(markup=False, emoji=False, width=width).print(table)
