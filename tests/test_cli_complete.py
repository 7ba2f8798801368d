"""genfast complete, and pictures of models with an output: what is kept is kept, and what is no picture is said so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click.testing")
pytest.importorskip("rich")
image = pytest.importorskip("PIL.Image")

from test_cli import fails, run  # noqa: E402

import genfast as gf  # noqa: E402
from genfast.cli import images, known  # noqa: E402


@pytest.fixture
def some(tmp_path: Path) -> Path:
    assert run("sample", "digits", "-n", 3, "--seed", 1, "-o", tmp_path / "some.npz", "--quiet").exit_code == 0
    return tmp_path / "some.npz"


def test_complete_keeps_the_top_and_is_what_the_library_draws(some: Path, tmp_path: Path) -> None:
    result = run("complete", "digits", some, "-n", 4, "--seed", 7, "-o", tmp_path / "c.npz")
    assert result.exit_code == 0, result.output
    assert "3 × 4 completions, 32 of 64 pixels kept" in result.stderr
    with np.load(some) as given, np.load(tmp_path / "c.npz") as made:
        shown, labels = given["samples"].repeat(4, axis=0), given["condition_label"].repeat(4)
        np.testing.assert_array_equal(made["samples"][:, :, :4], shown[:, :, :4])
        np.testing.assert_array_equal(made["condition_label"], labels)
        mask = np.arange(8)[:, None] < np.full(8, 4)
        expected = gf.load("digits").complete(shown, known=mask, rng=7, condition={"label": labels})
        np.testing.assert_array_equal(made["samples"], expected)
        np.testing.assert_array_equal(made["known"], mask)


def test_complete_shows_a_row_for_each_image(some: Path, tmp_path: Path) -> None:
    run("complete", "digits", some, "-n", 2, "--known", "top=3", "--scale", 1, "-o", tmp_path / "c.png")
    with image.open(tmp_path / "c.png") as file, np.load(some) as given:
        picture = np.asarray(file)
        assert picture.shape == (2 + 3 * 10, 2 + 4 * 10)
        second = images.to_bytes(given["samples"], 17)[1]
        np.testing.assert_array_equal(picture[12:20, 12:20], second)
        np.testing.assert_array_equal(picture[12:15, 2:10], second[:3])
        assert not picture[15:20, 2:10].any()


def test_complete_of_pictures_and_labels(some: Path, tmp_path: Path) -> None:
    run("sample", "digits", "-n", 3, "--seed", 1, "-o", tmp_path / "folder")
    run("complete", "digits", tmp_path / "folder", "-n", 2, "--label", "4,5,6", "-o", tmp_path / "f.npz")
    run("complete", "digits", tmp_path / "folder" / "000002.png", "-n", 12, "-o", tmp_path / "p.npz")
    with np.load(tmp_path / "f.npz") as made, np.load(some) as given:
        assert made["condition_label"].tolist() == [4, 4, 5, 5, 6, 6]
        np.testing.assert_array_equal(made["samples"][::2, :, :4], given["samples"][:, :, :4])
    with np.load(tmp_path / "p.npz") as made:
        assert made["condition_label"].tolist() == [*range(10), 0, 1]


def test_masks() -> None:
    assert known.mask("top-half", (5, 3)).sum() == 6
    assert known.mask("left=1", (5, 3))[:, 0].all()
    assert known.mask("right-half", (4, 4)).tolist() == [[False, False, True, True]] * 4
    assert known.mask("bottom=4", (4, 4)).all()
    for text in ("half", "top", "top=9", "top=-1", "middle-half"):
        with pytest.raises(ValueError, match="--known"):
            known.mask(text, (4, 4))


def test_complete_errors_are_one_line(some: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.png"
    assert "any first part of the order" in fails(1, "complete", "digits", some, "--known", "left-half", "-o", out)
    assert "not a model that draws an image" in fails(1, "complete", "alice", some, "-o", out)
    assert "no such folder" in fails(1, "complete", "digits", some, "-o", tmp_path / "none" / "c.png")
    np.save(tmp_path / "flat.npy", np.zeros((2, 64), np.uint8))
    assert "flat.npy: images of shape" in fails(1, "complete", "digits", tmp_path / "flat.npy", "-o", out)
    np.save(tmp_path / "mask.npy", np.zeros((2, 2), bool))
    assert "8 × 8" in fails(1, "complete", "digits", some, "--known", f"@{tmp_path / 'mask.npy'}", "-o", out)
    (tmp_path / "junk.png").write_text("junk")
    assert "junk.png: not a picture" in fails(1, "complete", "digits", tmp_path / "junk.png", "-o", out)
    (tmp_path / "junk.npz").write_text("junk")
    assert "junk.npz: not an .npy" in fails(1, "complete", "digits", tmp_path / "junk.npz", "-o", out)
    image.new("L", (9, 8)).save(tmp_path / "wide.png")
    assert "wide.png: 8 × 9 pixels" in fails(1, "complete", "digits", tmp_path / "wide.png", "-o", out)
    (tmp_path / "cut.npz").write_bytes(some.read_bytes()[:200])
    assert "cut.npz: not an .npy" in fails(1, "complete", "digits", tmp_path / "cut.npz", "-o", out)
    cut_mask = f"@{tmp_path / 'cut.npz'}"
    assert "not an .npy file of 8 × 8" in fails(1, "complete", "digits", some, "--known", cut_mask, "-o", out)
    assert "not an .npy file of numbers" in fails(
        1, "complete", "digits", some, "--condition", f"label={cut_mask}", "-o", out
    )
    noise = np.random.default_rng(0).integers(0, 255, (8, 8)).astype(np.uint8)
    image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    assert "cut.png: image file is truncated" in fails(1, "complete", "digits", tmp_path / "cut.png", "-o", out)
    n = len(np.load(some)["samples"])
    labels = ",".join("1" * (n + 1))
    said = f"condition 'label': {n + 1} values for {n} images: give one for all, or one each"
    assert said in fails(1, "complete", "digits", some, "--label", labels, "-o", out)
    (tmp_path / "empty").mkdir()
    assert "no .png files" in fails(1, "complete", "digits", tmp_path / "empty", "-o", out)
    fails(2, "complete", "digits", tmp_path / "nowhere.npz")
    assert not out.exists()


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models with an output: a picture of known range, one of unknown range, and an encoder."""
    torch = pytest.importorskip("torch")

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.label = torch.nn.Embedding(2, 12)
            self.linear = torch.nn.Linear(2, 12)

        def forward(self, z, label):
            return torch.tanh(self.linear(z) + self.label(label)).view(-1, 1, 3, 4)

    folder = tmp_path_factory.mktemp("decoders")
    torch.manual_seed(0)
    example = (torch.zeros(2, 2), torch.tensor([0, 1]))
    for name, meta in (("picture", {"image": {"low": -1.0, "high": 1.0}}), ("numbers", None)):
        model = gf.compile(Decoder().eval(), example, latent=gf.Normal(0, 1), name=name, meta=meta)
        model.save(folder / f"{name}.genfast")
    gf.compile(torch.nn.Linear(3, 2).eval(), torch.zeros(2, 3), latent="given").save(folder / "encoder.genfast")
    return folder


def test_outputs_are_pictures_where_the_file_says_so(decoders: Path, tmp_path: Path) -> None:
    model = decoders / "picture.genfast"
    for out in ("x.npz", "x.png"):
        words = ["sample", model, "-n", 4, "--condition", "label=1", "--scale", 1, "-o", tmp_path / out]
        result = run(*words)
        assert result.exit_code == 0, result.output
    with image.open(tmp_path / "x.png") as file, np.load(tmp_path / "x.npz") as arrays:
        samples = arrays["samples"]
        assert (samples.shape, samples.dtype) == ((4, 1, 3, 4), np.float32)
        np.testing.assert_array_equal(samples, gf.load(model).sample(4, rng=0, condition={"label": [1] * 4}))
        np.testing.assert_array_equal(np.asarray(file)[2:5, 2:6], np.rint((samples[0, 0] + 1) * 127.5))


def test_what_is_no_picture_is_said_so(decoders: Path, tmp_path: Path) -> None:
    numbers, out = decoders / "numbers.genfast", tmp_path / "x.png"
    assert "write an .npz file" in fails(1, "sample", numbers, "-o", out)
    assert run("sample", numbers, "-n", 3, "-o", tmp_path / "x.npz").exit_code == 0
    assert "has none: its inputs are given" in fails(1, "sample", decoders / "encoder.genfast", "-o", out)
    assert "pixel after pixel" in fails(1, "complete", decoders / "picture.genfast", numbers, "-o", out)
    assert not out.exists()


def test_values_beyond_the_ends_are_black_and_white(decoders: Path) -> None:
    model = gf.load(decoders / "picture.genfast")
    levels, count = images.shown(model, np.array([[[-3.0, -1.0], [1.0, 7.0]]], np.float32))
    assert (levels.tolist(), count) == ([[[0, 0], [255, 255]]], 256)


def test_pictures_side_by_side() -> None:
    both = images.beside([np.zeros((4, 3), np.uint8), np.zeros((2, 5), np.uint8)])
    assert both.shape == (4, 3 + 4 * images.GAP + 5)
    assert both[2:, -5:].min() == 255


def test_labels_of_a_generated_data_set_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("generate", "digits", "--per-class", "2", "--classes", "3,8", "-o", "data")
    (file,) = Path("data").glob("*.npz")
    run("complete", "digits", str(file), "-n", "2", "-o", "done.npz")
    assert np.load("done.npz")["condition_label"].tolist() == np.repeat(np.load(file)["labels"], 2).tolist()


def test_counts_that_do_not_agree_are_those_of_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("few.npz", samples=np.zeros((3, 1, 8, 8), np.uint8), condition_label=np.zeros(2, int))
    assert "3 images, and a label of 2" in fails(1, "complete", "digits", "few.npz")
    np.savez("none.npz", samples=np.zeros((0, 1, 8, 8), np.uint8))
    assert "none.npz: no images" in fails(1, "complete", "digits", "none.npz")
