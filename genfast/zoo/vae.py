"""The variational autoencoder: Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014, told the label.

The decoder gives each pixel a logistic distribution, cut to the grey levels as PixelCNN++ does (Salimans et al., ICLR
2017): its location is the decoded image, its scale is one number a pixel. So the evidence bound is one on the levels
themselves, in bits per dimension, to be compared with those of the autoregressive models.
"""

from __future__ import annotations

import math
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
class VAERecipe(Recipe):
    """A VAE and how to train it. `code`: numbers in a code; `draws`: codes drawn for each image where the bound is
    evaluated; `augmented`: share of training images that are shifted by a pixel."""

    code: int = 10
    channels: int = 16
    draws: int = 8
    augmented: float = 0.2
    epochs: int = 60
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average: float = 0.995

    def task(self, dataset: Dataset) -> VAETask:
        """These images, learnt by this recipe."""
        return VAETask(dataset, self)


class MeanEncoder(nn.Module):
    """The mean of the posterior of a code, of a network that gives mean and log-variance side by side.

    forward: x (n, 1, H, W) float in [0, 1]; label (n,) int64 → (n, code).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.network(x, label).chunk(2, 1)[0]


class VAE(nn.Module):
    """`encoder`: (n, 2 · code), mean and log-variance of a code; `decoder`: codes to images; `log_scale`: (H, W).

    forward: x (n, 1, H, W) float in [0, 1]; label (n,) int64 unless classes is 0 → the negative bound of each image in
    nats, (n,), from one code drawn for each.
    """

    def __init__(
        self, height: int, width: int, levels: int, code: int = 10, channels: int = 16, classes: int = 10
    ) -> None:
        super().__init__()
        self.levels = levels
        self.encoder = Encoder(height, width, 2 * code, channels, classes)
        self.decoder = Decoder(height, width, code, channels, classes)
        self.log_scale = nn.Parameter(torch.full((height, width), -2.5))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        mean, log_variance = self.encoder(x, label).chunk(2, 1)
        log_variance = log_variance.clamp(-12, 8)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        nats = -log_levels(x, self.decoder(z, label), self.log_scale, self.levels).flatten(1).sum(1)
        return nats + divergence


def log_levels(x: Tensor, location: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log P of the levels x ∈ {0, 1/(levels − 1), …, 1} under logistic distributions cut to them; x's shape.

    The lowest and the highest level take all that lies beyond them, so the probabilities of the levels add up to 1.
    """
    half = 0.5 / (levels - 1)
    inverse = (-log_scale.clamp(min=-7)).exp()
    upper, lower = (x - location + half) * inverse, (x - location - half) * inverse
    # log(σ(upper) − σ(lower)), written so that nothing cancels.
    middle = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(lower - upper))
    return torch.where(x < half, F.logsigmoid(upper), torch.where(x > 1 - half, F.logsigmoid(-lower), middle))


class VAETask(Task):
    """See `genfast.zoo.task.Task`. Figures are negative evidence bounds: the model needs at most so many bits."""

    unit = "bits/dim at most"

    def __init__(self, dataset: Dataset, recipe: VAERecipe) -> None:
        self.dataset, self.recipe = dataset, recipe
        self.parts = ImageParts(dataset, recipe.validation, recipe.batch, recipe.seed)
        self.batches = self.parts.batches
        self.to_bits = 1 / (math.log(2) * dataset.train[0].size)

    def build(self) -> VAE:
        """The recipe's network for the dataset's images and classes, freshly initialised from torch's generator."""
        height, width = self.dataset.train.shape[2:]
        return VAE(height, width, self.dataset.levels, self.recipe.code, self.recipe.channels, self.dataset.classes)

    def losses(self, model: nn.Module, rng: np.random.Generator) -> Iterator[Tensor]:
        """The negative bound of each batch of an epoch, in bits per dimension."""
        for images, labels in self.parts.shuffled(rng):
            shifted, _ = augment(images, self.recipe.augmented, rng)
            yield model(*self.parts.tensors(shifted, labels)).mean() * self.to_bits

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """The negative bound on the training, validation and test images, with the same draws whenever it is called."""
        out = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            for name in ("train", "validation", "test"):
                x, label = self.parts.tensors(*self.parts.part(name))
                total = sum(float(model(x, label).mean()) for _ in range(self.recipe.draws))
                out[name] = total / self.recipe.draws * self.to_bits
        return out

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """The decoder of codes from N(0, 1), which gives the locations of the pixels; "-encoder": the codes' means."""
        import genfast as gf

        assert isinstance(model, VAE)
        code, pictures = self.parts.example_code(self.recipe.code), {**meta, "image": IMAGE}
        return {
            "": gf.compile(model.decoder, code, latent=gf.Normal(0, 1), name=name, meta=pictures),
            "-encoder": gf.compile(
                MeanEncoder(model.encoder).eval(),
                self.parts.example(),
                latent="given",
                name=f"{name}-encoder",
                meta=meta,
            ),
        }
