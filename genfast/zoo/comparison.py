"""The comparison page: every bundled generator of digits, measured on the same data by one command.

    python -P -m genfast.zoo.comparison -o docs/

writes comparison.md, comparison.json and images/comparison/*.png below the folder. A generator that the JSON already
holds, of the same model file and settings, is not measured again. Needs matplotlib and pillow.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import genfast as gf
from genfast.model import BUNDLED
from genfast.whole_file import whole_file
from genfast.zoo import comparison_pictures as pictures
from genfast.zoo import data
from genfast.zoo.comparison_fooling import fooling
from genfast.zoo.comparison_measures import Reference, draw, measure
from genfast.zoo.comparison_page import page
from genfast.zoo.comparison_times import machine, times
from genfast.zoo.judge import train_judge


@dataclass(frozen=True)
class Generator:
    """A row of the page. name: of the bundled model. recipe: the name `genfast train` knows it by."""

    name: str
    title: str
    recipe: str


GENERATORS = (
    Generator("digits-independent", "independent pixels", "independent"),
    Generator("digits-pixelcnn", "PixelCNN", "pixelcnn"),
    Generator("digits", "Gated PixelCNN", "gated"),
    Generator("digits-imagegpt", "ImageGPT", "imagegpt"),
    Generator("digits-made", "MADE", "made"),
    Generator("digits-autoencoder", "autoencoder, codes from N(0, 1)", "autoencoder"),
    Generator("digits-autoencoder-fitted", "autoencoder, codes from a fitted density", "autoencoder"),
    Generator("digits-vae", "VAE", "vae"),
    Generator("digits-gan", "GAN", "gan"),
    Generator("digits-wgan", "WGAN-GP", "wgan"),
    Generator("digits-classifier-ascent", "gradient ascent on a classifier", "classifier"),
)


@dataclass(frozen=True)
class Settings:
    """What the figures depend on beside the model. `sets` sets of `images` generated images, each with the labels of
    the first test images; `repeats`: timed calls; `batches`: images a timed call."""

    seed: int = 0
    sets: int = 4
    images: int = 359
    judge_epochs: int = 60
    repeats: int = 15
    batches: tuple[int, ...] = (1, 64)


QUICK = Settings(sets=2, images=100, judge_epochs=4, repeats=1, batches=(1, 8))


def write(path: Path, text: str) -> None:
    """The whole file or none of it."""
    with whole_file(path) as file:
        file.write(text.encode())


def identity(name: str, settings: Settings) -> dict[str, Any]:
    """What a kept measurement must agree with: the model file's checksum and the settings."""
    checksum = zlib.crc32((BUNDLED / f"{name}.genfast").read_bytes())
    return {"checksum": f"{checksum:08x}", "settings": json.loads(json.dumps(asdict(settings)))}


def kept(path: Path) -> dict[str, Any]:
    """What an earlier run left there; empty where there is none. Raises ValueError for another kind of file."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        return dict(found["generators"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: not a file of this command (use --fresh)") from None


def compare(
    out: Path, settings: Settings, only: Sequence[str] | None = None, fresh: bool = False, timed: bool = True
) -> dict[str, Any]:
    """Measure the bundled generators (of the names `only`), and write page, pictures and JSON below `out`.

    Returns what the JSON holds. Raises ValueError for an unknown name or a foreign comparison.json.
    """
    bundled = [generator for generator in GENERATORS if generator.name in gf.models()]
    unknown = set(only or ()) - {generator.name for generator in bundled}
    if unknown:
        known = ", ".join(generator.name for generator in bundled)
        raise ValueError(f"no bundled generator {', '.join(sorted(unknown))}; there are {known}")
    images = out / "images" / "comparison"
    images.mkdir(parents=True, exist_ok=True)
    path = out / "comparison.json"
    before = {} if fresh else kept(path)
    digits = data.digits()
    print(f"training the judge ({settings.judge_epochs} epochs)", flush=True)
    judge = train_judge(digits, settings.seed, settings.judge_epochs)
    reference = Reference.of(digits, judge, settings.sets, settings.images)
    result: dict[str, Any] = {
        "command": "python -P -m genfast.zoo.comparison -o docs/",
        "settings": asdict(settings),
        "data": {"train": len(digits.train), "test": len(digits.test), "classes": digits.classes},
        "machine": machine(),
        "judge": {"test_accuracy": judge.test_accuracy, "features": judge.network.features.out_features},
        "real": reference.real(),
        "generators": {},
    }
    pictures.save_real(images, digits)
    for generator in bundled:
        name = generator.name
        if only is not None and name not in only:
            continue
        same = identity(name, settings)
        entry = before.get(name, {})
        if {key: entry.get(key) for key in same} == same and (not timed or "times" in entry):
            print(f"{name}: kept", flush=True)
        else:
            print(f"{name}: measuring", flush=True)
            model = gf.load(name)
            drawn = draw(model, reference.labels, digits.levels, settings.seed)
            entry = {**same, "title": generator.title, **measure(model, drawn, reference)}
            pictures.save_samples(images, name, model, digits, settings.seed)
            if timed:
                entry["times"] = times(generator.recipe, model, digits, settings.batches, settings.repeats)
        result["generators"][name] = entry
        write(path, json.dumps(result, indent=1) + "\n")
    if "digits-classifier-ascent" in result["generators"] and "digits-classifier" in gf.models():
        result["fooling"] = fooling(reference, settings.seed)
        pictures.save_fooling(images, result["fooling"]["examples"], digits.levels)
        write(path, json.dumps(result, indent=1) + "\n")
    pictures.save_distances(images, result)
    write(out / "comparison.md", page(result))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0, or 1 after a line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -P -m genfast.zoo.comparison", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, default=Path("docs"), help="folder to write into")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these bundled models only")
    parser.add_argument("--quick", action="store_true", help="few images and a hasty judge: to see that it runs")
    parser.add_argument("--no-times", action="store_true", help="leave the timings out")
    parser.add_argument("--fresh", action="store_true", help="measure again what comparison.json already holds")
    options = parser.parse_args(arguments)
    try:
        compare(options.out, QUICK if options.quick else Settings(), options.only, options.fresh, not options.no_times)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}")
        return 1
    print(options.out / "comparison.md")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
