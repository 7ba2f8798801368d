"""Distributions with batched parameters: quantiles, probabilities, densities, draws and moments."""

from genfast.distributions.categorical import Categorical

__all__ = ["Categorical"]
