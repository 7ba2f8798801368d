"""docs/comparison.md, written from the figures that the comparison measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

IMAGES = "images/comparison"

INTRODUCTION = """\
# The generators of digits, compared

This page is written by one command, figures and pictures included:

    {command}

Every generator is a bundled model, trained on the same {train} images (scikit-learn's 8×8 digits, 17 grey levels),
and is told which digit to draw. It draws {sets} sets of {images} images, with the labels of the test images. What a
network puts out between two grey levels is rounded to the nearer one first, so that no generator is known by its
greys.

## How to read the figures

- **bits/dim**: −log₂ of the probability of a test image, a pixel; only where the model knows it. Less is better.
- **Fréchet**: the distance between generated and training images in the {features} features of a classifier, the
  *judge*, as normal distributions ([Heusel et al. 2017](https://arxiv.org/abs/1706.08500)). Less is better. It is no
  FID: the judge is not Inception, and {images} images are few; compare with the test images' row.
- **precision, recall**: the share of generated images among the training images in the judge's features, and the
  other way round ([Kynkäänniemi et al. 2019](https://arxiv.org/abs/1904.06991), k = 3). The first is quality, the
  second diversity.
- **accuracy**: how often the judge sees the digit that was asked for. **classes**: 2 to the entropy of what it sees;
  {classes} is all of them equally often.
- **spread**: the mean distance of two images of a class, over that of the training images. A collapsed generator has 0.
- **nearest**: the median distance to the nearest training image, pixels from 0 to 1. **closer**: the probability that
  a generated image is nearer to the training images than a test image is
  ([Meehan et al. 2020](https://arxiv.org/abs/2004.05675)); 0.5 is right, 1 means copies, or images blurred towards
  the mean.

The judge is trained by this command on the same training images, apart from the bundled models: its own seed and
architecture. It classifies {accuracy:.1%} of the test images correctly. ± is the standard deviation between the
{sets} sets, each against its own {images} training images.

"""

TIMES = """\
## Time of an image

The same network in PyTorch and in genfast: one thread of {cpu}, f32, torch {torch}, genfast's target {target};
medians of up to {repeats} warm calls. PyTorch's networks have untrained weights, which does not change the time. An
autoregressive network is sampled in PyTorch by the usual loop, a forward pass for each pixel; a decoder by one pass;
the ascent by its loop over autograd.
"""

FOOLING = """\
## Images that fool a classifier

`digits-classifier-ascent` starts from noise and follows the gradient of log p(digit | image) of `digits-classifier`,
{steps}. The result does not look like a digit, and the classifier is sure of it. The Gated PixelCNN, which knows what
images are probable, gives it more bits than if every grey level were as likely (log₂ 17 = 4.09 a pixel), and the
training images are far away. The judge was trained apart and never attacked; where it agrees all the same, the attack
carries over to it, as such attacks between networks trained on the same images do
([Szegedy et al. 2014](https://arxiv.org/abs/1312.6199)). The same figures of the GAN's images and of test images stand
beside it.

![the start, the result, and what two classifiers say of it]({folder}/fooling.png)

"""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def plus_minus(pair: Sequence[float], digits: int) -> str:
    return f"{pair[0]:.{digits}f} ± {pair[1]:.{digits}f}"


def figure_row(title: str, entry: dict[str, Any]) -> list[str]:
    bits, bound = entry.get("bits"), entry.get("bound")
    known = "" if bits is None else f"{bits:.3f}"
    return [
        title,
        known or ("" if bound is None else f"≤ {bound:.3f}"),
        plus_minus(entry["frechet"], 2),
        plus_minus(entry["precision"], 2),
        plus_minus(entry["recall"], 2),
        "" if entry["accuracy"] is None else f"{entry['accuracy']:.1%}",
        f"{2 ** entry['entropy']:.1f}",
        f"{entry['spread']:.2f}",
        f"{entry['nearest'][2]:.2f}",
        f"{entry['closer_share']:.2f}",
    ]


def seconds(value: float) -> str:
    """Three significant digits in a fitting unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1 or unit == "µs":
            return f"{value * scale:.3g} {unit}"
    raise AssertionError


def time_rows(generators: dict[str, Any]) -> list[list[str]]:
    rows = []
    for entry in generators.values():
        for batch, both in entry.get("times", {}).items():
            ours, theirs = both["genfast"], both["torch"]
            rows.append([entry["title"], batch, both["how"], seconds(theirs), seconds(ours), f"{theirs / ours:.1f}"])
    return rows


def fooling_rows(images: dict[str, Any]) -> list[list[str]]:
    rows = []
    for title, each in images.items():
        attacked, judge = each["attacked"], each["judge"]
        rows.append(
            [
                title,
                f"{attacked['confidence']:.2%} ({attacked['least']:.2%})",
                f"{judge['confidence']:.1%}",
                f"{judge['agrees']:.1%}",
                f"{each['bits']:.2f}",
                f"{each['nearest']:.2f}",
            ]
        )
    return rows


def page(result: dict[str, Any]) -> str:
    """The whole page, of what `genfast.zoo.comparison.compare` returns."""
    settings, generators = result["settings"], result["generators"]
    out = [
        INTRODUCTION.format(
            command=result["command"],
            train=result["data"]["train"],
            classes=result["data"]["classes"],
            features=result["judge"]["features"],
            accuracy=result["judge"]["test_accuracy"],
            sets=settings["sets"],
            images=settings["images"],
        )
    ]
    rows = [figure_row("test images", result["real"])]
    rows += [figure_row(entry["title"], entry) for entry in generators.values()]
    head = ["", "bits/dim", "Fréchet", "precision", "recall", "accuracy", "classes", "spread", "nearest", "closer"]
    out.append(table(head, rows))
    if any(entry.get("bound") is not None for entry in generators.values()):
        out.append("\n≤: an upper bound, the evidence bound of the VAE.\n")
    timed = time_rows(generators)
    if timed:
        out.append("\n" + TIMES.format(**result["machine"], repeats=settings["repeats"]) + "\n")
        out.append(table(["", "batch", "PyTorch's way", "PyTorch, an image", "genfast, an image", "ratio"], timed))
    out.append(
        "\n## Distances to the training images\n\n"
        "Boxes from the first to the third quartile, whiskers from 5 % to 95 %; the line is the test images' "
        "median.\n\n"
        f"![distances to the nearest training image]({IMAGES}/distances.png)\n"
    )
    out.append(
        "\n## Images\n\nThe first samples of the seed, none chosen: a row for each digit. Beside them, the first three "
        "of each row in order, each above the training image that is nearest to it.\n"
    )
    for name, title in [("real", "test images"), *((name, entry["title"]) for name, entry in generators.items())]:
        of = "" if name == "real" else f" (`{name}`)"
        out.append(f"\n**{title}**{of}\n\n![{title}]({IMAGES}/{name}.png) ![nearest]({IMAGES}/{name}-nearest.png)\n")
    if "fooling" in result:
        out.append("\n" + FOOLING.format(folder=IMAGES, steps=result["fooling"]["steps"]))
        head = [
            "",
            "attacked classifier: mean (least) confidence",
            "judge: confidence",
            "judge: agrees",
            "bits/dim, Gated PixelCNN",
            "nearest",
        ]
        out.append(table(head, fooling_rows(result["fooling"]["images"])))
    return "".join(out)
