"""Distributions of scipy.stats and torch.distributions as genfast's. Neither library is imported: their objects are
recognised by class, and asked for their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genfast.device_arrays import described
from genfast.distributions.base import Distribution

__all__ = ["as_distribution", "from_scipy", "from_torch"]


def as_distribution(x: Any, name: str) -> Distribution:
    """`x` if it is a Distribution, else what `from_scipy` or `from_torch` make of it.

    Raises
    ------
    TypeError
        If it is none of these; the message calls it `name`. For unsupported distributions as `from_scipy`,
        `from_torch`.
    ValueError
        If parameters of it lie on a GPU.
    """
    if isinstance(x, Distribution):
        for parameter, there in x._elsewhere.items():
            raise ValueError(f"{name} is computed with on the CPU, and its {parameter} is {described(there)}")
        return x
    if _is_scipy(x):
        return from_scipy(x)
    if _is_torch(x):
        return from_torch(x)
    raise TypeError(
        f"{name} must be a genfast, frozen scipy.stats or torch.distributions distribution, got {_type_name(x)}"
    )


def from_scipy(frozen: Any) -> Distribution:
    """The distribution with the parameters of a frozen scipy.stats one.

    Parameters
    ----------
    frozen : scipy.stats.rv_frozen, or a scipy.stats.Normal or Uniform object
        Such as ``scipy.stats.gamma(2.5, scale=3)``; array parameters make a batch.

    Returns
    -------
    Distribution
        Where genfast's has no loc or scale of its own, an `Affine` of it; where SciPy truncates, a `Truncated`. The
        circle of ``vonmises`` is cut opposite to its loc.

    Raises
    ------
    TypeError
        If `frozen` is no such object, or there is no counterpart: the message names the distribution.
    ValueError
        If SciPy itself calls the parameters invalid.

    Examples
    --------
    >>> gf.from_scipy(scipy.stats.gamma(2.5, scale=3))
    Gamma(shape=2.5, scale=3.0)
    """
    if not _is_scipy(frozen):
        raise TypeError(f"from_scipy takes a frozen scipy.stats distribution, got {_type_name(frozen)}")
    if not hasattr(frozen, "dist"):
        name = type(frozen).__name__
        if name not in _SCIPY_NEW:
            raise _no_counterpart(f"scipy.stats.{name}")
        return _SCIPY_NEW[name](frozen)
    name = frozen.dist.name
    builder = _SCIPY.get(name)
    if builder is None or type(frozen.dist).__module__ not in _SCIPY_MODULES:
        raise _no_counterpart(f"scipy.stats.{name or type(frozen.dist).__name__}")
    shapes, loc, scale = frozen.dist._parse_args(*frozen.args, **frozen.kwds)
    return builder(*shapes, loc=_numbers(loc), scale=_numbers(scale))


def from_torch(distribution: Any) -> Distribution:
    """The distribution with the parameters of a torch.distributions one, translated to genfast's conventions.

    Parameters
    ----------
    distribution : torch.distributions.Distribution
        Tensor parameters, on a GPU too, make a batch; they are read once, as float64.

    Returns
    -------
    Distribution
        Where torch's counts from 0 and ours from 1 (Geometric), an `Affine` of it; `MixtureSameFamily` is a `Mixture`.
        The circle of `VonMises` is cut opposite to its loc, where torch wraps draws into [-pi, pi).

    Raises
    ------
    TypeError
        If it is no such object, or there is no counterpart: the message names the distribution.

    Examples
    --------
    >>> gf.from_torch(torch.distributions.Gamma(torch.tensor(2.5), torch.tensor(0.5)))  # torch's rate 0.5 is scale 2
    Gamma(shape=2.5, scale=2.0)
    """
    if not _is_torch(distribution):
        raise TypeError(f"from_torch takes a torch.distributions object, got {_type_name(distribution)}")
    name = type(distribution).__name__
    if name not in _TORCH:
        raise _no_counterpart(f"torch.distributions.{name}")
    return _TORCH[name](distribution)


_SCIPY_MODULES = ("scipy.stats._continuous_distns", "scipy.stats._discrete_distns")


def _is_scipy(x: Any) -> bool:
    module = type(x).__module__
    if not module.startswith("scipy.stats."):
        return False
    return module == "scipy.stats._new_distributions" or all(hasattr(x, a) for a in ("dist", "args", "kwds"))


def _is_torch(x: Any) -> bool:
    return type(x).__module__.startswith("torch.distributions.") and hasattr(x, "batch_shape")


def _type_name(x: Any) -> str:
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


def _no_counterpart(name: str) -> TypeError:
    return TypeError(
        f"genfast has no counterpart of {name}; a continuous one can be inverted: genfast.NumericalInverse(...)"
    )


def _numbers(x: Any) -> np.ndarray:
    """A parameter, NumPy or torch of any float dtype, as a float64 copy."""
    if type(x).__module__.split(".")[0] == "torch":
        x = x.detach().to("cpu").double().numpy()
    return np.array(x, np.float64)


def _class(name: str) -> Callable[..., Distribution]:
    import genfast.distributions

    found = getattr(genfast.distributions, name, None)
    if found is None:
        raise _no_counterpart(name)
    return found


def _shifted(d: Distribution, loc: np.ndarray, scale: Any = 1.0) -> Distribution:
    if not np.any(loc != 0) and np.ndim(loc) == 0 and np.ndim(scale) == 0 and scale == 1:
        return d
    return _class("Affine")(d, loc, scale)


# --- scipy: builders take the shape parameters, then loc and scale.


def _located(name: str) -> Callable[..., Distribution]:
    """For classes whose last two parameters are loc and scale."""
    return lambda *shapes, loc, scale: _class(name)(*shapes, loc, scale)


def _scaled(name: str) -> Callable[..., Distribution]:
    """For classes whose last parameter is the scale."""
    return lambda *shapes, loc, scale: _shifted(_class(name)(*shapes, scale), loc)


def _plain(name: str, sign: int = 1) -> Callable[..., Distribution]:
    """For classes without loc and scale; `sign` -1 mirrors them."""
    return lambda *shapes, loc, scale: _shifted(_class(name)(*shapes), loc, sign * scale)


def _counted(make: Callable[..., Distribution]) -> Callable[..., Distribution]:
    """For discrete classes, which SciPy shifts by an integer loc."""
    return lambda *shapes, loc, scale: _shifted(make(*map(_numbers, shapes)), loc)


def _scipy_lognorm(s: Any, *, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    return _shifted(_class("LogNormal")(np.log(scale), s), loc)


def _scipy_triang(c: Any, *, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    return _class("Triangular")(loc, loc + c * scale, loc + scale)


def _scipy_truncnorm(a: Any, b: Any, *, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    return _shifted(_class("Truncated")(_class("Normal")(), a, b), loc, scale)


def _scipy_truncexpon(b: Any, *, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    return _shifted(_class("Truncated")(_class("Exponential")(), 0.0, b), loc, scale)


def _scipy_vonmises(kappa: Any, *, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    if (scale == 1).all():
        return _class("VonMises")(loc, kappa)
    return _shifted(_class("VonMises")(0.0, kappa), loc, scale)


def _mirrored_gumbel(*, loc: np.ndarray, scale: np.ndarray) -> Distribution:
    return _class("Affine")(_class("Gumbel")(), loc, -scale)


_SCIPY: dict[str, Callable[..., Distribution]] = {
    "norm": _located("Normal"),
    "uniform": lambda *, loc, scale: _class("Uniform")(loc, loc + scale),
    "lognorm": _scipy_lognorm,
    "halfnorm": _scaled("HalfNormal"),
    "expon": _scaled("Exponential"),
    "laplace": _located("Laplace"),
    "logistic": _located("Logistic"),
    "cauchy": _located("Cauchy"),
    "gumbel_r": _located("Gumbel"),
    "gumbel_l": _mirrored_gumbel,
    "weibull_min": _scaled("Weibull"),
    "weibull_max": _plain("Weibull", -1),
    "pareto": _scaled("Pareto"),
    "rayleigh": _scaled("Rayleigh"),
    "triang": _scipy_triang,
    "t": _located("StudentT"),
    "gamma": _scaled("Gamma"),
    "erlang": _scaled("Gamma"),
    "invgamma": _scaled("InverseGamma"),
    "chi2": _plain("Chi2"),
    "beta": _plain("Beta"),
    "f": _plain("F"),
    "vonmises": _scipy_vonmises,
    "vonmises_line": _scipy_vonmises,
    "truncnorm": _scipy_truncnorm,
    "truncexpon": _scipy_truncexpon,
    "bernoulli": _counted(lambda p: _class("Bernoulli")(p)),
    "binom": _counted(lambda n, p: _class("Binomial")(n, p)),
    "geom": _counted(lambda p: _class("Geometric")(p)),
    "nbinom": _counted(lambda n, p: _class("NegativeBinomial")(n, p)),
    "poisson": _counted(lambda mu: _class("Poisson")(mu)),
    "hypergeom": _counted(lambda total, good, draws: _class("Hypergeometric")(good, total - good, draws)),
    "randint": _counted(lambda low, high: _class("DiscreteUniform")(low, high - 1)),
}

_SCIPY_NEW: dict[str, Callable[[Any], Distribution]] = {
    "Normal": lambda d: _class("Normal")(d.mu, d.sigma),
    "StandardNormal": lambda d: _class("Normal")(),
    "Uniform": lambda d: _class("Uniform")(d.a, d.b),
}


# --- torch: builders take the distribution.


def _same(name: str, *attributes: str) -> Callable[[Any], Distribution]:
    """For distributions whose parameters mean the same, in this order."""
    return lambda d: _class(name)(*(_numbers(getattr(d, a)) for a in attributes))


def _failure(d: Any) -> np.ndarray:
    """1 - probs, from the logits where those are what the distribution was given."""
    if "logits" in vars(d):
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(_numbers(d.logits)))
    return 1.0 - _numbers(d.probs)


def _success(d: Any) -> np.ndarray:
    if "logits" in vars(d):
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-_numbers(d.logits)))
    return _numbers(d.probs)


def _torch_categorical(d: Any) -> Distribution:
    key = "logits" if "probs" not in vars(d) else "probs"
    return _class("Categorical")(**{key: _numbers(getattr(d, key))})


def _torch_mixture(d: Any) -> Distribution:
    return _class("Mixture")(_numbers(d.mixture_distribution.probs), from_torch(d.component_distribution))


_TORCH: dict[str, Callable[[Any], Distribution]] = {
    "Normal": _same("Normal", "loc", "scale"),
    "Uniform": _same("Uniform", "low", "high"),
    "LogNormal": _same("LogNormal", "loc", "scale"),
    "HalfNormal": _same("HalfNormal", "scale"),
    "HalfCauchy": lambda d: _class("Truncated")(_class("Cauchy")(0.0, _numbers(d.scale)), 0.0, np.inf),
    "Exponential": lambda d: _class("Exponential")(1.0 / _numbers(d.rate)),
    "Laplace": _same("Laplace", "loc", "scale"),
    "Cauchy": _same("Cauchy", "loc", "scale"),
    "Gumbel": _same("Gumbel", "loc", "scale"),
    "Weibull": _same("Weibull", "concentration", "scale"),
    "Pareto": _same("Pareto", "alpha", "scale"),
    "Kumaraswamy": _same("Kumaraswamy", "concentration1", "concentration0"),
    "StudentT": _same("StudentT", "df", "loc", "scale"),
    "Gamma": lambda d: _class("Gamma")(_numbers(d.concentration), 1.0 / _numbers(d.rate)),
    "InverseGamma": _same("InverseGamma", "concentration", "rate"),
    "Chi2": _same("Chi2", "df"),
    "Beta": _same("Beta", "concentration1", "concentration0"),
    "FisherSnedecor": _same("F", "df1", "df2"),
    "VonMises": _same("VonMises", "loc", "concentration"),
    "Bernoulli": lambda d: _class("Bernoulli")(_success(d)),
    "Binomial": lambda d: _class("Binomial")(_numbers(d.total_count), _success(d)),
    "NegativeBinomial": lambda d: _class("NegativeBinomial")(_numbers(d.total_count), _failure(d)),
    "Geometric": lambda d: _class("Affine")(_class("Geometric")(_success(d)), -1.0, 1.0),
    "Poisson": _same("Poisson", "rate"),
    "Categorical": _torch_categorical,
    "MixtureSameFamily": _torch_mixture,
}
