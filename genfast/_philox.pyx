# cython: language_level=3
# distutils: language = c++
"""Philox, a numpy BitGenerator over the same Philox4x32-10 blocks as genfast's own uniforms."""

import secrets

import numpy as np

from libc.stdint cimport uint32_t, uint64_t
from numpy.random.bit_generator cimport BitGenerator

from genfast.stream import as_index


cdef extern from "numerics/philox.h" namespace "genfast::numerics" nogil:
    struct PhiloxBlock:
        uint32_t word[4]

    PhiloxBlock philox4x32(PhiloxBlock counter, uint32_t key0, uint32_t key1)


cdef struct philox_state:
    PhiloxBlock counter
    PhiloxBlock block  # its words
    uint32_t key[2]
    int position  # of the next word in `block`; 4 when all are taken


# The domain word of this generator's counters; numerics/uniforms.h has 0 and 1.
DOMAIN = 2
NAME = "genfast.Philox"
# Words of one sequence: 2**96 blocks of four.
PERIOD = 1 << 98


cdef inline void increment(PhiloxBlock *counter) noexcept nogil:
    counter.word[0] += 1
    if counter.word[0] == 0:
        counter.word[1] += 1
        if counter.word[1] == 0:
            counter.word[2] += 1


cdef inline uint32_t next_word(philox_state *s) noexcept nogil:
    if s.position == 4:
        increment(&s.counter)
        s.block = philox4x32(s.counter, s.key[0], s.key[1])
        s.position = 0
    s.position += 1
    return s.block.word[s.position - 1]


cdef uint32_t next_uint32(void *state) noexcept nogil:
    return next_word(<philox_state *>state)


cdef uint64_t next_uint64(void *state) noexcept nogil:
    cdef uint64_t low = next_word(<philox_state *>state)
    return low | <uint64_t>next_word(<philox_state *>state) << 32


cdef double next_double(void *state) noexcept nogil:
    return (next_uint64(state) >> 11) * (1.0 / 9007199254740992.0)


cdef class Philox(BitGenerator):
    """A NumPy bit generator: ``numpy.random.Generator(genfast.Philox(seed))`` has every method of NumPy's.

    The stream is the sequence of 32-bit words of Philox4x32-10 (Salmon et al., *Parallel random numbers: as easy as
    1, 2, 3*, SC 2011) under the key (seed low, seed high) and the counters (n low, n high, jump, 2), n = 0, 1, …, each
    block's four words in order. A 32-bit draw takes one word, a 64-bit draw two, the low one first, a double is
    ``(64-bit draw >> 11) * 2**-53``. The last counter word is a domain: `genfast.Stream` uses 0 and 1, so a `Stream` and
    a `Philox` of the same seed share no block. (`numpy.random.Philox` is Philox4x64: another generator.)

    Parameters
    ----------
    seed : int, numpy.random.SeedSequence or None
        An integer in [0, 2**64) is the key itself. A seed sequence, or any object with ``generate_state``, makes one:
        its first 64-bit word. None: a fresh key from the operating system.

    Attributes
    ----------
    state : dict
        ``{"bit_generator": "genfast.Philox", "state": {"counter": uint32 (4,), "key": uint32 (2,)}, "position": 0 … 3}``:
        the counter of the block with the next word, and which of its words that is. May be set.
    lock : threading.RLock
        Held by whoever draws.

    Raises
    ------
    TypeError, ValueError
        If the seed is nothing of the kind or out of range.
    """

    cdef philox_state _state

    def __init__(self, seed=None):
        if seed is None:
            seed = secrets.randbits(64)
        if hasattr(seed, "generate_state"):
            BitGenerator.__init__(self, seed)
            key = int(seed.generate_state(1, np.uint64)[0])
        else:
            key = as_index(seed, "seed", 1 << 64)
            BitGenerator.__init__(self, key)
        self._state.key[0] = key & 0xFFFFFFFF
        self._state.key[1] = key >> 32
        self._go_to([0, 0, 0, DOMAIN], 0)
        self._bitgen.state = &self._state
        self._bitgen.next_uint64 = &next_uint64
        self._bitgen.next_uint32 = &next_uint32
        self._bitgen.next_double = &next_double
        self._bitgen.next_raw = &next_uint64

    @property
    def state(self):
        with self.lock:
            counter, position = self._place()
            key = [self._state.key[0], self._state.key[1]]
        return {
            "bit_generator": NAME,
            "state": {
                "counter": np.array(counter, np.uint32),
                "key": np.array(key, np.uint32),
            },
            "position": position,
        }

    @state.setter
    def state(self, value):
        if not isinstance(value, dict):
            raise TypeError(f"state must be a dict, got {type(value).__name__}")
        if value.get("bit_generator") != NAME:
            raise ValueError(f"state must be that of a {NAME}, got {value.get('bit_generator')!r}")
        try:
            counter, key, position = value["state"]["counter"], value["state"]["key"], value["position"]
            counter, key = list(counter), list(key)
        except (KeyError, TypeError):
            raise ValueError("state must have state.counter, state.key and position") from None
        if len(counter) != 4 or len(key) != 2:
            raise ValueError("state: a counter has four words and a key two")
        counter = [as_index(word, "state: a counter word", 1 << 32) for word in counter]
        key = [as_index(word, "state: a key word", 1 << 32) for word in key]
        position = as_index(position, "state: position", 4)
        with self.lock:
            self._state.key[0], self._state.key[1] = key
            self._go_to(counter, position)

    def _place(self):
        """The counter of the next word's block, and its position in there. The caller holds the lock."""
        cdef PhiloxBlock counter = self._state.counter
        if self._state.position == 4:
            increment(&counter)
        return [counter.word[0], counter.word[1], counter.word[2], counter.word[3]], self._state.position % 4

    def _go_to(self, counter, position):
        """Makes that word the next one. The caller holds the lock."""
        cdef int i
        for i in range(4):
            self._state.counter.word[i] = counter[i]
        self._state.block = philox4x32(self._state.counter, self._state.key[0], self._state.key[1])
        self._state.position = position

    def advance(self, delta):
        """Go on, or with a negative `delta` back, by `delta` 64-bit draws. Returns self.

        The sequence has 2**97 of them and then starts again.
        """
        return self._move(2 * _integer(delta, "delta"))

    def jumped(self, jumps=1):
        """A new generator that is ``jumps * 2**65`` 64-bit draws further on: 2**64 blocks, the next ``jump`` counter.

        Sequences of up to 2**65 draws, each from its own number of jumps in [0, 2**32), share nothing.
        """
        twin = type(self)(self._seed_seq)
        twin.state = self.state
        return twin._move(_integer(jumps, "jumps") << 66)

    def _move(self, words):
        # Not through `state`: in older NumPy the lock cannot be taken twice.
        with self.lock:
            counter, position = self._place()
            at = ((counter[0] | counter[1] << 32 | counter[2] << 64) << 2 | position) + words
            at %= PERIOD
            block = at >> 2
            self._go_to([block & 0xFFFFFFFF, block >> 32 & 0xFFFFFFFF, block >> 64, counter[3]], at & 3)
        return self

    def __reduce__(self):
        # One argument, then the state: the form that NumPy 1.26's Generator takes apart.
        return _unpickle, ((type(self), self._seed_seq),), self.state


def _integer(value, name):
    # Unlike as_index it may be negative.
    return as_index(abs(value), name, 1 << 128) * (1 if value >= 0 else -1)


def _unpickle(made_of):
    cls, seed_seq = made_of
    return cls(seed_seq)
