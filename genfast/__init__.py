"""genfast: a sample is a deterministic function of uniforms, computed fast."""

from genfast import heads
from genfast._core import cpu_target, num_threads
from genfast.distributions import Distribution, Exponential, Normal, NumericalInverse, Uniform
from genfast.errors import Error, FormatError, NotCausalError, NumericalError, UnsupportedOpError
from genfast.model import Model, compile, load, models, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "Distribution",
    "Error",
    "Exponential",
    "FormatError",
    "Model",
    "Normal",
    "NotCausalError",
    "NumericalError",
    "NumericalInverse",
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
