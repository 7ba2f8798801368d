"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from genfast.distributions.base import Distribution
from genfast.distributions.continuous import Exponential, Normal, Uniform
from genfast.distributions.discrete import (
    Bernoulli,
    Binomial,
    DiscreteUniform,
    Geometric,
    Hypergeometric,
    NegativeBinomial,
    Poisson,
)
from genfast.distributions.gamma_beta import Beta, Chi2, F, Gamma, InverseGamma, StudentT

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Chi2",
    "DiscreteUniform",
    "Distribution",
    "Exponential",
    "F",
    "Gamma",
    "Geometric",
    "Hypergeometric",
    "InverseGamma",
    "NegativeBinomial",
    "Normal",
    "Poisson",
    "StudentT",
    "Uniform",
]
