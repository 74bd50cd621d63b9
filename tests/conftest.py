"""Fixtures of all tests. The file also puts this folder on the import path, for modules that they share."""

from __future__ import annotations

import importlib.util
import signal
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import settings

from fastseq import _backend

# The same examples in every run, and no time limit: the machines that run this are shared.
settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("deterministic")

# Shells start background jobs with interrupts ignored, which the processes that tests interrupt would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The doctest run imports every module, also those that only tests with torch use.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["parity/torch_*.py"]

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # each test that is skipped says so
    needs_native = pytest.mark.skipif(not _backend.has_native(), reason="the extension does not load")


@pytest.fixture(params=[pytest.param("native", marks=needs_native), "numpy"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each backend in turn computes the test."""
    with _backend.use_backend(request.param):
        yield request.param
