"""gf.interpolate: straight and along the great circle."""

import numpy as np
import pytest
from outputs_for_tests import load
from test_format_output import decoder, without_head

import genfast as gf


def same() -> gf.Model:
    """Its output is its input."""
    file = without_head()
    file.graph["output"] = {"value": 0, "shape": [3]}
    return load(file.bytes())


def test_the_straight_line():
    model = load(decoder().bytes())
    _, (a, b) = model.sample(2, rng=0, return_latent=True)
    out = gf.interpolate(model, a, b, 5)
    assert out.shape == (5, 2, 1, 2) and out.dtype == np.float32
    assert (out[[0, 4]] == model.apply([a, b])).all()
    np.testing.assert_allclose(out[2], model.apply([(a + b) / 2])[0], rtol=1e-5, atol=1e-6)


def test_the_great_circle():
    a, b = np.array([1.0, 0, 0]), np.array([0, 0, 3.0])
    out = gf.interpolate(same(), a, b, 3, spherical=True)
    half = 2 / np.sqrt(2)
    np.testing.assert_allclose(out, [a, [half, 0, half], b], atol=1e-6)
    near = gf.interpolate(same(), a, 2 * a, 3, spherical=True)
    np.testing.assert_allclose(near, [a, 1.5 * a, 2 * a], rtol=1e-6)
    arc = gf.interpolate(same(), [1, 0, 0], [np.cos(3), np.sin(3), 0], 31, spherical=True)
    np.testing.assert_allclose(np.arctan2(arc[:, 1], arc[:, 0]), np.linspace(0, 3, 31), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(arc, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"a": [0, 0]}, r"a must have shape \(3,\)"),
        ({"b": [0, np.nan, 0]}, "finite"),
        ({"n": 1}, "at least 2"),
        ({"a": [0, 0, 0], "spherical": True}, "direction"),
        ({"b": [-2, 0, 0], "spherical": True}, "opposite"),
        ({"model": gf.load("digits")}, "decoders"),
    ],
)
def test_refusals(change, match):
    fine = {"model": same(), "a": [1, 0, 0], "b": [0, 1, 0], "n": 4}
    with pytest.raises(ValueError, match=match):
        gf.interpolate(**fine | change)


def test_models_and_latents_that_cannot_be_interpolated() -> None:
    with pytest.raises(TypeError, match=r"model must be a genfast\.Model, got str"):
        gf.interpolate("digits-gan", np.zeros(16), np.ones(16), 3)
