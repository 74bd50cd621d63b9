"""Memory does not grow with the sentences that have passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import needs_native
from tiny_models import random_model, recurrent_config, transformer_config

STATUS = Path("/proc/self/status")
pytestmark = [needs_native, pytest.mark.skipif(not STATUS.is_file(), reason="the system has no /proc/self/status")]
MODELS = {"recurrent": recurrent_config(), "transformer": transformer_config()}


def resident() -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))


def pass_through(model: Any, count: int, seed: int) -> None:
    """Sentences of changing lengths, in batches of changing sizes, to targets of changing lengths."""
    generator = np.random.default_rng(seed)
    while count > 0:
        lengths = generator.integers(0, 40, generator.integers(1, 50))
        ids = [generator.integers(1, 11, length).tolist() for length in lengths]
        options = {"num_beams": int(generator.integers(1, 5)), "max_length": int(generator.integers(2, 30))}
        model.generate(ids, **options)
        model.score(ids[:5], [[3, 4]] * len(ids[:5]))
        count -= len(ids)


@pytest.mark.parametrize("name", MODELS)
def test_memory_is_steady(name: str) -> None:
    model = random_model(MODELS[name], "native")
    pass_through(model, 1500, seed=0)  # threads have their memory, the allocator its spare room
    before = resident()
    pass_through(model, 3000, seed=1)
    # A kilobyte kept of each sentence would be 3 MB; the same work again needs what is there. What the allocator leaves
    # between arrays of other sizes is a few hundred KB.
    assert resident() - before < 3_000_000
