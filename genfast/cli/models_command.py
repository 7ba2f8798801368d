from __future__ import annotations

import click


@click.command(name="models")
def command() -> None:
    """List the bundled models.

    \b
    Examples:
      genfast models
      genfast sample digits
    """
    from rich.console import Console
    from rich.table import Table

    import genfast as gf

    table = Table("name", "shape", "levels", "conditions")
    for name in gf.models():
        model = gf.load(name)
        conditions = [
            f"{c['name']}: {c['dtype']}" + (f" below {c['size']}" if c["dtype"] == "int" else f" {list(c['shape'])}")
            for c in model.conditions
        ]
        shape = " × ".join(str(size) for size in model.input_shape)
        table.add_row(name, shape, str(model.levels), ", ".join(conditions) or "none")
    Console(markup=False, emoji=False).print(table)
