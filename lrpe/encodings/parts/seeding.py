"""Random draws that belong to an encoding's definition: reproducible from a seed, independent of each other."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int | None, purpose: str) -> int:
    """A 63-bit seed for one purpose of an encoding.

    The seeds of the layers of a model are neighbors, and an encoding may draw for several purposes: hashing keeps
    all these draws independent. None takes the seed from torch's global generator, so that it follows
    ``torch.manual_seed``.
    """
    if seed is None:
        return int(torch.randint(2**63 - 1, (), device="cpu").item())
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed must be an integer or None, got {seed!r}")
    digest = hashlib.sha256(f"{purpose}:{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def seeded_generator(seed: int | None, purpose: str) -> torch.Generator:
    """A CPU generator, so that a seed means the same draw on every device."""
    return torch.Generator().manual_seed(derive_seed(seed, purpose))
