"""Small texts, the entry points as a user runs them, and the bytes of a folder."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from data_prep.core.dataset import DataSet
from data_prep.core.verification import PublishedCounts
from data_prep.text import wikitext

ROOT = Path(__file__).resolve().parents[2]


def write_source(folder: Path, *, suffix: str = "tokens", train: str | bytes = "", **splits: str | bytes) -> Path:
    """Files in WikiText's layout; splits that are not given get a line or two."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"train": train or "a b a\n\nc <unk> a\n", "valid": "a b\n", "test": "c d\n", **splits}
    for split, text in texts.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / f"wiki.{split}.{suffix}").write_bytes(content)
    return folder


def random_text(lines: int, seed: int = 0, words_per_line: int = 40) -> str:
    """Lines of words whose counts fall off, with blank lines between."""
    draw = random.Random(seed)
    made = []
    for _ in range(lines):
        count = draw.randrange(words_per_line)
        made.append(" ".join(f"w{int(draw.paretovariate(0.7)) % 999}" for _ in range(count)))
    return "\n".join(made) + "\n"


def command(name: str, *arguments: object) -> list[str]:
    """``python -m data_prep.<name> ...``"""
    return [sys.executable, "-m", f"data_prep.{name}", *map(str, arguments)]


def run(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an entry point to its end."""
    return subprocess.run(
        command(name, *arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def prepared_bytes(folder: Path) -> dict[str, bytes]:
    """Content of every prepared file; the manifest, which holds the time, left out."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "manifest.json"}


def replace_published(monkeypatch: pytest.MonkeyPatch, name: str, counts: PublishedCounts) -> None:
    """Other published counts for one of WikiText's data sets."""
    known = wikitext.DATA_SETS[name]
    assert isinstance(known.corpus, partial)
    configuration, _, *rest = known.corpus.args
    corpus = partial(known.corpus.func, configuration, counts, *rest, **known.corpus.keywords)
    monkeypatch.setitem(wikitext.DATA_SETS, name, DataSet(known.rules, corpus))
