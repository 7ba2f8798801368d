"""What two classifiers and a density say of the images that gradient ascent makes on one of them.

The ascent climbs log p(label | image) of `digits-classifier` from noise. The judge was trained apart from it, with
another seed and architecture, and never attacked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import genfast as gf
from genfast.zoo import metrics
from genfast.zoo.classifier import ASCENT
from genfast.zoo.comparison_measures import Reference, to_levels, unit

EACH = 20


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities of rows of logits (n, classes)."""
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def opinion(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, float]:
    """What a classifier says of images that are to be of these labels: mean and smallest probability of the label, and
    the share of images whose label is the most probable."""
    asked = probabilities[np.arange(len(labels)), labels]
    return {
        "confidence": float(asked.mean()),
        "least": float(asked.min()),
        "agrees": float((probabilities.argmax(1) == labels).mean()),
    }


def fooling(reference: Reference, seed: int) -> dict[str, Any]:
    """Figures of the ascent's images, of the GAN's where it is bundled, and of test images, by set of images; and one
    example for each class."""
    data = reference.dataset
    assert data.test_labels is not None
    ascent, classifier = gf.load("digits-classifier-ascent"), gf.load("digits-classifier")
    labels = np.repeat(np.arange(data.classes), EACH)
    made, start = ascent.sample(len(labels), rng=seed, condition={"label": labels}, return_latent=True)
    sets: dict[str, tuple[NDArray[Any], NDArray[np.int64]]] = {
        "noise it starts from": (start.reshape(made.shape), labels),
        "after the ascent": (made, labels),
    }
    if "digits-gan" in gf.models():
        gan = gf.load("digits-gan").sample(len(labels), rng=seed, condition={"label": labels})
        sets["GAN"] = gan.reshape(made.shape), labels
    sets["test images"] = unit(data.test, data.levels), data.test_labels
    figures, examples = {}, []
    for title, (images, asked) in sets.items():
        attacked = softmax(classifier.apply(images))
        judged = reference.judge.look(images)[1]
        rounded = to_levels(images, data.levels)
        figures[title] = {
            "attacked": opinion(attacked, asked),
            "judge": opinion(judged, asked),
            "bits": float(gf.load("digits").bits_per_dim(rounded, condition={"label": asked}).mean()),
            "nearest": float(np.median(metrics.nearest(images, unit(data.train, data.levels))[0])),
        }
        if title == "after the ascent":
            for i in range(0, len(asked), EACH):
                examples.append(
                    {
                        "label": int(asked[i]),
                        "start": np.round(start.reshape(made.shape)[i, 0], 3).tolist(),
                        "image": rounded[i, 0].tolist(),
                        "confidence": float(attacked[i, asked[i]]),
                        "judged": int(judged[i].argmax()),
                        "judged_confidence": float(judged[i].max()),
                    }
                )
    return {"images": figures, "examples": examples, "steps": f"{ASCENT['steps']} steps of {ASCENT['optimizer']}"}
