"""gf.Philox as a NumPy bit generator: Random123's words, its documented layout, state, jumps, and all of Generator."""

import copy
import pickle
import threading

import numpy as np
import pytest

import genfast as gf
from genfast import reference

M32 = 0xFFFFFFFF
# Random123 kat_vectors, philox4x32 10: counter, key, answer.
KNOWN = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([M32] * 4, [M32] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def at(counter, key, position=0):
    bits = gf.Philox(0)
    bits.state = {
        "bit_generator": "genfast.Philox",
        "state": {"counter": counter, "key": key},
        "position": position,
    }
    return bits


def words(bits, n):
    """The next n words, through 32-bit draws."""
    return np.random.Generator(bits).integers(0, 2**32, n, np.uint32).tolist()


def stream(seed, n, first=0):
    """The documented words, from the NumPy definition of the block function."""
    blocks = np.arange(first // 4, (first + n + 3) // 4 + 1)
    counter = np.stack([blocks & M32, blocks >> 32, 0 * blocks, 0 * blocks + 2], -1)
    return reference.philox4x32(counter, (seed & M32, seed >> 32)).ravel()[first % 4 :][:n].tolist()


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    assert words(at(counter, key), 4) == answer
    assert at(counter, key).random_raw(2).view(np.uint32).tolist() == answer
    for position in range(4):
        assert words(at(counter, key, position), 4 - position) == answer[position:]


@pytest.mark.parametrize("seed", [0, 1, 0x0123456789ABCDEF, 2**64 - 1])
def test_the_documented_layout(seed):
    w = np.array(stream(seed, 400), np.uint64)
    pairs = w[::2] | w[1::2] << np.uint64(32)
    assert words(gf.Philox(seed), 400) == w.tolist()
    assert (gf.Philox(seed).random_raw(200) == pairs).all()
    assert (np.random.Generator(gf.Philox(seed)).integers(0, 2**64, 200, np.uint64) == pairs).all()
    doubles = np.random.Generator(gf.Philox(seed)).random(200)
    assert (doubles == (pairs >> np.uint64(11)) * 2.0**-53).all()
    # A 32-bit draw takes one word, whatever comes before or after.
    mixed = np.random.Generator(gf.Philox(seed))
    got = [int(mixed.integers(0, 2**32, dtype=np.uint32)), int(mixed.integers(0, 2**64, dtype=np.uint64))]
    assert got == [int(w[0]), int(w[1] | w[2] << np.uint64(32))]


def test_counters_carry():
    for counter, following in [
        ([M32, 0, 0, 2], [0, 1, 0, 2]),
        ([M32, M32, 0, 2], [0, 0, 1, 2]),
        ([M32, M32, M32, 2], [0, 0, 0, 2]),  # the domain never changes
    ]:
        bits = at(counter, [5, 6])
        words(bits, 4)
        assert bits.state["state"]["counter"].tolist() == following
        assert words(bits, 4) == words(at(following, [5, 6]), 4)


def test_no_block_is_shared_with_a_stream():
    raw = set(gf.Philox(3).random_raw(4000).tolist())
    u = gf.Stream(3).uniforms(1, 4000)[0]
    assert not {int(x * 2.0**52) for x in u} & {r >> 12 for r in raw}


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("delta", [0, 1, 2, 3, 1000, 2**33 + 1])
def test_advance(position, delta):
    bits = gf.Philox(9)
    words(bits, position)
    assert bits.advance(delta) is bits
    assert words(bits, 9) == stream(9, 9, position + 2 * delta)
    back = gf.Philox(9)
    words(back, position)
    back.advance(delta).advance(-delta)
    assert words(back, 9) == stream(9, 9, position)


def test_advance_is_what_draws_do():
    a, b = gf.Philox(1), gf.Philox(1)
    a.random_raw(123)
    assert (a.random_raw(5) == b.advance(123).random_raw(5)).all()
    assert (b.advance(2**97).random_raw(5) == a.random_raw(5)).all()  # once round
    assert (b.advance(-(2**97) - 5).random_raw(5) == a.advance(-5).random_raw(5)).all()


def test_jumped():
    bits = gf.Philox(4)
    words(bits, 6)
    start = bits.state
    twin = bits.jumped()
    assert type(twin) is gf.Philox and (bits.state["state"]["counter"] == start["state"]["counter"]).all()
    assert twin.state["state"]["counter"].tolist() == [1, 0, 1, 2] and twin.state["position"] == 2
    assert words(twin, 6) == words(at([1, 0, 1, 2], [4, 0], 2), 6)
    assert words(bits.jumped(3), 6) == words(bits.jumped().jumped(2), 6)
    assert words(bits.jumped(-1).jumped(), 6) == words(bits.jumped(0), 6)
    assert (gf.Philox(4).jumped().random_raw(9) == gf.Philox(4).advance(2**65).random_raw(9)).all()


def test_spawn_and_seed_sequences():
    root = np.random.SeedSequence(12345)
    key = int(np.random.SeedSequence(12345).generate_state(1, np.uint64)[0])
    assert (gf.Philox(root).random_raw(4) == gf.Philox(key).random_raw(4)).all()
    for make in (lambda: gf.Philox(7), lambda: np.random.Generator(gf.Philox(7))):
        children, again = make().spawn(3), make().spawn(3)
        first = [np.random.Generator(getattr(c, "bit_generator", c)).random() for c in children]
        assert first == [np.random.Generator(getattr(c, "bit_generator", c)).random() for c in again]
        assert len(set(first)) == 3 and type(getattr(children[0], "bit_generator", children[0])) is gf.Philox
    assert (gf.Philox().random_raw(2) != gf.Philox().random_raw(2)).any()


def test_state_pickle_and_copy():
    for drawn in range(7):
        bits = gf.Philox(2**63 + 11)
        words(bits, drawn)
        state = bits.state
        expected = stream(2**63 + 11, 20, drawn)
        for twin in (
            pickle.loads(pickle.dumps(bits)),
            copy.deepcopy(bits),
            pickle.loads(pickle.dumps(np.random.Generator(bits))).bit_generator,
        ):
            assert type(twin) is gf.Philox and words(twin, 20) == expected
            assert twin.seed_seq.entropy == bits.seed_seq.entropy
        other = gf.Philox(0)
        other.state = state
        assert words(other, 20) == expected == words(bits, 20)


GOOD = {"bit_generator": "genfast.Philox", "state": {"counter": [0] * 4, "key": [0] * 2}, "position": 0}


@pytest.mark.parametrize(
    ("state", "error", "match"),
    [
        (None, TypeError, "dict"),
        (np.random.Philox(0).state, ValueError, "genfast.Philox"),
        ({**GOOD, "position": 4}, ValueError, "position"),
        ({**GOOD, "position": 0.5}, TypeError, "position"),
        ({**GOOD, "state": {"counter": [0] * 3, "key": [0] * 2}}, ValueError, "four words"),
        ({**GOOD, "state": {"counter": [0] * 4, "key": [2**32, 0]}}, ValueError, "key word"),
        ({**GOOD, "state": {"counter": [-1] * 4, "key": [0, 0]}}, ValueError, "counter word"),
        ({**GOOD, "state": {"counter": 7, "key": [0, 0]}}, ValueError, "state must have"),
        ({"bit_generator": "genfast.Philox"}, ValueError, "state must have"),
    ],
)
def test_wrong_states_change_nothing(state, error, match):
    bits = gf.Philox(6)
    bits.random_raw(3)
    with pytest.raises(error, match=match):
        bits.state = state
    assert words(bits, 4) == stream(6, 4, 6)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: gf.Philox(-1), ValueError),
        (lambda: gf.Philox(2**64), ValueError),
        (lambda: gf.Philox(1.5), TypeError),
        (lambda: gf.Philox("a"), TypeError),
        (lambda: gf.Philox(True), TypeError),
        (lambda: gf.Philox([1, 2]), TypeError),
        (lambda: gf.Philox(0).advance(1.5), TypeError),
        (lambda: gf.Philox(0).advance("a"), TypeError),
        (lambda: gf.Philox(0).jumped(0.5), TypeError),
    ],
)
def test_wrong_arguments(call, error):
    with pytest.raises(error):
        call()


CALLS = {
    "beta": (2.0, 3.0),
    "binomial": (10, 0.3),
    "bytes": (),
    "chisquare": (3.0,),
    "choice": (100,),
    "dirichlet": ([1.0, 2.0],),
    "exponential": (),
    "f": (3, 4),
    "gamma": (2.0,),
    "geometric": (0.2,),
    "gumbel": (),
    "hypergeometric": (10, 20, 5),
    "integers": (1000,),
    "laplace": (),
    "logistic": (),
    "lognormal": (),
    "logseries": (0.5,),
    "multinomial": (10, [0.2, 0.8]),
    "multivariate_hypergeometric": ([5, 6, 7], 4),
    "multivariate_normal": ([0.0, 1.0], [[1.0, 0.5], [0.5, 1.0]]),
    "negative_binomial": (3, 0.4),
    "noncentral_chisquare": (3, 1.0),
    "noncentral_f": (3, 4, 1.0),
    "normal": (),
    "pareto": (2.0,),
    "permutation": (100,),
    "permuted": (np.arange(100),),
    "poisson": (4.0,),
    "power": (2.0,),
    "random": (),
    "rayleigh": (),
    "shuffle": (np.arange(100),),
    "standard_cauchy": (),
    "standard_exponential": (),
    "standard_gamma": (2.0,),
    "standard_normal": (),
    "standard_t": (3.0,),
    "triangular": (0.0, 1.0, 2.0),
    "uniform": (),
    "vonmises": (0.0, 1.0),
    "wald": (1.0, 1.0),
    "weibull": (2.0,),
    "zipf": (2.0,),
}


def test_every_method_of_generator_is_called_here():
    public = {name for name in dir(np.random.Generator) if not name.startswith("_")}
    assert public - set(CALLS) == {"bit_generator", "spawn"}


@pytest.mark.parametrize("name", CALLS)
def test_every_method_of_generator(name):
    def call():
        generator = np.random.Generator(gf.Philox(31))
        args = copy.deepcopy(CALLS[name])
        size = {"bytes": (100,), "permutation": (), "permuted": (), "shuffle": ()}.get(name)
        result = (
            getattr(generator, name)(*args, *size) if size is not None else getattr(generator, name)(*args, size=50)
        )
        return args[0] if name == "shuffle" else result

    first = call()
    assert np.array_equal(first, call())
    if name not in ("bytes", "permutation", "permuted", "shuffle"):
        assert len(first) == 50 and len(np.unique(first, axis=0)) > 1
        assert np.isfinite(first).all()
    elif name != "bytes":
        assert sorted(first) == list(range(100)) != list(first)


def test_floats_and_moments():
    generator = np.random.Generator(gf.Philox(77))
    # False alarm rate below 1e-9 each: 6.5 standard deviations.
    for x, mean, var in [
        (generator.random(1_000_000), 1 / 2, 1 / 12),
        (generator.random(1_000_000, dtype=np.float32).astype(np.float64), 1 / 2, 1 / 12),
        (generator.standard_normal(1_000_000), 0, 1),
        (generator.standard_normal(1_000_000, dtype=np.float32).astype(np.float64), 0, 1),
        (generator.exponential(size=1_000_000), 1, 1),
    ]:
        assert abs(x.mean() - mean) < 6.5 * (var / x.size) ** 0.5


def test_threads_share_it_under_its_lock():
    shared, parts = np.random.Generator(gf.Philox(5)), []

    def draw():
        for _ in range(20):
            parts.append(shared.random(5000))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        state = shared.bit_generator.state  # never torn: between two whole draws
        counter = state["state"]["counter"]
        assert state["position"] % 4 == 0 and (int(counter[0]) * 4) % 10_000 == 0
    for thread in threads:
        thread.join()
    whole = np.random.Generator(gf.Philox(5)).random(80 * 5000).reshape(80, 5000)
    assert {part.tobytes() for part in parts} == {row.tobytes() for row in whole}


def test_other_c_interfaces():
    bits = gf.Philox(0)
    assert bits.ctypes.next_uint64(bits.ctypes.state) == gf.Philox(0).random_raw()
    assert 0 <= bits.ctypes.next_double(bits.ctypes.state) < 1


def test_legacy_random_state_takes_it():
    a, b = np.random.RandomState(gf.Philox(3)), np.random.RandomState(gf.Philox(3))
    assert (a.standard_normal(10) == b.standard_normal(10)).all()
