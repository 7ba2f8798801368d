from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from genfast.cli.paths import OUT
from genfast.cli.train_settings import changed
from genfast.whole_file import whole_file

# The registry itself is genfast.zoo.recipes, which needs torch; a test keeps them equal.
NAMES = (
    "independent",
    "pixelcnn",
    "gated",
    "imagegpt",
    "made",
    "autoencoder",
    "vae",
    "classifier",
    "gan",
    "wgan",
    "text",
)
SAMENESS = 0.05  # the diversity, beside that of real images, below which a generator has collapsed
# What the recipes of the first two bundled models are called too; their files bear the data's name alone.
FIRST = {"digits": "gated", "alice": "text"}


def doubts(figures: dict[str, float], unit: str, subject: Any, baseline: float) -> list[str]:
    """What a training came to that went on to its end and taught nothing."""
    out = []
    if unit == subject.baseline_unit and figures["test"] > baseline:
        out.append(f"the model is worse than {subject.baseline_name}: train longer, or lower the learning rate")
    if figures.get("diversity", 1.0) < SAMENESS:
        out.append("images of a class are all but the same: lower the learning rate, or try another seed")
    return out


@click.command(name="train")
@click.argument("name", type=click.Choice([*NAMES, *FIRST]), metavar="NAME")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--data", type=click.Choice(["digits", "mnist", "folder"]), help="Images to learn; default digits.")
@click.option("--size", type=click.IntRange(1, 256), default=28, show_default=True, help="Side of a folder's images.")
@click.option("--levels", type=click.IntRange(2, 256), help="Grey levels; default 256 (digits: 17).")
@click.option("--epochs", type=click.IntRange(min=1), help="At most this many; default from the recipe.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Another field of the recipe.")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Another count rounds differently."
)
@click.option("--out", type=OUT, help="The compiled model; default DATA-NAME.genfast.")
@click.option("--fresh", is_flag=True, help="Start anew although a checkpoint is there.")
def command(
    name: str,
    path: Path | None,
    data: str | None,
    size: int,
    levels: int | None,
    epochs: int | None,
    seed: int,
    settings: tuple[str, ...],
    threads: int,
    out: Path | None,
    fresh: bool,
) -> None:
    """Train the recipe NAME, compile the model, and write OUT with samples (.png or .txt), figures (.json) and a
    checkpoint (.pt) beside.

    \b
    Of images, given their class:
      independent   one histogram a pixel
      pixelcnn      PixelCNN
      gated         Gated PixelCNN; also called digits
      imagegpt      a transformer over the pixels
      made          a masked perceptron
      autoencoder   decoder of random codes, one of codes like those of images (-fitted), and the encoder (-encoder)
      vae           variational autoencoder, and its encoder
      gan           generative adversarial network
      wgan          the same with the Wasserstein loss
    \b
    Which tell the class of an image:
      classifier    a small convolutional network
    \b
    Of "Alice in Wonderland", or of the text file PATH:
      text          a GPT of characters; also called alice

    Needs torch. Ctrl-C stops; the same command goes on from the last epoch.

    \b
    Examples:
      genfast train pixelcnn
      genfast train made --epochs 20 --seed 1 --out mine.genfast
      genfast train gated --data mnist --levels 16
      genfast train imagegpt --data folder pictures/ --size 16 --set channels=64
      genfast train text
      genfast train text novel.txt --out novel.genfast
    """
    import dataclasses
    from importlib.metadata import version

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    import genfast as gf
    from genfast.cli.train_subjects import Characters, Images
    from genfast.zoo.recipes import RECIPES
    from genfast.zoo.train import Progress, read_checkpoint, train

    entry = RECIPES[FIRST.get(name, name)]
    of_text = entry.data == "text"
    if of_text and (data is not None or levels is not None):
        raise click.UsageError(f"--data and --levels are for images; {name} takes a text file as PATH")
    source = (path.stem if path else "alice") if of_text else data or "digits"
    out = out or Path(f"{source}.genfast" if of_text or name in FIRST else f"{source}-{name}.genfast")
    if out.suffix != ".genfast":
        raise click.UsageError(f"--out {out}: the name ends in .genfast")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    other = {**changed(entry.recipe, settings), "seed": seed, **({"epochs": epochs} if epochs else {})}
    recipe = dataclasses.replace(entry.recipe, **other)
    subject = Characters.of(path) if of_text else Images.of(data or "digits", path, size, levels)
    baseline = subject.baseline()
    checkpoint = out.with_suffix(".pt")
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(subject.describe())
    console.print(f"{subject.baseline_name}: {baseline:.4f} {subject.baseline_unit} on the test part")
    if checkpoint.exists() and not fresh:
        before = read_checkpoint(checkpoint)
        console.print(f"going on from {checkpoint}")
        planned, held = before["recipe"].get("epochs"), len(before["history"])
        if planned != recipe.epochs:
            console.print(
                f"warning: {checkpoint} was made with --epochs {planned}, not {recipe.epochs}, and holds {held}; "
                "--fresh starts anew"
            )

    def told(figures: dict[str, float]) -> str:
        return "  ".join(f"{part} {figure:.4f}" for part, figure in figures.items())

    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        shown = bar.add_task("training", total=None, epoch=0)

        def report(progress: Progress) -> None:
            done = (progress.epoch - 1) * progress.batches + progress.batch
            if progress.figures is None:
                bar.update(shown, epoch=progress.epoch, completed=done, total=progress.epochs * progress.batches)
            else:
                console.print(f"epoch {progress.epoch:4d}  {told(progress.figures)}")

        try:
            trained = train(subject.dataset, recipe, checkpoint, report, threads, fresh)
        except KeyboardInterrupt:
            if checkpoint.exists():
                console.print(f"the finished epochs are in {checkpoint}; the same command goes on")
            raise
    words = ["genfast train", name, *(["--data", data] if data else []), *([str(path)] if path else [])]
    words += [f"--levels {levels}"] if levels else []
    words += [f"--size {size}"] if data == "folder" else []
    words += [f"--epochs {epochs}"] if epochs else []
    words += [f"--seed {seed}"] if seed else []
    words += [f"--set {text}" for text in settings]
    meta = {
        "kind": entry.kind,
        "data": subject.dataset.name,
        "figures": trained.task.headline(trained.figures),
        "parameters": trained.parameters,
        "seed": seed,
        "command": " ".join(words),
    }
    files = {}
    for ending, model in trained.task.compiled(trained.model, out.stem, meta).items():
        files[ending] = out.with_name(f"{out.stem}{ending}.genfast")
        model.save(files[ending])
    picture = out.with_suffix(subject.shown)
    pictured = subject.show([gf.load(files[ending]) for ending in trained.task.pictured], picture)
    metrics: dict[str, Any] = {
        **subject.metrics(),
        "command": meta["command"],
        "unit": trained.task.unit,
        "figures": trained.figures,
        subject.baseline_name: {subject.baseline_unit: baseline},
        "epoch": trained.epoch,
        "parameters": trained.parameters,
        "seconds": trained.seconds,
        "seed": seed,
        "recipe": dataclasses.asdict(recipe),
        "torch": version("torch"),
        "threads": threads,
        "file_bytes": {each.name: each.stat().st_size for each in files.values()},
        "history": trained.history,
    }
    with whole_file(out.with_suffix(".json")) as file:
        file.write(json.dumps(metrics, indent=1).encode() + b"\n")
    console.print(f"kept epoch {trained.epoch}: {told(trained.figures)} {trained.task.unit}")
    for doubt in doubts(trained.figures, trained.task.unit, subject, baseline):
        console.print(f"warning: {doubt}")
    written = [f"{each} ({each.stat().st_size:,} bytes)" for each in files.values()]
    console.print(
        "wrote " + ", ".join([*written, *([str(picture)] if pictured else []), str(out.with_suffix(".json"))])
    )
