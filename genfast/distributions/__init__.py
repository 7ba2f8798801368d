"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from genfast.distributions.base import Distribution
from genfast.distributions.continuous import Exponential, Normal, Uniform
from genfast.distributions.numerical_inverse import NumericalInverse

__all__ = ["Distribution", "Exponential", "Normal", "NumericalInverse", "Uniform"]
