"""compile_ascent: gradient ascent on a classifier as a Model, which starts from noise and iterates natively."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from genfast.distributions import Normal
from genfast.model import Model, check_meta, planned
from genfast.model_arguments import real

__all__ = ["compile_ascent"]

OPTIMIZERS = ("sgd", "adam")
MAX_STEPS = 10**6
LARGEST = float(np.finfo(np.float32).max)


def compile_ascent(
    classifier: Any,
    example: Any,
    *,
    step_size: float,
    steps: int,
    optimizer: str = "sgd",
    momentum: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    l2: float = 0.0,
    total_variation: float = 0.0,
    jitter: int = 0,
    start: Any = None,
    clip: tuple[float, float] | None = None,
    name: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Model:
    """Compile gradient ascent on a classifier: from noise, follow the gradient that maximises a class. Needs PyTorch.

    Each row climbs ``log p(label | x) - l2 * ‖x‖² - total_variation * TV(x)`` for `steps` steps. The gradient is the
    one that PyTorch's autograd computes: it is traced once and runs natively from then on.

    Parameters
    ----------
    classifier : torch.nn.Module or callable
        Returns the scores of K classes, (B, K), or their logarithms, or probabilities, or a tuple that begins with
        these. In the mode that it is used in: call ``classifier.eval()`` first.
    example : tensor, array, tuple of them, or dict of str to them
        One input batch: x, floats of any shape (B, …), such as images (B, C, H, W); further entries are the
        classifier's other inputs, and become conditions.
    step_size : float
        The learning rate; > 0.
    steps : int
        From 1 to 10**6.
    optimizer : "sgd" or "adam"
        The steps of `torch.optim.SGD` and `torch.optim.Adam` with ``maximize=True``.
    momentum : float
        Of "sgd", in [0, 1).
    betas, eps : (float, float), float
        Of "adam": betas in [0, 1), eps > 0.
    l2 : float
        The weight of the squared norm; >= 0.
    total_variation : float
        The weight of TV, the sum over all neighbours along rows and columns of √(d² + 10⁻⁶) of their difference d;
        >= 0.
    jitter : int
        Roll the image before each step by up to this many pixels, drawn anew from the row's uniforms, and back after
        it; for (C, H, W) and (H, W).
    start : distribution of genfast, optional
        What x begins as; its parameters broadcast with a row of x. Default: ``Normal(0.5, 0.25)``.
    clip : (float, float), optional
        Bounds that x is clamped to after each step.
    name : str, optional
        Stored in the file.
    meta : mapping from str to JSON, optional
        Stored in the file too, for `Model.meta`.

    Returns
    -------
    Model
        Of ``output_shape`` that of a row of x, with the condition ``label``, an integer below K:
        ``m.sample(n, rng=0, condition={"label": 3})`` starts from noise, ``m.apply(x, condition={"label": 3})`` from x.
        With jitter, ``m.uniforms`` counts two more uniforms a step than x has elements.

    Raises
    ------
    UnsupportedOpError
        If the classifier has no gradient, or does what cannot be compiled; names the op, module and source line.
    ValueError, TypeError
        For wrong arguments, an output that is not (B, K), and numbers that are not finite.
    ImportError
        If PyTorch is not installed.

    Notes
    -----
    The steps are PyTorch's up to rounding. Where a network is piecewise linear, a rounding may decide on which piece a
    step ends; "adam" divides by the size of the gradient and takes such a row elsewhere, as PyTorch itself does when
    the row is in another batch. Here a row's bits depend on the row alone.

    Activation maximisation: Erhan, Bengio, Courville and Vincent, *Visualizing higher-layer features of a deep
    network*, 2009; with l2, Simonyan, Vedaldi and Zisserman, *Deep inside convolutional networks*, 2014; with total
    variation, Mahendran and Vedaldi, *Understanding deep image representations by inverting them*, 2015; with jitter,
    Mordvintsev, Olah and Tyka, *Inceptionism*, 2015. Without any of them the images look like noise, and fool the
    classifier: Nguyen, Yosinski and Clune, *Deep neural networks are easily fooled*, 2015.
    """
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be {' or '.join(map(repr, OPTIMIZERS))}, got {optimizer!r}")
    betas = _pair(betas, "betas")
    settings: dict[str, Any] = {
        "step_size": _number(step_size, "step_size", above=True),
        "steps": _integer(steps, "steps", 1, MAX_STEPS),
        "optimizer": optimizer,
        "momentum": _number(momentum, "momentum", below=1.0),
        "betas": tuple(_number(b, "betas", below=1.0) for b in betas),
        "eps": _number(eps, "eps", above=True),
        "l2": _number(l2, "l2"),
        "total_variation": _number(total_variation, "total_variation"),
        "jitter": _integer(jitter, "jitter", 0, 1 << 24),
        "clip": None if clip is None else _pair(clip, "clip"),
    }
    if optimizer != "sgd" and settings["momentum"]:
        raise ValueError("momentum belongs to optimizer='sgd'; adam has betas")
    if clip is not None and not settings["clip"][0] < settings["clip"][1]:
        raise ValueError(f"clip must be (low, high) with low < high, got {clip!r}")
    checked = check_meta(name, meta)
    try:
        from genfast.export import ascent
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("genfast.compile_ascent needs PyTorch: pip install 'genfast[torch]'", name="torch") from error

    start = Normal(0.5, 0.25) if start is None else start
    return planned(ascent.lower(classifier, example, ascent.Settings(**settings), start, checked), name)


def _number(value: Any, name: str, above: bool = False, below: float = math.inf) -> float:
    """A finite number from 0 on, `above` 0, `below` a bound. Raises TypeError, ValueError."""
    number = real(value, name)
    if not (number > 0 if above else number >= 0) or not number < below or number > LARGEST:
        least = "positive" if above else "at least 0"
        most = "finite in float32" if below == math.inf else f"below {below:g}"
        raise ValueError(f"{name} must be {least} and {most}, got {value!r}")
    return number


def _integer(value: Any, name: str, low: int, high: int) -> int:
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(value).__name__}") from None
    if isinstance(value, bool) or not low <= whole <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value!r}")
    return whole


def _pair(value: Any, name: str) -> tuple[float, float]:
    """Two finite numbers. Raises TypeError, ValueError."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two numbers, got {value!r}") from None
    pair = real(first, name), real(second, name)
    if not all(abs(number) <= LARGEST for number in pair):
        raise ValueError(f"{name} must be finite in float32, got {value!r}")
    return pair
