"""Checks of what Model's methods take, naming the argument: rows of sites, conditions, filters, masks, prompts."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from genfast.arrays import borrow

__all__ = [
    "ALL",
    "as_mapping",
    "check_condition",
    "check_condition_kind",
    "check_conditions",
    "check_filters",
    "check_guidance",
    "check_known",
    "check_pair",
    "check_policy",
    "check_prompt",
    "check_sites",
    "check_sites_kind",
    "check_stop",
    "check_strength",
    "check_uniforms",
    "check_uniforms_shape",
    "count",
    "named_conditions",
    "real",
]

ALL = (1 << 63) - 1  # top_k and max_tokens when they are off


def count(n: Any, name: str = "n") -> int:
    """A whole number in [0, 2**63). Raises TypeError, ValueError."""
    try:
        whole = operator.index(n)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {type(n).__name__}") from None
    if isinstance(n, bool):
        raise TypeError(f"{name} must be an integer, got bool")
    if not 0 <= whole < 1 << 63:
        raise ValueError(f"{name} must be at least 0 and below 2**63, got {whole}")
    return whole


def real(value: Any, name: str) -> float:
    """A number. Raises TypeError."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}") from None
    if isinstance(value, bool):
        raise ValueError(f"{name} must be a number, got {value}")
    return number


def check_filters(temperature: Any, top_k: Any, top_p: Any, min_p: Any) -> dict[str, Any]:
    """Temperature and filters as the core takes them; None is off. Raises TypeError, ValueError."""
    tempered = real(temperature, "temperature")
    with np.errstate(over="ignore"):
        fed = np.float32(tempered)
    if not 0 < fed < np.inf:
        raise ValueError(f"temperature must be positive and finite in float32, got {temperature}")
    out: dict[str, Any] = {"temperature": tempered}
    if top_k is not None:
        out["top_k"] = count(top_k, "top_k")
        if out["top_k"] < 1:
            raise ValueError("top_k must be at least 1, got 0; None is off")
    for name, value in (("top_p", top_p), ("min_p", min_p)):
        if value is None:
            continue
        out[name] = real(value, name)
        if not 0 <= out[name] <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")
    return out


def check_policy(check: Any, masks: bool) -> None:
    """`check` of a call; masks: whether "mask" is for it. Raises ValueError."""
    if check not in (None, "raise", "mask"):
        raise ValueError(f'check must be "raise" or "mask", got {check!r}')
    if check == "mask" and not masks:
        raise ValueError('check="mask" is for results on a GPU; elsewhere what fails raises')


def check_strength(model: Any, guidance: Any, unconditional: Any) -> float:
    """The number that is guidance. Raises TypeError, ValueError, also where `unconditional` is needed and missing."""
    g = real(guidance, "guidance")
    with np.errstate(over="ignore"):
        if not np.isfinite(np.float32(g)):
            raise ValueError(f"guidance must be finite in float32, got {guidance}")
    names = [c["name"] for c in model.conditions]
    if g != 1 and names and not unconditional:
        example = ", ".join(f"{name!r}: …" for name in names)
        raise ValueError(
            f"guidance={guidance} needs unconditional={{{example}}}: what the model takes for no condition"
        )
    return g


def check_guidance(
    model: Any, guidance: Any, unconditional: Mapping[str, Any] | None, condition: Mapping[str, Any] | None, n: int
) -> dict[str, Any]:
    """Guidance and the arrays of `unconditional` (n, *shape). Raises TypeError, ValueError."""
    g = check_strength(model, guidance, unconditional)
    if unconditional is None:
        return {"guidance": g}
    given = as_mapping(unconditional, "unconditional")
    arrays = check_conditions(model, {**dict(condition or {}), **given}, n, "unconditional")
    return {"guidance": g, "unconditional": {name: arrays[name] for name in given}}


def as_mapping(given: Any, what: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"{what} must be a mapping from names to arrays, got {type(given).__name__}")
    return dict(given or {})


def _array(given: Any, name: str) -> np.ndarray:
    """An array of whatever has one; of a torch tensor that requires gradients, its numbers. Raises TypeError,
    ValueError."""
    return borrow(given.detach() if getattr(given, "requires_grad", False) else given, name)


def named_conditions(model: Any, given: Any, what: str = "condition") -> list[tuple[dict[str, Any], Any]]:
    """Every condition of the model with what is given for it. Raises TypeError, ValueError."""
    given = as_mapping(given, what)
    names = [condition["name"] for condition in model.conditions]
    for name in given:
        if name not in names:
            raise ValueError(f"the model has no condition {name!r}; it has {', '.join(names) or 'none'}")
    for name in names:
        if name not in given:
            raise ValueError(f"condition {name!r} is missing: pass condition={{{name!r}: …}}")
    return [(condition, given[condition["name"]]) for condition in model.conditions]


def check_condition_kind(
    condition: Mapping[str, Any], kind: str, dtype: Any, shape: tuple[int, ...], n: int, what: str
) -> None:
    """What can be said of an array for a condition without its elements. Raises TypeError, ValueError."""
    name, own = condition["name"], condition["shape"]
    if kind not in ("iub" if condition["dtype"] == "int" else "iuf"):
        raise TypeError(f"{what} {name!r} must be {condition['dtype']}, got dtype {dtype}")
    if shape not in (own, (n, *own)):
        raise ValueError(f"{what} {name!r} must have shape {own} or {(n, *own)}, got {shape}")


def check_condition(condition: Mapping[str, Any], given: Any, n: int, what: str = "condition") -> np.ndarray:
    """A condition as float32 (n, *shape). Raises TypeError, ValueError."""
    array = _array(given, f"{what} {condition['name']!r}")
    check_condition_kind(condition, array.dtype.kind, array.dtype, array.shape, n, what)
    with np.errstate(over="ignore"):
        fed = array.astype(np.float32)
    bad = ~np.isfinite(fed)
    if condition["dtype"] == "int":
        bad |= (array < 0) | (array >= condition["size"])
    if bad.any():
        where = np.argwhere(bad)[0].tolist()
        allowed = f"from 0 to {condition['size'] - 1}" if condition["dtype"] == "int" else "finite in float32"
        raise ValueError(
            f"{what} {condition['name']!r} must be {allowed}, got {array[tuple(where)]}"
            f"{f' at {where}' if where else ''}"
        )
    return np.ascontiguousarray(np.broadcast_to(fed, (n, *condition["shape"])))


def check_conditions(model: Any, given: Any, n: int, what: str = "condition") -> dict[str, np.ndarray]:
    """Every condition of the model as a float32 array (n, *shape). Raises TypeError, ValueError."""
    pairs = named_conditions(model, given, what)
    return {condition["name"]: check_condition(condition, value, n, what) for condition, value in pairs}


def check_sites_kind(model: Any, kind: str, dtype: Any, shape: tuple[int, ...]) -> None:
    """What can be said of rows of sites without their elements. Raises TypeError, ValueError."""
    if model.levels is None:
        if kind not in "iuf":
            raise TypeError(f"x must hold real numbers, got dtype {dtype}")
    elif kind not in "iub":
        raise TypeError(f"x must hold integer levels 0 to {model.levels - 1}, got dtype {dtype}")
    if shape[1:] != model.input_shape or not shape:
        raise ValueError(f"x must have shape (n, {', '.join(map(str, model.input_shape))}), got {shape}")


def check_sites(model: Any, x: Any, where: np.ndarray | None = None) -> np.ndarray:
    """Rows of sites (n, *input_shape) as the core takes them: int32 levels, or float32 numbers.

    Only what is `where` (bool of input_shape; None: everywhere) has to hold values that the model knows; the rest
    becomes 0. Raises TypeError, ValueError.
    """
    array = _array(x, "x")
    levels = model.levels
    check_sites_kind(model, array.dtype.kind, array.dtype, array.shape)
    if levels is None:
        with np.errstate(over="ignore", invalid="ignore"):
            fed = array.astype(np.float32)
        bad, allowed = ~np.isfinite(fed), "finite in float32"
        if model._core.integer_input and not bad.any():
            bad, allowed = fed != np.floor(fed), "an integer, which the network takes"
    else:
        bad, allowed = (array < 0) | (array >= levels), f"one of the levels 0 to {levels - 1}"
        if len(model._core.fixed_sites):
            flat = bad.reshape(len(bad), model.sites)
            fixed = model._core.fixed_sites
            flat[:, fixed] &= array.reshape(flat.shape)[:, fixed] != model.bos
    if where is not None:
        bad &= where
    if bad.any():
        row = np.argwhere(bad)[0].tolist()
        raise ValueError(f"x{row} is {array[tuple(row)]}, not {allowed}")
    if levels is None:
        return np.ascontiguousarray(fed if where is None else np.where(where, fed, np.float32(0)))
    return np.ascontiguousarray(array if where is None else np.where(where, array, 0), np.int32)


def check_known(model: Any, known: Any) -> np.ndarray:
    """A mask as bool of input_shape, from one of that shape or of the positions'. Raises TypeError, ValueError."""
    array = _array(known, "known")
    if array.dtype != np.bool_:
        raise TypeError(f"known must be a bool array, True where x is kept, got dtype {array.dtype}")
    positions = model._positions_shape
    if array.shape not in (model.input_shape, positions):
        both = f"{model.input_shape}" + (f" or {positions}" if positions != model.input_shape else "")
        raise ValueError(f"known must have shape {both}, got {array.shape}")
    return np.broadcast_to(array, model.input_shape)


def check_uniforms_shape(model: Any, shape: tuple[int, ...], n: int | None, width: int, name: str) -> None:
    """Raises ValueError unless it is (n, width); n None: of any n."""
    what = "sites" if width == model.sites else "uniforms"
    if len(shape) != 2 or shape[1] != width or (n is not None and shape[0] != n):
        want = f"(n, {width})" if n is None else f"({n}, {width})"
        raise ValueError(f"{name} must have shape (n, {what}) = {want}, got {shape}")


def check_uniforms(model: Any, u: Any, n: int | None, columns: int | None = None, name: str = "u") -> np.ndarray:
    """Uniforms (n, columns), or (n, sites), as contiguous float64; n None: of any n. Raises TypeError, ValueError."""
    array = _array(u, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers in [0, 1], got dtype {array.dtype}")
    check_uniforms_shape(model, array.shape, n, model.sites if columns is None else columns, name)
    return np.ascontiguousarray(array, np.float64)


def check_pair(model: Any, u: Any) -> np.ndarray:
    """Uniforms (n, sites), or the middle of a tuple (lower, upper) of them. Raises TypeError, ValueError."""
    if not isinstance(u, tuple):
        return check_uniforms(model, u, None)
    if len(u) != 2:
        raise ValueError(f"u must be an array (n, sites) or a pair (lower, upper) of them, got {len(u)} arrays")
    lower = check_uniforms(model, u[0], None, name="lower")
    upper = check_uniforms(model, u[1], len(lower), name="upper")
    bad = ~((lower >= 0) & (upper <= 1) & (lower <= upper))
    if bad.any():
        where = np.argwhere(bad)[0].tolist()
        raise ValueError(f"lower and upper must hold 0 <= lower <= upper <= 1, not at {where}")
    return lower + (upper - lower) / 2


def check_stop(model: Any, stop: Any) -> list[int]:
    """Levels that end a row. Raises TypeError, ValueError."""
    if stop is None:
        return []
    alone = isinstance(stop, str) or not isinstance(stop, Iterable) or getattr(stop, "ndim", None) == 0
    tokens = [stop] if alone else stop
    out = [count(token, "stop") for token in tokens]
    for token in out:
        if token >= model.levels:
            raise ValueError(f"stop must be one of the levels 0 to {model.levels - 1}, got {token}")
    return out


def check_prompt(model: Any, prompt: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Prompts as int32 rows (n, sites), 0 behind each, and their lengths (n,). Raises TypeError, ValueError.

    `prompt` is one for all rows, (k,), or one a row: (n, k), or n sequences of any lengths.
    """
    given = np.zeros((n, model.sites), np.int32)
    lengths = np.zeros(n, np.int64)
    if isinstance(prompt, str) or not (isinstance(prompt, Sequence) or hasattr(prompt, "__array__")):
        raise TypeError(f"prompt must hold integers: an array, a list, or a list of lists, got {type(prompt).__name__}")
    objects = getattr(prompt, "dtype", None) == np.dtype(object) and np.ndim(prompt) == 1
    several = isinstance(prompt, Sequence) or objects
    if several and any((isinstance(p, Sequence) and not isinstance(p, str)) or np.ndim(p) == 1 for p in prompt):
        rows = [_tokens(model, tokens, f"prompt {i}") for i, tokens in enumerate(prompt)]
    else:
        array = _array(prompt, "prompt")
        if array.ndim not in (1, 2):
            raise ValueError(f"prompt must have shape (k,) or (n, k), got {array.shape}")
        if array.ndim == 1:
            rows = [_tokens(model, array, "prompt")] * n
        else:
            rows = [_tokens(model, tokens, f"prompt {i}") for i, tokens in enumerate(array)]
    if len(rows) != n:
        raise ValueError(f"prompt has {len(rows)} rows for n={n} samples: give one for all, or one each")
    for i, tokens in enumerate(rows):
        given[i, : len(tokens)] = tokens
        lengths[i] = len(tokens)
    return given, lengths


def _tokens(model: Any, tokens: Any, name: str) -> np.ndarray:
    """One prompt (k,) int32."""
    array = _array(tokens, name)
    if array.ndim == 0:
        raise TypeError(f"{name} must be a sequence of integers, got {type(tokens).__name__}")
    if array.ndim != 1:
        raise ValueError(f"{name} must be a sequence of integers, got an array of shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integers, got dtype {array.dtype}")
    if len(array) > model.sites:
        raise ValueError(f"{name} has {len(array)} tokens; the model was compiled for {model.sites}")
    bad = (array < 0) | (array >= model.levels)
    fixed = model._core.fixed_sites[model._core.fixed_sites < len(array)]
    bad[fixed] &= array[fixed] != model.bos
    if bad.any():
        where = int(bad.argmax())
        raise ValueError(f"{name}[{where}] is {array[where]}, outside the tokens 0 to {model.levels - 1}")
    return array.astype(np.int32)
