"""The blocks in which :mod:`lrpe.ops.chunked` works: chunks that fit in cache together, and the decay inside each."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK_CHUNKS = 32  # a block's queries, say, are 512 KiB at 64 x 64 float32


class Decays:
    """Powers of g that a chunk needs, a row each, from differences of positions; None stands for one everywhere."""

    def __init__(self, log_decay: Tensor | None, batch: int, chunk_size: int) -> None:
        self.inside = self.query = self.key = self.chunk = None
        if log_decay is None:
            return
        rows = log_decay.repeat(batch)
        position = torch.arange(chunk_size, device=rows.device, dtype=rows.dtype)

        def power(exponent: Tensor) -> Tensor:
            return torch.exp(rows[:, None, None, None] * exponent)  # (rows, 1, ., .): the same for all chunks of a row

        distance = position[:, None] - position
        self.inside = power(distance.clamp(min=0)).tril()  # g^(i-j)
        self.query = power(position[:, None] + 1)  # from the chunk's start to i
        self.key = power(chunk_size - 1 - position[:, None])  # from j to the chunk's end
        self.chunk = power(torch.full_like(rows[:1, None], chunk_size))


class Block:
    """Chunks that are worked on together: whole rows, or a part of one row, so contiguous in ``(rows * chunks, ...)``.

    Attributes:
        rows, chunks: of the block, as slices.
        starts_row, ends_row: it has the first, the last chunk of its rows.
    """

    def __init__(self, rows: slice, chunks: slice, total: int, decays: Decays) -> None:
        self.rows, self.chunks, self.total, self.decays = rows, chunks, total, decays
        self.shape = (rows.stop - rows.start, chunks.stop - chunks.start)
        self.starts_row, self.ends_row = chunks.start == 0, chunks.stop == total

    def of(self, x: Tensor) -> Tensor:
        """The block of ``(rows * chunks, ...)``, a view."""
        start = self.rows.start * self.total + self.chunks.start
        return x[start : start + self.shape[0] * self.shape[1]]

    def scaled(self, x: Tensor, factor: Tensor | None) -> Tensor:
        """x times a row's factor, a new tensor; x itself without decay."""
        return x if factor is None else (x.unflatten(0, self.shape) * factor[self.rows]).flatten(0, 1)

    def scale_(self, x: Tensor, factor: Tensor | None) -> Tensor:
        if factor is not None:
            x.unflatten(0, self.shape).mul_(factor[self.rows])
        return x

    def mask_(self, scores: Tensor) -> Tensor:
        """g^(i-j) for j <= i, else 0."""
        return scores.tril_() if self.decays.inside is None else self.scale_(scores, self.decays.inside)

    def accumulate(self, state: Tensor, summary: Tensor, out: Tensor, reverse: bool = False) -> Tensor:
        """The states before each chunk into ``out``, and the state after all: S_c+1 = g^C S_c + summary_c.

        ``reverse`` goes from the last chunk to the first, which is what gradients do.
        """
        summaries, states = (list(x.unflatten(0, self.shape).unbind(1)) for x in (summary, out))
        if reverse:
            summaries.reverse()
            states.reverse()
        states[0].copy_(state)
        states.append(torch.empty_like(state))
        for own, before, after in zip(summaries, states, states[1:], strict=False):
            if self.decays.chunk is None:
                torch.add(own, before, out=after)
            else:
                torch.addcmul(own, before, self.decays.chunk[self.rows, 0], out=after)
        return states[-1]


def blocks(rows: int, chunks: int, decays: Decays, reverse: bool = False) -> Iterator[Block]:
    """All chunks, at most ``BLOCK_CHUNKS`` at a time; a row's blocks follow each other in the recursion's order."""
    height, width = max(1, BLOCK_CHUNKS // chunks), min(chunks, BLOCK_CHUNKS)
    spans = [slice(first, min(first + width, chunks)) for first in range(0, chunks, width)]
    for first in range(0, rows, height):
        for span in reversed(spans) if reverse else spans:
            yield Block(slice(first, min(first + height, rows)), span, chunks, decays)
