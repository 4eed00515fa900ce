"""Operators that a device would be given a kernel for, of causal linear attention forward and backward.

Counted by PyTorch's profiler on the CPU with the blocks of a device, so that no card is needed; views, allocations and
reads of metadata launch nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lrpe.ops import backend, linear_attention
from lrpe.ops.blocks import force_blocks

HEADS, DIM = 8, 64
NO_KERNEL = {
    *("alias", "as_strided", "contiguous", "detach", "detach_", "empty", "empty_like", "empty_strided", "expand"),
    *("expand_as", "flatten", "lift_fresh", "narrow", "new_empty", "permute", "reshape", "resize_", "resolve_conj"),
    *("resolve_neg", "result_type", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "to"),
    *("transpose", "unbind", "unflatten", "unsqueeze", "view", "view_as", "_reshape_alias", "_unsafe_view", "mT"),
}
PRODUCTS = ("bmm", "baddbmm", "baddbmm_", "mm", "addmm")  # one kernel, whatever a CPU makes of them


def launches(run: Callable[[], Any]) -> Counter[str]:
    """How often each operator that launches a kernel ran: those that call no other one that does."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        run()
    found: Counter[str] = Counter()
    for event in seen.events() or []:
        if event.cpu_parent is None:
            found.update(_launched(event))
    return found


def _launched(event: Any) -> list[str]:
    """The operators below an event that launch a kernel, or itself if there are none."""
    name = event.name.removeprefix("aten::")
    if name in PRODUCTS:
        return [name]
    inner = [one for child in event.cpu_children for one in _launched(child)]
    return inner or ([name] if event.name.startswith("aten::") and name not in NO_KERNEL else [])


def attention(batch: int, length: int, **options: Any) -> Callable[[], Any]:
    """Causal linear attention forward and backward, 8 heads of 64 features."""
    inputs = [torch.rand(batch, HEADS, length, DIM, requires_grad=True) for _ in range(3)]
    gradient = torch.rand(batch, HEADS, length, DIM)
    return lambda: torch.autograd.grad(linear_attention(*inputs, **options), inputs, gradient)


def decay() -> Tensor:
    return -torch.linspace(0.01, 0.1, HEADS)


def measure() -> list[dict[str, Any]]:
    """Launches by case, as rows of a table without times."""
    rows = []
    with backend("torch"):
        for batch in (1, 16):
            run = attention(batch, 512)
            for choice in ("device", "cache"):
                with force_blocks(choice):
                    count = launches(run).total()
                rows.append({"name": f"chunked, {choice} blocks, batch {batch}, length 512", "count": count})
        with force_blocks("device"):
            count = launches(attention(1, 512, log_decay=decay())).total()
            rows.append({"name": "chunked, device blocks, batch 1, length 512, decay", "count": count})
            count = launches(attention(1, 8192)).total()
            rows.append({"name": "chunked, device blocks, batch 1, length 8192", "count": count})
        run = attention(1, 512, form="definition")
        rows.append({"name": "masked definition, batch 1, length 512", "count": launches(run).total()})
    return [{"title": "Kernels launched by causal linear attention, forward and backward", "rows": rows}]
