"""Files of a data set: rows to the bytes of .npz, Parquet and PNG files, and bytes to the disk, whole or not at all.

The bytes are a function of the rows alone: no dates, no names of machines, no order of a hash.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np

__all__ = [
    "FORMATS",
    "Folder",
    "is_whole",
    "npz_bytes",
    "parquet_bytes",
    "pictures",
    "png_bytes",
    "writer_version",
]

FORMATS = ("npz", "images", "parquet")
FULL = {errno.ENOSPC: "no space left", errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file may not grow"}
PART = ".part"
LOCK = "lock"
# How a whole file ends: so many bytes from its end on it says these.
ENDS = {".npz": (22, b"PK\x05\x06"), ".parquet": (4, b"PAR1"), ".png": (8, b"IEND")}


class Folder:
    """A folder whose files appear complete or not at all, whatever kills the process that writes them.

    Files are written in a hidden folder beside, flushed to the disk and renamed. What killed processes left of these is
    removed when a folder is opened; those of living processes are locked, and stay.

    Raises
    ------
    OSError
        If the folder cannot be made. A full disk while writing says how to go on, and names the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        for stale in path.glob(f".*{PART}"):
            with suppress(BlockingIOError, FileNotFoundError), ExitStack() as stack:
                if (stale / LOCK).exists():
                    lock = stack.enter_context(open(stale / LOCK, "rb"))
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(stale)

    def is_empty(self) -> bool:
        """Whether there is nothing but unfinished files."""
        return all(file.name.startswith(".") and file.suffix == PART for file in self.path.iterdir())

    def write(self, files: Mapping[str, bytes], *, replace: bool = True) -> None:
        """Write files by their names below the folder; none appears before all are on the disk.

        With `replace` false a file that is there stays as it is: of several processes one wins.
        """
        with self._beside() as beside:
            for i, (name, data) in enumerate(files.items()):
                with _explained(self.path / name), open(beside / str(i), "xb") as file:
                    file.write(data)
                    file.flush()
                    if len(files) == 1:
                        os.fsync(file.fileno())
            if len(files) > 1:
                os.sync()  # one flush for all: an fsync a picture would take most of the time
            for i, name in enumerate(files):
                target = self.path / name
                with _explained(target):
                    target.parent.mkdir(exist_ok=True)
                    if replace:
                        os.replace(beside / str(i), target)
                    else:
                        with suppress(FileExistsError):
                            os.link(beside / str(i), target)
            for folder in {(self.path / name).parent for name in files}:
                handle = os.open(folder, os.O_RDONLY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    @contextmanager
    def _beside(self) -> Iterator[Path]:
        """A new locked folder for unfinished files, removed at the end."""
        while True:
            beside = self.path / f".{secrets.token_hex(8)}{PART}"
            with _explained(beside):
                beside.mkdir()
                try:
                    lock = open(beside / LOCK, "xb")  # noqa: SIM115 (closed below)
                except FileNotFoundError:
                    continue  # taken for a stale one before it was locked
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not os.fstat(lock.fileno()).st_nlink:
                    continue
                try:
                    yield beside
                finally:
                    shutil.rmtree(beside, ignore_errors=True)
                return


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """A full disk says how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        what = f"{FULL[error.errno]}; finished files are kept: make room, and the same command goes on"
        raise OSError(error.errno, what, str(target)) from None


def is_whole(path: Path) -> bool:
    """Whether a data file is there with its end, which a truncated one lacks."""
    size, end = ENDS[path.suffix]
    try:
        with open(path, "rb") as file:
            file.seek(-size, os.SEEK_END)
            return file.read(len(end)) == end
    except FileNotFoundError:
        return False
    except OSError:  # too short to look so far back
        if path.stat().st_size < size:
            return False
        raise


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz file (a ZIP of .npy files, compressed) without dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return out.getvalue()


def parquet_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A Parquet file with one column an array: rows of more than one number are lists of fixed length, in C order.

    arrays: each (n, \\*shape), the shapes kept in the file's metadata ("shapes", JSON). Raises ModuleNotFoundError
    without pyarrow.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for name, array in arrays.items():
        flat = pa.array(np.ascontiguousarray(array).reshape(-1))
        size = int(np.prod(array.shape[1:]))
        columns[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, size)
    described = {"shapes": json.dumps({name: list(array.shape[1:]) for name, array in arrays.items()})}
    out = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(described), out, compression="zstd")
    return out.getvalue()


def png_bytes(picture: np.ndarray) -> bytes:
    """A PNG file of a grey (H, W) or colour (H, W, 3) uint8 picture. Raises ModuleNotFoundError without Pillow."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="PNG", optimize=True)
    return out.getvalue()


def pictures(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Samples (n, H, W), (n, 1, H, W) or (n, 3, H, W) to uint8 (n, H, W) or (n, H, W, 3): low is black, high white.

    Numbers outside are cut. Raises ValueError for any other shape, which is no picture.
    """
    if samples.ndim == 4 and samples.shape[1] == 1:
        samples = samples[:, 0]
    elif samples.ndim == 4 and samples.shape[1] == 3:
        samples = np.moveaxis(samples, 1, -1)
    elif samples.ndim != 3:
        raise ValueError(f"samples of shape {samples.shape[1:]} are no pictures: write npz or parquet files")
    scaled = (samples.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def writer_version(format: str) -> str:
    """What makes the bytes of a format. Raises ModuleNotFoundError, saying what to install, where it is missing."""
    if format == "npz":
        return f"numpy {np.__version__}, zlib {zlib.ZLIB_RUNTIME_VERSION}"
    module, extra = ("PIL", "cli") if format == "images" else ("pyarrow", "parquet")
    try:
        found = __import__(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        wanted = f"the format {format!r} needs {module}: pip install 'genfast[{extra}]'"
        raise ModuleNotFoundError(wanted, name=module) from None
    return f"{module} {found.__version__}"
