"""genfast: a sample is a deterministic function of uniforms, computed fast."""

from genfast import heads
from genfast._core import cpu_target, num_threads
from genfast.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Chi2,
    DiscreteUniform,
    Distribution,
    Exponential,
    F,
    Gamma,
    Geometric,
    Hypergeometric,
    InverseGamma,
    NegativeBinomial,
    Normal,
    Poisson,
    StudentT,
    Uniform,
)
from genfast.errors import Error, FormatError, NotCausalError, NumericalError, UnsupportedOpError
from genfast.model import Model, compile, load, models, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Chi2",
    "DiscreteUniform",
    "Distribution",
    "Error",
    "Exponential",
    "F",
    "FormatError",
    "Gamma",
    "Geometric",
    "Hypergeometric",
    "InverseGamma",
    "Model",
    "NegativeBinomial",
    "Normal",
    "NotCausalError",
    "NumericalError",
    "Poisson",
    "StudentT",
    "Uniform",
    "UnsupportedOpError",
    "compile",
    "cpu_target",
    "heads",
    "load",
    "models",
    "num_threads",
    "set_num_threads",
]
