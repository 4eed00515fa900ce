"""The examples run as they are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path


def test_the_minimal_language_model_learns_with_both_encodings(root: Path) -> None:
    command = [sys.executable, "examples/minimal_lm.py", "--updates", "40"]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    uniform = float(re.search(r"uniform loss (\S+)", output)[1])
    losses = [float(loss) for loss in re.findall(r"validation loss (\S+)", output)]
    assert len(losses) == 2
    assert max(losses) < 0.75 * uniform


def test_the_notebook_runs_from_top_to_bottom(root: Path) -> None:
    cells = json.loads((root / "examples" / "encodings.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "encodings.ipynb", "exec"), names)
    assert "whole" in names


def test_the_minimal_language_model_is_short_and_needs_the_library_alone(root: Path) -> None:
    source = (root / "examples" / "minimal_lm.py").read_text()
    assert len(source.splitlines()) <= 150
    assert not re.search(r"^(from|import) (experiments|data_prep|fairseq)", source, re.MULTILINE)
