"""Gradient ascent on a classifier: one step as a PyTorch function, whose gradient autograd makes while it is traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..distributions.base import Distribution
from ..errors import UnsupportedOpError
from . import feedforward, inputs, latents
from .iterated import State, iterated
from .outputs import tensors_of
from .probe import Argument, Example, read_example
from .state import quiet_torch, unfused_torch

LABEL = "label"
SMOOTH = 1e-6  # |d| counts as √(d² + 10⁻⁶), whose derivative has no jump
LEAST = 1e-30  # probabilities below it count as it
TRIED = 4  # rows on which a classifier is tried before it is traced


@dataclass(frozen=True)
class Settings:
    """What `genfast.compile_ascent` takes beside the classifier, checked."""

    step_size: float
    steps: int
    optimizer: str
    momentum: float
    betas: tuple[float, float]
    eps: float
    l2: float
    total_variation: float
    jitter: int
    clip: tuple[float, float] | None


class Step:
    """One step: `step(x, *conditions, label, *states)`, of batches of rows, gives the next x and the next states."""

    def __init__(self, classifier: Any, call: Example, settings: Settings) -> None:
        self.classifier, self.call, self.settings = classifier, call, settings
        self.classes = 0
        self.probabilities = False  # whether these come out, not scores
        self.axes = _axes(classifier, call.arguments[0].shape) if settings.total_variation else []
        large = call.arguments[0].shape
        if settings.jitter and (len(large) not in (2, 3) or settings.jitter >= min(large[-2:])):
            raise ValueError(
                f"jitter={settings.jitter} needs images (C, H, W) or (H, W) larger than it, the example has {large}"
            )

    @property
    def states(self) -> list[State]:
        if self.settings.optimizer == "adam":
            corrections = [State("correction1", 0.0, False), State("correction2", 0.0, False)]
            return [State("mean", 0.0), State("square", 0.0), *corrections]
        return [State("velocity", 0.0)] if self.settings.momentum else []

    def __call__(self, x: torch.Tensor, *rest: torch.Tensor) -> Sequence[torch.Tensor]:
        count = len(self.call.arguments) - 1
        gradient = self.gradient(x, rest[:count], rest[count])
        update = self.adam if self.settings.optimizer == "adam" else self.sgd
        move, states = update(gradient, *rest[count + 1 :])
        x = x + move
        return x if self.settings.clip is None else x.clamp(*self.settings.clip), *states

    def scores(self, x: torch.Tensor, conditions: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the classifier says of each class, (B, K)."""
        found = tensors_of(self.call.call(self.classifier, [x, *conditions]))
        if not found:
            raise UnsupportedOpError("the classifier returned no tensor")
        out, rows = found[0], len(x)
        if not out.is_floating_point():
            raise UnsupportedOpError(
                f"the classifier returns {out.dtype}, which has no gradient: let it return the scores of the classes, "
                "(B, K)"
            )
        if out.dim() < 2 or out.shape[0] != rows or prod(out.shape[1:]) != out.shape[1] or out.shape[1] < 2:
            raise ValueError(
                f"the classifier must return the scores of K >= 2 classes, (B, K), got {('B', *out.shape[1:])}: of one "
                "score z for two classes make torch.stack([torch.zeros_like(z), z], 1)"
            )
        return out.reshape(rows, -1)

    def gradient(self, x: torch.Tensor, conditions: Sequence[torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        """Of log p(label | x) - l2 · ‖x‖² - total_variation · TV(x), each row's with respect to itself."""
        s = self.settings
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            leaf = x.detach().requires_grad_()
            scores = self.scores(leaf.clone(), conditions)
            # A view made under no_grad asks for a gradient and has none.
            if not scores.requires_grad or scores.is_leaf or not _reaches(scores.grad_fn, leaf):
                raise UnsupportedOpError(
                    "the classifier's output has no gradient with respect to its input: does forward detach it, leave "
                    "torch, or run under torch.no_grad()?"
                )
            log_p = scores.clamp(min=LEAST).log() if self.probabilities else scores.log_softmax(1)
            total = (log_p * torch.nn.functional.one_hot(label, self.classes).to(log_p.dtype)).sum()
            if s.l2:
                total = total - s.l2 * leaf.square().sum()
            for axis in self.axes:
                size = leaf.shape[axis] - 1
                step = leaf.narrow(axis, 1, size) - leaf.narrow(axis, 0, size)
                total = total - s.total_variation * (step.square() + SMOOTH).sqrt().sum()
            return torch.autograd.grad(total, leaf)[0]

    def sgd(self, gradient: torch.Tensor, *states: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """The step of `torch.optim.SGD`."""
        s = self.settings
        if not states:
            return s.step_size * gradient, states
        velocity = s.momentum * states[0] + gradient
        return s.step_size * velocity, [velocity]

    def adam(
        self,
        gradient: torch.Tensor,
        mean: torch.Tensor,
        square: torch.Tensor,
        correction1: torch.Tensor,
        correction2: torch.Tensor,
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """The step of `torch.optim.Adam`; the corrections are 1 - βᵗ, kept so that they lose no digits near 0.

        What does not depend on the element is computed once a row: rate · m / (√v · scale + eps), divided by the rate.
        """
        s = self.settings
        b1, b2 = s.betas
        mean = mean.lerp(gradient, 1 - b1)
        square = square.lerp(gradient.square(), 1 - b2)
        correction1 = correction1 * b1 + (1 - b1)
        correction2 = correction2 * b2 + (1 - b2)
        inverse = correction1 / s.step_size
        scale, eps = (t.reshape(-1, *[1] * (mean.dim() - 1)) for t in (inverse * correction2.rsqrt(), inverse * s.eps))
        return mean / torch.addcmul(eps, square.sqrt(), scale), [mean, square, correction1, correction2]

    def try_out(self, start: Distribution) -> None:
        """Find the number of classes and what the scores are.

        Raises
        ------
        UnsupportedOpError
            If the classifier has no gradient, or a gradient of zero.
        ValueError
            If its output has another shape than (B, K), or is not finite.
        """
        x = self.call.arguments[0]
        u = torch.rand((TRIED, *x.shape), generator=torch.Generator().manual_seed(20240229), dtype=torch.float64)
        rows = torch.as_tensor(start.icdf(u.numpy())).to(x.example.dtype)
        conditions = [a.example.expand(TRIED, *a.shape) for a in self.call.arguments[1:]]
        with quiet_torch(), unfused_torch():
            scores = self.scores(rows, conditions)
            self.classes = scores.shape[1]
            total = scores.sum(1)
            if not torch.isfinite(total).all():
                raise ValueError("the classifier returns NaN or infinity for draws of start")
            self.probabilities = bool((scores >= 0).all() and ((total - 1).abs() < 1e-4).all())
            label = torch.arange(TRIED) % self.classes
            gradient = self.gradient(rows, conditions, label)
        if not torch.isfinite(gradient).all():
            raise ValueError("the classifier's gradient is NaN or infinite for draws of start")
        if not gradient.any():
            raise UnsupportedOpError(
                "the gradient of the classifier is zero for every input tried: does it round, threshold or detach its "
                "input?"
            )


def _axes(classifier: Any, shape: tuple[int, ...]) -> list[int]:
    """The axes of a batch along which neighbours are: all but the batch and the channels."""
    modules = classifier.modules() if isinstance(classifier, torch.nn.Module) else ()
    sequence = shape[0] == 1 or any(isinstance(m, torch.nn.Conv1d) for m in modules)
    first = 1 if len(shape) == 1 or (len(shape) == 2 and not sequence) else 2
    return [d for d in range(first, len(shape) + 1) if shape[d - 1] > 1]


@torch.inference_mode(False)  # inside it, composite ops reach the tracer whole
@torch.no_grad()
def lower(
    classifier: Any, example: Any, settings: Settings, start: Any, meta: Mapping[str, Any] | None = None
) -> bytes:
    """The `.genfast` file of a gradient ascent; arguments and errors are those of `genfast.compile_ascent`."""
    classifier = getattr(classifier, "_orig_mod", classifier)
    inputs.check_parameters(classifier)
    feedforward.check_mode(classifier)
    call = read_example(classifier, example)
    x = call.arguments[0]
    if x.integer:
        raise TypeError(f"the input {x.name!r} is {x.example.dtype}: ascent is for inputs of floats")
    if any(a.name == LABEL for a in call.arguments):
        raise ValueError(f"an input of the classifier is named {LABEL!r}, which is the name of the class to be reached")
    start = latents.check(start, x, "start")
    step = Step(classifier, call, settings)
    step.try_out(start)
    label = Argument(LABEL, torch.zeros(1, dtype=torch.int64), len(call.items))
    labelled = Example(call.items, [*call.arguments, label], call.keywords)
    assumed = ["the classifier returns probabilities, whose logarithm ascends"] if step.probabilities else []
    return iterated(
        classifier, labelled, step, step.states, settings.steps, start, settings.jitter, meta=meta, assumed=assumed
    )


def _reaches(node: Any, leaf: torch.Tensor) -> bool:
    """Whether autograd's graph leads from a node to a leaf."""
    seen, ahead = set(), [node]
    while ahead:
        at = ahead.pop()
        if at is None or at in seen:
            continue
        if getattr(at, "variable", None) is leaf:
            return True
        seen.add(at)
        ahead.extend(before for before, _ in at.next_functions)
    return False
