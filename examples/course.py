"""A first course on generative models, as a script: `python examples/course.py [--out course] [--quick]`.

Each section prints what it found and most write a picture. It needs `pip install '.[cli,torch,data,viz]'` and runs on
the bundled models; only sections 3 and 4 build a PyTorch network, to show what a sampler without genfast has to do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
from sklearn.svm import SVC
from torch import nn

import genfast as gf
from genfast.zoo.data import digits
from genfast.zoo.pixelcnn import PixelCNN

matplotlib.use("Agg")
LABELS = np.arange(10)


def title(text: str) -> None:
    print(f"\n=== {text}")


def save(out: Path, name: str) -> None:
    plt.tight_layout()
    plt.savefig(out / f"{name}.png", dpi=90, metadata={"Software": None})
    plt.close()


def show(out: Path, name: str, rows: dict[str, np.ndarray]) -> None:
    """A picture of rows of images (n, 8, 8) or (n, 1, 8, 8) in [0, 1], each with its title before it."""
    figure, axes = plt.subplots(len(rows), 1, figsize=(6.5, 0.52 * len(rows)))
    for axis, (text, images) in zip(axes, rows.items(), strict=True):
        padded = np.pad(images.reshape(-1, 8, 8).clip(0, 1), ((0, 0), (0, 1), (0, 1)), constant_values=1)
        axis.imshow(padded.transpose(1, 0, 2).reshape(9, -1)[:-1, :-1], cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(0.3, 0.01, 0.99, 0.99, hspace=0.08)
    figure.savefig(out / f"{name}.png", dpi=90, metadata={"Software": None})
    plt.close(figure)


def seconds(call: Callable[[], object], times: int = 15) -> float:
    """The median of several calls, after one to warm up."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


# %% 1. One variable
def inverse_cdf(out: Path) -> None:
    title("1. One variable: X = F⁻¹(U)")
    u = gf.Stream(0).uniforms(1, 100_000)[0]
    gamma = gf.Gamma(2, 1)
    x = gamma.icdf(u)
    again = abs(gamma.cdf(x) - u).max()
    print(f"mean {x.mean():.3f} (2), variance {x.var():.3f} (2); F(X) is U again, to {again:.0e}")
    t = np.linspace(0, 8, 200)
    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    left.plot(t, gamma.cdf(t))
    for v in (0.1, 0.5, 0.9):
        left.plot([0, gamma.icdf(v), gamma.icdf(v)], [v, v, 0], color="gray", lw=0.8)
    left.set(title="u on the axis of F, x = F⁻¹(u) below", xlabel="x", ylabel="F(x)")
    right.hist(x, 100, density=True)
    right.plot(t, np.exp(gamma.log_prob(t)))
    right.set(title="100,000 uniforms through F⁻¹", xlabel="x", xlim=(0, 8))
    save(out, "1-inverse-cdf")


# %% 2. Several variables
def chain_rule(out: Path) -> None:
    title("2. Several variables: u[1] gives x[1], u[2] gives x[2] given x[1]")
    joint = gf.Chain([gf.Normal(0, 1), lambda x: gf.Normal(x[:, 0] ** 2, 0.3)])
    u = gf.Stream(1).uniforms(2000, 2)
    x = joint.inverse_rosenblatt(u)
    back = joint.rosenblatt(x)
    print(f"the Rosenblatt transform takes the points back to their uniforms to {abs(back - u).max():.0e}")
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    left.scatter(*u.T, s=2)
    left.set(title="uniforms")
    right.scatter(*x.T, s=2)
    right.set(title="x[2] lies around x[1]²")
    save(out, "2-chain-rule")


# %% 3. An image, a pixel at a time
@torch.no_grad()
def pixel_by_pixel(net: nn.Module, u: torch.Tensor) -> torch.Tensor:
    """The loop that the chain rule asks for: the whole network, once a pixel. Levels (n, 1, 28, 28)."""
    x = torch.zeros(u.shape)
    levels = torch.zeros(u.shape, dtype=torch.long)
    for i in range(u.shape[2]):
        for j in range(u.shape[3]):
            cdf = net(x)[:, :, i, j].double().softmax(1).cumsum(1)
            levels[:, 0, i, j] = (cdf < u[:, :, i, j]).sum(1).clamp(max=cdf.shape[1] - 1)
            x[:, :, i, j] = levels[:, :, i, j] / (cdf.shape[1] - 1)
    return levels


def cost(out: Path, quick: bool) -> None:
    title("3. An image: the chain rule over its pixels, and what it costs")
    torch.manual_seed(0)
    size = 12 if quick else 28
    net = PixelCNN(levels=16, channels=32, blocks=4).eval()
    u = gf.Stream(2).uniforms(1, size * size)
    start = time.perf_counter()
    slow = pixel_by_pixel(net, torch.from_numpy(u).reshape(1, 1, size, size))
    naive = time.perf_counter() - start
    with torch.no_grad():
        once = seconds(lambda: net(torch.zeros(1, 1, size, size)))
    print(f"a {size}×{size} image in PyTorch, one thread: {naive:.2f} s; the network once: {once * 1e3:.2f} ms")

    title("4. The solution: compute every activation once")
    model = gf.compile(net, torch.zeros(1, 1, size, size), head=gf.heads.Categorical(16))
    ours = seconds(lambda: model.sample(1, u=u))
    same = float((model.sample(1, u=u) == slow.numpy()).mean())
    print(f"compiled: {ours * 1e3:.2f} ms, {naive / ours:.0f} times faster; {same:.1%} of the pixels are the same\n")
    print(model.explain())
    plt.figure(figsize=(5, 2))
    plt.barh(["pixel by pixel", "the network once", "genfast"], [naive, once, ours])
    plt.xscale("log")
    plt.xlabel("seconds for one image")
    save(out, "4-cost")


def pixels(out: Path) -> None:
    title_of = {
        "digits-independent": "independent pixels",
        "digits-pixelcnn": "PixelCNN",
        "digits": "Gated PixelCNN",
        "digits-imagegpt": "ImageGPT",
    }
    rows = {}
    print("\ntrained on digits, in bits that a pixel of a new image takes (17 levels, all as likely: 4.09):")
    for name, text in title_of.items():
        model = gf.load(name)
        rows[text] = model.sample(10, rng=0, condition={"label": LABELS}) / 16
        print(f"  {text:20}{model.meta['figures']['bits/dim']:.2f}")
    known = np.zeros((1, 8, 8), bool)
    known[:, :4] = True
    three = (rows["Gated PixelCNN"][3] * 16).astype(int)
    rows["ten lower halves of its 3"] = (
        gf.load("digits").complete(three, known=known, n=10, rng=1, condition={"label": 3}) / 16
    )
    show(out, "4-digits", rows)


# %% 5. GPT
def text() -> None:
    title("5. GPT: the same chain rule over characters")
    model = gf.load("alice")
    letters = model.meta["vocabulary"]
    prompt = [letters.index(character) for character in "Alice was "]
    for temperature in (0.5, 1.0):
        tokens = model.sample(1, rng=0, prompt=prompt, temperature=temperature, max_tokens=150)[0]
        print(f"temperature {temperature}: {''.join(letters[t] for t in tokens)!r}")


# %% 6. Autoencoder
def wanted(images: np.ndarray, asked: np.ndarray) -> float:
    """How often the bundled classifier sees the digit that was asked for."""
    return float((gf.load("digits-classifier").apply(images).argmax(1) == asked).mean())


def autoencoder(out: Path) -> None:
    title("6. Autoencoder: decode a random code")
    data = digits()
    test, labels = data.test[:10] / np.float32(16), data.test_labels[:10]
    codes = gf.load("digits-autoencoder-encoder").apply(test)
    decoder = gf.load("digits-autoencoder")
    back = decoder.apply(codes, condition={"label": labels})
    error = np.mean((back - test) ** 2)
    print(f"ten test images, encoded to {codes.shape[1]} numbers and decoded: mean squared error {error:.4f}")
    rows = {"test images": test, "encoded and decoded": back}
    first, second = np.flatnonzero(labels == labels[0])[:2]
    rows[f"from a {labels[0]} to another"] = gf.interpolate(
        decoder, codes[first], codes[second], 10, condition={"label": labels[0]}
    )
    asked = np.repeat(LABELS, 50)
    for name, text in (
        ("digits-autoencoder", "codes from N(0, 1)"),
        ("digits-autoencoder-fitted", "codes from a fitted density"),
        ("digits-vae", "VAE, codes from N(0, 1)"),
    ):
        images = gf.load(name).sample(len(asked), rng=0, condition={"label": asked})
        rows[text] = images[::50]
        print(f"{text}: a classifier sees the wanted digit in {wanted(images, asked):.0%}")
    show(out, "6-autoencoder", rows)


# %% 7. Classifier
def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def bits(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean bits a pixel of images in [0, 1] under the Gated PixelCNN."""
    levels = np.rint(images.clip(0, 1) * 16).astype(int)
    return float(gf.load("digits").bits_per_dim(levels, condition={"label": labels}).mean())


def ascent(out: Path) -> None:
    title("7. A classifier, turned round: start from noise, climb log p(digit | image)")
    asked = np.repeat(LABELS, 10)
    told = {"label": asked}
    images, start = gf.load("digits-classifier-ascent").sample(100, rng=0, condition=told, return_latent=True)
    sure = softmax(gf.load("digits-classifier").apply(images))[np.arange(100), asked]
    before, after = bits(start.reshape(images.shape), asked), bits(images, asked)
    data = digits()
    second = SVC().fit(data.train.reshape(-1, 64) / 16, data.train_labels)
    fooled = second.score(images.reshape(-1, 64), asked)
    known = second.score(data.test.reshape(-1, 64) / 16, data.test_labels)
    print(f"the classifier is sure of all 100 images: {sure.min():.2%} at least")
    print(f"a second one, a support vector machine, right for {known:.0%} of the test images, agrees with {fooled:.0%}")
    print(f"a density model: {after:.1f} bits a pixel; {before:.1f} for the noise at the start, 1.6 for a digit")
    show(out, "7-ascent", {"noise": start[::10], "200 steps later": images[::10]})


# %% 8. GAN
def gan(out: Path) -> None:
    title("8. GAN: a generator and a classifier of real and fake, trained against each other")
    asked = np.repeat(LABELS, 100)
    images = gf.load("digits-gan").sample(len(asked), rng=0, condition={"label": asked})
    print(f"a classifier that it has never met sees the wanted digit in {wanted(images, asked):.0%}")
    print(f"the density model: {bits(images, asked):.1f} bits a pixel")
    show(out, "8-gan", {str(label): images[asked == label][:10] for label in LABELS})


# %% 9. Uses
def uses(out: Path, quick: bool) -> None:
    title("9. What it is for: direct generation, and training data")
    per_class = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        gf.generate("digits-gan", folder, per_class=per_class, seed=0)
        taken = time.perf_counter() - start
        (file,) = Path(folder).glob("*.npz")
        made, size = np.load(file), file.stat().st_size
        extra, extra_labels = made["samples"][:1000].reshape(-1, 64), made["labels"][:1000]
    print(f"{10 * per_class:,} labelled images in {taken:.2f} s, {size / 1e6:.1f} MB; the same bytes on any machine")

    data = digits()
    train, test = data.train.reshape(-1, 64) / 16, data.test.reshape(-1, 64) / 16
    sizes, seeds = (20, 50, 100, 200, 500, 1000), range(1 if quick else 5)
    real, both = np.zeros((2, len(sizes), len(seeds)))
    for i, n in enumerate(sizes):
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(train))
            rows = np.concatenate([order[data.train_labels[order] == label][: n // 10] for label in LABELS])
            x, y = train[rows], data.train_labels[rows]
            real[i, seed] = SVC().fit(x, y).score(test, data.test_labels)
            more = SVC().fit(np.concatenate([x, extra]), np.concatenate([y, extra_labels]))
            both[i, seed] = more.score(test, data.test_labels)
    alone = SVC().fit(extra, extra_labels).score(test, data.test_labels)
    print("test images classified right, by the number of real images in training:")
    for n, a, b in zip(sizes, real.mean(1), both.mean(1), strict=True):
        print(f"  {n:4}: {a:.1%} alone, {b:.1%} with 1,000 generated ones")
    print(f"     0: {alone:.1%} with 1,000 generated ones")
    print("but the generator itself has seen 1,438 real ones; a fair trial: docs/augmentation.md")
    plt.figure(figsize=(5, 2.6))
    plt.errorbar(sizes, real.mean(1), real.std(1), label="real")
    plt.errorbar(sizes, both.mean(1), both.std(1), label="real and 1,000 generated")
    plt.axhline(alone, color="gray", ls=":", label="generated only")
    plt.xscale("log")
    plt.xlabel("real images in training")
    plt.ylabel("test accuracy")
    plt.legend(fontsize=8)
    save(out, "9-uses")


def main() -> None:
    parser = argparse.ArgumentParser(description="A first course on generative models.")
    parser.add_argument("--out", type=Path, default=Path("course"), help="folder of the pictures")
    parser.add_argument("--quick", action="store_true", help="smaller images where PyTorch is slow")
    options = parser.parse_args()
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # one thread each: times can be compared
    gf.set_num_threads(1)
    inverse_cdf(out)
    chain_rule(out)
    cost(out, options.quick)
    pixels(out)
    text()
    autoencoder(out)
    ascent(out)
    gan(out)
    uses(out, options.quick)


if __name__ == "__main__":
    main()
