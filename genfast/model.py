"""Model: a thin handle on a compiled sampler of the core; and the three ways to get one: compile, load, models."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genfast import _core
from genfast.arrays import Kind
from genfast.device_arrays import space_for
from genfast.device_calls import follows_its_arrays
from genfast.model_arguments import (
    check_conditions,
    check_filters,
    check_guidance,
    check_known,
    check_pair,
    check_prompt,
    check_sites,
    check_stop,
    check_uniforms,
    count,
)
from genfast.progress import reporter as _progress
from genfast.rng import RNG, as_seed, is_counted, uniforms
from genfast.whole_file import whole_file

__all__ = ["Model", "compile", "load", "models", "set_num_threads"]

Progress = Callable[[int, int], None]

# Rows whose uniforms a NumPy generator fills at once, so that memory does not grow with n.
GENERATOR_ROWS = 1024
BUNDLED = Path(__file__).parent / "models"


class Model:
    """A compiled model, ready to sample. Immutable, and safe to use from several threads.

    Made by `genfast.compile` or `genfast.load`. Every method is deterministic: a row's result depends on its own
    uniforms, condition and given sites alone, never on the batch, the threads or the CPU.

    Attributes
    ----------
    sites : int
        Number of sites: elements of the input, what is drawn one by one.
    uniforms : int
        Uniforms a sample takes: `sites`, and more only for an iterated model with jitter.
    levels : int or None
        Number of levels a site can take; None where sites hold float32 numbers.
    input_shape : tuple of int
        Shape of the sites of one sample, in the model's input layout: (C, H, W), (C, L), (L,), …
    output_shape : tuple of int or None
        Shape of one sample where that is not its sites but what the network makes of them: a decoder or generator (its
        sites are the latent), an iterated model, or a network that is only applied. None: samples are the sites.
    conditions : list of dict
        The other inputs: ``name``, ``shape`` of one row, ``dtype`` ("int" or "float"), and ``size`` (exclusive upper
        bound of an integer condition, else None).
    bos : int or None
        Where the network says nothing about the first site (output p predicts token p + 1): the token that a sample
        begins with unless a prompt says otherwise. None where the first site is drawn like the others.
    device : str
        Where it runs: "cpu", "cuda:0", …; with precision "fast" that word behind it.
    arrays : str
        What calls without arrays give: "numpy", or on a GPU "torch" or "cupy" (see `to`).
    is_tokens : bool
        Whether samples are sequences of integers (T,), drawn from the first to the last: what `prompt`, `max_tokens`,
        `stop` and `stream` are for.
    meta : dict
        What the file says of itself, such as its name.
    """

    def __init__(self, core: Any, arrays: str = "numpy") -> None:
        self._core = core
        self.arrays = arrays
        self.sites: int = core.sites
        self.uniforms: int = core.uniforms
        self.levels: int | None = core.levels or None
        self.device: str = core.device
        self.input_shape: tuple[int, ...] = core.input_shape
        self.output_shape: tuple[int, ...] | None = core.output_shape
        self.conditions: list[dict[str, Any]] = core.conditions
        self.bos: int | None = core.bos if len(core.fixed_sites) and core.has_distribution else None
        self.meta: dict[str, Any] = json.loads(core.meta)
        whole = len(self.input_shape) == 1 and core.integer_input and self.levels is not None
        whole = whole and self.output_shape is None
        self.is_tokens: bool = whole and bool((np.diff(core.order) == 1).all())
        has_channels = len(self.input_shape) > 1 and self.input_shape[0] == core.channels
        self._positions_shape = self.input_shape[1:] if has_channels else self.input_shape

    def __repr__(self) -> str:
        name = self.meta.get("name")
        kind = "numbers" if self.levels is None else f"{self.levels} levels"
        if self.output_shape is not None:
            kind += f" -> {self.output_shape}"
        where = "" if self.device == "cpu" else f", on {self.device}"
        return f"<genfast.Model{f' {name!r}' if name else ''}: {self.input_shape}, {kind}{where}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._core.file_bytes(),)

    def to(self, device: Any, *, precision: str = "f32", arrays: str = "numpy") -> Model:
        """The same model on another device.

        There, calls with torch or CuPy arrays of that GPU give arrays of that library on that GPU, computed in the
        order of the library's current stream, and return without waiting for it; what their elements should not be is
        then told by ``check=`` alone (docs/cuda.md). Calls with arrays on the CPU copy those there and the results
        back. Copies made by pickle start on the CPU.

        Parameters
        ----------
        device : str or torch.device
            "cpu", "cuda", "cuda:1", …: see `genfast.devices`.
        precision : "f32" or "fast"
            "f32": the samples of the CPU, bit for bit. "fast", on GPUs: tensor cores multiply matrices, in bf16 with
            f32 sums; all else stays f32. Samples then still depend on nothing but their own row, but differ from the
            CPU's as those of another rounding do.
        arrays : "numpy", "torch" or "cupy"
            What calls give that have no arrays among their arguments, only numbers and lists: ``sample(64, rng=0)``.
            The library must have been imported.

        Returns
        -------
        Model
            This one where it is there already.

        Raises
        ------
        DeviceError
            If the device cannot be had, saying why; out of memory when it is used: a subclass, `DeviceMemoryError`.
        ValueError, TypeError
            For what is no device, a precision that it does not have, and arrays that are not made there.
        """
        from genfast.devices import for_models

        name = for_models(device, precision)
        if arrays not in ("numpy", "torch", "cupy"):
            raise ValueError(f"arrays must be 'numpy', 'torch' or 'cupy', got {arrays!r}")
        if arrays != "numpy" and name == "cpu":
            raise ValueError(f"arrays={arrays!r} is for GPUs; the CPU's are NumPy's")
        if arrays != "numpy" and arrays not in sys.modules:
            raise TypeError(f"arrays={arrays!r}: import {arrays} first")
        if arrays != "numpy":
            space_for(name.partition(" ")[0], Kind(arrays))  # its error
        if (name, arrays) == (self.device, self.arrays):
            return self
        return Model(self._core if name == self.device else self._core.to(name), arrays)

    @follows_its_arrays
    def sample(
        self,
        n: int,
        *,
        rng: RNG = None,
        u: Any = None,
        first_row: int = 0,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        prompt: Any = None,
        max_tokens: int | None = None,
        stop: Any = None,
        progress: bool | Progress = False,
        wavefront: bool = True,
        return_latent: bool = False,
        check: str | None = None,
    ) -> Any:
        """Draw samples by inverting the conditional distribution functions site by site (the chain rule).

        A model with an output (`output_shape`) draws its sites, the latent, and returns what the network makes of them.

        Parameters
        ----------
        n : int
            Number of samples; 0 gives an empty array.
        rng : int, Stream, numpy.random.Generator, numpy.random.BitGenerator, scipy.stats.qmc.QMCEngine or None
            A seed in [0, 2**64) or a `Stream`: row i, site s takes the uniform u(seed, first_row + i, s) of
            Philox4x32-10 (Salmon et al., 2011). Or a NumPy generator, read in order; or a QMC engine of d = sites, one
            point a sample. None: a fresh seed.
        u : array_like of shape (n, uniforms), optional
            Your own uniforms in [0, 1], in the input's layout, instead of `rng`. Given sites ignore theirs:
            the token at position t takes column t, whatever the prompt. Behind the sites' come, with jitter, two
            for each round.
        first_row : int
            Row id of the first sample: ``sample(8, rng=0, first_row=56)`` are rows 56 … 63 of ``sample(64, rng=0)``.
        condition : mapping from str to array_like, optional
            The model's other inputs by name: each of shape (n, \\*shape), or (\\*shape) for all samples alike.
        temperature : float
            Divides the logits; > 0.
        top_k, top_p, min_p : int, float, float, optional
            Keep the k most probable levels; of those the fewest that reach probability top_p; of those the ones with at
            least min_p times the largest probability. The rule, and the bits, of `genfast.Categorical`.
        guidance : float
            Classifier-free guidance (Ho & Salimans, 2022): logits are ``without + guidance · (with − without)``,
            from two passes side by side, one with `condition`, one with `unconditional`. 1 is off, and costs nothing.
            Not for models with an output.
        unconditional : mapping from str to array_like, optional
            For one or more conditions, what the model was trained to take in their absence; shaped like `condition`.
        prompt : array_like of int, optional
            Of token models: the first tokens, (k,) for all samples, or (n, k), or a list of n lists of any lengths. An
            empty one is none: the sample begins with `bos` where the model has one.
        max_tokens : int, optional
            At most so many new tokens after each prompt. Default: up to the length the model was compiled for.
        stop : int or sequence of int, optional
            A row ends with the first of these tokens that it draws; those in its prompt do not count. From there on it
            is padded with that token; rows that end by `max_tokens` are padded with ``stop[0]``, or 0 without `stop`.
        progress : bool or callable
            True draws a bar on stderr; a callable gets ``progress(done, total)`` in sites; with an output in samples,
            or rounds of samples.
        wavefront : bool
            Draw sites that do not depend on each other together. The samples are the same; False is for comparison.
        return_latent : bool
            Of a model with an output: return the sites it was made from too.
        check : "raise" or "mask", optional
            What to do about rows that fail: raise, by default. Where results are on a GPU nothing, by default, because
            that would wait for it; such rows are then 0 where they hold levels and NaN where they hold numbers. There
            "raise" waits and raises as on the CPU, "mask" does neither.

        Returns
        -------
        numpy.ndarray of shape (n, \\*input_shape)
            Levels; uint8 up to 256 levels, else int32. Of a continuous head: float32. Of a token model prompt and new
            tokens, (n, T), with T the longest prompt and `max_tokens`, at most the length the model was compiled for.
            Of a model with an output: float32 (n, \\*output_shape); with `return_latent` a tuple of that and the sites.
            Arrays of torch or CuPy where the arguments are such on a GPU (see `to`). With ``check="mask"`` a pair:
            that, and which rows are good, bool (n,).

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, naming them; ValueError also for a model without a distribution: see `apply`.
        NumericalError
            If the model's logits are NaN, +inf or all −inf, naming row and site; if an output is not finite, naming row
            and element, or the round in which an iteration diverged.
        """
        self._expect_distribution("sample")
        if return_latent and self.output_shape is None:
            raise ValueError("return_latent is for models with an output; here the samples are the sites")
        n = self._rows(n)
        shared = check_filters(temperature, top_k, top_p, min_p)
        fixed = check_guidance(self, guidance, unconditional, condition, n)
        given, tokens, width = self._tokens(n, prompt, max_tokens, stop)
        arguments = {
            "conditions": check_conditions(self, condition, n),
            **({"unconditional": fixed["unconditional"]} if "unconditional" in fixed else {}),
            **({"prompt": tokens.pop("prompt")} if "prompt" in tokens else {}),
        }
        shared.update(guidance=fixed["guidance"], wavefront=bool(wavefront), **tokens)
        if self.output_shape is not None:
            out, latent = self._generate(n, rng, u, first_row, arguments, shared, progress, bool(return_latent))
            return (out, latent) if return_latent else out
        out = self._draw(n, rng, u, first_row, given, arguments, shared, progress)
        return out.reshape(n, *self.input_shape) if width is None else out[:, :width]

    @follows_its_arrays
    def apply(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        rng: RNG = None,
        u: Any = None,
        first_row: int = 0,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> np.ndarray:
        """The network's output for given inputs: decode a latent, encode or classify an image, iterate from a start.

        Nothing is drawn but the rolls of an iterated model with jitter.

        Parameters
        ----------
        x : array_like of shape (n, \\*input_shape)
            The sites: numbers, or levels (integers) of a model that has levels.
        condition : mapping from str to array_like, optional
            As in `sample`.
        rng, u, first_row
            As in `sample`, for jitter only; without jitter they have no effect. `u` has shape (n, uniforms), those of
            the sites are ignored.
        progress, check
            As in `sample`.

        Returns
        -------
        numpy.ndarray of shape (n, \\*output_shape), float32
            For the latent of a sample, the bits of that sample.

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, naming them; ValueError also for a model without an output.
        NumericalError
            As `sample`.
        """
        if self.output_shape is None:
            raise ValueError("apply is for models with an output; the samples of this one are its sites: see logits(x)")
        sites = check_sites(self, x)
        n = self._rows(len(sites))
        source = self._source(n, rng, u, first_row, self.uniforms)
        if "rng" in source:
            # Of what is read in order, nothing is taken for nothing.
            jitter = self.uniforms > self.sites
            source = {"u": uniforms(source["rng"], n, self.uniforms)} if jitter else {}
        conditions = check_conditions(self, condition, n)
        report = _progress(progress)
        try:
            return self._core.apply(sites, _core.Arguments(**source, conditions=conditions, progress=report))
        finally:
            _close(report)

    @follows_its_arrays
    def stream(
        self,
        n: int = 1,
        *,
        rng: RNG = None,
        u: Any = None,
        first_row: int = 0,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        prompt: Any = None,
        max_tokens: int | None = None,
        stop: Any = None,
    ) -> Iterator[np.ndarray]:
        """The tokens of `sample`, one position of every row at a time, as they are drawn.

        Stopping early (``break``, ``close()``, an exception) costs nothing more: no thread runs ahead.

        All rows are held at once: n times the "activations" of `explain` (with guidance twice that), until the iterator
        is gone. `sample` holds a few rows at a time only.

        Parameters
        ----------
        n : int
            Number of rows.
        rng, u, first_row, condition, temperature, top_k, top_p, min_p, guidance, unconditional
            As in `sample`.
        prompt, max_tokens, stop
            As in `sample`, with the same results.

        Returns
        -------
        iterator of numpy.ndarray of shape (n,), int32
            Or of tensors, where `sample` gives such. From the end of the shortest prompt on. A row whose prompt is
            longer repeats its tokens until it ends; a row that has ended gives its padding. The iterator ends when no
            row draws any more.

        Raises
        ------
        ValueError, TypeError, NumericalError
            As `sample`; ValueError also for a model that is no token model, and for more rows than the machine's memory
            holds.
        """
        n = self._rows(n)
        self._expect_tokens("stream")
        shared = check_filters(temperature, top_k, top_p, min_p)
        guided = check_guidance(self, guidance, unconditional, condition, n)
        given, tokens, _ = self._tokens(n, prompt, max_tokens, stop)
        source = self._source(n, rng, u, first_row, self.sites)
        if "rng" in source:
            source = {"u": uniforms(source["rng"], n, self.sites)}
        conditions = check_conditions(self, condition, n)
        arguments = _core.Arguments(**source, conditions=conditions, **shared, **guided, **tokens)
        return _columns(self._core.stream(n, arguments, given))

    @follows_its_arrays
    def complete(
        self,
        x: Any,
        *,
        known: Any,
        n: int | None = None,
        rng: RNG = None,
        u: Any = None,
        first_row: int = 0,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        wavefront: bool = True,
        check: str | None = None,
    ) -> np.ndarray:
        """Draw the rest of samples of which some sites are known.

        The known sites are one batched pass before sampling begins. They must not depend, in the model's order, on
        sites that are drawn: then the result is exactly distributed given them.

        Parameters
        ----------
        x : array_like of shape (\\*input_shape), (1, \\*input_shape) or (n, \\*input_shape)
            Levels, or numbers of a continuous head. What is not known may hold anything.
        known : array_like of bool, shape input_shape, or that without its channels
            True where `x` is kept. The same for all samples: a plan is made for each mask, and a few are remembered.
        n : int, optional
            Number of samples. Default: the rows of `x`; a single one serves any n.
        rng, u, first_row, condition, temperature, top_k, top_p, min_p, guidance, unconditional
            As in `sample`.
        progress, wavefront, check
            As in `sample`. Known sites have their uniforms too, and ignore them.

        Returns
        -------
        numpy.ndarray of shape (n, \\*input_shape)
            As `sample` returns it; equal to `x` where `known`.

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, naming them; ValueError also for a mask that the order does not allow, naming a known
            site, what it depends on, and what would be allowed.
        NumericalError
            As `sample`.
        """
        self._expect_distribution("complete")
        if self.output_shape is not None:
            raise ValueError(
                "complete is for models whose samples are their sites; this one computes an output from a latent: "
                "see apply(x)"
            )
        mask = check_known(self, known)
        array = np.asarray(x)
        if array.shape == self.input_shape:
            array = array[None]
        array = check_sites(self, array, mask)
        n = self._rows(len(array) if n is None else n)
        if len(array) not in (1, n):
            raise ValueError(f"x has {len(array)} rows for n={n} samples: give one row for all, or one each")
        guided = check_guidance(self, guidance, unconditional, condition, n)
        arguments = {"conditions": check_conditions(self, condition, n)}
        if "unconditional" in guided:
            arguments["unconditional"] = guided["unconditional"]
        shared = {
            **check_filters(temperature, top_k, top_p, min_p),
            "guidance": guided["guidance"],
            "known": np.ascontiguousarray(mask.reshape(-1), np.uint8),
            "wavefront": bool(wavefront),
        }
        given = np.broadcast_to(array.reshape(len(array), self.sites), (n, self.sites))
        out = self._draw(n, rng, u, first_row, given, arguments, shared, progress)
        return out.reshape(n, *self.input_shape)

    @follows_its_arrays
    def log_prob(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> np.ndarray:
        """Log-probability of given samples, with the very bits of the sampling path.

        Of a model with an output that of its latent, which `x` is then.

        Parameters
        ----------
        x : array_like of shape (n, \\*input_shape)
            Levels (integers), or numbers of a continuous head.
        condition, temperature, top_k, top_p, min_p, guidance, unconditional, progress, check
            As in `sample`: the log-probability is that of what `sample` draws with them.

        Returns
        -------
        numpy.ndarray of shape (n,), float64
            Nats; of a continuous head the log of a density. −inf for what is never drawn. A first token that has no
            distribution (`bos`) adds nothing.

        Raises
        ------
        ValueError, TypeError, NumericalError
            As `sample`; also for a level outside 0 … levels − 1.
        """
        self._expect_distribution("log_prob")
        sites, arguments, report = self._scored(
            x, condition, temperature, top_k, top_p, min_p, guidance, unconditional, progress
        )
        try:
            return self._core.log_prob(sites, arguments)
        finally:
            _close(report)

    @follows_its_arrays
    def bits_per_dim(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> np.ndarray:
        """Negative log-probability in bits per drawn site: ``−log_prob(x) / (sites · ln 2)``.

        Of a continuous head these are bits of a density: they may be negative, and depend on the scale of `x` (for data
        in steps of h, add ``−log2(h)``). A first token without a distribution is not counted among the sites.

        Parameters, returns and errors are those of `log_prob`; shape (n,), float64.
        """
        nats = self.log_prob(
            x,
            condition=condition,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            guidance=guidance,
            unconditional=unconditional,
            progress=progress,
        )
        return -nats / self._nats_per_bit()

    @follows_its_arrays
    def rosenblatt(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The uniforms that give each site its value, given the sites before it (Rosenblatt, 1952).

        Parameters
        ----------
        x, condition, temperature, top_k, top_p, min_p, guidance, unconditional, progress, check
            As in `log_prob`.

        Returns
        -------
        lower, upper : numpy.ndarray of shape (n, sites), float64
            In the input's layout: `sample` draws the value of x for the uniforms in (lower, upper]. Equal where x is
            continuous: F(x). A site without a distribution has (0, 1).

        Raises
        ------
        ValueError, TypeError, NumericalError
            As `log_prob`.

        Notes
        -----
        For x from the model and one uniform drawn in each interval (or F(x) itself), the uniforms are independent and
        uniform on [0, 1]: a test of fit.
        """
        self._expect_distribution("rosenblatt")
        sites, arguments, report = self._scored(
            x, condition, temperature, top_k, top_p, min_p, guidance, unconditional, progress
        )
        try:
            return self._core.rosenblatt(sites, arguments)
        finally:
            _close(report)

    @follows_its_arrays
    def inverse_rosenblatt(
        self,
        u: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        min_p: float | None = None,
        guidance: float = 1.0,
        unconditional: Mapping[str, Any] | None = None,
        prompt: Any = None,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> np.ndarray:
        """The samples of given uniforms: ``inverse_rosenblatt(rosenblatt(x))`` is x.

        Exactly so for levels, wherever an interval is wider than 2⁻⁵⁰; to rounding for continuous heads.

        Parameters
        ----------
        u : array_like of shape (n, sites), or a tuple (lower, upper) of two
            Uniforms in [0, 1], or intervals, of which the middle is taken.
        condition, temperature, top_k, top_p, min_p, guidance, unconditional, progress, check
            As in `rosenblatt`.
        prompt : array_like of int, optional
            As in `sample`: where the first token has no distribution, uniforms say nothing about it (default: `bos`).

        Returns
        -------
        numpy.ndarray of shape (n, \\*input_shape)
            As `sample` returns it; of a model with an output the sites, its latent.

        Raises
        ------
        ValueError, TypeError, NumericalError
            As `sample`.
        """
        self._expect_distribution("inverse_rosenblatt")
        middle = check_pair(self, u)
        if self.output_shape is not None:
            if prompt is not None:
                self._expect_tokens("prompt")
            n = len(middle)
            shared = check_filters(temperature, top_k, top_p, min_p)
            guided = check_guidance(self, guidance, unconditional, condition, n)
            conditions = check_conditions(self, condition, n)
            report = _progress(progress)
            try:
                arguments = _core.Arguments(u=middle, conditions=conditions, **shared, **guided, progress=report)
                return self._core.sample(n, arguments).reshape(n, *self.input_shape)
            finally:
                _close(report)
        return self.sample(
            len(middle),
            u=middle,
            condition=condition,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            guidance=guidance,
            unconditional=unconditional,
            prompt=prompt,
            progress=progress,
        )

    @follows_its_arrays
    def logits(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        progress: bool | Progress = False,
        check: str | None = None,
    ) -> np.ndarray:
        """The model's teacher-forced outputs for given samples, to check against the PyTorch model.

        Parameters
        ----------
        x : array_like of shape (n, \\*input_shape)
            Levels (integers), or numbers of a continuous head.
        condition, progress, check
            As in `sample`.

        Returns
        -------
        numpy.ndarray, float32
            What the head reads, before temperature, filters and guidance. With one channel, and for a logistic mixture:
            (n, outputs, \\*positions), where positions is `input_shape` without its channel axis; else (n, outputs,
            \\*input_shape). `outputs` is the number of levels of a categorical head, 1 of a Bernoulli one, and the
            number of parameters of the others. 0 where a site has no distribution.

        Raises
        ------
        ValueError, TypeError
            As `log_prob`.
        """
        self._expect_distribution("logits")
        sites = check_sites(self, x)
        conditions = check_conditions(self, condition, len(sites))
        report = _progress(progress)
        try:
            out = self._core.logits(sites, _core.Arguments(conditions=conditions, progress=report))
        finally:
            _close(report)
        by_position = self._core.outputs_by_position or self._core.channels == 1
        return out.reshape(*out.shape[:2], *(self._positions_shape if by_position else self.input_shape))

    def explain(self) -> str:
        """What the compiled program does and costs: nodes, steps, wavefront levels, multiply-adds, weights, memory, and
        what was assumed about the PyTorch model."""
        text = self._core.explain()
        if isinstance(self.meta.get("quantized"), dict):
            from genfast.quantize import describe

            text += describe(self.meta["quantized"])
        return text

    def quantize(self, dtype: str, *, check: Any = None, condition: Mapping[str, Any] | None = None) -> Model:
        """The model with weights of two bytes or one, which are read from memory in less time.

        Only the weights of matrix products and lookup tables are rounded: "bf16" to the nearest bfloat16; "int8" to
        round(w / scale) with scale = max\\|w\\| / 127 of each output column, or of each row of a table. Zeros stay
        zero, so that masks stay masks. Activations and all arithmetic stay float32, and the result is as deterministic
        as ever: the same bits for any batch, threads and CPU, but not those of the original.

        Parameters
        ----------
        dtype : "bf16" or "int8"
        check : array_like of shape (n, \\*input_shape), optional
            Samples, best held-out data, on which to measure what the rounding costs: ``meta["quantized"]`` gets
            ``bits_per_dim``, the mean of what the new model needs more, and `explain` says it. Of a model with an
            output: what `apply` takes; ``output_rms``, by how much outputs change (root mean square). Measured on the
            CPU, wherever the model is.
        condition : mapping from str to array_like, optional
            As in `log_prob`, for `check`.

        Returns
        -------
        Model

        Raises
        ------
        ValueError
            For another dtype, a model that is quantized already, or one that has no such weights.
        TypeError, NumericalError
            As `log_prob`, for `check`.

        Notes
        -----
        Weight-only rounding with one scale a channel, as in Dettmers et al., 2022 (LLM.int8()).
        """
        from genfast.quantize import quantize

        quantized = quantize(self, dtype, check=check, condition=condition)
        return quantized if self.device == "cpu" else Model(quantized._core.to(self.device), self.arrays)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as one `.genfast` file, for `genfast.load` here or the C++ API elsewhere.

        The file appears complete or not at all: it is written beside `path` and renamed.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        with whole_file(path) as file:
            file.write(self._core.file_bytes())

    def _nats_per_bit(self) -> float:
        """Of a row, at one bit a site."""
        return float(max(self.sites - len(self._core.fixed_sites), 1) * np.log(2))

    def _rows(self, n: Any) -> int:
        n = count(n)
        numbers = max(self.uniforms, math.prod(self.output_shape or ()))
        if n * numbers >= 1 << 62:
            raise ValueError(f"n is too large: {n} samples of {numbers} numbers")
        return n

    def _expect_distribution(self, what: str) -> None:
        if not self._core.has_distribution:
            raise ValueError(
                f"{what} needs a distribution, and this model has none: its inputs are given. Call apply(x) with x of "
                f"shape (n, {', '.join(map(str, self.input_shape))}) for its output"
            )

    def _expect_tokens(self, what: str) -> None:
        if self.is_tokens:
            return
        if self.output_shape is not None:
            raise ValueError(f"{what} is for models of token sequences, and this one computes an output from its sites")
        raise ValueError(
            f"{what} is for models of token sequences: integers of shape (T,) in raster order; this one takes "
            f"{self.input_shape}. See complete(x, known=mask)"
        )

    def _tokens(
        self, n: int, prompt: Any, max_tokens: Any, stop: Any
    ) -> tuple[np.ndarray | None, dict[str, Any], int | None]:
        """The given rows of sites, the core's arguments, and the width of the result where it is not all of a row."""
        for name, value in (("prompt", prompt), ("max_tokens", max_tokens), ("stop", stop)):
            if value is not None:
                self._expect_tokens(name)
        arguments: dict[str, Any] = {"stop": check_stop(self, stop)}
        given = lengths = None
        if prompt is not None:
            given, lengths = check_prompt(self, prompt, n)
            arguments["prompt"] = lengths
        if max_tokens is None:
            return given, arguments, None
        arguments["max_tokens"] = count(max_tokens, "max_tokens")
        longest = 0 if lengths is None or not n else int(lengths.max())
        return given, arguments, min(self.sites, max(longest, len(self._core.fixed_sites)) + arguments["max_tokens"])

    def _source(
        self,
        n: int,
        rng: RNG,
        u: Any,
        first_row: Any,
        columns: int,
        checked: Callable[[Model, Any, int, int], Any] = check_uniforms,
    ) -> dict[str, Any]:
        """Where the uniforms come from: ``u``, a ``seed`` with ``first_row``, or an ``rng`` to be read in order."""
        first_row = count(first_row, "first_row")
        if u is not None:
            if rng is not None:
                raise ValueError("give either rng or u, not both")
            if first_row:
                raise ValueError("first_row numbers the rows of a seed; it does nothing with u")
            return {"u": checked(self, u, n, columns)}
        if is_counted(rng):
            return {"seed": as_seed(rng), "first_row": first_row}
        if first_row:
            uniforms(rng, 0, columns, first_row=first_row)  # its error
        return {"rng": rng}

    def _draw(
        self,
        n: int,
        rng: RNG,
        u: Any,
        first_row: Any,
        given: np.ndarray | None,
        arrays: dict[str, Any],
        shared: dict[str, Any],
        progress: bool | Progress,
    ) -> np.ndarray:
        """Rows of sites (n, sites). `arrays` are arguments with a row for each sample, or mappings to such."""

        def draw(begin: int, rows: int, arguments: Any) -> tuple[np.ndarray]:
            return (self._core.sample(rows, arguments, None if given is None else given[begin : begin + rows]),)

        parts = self._in_parts(draw, n, rng, u, first_row, self.sites, self.sites, arrays, shared, progress)
        return np.concatenate([part[0] for part in parts])

    def _generate(
        self,
        n: int,
        rng: RNG,
        u: Any,
        first_row: Any,
        arrays: dict[str, Any],
        shared: dict[str, Any],
        progress: bool | Progress,
        latent: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Outputs (n, *output_shape), and with `latent` the sites (n, *input_shape) they are made from."""

        def draw(begin: int, rows: int, arguments: Any) -> tuple[Any, ...]:
            return self._core.generate(rows, arguments, latent)

        units = max(1, self._core.rounds)
        parts = self._in_parts(draw, n, rng, u, first_row, self.uniforms, units, arrays, shared, progress)
        out = np.concatenate([part[0] for part in parts])
        if not latent:
            return out, None
        sites = np.concatenate([part[1] for part in parts]).reshape(n, *self.input_shape)
        small = self.levels is not None and max(self.levels - 1, self.bos or 0) < 256
        return out, sites.astype(np.uint8) if small else sites

    def _in_parts(
        self,
        draw: Callable[[int, int, Any], tuple[Any, ...]],
        n: int,
        rng: RNG,
        u: Any,
        first_row: Any,
        columns: int,
        units: int,
        arrays: dict[str, Any],
        shared: dict[str, Any],
        progress: bool | Progress,
    ) -> list[tuple[Any, ...]]:
        """What `draw` (first row, rows, arguments) gives for all rows at once, or part by part where `rng` is read in
        order. `columns` uniforms a row; progress in `units` a row."""
        source = self._source(n, rng, u, first_row, columns)
        report = _progress(progress)
        try:
            if "rng" not in source:
                return [draw(0, n, _core.Arguments(**source, **arrays, **shared, progress=report))]
            parts = []
            # A QMC engine is asked once: the points of a Latin hypercube belong together.
            step = max(n, 1) if hasattr(rng, "d") else GENERATOR_ROWS
            for begin in range(0, max(n, 1), step):
                rows = min(step, n - begin)
                part = {name: _slice(array, begin, rows) for name, array in arrays.items()}
                whole = report and (lambda done, _, begin=begin: report(begin * units + done, n * units))
                drawn = uniforms(rng, rows, columns)
                arguments = _core.Arguments(u=drawn, **part, **shared, progress=whole or None)
                parts.append(draw(begin, rows, arguments))
            return parts
        finally:
            _close(report)

    def _scored(
        self,
        x: Any,
        condition: Any,
        temperature: Any,
        top_k: Any,
        top_p: Any,
        min_p: Any,
        guidance: Any,
        unconditional: Any,
        progress: Any,
    ) -> tuple[np.ndarray, Any, Any]:
        """Checked rows of sites, arguments and the progress report of log_prob and rosenblatt."""
        sites = check_sites(self, x)
        n = len(sites)
        filters = check_filters(temperature, top_k, top_p, min_p)
        guided = check_guidance(self, guidance, unconditional, condition, n)
        conditions = check_conditions(self, condition, n)
        report = _progress(progress)
        return sites, _core.Arguments(conditions=conditions, **filters, **guided, progress=report), report


def compile(
    model: Any,
    example: Any,
    *,
    head: Any = None,
    order: Any = "raster",
    alignment: str = "infer",
    bos: int = 0,
    latent: Any = None,
    name: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Model:
    """Compile a causal PyTorch model into an incremental sampler; with `latent`, a feed-forward one. Needs PyTorch.

    Parameters
    ----------
    model : torch.nn.Module
        In the mode it should be sampled in: call ``model.eval()`` first.
    example : tensor, array, or tuple of them
        One input batch; the first is the image (B, C, H, W), (B, H, W), (B, C, L) or sequence (B, T), the others are
        the conditions, in the order of ``forward``.
    head : one of genfast.heads, optional
        What the outputs mean. Default, for integer tokens (B, T): Categorical over the output's last axis.
    order : str or array_like of int, shape (sites,) or (positions,)
        The order the model was trained for: "raster", "column", "snake", "hilbert", "subpixel", "infer" (found from the
        model's own structure), or ``order[rank] = site``; see `genfast.orders.resolve`.
    alignment : "infer", "same" or "next"
        Whether the output at p predicts site p ("same") or the site after it in the input's order ("next", as in GPT).
        "infer": "same", or, for integer tokens (B, T) for which that is not causal, "next". `explain` tells.
    bos : int
        With alignment "next": the first site, which nothing predicts, where the call gives none.
    latent : distribution of genfast, "given", or None
        For feed-forward models, in which any layer may read all positions. A distribution: the first input is a latent
        whose elements are drawn from it independently (its parameters broadcast to the input's shape), and samples are
        the network's output: a decoder, a generator. "given": the first input is always given, to `Model.apply`: an
        encoder, a classifier. `head` and `order` say nothing then.
    name : str, optional
        Stored in the file.
    meta : mapping from str to JSON, optional
        Stored in the file too, for `Model.meta`; with a "vocabulary", a str or list of str with an entry for each of
        the head's levels, the ``genfast`` command prints samples as text.

    Returns
    -------
    Model

    Raises
    ------
    UnsupportedOpError
        Naming the op, its shapes, the module and the source line.
    NotCausalError
        Naming the layer where causality is lost, with one chain and a hint.
    ValueError, TypeError
        For wrong arguments and non-finite weights.
    ImportError
        If PyTorch is not installed.
    """
    meta = check_meta(name, meta, named=False)
    try:
        from genfast.export import lower
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("genfast.compile needs PyTorch: pip install 'genfast[torch]'", name="torch") from error

    kwargs = {} if latent is None else {"latent": latent}
    exported = lower(model, example, head, order=order, name=name, alignment=alignment, bos=bos, meta=meta, **kwargs)

    return exported.settle(lambda data: planned(data, name), lambda data: _core.infer_order(data))


def check_meta(name: Any, meta: Any, named: bool = True) -> dict[str, Any]:
    """The file's meta, with the name in it unless `named` is false. Raises TypeError, ValueError."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, got {type(name).__name__}")
    meta = {} if meta is None else meta
    if not isinstance(meta, Mapping) or not all(isinstance(key, str) for key in meta):
        raise TypeError(f"meta must be a mapping from str, got {meta!r}")
    if not isinstance(meta.get("name", ""), str):
        raise TypeError(f"meta['name'] must be a str, got {type(meta['name']).__name__}")
    json.dumps(dict(meta), allow_nan=False)  # its error before the work
    return {**meta, **({"name": name} if named and name is not None else {})}


def planned(data: bytes, name: str | None) -> Model:
    """The model of a file, planned, so that what cannot be says so now."""
    compiled = Model(_core.Model.from_bytes(data, name or "<compiled>"))
    compiled._core.plan()
    return compiled


def load(name_or_path: str | os.PathLike[str]) -> Model:
    """Load a `.genfast` file, or a bundled model by name. Needs no PyTorch.

    Parameters
    ----------
    name_or_path : str or path-like
        A path, or one of `genfast.models()`. An existing file wins over a bundled name only if it has a directory or a
        suffix in it.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError
        If there is no such file or bundled model.
    FormatError
        If the file is damaged, hostile or not a `.genfast` file. Loading never runs code from the file.
    """
    path = Path(name_or_path)
    if isinstance(name_or_path, str) and name_or_path in models():
        path = BUNDLED / f"{name_or_path}.genfast"
    elif not path.exists():
        known = ", ".join(models()) or "none"
        raise FileNotFoundError(errno.ENOENT, f"no such model file; bundled models: {known}", str(name_or_path))
    return Model(_core.Model.from_path(str(path)))


def models() -> list[str]:
    """Names of the bundled models, for `load`."""
    return sorted(path.stem for path in BUNDLED.glob("*.genfast"))


def set_num_threads(n: int) -> None:
    """Threads that one call may use, from 1 to 1024. Default: GENFAST_NUM_THREADS, else the CPUs of this process.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer or out of range.
    """
    _core.set_num_threads(min(count(n), 1 << 30))


def _unpickle(data: bytes) -> Model:
    return Model(_core.Model.from_bytes(data, "<pickle>"))


def _slice(array: Any, begin: int, rows: int) -> Any:
    if isinstance(array, dict):
        return {name: each[begin : begin + rows] for name, each in array.items()}
    return array[begin : begin + rows]


def _columns(stream: Any) -> Iterator[np.ndarray]:
    while (column := stream.next()) is not None:
        yield column


def _close(report: Any) -> None:
    if hasattr(report, "close"):
        report.close()
