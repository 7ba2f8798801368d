from __future__ import annotations

import click


@click.command(name="explain")
@click.argument("model")
def command(model: str) -> None:
    """Say how MODEL, a bundled name or a .genfast file, runs: nodes, steps, wavefronts, multiply-adds, memory.

    \b
    Examples:
      genfast explain digits
      genfast explain model.genfast | less
    """
    import genfast as gf

    click.echo(gf.load(model).explain())
