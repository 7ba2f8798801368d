from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command(name="train")
@click.argument("recipe", type=click.Choice(["digits", "alice"]))
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--data", type=click.Choice(["digits", "mnist", "folder"]), help="Images to learn; default digits.")
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
    data: str | None,
    size: int,
    levels: int | None,
    epochs: int | None,
    seed: int,
    threads: int,
    out: Path | None,
    fresh: bool,
) -> None:
    """Train RECIPE's model, compile it, and write OUT with samples (.png or .txt), figures (.json) and a checkpoint
    (.pt) beside.

    digits: a Gated PixelCNN of small images. alice: a character-level GPT of "Alice in Wonderland", or of the text file
    PATH.

    Needs torch. Ctrl-C stops; the same command goes on from the last epoch.

    \b
    Examples:
      genfast train digits
      genfast train digits --epochs 20 --seed 1 --out mine.genfast
      genfast train digits --data mnist --levels 16
      genfast train digits --data folder pictures/ --size 32
      genfast train alice
      genfast train alice novel.txt --out novel.genfast
    """
    import dataclasses
    from importlib.metadata import version

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from genfast.cli.train_subjects import Characters, Images
    from genfast.zoo.train import RECIPES, Progress, read_checkpoint, train

    if recipe == "alice" and (data is not None or levels is not None):
        raise click.UsageError("--data and --levels are for images; alice takes a text file as PATH")
    default = (path.stem if path else recipe) if recipe == "alice" else data or "digits"
    out = out or Path(f"{default}.genfast")
    if out.suffix != ".genfast":
        raise click.UsageError(f"--out {out}: the name ends in .genfast")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    settings = dataclasses.replace(RECIPES[recipe], seed=seed, **({"epochs": epochs} if epochs else {}))
    subject = Characters.of(path) if recipe == "alice" else Images.of(data or "digits", path, size, levels)
    baseline = subject.baseline()
    checkpoint = out.with_suffix(".pt")
    if fresh:
        checkpoint.unlink(missing_ok=True)
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    for line in subject.describe():
        console.print(line)
    console.print(f"{subject.baseline_name}: {baseline:.4f} {subject.unit} on the test part")
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
                console.print(f"epoch {progress.epoch:4d}  {parts}  {subject.unit}")

        try:
            trained = train(subject.dataset, settings, checkpoint, report, threads)
        except KeyboardInterrupt:
            if checkpoint.exists():
                console.print(f"the finished epochs are in {checkpoint}; the same command goes on")
            raise
    subject.export(trained, out)
    metrics: dict[str, Any] = {
        **subject.metrics(trained.bits, baseline),
        "epoch": trained.epoch,
        "parameters": trained.parameters,
        "recipe": dataclasses.asdict(settings),
        "torch": version("torch"),
        "threads": threads,
        "file_bytes": out.stat().st_size,
        "history": trained.history,
    }
    out.with_suffix(".json").write_text(json.dumps(metrics, indent=1) + "\n")
    parts = ", ".join(f"{name} {bits:.4f}" for name, bits in trained.bits.items())
    console.print(
        f"best by validation, epoch {trained.epoch}: {parts} {subject.unit}; {subject.baseline_name} {baseline:.4f}"
    )
    written = ", ".join(str(out.with_suffix(suffix)) for suffix in (subject.shown, ".json"))
    console.print(f"wrote {out} ({metrics['file_bytes']:,} bytes), {written}")
