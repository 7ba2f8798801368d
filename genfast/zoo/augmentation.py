"""What generated training data is good for: a classifier trained on N real digits, on these and generated ones, and on
generated ones alone, for several N and every generator.

    python -P -m genfast.zoo.augmentation -o docs/          the whole table; goes on where it was cut off
    python -P -m genfast.zoo.augmentation --quick -o /tmp/  one N, one seed, two generators

A generator is trained on the same N images that the classifier is given, never on more: else the comparison would
measure images that leak through it. (The bundled models have seen all training images; they are not used.) The samples
come from the compiled models. Beside the generators stands what everybody does, shifted copies of the real images.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genfast.whole_file import whole_file
from genfast.zoo import data
from genfast.zoo.augment import augment
from genfast.zoo.augmentation_report import SHIFTED, draw, page, table
from genfast.zoo.classifier import Classifier
from genfast.zoo.image_task import network_input
from genfast.zoo.recipes import RECIPES
from genfast.zoo.train import train

Arrays = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclasses.dataclass(frozen=True)
class Generator:
    """A recipe (of `genfast.zoo.recipes`), the ending of the compiled model, what is smaller than the recipe says (tens
    of trainings must fit into an hour of one core), and how many times the steps of the settings it is trained."""

    recipe: str
    ending: str = ""
    longer: int = 1
    smaller: dict[str, Any] = dataclasses.field(default_factory=dict)


GENERATORS = {
    "independent": Generator("independent"),
    "pixelcnn": Generator("pixelcnn", smaller={"channels": 32, "blocks": 3}),
    "gated": Generator("gated", smaller={"channels": 16, "layers": 3, "head_channels": 32}),
    "gated (5 × steps)": Generator("gated", longer=5, smaller={"channels": 16, "layers": 3, "head_channels": 32}),
    "imagegpt": Generator("imagegpt", smaller={"layers": 2}),
    "made": Generator("made"),
    "autoencoder-fitted": Generator("autoencoder", "-fitted"),
    "vae": Generator("vae", smaller={"draws": 1}),
    "gan": Generator("gan"),
    "wgan": Generator("wgan"),
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """sizes: N. seeds: of the choice of images, the generators and the classifiers. steps: of a generator. generated:
    images. classifier_steps, batch, learning_rate: of a classifier."""

    sizes: tuple[int, ...] = (50, 100, 200, 500, 1000)
    seeds: int = 3
    generators: tuple[str, ...] = (SHIFTED, *GENERATORS)
    steps: int = 600
    generated: int = 1000
    classifier_steps: int = 300
    batch: int = 64
    learning_rate: float = 3e-3


QUICK = Settings((100,), 1, ("independent", "made"), steps=60, generated=200, classifier_steps=60)


def choose(dataset: data.Dataset, n: int, seed: int) -> data.Dataset:
    """The dataset with n of its training images, as equally many of each class as possible; its test part is not the
    real one but two of these, so that nothing that is chosen by it could leak."""
    assert dataset.train_labels is not None
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    order = rng.permutation(len(dataset.train))
    labels = dataset.train_labels[order]
    rank = np.zeros(len(order), np.int64)  # of an image among those of its class
    for k in range(dataset.classes):
        rank[labels == k] = np.arange((labels == k).sum())
    rows = order[np.argsort(rank, kind="stable")[:n]]
    images, labels = dataset.train[rows], dataset.train_labels[rows]
    return dataclasses.replace(dataset, train=images, train_labels=labels, test=images[:2], test_labels=labels[:2])


def generate(name: str, few: data.Dataset, settings: Settings, seed: int) -> tuple[Arrays, dict[str, Any]]:
    """Images (m, 1, H, W) in [0, 1] and their labels of a generator trained on `few`, classes in turn, and how long
    training and sampling took."""
    labels: NDArray[np.int64] = np.arange(settings.generated, dtype=np.int64) % few.classes
    if name == SHIFTED:
        rng = np.random.Generator(np.random.PCG64([seed, 2]))
        assert few.train_labels is not None
        rows = rng.integers(0, len(few.train), settings.generated)
        shifted, _ = augment(few.train[rows], 1.0, rng)
        return (network_input(shifted, few.levels).numpy(), few.train_labels[rows]), {}
    generator = GENERATORS[name]
    recipe = dataclasses.replace(RECIPES[generator.recipe].recipe, seed=seed, **generator.smaller)
    epochs = max(1, -(-settings.steps * generator.longer // max(recipe.task(few).batches, 1)))
    start = time.perf_counter()
    trained = train(few, dataclasses.replace(recipe, epochs=epochs, patience=epochs), threads=1)
    model = trained.task.compiled(trained.model, name, {})[generator.ending]
    trained_at = time.perf_counter()
    samples = model.sample(settings.generated, rng=seed, condition={"label": labels})
    figures = {"training_seconds": trained_at - start, "sampling_seconds": time.perf_counter() - trained_at}
    images: NDArray[np.float32] = samples
    if samples.dtype != np.float32:
        images = network_input(samples, few.levels).numpy()
    return (images, labels), figures


def mixed(parts: list[Arrays], rows: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A batch with equal shares of several sets."""
    share = rows // len(parts)
    chosen = [(part, rng.integers(0, len(part[1]), share)) for part in parts]
    images = np.concatenate([images[rows] for (images, _), rows in chosen])
    labels = np.concatenate([labels[rows] for (_, labels), rows in chosen])
    return torch.from_numpy(images), torch.from_numpy(labels)


def accuracy(parts: list[Arrays], test: Arrays, classes: int, settings: Settings, seed: int) -> float:
    """Share of the test images that are classified right after a training on equal shares of `parts`: the same steps
    from the same weights, whatever the parts."""
    torch.manual_seed(seed)
    rng = np.random.Generator(np.random.PCG64([seed, 3]))
    height, width = parts[0][0].shape[2:]
    model = Classifier(height, width, classes, dropout=0.2)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.classifier_steps)
    for _ in range(settings.classifier_steps):
        x, label = mixed(parts, settings.batch, rng)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), label).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        right = model(torch.from_numpy(test[0])).argmax(1) == torch.from_numpy(test[1])
    return float(right.double().mean())


def arrays(images: NDArray[np.uint8], labels: NDArray[np.int64] | None, levels: int) -> Arrays:
    """Images as the classifier takes them, and their labels."""
    assert labels is not None
    return network_input(images, levels).numpy(), labels


def cell(name: str | None, n: int, seed: int, settings: Settings, dataset: data.Dataset) -> dict[str, float]:
    """The figures of one generator (None: of the real images alone, in whole batches and in halves), N and seed."""
    few = choose(dataset, n, seed)
    test = arrays(dataset.test, dataset.test_labels, dataset.levels)
    real = arrays(few.train, few.train_labels, few.levels)
    if name is None:
        # What the real share of a mixed batch teaches by itself: else its being halved would pass for harm.
        halved = dataclasses.replace(settings, batch=settings.batch // 2)
        return {
            "real": accuracy([real], test, few.classes, settings, seed),
            "half": accuracy([real], test, few.classes, halved, seed),
        }
    made, figures = generate(name, few, settings, seed)
    both = accuracy([real, made], test, few.classes, settings, seed)
    return {"both": both, "generated": accuracy([made], test, few.classes, settings, seed), **figures}


class Cells:
    """Finished figures by "generator/N/seed", in a JSON file that is written after each of them.

    Raises ValueError when the file is of other settings.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path
        self.settings = json.loads(json.dumps(dataclasses.asdict(settings)))
        self.done: dict[str, dict[str, float]] = {}
        if path.exists():
            held = json.loads(path.read_text())
            # More seeds, sizes or generators only add cells.
            fixed = [name for name in self.settings if name not in ("seeds", "sizes", "generators")]
            wrong = [name for name in fixed if held["settings"].get(name) != self.settings[name]]
            if wrong:
                raise ValueError(f"{path}: made with other {', '.join(wrong)}: remove it, or name another folder")
            self.done = held["cells"]

    def add(self, name: str, figures: dict[str, float]) -> None:
        """Remember a cell."""
        self.done[name] = figures
        whole = {"settings": self.settings, "cells": dict(sorted(self.done.items()))}
        with whole_file(self.path) as file:
            file.write(json.dumps(whole, indent=1).encode() + b"\n")


def wanted(settings: Settings) -> Iterable[tuple[str | None, int, int]]:
    """Every cell, seed after seed, so that a run that is cut off has whole tables."""
    for seed in range(settings.seeds):
        for n in settings.sizes:
            for name in (None, *settings.generators):
                yield name, n, seed


def run(settings: Settings, out: Path) -> Cells:
    """Compute what is missing, and say so line by line."""
    torch.set_num_threads(1)
    dataset = data.digits()
    cells = Cells(out / "augmentation.json", settings)
    for name, n, seed in wanted(settings):
        key = f"{name or 'real'}/{n}/{seed}"
        if key not in cells.done:
            start = time.perf_counter()
            cells.add(key, cell(name, n, seed, settings, dataset))
            said = ", ".join(f"{figure} {value:.3f}" for figure, value in cells.done[key].items())
            print(f"{key}: {said} ({time.perf_counter() - start:.1f} s)", flush=True)
    return cells


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -P -m genfast.zoo.augmentation", description=__doc__.split("\n\n")[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("docs"), help="folder of augmentation.json and .md")
    parser.add_argument("--seeds", type=int, help="default 3")
    parser.add_argument("--generators", help="names parted by commas; default all")
    parser.add_argument("--quick", action="store_true", help="one N, one seed, two generators: a trial")
    chosen = parser.parse_args()
    settings = QUICK if chosen.quick else Settings()
    if chosen.seeds is not None:
        settings = dataclasses.replace(settings, seeds=chosen.seeds)
    if chosen.generators is not None:
        names = tuple(chosen.generators.split(","))
        unknown = [name for name in names if name not in Settings.generators]
        if unknown:
            parser.error(f"unknown generators {', '.join(unknown)}; there are {', '.join(Settings.generators)}")
        settings = dataclasses.replace(settings, generators=names)
    chosen.out.mkdir(parents=True, exist_ok=True)
    cells = run(settings, chosen.out)
    print(table(cells.settings, cells.done))
    (chosen.out / "images").mkdir(exist_ok=True)
    draw(cells.settings, cells.done, chosen.out / "images" / "augmentation.png")
    with whole_file(chosen.out / "augmentation.md") as file:
        file.write(page(cells.settings, cells.done).encode())


if __name__ == "__main__":
    main()
