"""The blocks in which :mod:`lrpe.ops.chunked` works, and the decay inside each chunk.

On a CPU a block is as many chunks as fit in cache together. On any other device it is all chunks of all rows, so that
the number of launched kernels does not grow with the batch, and with the length only by the recursion over chunks.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lrpe.validation import check_choice

BLOCK_CHUNKS = 32  # a block's queries, say, are 512 KiB at 64 x 64 float32
CHOICES = ("cache", "device")
_forced: list[str] = []


@contextmanager
def force_blocks(choice: str) -> Iterator[None]:
    """``cache`` or ``device`` blocks whatever the device, to test and count one kind where the other is chosen.

    Raises:
        ValueError: another choice.
    """
    _forced.append(check_choice("blocks", choice, CHOICES))
    try:
        yield
    finally:
        _forced.pop()


def block_chunks(device: torch.device, rows: int, chunks: int) -> int:
    """The largest number of chunks in a block."""
    choice = _forced[-1] if _forced else "cache" if device.type == "cpu" else "device"
    return BLOCK_CHUNKS if choice == "cache" else max(1, rows * chunks)


class Decays:
    """Powers of g that a chunk needs, a row each, from differences of positions; None stands for one everywhere."""

    def __init__(self, log_decay: Tensor | None, batch: int, chunk_size: int) -> None:
        self.inside = self.query = self.key = self.chunk = None
        if log_decay is None:
            return
        exponents, kept = _exponents(chunk_size, log_decay.device, log_decay.dtype)
        powers = (log_decay.expand(batch, -1).unsqueeze(-1) * exponents).exp_().mul_(kept)
        # (rows, 1, ., .): the same for all chunks of a row
        parts = powers.view(-1, 1, len(kept)).split((chunk_size**2, chunk_size, chunk_size, 1), dim=-1)
        self.inside = parts[0].unflatten(-1, (chunk_size, chunk_size))  # g^(i-j)
        self.query = parts[1].unsqueeze(-1)  # from the chunk's start to i
        self.key = parts[2].unsqueeze(-1)  # from j to the chunk's end
        self.chunk = parts[3].unsqueeze(-1)


@functools.lru_cache(maxsize=32)
def _exponents(chunk_size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Of the four powers in :class:`Decays`, one after the other; and 0 above the first one's diagonal, else 1."""
    position = torch.arange(chunk_size, device=device, dtype=dtype)
    distance = position[:, None] - position
    ends = torch.cat((position + 1, chunk_size - 1 - position, position.new_tensor([chunk_size])))
    exponents = torch.cat((distance.clamp(min=0).flatten(), ends))
    return exponents, torch.cat(((distance >= 0).to(dtype).flatten(), torch.ones_like(ends)))


class Block:
    """Chunks that are worked on together: whole rows, or a part of one row, so contiguous in ``(rows * chunks, ...)``.

    Attributes:
        rows, chunks: of the block, as slices.
        starts_row, ends_row: it has the first, the last chunk of its rows.
        is_all: it has all chunks of all rows.
    """

    def __init__(self, rows: slice, chunks: slice, total: int, decays: Decays, is_all: bool) -> None:
        self.rows, self.chunks, self.total, self.decays, self.is_all = rows, chunks, total, decays, is_all
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

    def accumulate(self, state: Tensor | None, summary: Tensor, out: Tensor, reverse: bool = False) -> Tensor:
        """The states before each chunk into ``out``, and the state after all: S_c+1 = g^C S_c + summary_c.

        Args:
            state: before all of them; None: zeros.
            reverse: go from the last chunk to the first, which is what gradients do.
        """
        summaries, states = (list(x.unflatten(0, self.shape).unbind(1)) for x in (summary, out))
        if reverse:
            summaries.reverse()
            states.reverse()
        if state is None:
            states[0].zero_()
        else:
            states[0].copy_(state)
        states.append(torch.empty_like(summaries[0]))
        for own, before, after in zip(summaries, states, states[1:], strict=False):
            if self.decays.chunk is None:
                torch.add(own, before, out=after)
            else:
                torch.addcmul(own, before, self.decays.chunk[self.rows, 0], out=after)
        return states[-1]


def blocks(rows: int, chunks: int, largest: int, decays: Decays, reverse: bool = False) -> Iterator[Block]:
    """All chunks, at most ``largest`` at a time; a row's blocks follow each other in the recursion's order."""
    height, width = max(1, largest // chunks), min(chunks, largest)
    spans = [slice(first, min(first + width, chunks)) for first in range(0, chunks, width)]
    for first in range(0, rows, height):
        for span in reversed(spans) if reverse else spans:
            yield Block(slice(first, min(first + height, rows)), span, chunks, decays, rows * chunks <= largest)
