"""How many words a model of prepared text has."""

from __future__ import annotations

from pathlib import Path


def vocabulary_size(folder: Path) -> int:
    """Entries of ``dict.txt`` and fairseq's four special symbols."""
    with (folder / "dict.txt").open("rb") as lines:
        return 4 + sum(1 for _ in lines)
