"""What the tests of sampling on devices draw from: parameters of every family, rows of logits, filters."""

from __future__ import annotations

import numpy as np

from genfast import _core

FUNCTIONS = ("icdf", "iccdf", "cdf", "ccdf", "log_prob")

ALL = (1 << 31) - 1

# Of every family a few parameter sets, the second with what makes formulas change.
PARAMETERS: dict[str, list[tuple[float, ...]]] = {
    "Uniform": [(-1.0, 2.0), (0.0, 1e-300)],
    "Normal": [(0.3, 2.0), (-1e6, 1e-3)],
    "LogNormal": [(0.1, 0.5), (0.0, 30.0)],
    "HalfNormal": [(2.0,), (1e-5,)],
    "Exponential": [(3.0,), (1e-200,)],
    "Laplace": [(1.0, 2.0), (0.0, 1e100)],
    "Logistic": [(1.0, 2.0), (-5.0, 0.01)],
    "Cauchy": [(0.0, 1.0), (3.0, 1e-8)],
    "Gumbel": [(0.0, 1.0), (2.0, 7.0)],
    "Weibull": [(1.5, 2.0), (0.1, 1.0)],
    "Pareto": [(1.0, 2.0), (0.05, 1.0)],
    "Rayleigh": [(1.0,), (1e3,)],
    "Triangular": [(0.0, 0.3, 1.0), (-1.0, -1.0, 1.0)],
    "Kumaraswamy": [(2.0, 3.0), (0.1, 20.0)],
    "Gamma": [(2.5, 1.0), (0.02, 3.0), (1e5, 1.0)],
    "InverseGamma": [(3.0, 1.0), (0.3, 2.0)],
    "Chi2": [(4.0,), (0.5,)],
    "Beta": [(2.0, 3.0), (0.05, 0.2), (700.0, 900.0)],
    "F": [(4.0, 7.0), (0.5, 300.0)],
    "StudentT": [(3.0, 0.0, 1.0), (0.3, 1.0, 2.0), (1e5, 0.0, 1.0)],
    "Poisson": [(7.3,), (0.0,), (12345.6,)],
    "Binomial": [(20.0, 0.3), (100000.0, 0.001), (5.0, 1.0)],
    "NegativeBinomial": [(5.0, 0.4), (0.1, 0.01)],
    "Geometric": [(0.2,), (1.0,)],
    "Bernoulli": [(0.3,), (0.0,)],
    "DiscreteUniform": [(0.0, 9.0), (-5.0, -5.0)],
    "Hypergeometric": [(10.0, 20.0, 12.0), (500.0, 3.0, 400.0)],
    "VonMises": [(0.0, 2.0), (1.0, 0.0), (0.5, 500.0)],
}
EDGES = [0.0, 1.0, 0.5, 5e-324, 1e-300, 1e-45, 1e-30, 1 - 2.0**-53, 1 - 2.0**-24, 0.1352, 0.8647]


def arguments(family: str, function: str, params: list[np.ndarray]) -> np.ndarray:
    """701 of them, which no block divides, with whatever is at an edge."""
    u = np.random.default_rng(7).random(701)
    u[: len(EDGES)] = EDGES
    if function in ("icdf", "iccdf"):
        return u
    x = np.empty_like(u)
    _core.distributions.evaluate(family, "icdf", u, params, x)
    x[11:20] = [np.nan, np.inf, -np.inf, -1.0, 0.0, -0.0, 1e308, 5e-324, 0.5]
    return x


def spoilt(z: np.ndarray) -> np.ndarray:
    """Some -inf everywhere; of five rows or more, four without a distribution."""
    rng = np.random.default_rng(3)
    z[rng.random(z.shape) < 0.1] = -np.inf
    z[0, 0] = 0.0
    if len(z) >= 5:
        z[1] = -np.inf
        z[2, 0] = np.nan
        z[3, -1] = np.inf
        z[4, z.shape[1] // 2] = -np.nan
    return z


SHAPES = [(1, 1, 1), (5, 7, 3), (33, 16, 1), (9, 1000, 2), (300, 3, 1), (17, 257, 1), (3, 5000, 1), (1, 1000, 5000)]


def structured(style: str, rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(columns)
    if style == "smooth":
        return spoilt(rng.standard_normal((rows, columns)) * 3)
    if style == "equal":
        return np.zeros((rows, columns))
    if style == "ties":
        return rng.integers(0, 4, (rows, columns)).astype(float)
    if style == "eighths":  # sums that meet a target exactly
        return np.log(rng.integers(1, 5, (rows, columns)) / 8.0)
    if style == "halving":
        return np.broadcast_to(-np.arange(columns) * np.log(2.0), (rows, columns)).copy()
    sparse = rng.standard_normal((rows, columns)) * 3
    sparse[rng.random(sparse.shape) < 0.6] = -np.inf
    sparse[:, 0] = 0.0
    return sparse


FILTERS = [
    (3, 1.0, 0.0),
    (1, 0.3, 0.0),
    (300, 0.9, 0.01),
    (100, 1 - 1e-16, 0.0),
    (5, 0.7, 0.3),
    (7, 0.25, 0.0),
    (ALL, 0.9, 0.0),
    (ALL, 0.5, 0.0),
    (ALL, 0.75, 0.5),
    (ALL, 0.0, 0.0),
    (ALL, 1 - 1e-16, 0.0),
    (ALL, 1.0, 0.1),
]
