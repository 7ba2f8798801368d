"""genfast: a sample is a deterministic function of uniforms, computed fast."""

from typing import Any

from genfast import heads
from genfast._core import cpu_target, num_threads
from genfast.chain import Chain
from genfast.distributions import (
    Affine,
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Cauchy,
    Chi2,
    DiscreteUniform,
    Discretized,
    Distribution,
    Exponential,
    F,
    Gamma,
    Geometric,
    Gumbel,
    HalfNormal,
    Hypergeometric,
    InverseGamma,
    Kumaraswamy,
    Laplace,
    Logistic,
    LogNormal,
    Mixture,
    NegativeBinomial,
    Normal,
    NumericalInverse,
    Pareto,
    Poisson,
    Rayleigh,
    StudentT,
    Triangular,
    Truncated,
    Uniform,
    VonMises,
    Weibull,
    from_scipy,
    from_torch,
)
from genfast.errors import Error, FormatError, NotCausalError, NumericalError, UnsupportedOpError
from genfast.joints import (
    DiscreteBayesNet,
    GaussianCopula,
    GaussianMixture,
    Joint,
    MarkovChain,
    MultivariateNormal,
    StudentTCopula,
)
from genfast.model import Model, compile, load, models, set_num_threads
from genfast.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "Affine",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chain",
    "Chi2",
    "DiscreteBayesNet",
    "DiscreteUniform",
    "Discretized",
    "Distribution",
    "Error",
    "Exponential",
    "F",
    "FormatError",
    "Gamma",
    "GaussianCopula",
    "GaussianMixture",
    "Geometric",
    "Gumbel",
    "HalfNormal",
    "Hypergeometric",
    "InverseGamma",
    "Joint",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "MarkovChain",
    "Mixture",
    "Model",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "NotCausalError",
    "NumericalError",
    "NumericalInverse",
    "Pareto",
    "Philox",
    "Poisson",
    "Rayleigh",
    "Stream",
    "StudentT",
    "StudentTCopula",
    "Triangular",
    "Truncated",
    "Uniform",
    "UnsupportedOpError",
    "VonMises",
    "Weibull",
    "compile",
    "cpu_target",
    "from_scipy",
    "from_torch",
    "heads",
    "load",
    "models",
    "num_threads",
    "set_num_threads",
]


def __getattr__(name: str) -> Any:
    # Philox subclasses a class of numpy.random, whose import takes longer than genfast's own.
    if name == "Philox":
        from genfast._philox import Philox

        globals()[name] = Philox
        return Philox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
