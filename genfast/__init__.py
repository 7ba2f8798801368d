"""genfast: a sample is a deterministic function of uniforms, computed fast."""

from typing import Any

from genfast import heads
from genfast._core import cpu_target, num_threads
from genfast.distributions import (
    Cauchy,
    Distribution,
    Exponential,
    Gumbel,
    HalfNormal,
    Kumaraswamy,
    Laplace,
    Logistic,
    LogNormal,
    Normal,
    NumericalInverse,
    Pareto,
    Rayleigh,
    Triangular,
    Uniform,
    Weibull,
)
from genfast.errors import Error, FormatError, NotCausalError, NumericalError, UnsupportedOpError
from genfast.model import Model, compile, load, models, set_num_threads
from genfast.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "Cauchy",
    "Distribution",
    "Error",
    "Exponential",
    "FormatError",
    "Gumbel",
    "HalfNormal",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "Logistic",
    "Model",
    "Normal",
    "NotCausalError",
    "NumericalError",
    "NumericalInverse",
    "Pareto",
    "Philox",
    "Rayleigh",
    "Stream",
    "Triangular",
    "Uniform",
    "UnsupportedOpError",
    "Weibull",
    "compile",
    "cpu_target",
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
