"""The registry of recipes: every one trains, compiles and shows its samples; the autoregressive networks see the past
only; a training that diverges says so and keeps what it had."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("click.testing")
pytest.importorskip("rich")
image = pytest.importorskip("PIL.Image")

from test_cli import fails, run  # noqa: E402
from test_zoo import same_weights, sees, stripes  # noqa: E402

import genfast as gf  # noqa: E402
from genfast.cli.train_command import FIRST, NAMES  # noqa: E402
from genfast.zoo import data  # noqa: E402
from genfast.zoo.image_task import ImageRecipe, example, network_input  # noqa: E402
from genfast.zoo.imagegpt import ImageGPT  # noqa: E402
from genfast.zoo.independent import Independent  # noqa: E402
from genfast.zoo.made import MADE  # noqa: E402
from genfast.zoo.pixel_recipes import GatedRecipe, IndependentRecipe  # noqa: E402
from genfast.zoo.pixelcnn import PixelCNN  # noqa: E402
from genfast.zoo.recipes import RECIPES  # noqa: E402
from genfast.zoo.task import Task  # noqa: E402
from genfast.zoo.train import Progress, train  # noqa: E402

PIXELS = [name for name, entry in RECIPES.items() if isinstance(entry.recipe, ImageRecipe)]


def small(classes: int = 2) -> data.Dataset:
    """Sixty 8×8 images of three levels, of which the first pixel of a row tells the others."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 3, (60, 8, 1), dtype=np.uint8).repeat(8, axis=2)
    return data.split("small", images, np.arange(60) % classes if classes else None, 3, classes)


def test_the_command_knows_the_registry() -> None:
    assert set(NAMES) == set(RECIPES)
    assert set(FIRST.values()) <= set(RECIPES)


@pytest.mark.parametrize("name", [name for name, entry in RECIPES.items() if entry.data == "images"])
@pytest.mark.parametrize("classes", [2, 0])
def test_every_recipe_of_images_trains_and_writes(
    name: str, classes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "digits", lambda: small(classes))
    if name == "classifier" and not classes:
        assert "class" in fails(1, "train", name, "--epochs", 1)
        return
    result = run("train", name, "--epochs", 1)
    assert result.exit_code == 0, result.output
    model = gf.load(f"digits-{name}.genfast")
    metrics = json.loads(Path(f"digits-{name}.json").read_text())
    assert model.meta["command"] == metrics["command"] == f"genfast train {name} --epochs 1"
    assert model.meta["kind"] == RECIPES[name].kind
    assert (model.meta["seed"], model.meta["data"]) == (0, "small")
    assert metrics["parameters"] > 0
    assert len(metrics["history"]) == 1
    assert all(np.isfinite(figure) for figure in model.meta["figures"].values())
    for file in metrics["file_bytes"]:
        gf.load(file)
    assert Path(f"digits-{name}.png").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PixelCNN(5, 8, 6, classes=3),
        lambda: ImageGPT(5, (6, 4), 8, 2, 2, classes=3),
        lambda: MADE(5, (6, 4), 230, 1, 8, 16, classes=3),
    ],
    ids=["pixelcnn", "imagegpt", "made"],
)
def test_networks_see_earlier_pixels_only_and_the_label(make) -> None:
    model = make()
    label = torch.tensor([1])
    if isinstance(model, ImageGPT):
        # What it reads is rounded to levels, so its gradients are those at the embedded pixels.
        held = torch.nn.Embedding.forward
        embedded = []
        model.pixels.forward = lambda t: embedded.append(held(model.pixels, t).detach().requires_grad_()) or embedded[0]
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
        logits = model(torch.rand(1, 1, 6, 4), label).sum(1).flatten()
        rows = [torch.autograd.grad(one, embedded, retain_graph=True)[0][0].abs().sum(1) for one in logits]
        seen = torch.stack(rows).numpy() != 0
    else:
        seen = sees(model, 6, 4, label)
    earlier = np.tri(24, k=-1, dtype=bool)
    assert not seen[~earlier].any()
    # A PixelCNN has a blind spot (van den Oord et al., 2016b, figure 1); the others see all.
    assert seen[earlier].all() or isinstance(model, PixelCNN)
    x = torch.rand(1, 1, 6, 4)
    assert not torch.equal(model.eval()(x, label), model(x, label + 1))


@pytest.mark.parametrize("name", PIXELS)
def test_compiled_networks_are_the_recipes(name: str) -> None:
    images = stripes()
    task = replace(RECIPES[name].recipe, augmented=0.0).task(images)
    torch.manual_seed(0)
    network = task.build().eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    model = task.compiled(network, name, {})[""]
    label = images.test_labels
    with torch.no_grad():
        wanted = network(network_input(images.test, 3), torch.from_numpy(label)).numpy()
    np.testing.assert_allclose(model.logits(images.test, condition={"label": label}), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("classes", [2, 0])
def test_independent_pixels_are_smoothed_histograms(classes: int) -> None:
    images = np.array([[0, 1], [0, 1], [0, 0], [1, 1]], np.uint8).reshape(4, 1, 1, 2)
    labels = np.array([0, 0, 1, 1]) if classes else None
    dataset = data.Dataset("four", 2, classes, images, images, labels, labels)
    network = IndependentRecipe(smoothing=2.0).task(dataset).build()
    assert isinstance(network, Independent)
    x, *label = example(dataset)
    everything = np.array([[4 / 6, 2 / 6], [2 / 6, 4 / 6]])  # (levels, pixels), one added to every count
    got = network(x, *label).detach().softmax(1)[0, :, 0].numpy()
    first = (np.array([[2, 0], [0, 2]]) + 2 * everything) / 4
    np.testing.assert_allclose(got, first if classes else everything, rtol=1e-6)


def test_independent_recipe_agrees_with_the_baseline() -> None:
    from genfast.zoo.baseline import independent_pixels

    trained = train(small(0), IndependentRecipe())
    assert trained.figures["test"] == pytest.approx(independent_pixels(small(0).train, small(0).test, 3), abs=1e-6)
    assert (trained.epoch, len(trained.history)) == (1, 1)


def test_a_diverging_training_says_so_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    """The learning rate is lost in the second epoch, by a report that spoils the network as one that is too high
    would."""
    recipe = GatedRecipe(channels=4, layers=1, head_channels=4, epochs=4)
    good = train(stripes(), replace(recipe, epochs=1), tmp_path / "good.pt")

    @dataclass(frozen=True)
    class Spoiled(GatedRecipe):
        def task(self, dataset):
            task = super().task(dataset)
            losses, epochs = task.losses, iter((1.0, float("nan")))

            def spoiled(model, rng):
                factor = next(epochs)
                return (loss * factor for loss in losses(model, rng))

            task.losses = spoiled
            return task

    bad = Spoiled(**vars(recipe))
    with pytest.raises(
        gf.NumericalError, match=r"diverged: the loss is nan in epoch 2, batch 1; .*bad\.pt holds the 1"
    ):
        train(stripes(), bad, tmp_path / "bad.pt")
    kept = train(stripes(), replace(recipe, epochs=1), tmp_path / "bad.pt")
    assert len(kept.history) == 1
    assert kept.figures.keys() == good.figures.keys()
    with pytest.raises(gf.NumericalError, match=r"lower the learning rate$"):
        train(stripes(), replace(recipe, learning_rate=float("inf")))


def test_divergence_on_the_command_line_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "digits", small)
    message = fails(1, "train", "made", "--epochs", 3, "--set", "learning_rate=1e30", "--set", "clip=0")
    assert "the training diverged" in message
    assert "lower the learning rate" in message
    assert not list(tmp_path.glob("*.genfast"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batch=0", "batch must be at least 1, got 0"),
        ("channels=-3", "channels must be at least 1, got -3"),
        ("patience=-1", "patience must be at least 0"),
        ("validation=2", r"validation must be in [0, 1), got 2.0"),
        ("validation=0", "validation=0 is 0 of "),
        ("average=nan", "average must be in [0, 1), got nan"),
        ("clip=-1", "clip must be at least 0"),
        ("schedule=linear", "schedule must be 'cosine' or 'constant', got 'linear'"),
    ],
)
@pytest.mark.parametrize("name", ["gated", "autoencoder"])
def test_settings_that_cannot_be_trained(
    name: str, setting: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "digits", small)
    assert words in fails(1, "train", name, "--epochs", 1, "--set", setting)
    assert not list(tmp_path.iterdir())


def test_settings_of_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "digits", small)
    words = ["train", "made", "--epochs", 1, "--set", "hidden=9", "--set", "betas=0.5,0.9", "--out", "a.genfast"]
    assert run(*words).exit_code == 0
    recipe = json.loads(Path("a.json").read_text())["recipe"]
    assert (recipe["hidden"], recipe["betas"]) == (9, [0.5, 0.9])
    assert "--set hidden=9 --set betas=0.5,0.9" in gf.load("a.genfast").meta["command"]
    assert "the recipe's fields are" in fails(2, "train", "made", "--set", "depth=3")
    assert "'x' is none like 128" in fails(2, "train", "made", "--set", "hidden=x")
    fails(2, "train", "made", "--set", "betas=0.5")


class TwoPlayers(Task):
    """Two numbers, each with an optimizer of its own: the first runs away from the second, which follows."""

    unit = "distance"
    batches = 4

    def __init__(self, recipe) -> None:
        self.recipe, self.dataset = recipe, stripes()

    def build(self):
        return torch.nn.ModuleList([torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1)])

    def groups(self, model):
        return list(model)

    def steps(self, model, rng):
        for i in range(self.batches):
            model[1](torch.full((2, 1), 3.0) + torch.tensor([[0.0], [1.0]]))
            yield i % 2, -model[0].weight.sum() if i % 2 == 0 else (model[1].weight - 2).square().sum()

    def figures(self, model):
        return {"distance": model[0].weight.sum().item()}


def test_several_optimizers_and_no_validation(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Recipe(GatedRecipe):
        def task(self, dataset):
            return TwoPlayers(self)

    def cut(progress: Progress) -> None:
        if progress.epoch == 3:
            raise KeyboardInterrupt

    recipe = Recipe(epochs=5, weight_decay=0.0, learning_rate=0.1, schedule="constant", average=0.0)
    whole = train(None, recipe)
    assert whole.epoch == 5  # the last, as no figure is named validation
    assert whole.history[4]["distance"] == pytest.approx(whole.history[0]["distance"] + 4 * 2 * 0.1, abs=1e-4)
    assert whole.model[1].running_mean.item() == pytest.approx(3.5 * (1 - 0.9**20), abs=1e-4)
    with pytest.raises(KeyboardInterrupt):
        train(None, recipe, tmp_path / "two.pt", cut)
    resumed = train(None, recipe, tmp_path / "two.pt")
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)


def test_models_tell_how_they_came_about() -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "--json").output)}
    assert set(rows) == set(gf.models())
    table = run("models").output
    for name, row in rows.items():
        assert row["kind"], name
        assert row["command"].startswith("genfast train "), name
        assert row["parameters"] > 0, name
        assert row["figures"], name
        assert name.split("-")[0] in table


@pytest.mark.parametrize("name", ["digits-independent", "digits-made", "digits-pixelcnn", "digits-imagegpt"])
def test_bundled_models_of_pixels_reach_their_figures(name: str) -> None:
    pytest.importorskip("sklearn")
    digits, model = data.digits(), gf.load(name)
    bits = model.bits_per_dim(digits.test, condition={"label": digits.test_labels}).mean()
    assert bits == pytest.approx(model.meta["figures"]["bits/dim"], abs=1e-3)
    assert len(model._core.file_bytes()) < 256_000


def test_a_generator_learns_from_few_batches_too() -> None:
    whole = data.digits()
    few = replace(whole, train=whole.train[:40], train_labels=whole.train_labels[:40])
    task = RECIPES["wgan"].recipe.task(few)
    assert task.batches > task.parts.batches  # its steps beside the critic's
    assert 1 in [group for group, _ in task.steps(task.build(), np.random.default_rng(0))]
