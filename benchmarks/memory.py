"""Peak memory of a training step of the base layer as the text grows: a process of its own for every length (Linux)."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import torch

from lrpe.attention import LinearAttention
from lrpe.models.block import TransformerBlock

LENGTHS = (4096, 16_384, 65_536)
MEBIBYTE = 2**20


def step(length: int) -> tuple[float, float]:
    """Seconds and peak bytes of one forward, backward and update, above what the process held before it."""
    torch.manual_seed(0)
    encoding = {"name": "lrpe", "core": "orthogonal", "projection": "householder", "learn_angles": True, "seed": 0}
    block = TransformerBlock(LinearAttention(512, 8, encoding=encoding), 2048)
    optimizer = torch.optim.AdamW(block.parameters(), fused=True)
    held = status("VmRSS")
    x = torch.randn(1, length, 512)
    began = time.perf_counter()
    block(x).square().mean().backward()
    optimizer.step()
    return time.perf_counter() - began, status("VmHWM") - held


def status(field: str) -> int:
    """Bytes by a field of Linux's ``/proc/self/status``, of this program alone: the peak that getrusage tells counts
    what its parent held at its start."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{field}:"))


def measure() -> list[dict[str, Any]]:
    rows = []
    for length in LENGTHS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, peak = pool.apply(step, (length,))
        rows.append({"name": f"{length:,} tokens, {peak / MEBIBYTE:,.0f} MiB", "median": seconds, "peak_bytes": peak})
    for row in rows:
        row["ratio"] = row["peak_bytes"] / rows[0]["peak_bytes"]
    note = "8 heads, width 512, feed-forward 2,048, batch 1, float32; the ratio is of the peak memory."
    title = "One training step of a layer of the base model"
    return [{"title": title, "reference": f"{LENGTHS[0]:,} tokens", "rounds": 1, "note": note, "rows": rows}]
