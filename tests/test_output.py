"""Models with an output: the engine against genfast/reference.py, and what their methods refuse."""

import pickle

import numpy as np
import pytest
from outputs_for_tests import bits, check_against_reference, feed_forward, load
from test_format_output import decoder, without_head

import genfast as gf
from genfast import _core, reference
from genfast.errors import NumericalError


@pytest.mark.parametrize("given", [False, True])
def test_random_graphs(given):
    for seed in range(60):
        check_against_reference(feed_forward(seed, given), seed, given)


def test_a_seed_gives_the_same_rows_in_any_batch():
    model = load(decoder().bytes())
    whole, latent = model.sample(64, rng=3, return_latent=True)
    assert (model.sample(64, rng=3) == whole).all()
    assert (model.sample(7, rng=3, first_row=20) == whole[20:27]).all()
    assert (model.sample(1, rng=3, first_row=63) == whole[63:]).all()
    u = reference.uniforms(3, np.arange(64), 3)
    assert (model.sample(64, u=u) == whole).all()
    assert (bits(model.apply(latent)) == bits(whole)).all()
    np.testing.assert_allclose(latent, reference.draw_sites(reference.read(decoder().bytes()), u), rtol=1e-6)


def test_generators_are_read_in_order():
    model = load(decoder().bytes())
    rows = 1500
    u = np.random.default_rng(4).random((rows, 3))
    whole, latent = model.sample(rows, rng=np.random.default_rng(4), return_latent=True)
    want, drawn = model.sample(rows, u=u, return_latent=True)
    assert (whole == want).all() and (latent == drawn).all()


def test_scores_and_uniforms_are_those_of_the_latent():
    model = load(decoder().bytes())
    _, z = model.sample(5, rng=1, return_latent=True)
    np.testing.assert_allclose(model.log_prob(z), gf.Normal(0, 1).log_prob(z).sum(1), rtol=1e-6)
    lower, upper = model.rosenblatt(z)
    assert (lower == upper).all()
    np.testing.assert_allclose(model.inverse_rosenblatt(lower), z, rtol=1e-5, atol=1e-6)
    assert model.logits(z).shape == (5, 2, 3)


def test_no_rows():
    model = load(decoder().bytes())
    out, latent = model.sample(0, rng=1, return_latent=True)
    assert out.shape == (0, 2, 1, 2) and latent.shape == (0, 3)
    assert model.sample(0, rng=np.random.default_rng(0)).shape == (0, 2, 1, 2)
    assert model.apply(np.zeros((0, 3))).shape == (0, 2, 1, 2)


def test_a_levels_head_may_have_an_output(tmp_path):
    file = decoder()
    file.graph["head"] = {"kind": "bernoulli", "value": 1, "table": 0, "channel": 0, "probs": False, "values": 2}
    file.weights.append([-1.0, 1.0])
    model = load(file.bytes())
    out, levels = model.sample(6, rng=0, return_latent=True)
    assert levels.dtype == np.uint8 and set(levels.ravel()) == {0, 1}
    np.testing.assert_allclose(out, reference.apply(reference.read(file.bytes()), levels), rtol=1e-6)
    assert (model.apply(levels) == out).all()
    with pytest.raises(ValueError, match="guidance"):
        model.sample(2, rng=0, guidance=2.0, unconditional={})


def test_plans_without_the_output_cost_no_network():
    data = decoder().bytes()
    assert _core.plan_summary(data)["multiply_adds"] == 0
    whole = _core.plan_summary(data, output=True)
    assert whole["multiply_adds"] == whole["forward_multiply_adds"] == 12
    assert [len(sites) for _, sites in whole["steps"]] == [3, 0]
    given = _core.plan_summary(data, known=[1, 1, 1], output=True)
    assert len(given["steps"]) == 1 and given["multiply_adds"] == 12


def test_a_graph_without_output_has_no_plan_for_one():
    file = decoder()
    del file.graph["output"]
    with pytest.raises(ValueError, match="no output"):
        _core.plan_summary(file.bytes(), output=True)


def test_it_says_what_it_is(tmp_path):
    model = load(decoder().bytes())
    assert model.output_shape == (2, 1, 2) and model.input_shape == (3,) and model.uniforms == model.sites == 3
    assert not model.is_tokens and "(2, 1, 2)" in repr(model)
    text = model.explain()
    assert "output       [2, 1, 2]" in text and "3 sites of Normal" in text and "then         1 for the output" in text
    again = pickle.loads(pickle.dumps(model))
    model.save(tmp_path / "m.genfast")
    for other in (again, gf.load(tmp_path / "m.genfast")):
        assert (other.sample(2, rng=5) == model.sample(2, rng=5)).all()
    text = load(without_head().bytes()).explain()
    assert "numbers that are given" in text and "every site given" in text


def test_progress_counts_samples():
    model, seen = load(decoder().bytes()), []
    model.sample(9, rng=0, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (9, 9) and all(0 <= done <= total == 9 for done, total in seen)


def test_methods_that_need_a_distribution():
    model = load(without_head().bytes())
    x = np.zeros((2, 3))
    calls = {
        "sample": lambda: model.sample(2),
        "complete": lambda: model.complete(x, known=np.ones(3, bool)),
        "log_prob": lambda: model.log_prob(x),
        "bits_per_dim": lambda: model.bits_per_dim(x),
        "rosenblatt": lambda: model.rosenblatt(x),
        "inverse_rosenblatt": lambda: model.inverse_rosenblatt(np.zeros((2, 3))),
        "logits": lambda: model.logits(x),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=r"apply\(x\)") as caught:
            call()
        assert (name if name != "bits_per_dim" else "log_prob") in str(caught.value)
    for call in (model._core.sample, model._core.generate):
        with pytest.raises(ValueError, match=r"apply\(x\)"):
            call(2, _core.Arguments())


def test_methods_that_an_output_excludes():
    model = load(decoder().bytes())
    with pytest.raises(ValueError, match="latent"):
        model.complete(np.zeros((2, 3)), known=np.ones(3, bool))
    for name, value in (("prompt", [1]), ("max_tokens", 3), ("stop", 0)):
        with pytest.raises(ValueError, match=f"^{name} is for models of token sequences"):
            model.sample(2, rng=0, **{name: value})
    with pytest.raises(ValueError, match="stream is for"):
        model.stream(2)
    with pytest.raises(ValueError, match="guidance"):
        model._core.generate(2, _core.Arguments(guidance=2.0))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        model.sample(2, u=np.zeros((2, 4)))
    with pytest.raises(ValueError, match="x must have shape"):
        model.apply(np.zeros((2, 4)))


def test_apply_and_return_latent_need_an_output():
    model = gf.load("digits")
    with pytest.raises(ValueError, match="apply is for models with an output"):
        model.apply(np.zeros((1, *model.input_shape), int))
    with pytest.raises(ValueError, match="return_latent"):
        model.sample(1, return_latent=True)
    assert model.output_shape is None and model.uniforms == model.sites


def test_an_output_that_is_not_finite_is_named():
    file = decoder()
    file.weights[1] = np.float32(3e38) * np.sign(file.weights[1])
    model = load(file.bytes())
    x = np.zeros((3, 3), np.float32)
    x[2] = 3e38
    with pytest.raises(NumericalError, match=r"row 2, element \d of the output is not finite"):
        model.apply(x)


@pytest.mark.parametrize("make", [decoder, without_head])
def test_quantized_outputs(make):
    model = load(make().bytes())
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    made = model.quantize("int8", check=x)
    record = made.meta["quantized"]
    change = np.sqrt(np.mean(np.square(made.apply(x).astype(np.float64) - model.apply(x))))
    assert record == {"dtype": "int8", "output_rms": pytest.approx(change), "samples": 40}
    assert 0 < change < 0.05 and "outputs change by" in made.explain()
    with pytest.raises(ValueError, match="x is empty"):
        model.quantize("int8", check=x[:0])
