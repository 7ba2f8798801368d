"""The generator against Random123's published answers, and the layout of uniforms, which is fixed for good."""

import numpy as np
import pytest

from genfast import _core

k = _core.kernels

# Random123 kat_vectors, philox4x32 10: counter, key, answer.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    assert list(k.philox4x32(counter, key)) == answer


def block(seed, row, index, domain):
    words = [row & 0xFFFFFFFF, row >> 32, index & 0xFFFFFFFF, domain | (index >> 32) << 8]
    return k.philox4x32(words, [seed & 0xFFFFFFFF, seed >> 32])


SEEDS_ROWS = [(0, 0), (1, 2), (0xDEADBEEF12345678, 0x1_0000_0001), (2**64 - 1, 2**64 - 1)]


@pytest.mark.parametrize(("seed", "row"), SEEDS_ROWS)
@pytest.mark.parametrize("first", [0, 1, 7, 2**33 - 3, 2**34 + 1])
def test_f64_layout(seed, row, first):
    expected = []
    for site in range(first, first + 9):
        w = block(seed, row, site // 2, 0)
        j = site % 2
        word = w[2 * j + 1] << 32 | w[2 * j]
        expected.append(((word >> 12) + 0.5) * 2.0**-52)
    assert k.uniforms(seed, row, first, 9).tolist() == expected


@pytest.mark.parametrize(("seed", "row"), SEEDS_ROWS)
@pytest.mark.parametrize("first", [0, 1, 2, 3, 2**34 - 2])
def test_f32_layout(seed, row, first):
    expected = []
    for site in range(first, first + 9):
        w = block(seed, row, site // 4, 1)
        expected.append(np.float32(((w[site % 4] >> 9) + 0.5) * 2.0**-23))
    got = k.uniforms_f32(seed, row, first, 9)
    assert got.dtype == np.float32
    assert got.tolist() == [float(x) for x in expected]


@pytest.mark.parametrize("draw", [k.uniforms, k.uniforms_f32])
def test_a_number_depends_on_its_site_alone(draw):
    whole = draw(5, 6, 0, 100)
    for first in range(0, 20):
        for n in (0, 1, 2, 3, 17):
            assert (draw(5, 6, first, n) == whole[first : first + n]).all()
    assert len(set(whole.tolist())) > 95
    assert not (draw(5, 7, 0, 100) == whole).any()
    assert not (draw(6, 6, 0, 100) == whole).any()


def test_past_the_counter_word_the_sites_still_differ():
    assert not (k.uniforms(1, 2, 2**33, 8) == k.uniforms(1, 2, 0, 8)).any()


def test_strictly_inside_and_exactly_representable():
    for x, bits in ((k.uniforms(3, 4, 0, 100_000), 53), (k.uniforms_f32(3, 4, 0, 100_000).astype(np.float64), 24)):
        assert x.min() > 0
        assert x.max() < 1
        assert (x * 2.0**bits % 2 == 1).all()  # (k + 1/2) 2^(1 - bits)


def test_uniformity():
    # False alarm rate 1e-6 each: 1000 bins, 999 degrees of freedom.
    from scipy.stats import chi2

    limit = chi2.isf(1e-6, 999)
    for x in (k.uniforms(11, 0, 0, 1_000_000), k.uniforms_f32(11, 0, 0, 1_000_000)):
        counts = np.bincount((x.astype(np.float64) * 1000).astype(int), minlength=1000)
        assert ((counts - 1000) ** 2 / 1000).sum() < limit
    pairs = (k.uniforms(12, 0, 0, 1_000_000) * 31).astype(int).reshape(-1, 2)
    counts = np.bincount(pairs[:, 0] * 31 + pairs[:, 1], minlength=961)
    mean = 500_000 / 961
    assert ((counts - mean) ** 2 / mean).sum() < chi2.isf(1e-6, 960)


def test_rejects_negative_lengths():
    with pytest.raises(ValueError, match="negative"):
        k.uniforms(0, 0, 0, -1)
