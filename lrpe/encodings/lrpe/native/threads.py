"""A share of the blocks for each of PyTorch's threads, run by threads of our own: the native code holds no lock."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

SMALLEST_SHARE = 2**17  # elements; waking a thread costs what it takes to encode about as many


def share_out(run: Callable[[int, int], object], blocks: int, elements: int) -> None:
    """Calls ``run(first, end)`` on ranges that cover ``blocks``; the caller's thread does the first."""
    shares = max(1, min(torch.get_num_threads(), blocks, elements // SMALLEST_SHARE))
    bounds = [blocks * share // shares for share in range(shares + 1)]
    ranges = list(itertools.pairwise(bounds))
    others = [_pool(os.getpid(), shares - 1).submit(run, *part) for part in ranges[1:]]
    try:
        run(*ranges[0])
    finally:
        for other in others:
            other.result()


@functools.cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """A fork's child has none of its parent's threads, so each process has pools of its own."""
    return ThreadPoolExecutor(threads, thread_name_prefix="lrpe")
