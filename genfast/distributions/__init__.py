"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from typing import TYPE_CHECKING

from genfast.lazy import exports

if TYPE_CHECKING:
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

if not TYPE_CHECKING:  # which knows the names, and would take every misspelt one
    __getattr__ = exports(
        globals(),
        {
            "genfast.distributions.affine": ("Affine",),
            "genfast.distributions.base": ("Distribution",),
            "genfast.distributions.categorical": ("Categorical",),
            "genfast.distributions.circular": ("VonMises",),
            "genfast.distributions.continuous": (
                "Cauchy",
                "Exponential",
                "Gumbel",
                "HalfNormal",
                "Kumaraswamy",
                "Laplace",
                "Logistic",
                "LogNormal",
                "Normal",
                "Pareto",
                "Rayleigh",
                "Triangular",
                "Uniform",
                "Weibull",
            ),
            "genfast.distributions.convert": (
                "from_scipy",
                "from_torch",
            ),
            "genfast.distributions.discrete": (
                "Bernoulli",
                "Binomial",
                "DiscreteUniform",
                "Geometric",
                "Hypergeometric",
                "NegativeBinomial",
                "Poisson",
            ),
            "genfast.distributions.discretized": ("Discretized",),
            "genfast.distributions.gamma_beta": (
                "Beta",
                "Chi2",
                "F",
                "Gamma",
                "InverseGamma",
                "StudentT",
            ),
            "genfast.distributions.mixture": ("Mixture",),
            "genfast.distributions.numerical_inverse": ("NumericalInverse",),
            "genfast.distributions.truncated": ("Truncated",),
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
