"""The library alone: light to import, and it knows nothing of what is built on it."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_lrpe_loads_no_compiler() -> None:
    """What would make the import slow: torch's compilers and Triton, which load where they are first used."""
    code = "import sys, torch; known = set(sys.modules); import lrpe; print(sorted(set(sys.modules) - known))"
    added = eval(_run(code))
    assert "lrpe.encodings" in added
    slow = ("torch._dynamo", "torch._inductor", "triton")
    assert [name for name in added if name.startswith(slow)] == []


def test_lrpe_imports_nothing_of_the_rest() -> None:
    code = "import sys, lrpe; print(sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(eval(_run(code)))
    rest = {"experiments", "data_prep", "fairseq", "hydra", "omegaconf", "wandb", "datasets"}
    assert not loaded & rest


def test_the_library_alone_needs_torch_and_safetensors() -> None:
    needed = [requirement for requirement in metadata.requires("lrpe") or [] if "extra ==" not in requirement]
    assert [requirement.split(">")[0] for requirement in needed] == ["torch", "safetensors"]
