"""Which implementation runs: PyTorch's operators, or what the environment variable LRPE_BACKEND asks for.

- ``definition``: the formulas as they are written down: quadratic attention, and encodings operator by operator with
  the gradients that autograd finds.
- ``torch``: PyTorch's operators in their fastest arrangement; also where it is unset, **on a GPU too**, but for what
  ``native`` does where it can be built.
- ``native``: on a CPU, C code encodes query and key (:mod:`lrpe.ops.native`), and it is an error if the code
  cannot be built.
- ``triton``: the kernels of :mod:`lrpe.ops.triton`; on a CPU only under Triton's interpreter (TRITON_INTERPRET=1).

The kernels are never chosen unasked, because none has run on a GPU yet: they have been held to the definition in the
interpreter and compiled for a Hopper GPU. ``python -m benchmarks.gpu`` checks them there against float64 and times them
beside their peers in one call; once it has passed on a card, ``LRPE_BACKEND=triton`` is the choice for that card.

A case that a kernel does not support runs in PyTorch whatever was asked for, with the same result.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from torch import Tensor

from lrpe.validation import check_choice

BACKENDS = ("definition", "torch", "native", "triton")
VARIABLE = "LRPE_BACKEND"
HAS_TRITON = find_spec("triton") is not None
MAX_KERNEL_DIM = 256  # features of a head that the kernels take, before encoding
KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def forced_backend() -> str | None:
    """The backend that LRPE_BACKEND names, or None.

    Raises:
        ValueError: an unknown one; the message names the nearest.
    """
    value = os.environ.get(VARIABLE, "")
    return check_choice(VARIABLE, value, BACKENDS) if value else None


def runs_definition() -> bool:
    """Whether the formulas as they are written down are asked for."""
    return forced_backend() == "definition"


def runs_op_by_op() -> bool:
    """Whether encodings are plain operators: the definition, and what torch.compile fuses by itself."""
    return torch.compiler.is_compiling() or runs_definition()


def runs_triton(*tensors: Tensor) -> bool:
    """Whether the kernels are wanted for these tensors and can take their device and dtype.

    Raises:
        ValueError: LRPE_BACKEND is unknown.
        RuntimeError: LRPE_BACKEND=triton, but Triton is not installed.
    """
    if forced_backend() != "triton":
        return False
    if not HAS_TRITON:
        raise RuntimeError(f"{VARIABLE}=triton: Triton is not installed (pip install triton), or unset {VARIABLE}")
    first = tensors[0]
    if first.dtype not in KERNEL_DTYPES or any(x.dtype != first.dtype or x.device != first.device for x in tensors):
        return False
    return first.is_cuda or (first.device.type == "cpu" and interprets())


def interprets() -> bool:
    """Whether kernels run in Triton's interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"
