"""A first course on generative models, as a script: `python examples/course.py [--out course] [--quick]`.

Each section prints what it found and writes a picture. It needs `pip install '.[cli,torch,data,viz]'` and runs on the
bundled models; only sections 3 and 4 build a PyTorch network, to show what a sampler without genfast has to do.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib import pyplot as plt
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


def grid(axis: plt.Axes, images: np.ndarray, columns: int) -> None:
    """Images (n, H, W) side by side, as many a row as `columns`."""
    n, height, width = images.shape
    padded = np.pad(images.astype(float) / images.max(), ((0, 0), (0, 1), (0, 1)))
    rows = padded.reshape(n // columns, columns, height + 1, width + 1).transpose(0, 2, 1, 3)
    axis.imshow(rows.reshape(n // columns * (height + 1), -1), cmap="gray", vmin=0, vmax=1)
    axis.axis("off")


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
    pixel_by_pixel(net, torch.zeros(1, 1, 4, 4))  # PyTorch is slow at first
    start = time.perf_counter()
    slow = pixel_by_pixel(net, torch.from_numpy(u).reshape(1, 1, size, size))
    naive = time.perf_counter() - start
    start = time.perf_counter()
    with torch.no_grad():
        net(torch.zeros(1, 1, size, size))
    once = time.perf_counter() - start
    print(f"a {size}×{size} image, pixel by pixel in PyTorch: {naive:.2f} s; the network once: {once * 1e3:.1f} ms")

    title("4. The solution: compute every activation once")
    model = gf.compile(net, torch.zeros(1, 1, size, size), head=gf.heads.Categorical(16))
    model.sample(1, u=u)
    start = time.perf_counter()
    fast = model.sample(1, u=u)
    ours = time.perf_counter() - start
    same = float((fast == slow.numpy()).mean())
    print(f"compiled: {ours * 1e3:.2f} ms, {naive / ours:.0f} times faster; {same:.1%} of the pixels are the same\n")
    print(model.explain())
    plt.figure(figsize=(5, 2))
    plt.barh(["pixel by pixel", "the network once", "genfast"], [naive, once, ours])
    plt.xscale("log")
    plt.xlabel("seconds for one image")
    save(out, "4-cost")


def pixels(out: Path) -> None:
    model = gf.load("digits")
    images = model.sample(10, rng=0, condition={"label": LABELS})[:, 0]
    known = np.zeros((1, 8, 8), bool)
    known[:, :4] = True
    halves = model.complete(images[3][None], known=known, n=10, rng=1, condition={"label": 3})[:, 0]
    _, (above, below) = plt.subplots(2, 1, figsize=(7, 2))
    grid(above, images, 10)
    grid(below, halves, 10)
    save(out, "4-digits")
    print("a Gated PixelCNN's digits, and ten lower halves for the upper half of one of them: 4-digits.png")


# %% 5. GPT
def text() -> None:
    title("5. GPT: the same chain rule over characters")
    model = gf.load("alice")
    letters = model.meta["vocabulary"]
    for temperature in (0.5, 1.0):
        tokens = model.sample(1, rng=4, temperature=temperature, max_tokens=150)[0]
        print(f"temperature {temperature}: {''.join(letters[t] for t in tokens)[:150]!r}")


# %% 6. Autoencoder
def autoencoder(out: Path) -> None:
    title("6. Autoencoder: decode a random code")
    test = digits().test[:10, 0] / np.float32(16)
    encoder = gf.load("digits-autoencoder-encoder")
    codes = encoder.apply(test[:, None])
    naive, fitted = (gf.load(name) for name in ("digits-autoencoder", "digits-autoencoder-fitted"))
    labels = digits().test_labels[:10]
    back = naive.apply(codes, condition={"label": labels})
    print(f"encoded and decoded: mean squared error {((back[:, 0] - test) ** 2).mean():.4f}")
    judge = gf.load("digits-classifier")
    asked = np.repeat(LABELS, 50)
    for model, name in ((naive, "from N(0, 1)"), (fitted, "from the fitted density")):
        drawn = model.sample(500, rng=0, condition={"label": asked})
        print(
            f"codes {name}: a classifier sees the wanted digit in {(judge.apply(drawn).argmax(1) == asked).mean():.0%}"
        )
    between = gf.interpolate(naive, codes[0], codes[2], 10, condition={"label": int(labels[0])})
    rows = [test, back[:, 0]]
    rows += [m.sample(10, rng=0, condition={"label": LABELS})[:, 0] for m in (naive, fitted)]
    plt.figure(figsize=(7, 4))
    grid(plt.gca(), np.clip(np.concatenate([*rows, between[:, 0]]), 0, 1), 10)
    plt.title("test images; decoded again; codes of N(0, 1); fitted codes; from one six to another", fontsize=9)
    save(out, "6-autoencoder")


# %% 7. Classifier
def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def ascent(out: Path) -> None:
    title("7. A classifier, turned round: start from noise, climb log p(digit | image)")
    model, classifier, density = (gf.load(n) for n in ("digits-classifier-ascent", "digits-classifier", "digits"))
    images, start = model.sample(10, rng=0, condition={"label": LABELS}, return_latent=True)
    sure = softmax(classifier.apply(images))[LABELS, LABELS]
    levels = np.rint(images * 16).astype(int)
    bits = density.bits_per_dim(levels, condition={"label": LABELS})
    print(f"the classifier is sure of all ten: {sure.min():.2%} at least")
    print(f"a density model is not: {bits.mean():.1f} bits a pixel, where noise has {np.log2(17):.1f} and a digit 1.6")
    plt.figure(figsize=(7, 2))
    grid(plt.gca(), np.clip(np.concatenate([start.reshape(10, 8, 8), images[:, 0]]), 0, 1), 10)
    plt.title("noise, and 200 steps later: 0, 1, … 9 to the classifier", fontsize=9)
    save(out, "7-ascent")


# %% 8. GAN
def gan(out: Path) -> None:
    title("8. GAN: a generator and a classifier of real and fake, trained against each other")
    model, classifier = gf.load("digits-gan"), gf.load("digits-classifier")
    asked = np.repeat(LABELS, 100)
    images = model.sample(len(asked), rng=0, condition={"label": asked})
    right = (classifier.apply(images).argmax(1) == asked).mean()
    print(f"the classifier, which it has never met, sees the wanted digit in {right:.0%}")
    plt.figure(figsize=(5, 5))
    grid(plt.gca(), np.clip(images.reshape(10, 100, 8, 8)[:, :10].reshape(100, 8, 8), 0, 1), 10)
    save(out, "8-gan")


# %% 9. Uses
def uses(out: Path, quick: bool) -> None:
    title("9. What it is for: direct generation, and training data")
    per_class = 100 if quick else 1000
    start = time.perf_counter()
    told = gf.generate("digits-gan", out / "data", per_class=per_class, seed=0)
    seconds = time.perf_counter() - start
    files = sorted((out / "data").glob("*.npz"))
    print(
        f"{10 * per_class:,} labelled images in {seconds:.2f} s, in {len(files)} file(s); the same bytes on any machine"
    )
    assert told
    print("whether a classifier learns from them: docs/augmentation.md")


def main() -> None:
    parser = argparse.ArgumentParser(description="A first course on generative models.")
    parser.add_argument("--out", type=Path, default=Path("course"), help="folder of the pictures")
    parser.add_argument("--quick", action="store_true", help="smaller images where PyTorch is slow")
    options = parser.parse_args()
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
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
