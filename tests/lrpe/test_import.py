"""The library alone: quick to import, and it knows nothing of what is built on it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_lrpe_is_quick_beside_torch() -> None:
    code = "import torch, time; t = time.perf_counter(); import lrpe; print(time.perf_counter() - t)"
    assert min(float(_run(code)) for _ in range(3)) < 0.3


def test_lrpe_imports_nothing_of_the_rest() -> None:
    code = "import sys, lrpe; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(eval(_run(code)))
    rest = {"experiments", "data_prep", "fairseq", "hydra", "omegaconf", "wandb", "datasets"}
    assert not loaded & rest


def test_the_library_alone_needs_torch_and_nothing_else() -> None:
    needed = [requirement for requirement in metadata.requires("lrpe") or [] if "extra ==" not in requirement]
    assert [requirement.split(">")[0] for requirement in needed] == ["torch"]
