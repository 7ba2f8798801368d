"""The pictures of docs/distributions.md: python docs/pictures.py (needs matplotlib and scipy)."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import qmc

import genfast as gf

IMAGES = Path(__file__).parent / "images"


def density() -> None:
    """A histogram of NumericalInverse's draws against the density it was given."""

    def pdf(x):
        return np.exp(-0.5 * (x + 2) ** 2) + 0.6 * np.exp(-2 * np.abs(x - 1.5)) + 0.3 * (np.abs(x - 4) < 0.5)

    d = gf.NumericalInverse(pdf=pdf, domain=(-8.0, 8.0), points=(1.5, 3.5, 4.5))
    draws = d.sample((1_000_000,), rng=0)
    x = np.linspace(-6, 6, 2001)
    figure, axis = plt.subplots(figsize=(6, 3))
    axis.hist(draws, bins=400, range=(-6, 6), density=True, color="0.75", label="10⁶ draws, seed 0")
    axis.plot(x, np.exp(d.log_prob(x)), lw=1, label="the density given to NumericalInverse")
    axis.set(xlabel="x", ylabel="density")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(IMAGES / "density.png", dpi=120)


def copula() -> None:
    """A Student-t copula with gamma and beta marginals, and the same uniforms through independent ones."""
    marginals = [gf.Gamma(2.0, 1.0), gf.Beta(2.0, 5.0)]
    joint = gf.StudentTCopula([[1.0, 0.8], [0.8, 1.0]], 3.0, marginals)
    u = gf.Stream(0).uniforms(4000, 2)
    together = joint.sample(4000, u=u)
    apart = np.stack([d.icdf(u[:, k]) for k, d in enumerate(marginals)], axis=1)
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharex=True, sharey=True)
    for axis, points, title in zip(
        axes, (apart, together), ("independent", "Student-t copula, ρ = 0.8, 3 df"), strict=True
    ):
        axis.scatter(points[:, 0], points[:, 1], s=1.5, alpha=0.5, lw=0)
        axis.set(title=title, xlabel="Gamma(2, 1)", xlim=(0, 10))
    axes[0].set_ylabel("Beta(2, 5)")
    figure.tight_layout()
    figure.savefig(IMAGES / "copula.png", dpi=120)


def convergence() -> None:
    """The same integral with random and with Sobol' uniforms: what monotone inversion keeps."""
    loc, cov = np.zeros(4), 0.5 * np.eye(4) + 0.5
    joint = gf.MultivariateNormal(loc, cov)
    exact = float(np.exp(0.5 * (np.ones(4) / 4) @ cov @ (np.ones(4) / 4)))

    def error(u) -> float:
        return abs(float(np.exp(joint.sample(len(u), u=u).mean(axis=1)).mean()) - exact)

    sizes, repeats = 2 ** np.arange(6, 17), 20
    monte_carlo = [np.sqrt(np.mean([error(gf.Stream(s).uniforms(n, 4)) ** 2 for s in range(repeats)])) for n in sizes]
    sobol = [
        np.sqrt(np.mean([error(qmc.Sobol(4, rng=np.random.default_rng(s)).random(n)) ** 2 for s in range(repeats)]))
        for n in sizes
    ]
    figure, axis = plt.subplots(figsize=(5, 3.4))
    axis.loglog(sizes, monte_carlo, "o-", ms=3, label="gf.Stream (Monte Carlo)")
    axis.loglog(sizes, sobol, "s-", ms=3, label="scipy.stats.qmc.Sobol, scrambled")
    axis.loglog(sizes, monte_carlo[0] * (sizes / sizes[0]) ** -0.5, "k:", lw=0.8, label="n^(−1/2), n^(−1)")
    axis.loglog(sizes, sobol[0] * (sizes / sizes[0]) ** -1.0, "k:", lw=0.8)
    axis.set(xlabel="points n", ylabel="RMS error over 20 seeds", title="E exp(mean of a 4-d normal)")
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(IMAGES / "qmc.png", dpi=120)


if __name__ == "__main__":
    density()
    copula()
    convergence()
