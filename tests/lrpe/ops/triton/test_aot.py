"""The kernels compile for a Hopper GPU, which the interpreter cannot tell, and fit its registers and shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

SHARED_LIMIT = 232_448  # bytes of shared memory a program of compute capability 9.0 can have
ATTENTION = {"attend_forward", "attend_backward", "summarize_segments"}
HALF = [["orthogonal", 64, "bfloat16", "largest"]]
FLOAT16 = [["plain", 16, "float16", "largest"]]
FLOAT32 = [["orthogonal", 16, "float32", "largest"]]
PAPER = [[core, 64, dtype, "all"] for core in ("plain", "orthogonal", "unitary") for dtype in ("bfloat16", "float16")]
WIDE = [
    [core, head_dim, dtype, "largest"]
    for core, head_dim in (("orthogonal", 128), ("unitary", 128), ("orthogonal", 256), ("unitary", 256))
    for dtype in ("bfloat16", "float16", "float32")
]


def compiled(root: Path, cases: list[list[Any]]) -> list[dict[str, Any]]:
    """What ``tests.lrpe.ops.triton.aot`` says of each kernel, in a process without the interpreter."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.lrpe.ops.triton.aot", json.dumps(cases)],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["kernel"] for row in rows} >= ATTENTION
    return rows


def stack_limit(row: dict[str, Any]) -> float:
    """Bytes a thread may spill: none at the paper's width in 16 bits. Float32 products take no tensor cores."""
    if row["dtype"] == "float32":
        return 1024 if row["head_dim"] <= 64 else float("inf")
    if row["head_dim"] <= 64:
        return 0
    return 512 if row["head_dim"] == 128 and row["dtype"] == "bfloat16" else float("inf")


@pytest.mark.parametrize(
    "cases",
    [HALF, *(pytest.param(cases, marks=pytest.mark.slow) for cases in (FLOAT16, FLOAT32, PAPER, WIDE))],
    ids=["bfloat16", "float16", "float32", "all choices at 64", "wide heads"],
)
def test_every_kernel_compiles_and_fits(cases: list[list[Any]], root: Path) -> None:
    rows = compiled(root, cases)
    assert all(row["shared"] <= SHARED_LIMIT for row in rows), rows
    assert not any(row["specialized"] for row in rows), "a length or an offset would compile the kernel again"
    spilled = [row for row in rows if row["stack"] > stack_limit(row)]
    assert not spilled, "more registers spilled than these shapes did"
