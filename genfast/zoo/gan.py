"""Generative adversarial networks: Goodfellow et al., "Generative Adversarial Nets", NIPS 2014, for small images.

A generator in the style of DCGAN (Radford et al., ICLR 2016) and a critic that sees real and generated images. Two
losses: the non-saturating one, whose critic pays for its slope at real images (R1: Mescheder et al., "Which Training
Methods for GANs do actually Converge?", ICML 2018), and Wasserstein, whose critic pays for every slope but 1 (Gulrajani
et al., "Improved Training of Wasserstein GANs", NIPS 2017). A critic told the label projects onto its embedding (Miyato
& Koyama, "cGANs with Projection Discriminator", ICLR 2018). What the critic sees is shifted by a pixel, real and
generated images alike (Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020). The
generator that is kept has the moving average of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genfast.zoo.convolutional import Decoder
from genfast.zoo.data import Dataset
from genfast.zoo.energy import energy_distance
from genfast.zoo.image_parts import IMAGE, ImageParts
from genfast.zoo.task import Recipe, Task

if TYPE_CHECKING:
    import genfast as gf

LOSSES = ("non-saturating", "wasserstein")
COMPARED = 512


@dataclass(frozen=True)
class GANRecipe(Recipe):
    """A GAN and how to train it. `loss`: "non-saturating" or "wasserstein"; `conditional`: whether the label is told;
    `code`: numbers the generator starts from; `critic_steps`: the critic's steps for one of the generator; `penalty`:
    weight of the critic's gradient penalty."""

    loss: str = "non-saturating"
    conditional: bool = True
    code: int = 16
    channels: int = 16
    critic_channels: int = 32
    critic_steps: int = 1
    penalty: float = 1.0
    betas: tuple[float, float] = (0.5, 0.9)
    epochs: int = 300
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    average: float = 0.995
    patience: int = 300

    def task(self, dataset: Dataset) -> GANTask:
        """These images, learnt by this recipe."""
        return GANTask(dataset, self)


class Critic(nn.Module):
    """A 3×3 convolution, two 4×4 ones of stride 2 and a linear layer, leaky; with labels, a projection onto them.

    forward: x (n, 1, H, W) float; label (n,) int64 unless classes is 0 → (n,), the larger the more real.
    """

    def __init__(self, height: int, width: int, channels: int, classes: int) -> None:
        super().__init__()

        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 2 * channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        features = 2 * channels * (height // 4) * (width // 4)
        self.out = nn.Linear(features, 1)
        self.label = nn.Embedding(classes, features) if classes else None

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        features = self.features(x)
        score = self.out(features)[:, 0]
        return score if self.label is None else score + (self.label(label) * features).sum(1)


class GAN(nn.Module):
    """`generator`: (n, code) and label to images (n, 1, H, W) in (0, 1); `critic`: images and label to (n,)."""

    def __init__(
        self,
        height: int,
        width: int,
        code: int = 16,
        channels: int = 16,
        critic_channels: int = 32,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.generator = Decoder(height, width, code, channels, classes, norm=True)
        self.critic = Critic(height, width, critic_channels, classes)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.generator(z, label)


def shifted(x: Tensor, rows: int, columns: int) -> Tensor:
    """Images (n, 1, H, W) moved by at most one pixel each way, zeros where nothing was."""
    height, width = x.shape[2:]
    return F.pad(x, (1, 1, 1, 1))[:, :, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]


class GANTask(Task):
    """See `genfast.zoo.task.Task`. Figures are energy distances between generated images and the part's, labels
    included, and the diversity of the generated images: see `diversity`."""

    unused = ("critic",)
    unit = "energy distance"

    def __init__(self, dataset: Dataset, recipe: GANRecipe) -> None:
        if recipe.loss not in LOSSES:
            raise ValueError(f"loss is one of {', '.join(LOSSES)}, got {recipe.loss!r}")
        if recipe.critic_steps < 1:
            raise ValueError(f"critic_steps is at least 1, got {recipe.critic_steps}")
        self.dataset, self.recipe = dataset, recipe
        self.parts = ImageParts(dataset, recipe.validation, recipe.batch, recipe.seed)
        # In an epoch of fewer batches than that the generator would never take a step.
        self.critic_steps = min(recipe.critic_steps, max(self.parts.batches, 1))
        self.batches = self.parts.batches + self.parts.batches // self.critic_steps
        self.classes = dataset.classes if recipe.conditional else 0

    def build(self) -> GAN:
        """The recipe's networks for the dataset's images and classes, freshly initialised from torch's generator."""
        recipe = self.recipe
        height, width = self.dataset.train.shape[2:]
        return GAN(height, width, recipe.code, recipe.channels, recipe.critic_channels, self.classes)

    def groups(self, model: nn.Module) -> list[nn.Module]:
        """The critic and the generator."""
        assert isinstance(model, GAN)
        return [model.critic, model.generator]

    def steps(self, model: nn.Module, rng: np.random.Generator) -> Iterator[tuple[int, Tensor]]:
        """The losses of an epoch: the critic's on every batch, the generator's after every `critic_steps` of them, once
        at least."""
        assert isinstance(model, GAN)
        for step, (images, labels) in enumerate(self.parts.shuffled(rng)):
            real, label = self.parts.tensors(images, labels if self.classes else None)
            shift = rng.integers(-1, 2, 2).tolist()
            yield 0, self.critic_loss(model, shifted(real, *shift), label, shift)
            if (step + 1) % self.critic_steps == 0:
                yield 1, self.generator_loss(model, len(real), label, shift)

    def critic_loss(self, model: GAN, real: Tensor, label: Tensor | None, shift: list[int]) -> Tensor:
        """That of the critic on as many generated images as `real` ones, with the same labels."""
        with torch.no_grad():
            fake = shifted(model(torch.randn(len(real), self.recipe.code), label), *shift)
        if self.recipe.loss == "non-saturating":
            of_real = model.critic(real.requires_grad_(), label)
            slope = slopes(of_real, real).square().sum(1)
            loss = F.softplus(-of_real).mean() + F.softplus(model.critic(fake, label)).mean()
            return loss + self.recipe.penalty * slope.mean()
        between = torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1)).requires_grad_()
        excess = slopes(model.critic(between, label), between).norm(dim=1) - 1
        gain = model.critic(real, label).mean() - model.critic(fake, label).mean()
        return self.recipe.penalty * excess.square().mean() - gain

    def generator_loss(self, model: GAN, count: int, label: Tensor | None, shift: list[int]) -> Tensor:
        """That of the generator on `count` images of the given labels."""
        score = model.critic(shifted(model(torch.randn(count, self.recipe.code), label), *shift), label)
        return F.softplus(-score).mean() if self.recipe.loss == "non-saturating" else -score.mean()

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Energy distances to the training, validation and test images, and the diversity beside the test images, from
        the same codes whenever it is called."""
        out = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed)
            for name in ("train", "validation", "test"):
                real, label = self.parts.tensors(*self.parts.part(name, COMPARED))
                label = label if self.classes else None
                fake = model(torch.randn(len(real), self.recipe.code), label)
                if len(real) > 1:
                    rows = [labelled(x, label, self.classes) for x in (real, fake)]
                    out[name] = energy_distance(*rows)
        # Of the test part, which is the last; a part without two images of a class has no diversity to compare with.
        return {**out, "diversity": diversity(fake, label) / (diversity(real, label) or 1.0)}

    def headline(self, figures: dict[str, float]) -> dict[str, float]:
        """The energy distance to the test images, and the diversity."""
        return {self.unit: figures["test"], "diversity": figures["diversity"]}

    def compiled(self, model: nn.Module, name: str, meta: dict[str, Any]) -> dict[str, gf.Model]:
        """The generator of codes from N(0, 1)."""
        import genfast as gf

        assert isinstance(model, GAN)
        code = self.parts.example_code(self.recipe.code, bool(self.classes))
        pictures = {**meta, "image": IMAGE}
        return {"": gf.compile(model.generator, code, latent=gf.Normal(0, 1), name=name, meta=pictures)}


def slopes(score: Tensor, x: Tensor) -> Tensor:
    """The gradient of each score (n,) at its row of x (n, ...), (n, d), to be differentiated again."""
    return torch.autograd.grad(score.sum(), x, create_graph=True)[0].flatten(1)


def labelled(x: Tensor, label: Tensor | None, classes: int) -> Tensor:
    """Images as rows, each followed by its label: 2 in the place of its class, about as far as two digits apart."""
    rows = x.flatten(1)
    return rows if label is None else torch.cat([rows, 2.0 * F.one_hot(label, classes)], 1)


def diversity(x: Tensor, label: Tensor | None) -> float:
    """The mean distance of two images of a class, over the pairs of all classes; 0 for a generator that has collapsed
    to one image each."""
    groups = [x] if label is None else [x[label == k] for k in label.unique()]
    distances = torch.cat([torch.pdist(group.flatten(1)) for group in groups])
    return float(distances.mean()) if len(distances) else 0.0
