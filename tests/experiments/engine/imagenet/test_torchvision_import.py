"""torchvision is importable after the work-around, and untouched where it needs none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.experiments.conftest import ROOT

PROGRAM = """
import sys
{before}
from experiments.engine import patches
patches.import_torchvision()
patches.import_torchvision()
import torchvision.transforms
print(len(patches._declared))
"""


def run(before: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def needs_help() -> bool:
    return subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode > 0


def test_torchvision_imports_and_its_operators_are_declared_once_and_only_if_missing() -> None:
    assert run("") == ("1" if needs_help() else "0")


def test_nothing_is_declared_where_torchvision_works() -> None:
    working = "import types; sys.modules.update({n: types.ModuleType(n) for n in NAMES})".replace(
        "NAMES", "('torchvision', 'torchvision.transforms')"
    )
    assert run(working) == "0"


def test_another_fault_is_not_hidden() -> None:
    broken = "import importlib.abc, types\nclass Finder(importlib.abc.MetaPathFinder):\n"
    broken += (
        "    def find_spec(self, name, *_):\n        if name == 'torchvision': raise RuntimeError('another fault')\n"
    )
    broken += "sys.meta_path.insert(0, Finder())"
    with pytest.raises(AssertionError, match="RuntimeError: another fault"):
        run(broken)
