"""``recipe.precision=tf32``: numbers are stored as float32 and multiplied as matrices with 10 bits of mantissa."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

LOGGER = logging.getLogger(__name__)
AMPERE = (8, 0)  # the compute capability of the first GPUs that have TF32


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """What torch multiplies float32 matrices and convolutions in: TF32 under ``tf32``, float32 under every other.

    torch 1.8.1, the version of the authors' environment, used TF32 for both wherever a GPU had it; torch since 1.12
    uses it for convolutions only. Before and after, products are as the process had them, so that a checkpoint's score
    does not depend on who computes it.
    """
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    if precision == "tf32" and not is_available():
        LOGGER.warning("recipe.precision=tf32: this device has no TF32; it multiplies in float32")
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def is_available() -> bool:
    """Whether the current device multiplies in TF32."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= AMPERE
