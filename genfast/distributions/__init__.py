"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from genfast.distributions.base import Distribution
from genfast.distributions.continuous import (
    Cauchy,
    Exponential,
    Gumbel,
    HalfNormal,
    Kumaraswamy,
    Laplace,
    Logistic,
    LogNormal,
    Normal,
    Pareto,
    Rayleigh,
    Triangular,
    Uniform,
    Weibull,
)
from genfast.distributions.numerical_inverse import NumericalInverse

__all__ = [
    "Cauchy",
    "Distribution",
    "Exponential",
    "Gumbel",
    "HalfNormal",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Normal",
    "NumericalInverse",
    "Pareto",
    "Rayleigh",
    "Triangular",
    "Uniform",
    "Weibull",
]
