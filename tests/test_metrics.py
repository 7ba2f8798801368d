"""The measures of the comparison, against independent computations, and against planted copies and collapse."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")  # genfast.zoo needs it

from genfast.zoo import metrics

RNG = np.random.default_rng(0)


def test_distances_and_nearest_are_the_brute_force_ones() -> None:
    spatial = pytest.importorskip("scipy.spatial")
    a, b = RNG.normal(size=(37, 6)), RNG.normal(size=(50, 6))
    expected = spatial.distance.cdist(a, b)
    np.testing.assert_allclose(metrics.distances(a, b), expected, rtol=1e-14)
    distance, index = metrics.nearest(a, b)
    np.testing.assert_array_equal(index, expected.argmin(1))
    np.testing.assert_allclose(distance, expected.min(1), rtol=1e-14)


def test_equal_images_are_exactly_0_apart_and_the_first_wins() -> None:
    pool = RNG.random((9, 1, 8, 8), dtype=np.float32)
    distance, index = metrics.nearest(pool[[4, 7]], np.concatenate([pool, pool]))
    assert distance.tolist() == [0, 0]
    assert index.tolist() == [4, 7]


def test_distances_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = RNG.normal(size=(23, 5)), RNG.normal(size=(11, 5))
    whole = metrics.distances(a, b)
    monkeypatch.setattr(metrics, "BLOCK", 10)
    np.testing.assert_array_equal(metrics.distances(a, b), whole)


def test_frechet_distance_is_that_of_sqrtm() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    a = RNG.normal(size=(300, 12)) @ RNG.normal(size=(12, 12))
    b = RNG.normal(size=(200, 12)) @ RNG.normal(size=(12, 12)) + 0.5
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * linalg.sqrtm(cov_a @ cov_b).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)
    assert metrics.frechet_distance(b, a) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_one_dimension_by_hand() -> None:
    """(μ_a − μ_b)² + (σ_a − σ_b)²; and features that are constant, where the covariance is singular."""
    a, b = np.array([[0.0], [2.0]]), np.array([[5.0], [11.0]])
    assert metrics.frechet_distance(a, b) == pytest.approx(7**2 + (np.sqrt(18) - np.sqrt(2)) ** 2)
    flat = np.concatenate([a, np.zeros((2, 3))], axis=1)
    assert metrics.frechet_distance(flat, flat) == pytest.approx(0, abs=1e-12)


def test_precision_and_recall_are_the_definition() -> None:
    real, fake = RNG.normal(size=(60, 4)), RNG.normal(size=(45, 4)) * 0.7 + 0.6

    def inside(x: np.ndarray, support: np.ndarray) -> float:
        hits = 0
        for point in x:
            for i, center in enumerate(support):
                others = sorted(np.linalg.norm(np.delete(support, i, 0) - center, axis=1))
                if np.linalg.norm(point - center) <= others[2]:
                    hits += 1
                    break
        return hits / len(x)

    expected = inside(fake, real), inside(real, fake)
    assert metrics.precision_recall(real, fake) == pytest.approx(expected)
    assert 0 < expected[0] < 1 and 0 < expected[1] < 1


def test_planted_collapse_keeps_precision_and_loses_recall() -> None:
    real = RNG.normal(size=(200, 4))
    collapsed = real[:1] + 1e-3 * RNG.normal(size=(200, 4))
    precision, recall = metrics.precision_recall(real, collapsed)
    assert precision == 1
    assert recall < 0.02
    good = metrics.precision_recall(real, RNG.normal(size=(200, 4)))
    assert min(good) > 0.8
    assert metrics.frechet_distance(real, collapsed) > 10 * metrics.frechet_distance(real, RNG.normal(size=(200, 4)))


def test_planted_noise_loses_precision() -> None:
    precision, recall = metrics.precision_recall(RNG.normal(size=(100, 4)), RNG.normal(size=(100, 4)) + 50)
    assert (precision, recall) == (0, 0)


def test_planted_copies_are_nearer_than_held_out_data() -> None:
    train, held_out = RNG.normal(size=(300, 8)), RNG.normal(size=(80, 8))
    fresh, copies = RNG.normal(size=(200, 8)), train[:200] + 0.01 * RNG.normal(size=(200, 8))
    reference = metrics.nearest(held_out, train)[0]
    assert metrics.closer_share(metrics.nearest(copies, train)[0], reference) == 1
    assert 0.4 < metrics.closer_share(metrics.nearest(fresh, train)[0], reference) < 0.6


def test_closer_share_is_the_mann_whitney_statistic() -> None:
    stats = pytest.importorskip("scipy.stats")
    a, b = RNG.integers(0, 9, 40).astype(float), RNG.integers(2, 12, 30).astype(float)
    expected = stats.mannwhitneyu(b, a).statistic / (len(a) * len(b))
    assert metrics.closer_share(a, b) == pytest.approx(expected)
    assert metrics.closer_share(a, a) == pytest.approx(0.5)


def test_class_entropy() -> None:
    assert metrics.class_entropy(np.arange(8), 8) == pytest.approx(3)
    assert metrics.class_entropy([3] * 5, 10) == 0
    assert metrics.class_entropy([0, 0, 0, 1], 10) == pytest.approx(2 - 0.75 * np.log2(3))


def test_within_class_distance_by_hand_and_of_collapse() -> None:
    x, labels = np.array([[0.0], [1.0], [3.0], [10.0], [14.0], [99.0]]), np.array([0, 0, 0, 1, 1, 2])
    assert metrics.within_class_distance(x, labels) == pytest.approx(((1 + 3 + 2) / 3 + 4) / 2)
    assert metrics.within_class_distance(np.ones((10, 1, 8, 8)), np.repeat([0, 1], 5)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.distances(np.ones((3, 2)), np.ones((3, 4))), "a has 2 features a row, b 4"),
        (lambda: metrics.distances(np.ones((0, 2)), np.ones((3, 2))), "a must be"),
        (lambda: metrics.nearest(np.full((3, 2), np.nan), np.ones((3, 2))), "NaN"),
        (lambda: metrics.frechet_distance(np.ones((1, 2)), np.ones((3, 2))), "at least 2 rows"),
        (lambda: metrics.precision_recall(np.ones((3, 2)), np.ones((9, 2))), "k must be"),
        (lambda: metrics.precision_recall(np.ones((9, 2)), np.ones((9, 2)), k=0), "k must be"),
        (lambda: metrics.class_entropy([10], 10), "from 0 to 9"),
        (lambda: metrics.class_entropy([-1], 10), "from 0 to 9"),
        (lambda: metrics.within_class_distance(np.ones((2, 2)), [0, 1]), "no class has two rows"),
        (lambda: metrics.within_class_distance(np.ones((2, 2)), [0]), "labels"),
        (lambda: metrics.closer_share([], [1.0]), "generated"),
    ],
)
def test_wrong_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
