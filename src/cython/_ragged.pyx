# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""Nested Python lists of token ids to flat arrays and back, and batches by a budget of tokens."""

from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport int32_t, int64_t

import operator

import numpy as np


def flatten(sequences, int64_t vocab_size, str name):
    """Ids of all sequences end to end, and where each begins.

    Returns
    -------
    ids : int32 array of shape (N,)
    offsets : int64 array of shape (B + 1,)

    Raises
    ------
    TypeError
        For an item that is no sequence, or an id that is no whole number.
    ValueError
        For an id outside [0, vocab_size), naming its sequence and position.
    """
    sequences = list(sequences)
    cdef int64_t count = len(sequences), total = 0, b, i, n
    cdef int overflow
    cdef long long value
    offsets_array = np.zeros(count + 1, np.int64)
    cdef int64_t[::1] offsets = offsets_array
    rows = []
    for b in range(count):
        row = sequences[b]
        if isinstance(row, (str, bytes)) or not hasattr(row, "__len__"):
            raise TypeError(f"{name}[{b}] is {type(row).__name__}; expected a sequence of token ids")
        row = row.tolist() if hasattr(row, "tolist") else list(row)
        rows.append(row)
        total += len(row)
        offsets[b + 1] = total
    ids_array = np.empty(total, np.int32)
    cdef int32_t[::1] ids = ids_array
    n = 0
    for b in range(count):
        row = <list?> rows[b]
        for i in range(len(row)):
            item = row[i]
            if isinstance(item, bool) or not hasattr(item, "__index__"):
                raise TypeError(f"{name}[{b}][{i}] is {item!r}; expected a token id (a whole number)")
            value = PyLong_AsLongLongAndOverflow(operator.index(item), &overflow)
            if overflow != 0 or value < 0 or value >= vocab_size:
                raise ValueError(f"{name}[{b}][{i}] is {item}; expected a token id in [0, {vocab_size})")
            ids[n] = <int32_t> value
            n += 1
    return ids_array, offsets_array


def unflatten(ids, offsets):
    """The sequences of a flat array as lists of Python ints."""
    flat = np.asarray(ids).tolist()
    bounds = np.asarray(offsets).tolist()
    return [flat[bounds[b]:bounds[b + 1]] for b in range(len(bounds) - 1)]


def token_batches(lengths, int64_t max_tokens):
    """Indices of sequences in batches of similar length, each of at most `max_tokens` tokens.

    A batch counts as its size times its longest sequence; a longer sequence than the budget is a batch of
    its own. Longest first.
    """
    cdef int64_t[::1] size = np.ascontiguousarray(lengths, np.int64)
    cdef int64_t[::1] order = np.argsort(-np.asarray(size), kind="stable").astype(np.int64, copy=False)
    cdef int64_t i, index, longest = 0
    batches = []
    batch = []
    for i in range(order.shape[0]):
        index = order[i]
        if batch and (len(batch) + 1) * max(longest, 1) > max_tokens:
            batches.append(batch)
            batch = []
        if not batch:
            longest = size[index]
        batch.append(index)
    if batch:
        batches.append(batch)
    return batches
