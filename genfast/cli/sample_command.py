from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

ROWS = 2**63 - 1
MEMORY = 2**47  # bytes that no process can have


@contextmanager
def enough_memory(number: int) -> Iterator[None]:
    """An error for want of memory names -n."""
    try:
        yield
    except MemoryError:
        raise ValueError(f"-n {number}: not enough memory; sample in parts with --first-row") from None


@click.command(name="sample")
@click.argument("model")
@click.option("-n", "--number", type=click.IntRange(0, ROWS), default=64, show_default=True, help="How many samples.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="The same seed, the same bits."
)
@click.option("--label", help="Class label, or several parted by commas, repeated over the samples.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="NAME=VALUE", help="Numbers parted by commas, or @FILE.npy."
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Divides the logits.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: GENFAST_NUM_THREADS, else every core.")
@click.option(
    "--first-row", type=click.IntRange(0, ROWS), default=0, show_default=True, help="Row id of the first sample."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default="samples.png",
    show_default=True,
    help="PNG, .npz or folder.",
)
@click.option("--columns", type=click.IntRange(min=1), help="Columns of the PNG grid.")
@click.option("--scale", type=click.IntRange(1, 64), help="Size of a pixel in the PNG.")
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def command(
    model: str,
    number: int,
    seed: int,
    label: str | None,
    conditions: tuple[str, ...],
    temperature: float,
    threads: int | None,
    first_row: int,
    out: Path,
    columns: int | None,
    scale: int | None,
    quiet: bool,
) -> None:
    """Sample from MODEL, a bundled name or a .genfast file.

    Row i of a seed is the same image whatever else is sampled with it. Without --label, samples count through the
    labels.

    \b
    Examples:
      genfast sample digits -n 64 --seed 0 -o digits.png
      genfast sample digits -n 10 --label 3 --temperature 0.9 -o threes.png
      genfast sample digits -n 8 --first-row 56 -o last-row.png
      genfast sample model.genfast -n 1000 -o folder/
      genfast sample model.genfast -n 100000 --threads 2 -o samples.npz
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import genfast as gf
    from genfast.cli import images
    from genfast.cli.conditions import parse, rows

    kind = images.kind_of(out)
    if kind != "folder" and not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    if kind == "png" and not number:
        raise click.UsageError("-n 0: a picture needs at least one sample; write an .npz file instead")
    given = parse(conditions, label)
    loaded = gf.load(model)
    if kind != "npz":
        images.to_bytes(np.empty((0, *loaded.input_shape), np.uint8), loaded.levels)  # its error before the sampling
    if threads is not None:
        gf.set_num_threads(threads)
    with enough_memory(number):
        if first_row + number < 2**63 and number * max(int(np.prod(loaded.input_shape)), 8) >= MEMORY:
            raise MemoryError
        condition = rows(loaded.conditions, given, first_row, number)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    columns_shown = (TextColumn("sampling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns_shown, console=console, transient=True, disable=quiet or not console.is_terminal)
    with enough_memory(number), bar as progress:
        task = progress.add_task("sampling", total=number)
        start = time.perf_counter()
        samples = loaded.sample(
            number,
            rng=seed,
            first_row=first_row,
            condition=condition or None,
            temperature=temperature,
            progress=False if quiet else lambda done, total: progress.update(task, completed=number * done / total),
        )
        seconds = time.perf_counter() - start
    used = {f"condition_{name}": value for name, value in condition.items()}
    extra = {"seed": seed, "temperature": temperature, **used}
    images.save(out, samples, loaded.levels, first_row, columns, scale, extra)
    if not quiet:
        speed = f"{number / seconds:,.0f} images/s" if seconds > 0 else "no time"
        console.print(f"{number} images in {seconds:.3f} s, {speed} ({gf.cpu_target()}) → {out}")
