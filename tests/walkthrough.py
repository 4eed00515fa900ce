"""A page of docs/ carried out: its files written into a copy of the checkout, its commands run there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

_FENCED = r"```{language}\n(.*?)^```$"
_WRITE = re.compile(r"^(?:[^\n]* )?Write `([^`]+)`[^\n]*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ADD = re.compile(r"^Add to `(\w+)` in `([^`]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(_FENCED.format(language=language), page, flags=re.MULTILINE | re.DOTALL)


def copy_with(page: str, root: Path, copy: Path) -> Path:
    """A copy of the product with the files that the page writes and the lines that it adds."""
    for folder in ("lrpe", "experiments", "data_prep", "conf"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    written = _WRITE.findall(page)
    assert written, "the page writes no file"
    for path, text in written:
        assert not (copy / path).exists(), f"{path} is there already"
        (copy / path).write_text(text, encoding="utf-8")
    for name, path, lines in _ADD.findall(page):
        source = (copy / path).read_text(encoding="utf-8")
        head = f"{name} = {{\n"
        assert source.count(head) == 1, f"{path} has no {name} to add to"
        (copy / path).write_text(source.replace(head, head + lines), encoding="utf-8")
    return copy


def commands(page: str) -> list[list[str]]:
    """The words of each command in the page's bash blocks, ``python`` left out."""
    found = [line.split() for block in blocks(page, "bash") for line in block.splitlines()]
    assert all(words[0] == "python" for words in found)
    return [words[1:] for words in found]
