"""Independent pixels: one histogram a pixel and class, the simplest model of images, which every network must beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genfast.zoo.data import Dataset
from genfast.zoo.image_task import bits_per_dim, example
from genfast.zoo.task import Task

if TYPE_CHECKING:
    import genfast as gf
    from genfast.zoo.pixel_recipes import IndependentRecipe


def histograms(images: NDArray[np.uint8], levels: int) -> NDArray[np.float64]:
    """How often each level is found at each pixel of images (n, 1, H, W): (levels, H, W)."""
    return np.stack([(images[:, 0] == level).sum(axis=0) for level in range(levels)]).astype(np.float64)


class Independent(nn.Module):
    """Logits of every pixel's level that depend on the label alone.

    probabilities: (classes, levels, H, W), or classes = 1 for a model that is called without label.
    forward: x (n, 1, H, W) float, whose values have no effect; label (n,) int64 → logits (n, levels, H, W). The table
    has the levels of a pixel side by side, which is how a sampler reads them.
    """

    def __init__(self, probabilities: NDArray[np.float64], labelled: bool) -> None:
        super().__init__()
        self.labelled = labelled
        self.logits = nn.Parameter(
            torch.from_numpy(np.log(probabilities).astype(np.float32)).permute(0, 2, 3, 1).contiguous()
        )

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        if self.labelled:
            return self.logits[label].permute(0, 3, 1, 2)
        # gf.compile takes no network that reads nothing: this one reads the rows above, times zero.
        return self.logits.permute(0, 3, 1, 2) + 0 * F.pad(x, (0, 0, 1, 0))[:, :, :-1]


class IndependentTask(Task):
    """See `genfast.zoo.task.Task`: the network is built from counts, and there is nothing to train."""

    batches = 0

    def __init__(self, dataset: Dataset, recipe: IndependentRecipe) -> None:
        self.dataset, self.recipe = dataset, recipe

    def build(self) -> Independent:
        """The histogram of all images has one added to every count (Laplace smoothing); that of a class has so many
        images of it added as `smoothing` says."""
        data = self.dataset
        everything = histograms(data.train, data.levels) + 1
        everything /= everything.sum(axis=0)
        if data.train_labels is None:
            return Independent(everything[None], labelled=False)
        counts = np.stack([histograms(data.train[data.train_labels == k], data.levels) for k in range(data.classes)])
        counts += self.recipe.smoothing * everything
        return Independent(counts / counts.sum(axis=1, keepdims=True), labelled=True)

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """None."""
        return iter(())

    def figures(self, model: nn.Module) -> dict[str, float]:
        """Bits per dimension on the training and test images."""
        data = self.dataset
        return {
            "train": bits_per_dim(model, data.train, data.train_labels, data.levels),
            "test": bits_per_dim(model, data.test, data.test_labels, data.levels),
        }

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """One model of the levels, given the label."""
        import genfast as gf

        head = gf.heads.Categorical(self.dataset.levels)
        return {"": gf.compile(model, example(self.dataset), head=head, name=name, meta=meta)}
