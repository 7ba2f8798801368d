# cython: language_level=3, boundscheck=False, wraparound=False
"""Uniforms from a NumPy generator, read through its C interface."""

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from numpy.random cimport bitgen_t


def fill_uniforms(generator, double[::1] out not None):
    """Fill `out` with the next uniforms of a NumPy generator, exactly those of `Generator.random(len(out))`.

    generator: a `numpy.random.Generator` or `BitGenerator`; its state advances, and its lock is held meanwhile.
    out: writable C-contiguous float64, any length; every value lies in [0, 1).
    Raises TypeError when `generator` is neither.
    """
    bits = getattr(generator, "bit_generator", generator)
    capsule = getattr(bits, "capsule", None)
    lock = getattr(bits, "lock", None)
    if lock is None or not PyCapsule_IsValid(capsule, "BitGenerator"):
        raise TypeError(f"expected a numpy.random.Generator or BitGenerator, got {type(generator).__name__}")
    cdef bitgen_t *source = <bitgen_t *>PyCapsule_GetPointer(capsule, "BitGenerator")
    cdef Py_ssize_t i, n = out.shape[0]
    with lock, nogil:
        for i in range(n):
            out[i] = source.next_double(source.state)
