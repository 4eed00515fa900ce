"""What the attention kernels are called with: shapes, flags and strides, and how a sequence is cut into segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lrpe.ops.phases import complex_dim, encoded_dim
from lrpe.ops.triton.attention_forward import summarize_segments
from lrpe.ops.triton.launch import MAX_STATE, Kernel, block_of, strided

SEGMENT_UNIT = 128  # every CHUNK divides it
MIN_SEGMENT, MAX_SEGMENTS = 512, 32
PROGRAMS_PER_MULTIPROCESSOR = 2
KEY = ("WIDTH", "VALUES", "LAYOUT", "ROTATED", "REFLECTED", "NORMALIZED", "DECAYED", "INNER")
TUNED: dict[str, Any] = {"chunks": (16, 32, 64), "warps": (4, 8), "key": KEY}


def fits(numbers: int) -> Callable[[int, int, dict[str, Any]], bool]:
    """Whether a thread holds at most ``numbers`` 16-bit ones of an encoded query, half as many if products are float32.

    Found by compiling for compute capability 9.0: what fits does not spill registers up to 64 encoded features.
    """

    def within(chunk: int, warps: int, arguments: dict[str, Any]) -> bool:
        size = 1 if arguments["INNER"] == tl.bfloat16 else 2
        return size * chunk * 2 * arguments["BLOCK"] <= numbers * 32 * warps

    return within


SUMMARIZE = Kernel(summarize_segments, **TUNED, fits=fits(16))


def segmentation(pairs: int, length: int, multiprocessors: int) -> int:
    """Tokens a segment: all, if ``pairs`` programs fill the device or the sequence is short."""
    wanted = triton.cdiv(PROGRAMS_PER_MULTIPROCESSOR * multiprocessors, pairs)
    segments = max(1, min(wanted, length // MIN_SEGMENT, MAX_SEGMENTS))
    return triton.cdiv(triton.cdiv(length, segments), SEGMENT_UNIT) * SEGMENT_UNIT


class Problem:
    """Shapes, flags and arguments that all three kernels share."""

    def __init__(
        self,
        query: Tensor,
        value: Tensor,
        theta: Tensor,
        vector: Tensor | None,
        log_decay: Tensor | None,
        padding: Tensor | None,
        layout: str,
        rotated: bool,
        offset: int,
        denominator: bool,
        eps: float,
        segment: int,
    ) -> None:
        batch, heads, length, width = query.shape
        self.pairs, self.values = batch * heads, value.shape[-1]
        self.encoded = encoded_dim(width, layout)
        block = block_of(complex_dim(width, layout))
        block_v = min(block_of(self.values), max(16, MAX_STATE // (2 * block)))
        self.slabs = triton.cdiv(self.values, block_v)
        if not segment:
            properties = torch.cuda.get_device_properties(query.device) if query.is_cuda else None
            segment = segmentation(
                self.pairs * self.slabs, length, properties.multi_processor_count if properties else 1
            )
        self.segments = triton.cdiv(length, segment)
        inner = tl.bfloat16 if query.dtype == torch.bfloat16 else tl.float32
        exact = query.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
        self.arguments: dict[str, Any] = {
            "theta": theta,
            "vector": query if vector is None else vector,
            "log_decay": query if log_decay is None else log_decay,
            "padding": query if padding is None else padding.view(torch.uint8),
            "theta_stride": theta.shape[-1] if rotated and theta.shape[1] > 1 else 0,
            "vector_stride": width if vector is not None and vector.shape[0] > 1 else 0,
            "offset": offset,
            "length": length,
            "segment": segment,
            "segments": self.segments,
            "heads": heads,
            "eps": eps,
            "BLOCK": block,
            "BLOCK_V": block_v,
            "WIDTH": width,
            "ENCODED": self.encoded,
            "VALUES": self.values,
            "COUNT": theta.shape[-1] if rotated else 1,
            "LAYOUT": layout,
            "OUT_LAYOUT": "neighbors" if layout == "neighbors" or (layout == "halves" and rotated) else "halves",
            "ROTATED": rotated,
            "REFLECTED": vector is not None,
            "PADDED": padding is not None,
            "DECAYED": log_decay is not None,
            "NORMALIZED": denominator,
            "INNER": inner,
            "PRECISION": "ieee" if exact else "tf32",
        }

    def summarize(self, source: Tensor, value: Tensor, out: Tensor, total: Tensor, *, backward: bool) -> list[Tensor]:
        """Sums of each segment, of k v^T or of q do^T: nothing where there is one segment."""
        if self.segments == 1:
            return [source.new_empty(0, dtype=torch.float32)] * 2
        shape = (self.pairs, self.segments, self.encoded)
        summaries = source.new_empty(*shape, self.values, dtype=torch.float32)
        sums = source.new_empty(shape, dtype=torch.float32)
        SUMMARIZE(
            lambda meta: (self.pairs, self.segments, self.slabs),
            **strided(source=source, value=value, out=out),
            total=total,
            summaries=summaries,
            summary_sums=sums,
            BACKWARD=backward,
            **self.arguments,
        )
        return [summaries, sums]
