from __future__ import annotations

from pathlib import Path

import click

from genfast.cli.paths import OUT


@click.command(name="complete")
@click.argument("model")
@click.argument("images", type=click.Path(path_type=Path, exists=True))
@click.option("--known", default="top-half", show_default=True, help="What is kept: top-half, top=3 (rows), @MASK.npy.")
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=8, show_default=True, help="Completions of each image."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="The same seed, the same bits."
)
@click.option("--label", help="Class label of the images, or one for each parted by commas.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="NAME=VALUE", help="Numbers parted by commas, or @FILE.npy."
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Divides the logits.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: GENFAST_NUM_THREADS, else every core.")
@click.option(
    "-o",
    "--out",
    type=OUT,
    default=Path("completed.png"),
    show_default=True,
    help="PNG, .npz or folder.",
)
@click.option("--scale", type=click.IntRange(1, 64), help="Size of a pixel in the PNG.")
@click.option("--quiet", is_flag=True, help="No summary.")
def command(
    model: str,
    images: Path,
    known: str,
    number: int,
    seed: int,
    label: str | None,
    conditions: tuple[str, ...],
    temperature: float,
    threads: int | None,
    out: Path,
    scale: int | None,
    quiet: bool,
) -> None:
    """Keep a part of IMAGES and let MODEL draw the rest, several times.

    IMAGES: an .npz file of genfast sample or generate, an .npy file of levels, a picture or a folder of .png pictures
    of the model's size. A PNG shows a row for each image: what is kept, the image, the completions. Without --label the
    labels are those of the .npz file; where there are none, completions count through the labels.

    The known pixels must not depend on others in the model's order: for models that draw row after row, top ones.

    \b
    Examples:
      genfast sample digits -n 6 --seed 1 -o some.npz
      genfast complete digits some.npz --known top-half -n 8 -o completed.png
      genfast complete digits-imagegpt three.png --known top=3 --label 3 -n 100 -o threes.npz
    """
    import numpy as np

    import genfast as gf
    from genfast.cli import images as pictures
    from genfast.cli.conditions import parse, read, rows
    from genfast.cli.known import mask, read_images

    given = parse(conditions, label)
    loaded = gf.load(model)
    if loaded.output_shape is not None or loaded.levels is None or len(loaded.input_shape) < 2:
        raise ValueError(f"{model}: not a model that draws an image pixel after pixel, so it cannot complete one")
    kind = pictures.kind_of(out)
    if kind != "folder" and not out.parent.is_dir():
        raise FileNotFoundError(f"{out.parent}: no such folder")
    if threads is not None:
        gf.set_num_threads(threads)
    shown, told = read_images(images, loaded)
    kept = mask(known, loaded.input_shape[-2:])
    n = len(shown)
    wanted = {c["name"]: c for c in loaded.conditions}
    stored = {name: told[name] for name in wanted if name in told and name not in given}
    asked = [c for name, c in wanted.items() if name not in stored]
    # Values that are given are one for each image; labels that are not count through an image's completions.
    for c in asked:
        values = len(np.atleast_1d(read(c["name"], given[c["name"]], c["dtype"]))) if c["name"] in given else 1
        if values not in (1, n) and not (c["shape"] and not given[c["name"]].startswith("@")):
            raise ValueError(f"condition {c['name']!r}: {values} values for {n} images: give one for all, or one each")
    of_images = rows([c for c in asked if c["name"] in given], given, 0, n)
    condition = {name: np.repeat(table, number, axis=0) for name, table in {**stored, **of_images}.items()}
    unsaid = [c for c in asked if c["name"] not in given]
    condition |= {
        name: np.tile(table, (n, *(1,) * (table.ndim - 1))) for name, table in rows(unsaid, {}, 0, number).items()
    }
    completed = loaded.complete(
        np.repeat(shown, number, axis=0), known=kept, rng=seed, condition=condition or None, temperature=temperature
    )
    if kind == "png":
        erased = np.where(kept, shown, 0)
        table = [
            np.concatenate([erased[i : i + 1], shown[i : i + 1], completed[i * number : (i + 1) * number]])
            for i in range(n)
        ]
        pictures.save(out, np.concatenate(table), loaded.levels, columns=number + 2, scale=scale)
    else:
        extra = {"seed": seed, "known": kept, **{f"condition_{name}": value for name, value in condition.items()}}
        pictures.save(out, completed, loaded.levels, scale=scale, extra=extra)
    if not quiet:
        click.echo(f"{n} × {number} completions, {int(kept.sum())} of {kept.size} pixels kept → {out}", err=True)
