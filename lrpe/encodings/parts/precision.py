"""The arithmetic of positions needs float32 at least, whatever dtype the rest of a model has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which an input of ``dtype`` is encoded: float64 for float64, float32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


class PreciseModule(nn.Module):
    """A module whose precision survives ``.half()``, ``.bfloat16()`` and ``.float()`` of the model around it.

    An angle that is rounded to bfloat16 is wrong by a full turn after some 800 positions, so a parameter never falls
    below float32. A floating buffer is a constant of the definition and keeps the dtype it was made with. Devices
    change as for every module.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        constants = {id(buffer) for buffer in self.buffers()}

        def precise(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            if not tensor.is_floating_point() or result.dtype == tensor.dtype:
                return result
            if id(tensor) in constants or torch.finfo(result.dtype).bits < 32:
                return tensor.to(result.device)
            return result

        return super()._apply(precise, recurse)
