"""The kernels compile for a Hopper GPU, which the interpreter cannot tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SHARED_LIMIT = 232_448  # bytes of shared memory a program of compute capability 9.0 can have
CASES = [["orthogonal", 64, "bfloat16", 8, 32]]
MORE = [
    [core, head_dim, dtype, 8, chunk]
    for core in ("plain", "orthogonal", "unitary")
    for head_dim, chunk in ((64, 64), (128, 32), (256, 16))
    for dtype in ("bfloat16", "float16", "float32")
]


@pytest.mark.parametrize("cases", [CASES, pytest.param(MORE, marks=pytest.mark.slow)], ids=["one", "all"])
def test_every_kernel_compiles_and_fits(cases: list[list[object]], root: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.lrpe.triton.aot", json.dumps(cases)],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["kernel"] for row in rows} >= {"attend_forward", "attend_backward", "summarise_segments"}
    assert all(row["shared"] <= SHARED_LIMIT for row in rows), rows
