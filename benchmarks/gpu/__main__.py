"""Check the kernels against float64 and time them beside their peers, in one call on a machine with a CUDA GPU.

    python -m benchmarks.gpu [--output DIR]    # checks, times, writes gpu.json and gpu.md (made for ten minutes)
    python -m benchmarks.gpu --check           # the checks alone; without a GPU in Triton's interpreter, small

Times are medians of triton.testing.do_bench with their 20 and 80 % quantiles. Peers run where they are installed:
PyTorch's flash attention, and flash-linear-attention (pip install flash-linear-attention).
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmarks.gpu.checks import check
from benchmarks.gpu.problems import DEVICE
from benchmarks.gpu.report import markdown, ratios
from benchmarks.gpu.timings import timings
from lrpe import backend


def installed(package: str) -> str:
    """Its version, or that there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="correctness alone")
    parser.add_argument("--output", type=Path, default=Path("benchmarks"), help="folder of gpu.json and gpu.md")
    given = parser.parse_args()
    if DEVICE == "cpu" and not given.check:
        print("error: timing needs a CUDA GPU, and torch finds none; --check runs the checks alone", file=sys.stderr)
        return 2
    if not given.output.is_dir():
        print(f"error: --output={given.output}: no such folder; make it first", file=sys.stderr)
        return 2
    checks = []
    for row in check():
        checks.append(row)
        print(
            f"{row['operator']:18} {row['core']:10} length {row['length']:4} dim {row['dim']:3} {row['dtype']:8} "
            f"error {row['error']:.1e}, bound {row['bound']:.0e}",
            flush=True,
        )
    if any(row["error"] > row["bound"] for row in checks):
        print("error: a kernel is off its bound", file=sys.stderr)
        return 1
    if given.check:
        return 0
    report = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": installed("triton"),
        "fla": installed("flash-linear-attention"),
        "checks": checks,
        "times": [],
    }
    with backend("triton"):
        for row in timings():
            print(json.dumps(row), flush=True)
            report["times"].append(row)
            # Written as it grows: what was measured survives a time limit.
            report["ratios"] = list(ratios(report["times"]))
            (given.output / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
            (given.output / "gpu.md").write_text(markdown(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
