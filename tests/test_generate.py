"""Data sets of samples: what the rows are, and that kills, full disks and splits change no byte."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genfast as gf
from genfast import dataset_files

SMALL: dict[str, Any] = {"per_class": 6, "rows_per_file": 16, "seed": 3}


def digest(folder: Path) -> dict[str, str]:
    """Every file below, hidden ones too, by its contents."""
    found = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def rows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Samples and labels of npz files in the order of their names."""
    parts = [np.load(file) for file in sorted(folder.glob("*.npz"))]
    first = [int(part["first_row"]) for part in parts]
    assert first == list(np.cumsum([0, *(len(part["samples"]) for part in parts[:-1])]))
    return np.concatenate([part["samples"] for part in parts]), np.concatenate([part["labels"] for part in parts])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    made = gf.generate("digits", folder, **SMALL)
    assert (made["rows"], made["files"], made["kept"]) == (60, 4, 0)
    return folder


def test_rows_are_the_models_samples_with_the_classes_in_turn(whole: Path, tmp_path: Path) -> None:
    samples, labels = rows(whole)
    np.testing.assert_array_equal(labels, np.arange(60) % 10)
    assert labels.dtype == np.int64
    expected = gf.load("digits").sample(60, rng=3, condition={"label": np.arange(60) % 10})
    np.testing.assert_array_equal(samples, expected)
    assert samples.dtype == expected.dtype
    gf.generate("digits", tmp_path, per_class=5, classes=[8, 3], temperature=0.7)
    samples, labels = rows(tmp_path)
    np.testing.assert_array_equal(labels, [8, 3] * 5)
    expected = gf.load("digits").sample(10, rng=0, condition={"label": [8, 3] * 5}, temperature=0.7)
    np.testing.assert_array_equal(samples, expected)


def test_the_manifest_says_what_the_folder_holds(whole: Path) -> None:
    manifest = json.loads((whole / "manifest.json").read_text())
    path = Path(gf.__file__).parent / "models" / "digits.genfast"
    assert manifest["model"] == {"name": "digits", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert manifest["sample"] == {"shape": [1, 8, 8], "dtype": "uint8", "levels": 17}
    assert (manifest["seed"], manifest["rows"], manifest["per_class"]) == (3, 60, 6)
    assert sorted(file.name for file in whole.iterdir()) == [
        *(f"data-{i:05d}-of-00004.npz" for i in range(4)),
        "manifest.json",
    ]


def test_parts_make_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    made = [gf.generate("digits", tmp_path, **SMALL, part=(i, 3)) for i in (3, 1, 2)]
    assert [each["files"] for each in made] == [1, 2, 1]
    assert digest(tmp_path) == digest(whole)


def test_a_second_call_keeps_and_mends(whole: Path, tmp_path: Path) -> None:
    gf.generate("digits", tmp_path, **SMALL)
    lost = tmp_path / "data-00002-of-00004.npz"
    lost.unlink()
    kept = (tmp_path / "data-00001-of-00004.npz").stat().st_mtime_ns
    made = gf.generate("digits", tmp_path, **SMALL)
    assert (made["rows"], made["files"], made["kept"]) == (16, 1, 3)
    assert (tmp_path / "data-00001-of-00004.npz").stat().st_mtime_ns == kept
    assert digest(tmp_path) == digest(whole)


@pytest.mark.parametrize("format", dataset_files.FORMATS)
def test_a_truncated_file_is_written_again(tmp_path: Path, format: str) -> None:
    if format != "npz":
        pytest.importorskip({"parquet": "pyarrow", "images": "PIL"}[format])
    gf.generate("digits", tmp_path, per_class=1, classes=[2, 7, 8], rows_per_file=1, format=format)
    before = digest(tmp_path)
    first, second, _ = sorted(file for file in tmp_path.rglob("*") if file.is_file() and file.suffix != ".json")
    first.write_bytes(first.read_bytes()[:-1])
    second.write_bytes(b"")
    made = gf.generate("digits", tmp_path, per_class=1, classes=[2, 7, 8], rows_per_file=1, format=format)
    assert (made["rows"], made["files"], made["kept"]) == (2, 2, 1)
    assert digest(tmp_path) == before


KILLED = """
import sys, genfast as gf
gf.generate("digits", sys.argv[1], per_class=200, rows_per_file=100, format=sys.argv[2])
"""


@pytest.mark.parametrize("format", ["npz", "images"])
def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path, format: str) -> None:
    if format == "images":
        pytest.importorskip("PIL")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    gf.generate("digits", whole, per_class=200, rows_per_file=100, format=format)
    expected = digest(whole)
    kills = 0
    for least in (2, 5) if format == "npz" else (20, 420):
        process = subprocess.Popen([sys.executable, "-P", "-c", KILLED, str(cut), format])
        pattern = "*.npz" if format == "npz" else "[0-9]*/*.png"  # not in the folders that come and go
        deadline = time.monotonic() + 60
        while len(list(cut.glob(pattern))) < least and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        done = {name: value for name, value in digest(cut).items() if ".part" not in name}
        assert done.items() <= expected.items()
    assert kills
    assert len(done) < len(expected)
    (cut / ".0123.part").mkdir()
    (cut / ".0123.part" / "0").write_bytes(b"half a file")
    gf.generate("digits", cut, per_class=200, rows_per_file=100, format=format)
    assert digest(cut) == expected


def test_unfinished_files_of_the_living_stay(tmp_path: Path) -> None:
    folder = dataset_files.Folder(tmp_path)
    with folder._beside() as beside:
        dataset_files.Folder(tmp_path)
        assert beside.is_dir()
        assert folder.is_empty()
    assert not list(tmp_path.iterdir())


def test_of_two_processes_one_claims_the_folder(tmp_path: Path) -> None:
    folder = dataset_files.Folder(tmp_path)
    folder.write({"manifest.json": b"first"}, replace=False)
    folder.write({"manifest.json": b"second"}, replace=False)
    assert (tmp_path / "manifest.json").read_bytes() == b"first"


LIMITED = """
import resource, sys, genfast as gf
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
try:
    gf.generate("digits", sys.argv[1], per_class=12, rows_per_file=100)
except OSError as error:
    print(error)
"""


def test_a_full_disk_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-P", "-c", LIMITED, str(tmp_path / "limited")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "data-00000-of-00002.npz" in run.stdout
    assert "the same command goes on" in run.stdout
    assert list(digest(tmp_path / "limited")) == ["manifest.json"]
    flush, calls = os.fsync, []

    def full(file: int) -> None:
        calls.append(file)
        if len(calls) == 7:  # the fourth file; each has one flush, and one of its folder
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left; finished files are kept") as caught:
        gf.generate("digits", tmp_path / "full", **SMALL)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "full" / "data-00002-of-00004.npz")
    monkeypatch.undo()
    assert len(digest(tmp_path / "full")) == 3
    made = gf.generate("digits", tmp_path / "full", **SMALL)
    assert (made["files"], made["kept"]) == (2, 2)


def test_a_folder_of_something_else_is_refused(whole: Path, tmp_path: Path) -> None:
    before = digest(whole)
    for other in ({"seed": 4}, {"per_class": 7}, {"rows_per_file": 17}, {"temperature": 0.5}, {"classes": range(9)}):
        with pytest.raises(gf.FormatError, match=next(iter(other))):
            gf.generate("digits", whole, **{**SMALL, **other})
    bf16 = gf.load("digits").quantize("bf16")
    with pytest.raises(gf.FormatError, match="sha256"):
        gf.generate(bf16, whole, **SMALL)
    assert digest(whole) == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(gf.FormatError, match="not empty"):
        gf.generate("digits", tmp_path, **SMALL)
    for text in ("no JSON", "[]", "{}"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(gf.FormatError, match="not the manifest"):
            gf.generate("digits", tmp_path, **SMALL)


def test_images_are_folders_of_classes(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    gf.generate("digits", tmp_path, per_class=3, classes=[1, 7], format="images", seed=5)
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.png"))
    assert names == [f"{label}/{number:08d}.png" for label in (1, 7) for number in range(3)]
    samples = gf.load("digits").sample(6, rng=5, condition={"label": [1, 7] * 3})
    for row, sample in enumerate(samples):
        with image.open(tmp_path / f"{(1, 7)[row % 2]}/{row // 2:08d}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), np.rint(sample[0] * (255 / 16)))


def test_pictures_scale_and_cut() -> None:
    samples = np.array([[-1.5, -1, 0, 1, 9]], np.float32).reshape(1, 1, 1, 5)
    assert dataset_files.pictures(samples, -1, 1).tolist() == [[[0, 0, 128, 255, 255]]]
    assert dataset_files.pictures(np.zeros((2, 3, 4, 5)), 0, 1).shape == (2, 4, 5, 3)
    with pytest.raises(ValueError, match="no pictures"):
        dataset_files.pictures(np.zeros((2, 7)), 0, 1)


def test_parquet_holds_the_same(whole: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("a", "b"):
        gf.generate("digits", tmp_path / name, **SMALL, format="parquet")
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    tables = [parquet.read_table(file) for file in sorted((tmp_path / "a").glob("*.parquet"))]
    assert json.loads(tables[0].schema.metadata[b"shapes"])["sample"] == [1, 8, 8]
    samples, labels = rows(whole)
    found = np.concatenate([np.array(table["sample"].to_pylist()) for table in tables])
    np.testing.assert_array_equal(found.reshape(samples.shape), samples)
    np.testing.assert_array_equal(np.concatenate([table["label"].to_numpy() for table in tables]), labels)
    np.testing.assert_array_equal(np.concatenate([table["row"].to_numpy() for table in tables]), np.arange(60))


def test_a_model_without_a_label(tmp_path: Path) -> None:
    gf.generate("alice", tmp_path, n=3, rows_per_file=2)
    parts = [np.load(file) for file in sorted(tmp_path.glob("*.npz"))]
    assert "labels" not in parts[0]
    np.testing.assert_array_equal(np.concatenate([p["samples"] for p in parts]), gf.load("alice").sample(3, rng=0))


def test_other_conditions_are_tables_that_repeat(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Two(torch.nn.Module):
        """Pixels whose logits are given by a label and a style."""

        def __init__(self) -> None:
            super().__init__()
            self.label, self.style = torch.nn.Embedding(3, 4), torch.nn.Linear(2, 4)

        def forward(self, x: Any, label: Any, style: Any) -> Any:
            return (self.label(label) + self.style(style))[:, :, None, None].expand(-1, -1, *x.shape[2:])

    torch.manual_seed(0)
    example = (torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]), torch.zeros(2, 2))
    model = gf.compile(Two().eval(), example, head=gf.heads.Categorical(4))
    style = np.array([[0, 1], [5, -5]], np.float32)
    gf.generate(model, tmp_path, per_class=4, rows_per_file=5, condition={"style": style})
    samples, _ = rows(tmp_path)
    condition = {"label": np.arange(12) % 3, "style": style[np.arange(12) % 2]}
    np.testing.assert_array_equal(samples, model.sample(12, rng=0, condition=condition))
    with np.load(tmp_path / "data-00001-of-00003.npz") as part:
        np.testing.assert_array_equal(part["condition_style"], condition["style"][5:10])
    with pytest.raises(gf.FormatError, match="condition"):
        gf.generate(model, tmp_path, per_class=4, rows_per_file=5, condition={"style": style + 1})
    with pytest.raises(ValueError, match="style"):
        gf.generate(model, tmp_path, per_class=4)
    with pytest.raises(ValueError, match="give classes"):
        gf.generate(model, tmp_path, per_class=4, condition={"label": 1, "style": style})


def test_wrong_arguments_are_named_and_nothing_is_written(tmp_path: Path) -> None:
    for arguments, message in (
        ({}, "per_class"),
        ({"n": 5}, "per_class"),
        ({"per_class": 0}, "per_class"),
        ({"per_class": 2**62}, "per_class"),
        ({"per_class": 2, "classes": [10]}, "label 10 is out of range: the labels are 0 to 9"),
        ({"per_class": 2, "classes": [1, 1]}, "different"),
        ({"per_class": 2, "classes": []}, "at least one"),
        ({"per_class": 2, "format": "gif"}, "npz, images, parquet"),
        ({"per_class": 2, "rows_per_file": 0}, "rows_per_file"),
        ({"per_class": 2, "part": (3, 2)}, "part"),
        ({"per_class": 2, "part": (0, 2)}, "part"),
        ({"per_class": 2, "seed": 2**64}, "seed"),
        ({"per_class": 2, "top_p": 2}, "top_p"),
        ({"per_class": 2, "condition": {"color": 1}}, "color"),
    ):
        with pytest.raises(ValueError, match=message):
            gf.generate("digits", tmp_path / "none", **arguments)
    for arguments, message in (({"per_class": 1.5}, "per_class"), ({"per_class": 1, "part": 3}, "part")):
        with pytest.raises(TypeError, match=message):
            gf.generate("digits", tmp_path / "none", **arguments)
    with pytest.raises(TypeError, match="seed"):
        gf.generate("digits", tmp_path / "none", per_class=1, seed=None)  # type: ignore[arg-type]
    for counts in ({"n": 5}, {"per_class": 5}, {}):
        for name in ("digits-vae-encoder", "digits-classifier"):
            with pytest.raises(ValueError, match="generate needs a distribution"):
                gf.generate(name, tmp_path / "none", **counts)
    with pytest.raises(ValueError, match="give n"):
        gf.generate("alice", tmp_path / "none", per_class=1)
    with pytest.raises(ValueError, match="no classes"):
        gf.generate("alice", tmp_path / "none", n=1, classes=[1])
    with pytest.raises(ValueError, match="no pictures"):
        gf.generate("alice", tmp_path / "none", n=1, format="images")
    assert not (tmp_path / "none").exists()


def test_a_missing_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, format, extra in (("pyarrow", "parquet", "parquet"), ("PIL", "images", "cli")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ModuleNotFoundError, match=rf"genfast\[{extra}\]"):
            gf.generate("digits", tmp_path / "none", per_class=1, format=format)
    assert not (tmp_path / "none").exists()


def test_progress_counts_the_rows_of_the_part(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    gf.generate("digits", tmp_path, **SMALL, part=(2, 2), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (16 + 12, 16 + 12)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_the_command(whole: Path, tmp_path: Path) -> None:
    testing = pytest.importorskip("click.testing")
    pytest.importorskip("rich")
    from genfast.cli.app import app

    def run(*arguments: object) -> Any:
        return testing.CliRunner().invoke(app, ["generate", *map(str, arguments)])

    small = ["digits", "--per-class", 6, "--rows-per-file", 16, "--seed", 3, "-o", tmp_path / "x"]
    for part, said in (("1/2", "2 files;"), ("2/2", "2 files;"), ("1/1", "0 files, 4 were there;")):
        result = run(*small, "--part", part)
        assert result.exit_code == 0, result.output
        assert said in result.stderr
    assert digest(tmp_path / "x") == digest(whole)
    for arguments, code, message in (
        (["digits", "-n", 5, "-o", tmp_path / "y"], 1, "per_class"),
        (["digits", "--per-class", 5, "--classes", "3,12", "-o", tmp_path / "y"], 1, "label 12 is out of range"),
        (["digits", "--per-class", 5, "--classes", "three", "-o", tmp_path / "y"], 2, "parted by commas"),
        (["digits", "--per-class", 5, "--part", "3/2", "-o", tmp_path / "y"], 2, "I/K"),
        (["digits", "--per-class", 5, "--condition", "color=1", "-o", tmp_path / "y"], 1, "color"),
        (["digits", "--per-class", 5, "-o", whole / "manifest.json"], 1, "manifest.json"),
        (["nowhere", "--per-class", 5, "-o", tmp_path / "y"], 1, "nowhere"),
    ):
        result = run(*arguments)
        assert result.exit_code == code, result.output
        assert message in result.stderr
        assert "Traceback" not in result.output
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"model": 3}, "model must be a path or a genfast.Model, got int"),
        ({"directory": None}, "directory must be a path, got NoneType"),
        ({"condition": 3}, "condition must map names to arrays, got int"),
        ({"classes": 5}, "classes must be several labels, got 5"),
        ({"seed": np.random.default_rng(0)}, "seed must be an integer or a genfast.Stream, got Generator"),
    ],
)
def test_arguments_of_wrong_types_are_named(tmp_path, wrong, said) -> None:
    arguments = {"model": "digits-gan", "directory": tmp_path / "data", "per_class": 2, "seed": 0, **wrong}
    with pytest.raises(TypeError, match=said):
        gf.generate(arguments.pop("model"), arguments.pop("directory"), **arguments)
