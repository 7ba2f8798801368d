"""Model's methods where their arrays lie on a GPU: results there too, in the caller's stream, and nothing waits.

`follows_its_arrays` stands before those methods of Model and decides, call by call; the methods of `DeviceCalls` have
their names. Arrays are checked for what can be known without reading them (shapes, dtypes), brought into the layout of
the device programs by the library's own operations, and handed to genfast._cuda.decode in that library's memory. What
their elements are is looked at on the device, row by row, and told by `check` alone. A call that needs the host on the
way (progress, stop tokens, prompts of several lengths) is made with copies there instead, and waits.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, wraps
from typing import Any, TypeVar

import numpy as np

from genfast import _core
from genfast.arrays import Kind, check_size
from genfast.device_arrays import QUICK, Space, dtype_name, elsewhere, gpu_of, space_for, space_of
from genfast.devices import extension
from genfast.errors import NumericalError
from genfast.model_arguments import (
    ALL,
    as_mapping,
    check_condition,
    check_condition_kind,
    check_filters,
    check_known,
    check_pair,
    check_policy,
    check_prompt,
    check_sites,
    check_sites_kind,
    check_stop,
    check_strength,
    check_uniforms,
    check_uniforms_shape,
    count,
    named_conditions,
)
from genfast.rng import uniforms

__all__ = ["DeviceCalls", "follows_its_arrays"]

M = TypeVar("M", bound=Callable[..., Any])
MOST_MASKS = 8  # uploaded, of one model
NO_ROLL = 1 << 30  # kNoRoll in csrc/cuda/decode/unchecked.h
WHERE = ("u", "x", "condition", "unconditional", "prompt")  # arguments that may hold arrays of a GPU


def follows_its_arrays(method: M) -> M:
    """A method of Model that computes on the CPU, or on NumPy arrays, unless its arguments say otherwise."""
    # One may be given by its place, all others by name.
    _, *parameters = inspect.signature(method).parameters.values()
    first = parameters[0].name
    names = frozenset(x.name for x in parameters)
    needed = frozenset(x.name for x in parameters if x.default is x.empty)

    @wraps(method)
    def call(model: Any, *args: Any, **kwargs: Any) -> Any:
        space = None
        if model.arrays != "numpy" or any(map(on_gpu, args)) or any(map(on_gpu, kwargs.values())):
            if len(args) > (first not in kwargs):
                return method(model, *args, **kwargs)  # its error
            kwargs = {first: args[0], **kwargs} if args else kwargs
            if not needed <= kwargs.keys() <= names:
                return method(model, **kwargs)  # its error
            space = space_of_call(model, kwargs)
            args = ()
        check_policy(kwargs.get("check"), masks=space is not None)
        if space is None:
            return method(model, *args, **kwargs)
        return getattr(DeviceCalls(model, space), method.__name__)(**kwargs)

    return call  # type: ignore[return-value]


def on_gpu(x: Any) -> bool:
    """Whether an argument is an array on a GPU, or a mapping or pair that holds one. Asked on the CPU too."""
    kind = type(x)
    if kind in QUICK and kind is not tuple:
        return False
    if kind is tuple:
        return elsewhere(*x)
    return elsewhere(*x.values()) if kind is dict or isinstance(x, Mapping) else elsewhere(x)


def space_of_call(model: Any, given: Mapping[str, Any]) -> Space | None:
    """Where a call's results are: None for NumPy's. Raises as `space_of`."""
    if elsewhere(given.get("known")):
        raise ValueError("known is on a GPU, and a plan is made for each mask on the CPU: bring it there")
    arrays: dict[str, Any] = {}
    for name in WHERE:
        x = given.get(name)
        if isinstance(x, Mapping):
            arrays.update({f"{name} {key!r}": value for key, value in x.items()})
        elif type(x) is tuple and elsewhere(*x):
            arrays.update({f"{name}[{i}]": value for i, value in enumerate(x)})
        else:
            arrays[name] = x
    device = model.device.partition(" ")[0]
    if elsewhere(*arrays.values()):
        if device == "cpu":
            name, x = next((name, x) for name, x in arrays.items() if elsewhere(x))
            _, index = gpu_of(x) or ("", 0)
            raise ValueError(f"{name} is on cuda:{index} and the model on the CPU: m.to('cuda:{index}') computes there")
        return space_of(device, **arrays)
    if model.arrays == "numpy" or any(hasattr(x, "shape") and not isinstance(x, np.generic) for x in arrays.values()):
        return None
    return space_for(device, Kind(model.arrays))


class DeviceCalls:
    """The calls of one model in one space. Its methods take what those of Model do, by name."""

    def __init__(self, model: Any, space: Space) -> None:
        self.model, self.space, self.core = model, space, model._core

    # --- the methods of Model

    def sample(self, n: int, **given: Any) -> Any:
        model = self.model
        model._expect_distribution("sample")
        if given.get("return_latent") and model.output_shape is None:
            raise ValueError("return_latent is for models with an output; here the samples are the sites")
        for name in ("prompt", "max_tokens", "stop"):
            if given.get(name) is not None:
                model._expect_tokens(name)
        n = model._rows(n)
        given = self.settled(n, given, model.sites if model.output_shape is None else model.uniforms)
        again = {"n": n, **given}
        prompt, length = self.prompt(n, given.get("prompt"))
        if given.get("progress") or check_stop(model, given.get("stop")) or length is None:
            return self.waiting("sample", again)
        told = None
        if length:
            told = np.zeros(model.sites, bool)
            told[:length] = True
        return self.drawn("sample", n, given, again, prompt, told, length)

    def complete(self, x: Any, *, known: Any, n: int | None = None, **given: Any) -> Any:
        model = self.model
        model._expect_distribution("complete")
        if model.output_shape is not None:
            return type(model).complete(model, np.zeros(0), known=known)  # its error
        mask = np.ascontiguousarray(check_known(model, known))
        one = (tuple(x.shape) if is_array(x) else np.shape(x)) == model.input_shape
        sites = self.sites((x[None] if is_array(x) else [x]) if one else x, mask)
        rows = int(sites.shape[1])
        n = model._rows(rows if n is None else n)
        if rows not in (1, n):
            raise ValueError(f"x has {rows} rows for n={n} samples: give one row for all, or one each")
        given = self.settled(n, given, model.sites)
        again = {"x": x, "known": known, "n": n, **given}
        if given.get("progress"):
            return self.waiting("complete", again)
        return self.drawn("complete", n, given, again, sites, mask.reshape(-1))

    def inverse_rosenblatt(self, u: Any, **given: Any) -> Any:
        model = self.model
        model._expect_distribution("inverse_rosenblatt")
        middle = self.middle(u)
        n = int(middle.shape[0])
        if given.get("prompt") is not None:
            model._expect_tokens("prompt")
        again = {"u": u, **given}
        prompt, length = self.prompt(n, given.get("prompt"))
        if given.get("progress") or length is None:
            return self.waiting("inverse_rosenblatt", again)
        told = np.arange(model.sites) < length if length else None
        return self.drawn("inverse_rosenblatt", n, {**given, "u": middle}, again, prompt, told, length, output=False)

    def apply(self, x: Any, **given: Any) -> Any:
        model = self.model
        if model.output_shape is None:
            raise ValueError("apply is for models with an output; the samples of this one are its sites: see logits(x)")
        sites = self.sites(x)
        n = model._rows(int(sites.shape[1]))
        if model.uniforms == model.sites:
            # Without jitter they have no effect, but must be what they should be, and a generator is not read.
            self.source(n, given, model.uniforms)
            given = {name: value for name, value in given.items() if name not in ("rng", "u", "first_row")}
        else:
            given = self.settled(n, given, model.uniforms)
        again = {"x": x, **given}
        if given.get("progress"):
            return self.waiting("apply", again)
        call = Call(self, n, {"condition": given.get("condition")}, draws=False, output=True)
        call.place_sites(sites)
        output = call.output(given)
        return self.told(call.run(), output, "apply", again)

    def log_prob(self, x: Any, **given: Any) -> Any:
        if given.get("progress"):
            return self.waiting("log_prob", {"x": x, **given})
        nats, good = self.scores(x, given)
        return self.told(good, nats, "log_prob", {"x": x, **given})

    def bits_per_dim(self, x: Any, **given: Any) -> Any:
        if given.get("progress"):
            return self.waiting("bits_per_dim", {"x": x, **given})
        nats, good = self.scores(x, given)
        # An array, since libraries turn division by a number into a product, which rounds otherwise.
        divisor = self.space.empty(tuple(nats.shape), "float64")
        self.space.fill(divisor, self.model._nats_per_bit())
        return self.told(good, -nats / divisor, "bits_per_dim", {"x": x, **given})

    def rosenblatt(self, x: Any, **given: Any) -> Any:
        self.model._expect_distribution("rosenblatt")
        if given.get("progress"):
            return self.waiting("rosenblatt", {"x": x, **given})
        call = self.scored(x, given)
        both = [call.take(name, (self.model.sites, call.rows), "float64") for name in ("lower", "upper")]
        good = call.run()
        return self.told(good, tuple(call.by_sample(array) for array in both), "rosenblatt", {"x": x, **given})

    def logits(self, x: Any, **given: Any) -> Any:
        model, core = self.model, self.core
        model._expect_distribution("logits")
        if given.get("progress"):
            return self.waiting("logits", {"x": x, **given})
        sites = self.sites(x)
        call = Call(self, int(sites.shape[1]), {"condition": given.get("condition")}, draws=False, logits=True)
        call.place_sites(sites)
        by_position = core.outputs_by_position or core.channels == 1
        places = model._positions_shape if by_position else model.input_shape
        out = call.take("logits", (call.n, core.outputs, *places), "float32")
        return self.told(call.run(), out, "logits", {"x": x, **given})

    def stream(self, n: int = 1, **given: Any) -> Iterator[Any]:
        space, columns = self.space, self.plain.stream(n, **self.on_host(given))
        return (space.wrap(space.upload(column)) for column in columns)

    # --- what they share

    def drawn(
        self,
        name: str,
        n: int,
        given: dict[str, Any],
        again: dict[str, Any],
        sites: Any = None,
        told: np.ndarray | None = None,
        length: int = 0,
        output: bool = True,
    ) -> Any:
        """Samples of n rows. `sites` (some of the sites, n or 1) are given where `told` (sites,) says so, all
        prompts being of that length; `again` are the arguments of the method `name` of that name."""
        model, core, space = self.model, self.core, self.space
        output = output and model.output_shape is not None
        end, width = model.sites, None
        if given.get("max_tokens") is not None:
            end = width = min(
                model.sites, max(length, len(core.fixed_sites)) + count(given["max_tokens"], "max_tokens")
            )
        if told is not None or width is not None:
            drawn = np.ones(model.sites, bool) if told is None else ~told
            drawn[core.fixed_sites] = False
            ranks = np.flatnonzero(drawn[core.order[:end]])
            end = int(ranks[-1]) + 1 if len(ranks) else 0
        known = told if name == "complete" else None
        call = Call(self, n, given, draws=True, output=output, known=known, prompt=length, end=end)
        rows = call.place_sites(sites)
        if told is not None:
            call.place_given(self.mask(told))
        call.place_uniforms(given)
        out = call.output(given) if output else None
        good = call.run()
        if output and not given.get("return_latent"):
            return self.told(good, out, name, again)
        found = call.by_sample(rows)
        if model.levels is not None and max(model.levels - 1, core.bos) < 256:
            found = space.cast(found, "uint8")
        found = found[:, :width] if width is not None else found.reshape((n, *model.input_shape))
        return self.told(good, (out, found) if output else found, name, again)

    def scored(self, x: Any, given: dict[str, Any]) -> Call:
        sites = self.sites(x)
        call = Call(self, int(sites.shape[1]), given, draws=False)
        call.place_sites(sites)
        return call

    def scores(self, x: Any, given: dict[str, Any]) -> tuple[Any, Any]:
        """log_prob (n,), and which rows are good."""
        self.model._expect_distribution("log_prob")
        call = self.scored(x, given)
        call.take("log_prob", (self.model.sites, call.rows), "float64")
        totals = call.take("row_log_prob", (call.rows,), "float64")
        good = call.run()
        return totals.reshape((call.n, call.copies))[:, 0], good

    def told(self, good: Any, result: Any, name: str, again: dict[str, Any]) -> Any:
        """The result as `check` wants it. What failed is told by the waiting call, in the words of the CPU."""
        space, policy = self.space, again.get("check")
        wrapped = tuple(map(space.wrap, result)) if isinstance(result, tuple) else space.wrap(result)
        if policy == "mask":
            return wrapped, space.wrap(good)
        if policy == "raise":
            bad = ~space.download(good)
            if bad.any():
                self.waiting(name, again)
                raise NumericalError(f"row {int(bad.argmax())} failed, though not when it was computed once more")
        return wrapped

    @cached_property
    def plain(self) -> Any:
        """The model with NumPy arrays in and out."""
        return type(self.model)(self.core)

    def waiting(self, name: str, given: dict[str, Any]) -> Any:
        """The method of that name with copies on the host. Raises what it does."""
        result = getattr(self.plain, name)(**self.on_host({k: x for k, x in given.items() if k != "check"}))
        space = self.space
        several = isinstance(result, tuple)
        parts = [space.wrap(space.upload(part)) for part in (result if several else (result,))]
        back = tuple(parts) if several else parts[0]
        if given.get("check") != "mask":
            return back
        return back, space.wrap(space.upload(np.ones(len(result[0] if several else result), bool)))

    def on_host(self, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: self.on_host(x) for name, x in given.items()}
        if isinstance(given, tuple):
            return tuple(map(self.on_host, given))
        if not is_array(given) or isinstance(given, np.ndarray):
            return given
        found = dtype_name(given)
        return self.space.download(self.space.cast(given, "float32" if found == "bfloat16" else found))

    # --- arguments

    def source(self, n: int, given: dict[str, Any], columns: int) -> dict[str, Any]:
        rng, u, first_row = given.get("rng"), given.get("u"), given.get("first_row", 0)
        return self.model._source(n, rng, u, first_row, columns, self.uniforms)

    def settled(self, n: int, given: dict[str, Any], columns: int) -> dict[str, Any]:
        """The arguments with their uniforms as `u` (n, columns) on the device, or as a seed, so that they can be had
        twice."""
        found = self.source(n, given, columns)
        rest = {name: x for name, x in given.items() if name not in ("rng", "u", "first_row")}
        if "seed" in found:
            return {**rest, "rng": found["seed"], "first_row": found["first_row"]}
        u = found["u"] if "u" in found else self.space.upload(uniforms(found["rng"], n, columns))
        return {**rest, "u": u}

    def uniforms(self, model: Any, u: Any, n: int | None, columns: int, name: str = "u") -> Any:
        """float64 (n, columns) on the device; n None: of any n. Raises as `check_uniforms`, but for the numbers."""
        if not is_array(u):
            return self.space.upload(check_uniforms(model, u, n, columns, name))
        if kind_of(u) not in "fiu":
            raise TypeError(f"{name} must hold real numbers in [0, 1], got dtype {dtype_name(u)}")
        check_uniforms_shape(model, tuple(u.shape), n, columns, name)
        return self.space.cast(u, "float64")

    def middle(self, u: Any) -> Any:
        """As `check_pair`. Where the two are no interval comes out what is no uniform."""
        model = self.model
        if type(u) is not tuple or not any(map(is_array, u)):
            return self.uniforms(model, u if type(u) is not tuple else check_pair(model, u), None, model.sites)
        if len(u) != 2:
            raise ValueError(f"u must be an array (n, sites) or a pair (lower, upper) of them, got {len(u)} arrays")
        lower = self.uniforms(model, u[0], None, model.sites, "lower")
        upper = self.uniforms(model, u[1], int(lower.shape[0]), model.sites, "upper")
        valid = (lower >= 0) & (upper <= 1) & (lower <= upper)
        return (lower + (upper - lower) / 2) / self.space.cast(valid, "float64")

    def sites(self, x: Any, known: np.ndarray | None = None) -> Any:
        """Rows as the device takes them, (sites, n): int32 levels or float32. Raises as `check_sites`, but for the
        elements."""
        model = self.model
        if not is_array(x):
            host = check_sites(model, x, known)
            return self.space.upload(host.reshape(len(host), model.sites)).T
        check_sites_kind(model, kind_of(x), dtype_name(x), tuple(x.shape))
        flat = x.reshape((int(x.shape[0]), model.sites))
        return (self.space.cast(flat, "float32") if model.levels is None else self.as_levels(flat)).T

    def as_levels(self, x: Any) -> Any:
        """int32. Levels that there are not stay such."""
        if dtype_name(x) in ("int64", "uint32", "uint64"):
            x = self.space.cast(x, "int64").clip(-1, max(self.model.levels, self.core.bos + 1))
        return self.space.cast(x, "int32")

    def prompt(self, n: int, prompt: Any) -> tuple[Any, int | None]:
        """Its tokens on the device, (length, n) or (length, 1), and their length: None where rows have several."""
        model = self.model
        if prompt is None:
            return None, 0
        if not is_array(prompt):
            given, lengths = check_prompt(model, prompt, n)
            if n == 0:
                return None, 0
            length = int(lengths[0])
            if (lengths != length).any():
                return None, None
            return self.space.upload(np.ascontiguousarray(given[:, :length].T)), length
        shape = tuple(prompt.shape)
        if len(shape) not in (1, 2):
            raise ValueError(f"prompt must have shape (k,) or (n, k), got {shape}")
        if kind_of(prompt) not in "iu":
            raise TypeError(f"prompt must hold integers, got dtype {dtype_name(prompt)}")
        if shape[-1] > model.sites:
            raise ValueError(f"prompt has {shape[-1]} tokens; the model was compiled for {model.sites}")
        if len(shape) == 2 and shape[0] != n:
            raise ValueError(f"prompt has {shape[0]} rows for n={n} samples: give one for all, or one each")
        if n == 0:
            return None, 0
        rows = prompt.reshape((1, shape[-1])) if len(shape) == 1 else prompt
        return self.as_levels(rows).T, shape[-1]

    def mask(self, mask: np.ndarray) -> Any:
        """A mask of sites there, as bytes: uploaded when it is new."""
        cache = self.model.__dict__.setdefault("_masks", {})
        key = (*self.space.key, mask.tobytes())
        found = cache.get(key)
        if found is None:
            found = self.space.upload(mask.astype(np.uint8))
            for old in list(cache)[: max(0, len(cache) - MOST_MASKS + 1)]:
                cache.pop(old, None)
            cache[key] = found
        self.space.keep(found)
        return found


class Call:
    """One call in the making: its program, and its arrays in the space. With guidance each sample is two rows."""

    def __init__(
        self,
        owner: DeviceCalls,
        n: int,
        given: Mapping[str, Any],
        *,
        draws: bool,
        output: bool = False,
        logits: bool = False,
        known: np.ndarray | None = None,
        prompt: int = 0,
        end: int | None = None,
    ) -> None:
        model, self.space = owner.model, owner.space
        self.model, self.n = model, n
        filters = check_filters(
            given.get("temperature", 1.0), given.get("top_k"), given.get("top_p"), given.get("min_p")
        )
        without = given.get("unconditional")
        guidance = check_strength(model, given.get("guidance", 1.0), without)
        self.copies = 2 if guidance != 1 else 1
        self.rows = n * self.copies
        condition = as_mapping(given.get("condition"), "condition")
        without = as_mapping(without, "unconditional")
        pairs = [(condition, "condition"), ({**condition, **without}, "unconditional")]
        wanted = [(named_conditions(model, values, what), what) for values, what in pairs]

        nothing = np.empty(0, np.float32)
        arguments = _core.Arguments(
            conditions=dict.fromkeys(condition, nothing),
            unconditional=dict.fromkeys(without, nothing),
            guidance=guidance,
            **filters,
            **({} if known is None else {"known": known.astype(np.uint8)}),
            wavefront=bool(given.get("wavefront", True)),
        )
        self._program = owner.core.program(arguments, draws, output, logits, prompt)
        self._call = extension().decode.Call(
            self._program,
            self.space.place,
            self.rows,
            filters["temperature"],
            guidance,
            filters.get("top_k", ALL),
            filters.get("top_p", 1.0),
            filters.get("min_p", 0.0),
            model.sites if end is None else end,
        )
        self._held: list[Any] = []  # until the work is on the stream
        self._mask: Any = None
        self.place_conditions(wanted[: self.copies])
        if without and self.copies == 1:  # it has no effect, but must be what it should be
            for one, value in wanted[1][0]:
                self.checked(one, value, "unconditional")

    def set(self, name: str, array: Any) -> Any:
        tensor = self.space.borrow(array)
        self._call.set(name, tensor)
        self._held += [array, tensor]
        return array

    def take(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        """A new array of that name."""
        check_size(shape, dtype)
        return self.set(name, self.space.empty(shape, dtype))

    def place_conditions(self, wanted: list[tuple[list[tuple[dict[str, Any], Any]], str]]) -> None:
        sizes = [math.prod(condition["shape"]) for condition in self.model.conditions]
        if not sizes:
            return
        rows = self.take("conditions", (self.n, self.copies, sum(sizes)), "float32")
        for copy, (values, what) in enumerate(wanted):
            at = 0
            for (condition, value), size in zip(values, sizes, strict=True):
                self.place_condition(rows[:, copy, at : at + size], condition, value, what)
                at += size

    def place_condition(self, to: Any, condition: dict[str, Any], value: Any, what: str) -> None:
        space, n, size = self.space, self.n, int(to.shape[1])
        host = self.checked(condition, value, what)
        if host is None:
            space.assign(to, value.reshape((1 if tuple(value.shape) == condition["shape"] else n, size)))
        elif np.ndim(value) == 0:
            space.fill(to, float(host.flat[0]) if n else 0.0)
        else:
            space.assign(to, space.upload(host.reshape(n, size)))

    def checked(self, condition: dict[str, Any], value: Any, what: str) -> np.ndarray | None:
        """What is on the CPU, as of `check_condition`; None for an array there, whose elements nobody looks at."""
        if not is_array(value):
            return check_condition(condition, value, self.n, what)
        check_condition_kind(condition, kind_of(value), dtype_name(value), tuple(value.shape), self.n, what)
        return None

    def place_sites(self, sites: Any) -> Any:
        """The array of all sites, the first of them as given: `sites` (some, n) or (some, 1)."""
        numbers = self.model.levels is None
        shape = (self.model.sites, self.n, self.copies)
        rows = self.take("x" if numbers else "levels", shape, "float32" if numbers else "int32")
        if sites is not None:
            self.space.assign(rows[: int(sites.shape[0])], sites[:, :, None])
        return rows

    def place_given(self, mask: Any) -> None:
        """mask: (sites,) bytes, 1 where a site is given in every row."""
        self._mask = mask
        self.set("given", self.space.spread(mask[:, None], (self.model.sites, self.rows)))

    def place_uniforms(self, given: Mapping[str, Any]) -> None:
        u = self.take("u", (self.model.sites, self.n, self.copies), "float64")
        if given.get("u") is None:
            self._call.count(given["rng"], given["first_row"])
        else:
            self.space.assign(u, given["u"][:, : self.model.sites].T[:, :, None])

    def output(self, given: Mapping[str, Any]) -> Any:
        """The array of the output, once the rolls of an iteration with jitter are there."""
        model, space, jitter = self.model, self.space, self._call.jitter
        columns = model.uniforms - model.sites
        if columns:
            if given.get("u") is None:
                w = space.empty((self.n, columns), "float64")
                seed, first_row = given["rng"], given["first_row"]
                extension().sampling.fill_uniforms(
                    space.place, space.borrow(w), seed, first_row, model.sites, self.n, columns
                )
            else:
                w = given["u"][:, model.sites :]
            chosen = space.cast(w * (2 * jitter + 1), "int32").clip(0, 2 * jitter) - jitter
            rolls = chosen + space.cast(~((w >= 0) & (w <= 1)), "int32") * NO_ROLL
            self.set("rolls", space.arranged(rolls.reshape((self.n, columns // 2, 2)), [1, 0, 2]))
        return self.take("output", (self.n, *model.output_shape), "float32")

    def run(self) -> Any:
        """Puts the work on the stream. Which rows are good, bool (n,)."""
        good = self.take("good", (self.rows,), "uint8")
        if self.n:
            self.take("workspace", (self._call.workspace_bytes(),), "uint8")
            self._call.run()
            if self.space.capturing:
                # A graph reads them as long as it lives; plans and masks that are not in use may go.
                self.model.__dict__.setdefault("_captured", []).append((self._program, self._mask))
        self._held.clear()
        return self.space.as_bool(good.reshape((self.n, self.copies))[:, 0])

    def by_sample(self, rows: Any) -> Any:
        """(sites, rows) as (n, sites)."""
        return self.space.arranged(rows.reshape((self.model.sites, self.n, self.copies))[:, :, 0], [1, 0])


def is_array(x: Any) -> bool:
    """Whether it is an array or a tensor, rather than a number or a list."""
    return hasattr(x, "shape") and not isinstance(x, np.generic)


def kind_of(x: Any) -> str:
    """ "b", "i", "u" or "f", as NumPy's dtypes say it; "c" for all else."""
    name = dtype_name(x)
    found = {"bool": "b", "int": "i", "uint": "u", "float": "f", "bfloat": "f"}
    return found.get(name.rstrip("0123456789"), "c")
