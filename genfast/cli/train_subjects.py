"""What `genfast train` can learn from: the data, the figure to beat, and how a trained model is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genfast.whole_file import whole_file

if TYPE_CHECKING:
    import genfast as gf
    from genfast.zoo.data import Dataset
    from genfast.zoo.text import Text

ROWS = 10  # of samples in a picture, where there are no classes; samples of a class where there are


@dataclass
class Images:
    """Images of a data set. Raises click.UsageError when the PATH and the data set do not go together."""

    dataset: Dataset
    baseline_name: str = "independent pixels"
    baseline_unit: str = "bits/dim"
    shown: str = ".png"

    @classmethod
    def of(cls, name: str, path: Path | None, size: int, levels: int | None) -> Images:
        from genfast.zoo import data

        if (name == "folder") != (path is not None):
            raise click.UsageError("write --data folder PATH; the other data sets take no PATH")
        if name == "digits":
            if levels not in (None, 17):
                raise click.UsageError("the digits have 17 levels")
            return cls(data.digits())
        if name == "mnist":
            return cls(data.mnist(levels or 256))
        assert path is not None
        return cls(data.folder(path, size, levels or 256))

    def describe(self) -> str:
        data = self.dataset
        shape = " × ".join(str(side) for side in data.train.shape[1:])
        return f"{data.name}: {len(data.train)} training and {len(data.test)} test images of {shape}"

    def baseline(self) -> float:
        from genfast.zoo.baseline import independent_pixels

        return independent_pixels(self.dataset.train, self.dataset.test, self.dataset.levels)

    def metrics(self) -> dict[str, Any]:
        data = self.dataset
        return {
            "data": data.name,
            "levels": data.levels,
            "images": {"train": len(data.train), "test": len(data.test), "shape": list(data.train.shape[1:])},
        }

    def show(self, models: list[gf.Model], path: Path) -> bool:
        """A picture of ten samples of each class, a row for a class, of each model side by side; whether there are
        any."""
        import numpy as np

        from genfast.cli import images

        grids = []
        for model in models:
            classes = next((c["size"] for c in model.conditions if c["name"] == "label"), 0)
            n = ROWS * (classes or ROWS)
            condition = {"label": np.arange(n) // ROWS} if classes else None
            levels = images.shown(model, model.sample(n, rng=0, condition=condition))
            grids.append(images.grid(images.to_bytes(*levels), columns=ROWS))
        if grids:
            images.save_png(path, images.beside(grids))
        return bool(grids)


@dataclass
class Characters:
    """The characters of a text, one token each."""

    dataset: Text
    baseline_name: str = "Markov chain of order 2"
    baseline_unit: str = "bits/char"
    shown: str = ".txt"

    @classmethod
    def of(cls, path: Path | None) -> Characters:
        from genfast.zoo import text

        return cls(text.alice() if path is None else text.of_file(path))

    def describe(self) -> str:
        text = self.dataset
        kinds = len(text.vocabulary)
        return f"{text.name}: {len(text.train)} training and {len(text.test)} test characters, {kinds} different ones"

    def baseline(self) -> float:
        from genfast.zoo.baseline import markov_chain

        return markov_chain(self.dataset.train, self.dataset.test, len(self.dataset.vocabulary))

    def metrics(self) -> dict[str, Any]:
        text = self.dataset
        return {
            "data": text.name,
            "characters": {"train": len(text.train), "test": len(text.test)},
            "vocabulary": text.vocabulary,
        }

    def show(self, models: list[gf.Model], path: Path) -> bool:
        """A page of samples."""
        vocabulary = self.dataset.vocabulary
        rows = ["".join(vocabulary[token] for token in row) for row in models[0].sample(4, rng=0)]
        with whole_file(path) as file:
            file.write(("\n\n---\n\n".join(row.strip() for row in rows) + "\n").encode())
        return True
