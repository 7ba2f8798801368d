"""What `genfast train` can learn: its data, the figure to beat, and how the trained model is written and shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from genfast.zoo.data import Dataset
    from genfast.zoo.text import Text
    from genfast.zoo.train import Trained


@dataclass
class Images:
    """Images of a data set. Raises click.UsageError when the PATH and the data set do not go together."""

    dataset: Dataset
    unit: str = "bits/dim"
    baseline_name: str = "independent pixels"
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

    def describe(self) -> list[str]:
        data = self.dataset
        shape = " × ".join(str(side) for side in data.train.shape[1:])
        return [f"{data.name}: {len(data.train)} training and {len(data.test)} test images of {shape}"]

    def baseline(self) -> float:
        from genfast.zoo.baseline import independent_pixels

        return independent_pixels(self.dataset.train, self.dataset.test, self.dataset.levels)

    def metrics(self, bits: dict[str, float], baseline: float) -> dict[str, Any]:
        data = self.dataset
        return {
            "data": data.name,
            "levels": data.levels,
            "images": {"train": len(data.train), "test": len(data.test), "shape": list(data.train.shape[1:])},
            "bits_per_dim": bits,
            "independent_pixels_bits_per_dim": baseline,
        }

    def export(self, trained: Trained, out: Path) -> None:
        """Compile and write the model, and a picture of its samples."""
        import genfast as gf
        from genfast.cli import conditions, images
        from genfast.zoo.image_task import example

        data = self.dataset
        gf.compile(trained.model, example(data), head=gf.heads.Categorical(data.levels), name=out.stem).save(out)
        model = gf.load(out)
        condition = conditions.rows(model.conditions, {}, 0, 100)
        samples = model.sample(100, rng=0, condition=condition or None)
        images.save(out.with_suffix(self.shown), samples, data.levels, columns=10)


@dataclass
class Characters:
    """The characters of a text, one token each."""

    dataset: Text
    unit: str = "bits/char"
    baseline_name: str = "Markov chain of order 2"
    shown: str = ".txt"

    @classmethod
    def of(cls, path: Path | None) -> Characters:
        from genfast.zoo import text

        return cls(text.alice() if path is None else text.of_file(path))

    def describe(self) -> list[str]:
        text = self.dataset
        kinds = len(text.vocabulary)
        return [f"{text.name}: {len(text.train)} training and {len(text.test)} test characters, {kinds} different ones"]

    def baseline(self) -> float:
        from genfast.zoo.baseline import markov_chain

        return markov_chain(self.dataset.train, self.dataset.test, len(self.dataset.vocabulary))

    def metrics(self, bits: dict[str, float], baseline: float) -> dict[str, Any]:
        text = self.dataset
        return {
            "data": text.name,
            "characters": {"train": len(text.train), "test": len(text.test)},
            "vocabulary": text.vocabulary,
            "bits_per_character": bits,
            "markov_2_bits_per_character": baseline,
        }

    def export(self, trained: Trained, out: Path) -> None:
        """Compile and write the model, and a page of its samples. A text begins as if a line had just ended."""
        import genfast as gf
        from genfast.zoo.text_task import example

        vocabulary = self.dataset.vocabulary
        model = gf.compile(
            trained.model,
            example(self.dataset, trained.recipe),
            alignment="next",
            bos=max(vocabulary.find("\n"), 0),
            name=out.stem,
            meta={"vocabulary": vocabulary},
        )
        model.save(out)
        rows = ["".join(vocabulary[token] for token in row) for row in gf.load(out).sample(4, rng=0)]
        out.with_suffix(self.shown).write_text("\n\n---\n\n".join(row.strip() for row in rows) + "\n", "utf-8")
