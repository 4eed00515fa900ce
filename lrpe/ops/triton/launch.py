"""Launching kernels: counted, and tuned on a GPU for everything but lengths and offsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from lrpe.ops.registry import interprets

LAUNCHES: Counter[str] = Counter()  # by kernel, since the process began
MAX_STATE = 16_384  # float32 elements of a state that a program keeps in registers: 64 KiB of the 256 of an SM
FIXED_CHUNK = 32  # of the interpreter, which tunes nothing


def block_of(parts: int) -> int:
    """The power of two that holds ``parts`` complex features; matrix products need 16."""
    return max(16, triton.next_power_of_2(parts))


class Kernel:
    """A kernel with the configurations among which the first call of each key chooses.

    Args:
        function: the ``triton.jit`` function; ``CHUNK`` is among its parameters.
        chunks, warps: choices of each.
        key: names of what the choice depends on (no length, no offset).
        fits: whether a chunk and a number of warps fit the arguments.
        stages: chunks that loads run ahead.
    """

    def __init__(
        self,
        function: Any,
        *,
        chunks: Sequence[int],
        warps: Sequence[int],
        key: Sequence[str],
        fits: Callable[[int, int, dict[str, Any]], bool] = lambda chunk, warps, arguments: True,
        stages: int = 2,
    ) -> None:
        self.function = function
        self.name = function.__name__
        self.fits = fits
        self.configs = [
            triton.Config({"CHUNK": chunk}, num_warps=warp, num_stages=stages) for chunk in chunks for warp in warps
        ]

        def prune(configs: list[triton.Config], arguments: dict[str, Any], **more: Any) -> list[triton.Config]:
            return self.choices({**arguments, **more})

        self.tuned = triton.autotune(self.configs, key=list(key), prune_configs_by={"early_config_prune": prune})(
            function
        )

    def choices(self, arguments: dict[str, Any]) -> list[triton.Config]:
        """Configurations that fit the arguments; if none does, the one with the fewest elements a thread."""
        fitting = [x for x in self.configs if self.fits(x.kwargs["CHUNK"], x.num_warps, arguments)]
        return fitting or [min(self.configs, key=lambda x: x.kwargs["CHUNK"] / x.num_warps)]

    def __call__(self, grid: Callable[[dict[str, Any]], tuple[int, ...]], **arguments: Any) -> None:
        LAUNCHES[self.name] += 1
        if interprets():
            self.function[grid](**arguments, CHUNK=FIXED_CHUNK)
            return
        with torch.cuda.device(next(x for x in arguments.values() if isinstance(x, Tensor)).device):
            self.tuned[grid](**arguments)


def joinable(x: Tensor, width: int) -> Tensor:
    """An empty (batch, heads, length, width) whose heads lie beside its features: joining them is no copy."""
    batch, heads, length, _ = x.shape
    return x.new_empty(batch, length, heads, width).transpose(1, 2)


def rows_of(x: Tensor) -> Tensor:
    """x itself where its last axis is contiguous, else a copy: what the kernels take without copying."""
    return x if x.stride(-1) == 1 else x.contiguous()


def contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if x is None else x.contiguous() for x in tensors]


def strided(**tensors: Tensor) -> dict[str, Any]:
    """Each tensor under its name, and the strides of its batch, heads and length under ``NAME_strides``."""
    strides = {f"{name}_strides": x.stride()[-4:-1] for name, x in tensors.items()}
    return {**tensors, **strides}
