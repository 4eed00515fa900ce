"""The kernels on a GPU: held to float64, then timed beside their peers (``python -m benchmarks.gpu``)."""

from __future__ import annotations

import os

import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # read where the kernels are first imported
