"""Model: a thin handle on a compiled sampler of the core; and the three ways to get one: compile, load, models."""

from __future__ import annotations

import errno
import json
import operator
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genfast import _core
from genfast.rng import RNG, as_seed, is_counted, uniforms

__all__ = ["Model", "compile", "load", "models", "set_num_threads"]

Progress = Callable[[int, int], None]

# Rows whose uniforms a NumPy generator fills at once, so that memory does not grow with n.
GENERATOR_ROWS = 1024
BUNDLED = Path(__file__).parent / "models"


class Model:
    """A compiled autoregressive model, ready to sample. Immutable, and safe to use from several threads.

    Made by `genfast.compile` or `genfast.load`. Every method is deterministic: a row's result depends on its own
    uniforms and condition alone, never on the batch, the threads or the CPU.

    Attributes
    ----------
    sites : int
        Number of sites: uniforms a sample takes.
    levels : int
        Number of levels a site can take.
    input_shape : tuple of int
        Shape of one sample, in the model's input layout: (C, H, W), (C, L), (L,), …
    conditions : list of dict
        The other inputs: ``name``, ``shape`` of one row, ``dtype`` ("int" or "float"), and ``size`` (exclusive upper
        bound of an integer condition, else None).
    meta : dict
        What the file says of itself, such as its name.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self.sites: int = core.sites
        self.levels: int = core.levels
        self.input_shape: tuple[int, ...] = core.input_shape
        self.conditions: list[dict[str, Any]] = core.conditions
        self.meta: dict[str, Any] = json.loads(core.meta)

    def __repr__(self) -> str:
        name = self.meta.get("name")
        return f"<genfast.Model{f' {name!r}' if name else ''}: {self.input_shape}, {self.levels} levels>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._core.file_bytes(),)

    def sample(
        self,
        n: int,
        *,
        rng: RNG = None,
        u: Any = None,
        first_row: int = 0,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        progress: bool | Progress = False,
        wavefront: bool = True,
    ) -> np.ndarray:
        """Draw samples by inverting the conditional distribution functions site by site (the chain rule).

        Parameters
        ----------
        n : int
            Number of samples; 0 gives an empty array.
        rng : int, Stream, numpy.random.Generator, numpy.random.BitGenerator, scipy.stats.qmc.QMCEngine or None
            A seed in [0, 2**64) or a `Stream`: row i, site s takes the uniform u(seed, first_row + i, s) of
            Philox4x32-10 (Salmon et al., 2011). Or a NumPy generator, read in order; or a QMC engine of d = sites, one
            point a sample. None: a fresh seed.
        u : array_like of shape (n, sites), optional
            Your own uniforms in [0, 1], in the input's layout, instead of `rng`.
        first_row : int
            Row id of the first sample: ``sample(8, rng=0, first_row=56)`` are rows 56 … 63 of ``sample(64, rng=0)``.
        condition : mapping from str to array_like, optional
            The model's other inputs by name: each of shape (n, \\*shape), or (\\*shape) for all samples alike.
        temperature : float
            Divides the logits; > 0.
        progress : bool or callable
            True draws a bar on stderr; a callable gets ``progress(done, total)`` in sites.
        wavefront : bool
            Draw sites that do not depend on each other together. The samples are the same; False is for comparison.

        Returns
        -------
        numpy.ndarray of shape (n, \\*input_shape)
            Levels; uint8 up to 256 levels, else int32.

        Raises
        ------
        ValueError, TypeError
            For wrong arguments, naming them.
        NumericalError
            If the model's logits are NaN, +inf or all −inf, naming row and site.
        """
        n = _count(n)
        if n * self.sites >= 1 << 62:
            raise ValueError(f"n is too large: {n} samples of {self.sites} sites")
        first_row = _count(first_row, "first_row")
        shared = {"temperature": _temperature(temperature), "wavefront": bool(wavefront)}
        conditions = self._conditions(condition, n)
        report = _progress(progress)
        try:
            if u is not None:
                if rng is not None:
                    raise ValueError("give either rng or u, not both")
                if first_row:
                    raise ValueError("first_row numbers the rows of a seed; it does nothing with u")
                arguments = _core.Arguments(u=self._uniforms(u, n), conditions=conditions, progress=report, **shared)
                out = self._core.sample(n, arguments)
            elif not is_counted(rng):
                out = self._sample_in_order(n, rng, first_row, conditions, report, shared)
            else:
                arguments = _core.Arguments(
                    seed=as_seed(rng), first_row=first_row, conditions=conditions, progress=report, **shared
                )
                out = self._core.sample(n, arguments)
        finally:
            _close(report)
        return out.reshape(n, *self.input_shape)

    def log_prob(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        progress: bool | Progress = False,
    ) -> np.ndarray:
        """Log-probability of given samples, with the very bits of the sampling path.

        Parameters
        ----------
        x : array_like of int, shape (n, \\*input_shape)
            Levels.
        condition, temperature, progress
            As in `sample`.

        Returns
        -------
        numpy.ndarray of shape (n,), float64
            Nats.

        Raises
        ------
        ValueError, TypeError, NumericalError
            As `sample`; also for a level outside 0 … levels − 1.
        """
        levels = self._levels_of(x)
        report = _progress(progress)
        try:
            arguments = _core.Arguments(
                conditions=self._conditions(condition, len(levels)),
                temperature=_temperature(temperature),
                progress=report,
            )
            return self._core.log_prob(levels, arguments)
        finally:
            _close(report)

    def bits_per_dim(
        self,
        x: Any,
        *,
        condition: Mapping[str, Any] | None = None,
        temperature: float = 1.0,
        progress: bool | Progress = False,
    ) -> np.ndarray:
        """Negative log-probability in bits per site: ``−log_prob(x) / (sites · ln 2)``.

        Parameters, returns and errors are those of `log_prob`; shape (n,), float64.
        """
        nats = self.log_prob(x, condition=condition, temperature=temperature, progress=progress)
        return -nats / (self.sites * np.log(2))

    def logits(
        self, x: Any, *, condition: Mapping[str, Any] | None = None, progress: bool | Progress = False
    ) -> np.ndarray:
        """The model's teacher-forced outputs for given samples, to check against the PyTorch model.

        Parameters
        ----------
        x : array_like of int, shape (n, \\*input_shape)
            Levels.
        condition, progress
            As in `sample`.

        Returns
        -------
        numpy.ndarray, float32
            Of shape (n, levels, \\*positions), or (n, 1, \\*positions) for a Bernoulli head, where positions is
            `input_shape` without its channel axis. Before temperature.

        Raises
        ------
        ValueError, TypeError
            As `log_prob`.
        """
        levels = self._levels_of(x)
        conditions = self._conditions(condition, len(levels))
        positions = self.input_shape[1:] if len(self.input_shape) > 1 and self.input_shape[0] == 1 else self.input_shape
        report = _progress(progress)
        try:
            out = self._core.logits(levels, _core.Arguments(conditions=conditions, progress=report))
        finally:
            _close(report)
        return out.reshape(*out.shape[:2], *positions)

    def explain(self) -> str:
        """What the compiled program does and costs: nodes, steps, wavefront levels, multiply-adds, weights, memory, and
        what was assumed about the PyTorch model."""
        return self._core.explain()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model as one `.genfast` file, for `genfast.load` here or the C++ API elsewhere.

        The file appears complete or not at all: it is written beside `path` and renamed.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
        beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            # Not tempfile: its files are private, while this one should follow the umask.
            with open(beside, "xb") as file:
                file.write(self._core.file_bytes())
            os.replace(beside, target)
        except OSError as error:
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from None
        finally:
            beside.unlink(missing_ok=True)

    def _levels_of(self, x: Any) -> np.ndarray:
        array = np.asarray(x)
        if array.dtype.kind not in "iub":
            raise TypeError(f"x must hold integer levels 0 to {self.levels - 1}, got dtype {array.dtype}")
        if array.shape[1:] != self.input_shape or array.ndim == 0:
            raise ValueError(f"x must have shape (n, {', '.join(map(str, self.input_shape))}), got {array.shape}")
        if array.size and (array.min() < 0 or array.max() >= self.levels):
            row = np.argwhere((array < 0) | (array >= self.levels))[0]
            raise ValueError(f"x{row.tolist()} is {array[tuple(row)]}, outside the levels 0 to {self.levels - 1}")
        return np.ascontiguousarray(array, np.int32)

    def _uniforms(self, u: Any, n: int) -> np.ndarray:
        array = np.asarray(u)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"u must hold real numbers in [0, 1], got dtype {array.dtype}")
        if array.shape != (n, self.sites):
            raise ValueError(f"u must have shape (n, sites) = ({n}, {self.sites}), got {array.shape}")
        return np.ascontiguousarray(array, np.float64)

    def _conditions(self, given: Mapping[str, Any] | None, n: int) -> dict[str, np.ndarray]:
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"condition must be a mapping from names to arrays, got {type(given).__name__}")
        given = dict(given or {})
        names = [condition["name"] for condition in self.conditions]
        for name in given:
            if name not in names:
                raise ValueError(f"the model has no condition {name!r}; it has {', '.join(names) or 'none'}")
        arrays = {}
        for condition in self.conditions:
            name, shape = condition["name"], condition["shape"]
            if name not in given:
                raise ValueError(f"condition {name!r} is missing: pass condition={{{name!r}: …}}")
            array = np.asarray(given[name])
            kinds = "iu" if condition["dtype"] == "int" else "iuf"
            if array.dtype.kind not in kinds:
                raise TypeError(f"condition {name!r} must be {condition['dtype']}, got dtype {array.dtype}")
            if array.shape not in (shape, (n, *shape)):
                raise ValueError(f"condition {name!r} must have shape {shape} or {(n, *shape)}, got {array.shape}")
            with np.errstate(over="ignore"):
                fed = array.astype(np.float32)
            bad = ~np.isfinite(fed)
            if condition["dtype"] == "int":
                bad |= (array < 0) | (array >= condition["size"])
            if bad.any():
                where = np.argwhere(bad)[0].tolist()
                allowed = f"from 0 to {condition['size'] - 1}" if condition["dtype"] == "int" else "finite in float32"
                raise ValueError(
                    f"condition {name!r} must be {allowed}, got {array[tuple(where)]}{f' at {where}' if where else ''}"
                )
            arrays[name] = np.ascontiguousarray(np.broadcast_to(fed, (n, *shape)))
        return arrays

    def _sample_in_order(
        self,
        n: int,
        rng: RNG,
        first_row: int,
        conditions: dict[str, np.ndarray],
        report: Any,
        shared: dict[str, Any],
    ) -> np.ndarray:
        parts = []
        # A QMC engine is asked once: the points of a Latin hypercube belong together.
        step = max(n, 1) if hasattr(rng, "d") else GENERATOR_ROWS
        for begin in range(0, max(n, 1), step):
            rows = min(step, n - begin)
            part = {name: array[begin : begin + rows] for name, array in conditions.items()}
            whole = report and (lambda done, _, begin=begin: report(begin * self.sites + done, n * self.sites))
            arguments = _core.Arguments(
                u=uniforms(rng, rows, self.sites, first_row=first_row),
                conditions=part,
                progress=whole or None,
                **shared,
            )
            parts.append(self._core.sample(rows, arguments))
        return np.concatenate(parts)


def compile(
    model: Any,
    example: Any,
    *,
    head: Any = None,
    order: Any = "raster",
    alignment: str = "infer",
    bos: int = 0,
    name: str | None = None,
) -> Model:
    """Compile a causal PyTorch model into an incremental sampler. Needs PyTorch.

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
    name : str, optional
        Stored in the file.

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
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, got {type(name).__name__}")
    try:
        from genfast.export import lower
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError("genfast.compile needs PyTorch: pip install 'genfast[torch]'", name="torch") from error

    exported = lower(model, example, head, order=order, name=name, alignment=alignment, bos=bos)

    def plan(data: bytes) -> Model:
        compiled = Model(_core.Model.from_bytes(data, name or "<compiled>"))
        compiled._core.plan()
        return compiled

    return exported.settle(plan, lambda data: _core.infer_order(data))


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
    _core.set_num_threads(min(_count(n), 1 << 30))


def _unpickle(data: bytes) -> Model:
    return Model(_core.Model.from_bytes(data, "<pickle>"))


def _count(n: Any, name: str = "n") -> int:
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(n).__name__}") from None
    if isinstance(n, bool):
        raise TypeError(f"{name} must be an integer, got bool")
    if not 0 <= count < 1 << 63:
        raise ValueError(f"{name} must be at least 0 and below 2**63, got {count}")
    return count


def _temperature(temperature: Any) -> float:
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        raise TypeError(f"temperature must be a number, got {type(temperature).__name__}") from None
    with np.errstate(over="ignore"):
        fed = np.float32(value)
    if isinstance(temperature, bool) or not 0 < fed < np.inf:
        raise ValueError(f"temperature must be positive and finite in float32, got {temperature}")
    return value


def _progress(progress: bool | Progress) -> Any:
    if progress is True:
        from genfast.progress import Bar

        return Bar()
    if progress is None or progress is False:
        return None
    if not callable(progress):
        raise TypeError(f"progress must be a bool or a callable (done, total), got {type(progress).__name__}")
    return progress


def _close(report: Any) -> None:
    if hasattr(report, "close"):
        report.close()
