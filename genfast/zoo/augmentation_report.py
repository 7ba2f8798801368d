"""The figures of `genfast.zoo.augmentation` as a table, a picture and a page of the docs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import genfast as gf

Cells = dict[str, dict[str, float]]

ARMS = {"both": "N real and generated", "generated": "generated alone"}
AGAINST = {"real": "real images alone", "half": "half a batch of real images"}
SHIFTED = "shifted copies"  # no generator, but what any must beat


def figures(cells: Cells, name: str, n: int, figure: str) -> dict[int, float]:
    """A figure of one generator ("real": of the real images) and N, by seed."""
    found = (key.rsplit("/", 2) for key in cells)
    return {
        int(seed): cells[f"{name}/{n}/{seed}"][figure]
        for each, size, seed in found
        if (each, size) == (name, str(n)) and figure in cells[f"{name}/{n}/{seed}"]
    }


def estimate(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error, which is NaN of a single value."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return float(np.mean(values)), float(error)


def gain(cells: Cells, name: str, n: int, against: str = "real") -> tuple[float, float]:
    """How much more the classifier gets right with the generated images beside the real ones than with these alone, in
    batches as large ("real") or as many of them in a batch ("half"): the mean over the seeds of the difference, which
    share real images and first weights, and half the width of its 95% interval by Student's t, NaN of one seed."""
    both, real = figures(cells, name, n, "both"), figures(cells, "real", n, against)
    differences = [both[seed] - real[seed] for seed in sorted(both.keys() & real.keys())]
    if len(differences) < 2:
        return (differences[0] if differences else np.nan), np.nan
    mean, error = estimate(differences)
    return mean, error * float(gf.StudentT(len(differences) - 1.0).icdf(0.975))


def shown(mean: float, error: float) -> str:
    """Percentages."""
    return f"{100 * mean:.1f}" + ("" if np.isnan(error) else f" ± {100 * error:.1f}")


def table(settings: dict[str, Any], cells: Cells) -> str:
    """Test accuracy in percent, mean and standard error over the seeds, as Markdown."""
    sizes = [n for n in settings["sizes"] if figures(cells, "real", n, "real")]
    lines = ["| trained on | " + " | ".join(f"N = {n}" for n in sizes) + " |", "| --- |" + " --- |" * len(sizes)]

    def row(title: str, name: str, figure: str) -> None:
        values = [list(figures(cells, name, n, figure).values()) for n in sizes]
        if not any(values):
            return
        lines.append(f"| {title} | " + " | ".join(shown(*estimate(v)) if v else "" for v in values) + " |")

    row("**N real images**", "real", "real")
    row("**N real images, half the batch**", "real", "half")
    for figure, arm in ARMS.items():
        lines.append(f"| *{arm}* |" + " |" * len(sizes))
        for name in settings["generators"]:
            row(name, name, figure)
    return "\n".join(lines)


def verdicts(settings: dict[str, Any], cells: Cells) -> list[str]:
    """In words, for each N: where generated images beside the real ones help and hurt, by 95% intervals that leave out
    zero, and how far generated ones alone fall behind."""
    out = []
    for n in settings["sizes"]:
        names = [name for name in settings["generators"] if figures(cells, name, n, "both")]
        if not names or not figures(cells, "real", n, "real"):
            continue
        said = []
        for against, title in AGAINST.items():
            gains = {name: gain(cells, name, n, against) for name in names}
            helps = [f"{name} (+{100 * m:.1f} ± {100 * e:.1f})" for name, (m, e) in gains.items() if m > e]
            hurts = [f"{name} (−{-100 * m:.1f} ± {100 * e:.1f})" for name, (m, e) in gains.items() if -m > e]
            if any(np.isfinite(e) for _, e in gains.values()):
                said.append(f"Against {title}: helps {', '.join(helps) or 'none'}; hurts {', '.join(hurts) or 'none'}.")
        real, _ = estimate(list(figures(cells, "real", n, "real").values()))
        alone = {name: estimate(list(figures(cells, name, n, "generated").values()))[0] for name in names}
        best, worst = max(alone, key=alone.__getitem__), min(alone, key=alone.__getitem__)
        said.append(
            f"Alone, against {100 * real:.1f} of the real images: from {100 * alone[worst]:.1f} ({worst}) to "
            f"{100 * alone[best]:.1f} ({best})."
        )
        out.append(f"- **N = {n}.** {' '.join(said)}")
    return out


def signs(settings: dict[str, Any], cells: Cells, against: str) -> str:
    """How many comparisons of generators, of those over several seeds, are below and above zero, and how many with
    their whole 95% intervals."""
    pairs = [(name, n) for name in settings["generators"] if name != SHIFTED for n in settings["sizes"]]
    found = [pair for name, n in pairs if np.isfinite((pair := gain(cells, name, n, against))[1])]
    below, above = sum(m < 0 for m, _ in found), sum(m > 0 for m, _ in found)
    all_below, all_above = sum(-m > e for m, e in found), sum(m > e for m, e in found)  # the whole interval
    return (
        f"Of {len(found)} comparisons of a generator with {AGAINST[against]}, {below} are below zero ({all_below} with "
        f"the whole interval) and {above} above ({all_above} with the whole interval)."
    )


def draw(settings: dict[str, Any], cells: Cells, path: Path) -> None:
    """Accuracy over N for every generator, one panel an arm, error bars of one standard error. Raises
    ModuleNotFoundError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = [n for n in settings["sizes"] if figures(cells, "real", n, "real")]
    figure, panels = pyplot.subplots(1, 2, figsize=(13, 4.6))
    colours = pyplot.get_cmap("tab20")
    real = [estimate(list(figures(cells, "real", n, "real").values())) for n in sizes]
    for panel, (arm, title) in zip(panels, ARMS.items(), strict=True):
        means, errors = np.array(real).T
        panel.errorbar(sizes, 100 * means, 100 * errors, color="black", linewidth=2.5, capsize=3, label="real images")
        for i, name in enumerate(settings["generators"]):
            held = [(n, *estimate(v)) for n in sizes if (v := list(figures(cells, name, n, arm).values()))]
            if not held:
                continue
            at, means, errors = np.array(held).T
            # Side by side, or the bars would hide each other.
            at = at * 1.012 ** (i - len(settings["generators"]) / 2)
            panel.errorbar(at, 100 * means, 100 * errors, color=colours(i % 20), capsize=2, linewidth=1.2, label=name)
        panel.set_xscale("log")
        panel.set_xticks(sizes, [str(n) for n in sizes])
        panel.minorticks_off()
        panel.set_xlabel("real images N")
        panel.set_title(title)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("test accuracy, %")
    panels[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def page(settings: dict[str, Any], cells: Cells) -> str:
    """The page of the docs."""
    seeds = max((int(key.rsplit("/", 1)[1]) for key in cells), default=-1) + 1
    sampled = [c["sampling_seconds"] for c in cells.values() if "sampling_seconds" in c]
    trained = [c["training_seconds"] for c in cells.values() if "training_seconds" in c]
    cost = (
        f"All {len(trained)} trainings of generators took {sum(trained) / 60:.0f} minutes ({np.median(trained):.1f} s "
        f"in the median; one busy thread), and a generator's {settings['generated']} images are sampled by "
        f"genfast in {np.median(sampled):.3f} s."
        if sampled
        else ""
    )
    return f"""# What generated training data is good for

Written by `python -P -m genfast.zoo.augmentation -o docs/` from what it computed (`augmentation.json`).

The data are scikit-learn's handwritten digits, 8×8. From the training images N are chosen, equally many of each class.
A generator is trained on these N images **and no others** ({settings["steps"]} steps; the sizes of the networks are in
`genfast/zoo/augmentation.py`), compiled, and asked for {settings["generated"]} images, equally many of each class. Then
the same small convolutional network, from the same first weights, takes {settings["classifier_steps"]} steps of batches
of {settings["batch"]}: of real images; half of real and half of generated ones; of generated ones alone. The table has
its accuracy on the test images, in percent: mean ± standard error over {seeds} seeds, which choose the images,
the first weights and the uniforms; without ± it is of one seed. *Shifted copies* is no generator: the real images moved
by one pixel, which is what a generator must be better than to be worth its training.

*Half the batch* is training on the real images alone in batches of {settings["batch"] // 2}: what the real half of a
mixed batch teaches by itself. It tells the harm of generated images from that of seeing fewer real ones.

The budgets are small: this says what a generator of a few seconds is good for, not what the best one would be.
*gated (5 × steps)* shows how much hangs on them. {cost}

{table(settings, cells)}

![test accuracy over N](images/augmentation.png)

## What comes out

Differences in percentage points, paired by seed, whose 95% interval (Student's t; after the ±) leaves out zero. With so
few seeds the intervals are wide, and *none* means not shown rather than not there; of each hundred comparisons without
any effect, about five would be listed. *Half the batch* and *5 × steps* were added after the rest had been seen, to
find out why it came out as it did.

{chr(10).join(verdicts(settings, cells))}

{" ".join(signs(settings, cells, against) for against in AGAINST)}
"""
