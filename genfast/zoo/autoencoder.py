"""The naive autoencoder: an encoder and a decoder that give an image back through a short code.

Trained for reconstruction alone (Hinton & Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks",
Science 313, 2006), so nothing makes the codes of images fill any known distribution. To generate, codes are drawn
nevertheless: from N(0, 1), whose mean and variance the codes share and nothing else; or from a normal distribution
fitted to the codes of each class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genfast.zoo.augment import augment
from genfast.zoo.convolutional import Decoder, Encoder
from genfast.zoo.data import Dataset
from genfast.zoo.image_parts import IMAGE, ImageParts
from genfast.zoo.task import Recipe, Task

if TYPE_CHECKING:
    import genfast as gf


@dataclass(frozen=True)
class AutoencoderRecipe(Recipe):
    """An autoencoder and how to train it. `code`: numbers in a code; `augmented`: share of training images that are
    shifted by a pixel."""

    code: int = 10
    channels: int = 16
    augmented: float = 0.2
    epochs: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average: float = 0.995

    def task(self, dataset: Dataset) -> AutoencoderTask:
        """These images, learnt by this recipe."""
        return AutoencoderTask(dataset, self)


class CodeEncoder(nn.Module):
    """Images to codes, each number of which has mean 0 and variance 1 over the training images (BatchNorm).

    forward: x (n, 1, H, W) float in [0, 1] → (n, code).
    """

    def __init__(self, height: int, width: int, code: int, channels: int) -> None:
        super().__init__()
        self.network = Encoder(height, width, code, channels)
        self.scale = nn.BatchNorm1d(code, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(self.network(x))


class Autoencoder(nn.Module):
    """`encoder` and, told the label, `decoder`.

    forward: x (n, 1, H, W) float in [0, 1]; label (n,) int64 unless classes is 0 → the images again.
    """

    def __init__(self, height: int, width: int, code: int = 10, channels: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.encoder = CodeEncoder(height, width, code, channels)
        self.decoder = Decoder(height, width, code, channels, classes)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.decoder(self.encoder(x), label)


class FittedDecoder(nn.Module):
    """A decoder behind a normal distribution of codes for each class: code = mean + factor · z with z from N(0, 1).

    mean: (classes, code); factor: (classes, code, code), the Cholesky factors of the covariances. One class, and no
    label, where the decoder takes none. forward: z (n, code) float; label (n,) int64 → images.
    """

    def __init__(self, decoder: nn.Module, mean: Tensor, factor: Tensor, labelled: bool) -> None:
        super().__init__()
        self.decoder, self.labelled = decoder, labelled
        self.mean = nn.Embedding.from_pretrained(mean)
        self.factor = nn.Embedding.from_pretrained(factor.flatten(1))

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        if not self.labelled:
            return self.decoder(F.linear(z, self.factor.weight.view(z.shape[1], z.shape[1]), self.mean.weight[0]))
        factor = self.factor(label).unflatten(1, (z.shape[1], z.shape[1]))
        return self.decoder(self.mean(label) + (factor * z[:, None]).sum(2), label)


@torch.no_grad()
def fit_codes(model: Autoencoder, images: Tensor, labels: Tensor | None, classes: int) -> FittedDecoder:
    """The decoder of `model` behind normal distributions fitted to the codes of images (n, 1, H, W) by class.

    Covariances are shrunk to their diagonal by a tenth, or a class of few images would have a singular one. Raises
    ValueError for a class with fewer than two images.
    """
    codes = model.encoder(images).double()
    groups = [codes] if labels is None else [codes[labels == k] for k in range(classes)]
    means, factors = [], []
    for k, group in enumerate(groups):
        if len(group) < 2:
            raise ValueError(f"class {k} has {len(group)} training images; a distribution of codes needs two at least")
        covariance = torch.cov(group.T)
        shrunk = 0.9 * covariance + 0.1 * torch.diag(covariance.diagonal()) + 1e-4 * torch.eye(codes.shape[1])
        means.append(group.mean(0))
        factors.append(torch.linalg.cholesky(shrunk))
    return FittedDecoder(
        model.decoder, torch.stack(means).float(), torch.stack(factors).float(), labels is not None
    ).eval()


class AutoencoderTask(Task):
    """See `genfast.zoo.task.Task`. Figures are mean squared errors of the reconstruction, pixels from 0 to 1."""

    unit = "mean squared error"
    pictured = ("", "-fitted")

    def __init__(self, dataset: Dataset, recipe: AutoencoderRecipe) -> None:
        self.dataset, self.recipe = dataset, recipe
        self.parts = ImageParts(dataset, recipe.validation, recipe.batch, recipe.seed)
        self.batches = self.parts.batches

    def build(self) -> Autoencoder:
        """The recipe's network for the dataset's images and classes, freshly initialised from torch's generator."""
        height, width = self.dataset.train.shape[2:]
        return Autoencoder(height, width, self.recipe.code, self.recipe.channels, self.dataset.classes)

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The mean squared error of each batch of an epoch."""
        for images, labels in self.parts.shuffled(rng):
            if len(images) > 1:  # BatchNorm cannot tell the variance of one
                shifted, _ = augment(images, self.recipe.augmented, rng)
                x, label = self.parts.tensors(shifted, labels)
                yield F.mse_loss(model(x, label), x)

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Mean squared error on the training, validation and test images."""
        out = {}
        for name in ("train", "validation", "test"):
            x, label = self.parts.tensors(*self.parts.part(name))
            out[name] = float(F.mse_loss(model(x, label), x))
        return out

    def fitted(self, model: Autoencoder) -> FittedDecoder:
        """The decoder behind the distributions of the codes of all training images."""
        x, label = self.parts.tensors(self.dataset.train, self.dataset.train_labels)
        return fit_codes(model, x, label, self.dataset.classes)

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """The decoder of codes from N(0, 1); "-fitted": behind the distributions fitted to the codes; "-encoder"."""
        import genfast as gf

        assert isinstance(model, Autoencoder)
        code, normal = self.parts.example_code(self.recipe.code), gf.Normal(0, 1)
        pictures = {**meta, "image": IMAGE}
        return {
            "": gf.compile(model.decoder, code, latent=normal, name=name, meta=pictures),
            "-fitted": gf.compile(self.fitted(model), code, latent=normal, name=f"{name}-fitted", meta=pictures),
            "-encoder": gf.compile(
                model.encoder, self.parts.example(labelled=False), latent="given", name=f"{name}-encoder", meta=meta
            ),
        }
