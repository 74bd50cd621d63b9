"""Torch in float64 as the truth, and its own float32 error as the measure of ours."""

from __future__ import annotations

import copy

import numpy as np
import torch

from comparison import EPS, assert_within

torch.set_num_threads(1)  # the arrays are small: threads that wait for each other cost more than they bring

# A float32 computation in another order may err differently, but not by more than this factor and a few roundings.
FACTOR, FLOOR = 8, 32 * EPS


def flatten(result):
    """The arrays of a nested result, in order; None is left out."""
    if result is None:
        return []
    if isinstance(result, (tuple, list)):
        return [array for item in result for array in flatten(item)]
    return [result.detach().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)]


def as_double(value):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, (tuple, list)):
        return type(value)(as_double(item) for item in value)
    return value


def assert_as_torch(actual, function, *args, where=None, **kwargs):
    """`actual` is what the torch function gives in float64, as closely as torch itself gives it in float32.

    `where`, if given, maps the index of an array in the result to the elements that count.
    """
    with torch.no_grad():
        single = flatten(function(*args, **kwargs))
        twin = copy.deepcopy(function).double() if isinstance(function, torch.nn.Module) else function
        double = flatten(twin(*as_double(args), **{name: as_double(value) for name, value in kwargs.items()}))
    given = flatten(actual)
    assert len(given) == len(double)
    for i, (ours, rough, truth) in enumerate(zip(given, single, double, strict=True)):
        assert ours.dtype == np.float32
        assert ours.shape == truth.shape
        if where is not None and i in where:
            ours, rough, truth = ours[where[i]], rough[where[i]], truth[where[i]]
        finite = np.isfinite(truth)
        scale = np.abs(truth[finite]).max(initial=1)
        error = np.abs(rough[finite] - truth[finite]).max(initial=0)
        assert_within(ours, truth, FACTOR * error + FLOOR * scale)


def randn(seed, *shapes, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) * scale for shape in shapes]
