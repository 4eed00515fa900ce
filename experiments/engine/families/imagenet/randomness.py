"""Random draws that belong to a sample: the same in any process, on any device, in any order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def drawn_from(*key: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch (on the CPU) from ``key`` and put them back afterwards.

    timm's and torchvision's transforms use all three.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    first, second, third = (int(word) for word in np.random.SeedSequence(key).generate_state(3))
    random.seed(first)
    np.random.seed(second)
    torch.default_generator.manual_seed(third)  # torch.manual_seed would seed GPUs too
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
