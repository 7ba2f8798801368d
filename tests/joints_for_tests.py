"""Small joints of every kind, without SciPy or torch: quick to import in a subprocess."""

from __future__ import annotations

import numpy as np

import genfast as gf

COV = np.array([[2.0, 0.5, -0.3], [0.5, 1.0, 0.4], [-0.3, 0.4, 1.5]])
MEAN = np.array([1.0, -2.0, 0.5])
CORR = np.array([[1.0, 0.7, -0.2], [0.7, 1.0, 0.3], [-0.2, 0.3, 1.0]])
SPRINKLER = [
    ((), [0.8, 0.2]),
    ((0,), [[0.6, 0.4], [0.99, 0.01]]),
    ((1, 0), [[[1.0, 0.0], [0.2, 0.8]], [[0.1, 0.9], [0.01, 0.99]]]),
]


def gaussian_mixture() -> gf.GaussianMixture:
    return gf.GaussianMixture(
        [0.3, 0.5, 0.0, 0.2],
        [[0.0, 0.0], [3.0, 1.0], [9.0, 9.0], [-2.0, 4.0]],
        [[[1, 0.5], [0.5, 1]], [[0.5, -0.3], [-0.3, 2]], [[1, 0], [0, 1]], [[0.1, 0.05], [0.05, 0.3]]],
    )


def continuous() -> dict[str, gf.Joint]:
    return {
        "MultivariateNormal": gf.MultivariateNormal(MEAN, COV),
        "GaussianMixture": gaussian_mixture(),
        "GaussianCopula": gf.GaussianCopula(CORR, [gf.Exponential(2.0), gf.Normal(1, 3), gf.Uniform(-1, 1)]),
        "StudentTCopula": gf.StudentTCopula(CORR, 4.5, [gf.Exponential(2.0), gf.Normal(1, 3), gf.Uniform(-1, 1)]),
    }


def discrete() -> dict[str, gf.Joint]:
    return {
        "DiscreteBayesNet": gf.DiscreteBayesNet(SPRINKLER),
        "MarkovChain": gf.MarkovChain([0.5, 0.0, 0.5], [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.0, 0.0, 1.0]], 4),
    }
