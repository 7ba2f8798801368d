"""Data sets of samples: labelled, of any size in bounded memory, resumable, the same bytes however they were made."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genfast import dataset_files as files
from genfast.errors import FormatError, NumericalError
from genfast.model import Model, load
from genfast.model_arguments import check_conditions, check_filters, count
from genfast.progress import reporter
from genfast.rng import as_seed, is_counted

__all__ = ["generate"]

MANIFEST = "manifest.json"
# The default size of a file: at most so many rows, and so many bytes of samples.
ROWS, BYTES = 10_000, 64 << 20


def generate(
    model: Model | str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    per_class: int | None = None,
    n: int | None = None,
    classes: Iterable[int] | None = None,
    condition: Mapping[str, Any] | None = None,
    seed: int = 0,
    format: str = "npz",
    rows_per_file: int | None = None,
    part: tuple[int, int] = (1, 1),
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    progress: bool | Callable[[int, int], None] = False,
) -> dict[str, Any]:
    """Write a data set of samples to a directory, or go on writing one.

    Row i has the label ``classes[i % len(classes)]`` and is row i of ``model.sample(…, rng=seed)``: each file holds a
    fixed range of rows with the classes in turn, so its bytes depend on nothing but the arguments. Files appear
    complete, flushed to the disk, or not at all; those that are there are kept, those whose end is missing are written
    again. So the same call goes on after a kill, without a row lost or twice, and several processes or machines can
    share the work (`part`).

    Parameters
    ----------
    model : Model, str or path-like
        A model, or what `genfast.load` takes.
    directory : str or path-like
        Empty or new, or one that the same call began. Its ``manifest.json`` says what it holds.
    per_class : int
        Rows of each class, of a model with a label: the condition "label", or its only condition that is one integer.
    n : int
        Rows in all, of a model without a label.
    classes : iterable of int, optional
        Labels. Default: all.
    condition : mapping from str to array_like, optional
        The model's conditions other than the label: of one row, or a table of k rows of which row i takes ``i % k``.
    seed : int
        In [0, 2**64).
    format : "npz", "images" or "parquet"
        "npz": arrays ``samples`` (rows, \\*shape), ``labels`` (rows,) int64, ``first_row``. "parquet": columns ``row``,
        ``label``, ``sample`` (a list of fixed length; its shape is in the metadata); needs pyarrow. "images":
        LABEL/NUMBER.png, 8-bit grey or colour, NUMBER counting the rows of a class from 0; needs Pillow.
    rows_per_file : int, optional
        For images: rows written between two points of resumption. Default: 10,000, or fewer of large samples.
    part : (i, k)
        Write every k-th file only, from the i-th on; i from 1 to k. All parts together are the whole, to the byte.
    temperature, top_k, top_p, min_p
        As in `Model.sample`.
    progress : bool or callable
        True draws a bar on stderr; a callable gets ``progress(done, total)`` in rows of this part.

    Returns
    -------
    dict
        "rows", "files": how many this call wrote; "kept": files of its part that were there; "manifest": the manifest.

    Raises
    ------
    ValueError, TypeError
        For wrong arguments, naming them; a model that draws nothing; samples that are no pictures, for images.
    FormatError
        If the directory holds something else: other files, or a data set of other arguments, naming them.
    OSError
        If a file cannot be written. On a full disk it says so; the finished files stay.
    ModuleNotFoundError
        If the format's library is not installed.
    NumericalError
        As `Model.sample`; also for NaN in pictures.
    """
    for value, argument, or_model in ((model, "model", " or a genfast.Model"), (directory, "directory", "")):
        if not isinstance(value, str | os.PathLike) and not (or_model and isinstance(value, Model)):
            raise TypeError(f"{argument} must be a path{or_model}, got {type(value).__name__}")
    loaded = model if isinstance(model, Model) else load(model)
    filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    plan = _Plan(loaded, per_class, n, classes, condition, seed, format, rows_per_file, filters)
    shards = range(plan.files)[_part(part)]
    manifest = plan.manifest()
    folder = files.Folder(Path(directory))
    _claim(folder, manifest)
    report = reporter(progress)
    total, done = plan.total(shards), 0
    result = {"rows": 0, "files": 0, "kept": 0}
    try:
        for shard in shards:
            names = plan.names(shard)
            missing = [name for name in names if not files.is_whole(folder.path / name)]
            if missing:
                inside = report and _inside(report, done, plan.size(shard), total)
                folder.write(plan.contents(shard, missing, inside))
                result["rows"] += len(missing) * plan.size(shard) // len(names)
            result["files"] += len(missing)
            result["kept"] += len(names) - len(missing)
            done += plan.size(shard)
            if report is not None:
                report(done, total)
    finally:
        if hasattr(report, "close"):
            report.close()
    return {**result, "manifest": manifest}


class _Plan:
    """Which row lies in which file, and what the files hold: a function of the arguments of `generate` alone."""

    def __init__(
        self,
        model: Model,
        per_class: Any,
        n: Any,
        classes: Any,
        condition: Any,
        seed: Any,
        format: Any,
        rows_per_file: Any,
        filters: dict[str, Any],
    ) -> None:
        model._expect_distribution("generate")
        self.model = model if model.arrays == "numpy" else Model(model._core)
        self.label = _label_of(model)
        self.classes = _check_classes(self.label, classes)
        self.per_class, self.rows = _check_counts(self.classes, per_class, n)
        if seed is None:
            raise TypeError("seed must be an integer: without one no call could go on where another ended")
        if not is_counted(seed):
            raise TypeError(f"seed must be an integer or a genfast.Stream, got {type(seed).__name__}")
        self.seed = as_seed(seed)
        if format not in files.FORMATS:
            raise ValueError(f"format must be one of {', '.join(files.FORMATS)}, got {format!r}")
        self.format = format
        self.writer = files.writer_version(format)
        self.filters = check_filters(**filters)
        self.tables = self._tables(condition)
        # Shape, type, and what the model refuses, before anything is written.
        nothing = self.model.sample(0, rng=0, condition=self._condition(0, 0), **self.filters)
        self.shape, self.dtype = nothing.shape[1:], nothing.dtype
        self.low, self.high = (0.0, 1.0)
        if format == "images":
            self.low, self.high = _image_range(model)
            files.pictures(nothing, self.low, self.high)  # its error
        size = max(nothing.dtype.itemsize * math.prod(self.shape), 1)
        self.rows_per_file = max(1, min(ROWS, BYTES // size))
        if rows_per_file is not None:
            self.rows_per_file = count(rows_per_file, "rows_per_file")
            if not self.rows_per_file:
                raise ValueError("rows_per_file must be at least 1, got 0")
        self.files = -(-self.rows // self.rows_per_file)

    def _tables(self, condition: Any) -> dict[str, np.ndarray]:
        """A table (k, \\*shape) for each condition."""
        if condition is not None and not isinstance(condition, Mapping):
            raise TypeError(f"condition must map names to arrays, got {type(condition).__name__}")
        given = dict(condition or {})
        if self.label is not None and self.label["name"] in given:
            raise ValueError(f"condition {self.label['name']!r} is the label: give classes instead")
        tables = {}
        for wanted in self.model.conditions:
            name = wanted["name"]
            if wanted is self.label:
                tables[name] = np.array(self.classes)
            elif name in given:
                table = np.asarray(given[name])
                tables[name] = table[None] if table.shape == tuple(wanted["shape"]) else table
                if not len(tables[name]):
                    raise ValueError(f"condition {name!r}: a table of no rows")
        longest = max(map(len, tables.values()), default=0)
        every = {name: table[np.arange(longest) % len(table)] for name, table in tables.items()}
        check_conditions(self.model, {**given, **every}, longest)
        return tables

    def _condition(self, first: int, rows: int) -> dict[str, np.ndarray] | None:
        ids = np.arange(first, first + rows)
        return {name: table[ids % len(table)] for name, table in self.tables.items()} or None

    def manifest(self) -> dict[str, Any]:
        """What the data set holds and how it was made; equal for every call that may go on with it."""
        from genfast import __version__

        digest = hashlib.sha256(self.model._core.file_bytes()).hexdigest()
        others = {name: table for name, table in self.tables.items() if not self.label or name != self.label["name"]}
        return {
            "kind": "genfast data set",
            "genfast": __version__,
            "writer": self.writer,
            "model": {"name": self.model.meta.get("name"), "sha256": digest},
            "seed": self.seed,
            "rows": self.rows,
            "per_class": self.per_class,
            "classes": self.classes,
            "condition": {
                name: {"rows": len(table), "sha256": hashlib.sha256(np.asarray(table, "<f4").tobytes()).hexdigest()}
                for name, table in others.items()
            },
            "filters": self.filters,
            "format": self.format,
            "rows_per_file": self.rows_per_file,
            "sample": {
                "shape": list(self.shape),
                "dtype": self.dtype.name,
                "levels": self.model.levels if self.dtype.kind != "f" else None,
            },
        }

    def size(self, shard: int) -> int:
        """Rows of a shard."""
        return min(self.rows_per_file, self.rows - shard * self.rows_per_file)

    def total(self, shards: range) -> int:
        """Rows of several shards; only the last of all may be short."""
        short = self.rows_per_file - self.size(self.files - 1) if self.files - 1 in shards else 0
        return len(shards) * self.rows_per_file - short

    def names(self, shard: int) -> list[str]:
        """The files of a shard: one, or one a row."""
        first = shard * self.rows_per_file
        if self.format == "images":
            return [self._picture_name(row) for row in range(first, first + self.size(shard))]
        width = max(5, len(str(self.files)))
        return [f"data-{shard:0{width}d}-of-{self.files:0{width}d}.{self.format}"]

    def _picture_name(self, row: int) -> str:
        width = max(8, len(str(self.per_class or self.rows)))
        if self.label is None or self.classes is None:
            return f"{row:0{width}d}.png"
        number, place = divmod(row, len(self.classes))
        # As wide as the last label, so that the alphabetical order of the folders is that of the labels.
        folder = str(self.classes[place]).zfill(len(str(self.label["size"] - 1)))
        return f"{folder}/{number:0{width}d}.png"

    def contents(self, shard: int, names: list[str], report: Any) -> dict[str, bytes]:
        """The bytes of the named files of a shard."""
        first, rows = shard * self.rows_per_file, self.size(shard)
        condition = self._condition(first, rows)
        samples = self.model.sample(
            rows, rng=self.seed, first_row=first, condition=condition, progress=report or False, **self.filters
        )
        if self.format == "images":
            if samples.dtype.kind == "f" and not np.isfinite(samples).all():
                raise NumericalError(f"rows {first} to {first + rows - 1}: a sample is not finite, and no picture")
            shown = files.pictures(samples, self.low, self.high)
            wanted = set(names)
            return {
                name: files.png_bytes(picture)
                for name, picture in zip(self.names(shard), shown, strict=True)
                if name in wanted
            }
        arrays: dict[str, np.ndarray] = {}
        if self.classes is not None and self.label is not None and condition is not None:
            arrays["labels"] = condition[self.label["name"]].astype(np.int64)
        for name, values in (condition or {}).items():
            if self.label is None or name != self.label["name"]:
                arrays[f"condition_{name}"] = values
        if self.format == "npz":
            return {names[0]: files.npz_bytes({"samples": samples, **arrays, "first_row": np.array(first, np.int64)})}
        row = np.arange(first, first + rows, dtype=np.int64)
        columns = {"row": row, "sample": samples, **arrays}
        columns = {"label" if name == "labels" else name: values for name, values in columns.items()}
        return {names[0]: files.parquet_bytes(columns)}


def _inside(report: Any, done: int, rows: int, total: int) -> Callable[[int, int], None]:
    """The progress of one call of `sample` as part of the whole."""
    return lambda part, whole: report(done + rows * part // max(whole, 1), total)


def _label_of(model: Model) -> dict[str, Any] | None:
    """The condition that is a class label."""
    integers = [each for each in model.conditions if each["dtype"] == "int" and not each["shape"]]
    named = [each for each in integers if each["name"] == "label"]
    if named:
        return named[0]
    return integers[0] if len(integers) == 1 else None


def _check_classes(label: dict[str, Any] | None, classes: Any) -> list[int] | None:
    if label is None:
        if classes is not None:
            raise ValueError("the model has no label, and so no classes")
        return None
    if classes is not None and not isinstance(classes, Iterable):
        raise TypeError(f"classes must be several labels, got {classes!r}: write [{classes!r}]")
    size = label["size"]
    chosen = list(range(size)) if classes is None else [count(each, "classes: a label") for each in classes]
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"classes must be different labels, at least one, got {chosen}")
    for each in chosen:
        if each >= size:
            raise ValueError(f"classes: {label['name']} {each} is out of range: the labels are 0 to {size - 1}")
    return chosen


def _check_counts(classes: list[int] | None, per_class: Any, n: Any) -> tuple[int | None, int]:
    """Rows of a class, and in all."""
    if classes is None:
        if per_class is not None or n is None:
            raise ValueError("the model has no label: give n, the number of rows, instead of per_class")
        name, rows, factor = "n", count(n), 1
    else:
        if n is not None or per_class is None:
            raise ValueError("the model has a label: give per_class, the rows of each class, instead of n")
        name, rows, factor = "per_class", count(per_class, "per_class"), len(classes)
    if not 1 <= rows * factor < 1 << 62:
        raise ValueError(f"{name} must be at least 1 and the rows in all below 2**62, got {rows}")
    return (None if classes is None else rows), rows * factor


def _part(part: Any) -> slice:
    """The slice of the shards that part (i, k) stands for."""
    try:
        i, k = part
    except (TypeError, ValueError):
        raise TypeError(f"part must be a pair (i, k), i from 1 to k, got {part!r}") from None
    i, k = count(i, "part"), count(k, "part")
    if not 1 <= i <= k:
        raise ValueError(f"part must be (i, k) with i from 1 to k, got ({i}, {k})")
    return slice(i - 1, None, k)


def _image_range(model: Model) -> tuple[float, float]:
    """The numbers that are black and white."""
    if model.levels is not None and getattr(model, "output_shape", None) is None:
        return 0.0, float(max(model.levels - 1, 1))
    try:
        low, high = (float(model.meta["image"][name]) for name in ("low", "high"))
    except (KeyError, TypeError, ValueError):
        low = high = math.nan
    if not low < high:
        raise ValueError(
            "format 'images': the model's samples are numbers, and its file does not say which are black and white: "
            "write npz or parquet, or compile it with meta={'image': {'low': 0, 'high': 1}}"
        )
    return low, high


def _claim(folder: files.Folder, manifest: dict[str, Any]) -> None:
    """Make the folder this data set's, or see that it is. Raises FormatError, naming what differs."""
    path = folder.path / MANIFEST
    if not path.exists():
        if not folder.is_empty():
            raise FormatError(f"{folder.path}: not empty, and without a {MANIFEST}: name a new or empty folder")
        text = json.dumps(manifest, indent=1) + "\n"
        folder.write({MANIFEST: text.encode()}, replace=False)
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("kind") != manifest["kind"]:
        raise FormatError(f"{path}: not the manifest of a data set of genfast")
    # As the file has it: lists for tuples.
    mine = json.loads(json.dumps(manifest))
    differing = [name for name in mine | found if mine.get(name) != found.get(name)]
    if differing:
        said = "; ".join(f"{name} is {found.get(name)}, not {mine.get(name)}" for name in differing)
        raise FormatError(f"{folder.path}: another data set: {said}: repeat its arguments, or name a new folder")
