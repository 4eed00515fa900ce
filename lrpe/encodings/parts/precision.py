"""The arithmetic of positions needs float32 at least, whatever dtype the rest of a model has."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

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


def drawn_in_float32(init: Callable[..., None]) -> Callable[..., None]:
    """A constructor that makes the same module under every default dtype: built in float32, then cast to the default.

    Libraries that load a model in bfloat16 build it under that default dtype, where torch draws other numbers. So a
    module built there equals ``module.to(torch.bfloat16)`` of the one that float32 gives, and a
    :class:`PreciseModule` in it stays precise.
    """

    @wraps(init)
    def build(self: nn.Module, *arguments: Any, **options: Any) -> None:
        wanted = torch.get_default_dtype()
        if wanted == torch.float32:
            init(self, *arguments, **options)
            return
        torch.set_default_dtype(torch.float32)
        try:
            init(self, *arguments, **options)
        finally:
            torch.set_default_dtype(wanted)
        self.to(wanted)

    return build
