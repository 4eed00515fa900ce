"""Times of alternatives, taken in turns in one process, and the floors of the machine that they ran on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from experiments.util.hardware import available_cores, cpu_model

Case = Callable[[], Any]


def compare(
    title: str, cases: Mapping[str, Case], *, reference: str, rounds: int = 9, warm: int = 2, note: str = ""
) -> dict[str, Any]:
    """Every case once a round: a disturbance of the machine meets neighbors, so ratios are taken within rounds.

    Args:
        cases: what is timed, by name.
        reference: the case that a ratio is the time over.
        warm: calls of each before the clock starts.

    Returns:
        Plain data: one row per case with the median, quartiles (seconds) and the median of the rounds' ratios, of wall
        time and of processor time, which other work on the machine disturbs less.
    """
    for case in cases.values():
        for _ in range(warm):
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    processor: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            began, busy = time.perf_counter(), time.process_time()
            case()
            seconds[name].append(time.perf_counter() - began)
            processor[name].append(time.process_time() - busy)
    rows = []
    for name, values in seconds.items():
        low, median, high = statistics.quantiles(values, n=4)
        rows.append(
            {
                "name": name,
                "median": median,
                "low": low,
                "high": high,
                "ratio": _ratio(values, seconds[reference]),
                "processor_ratio": _ratio(processor[name], processor[reference]),
            },
        )
    return {"title": title, "reference": reference, "rounds": rounds, "note": note, "rows": rows}


def _ratio(values: list[float], base: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(values, base, strict=True))


def keep_memory() -> None:
    """Have the C library keep what is freed, as a GPU's allocator does.

    By default glibc returns a large tensor's memory at once, and the next one pays a page fault every 4 KiB: at 64 MiB
    a tensor that costs more than the copy which everything is compared with. Other C libraries are left as they are.
    """
    trim_threshold, mmap_threshold = -1, -3
    with contextlib.suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 2**30)
        library.mallopt(trim_threshold, 2**31 - 1)


def floors() -> dict[str, float]:
    """What the machine gives now: bytes a second of a copy (read and written), FLOP a second of float32 products."""
    source, square = torch.randn(2**24), torch.randn(2048, 2048)
    target, product = torch.empty_like(source), torch.empty_like(square)
    many = torch.randn(512, 64, 64)
    products = torch.empty_like(many)

    def rate(amount: float, case: Case) -> float:
        case()
        times = []
        for _ in range(7):
            began = time.perf_counter()
            case()
            times.append(time.perf_counter() - began)
        return amount / statistics.median(times)

    return {
        "copy_bytes_per_second": rate(8 * source.numel(), lambda: target.copy_(source)),
        "matmul_flops": rate(2 * 2048**3, lambda: torch.mm(square, square, out=product)),
        "batched_matmul_flops": rate(512 * 2 * 64**3, lambda: torch.bmm(many, many, out=products)),
    }


def machine() -> dict[str, Any]:
    """Where and with what a measurement was made."""
    return {
        "processor": cpu_model(),
        "cores": available_cores(),
        "threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
