"""Causal linear attention in chunks beside the quadratic definition, and its cost a token as texts grow."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.measure import Case, compare
from lrpe.ops import linear_attention

HEADS, DIM = 8, 64
# Products of 2 x 64 x 64 FLOP a token and head: 4 forward, 9 backward (the scores are formed again).
FLOP_PER_TOKEN = HEADS * 13 * 2 * 64 * DIM


def case(batch: int, length: int, form: str, *, backward: bool) -> Case:
    inputs = [torch.randn(batch, HEADS, length, DIM, requires_grad=backward) for _ in range(3)]
    gradient = torch.randn(batch, HEADS, length, DIM)

    def run() -> None:
        out = linear_attention(*inputs, form=form)
        if backward:
            torch.autograd.grad(out, inputs, gradient)

    return run


def peers(batch: int, length: int, *, backward: bool) -> dict[str, Case]:
    """pytorch-fast-transformers' causal product (Katharopoulos et al. 2020), where it is installed."""
    try:
        from fast_transformers.causal_product import causal_dot_product
    except ImportError:
        return {}
    inputs = [torch.randn(batch, HEADS, length, DIM, requires_grad=backward) for _ in range(3)]
    gradient = torch.randn(batch, HEADS, length, DIM)

    def run() -> None:
        out = causal_dot_product(*inputs)
        if backward:
            torch.autograd.grad(out, inputs, gradient)

    return {"pytorch-fast-transformers": run}


def measure() -> list[dict[str, Any]]:
    torch.manual_seed(0)
    results = []
    for batch, length in ((16, 512), (1, 4096)):
        for backward in (False, True):
            cases = {form: case(batch, length, form, backward=backward) for form in ("chunked", "definition")}
            cases |= peers(batch, length, backward=backward)
            direction = "forward and backward" if backward else "forward"
            title = f"Causal linear attention, batch {batch}, length {length}, {direction}"
            note = (
                "`definition` is lrpe/ops/definition.py: the masked scores as a user would write them, under autograd"
            )
            results.append(compare(title, cases, reference="chunked", rounds=7, note=note))
    tokens = 65_536
    cases = {
        f"{tokens // length} x {length} tokens": case(tokens // length, length, "chunked", backward=True)
        for length in (512, 4096, 16_384, tokens)
    }
    note = f"the same 65,536 tokens in longer and longer texts; {FLOP_PER_TOKEN * tokens / 1e9:.0f} GFLOP each"
    title = "Cost of 65,536 tokens, forward and backward"
    results.append(compare(title, cases, reference="128 x 512 tokens", rounds=3, note=note))
    return results
