"""What the course says of its generators, on the bundled models: the gradient's images fool the classifier and look
like noise to anybody else; the GAN's do not. Everything is seeded, so nothing here can fail by chance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import genfast as gf

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

LABELS = np.repeat(np.arange(10), 20)


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return {
        name: gf.load(f"digits-{name}").sample(len(LABELS), rng=0, condition={"label": LABELS})
        for name in ("classifier-ascent", "gan")
    }


def confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability of the wanted label, (n,), of logits (n, 10)."""
    weights = np.exp(logits.astype(float) - logits.max(1, keepdims=True))
    return weights[np.arange(len(labels)), labels] / weights.sum(1)


def bits(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Bits per dimension, (n,), of images in [0, 1] under the bundled Gated PixelCNN, which has never seen them."""
    levels = np.rint(np.clip(images, 0, 1) * 16).astype(np.int64)
    return -gf.load("digits").log_prob(levels, condition={"label": labels}) / (64 * np.log(2))


def test_ascent_makes_the_classifier_sure(images: dict[str, np.ndarray]) -> None:
    logits = gf.load("digits-classifier").apply(images["classifier-ascent"])
    assert confidence(logits, LABELS).min() > 0.99


def test_its_images_are_less_likely_than_if_all_levels_were_as_likely(images: dict[str, np.ndarray]) -> None:
    equal = np.log2(17)
    assert np.quantile(bits(images["classifier-ascent"], LABELS), 0.05) > equal
    assert np.quantile(bits(images["gan"], LABELS), 0.95) < equal


def test_its_images_are_far_from_data(images: dict[str, np.ndarray]) -> None:
    from genfast.zoo.data import digits

    train, test = (part.reshape(len(part), -1) / 16 for part in (digits().train, digits().test))

    def distances(x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(x.reshape(len(x), 1, -1) - train, axis=2).min(1)

    real = np.quantile(distances(test), 0.99)
    assert np.quantile(distances(images["classifier-ascent"]), 0.01) > 1.5 * real
    assert np.quantile(distances(images["gan"]), 0.9) < real


def test_a_second_classifier_is_not_fooled(images: dict[str, np.ndarray]) -> None:
    from genfast.zoo.data import digits
    from genfast.zoo.recipes import RECIPES
    from genfast.zoo.train import train

    recipe = dataclasses.replace(RECIPES["classifier"].recipe, kind="perceptron", seed=1)
    judge = train(digits(), recipe, threads=1).model
    with torch.no_grad():
        said = {name: confidence(judge(torch.from_numpy(x)).numpy(), LABELS) for name, x in images.items()}
    assert np.median(said["classifier-ascent"]) < 0.5
    assert np.median(said["gan"]) > 0.9


def test_the_gan_has_not_collapsed(images: dict[str, np.ndarray]) -> None:
    """Most of its images are of their class, and within a class they differ as real ones do, to a third."""
    from genfast.zoo.data import digits

    data, x = digits(), images["gan"]
    right = gf.load("digits-classifier").apply(x).argmax(1) == LABELS
    assert right.mean() > 0.9
    assert all(right[label == LABELS].mean() > 0.5 for label in range(10))

    def spread(rows: np.ndarray) -> float:
        rows = rows.reshape(len(rows), -1)
        return float(np.linalg.norm(rows[:, None] - rows[None], axis=2).mean())

    for label in range(10):
        real = spread(data.test[data.test_labels == label] / 16)
        assert spread(x[label == LABELS]) > 2 / 3 * real, label
