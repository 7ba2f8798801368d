"""The registry of recipes: what `genfast train NAME` can learn, with its default settings."""

from __future__ import annotations

from dataclasses import dataclass

from genfast.zoo.autoencoder import AutoencoderRecipe
from genfast.zoo.classifier import ClassifierRecipe
from genfast.zoo.gan import GANRecipe
from genfast.zoo.pixel_recipes import GatedRecipe, ImageGPTRecipe, IndependentRecipe, MADERecipe, PixelCNNRecipe
from genfast.zoo.task import Recipe
from genfast.zoo.text_task import TextRecipe
from genfast.zoo.vae import VAERecipe


@dataclass(frozen=True)
class Entry:
    """A recipe with its defaults. `kind`: what `genfast models` calls the model. `data`: "images"
    (`genfast.zoo.data.Dataset`) or "text" (`genfast.zoo.text.Text`)."""

    recipe: Recipe
    kind: str
    data: str = "images"


RECIPES: dict[str, Entry] = {
    "independent": Entry(IndependentRecipe(), "independent pixels"),
    "pixelcnn": Entry(PixelCNNRecipe(), "PixelCNN"),
    "gated": Entry(GatedRecipe(), "Gated PixelCNN"),
    "imagegpt": Entry(ImageGPTRecipe(), "ImageGPT"),
    "made": Entry(MADERecipe(), "MADE"),
    "autoencoder": Entry(AutoencoderRecipe(), "autoencoder"),
    "vae": Entry(VAERecipe(), "VAE"),
    "classifier": Entry(ClassifierRecipe(), "classifier"),
    "gan": Entry(GANRecipe(), "GAN"),
    "wgan": Entry(GANRecipe(loss="wasserstein", penalty=10.0, critic_steps=3), "WGAN-GP"),
    "text": Entry(TextRecipe(), "GPT of characters", "text"),
}
