"""genfast: a sample is a deterministic function of uniforms, computed fast.

Uniforms      Stream, Philox; every `rng=` also takes an int seed, a NumPy generator or a SciPy QMC engine
Continuous    Uniform, Normal, LogNormal, HalfNormal, Exponential, Laplace, Logistic, Cauchy, Gumbel, Weibull, Pareto,
              Rayleigh, Triangular, Kumaraswamy, VonMises, StudentT, Gamma, InverseGamma, Chi2, Beta, F
Discrete      Bernoulli, Binomial, Geometric, NegativeBinomial, Poisson, Hypergeometric, DiscreteUniform, Categorical
Made of them  Truncated, Mixture, Affine, Discretized; from_scipy, from_torch; NumericalInverse for any density
Joints        Chain; MultivariateNormal, GaussianMixture, DiscreteBayesNet, MarkovChain, GaussianCopula, StudentTCopula
Models        compile, load, models, Model, heads: causal PyTorch networks as incremental samplers, and decoders
              interpolate: what a decoder makes of the latents between two
              compile_ascent: gradient ascent on a classifier
Data sets     generate: labelled samples by the million, in files
Errors        Error and below it FormatError, NotCausalError, NumericalError, UnsupportedOpError, DeviceError,
              DeviceMemoryError
Machine       cpu_target, num_threads, set_num_threads; devices

Every distribution is a `Distribution` (icdf, iccdf, cdf, ccdf, log_prob, sample, mean, var, support), every joint a
`Joint` (sample, log_prob, rosenblatt, inverse_rosenblatt).
"""

from typing import TYPE_CHECKING

try:
    from genfast import _core as _core
except ImportError as error:
    from importlib.util import find_spec

    if find_spec("genfast._core") is not None:  # built, and broken: its own error says more
        raise
    raise ImportError(
        f"{__path__[0]} holds genfast's source and no built library: to use an installed genfast, start Python in "
        "another folder or with -P (python -P -m …); to use this one, pip install -e ."
    ) from error

from genfast._core import cpu_target, num_threads
from genfast.devices import devices
from genfast.errors import (
    DeviceError,
    DeviceMemoryError,
    Error,
    FormatError,
    NotCausalError,
    NumericalError,
    UnsupportedOpError,
)
from genfast.lazy import exports

if TYPE_CHECKING:
    from genfast import distributions as distributions
    from genfast import heads
    from genfast import joints as joints
    from genfast._philox import Philox
    from genfast.ascent import compile_ascent
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
    from genfast.generation import generate
    from genfast.interpolation import interpolate
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
    "DeviceError",
    "DeviceMemoryError",
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
    "compile_ascent",
    "cpu_target",
    "devices",
    "from_scipy",
    "from_torch",
    "generate",
    "heads",
    "interpolate",
    "load",
    "models",
    "num_threads",
    "set_num_threads",
]


if not TYPE_CHECKING:  # which knows the names, and would take every misspelt one
    __getattr__ = exports(
        globals(),
        {
            "genfast._philox": ("Philox",),
            "genfast.ascent": ("compile_ascent",),
            "genfast.chain": ("Chain",),
            "genfast.distributions": (
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
            ),
            "genfast.generation": ("generate",),
            "genfast.interpolation": ("interpolate",),
            "genfast.joints": (
                "DiscreteBayesNet",
                "GaussianCopula",
                "GaussianMixture",
                "Joint",
                "MarkovChain",
                "MultivariateNormal",
                "StudentTCopula",
            ),
            "genfast.model": ("Model", "compile", "load", "models", "set_num_threads"),
            "genfast.stream": ("Stream",),
        },
        modules=("distributions", "heads", "joints", "model", "stream"),
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
