from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from genfast.zoo.data import Dataset
    from genfast.zoo.train import Trained


def dataset_of(name: str, path: Path | None, size: int, levels: int | None) -> Dataset:
    """The data set of `--data`. Raises click.UsageError when the PATH and the data set do not go together."""
    from genfast.zoo import data

    if (name == "folder") != (path is not None):
        raise click.UsageError("write --data folder PATH; the other data sets take no PATH")
    if name == "digits":
        if levels not in (None, 17):
            raise click.UsageError("the digits have 17 levels")
        return data.digits()
    if name == "mnist":
        return data.mnist(levels or 256)
    assert path is not None
    return data.folder(path, size, levels or 256)


def export(trained: Trained, dataset: Dataset, out: Path) -> dict[str, Any]:
    """Compile and write the model, and a picture of its samples. Returns what the metrics say about the file."""
    import genfast as gf
    from genfast.cli import conditions, images
    from genfast.zoo.train import example

    gf.compile(trained.model, example(dataset), head=gf.heads.Categorical(dataset.levels), name=out.stem).save(out)
    model = gf.load(out)
    condition = conditions.rows(model.conditions, {}, 0, 100)
    samples = model.sample(100, rng=0, condition=condition or None)
    images.save(out.with_suffix(".png"), samples, dataset.levels, columns=10)
    return {"file_bytes": out.stat().st_size}


@click.command(name="train")
@click.argument("recipe", type=click.Choice(["digits"]))
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--data", type=click.Choice(["digits", "mnist", "folder"]), default="digits", show_default=True)
@click.option("--size", type=click.IntRange(1, 256), default=28, show_default=True, help="Side of a folder's images.")
@click.option("--levels", type=click.IntRange(2, 256), help="Grey levels; default 256 (digits: 17).")
@click.option("--epochs", type=click.IntRange(min=1), help="At most this many; default from the recipe.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Another count rounds differently."
)
@click.option("--out", type=click.Path(path_type=Path), help="The compiled model; default DATA.genfast.")
@click.option("--fresh", is_flag=True, help="Start anew although a checkpoint is there.")
def command(
    recipe: str,
    path: Path | None,
    data: str,
    size: int,
    levels: int | None,
    epochs: int | None,
    seed: int,
    threads: int,
    out: Path | None,
    fresh: bool,
) -> None:
    """Train RECIPE's model, compile it, and write OUT with a picture (.png), figures (.json) and a checkpoint (.pt)
    beside.

    Needs torch. Ctrl-C stops; the same command goes on from the last epoch.

    \b
    Examples:
      genfast train digits
      genfast train digits --epochs 20 --seed 1 --out mine.genfast
      genfast train digits --data mnist --levels 16
      genfast train digits --data folder pictures/ --size 32
    """
    import dataclasses
    from importlib.metadata import version

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from genfast.zoo.baseline import independent_pixels
    from genfast.zoo.train import RECIPES, Progress, read_checkpoint, train

    out = out or Path(f"{data}.genfast")
    if out.suffix != ".genfast":
        raise click.UsageError(f"--out {out}: the name ends in .genfast")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    settings = dataclasses.replace(RECIPES[recipe], seed=seed, **({"epochs": epochs} if epochs else {}))
    dataset = dataset_of(data, path, size, levels)
    baseline = independent_pixels(dataset.train, dataset.test, dataset.levels)
    checkpoint = out.with_suffix(".pt")
    if fresh:
        checkpoint.unlink(missing_ok=True)
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    shape = " × ".join(str(side) for side in dataset.train.shape[1:])
    console.print(f"{dataset.name}: {len(dataset.train)} training and {len(dataset.test)} test images of {shape}")
    console.print(f"independent pixels: {baseline:.4f} bits/dim on the test images")
    if checkpoint.exists():
        before = read_checkpoint(checkpoint)
        console.print(f"going on from {checkpoint}")
        planned, held = before["recipe"].get("epochs"), len(before["history"])
        if planned != settings.epochs:
            console.print(
                f"warning: {checkpoint} was made with --epochs {planned}, not {settings.epochs}, and holds {held}; "
                "--fresh starts anew"
            )

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=None, epoch=0)

        def report(progress: Progress) -> None:
            done = (progress.epoch - 1) * progress.batches + progress.batch
            if progress.bits is None:
                bar.update(task, epoch=progress.epoch, completed=done, total=progress.epochs * progress.batches)
            else:
                parts = "  ".join(f"{name} {bits:.4f}" for name, bits in progress.bits.items())
                console.print(f"epoch {progress.epoch:4d}  {parts}  bits/dim")

        try:
            trained = train(dataset, settings, checkpoint, report, threads)
        except KeyboardInterrupt:
            if checkpoint.exists():
                console.print(f"the finished epochs are in {checkpoint}; the same command goes on")
            raise
    metrics: dict[str, Any] = {
        "data": dataset.name,
        "levels": dataset.levels,
        "images": {"train": len(dataset.train), "test": len(dataset.test), "shape": list(dataset.train.shape[1:])},
        "bits_per_dim": trained.bits,
        "independent_pixels_bits_per_dim": baseline,
        "epoch": trained.epoch,
        "parameters": trained.parameters,
        "recipe": dataclasses.asdict(settings),
        "torch": version("torch"),
        "threads": threads,
        **export(trained, dataset, out),
        "history": trained.history,
    }
    out.with_suffix(".json").write_text(json.dumps(metrics, indent=1) + "\n")
    parts = ", ".join(f"{name} {bits:.4f}" for name, bits in trained.bits.items())
    console.print(f"best by validation, epoch {trained.epoch}: {parts} bits/dim; independent pixels {baseline:.4f}")
    console.print(
        f"wrote {out} ({metrics['file_bytes']:,} bytes), {out.with_suffix('.png')}, {out.with_suffix('.json')}"
    )
