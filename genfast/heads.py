"""Heads: what the numbers a network puts out for one site mean, and what the network is fed for each level.

Every head is an immutable dataclass that says `channels(C)`, how many numbers the network puts out for a site (for a
position where `by_position`) of an input of C channels, and `entry(C)`, its keys in the file (docs/format.md, "Heads";
all but value, table, channel and values). `levels` is None where sites hold numbers; the others have `fed`.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import distributions

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogisticMixture",
    "Distribution",
    "GaussianMixture",
    "Logistic",
    "Normal",
]

MAX_LEVELS = 1 << 20
MAX_COMPONENTS = 256
LINKS = ("identity", "exp", "softplus", "sigmoid", "tanh", "square")
LAYOUTS = ("channel_major", "interleaved")


def _integer(value: Any, name: str, low: int, high: int) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got a bool")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if not low <= number <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {number}")
    return number


def _real(value: Any, name: str) -> float:
    """A number that float32 holds as a finite one; ints and floats, no bools."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a real number, got {type(value).__name__}")
    number = float(value)
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise ValueError(f"{name} must be finite in float32, got {value!r}")
    return float(np.float32(number))


def _check_link(link: Any, name: str) -> None:
    if link not in LINKS:
        raise ValueError(f"{name} must be one of {LINKS}, got {link!r}")


def _check_layout(layout: Any) -> None:
    if layout not in (None, *LAYOUTS):
        raise ValueError(f"layout must be one of {LAYOUTS} or None, got {layout!r}")


def _check_values(values: Sequence[float] | np.ndarray | None, levels: int) -> tuple[float, ...] | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise TypeError(f"values must be real numbers, got an array of dtype {array.dtype}")
    if array.shape != (levels,):
        raise ValueError(f"values must have shape ({levels},), one per level, got {array.shape}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("values must be finite in float32")
    return tuple(array.tolist())


def _fed(values: tuple[float, ...] | None, levels: int, integer: bool) -> np.ndarray:
    if values is None:
        k = np.arange(levels)
        return (k if integer else k / max(levels - 1, 1)).astype(np.float32)
    array = np.asarray(values, np.float32)
    if integer and (array != np.round(array)).any():
        raise ValueError("values must be whole numbers: the model's input is an integer tensor")
    return array


@dataclass(frozen=True)
class Categorical:
    """One softmax over `levels` logits per site.

    Parameters
    ----------
    levels : int
        Number of levels L, from 2 to 2**20.
    values : array_like of shape (L,), optional
        What the network is fed for each level, stored as float32. Default: ``float32(k / (L - 1))`` for models with a
        float input, the integers 0 … L - 1 for models with an integer input.
    layout : "channel_major" or "interleaved", optional
        How an axis of the output that holds C * L numbers, for an input of C channels, is divided: the L logits of one
        channel together, or the C logits of one level together. For an input without channels, how an axis that holds
        all T * L numbers of T sites is divided (MADE's): the L logits of one site together, or the T logits of one
        level together. Shapes with an axis for each need none.

    Raises
    ------
    TypeError
        If `levels` is not an integer or `values` are not real numbers.
    ValueError
        If `levels` is out of range, `values` has another shape or is not finite, or `layout` is unknown.

    Notes
    -----
    Sampling takes the smallest level k of positive probability with F(k) >= u (docs/format.md, "Heads"; inversion as in
    Devroye, *Non-Uniform Random Variate Generation*, 1986, III.2).
    """

    levels: int
    values: tuple[float, ...] | None = None
    layout: str | None = None
    by_position: ClassVar[bool] = False

    def __post_init__(self) -> None:
        levels = _integer(self.levels, "levels", 2, MAX_LEVELS)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "values", _check_values(self.values, levels))
        _check_layout(self.layout)

    def channels(self, input_channels: int) -> int:
        """Logits of a site: `levels`."""
        return self.levels

    def entry(self, input_channels: int) -> dict[str, Any]:
        """The head's keys in the file."""
        return {"kind": "categorical", "levels": self.levels}

    def fed(self, integer: bool) -> np.ndarray:
        """What the network is fed for each level.

        Parameters
        ----------
        integer : bool
            Whether the model's input is an integer tensor.

        Returns
        -------
        numpy.ndarray of shape (L,), float32

        Raises
        ------
        ValueError
            If the input is an integer tensor and a value is not a whole number.
        """
        return _fed(self.values, self.levels, integer)


@dataclass(frozen=True)
class Bernoulli:
    """One binary variable per site.

    Parameters
    ----------
    probs : bool
        False: the network puts out the logit of level 1. True: its probability (the network ends in a sigmoid).
    values : array_like of shape (2,), optional
        What the network is fed for level 0 and level 1, stored as float32; default 0 and 1.

    Raises
    ------
    TypeError
        If `probs` is not a bool or `values` are not real numbers.
    ValueError
        If `values` has another shape or is not finite.

    Notes
    -----
    Level 0 is drawn while u <= 1 - p, as in docs/format.md, "Heads".
    """

    probs: bool = False
    values: tuple[float, ...] | None = None
    by_position: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.probs, bool):
            raise TypeError(f"probs must be a bool, got {type(self.probs).__name__}")
        object.__setattr__(self, "values", _check_values(self.values, 2))

    @property
    def levels(self) -> int:
        """The number of levels, 2."""
        return 2

    def channels(self, input_channels: int) -> int:
        """Numbers of a site: 1."""
        return 1

    def entry(self, input_channels: int) -> dict[str, Any]:
        """The head's keys in the file."""
        return {"kind": "bernoulli", "probs": self.probs}

    def fed(self, integer: bool) -> np.ndarray:
        """What the network is fed for each level: float32 of shape (2,); see `Categorical.fed`."""
        return _fed(self.values, 2, integer)


@dataclass(frozen=True)
class DiscretizedLogisticMixture:
    """A mixture of logistics for each channel of a position, rounded to levels and drawn channel after channel.

    The network puts out, for each position, K mixture logits, then for each of the C channels K means, K log-scales
    and, if coupled, K coefficients: the 10 K numbers of PixelCNN++ for RGB. One component holds for all channels: each
    channel is drawn from its exact conditional given the channels before it.

    Parameters
    ----------
    components : int
        K, from 1 to 256.
    levels : int
        Number of levels L, from 2 to 2**20. Level k stands for ``low + k * (high - low) / (L - 1)``.
    low, high : float
        What the first and the last level stand for in units of the means, low < high.
    coupled : bool, optional
        Whether the means of a channel depend linearly on the channels before it (three channels). Default: for inputs
        of three channels.
    values : array_like of shape (L,), optional
        What the network is fed for each level, stored as float32. Default: what it stands for; the integers 0 … L - 1
        for models with an integer input.

    Raises
    ------
    TypeError
        For sizes that are no integers, limits and values that are no real numbers, and `coupled` that is no bool.
    ValueError
        For sizes out of range, limits in the wrong order, and values of another shape or not finite.

    Notes
    -----
    Salimans, Karpathy, Chen and Kingma, *PixelCNN++: Improving the PixelCNN with discretized logistic mixture
    likelihood and other modifications*, ICLR 2017. Log-scales are at least -7, as there.
    """

    components: int
    levels: int = 256
    low: float = -1.0
    high: float = 1.0
    coupled: bool | None = None
    values: tuple[float, ...] | None = None
    by_position: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", _integer(self.components, "components", 1, MAX_COMPONENTS))
        object.__setattr__(self, "levels", _integer(self.levels, "levels", 2, MAX_LEVELS))
        for name in ("low", "high"):
            object.__setattr__(self, name, _real(getattr(self, name), name))
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low!r} and {self.high!r}")
        if self.coupled is not None and not isinstance(self.coupled, bool):
            raise TypeError(f"coupled must be a bool or None, got {type(self.coupled).__name__}")
        object.__setattr__(self, "values", _check_values(self.values, self.levels))

    def _coupled(self, input_channels: int) -> bool:
        if self.coupled and input_channels != 3:
            raise ValueError(f"coupled channels must be three, the input has {input_channels}")
        return input_channels == 3 if self.coupled is None else self.coupled

    def channels(self, input_channels: int) -> int:
        """Numbers of a position: K (1 + 3 C) coupled, K (1 + 2 C) not."""
        return self.components * (1 + input_channels * (3 if self._coupled(input_channels) else 2))

    def entry(self, input_channels: int) -> dict[str, Any]:
        """The head's keys in the file."""
        return {
            "kind": "logistic_mixture",
            "components": self.components,
            "coupled": self._coupled(input_channels),
            "low": self.low,
            "high": self.high,
            "levels": self.levels,
        }

    def fed(self, integer: bool) -> np.ndarray:
        """What the network is fed for each level: float32 of shape (L,); see `Categorical.fed`."""
        if self.values is None and not integer:
            step = (self.high - self.low) / (self.levels - 1)
            return (self.low + np.arange(self.levels) * step).astype(np.float32)
        return _fed(self.values, self.levels, integer)


@dataclass(frozen=True, init=False)
class Distribution:
    """Any family of `genfast`, or a mixture of K of one, with parameters that the network puts out.

    Parameters
    ----------
    family : str or class
        A family's name, "Gamma", or its class, `genfast.Gamma`.
    components : int
        K, from 1 to 256. More than one: a mixture.
    logits : int, optional
        For a mixture, the channel of its first logit; the others follow.
    layout : "channel_major" or "interleaved", optional
        As for `Categorical`.
    **parameters : tuple or float
        Every parameter of the family by its name. ``(channel, link)`` or ``(channel, link, scale, shift)``: it is
        ``scale * link(output) + shift`` of the site's output of that number (for a mixture: of component i, of output
        channel + i). Links: "identity", "exp", "softplus", "sigmoid", "tanh", "square". A number: this constant.

    Raises
    ------
    TypeError
        For a family that is none, an unknown or missing parameter, and arguments of a wrong type.
    ValueError
        For sizes and channels out of range, an unknown link, and numbers that are not finite.

    Notes
    -----
    One distribution is sampled by its inverse CDF, a mixture by a search for the smallest float32 (or integer) x with
    F(x) >= u. Sites hold x itself, a float32. Parameters outside the family's domain are a `NumericalError` that names
    the row and the site.

    Examples
    --------
    >>> gf.heads.Distribution("Gamma", shape=(0, "softplus"), scale=(1, "exp")).channels(1)
    2
    """

    family: str
    components: int
    logits: int
    parameters: tuple[tuple[int, str, float, float], ...]
    layout: str | None
    by_position: ClassVar[bool] = False
    levels: ClassVar[None] = None

    def __init__(
        self,
        family: Any,
        components: int = 1,
        *,
        logits: int | None = None,
        layout: str | None = None,
        **parameters: Any,
    ) -> None:
        cls = getattr(distributions, family, None) if isinstance(family, str) else family
        if not isinstance(cls, type) or not getattr(cls, "_family", None):
            raise TypeError(f"family must be the name or the class of a family of genfast, got {family!r}")
        names: tuple[str, ...] = cls.parameters  # type: ignore[attr-defined]
        count = _integer(components, "components", 1, MAX_COMPONENTS)
        if (logits is None) != (count == 1):
            raise TypeError("logits, the channel of the first mixture logit, goes with more than one component")
        _check_layout(layout)
        for name in parameters:
            if name not in names:
                raise TypeError(f"{cls.__name__} has no parameter {name!r}; it has {', '.join(names)}")
        for name in names:
            if name not in parameters:
                raise TypeError(f"{cls.__name__} needs its parameter {name!r}")
        object.__setattr__(self, "family", cls._family)  # type: ignore[attr-defined]
        object.__setattr__(self, "components", count)
        object.__setattr__(self, "logits", -1 if logits is None else _integer(logits, "logits", 0, MAX_LEVELS))
        object.__setattr__(self, "parameters", tuple(_mapping(parameters[name], name) for name in names))
        object.__setattr__(self, "layout", layout)

    def channels(self, input_channels: int) -> int:
        """Numbers of a site: up to the largest channel that is read."""
        first = [self.logits] * (self.logits >= 0) + [d for d, _, scale, _ in self.parameters if scale]
        return max(first, default=0) + self.components

    def entry(self, input_channels: int) -> dict[str, Any]:
        """The head's keys in the file."""
        return {
            "kind": "family",
            "components": self.components,
            "family": self.family,
            "logits": self.logits,
            "params": [list(p) for p in self.parameters],
        }


def _mapping(value: Any, name: str) -> tuple[int, str, float, float]:
    """(channel, link, scale, shift) of what was given for a parameter."""
    if not isinstance(value, tuple):
        return 0, "identity", 0.0, _real(value, name)
    if len(value) not in (2, 4):
        raise TypeError(f"{name} must be (channel, link), (channel, link, scale, shift) or a number, got {value!r}")
    channel, link, scale, shift = value if len(value) == 4 else (*value, 1.0, 0.0)
    _check_link(link, f"{name}: the link")
    scale = _real(scale, f"{name}: the scale")
    if scale == 0:
        raise ValueError(f"{name}: the scale must not be 0; give a number for a constant")
    return _integer(channel, f"{name}: the channel", 0, MAX_LEVELS), link, scale, _real(shift, f"{name}: the shift")


def _location_scale(family: str, scale: Any, layout: str | None, components: int = 1) -> Distribution:
    """[K logits,] K locs, then K scales, or none where the scale is a number."""
    first = components if components > 1 else 0
    if isinstance(scale, str):
        _check_link(scale, "scale")
        scale = (first + components, scale)
    elif not _real(scale, "scale") > 0:
        raise ValueError(f"scale must be positive, got {scale!r}")
    logits = 0 if components > 1 else None
    return Distribution(family, components, logits=logits, layout=layout, loc=(first, "identity"), scale=scale)


def Normal(scale: str | float = "exp", layout: str | None = None) -> Distribution:
    """Gaussian sites: the network puts out the mean and then the standard deviation of each.

    Parameters
    ----------
    scale : str or float
        The link of the second output: "exp" where it is the log of the standard deviation (masked autoregressive flows,
        Papamakarios et al. 2017), "softplus", "identity", …; or a positive number, the one standard deviation of all
        sites, and the network puts out the mean alone.
    layout : "channel_major" or "interleaved", optional
        As for `Categorical`.

    Returns
    -------
    Distribution

    Raises
    ------
    ValueError
        For an unknown link or layout, and a number that is not positive and finite.
    TypeError
        For a scale of another type.
    """
    return _location_scale("Normal", scale, layout)


def Logistic(scale: str | float = "exp", layout: str | None = None) -> Distribution:
    """Logistic sites: the network puts out the location and then the scale of each. Arguments as for `Normal`."""
    return _location_scale("Logistic", scale, layout)


def GaussianMixture(components: int, scale: str | float = "exp", layout: str | None = None) -> Distribution:
    """Sites from a mixture of K Gaussians: the network puts out K logits, K means and K standard deviations of each.

    Parameters
    ----------
    components : int
        K, from 1 to 256. For 1 there are no logits.
    scale, layout
        As for `Normal`.

    Returns
    -------
    Distribution

    Raises
    ------
    TypeError
        If `components` is no integer; otherwise as for `Normal`.
    ValueError
        If `components` is out of range; otherwise as for `Normal`.

    Notes
    -----
    Mixture density networks (Bishop, 1994); RNADE (Uria, Murray and Larochelle, 2013).
    """
    return _location_scale("Normal", scale, layout, _integer(components, "components", 1, MAX_COMPONENTS))
