"""Chain: any conditionals, both ways. Each statistical test has a false-alarm rate of 1e-8."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import qmc

import genfast as gf

ALPHA = 1e-8


def die() -> gf.Distribution:
    return gf.Discretized(gf.Uniform(0, 6), np.arange(7))


def banana() -> gf.Chain:
    return gf.Chain(
        [
            gf.Normal(1.0, 2.0),
            lambda x: gf.Normal(x[:, 0] ** 2 / 4, 0.5),
            lambda x: gf.Exponential(np.exp(-np.abs(x[:, 0] - x[:, 1]) / 4)),
        ]
    )


def mixed() -> gf.Chain:
    return gf.Chain([die(), lambda x: gf.Normal(x[:, 0], 1.0), lambda x: gf.Affine(die(), x[:, 0], -1.0), gf.Uniform()])


def test_draws_are_the_conditionals_one_by_one() -> None:
    u = gf.Stream(5).uniforms(100, 3)
    x = banana().sample(100, rng=5)
    first = stats.norm(1, 2).ppf(u[:, 0])
    second = stats.norm(first**2 / 4, 0.5).ppf(u[:, 1])
    third = stats.expon(scale=np.exp(-np.abs(first - second) / 4)).ppf(u[:, 2])
    np.testing.assert_allclose(x, np.stack([first, second, third], axis=1), rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(banana().sample(100, u=u), x)
    np.testing.assert_array_equal(banana().sample(100, rng=gf.Stream(5)), x)


def test_log_prob_is_the_sum() -> None:
    x = banana().sample(50, rng=0)
    expected = (
        stats.norm(1, 2).logpdf(x[:, 0])
        + stats.norm(x[:, 0] ** 2 / 4, 0.5).logpdf(x[:, 1])
        + stats.expon(scale=np.exp(-np.abs(x[:, 0] - x[:, 1]) / 4)).logpdf(x[:, 2])
    )
    np.testing.assert_allclose(banana().log_prob(x), expected, rtol=1e-12)
    assert banana().log_prob([[0.0, 0.0, -1.0]])[0] == -np.inf


def test_round_trips() -> None:
    u = gf.Stream(2).uniforms(2000, 3) * 0.998 + 0.001
    x = banana().inverse_rosenblatt(u)
    np.testing.assert_allclose(banana().rosenblatt(x), u, atol=1e-12)
    np.testing.assert_allclose(banana().inverse_rosenblatt(banana().rosenblatt(x)), x, rtol=1e-9, atol=1e-9)


def test_discrete_conditionals_give_pairs() -> None:
    joint = mixed()
    x = joint.sample(500, rng=1)
    lower, upper = joint.rosenblatt(x)
    u = gf.Stream(1).uniforms(500, 4)
    assert ((lower < u + 1e-12) & (u <= upper + 1e-12)).all()
    np.testing.assert_allclose(upper[:, 0] - lower[:, 0], 1 / 6, atol=1e-15)
    np.testing.assert_allclose(upper[:, 2] - lower[:, 2], 1 / 6, atol=1e-15)
    np.testing.assert_array_equal(lower[:, [1, 3]], upper[:, [1, 3]])
    again = joint.inverse_rosenblatt((lower, upper))
    np.testing.assert_array_equal(again[:, [0, 2]], x[:, [0, 2]])
    np.testing.assert_allclose(again, x, atol=1e-9)


def by_rows(x: np.ndarray) -> gf.Distribution:
    def logistic(t: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        z = np.abs((t - a) / b)
        return -z - 2 * np.log1p(np.exp(-z))

    return gf.NumericalInverse(logpdf=logistic, params=(x[:, 0], 1.0 + x[:, 1]), center=x[:, 0])


def test_a_chain_of_categoricals_and_numerical_inverses() -> None:
    def logits(x: np.ndarray) -> np.ndarray:
        return -((np.arange(4.0) - x[:, :1]) ** 2)

    joint = gf.Chain([gf.Normal(1.0, 2.0), lambda x: gf.Categorical(logits(x)), by_rows])
    n = 70
    u = gf.Stream(6).uniforms(n, 3)
    x = joint.sample(n, rng=6)
    p = np.exp(logits(x))
    p /= p.sum(axis=1, keepdims=True)
    f = p.cumsum(axis=1)
    np.testing.assert_array_equal(x[:, 1], (f < u[:, 1:2]).sum(axis=1))
    scale = 1 + x[:, 1]
    np.testing.assert_allclose(x[:, 2], stats.logistic(x[:, 0], scale).ppf(u[:, 2]), atol=1e-9)
    level = x[:, 1].astype(int)
    exact = stats.norm(1, 2).logpdf(x[:, 0]) + np.log(p[np.arange(n), level])
    np.testing.assert_allclose(joint.log_prob(x), exact + stats.logistic(x[:, 0], scale).logpdf(x[:, 2]), rtol=1e-9)
    lower, upper = joint.rosenblatt(x)
    assert (lower[:, 1] < u[:, 1]).all() and (u[:, 1] <= upper[:, 1]).all()
    np.testing.assert_allclose(upper[:, 1] - lower[:, 1], p[np.arange(n), level], rtol=1e-9)
    np.testing.assert_allclose(upper[:, 2], u[:, 2], atol=1e-11)
    np.testing.assert_allclose(joint.inverse_rosenblatt((lower, upper)), x, rtol=1e-9, atol=1e-9)


def test_a_chain_gives_the_same_bits_for_one_and_two_threads() -> None:
    joint = gf.Chain([gf.Gamma(2.0), lambda x: gf.Categorical(-((np.arange(3) - x[:, :1]) ** 2)), by_rows])
    before, found = gf.num_threads(), []
    try:
        for count in (1, 2):
            gf.set_num_threads(count)
            x = joint.sample(70, rng=1)
            found.append([x, joint.log_prob(x), *joint.rosenblatt(x)])
    finally:
        gf.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert one.tobytes() == two.tobytes()


def test_rows_do_not_depend_on_each_other() -> None:
    for joint in (banana(), mixed()):
        whole = joint.sample(64, rng=3)
        np.testing.assert_array_equal(joint.sample(7, rng=3), whole[:7])
        u = gf.Stream(3).uniforms(64, joint.sites)
        np.testing.assert_array_equal(joint.sample(64, u=u[::-1])[::-1], whole)
        np.testing.assert_array_equal(np.concatenate([joint.sample(1, u=row[None]) for row in u]), whole)


def test_every_rng_and_kind() -> None:
    joint = banana()
    assert joint.sample(8, rng=np.random.default_rng(0)).shape == (8, 3)
    assert joint.sample(8, rng=qmc.Sobol(3, seed=0)).shape == (8, 3)
    with pytest.raises(ValueError, match="d=3"):
        joint.sample(8, rng=qmc.Sobol(2, seed=0))
    u = torch.rand(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = joint.sample(8, u=u)
    assert isinstance(x, torch.Tensor) and x.dtype == torch.float64
    np.testing.assert_array_equal(x.numpy(), joint.sample(8, u=u.numpy()))
    assert isinstance(joint.log_prob(x), torch.Tensor) and isinstance(joint.rosenblatt(x), torch.Tensor)
    assert all(isinstance(end, torch.Tensor) for end in mixed().rosenblatt(torch.zeros(2, 4, dtype=torch.float64)))
    assert joint.sample(8, rng=0, dtype="float32").dtype == np.float32
    assert joint.sample(8, u=u.float()).dtype == torch.float32
    out = np.empty((8, 3))
    assert joint.sample(8, rng=0, out=out) is out
    np.testing.assert_array_equal(out, joint.sample(8, rng=0))


def test_conditionals_of_tensors_and_of_other_libraries() -> None:
    plain = gf.Chain([gf.Normal(0.5, 2.0), lambda x: gf.Normal(x[:, 0], 1.0)])
    other = gf.Chain(
        [
            stats.norm(0.5, 2.0),
            lambda x: torch.distributions.Normal(torch.tensor(x[:, 0]), torch.ones(len(x), dtype=torch.float64)),
        ]
    )
    tensors = gf.Chain([gf.Normal(0.5, 2.0), lambda x: gf.Normal(torch.tensor(x[:, 0]), 1.0)])
    for joint in (other, tensors):
        x = joint.sample(20, rng=1)
        assert isinstance(x, np.ndarray)
        np.testing.assert_array_equal(x, plain.sample(20, rng=1))
        np.testing.assert_array_equal(joint.log_prob(x), plain.log_prob(x))
        np.testing.assert_array_equal(joint.rosenblatt(x), plain.rosenblatt(x))


def test_edges() -> None:
    joint = banana()
    assert joint.sample(0, rng=0).shape == (0, 3)
    assert joint.log_prob(np.empty((0, 3))).shape == (0,)
    assert joint.rosenblatt(np.empty((0, 3))).shape == (0, 3)
    x = joint.sample(2, u=[[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert np.isfinite(x).all()
    frozen = np.asfortranarray(gf.Stream(0).uniforms(5, 3))
    frozen.flags.writeable = False
    np.testing.assert_array_equal(joint.sample(5, u=frozen), joint.sample(5, rng=0))
    assert np.isnan(gf.Chain([gf.Normal(), gf.Normal()]).log_prob([[np.nan, 0.0]])).all()


def test_a_conditional_sees_read_only_rows() -> None:
    def greedy(x: np.ndarray) -> gf.Distribution:
        x[:] = 0
        return gf.Normal()

    with pytest.raises(ValueError, match="read-only") as caught:
        gf.Chain([gf.Normal(), greedy]).sample(3, rng=0)
    assert "raised in conditionals[1], called with an array of shape (3, 1)" in caught.value.__notes__


@pytest.mark.parametrize(
    ("conditionals", "error", "message"),
    [
        (gf.Normal(), TypeError, "conditionals must be a list"),
        ([], ValueError, "conditionals must not be empty"),
        ([gf.Normal(), 3.0], TypeError, r"conditionals\[1\]"),
        ([gf.Normal([0, 1])], ValueError, r"conditionals\[0\] must be one distribution, its batch shape is \(2,\)"),
        ([stats.gausshyper(1, 2, 3, 4)], TypeError, "no counterpart of scipy.stats.gausshyper"),
    ],
)
def test_bad_lists(conditionals: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        gf.Chain(conditionals)


def test_bad_conditionals_are_named() -> None:
    wrong = gf.Chain([gf.Normal(), lambda x: gf.Normal(np.zeros((len(x), 1)))])
    with pytest.raises(ValueError, match=r"conditionals\[1\] returned .* batch shape \(5, 1\) for 5 rows"):
        wrong.sample(5, rng=0)
    with pytest.raises(ValueError, match=r"conditionals\[1\] returned .* batch shape \(5, 1\) for 5 rows"):
        wrong.log_prob(np.zeros((5, 2)))
    with pytest.raises(TypeError, match=r"what conditionals\[1\] returns must be"):
        gf.Chain([gf.Normal(), lambda x: x]).sample(5, rng=0)
    # A batch that happens to broadcast is still wrong.
    with pytest.raises(ValueError, match=r"batch shape \(1,\) for 5 rows"):
        gf.Chain([gf.Normal(), lambda x: gf.Normal([0.0])]).sample(5, rng=0)


def test_bad_arguments() -> None:
    joint = banana()
    for call, error, message in [
        (lambda: joint.sample(-1, rng=0), ValueError, "n must be"),
        (lambda: joint.sample(2.5, rng=0), TypeError, "n must be an integer"),
        (lambda: joint.sample(1 << 61, rng=0), ValueError, "too large"),
        (lambda: joint.sample(2, rng=0, u=np.zeros((2, 3))), ValueError, "give rng or u"),
        (lambda: joint.sample(2, u=np.zeros((3, 3))), ValueError, r"u must have shape \(2, 3\)"),
        (lambda: joint.sample(2, u=np.zeros((2, 4))), ValueError, r"u must have shape \(n, 3\), got \(2, 4\)"),
        (
            lambda: joint.sample(1, u=[[0.5, 1.5, 0.5]]),
            ValueError,
            r"u must lie in \[0, 1\], got 1.5 at index \(0, 1\)",
        ),
        (lambda: joint.sample(1, u=[[0.5, np.nan, 0.5]]), ValueError, r"at index \(0, 1\)"),
        (lambda: joint.inverse_rosenblatt((np.zeros((1, 3)),)), ValueError, "a pair"),
        (lambda: joint.inverse_rosenblatt((np.zeros((1, 3)), np.zeros((2, 3)))), ValueError, "same shape"),
        (lambda: joint.inverse_rosenblatt((np.zeros((1, 3)), 2 + np.zeros((1, 3)))), ValueError, "upper must lie"),
        (lambda: joint.log_prob(np.zeros(3)), ValueError, r"x must have shape \(n, 3\)"),
        (lambda: joint.log_prob("abc"), TypeError, "x must hold real numbers"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_uniforms_of_draws_are_uniform_and_a_planted_error_is_not() -> None:
    n = 200_000
    x = banana().sample(n, rng=11)
    critical = math.sqrt(math.log(2 * 3 / ALPHA) / (2 * n))

    def distance(joint: gf.Chain) -> float:
        u = np.sort(joint.rosenblatt(x), axis=0)
        return float(np.abs(u - (np.arange(n) + 0.5)[:, None] / n).max() + 0.5 / n)

    assert distance(banana()) < critical
    planted = gf.Chain([gf.Normal(1.0, 2.0 * 1.05), *banana()._entries[1:]])
    assert distance(planted) > critical
