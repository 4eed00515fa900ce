"""Measured rows as Markdown, and the ratios that the kernels are built for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """``slower`` should take ``factor`` times as long as ``faster`` or longer, at these lengths."""

    faster: str
    slower: str
    factor: float
    shortest: int = 0
    longest: int = 1 << 30


TARGETS = (
    Target("attention", "fla chunk_linear_attn", 1.0, shortest=2048),
    Target("attention, decay", "fla chunk_simple_gla, decay", 1.0, shortest=2048),
    Target("attention", "fla chunk_linear_attn", 2.0, longest=512),
    Target("attention", "flash softmax", 1.0, shortest=4096),
    Target("orthogonal fused", "orthogonal, encode then attend", 1.5),
    Target("orthogonal fused", "orthogonal, encode then fla", 1.5),
    Target("unitary fused", "unitary, encode then attend", 2.0),
    Target("unitary fused", "unitary, encode then fla", 2.0),
    Target("training step (triton)", "training step (definition)", 2.0),
)
BANDWIDTH_TARGET = 0.8  # of a copy's


def ratios(times: Sequence[Row]) -> Iterator[Row]:
    """Each target at each shape where both sides were measured, and each encoding's share of a copy's bandwidth."""
    found = {(row["what"], *shape_of(row)): row["median_ms"] for row in times}
    for target in TARGETS:
        for (what, *shape), faster in found.items():
            slower = found.get((target.slower, *shape))
            if what != target.faster or slower is None or not target.shortest <= shape[2] <= target.longest:
                continue
            name = f"{target.slower} / {target.faster}"
            yield _ratio(name, shape, slower / faster, target.factor)
    rates = {(row["what"], *shape_of(row)): row["bytes"] / row["median_ms"] for row in times if "bytes" in row}
    copies = [rate for (what, *_), rate in rates.items() if what == "copy"]
    for (what, *shape), rate in rates.items():
        if what != "copy" and copies:
            yield _ratio(f"{what}: bandwidth over a copy's", shape, rate / copies[0], BANDWIDTH_TARGET)


def shape_of(row: Row) -> tuple[int, int, int, int]:
    """(batch, heads, length, dim), 0 where a row has none."""
    return tuple(row.get(key, 0) for key in ("batch", "heads", "length", "dim"))


def _ratio(name: str, shape: Sequence[int], value: float, target: float) -> Row:
    return {"ratio": name, "shape": list(shape), "value": value, "target": target, "reached": value >= target}


def markdown(report: dict[str, Any]) -> str:
    """Device and versions, checks, ratios against their targets, and all times."""
    lines = [
        f"# {report['device']}, torch {report['torch']}, triton {report['triton']}, fla {report['fla']}",
        "",
        "Rendered by `python -m benchmarks.gpu`. bfloat16; forward and backward but for `encode` and `copy`; medians.",
        "",
        "| ratio | batch, heads, length, dim | measured | target | |",
        "|---|---|--:|--:|---|",
    ]
    for row in report["ratios"]:
        reached = "reached" if row["reached"] else "missed"
        lines.append(f"| {row['ratio']} | {_shape(row['shape'])} | {row['value']:.2f} | {row['target']} | {reached} |")
    lines += ["", "| time | batch, heads, length, dim | ms | 20 to 80 % | launches |", "|---|---|--:|--:|--:|"]
    for row in report["times"]:
        spread = f"{row['low_ms']:.3f} to {row['high_ms']:.3f}"
        cells = (row["what"], _shape(shape_of(row)), f"{row['median_ms']:.3f}", spread, str(row.get("launches", "")))
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| operator | core | length, dim | dtype | error | bound |", "|---|---|---|---|--:|--:|"]
    for row in report["checks"]:
        lines.append(
            f"| {row['operator']} | {row['core']} | {row['length']}, {row['dim']} | {row['dtype']} "
            f"| {row['error']:.1e} | {row['bound']:.0e} |"
        )
    return "\n".join(lines) + "\n"


def _shape(shape: Sequence[int]) -> str:
    return ", ".join(str(size) if size else "–" for size in shape) if any(shape) else ""
