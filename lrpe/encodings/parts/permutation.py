"""Type 3, permutation: the features are permuted by the s-th power of one permutation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lrpe.encodings.base import Plan
from lrpe.encodings.parts.angles import AXES
from lrpe.encodings.parts.core import Core
from lrpe.ops.registry import requested_backend
from lrpe.validation import check_choice


class Permutation(Core):
    """y_j = x_{pi^s(j)} (LRPE paper, type 3), for any integer s.

    Powers come from the cycles of pi: within a cycle of length L, pi^s moves s mod L places on. So there is no table
    of powers and no largest position.

    Powers for several axes have to commute. With ``axes`` own or split (the same thing here), the features are cut
    into one block an axis, and pi permutes within the blocks: block a moves with axis a. Two powers of one permutation
    would commute as well, but then only a weighted sum of the coordinates is seen; ``axes="shared"`` is that, with
    equal weights, as published.

    Args:
        num_heads: permutations drawn (1: shared by all heads).
        generator: the draw is uniform over the permutations (of each block); the result is in the checkpoint.
    """

    permutation: Tensor
    cycles: Tensor

    axis_of: Tensor
    permutation: Tensor
    cycles: Tensor

    def __init__(self, head_dim: int, num_heads: int, *, ndim: int, axes: str, generator: torch.Generator) -> None:
        super().__init__()
        check_choice("axes", axes, AXES)
        self.num_blocks = 1 if axes == "shared" else ndim
        if head_dim < 2 * self.num_blocks:
            raise ValueError(
                f"a permutation with {self.num_blocks} block(s) needs head_dim >= {2 * self.num_blocks}, got {head_dim}"
            )
        self.output_dim = head_dim
        with torch.device("cpu"):  # the generator's, also while a model is built on the meta device to be counted
            blocks = torch.arange(head_dim).tensor_split(self.num_blocks)
            draws = [
                torch.cat([block[torch.randperm(len(block), generator=generator)] for block in blocks])
                for _ in range(num_heads)
            ]
            axis_of = torch.cat([torch.full_like(block, axis) for axis, block in enumerate(blocks)])
        self.register_buffer("axis_of", axis_of, persistent=False)
        self.register_buffer("permutation", torch.stack(draws))
        self.register_buffer("cycles", decompose(self.permutation), persistent=False)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.cycles = decompose(self.permutation)

    @property
    def order(self) -> int:
        """The smallest n > 0 with pi^n = 1 for all heads: positions n apart are encoded alike."""
        return math.lcm(*self.cycles[2].flatten().tolist())

    def plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        shift = positions.sum(-1, keepdim=True) if self.num_blocks == 1 else positions[..., self.axis_of]
        order, start, length, rank = self.cycles[:, None, :, None]
        shift = shift[:, None]
        order = order.expand(shift.shape[0], -1, shift.shape[2], -1)
        forward = order.gather(-1, start + (rank + shift) % length)
        if requested_backend() == "definition":
            return (forward,)
        backward = order.gather(-1, start + (rank - shift) % length)
        return forward, backward

    def forward(self, x: Tensor, plan: Plan, *, in_place: bool) -> Tensor:
        index, *rest = plan
        if not rest:  # the definition: autograd finds the gradient
            return x.gather(-1, index.expand(x.shape))
        (inverse,) = rest
        return PermuteFeatures.apply(x, index, inverse)

    def matrix(self, position: tuple[int, ...]) -> Tensor:
        powers = position if self.num_blocks > 1 else (sum(position),)
        identity = torch.eye(self.output_dim, dtype=torch.float64)
        permutation, axis_of = self.permutation.cpu(), self.axis_of.cpu()
        matrix = identity.repeat(len(permutation), 1, 1)
        for axis, power in enumerate(powers):
            inside = torch.where(axis_of == axis, permutation, torch.arange(self.output_dim))
            one_step = identity[inside]
            if power < 0:
                one_step = one_step.mT
            matrix = torch.linalg.matrix_power(one_step, abs(power)) @ matrix
        return matrix


def decompose(permutation: Tensor) -> Tensor:
    """The cycles of permutations Int[heads d], as Int[4 heads d] (order, start, length, rank).

    ``order`` lists the elements cycle by cycle. Element j is at order[start_j + rank_j], in a cycle of length_j, and
    pi^s(j) = order[start_j + (rank_j + s) mod length_j].
    """
    with torch.device("cpu"):
        return _decompose(permutation).to(permutation.device)


def _decompose(permutation: Tensor) -> Tensor:
    result = torch.zeros(4, *permutation.shape, dtype=torch.int64)
    for head, images in enumerate(permutation.tolist()):
        order: list[int] = []
        seen = [False] * len(images)
        for first in range(len(images)):
            cycle: list[int] = []
            element = first
            while not seen[element]:
                seen[element] = True
                cycle.append(element)
                element = images[element]
            for rank, element in enumerate(cycle):
                result[1:, head, element] = torch.tensor([len(order), len(cycle), rank])
            order += cycle
        result[0, head] = torch.tensor(order)
    return result


class PermuteFeatures(torch.autograd.Function):
    """A gather whose backward is the gather of the inverse permutation instead of a scatter."""

    @staticmethod
    def forward(ctx, x: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return x.gather(-1, index.expand(x.shape))

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return grad_output.gather(-1, inverse.expand(grad_output.shape)), None, None
