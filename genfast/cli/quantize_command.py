from __future__ import annotations

from pathlib import Path

import click

from genfast.cli.paths import OUT


@click.command(name="quantize")
@click.argument("model")
@click.option("-o", "--out", type=OUT, required=True, help="The .genfast file to write.")
@click.option("--dtype", type=click.Choice(["bf16", "int8"]), default="int8", show_default=True)
@click.option("--check", type=click.Path(exists=True, dir_okay=False), help=".npy of samples to measure the loss on.")
@click.option("--quiet", is_flag=True, help="No summary.")
def command(model: str, out: Path, dtype: str, check: str | None, quiet: bool) -> None:
    """Round the weights of MODEL, a bundled name or a .genfast file, to bf16 or int8.

    \b
    Examples:
      genfast quantize gpt.genfast -o gpt-int8.genfast
      genfast quantize digits -o small.genfast --dtype bf16 --check x.npy
    """
    import numpy as np

    import genfast as gf

    original = gf.load(model)
    made = original.quantize(dtype, check=None if check is None else np.load(check, allow_pickle=False))
    made.save(out)
    if quiet:
        return
    before, after = (len(m._core.file_bytes()) for m in (original, made))
    line = f"{out}: {after / 2**20:.2f} MiB, was {before / 2**20:.2f} MiB"
    if check is not None:
        record = made.meta["quantized"]
        line += f"; {record['bits_per_dim']:+.4f} bits/dim on {record['samples']} samples"
    click.echo(line)
