from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from genfast.cli.paths import OUT

ROWS = 2**63 - 1
MEMORY = 2**47  # bytes that no process can have


@contextmanager
def enough_memory(number: int) -> Iterator[None]:
    """An error for want of memory names -n."""
    try:
        yield
    except MemoryError:
        raise ValueError(f"-n {number}: not enough memory; sample in parts with --first-row") from None


def stream(
    model: Any, prompt: list[int] | None, vocabulary: list[str] | None, stop: list[int], settings: dict[str, Any]
) -> tuple[int, float]:
    """Print one sample as it is drawn. Returns the new tokens and the seconds they took."""
    from genfast.cli.tokens import write_tokens

    start, count, parting = time.perf_counter(), 0, "" if vocabulary else ","
    shown = list(prompt) if prompt else []
    click.echo(write_tokens(shown, vocabulary), nl=False)
    for column in model.stream(1, **settings):
        token = int(column[0])
        if token in stop:
            break
        click.echo((parting if count or shown else "") + write_tokens([token], vocabulary), nl=False)
        count += 1
    click.echo()
    return count, time.perf_counter() - start


@click.command(name="sample")
@click.argument("model")
@click.option("-n", "--number", type=click.IntRange(0, ROWS), help="How many samples; default 64 images or 1 text.")
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="The same seed, the same bits."
)
@click.option("--label", help="Class label, or several parted by commas, repeated over the samples.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="NAME=VALUE", help="Numbers parted by commas, or @FILE.npy."
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Divides the logits.")
@click.option("--top-k", type=click.IntRange(min=1), help="Draw from the K most probable levels only.")
@click.option("--top-p", type=click.FloatRange(0, 1), help="Draw from the fewest levels that reach this probability.")
@click.option("--min-p", type=click.FloatRange(0, 1), help="Draw from levels of at least this share of the largest.")
@click.option("--guidance", type=float, default=1.0, show_default=True, help="Classifier-free guidance; 1 is off.")
@click.option(
    "--unconditional",
    multiple=True,
    metavar="NAME=VALUE",
    help="With --guidance: what a condition is where there is none.",
)
@click.option("--prompt", help="Begin with this text, or with tokens parted by commas.")
@click.option("--max-tokens", type=click.IntRange(0, ROWS), help="At most so many tokens after the prompt.")
@click.option("--stop", help="End with the first of these tokens, given like a prompt.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: GENFAST_NUM_THREADS, else every core.")
@click.option(
    "--first-row", type=click.IntRange(0, ROWS), default=0, show_default=True, help="Row id of the first sample."
)
@click.option(
    "-o",
    "--out",
    type=OUT,
    help="PNG, .npz or folder; default samples.png. Tokens go to stdout, or to an .npz file.",
)
@click.option("--columns", type=click.IntRange(min=1), help="Columns of the PNG grid.")
@click.option("--scale", type=click.IntRange(1, 64), help="Size of a pixel in the PNG.")
@click.option("--quiet", is_flag=True, help="No progress bar and no summary.")
def command(
    model: str,
    number: int | None,
    seed: int,
    label: str | None,
    conditions: tuple[str, ...],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    min_p: float | None,
    guidance: float,
    unconditional: tuple[str, ...],
    prompt: str | None,
    max_tokens: int | None,
    stop: str | None,
    threads: int | None,
    first_row: int,
    out: Path | None,
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
      genfast sample digits-gan -n 64 --condition label=3 -o threes.png
      genfast sample model.genfast -n 1000 -o folder/
      genfast sample model.genfast -n 100000 --threads 2 -o samples.npz
      genfast sample text.genfast --prompt "Alice" --max-tokens 200 --top-p 0.95
    """
    import numpy as np
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import genfast as gf
    from genfast.cli import images, tokens
    from genfast.cli.conditions import parse, rows

    given = parse(conditions, label)
    without = parse(unconditional, None)
    loaded = gf.load(model)
    loaded._expect_distribution("sample")
    text = loaded.is_tokens
    if number is None:
        number = 1 if text else 64
    kind = None
    if out is not None or not text:
        out = out or Path("samples.png")
        kind = images.kind_of(out)
        if kind != "folder" and not out.parent.is_dir():
            raise FileNotFoundError(f"{out.parent}: no such folder")
        if kind == "png" and not number:
            raise click.UsageError("-n 0: a picture needs at least one sample; write an .npz file instead")
    if text and kind not in (None, "npz"):
        raise click.UsageError(f"-o {out}: tokens are no picture; write an .npz file, or leave -o out")
    shape = loaded.output_shape or loaded.input_shape
    if not text and kind != "npz":
        images.to_bytes(*images.shown(loaded, np.empty((0, *shape), np.uint8)))  # its error before the sampling
    if threads is not None:
        gf.set_num_threads(threads)
    with enough_memory(number):
        if first_row + number < 2**63 and number * max(int(np.prod(shape)), loaded.sites, 8) >= MEMORY:
            raise MemoryError
        condition = rows(loaded.conditions, given, first_row, number)
        wanted = [c for c in loaded.conditions if c["name"] in without]
        if len(wanted) < len(without):
            rows(loaded.conditions, without, first_row, number)  # its error
        nothing = rows(wanted, without, first_row, number)
    vocabulary = tokens.vocabulary_of(loaded.meta) if text else None
    ending = tokens.read_prompt(stop, vocabulary, "--stop") if stop is not None else None
    begin = tokens.read_prompt(prompt, vocabulary) if prompt is not None else None
    settings: dict[str, Any] = {
        "condition": condition or None,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "guidance": guidance,
        "unconditional": nothing or None,
        "prompt": begin,
        "max_tokens": max_tokens,
        "stop": ending,
    }
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    if text and kind is None and number == 1:
        count, seconds = stream(
            loaded, begin, vocabulary, ending or [], {**settings, "rng": seed, "first_row": first_row}
        )
        if not quiet:
            console.print(
                f"{count} tokens in {seconds:.3f} s, {count / max(seconds, 1e-9):,.0f} a second ({gf.cpu_target()})"
            )
        return
    columns_shown = (TextColumn("sampling"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns_shown, console=console, transient=True, disable=quiet or not console.is_terminal)
    with enough_memory(number), bar as progress:
        task = progress.add_task("sampling", total=number)
        start = time.perf_counter()
        samples = loaded.sample(
            number,
            rng=seed,
            first_row=first_row,
            progress=False if quiet else lambda done, total: progress.update(task, completed=number * done / total),
            **settings,
        )
        seconds = time.perf_counter() - start
    if text and kind is None:
        first = 0 if begin or loaded.bos is None else 1  # the token that nothing drew
        for sample in samples:
            end = tokens.ends(sample, max(len(begin or []), first), ending or [])
            click.echo(tokens.write_tokens(sample[first:end], vocabulary) + ("\n---" if vocabulary else ""))
    else:
        used = {f"condition_{name}": value for name, value in condition.items()}
        extra = {"seed": seed, "temperature": temperature, **used}
        assert out is not None
        levels = 0 if loaded.output_shape or not loaded.levels else loaded.levels
        if kind != "npz":
            samples, levels = images.shown(loaded, samples)
        images.save(out, samples, levels, first_row, columns, scale, extra)
    if not quiet:
        things = "samples" if text or not levels else "images"
        speed = f"{number / seconds:,.0f} {things}/s" if seconds > 0 else "no time"
        console.print(
            f"{number} {things} in {seconds:.3f} s, {speed} ({gf.cpu_target()})" + (f" → {out}" if kind else "")
        )
