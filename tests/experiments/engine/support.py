"""What a run left behind, and how to break one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.engine.distributed import DistributedContext
from tests.experiments.conftest import ROOT, environment

ONE = DistributedContext(rank=0, local_rank=0, world_size=1, cuda=False)  # one process, no card
COMPARED = (
    *("update", "tokens", "sentences", "split", "loss", "perplexity", "accuracy", "f1"),
    *("learning_rate", "gradient_norm", "epoch", "clamped_denominators"),
)


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def curve_of(folder: Path) -> list[dict[str, Any]]:
    """The history without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in COMPARED if key in row} for row in rows]


def weights_of(folder: Path, name: str = "checkpoint_last.pt") -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints" / name, weights_only=False)["model"]


def same_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def close_weights(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    # Adam divides by the root of the second moment, so sums in another order move weights by a small part of the
    # learning rate, not by a small part of themselves.
    for name, weight in left.items():
        torch.testing.assert_close(weight, right[name], rtol=1e-3, atol=2e-4, msg=lambda text, n=name: f"{n}: {text}")


def wait_for_update(results: Path, update: int, process: subprocess.Popen[Any], experiment: str = "*") -> None:
    """Return as soon as a run below ``results`` has logged ``update`` training rows."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for history in results.glob(f"runs/{experiment}/*/seed*/history.jsonl"):
            if len([line for line in history.read_text().splitlines() if '"train"' in line]) >= update:
                return
        assert process.poll() is None, "the run ended before it could be stopped"
        time.sleep(0.002)
    pytest.fail("the run never reached the update")


def kill_at(update: int, data: Path, results: Path, words: Sequence[str], experiment: str = "*") -> None:
    """Start ``experiments.train`` and kill it when it has logged ``update``."""
    command = [sys.executable, "-m", "experiments.train", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(data, results), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for_update(results, update, process, experiment)
        process.send_signal(signal.SIGKILL)
