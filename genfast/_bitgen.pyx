# cython: language_level=3, boundscheck=False, wraparound=False
"""Uniforms from a NumPy generator, read through its C interface."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid
from libc.stdint cimport uint32_t
from numpy.random cimport bitgen_t

ctypedef fused real:
    float
    double


# Numbers between two looks for Ctrl-C: a few milliseconds.
cdef Py_ssize_t CHUNK = 1 << 20


def fill_uniforms(generator, real[::1] out not None):
    """Fill `out` with the next uniforms of a NumPy generator.

    In float64 they are exactly those of `Generator.random(len(out))`, in [0, 1); in float32 (k + 1/2) 2^-23 with k the
    top 23 bits of the next 32-bit word, strictly inside.

    generator: a `numpy.random.Generator` or `BitGenerator`, or an object with the same `capsule` and `lock`; its state
    advances, and its lock is held from the first number to the last, so that no other thread's draws get between them.
    out: writable, C-contiguous, any length.
    Raises TypeError when `generator` is no such thing.
    """
    bits = getattr(generator, "bit_generator", generator)
    capsule = getattr(bits, "capsule", None)
    lock = getattr(bits, "lock", None)
    if lock is None or not PyCapsule_IsValid(capsule, "BitGenerator"):
        raise TypeError(
            f"rng must be a numpy.random.Generator or BitGenerator with a C interface, got {type(generator).__name__}"
        )
    cdef bitgen_t *source = <bitgen_t *>PyCapsule_GetPointer(capsule, "BitGenerator")
    # What a Python subclass of BitGenerator looks like that never filled its table in.
    if source.next_double == NULL or source.next_uint32 == NULL:
        raise TypeError(f"rng: {type(bits).__name__} has no native functions to draw numbers with")
    cdef Py_ssize_t i = 0, end, n = out.shape[0]
    with lock:
        while i < n:
            end = min(n, i + CHUNK)
            with nogil:
                while i < end:
                    if real is double:
                        out[i] = source.next_double(source.state)
                    else:
                        out[i] = (<float>(source.next_uint32(source.state) >> 9) + <float>0.5) * <float>1.1920928955078125e-07
                    i += 1
            if i < n:
                PyErr_CheckSignals()
