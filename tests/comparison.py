"""How far apart two computations of the same thing may be.

A float32 sum of k products that is computed as a chain of fused multiply-adds is off by at most k u sum |a||b| with
u = EPS / 2 (Higham, "Accuracy and stability of numerical algorithms", section 3.1); BLAS and tree sums stay below it,
too. The bounds here take EPS for u, which leaves a factor of two for terms of second order.
"""

from __future__ import annotations

import numpy as np

EPS = float(np.finfo(np.float32).eps)
# Elementary functions: the kernels promise at most 3 ulp = 3 EPS |f(x)|; erf 2e-7 absolute.
FUNCTION = 4 * EPS
# Results below this are flushed to zero by exp and sigmoid.
TINY = 2e-38


def assert_within(actual, expected, tolerance) -> None:
    """Every element of `actual` is within its `tolerance` of `expected`; NaN only where both have it."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.array_equal(np.isnan(actual), np.isnan(expected))
    infinite = np.isinf(expected)
    assert np.array_equal(actual[infinite], expected[infinite])
    finite = np.isfinite(expected)
    error = np.abs(actual[finite].astype(np.float64) - expected[finite])
    allowed = np.broadcast_to(tolerance, expected.shape)[finite]
    worst = np.argmax(error - allowed) if error.size else 0
    assert (error <= allowed).all(), f"error {error[worst]:.3g}, allowed {allowed[worst]:.3g}"


def product_bound(x, weight, *biases):
    """Error bound of x @ weight.T + biases: (k + 2) EPS times the sum of the magnitudes; shape of the product."""
    magnitude = np.abs(x).astype(np.float64) @ np.abs(weight).astype(np.float64).T
    for bias in biases:
        if bias is not None:
            magnitude = magnitude + np.abs(bias)
    return (weight.shape[1] + 2) * EPS * magnitude


def gates_bound(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """Error bound of W_ih x + b_ih + W_hh h + b_hh as one chain: (I + H + 3) EPS times the sum of magnitudes."""
    both = np.concatenate([x, h], axis=1), np.concatenate([weight_ih, weight_hh], axis=1)
    return product_bound(*both, bias_ih, bias_hh) + EPS * (np.abs(both[0]) @ np.abs(both[1]).T)
