from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from genfast.cli.paths import OUT

LARGE = 2**62


def parse_part(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    """i/k as two numbers."""
    i, slash, k = value.partition("/")
    if not (slash and i.isdecimal() and k.isdecimal() and 1 <= int(i) <= int(k)):
        raise click.BadParameter(f"{value!r}: write I/K, I from 1 to K")
    return int(i), int(k)


def parse_classes(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[int] | None:
    """Labels parted by commas."""
    if value is None:
        return None
    parts = value.split(",")
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"{value!r}: write labels parted by commas")
    return [int(part) for part in parts]


@click.command(name="generate")
@click.argument("model")
@click.option("--per-class", type=click.IntRange(1, LARGE), help="Rows of each class, of a model with a label.")
@click.option("-n", "--n", "number", type=click.IntRange(1, LARGE), help="Rows in all, of a model without a label.")
@click.option("-o", "--out", required=True, type=OUT, help="The folder; made where it is not.")
@click.option("--format", type=click.Choice(["npz", "images", "parquet"]), default="npz", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--classes", callback=parse_classes, help="Labels parted by commas; default all.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="NAME=VALUE", help="Numbers parted by commas, or @FILE.npy."
)
@click.option("--rows-per-file", type=click.IntRange(min=1), help="Default 10,000, or fewer of large samples.")
@click.option("--part", callback=parse_part, default="1/1", metavar="I/K", help="Of K processes, be the I-th.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Divides the logits.")
@click.option("--top-k", type=click.IntRange(min=1), help="Draw from the K most probable levels only.")
@click.option("--top-p", type=click.FloatRange(0, 1), help="Draw from the fewest levels that reach this probability.")
@click.option("--min-p", type=click.FloatRange(0, 1), help="Draw from levels of at least this share of the largest.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: GENFAST_NUM_THREADS, else every core.")
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def command(
    model: str,
    per_class: int | None,
    number: int | None,
    out: Path,
    format: str,
    seed: int,
    classes: list[int] | None,
    conditions: tuple[str, ...],
    rows_per_file: int | None,
    part: tuple[int, int],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    threads: int | None,
    quiet: bool,
) -> None:
    """Write a data set of samples of MODEL, a bundled name or a .genfast file, to the folder OUT.

    Classes come in turn: row i is row i of `genfast sample MODEL`. Files appear complete or not at all, so that after a
    kill or on a full disk the same command goes on; the bytes are the same however often it was cut off, and with
    whatever --part.

    \b
    Examples:
      genfast generate digits --per-class 1000 -o data/
      genfast generate digits --per-class 1000 --classes 3,8 --format images -o pictures/
      genfast generate digits --per-class 1000000 --format parquet --part 1/4 -o data/
      genfast generate model.genfast -n 50000 --seed 1 -o data/
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import genfast as gf
    from genfast.cli.conditions import parse, read

    loaded = gf.load(model)
    kinds = {condition["name"]: condition for condition in loaded.conditions}
    tables: dict[str, Any] = {}
    for name, text in parse(conditions, None).items():
        if name not in kinds:
            raise ValueError(f"the model has no condition {name!r}; it has: {', '.join(kinds) or 'none'}")
        tables[name] = read(name, text, kinds[name]["dtype"])
    if threads is not None:
        gf.set_num_threads(threads)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    columns = (TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
    start = time.perf_counter()
    with bar as progress:
        task = progress.add_task("generating", total=None)
        made = gf.generate(
            loaded,
            out,
            per_class=per_class,
            n=number,
            classes=classes,
            condition=tables or None,
            seed=seed,
            format=format,
            rows_per_file=rows_per_file,
            part=part,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            progress=lambda done, total: progress.update(task, completed=int(done), total=total),
        )
    seconds = time.perf_counter() - start
    if not quiet:
        kept = f", {made['kept']:,} were there" if made["kept"] else ""
        speed = f"{made['rows'] / seconds:,.0f} rows/s"
        console.print(f"{made['rows']:,} rows in {made['files']:,} files{kept}; {seconds:.1f} s, {speed} → {out}")
