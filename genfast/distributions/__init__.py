"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from genfast.distributions.affine import Affine
from genfast.distributions.base import Distribution
from genfast.distributions.categorical import Categorical
from genfast.distributions.circular import VonMises
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
from genfast.distributions.convert import from_scipy, from_torch
from genfast.distributions.discrete import (
    Bernoulli,
    Binomial,
    DiscreteUniform,
    Geometric,
    Hypergeometric,
    NegativeBinomial,
    Poisson,
)
from genfast.distributions.discretized import Discretized
from genfast.distributions.gamma_beta import Beta, Chi2, F, Gamma, InverseGamma, StudentT
from genfast.distributions.mixture import Mixture
from genfast.distributions.numerical_inverse import NumericalInverse
from genfast.distributions.truncated import Truncated

__all__ = [
    "Affine",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "DiscreteUniform",
    "Discretized",
    "Distribution",
    "Exponential",
    "F",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "Hypergeometric",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Mixture",
    "NegativeBinomial",
    "Normal",
    "NumericalInverse",
    "Pareto",
    "Poisson",
    "Rayleigh",
    "StudentT",
    "Triangular",
    "Truncated",
    "Uniform",
    "VonMises",
    "Weibull",
    "from_scipy",
    "from_torch",
]
