"""A text of WikiText-103's size: flat memory, and minutes on one core."""

from __future__ import annotations

import resource
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from data_prep.api import load_manifest
from tests.data_prep.support import ROOT, command, write_source

WORDS = 101_425_671
TYPES = 267_733
WORDS_PER_LINE = 57


def write_zipf(path: Path, words: int) -> None:
    """Words whose counts fall as 1 / rank, a part of them not ASCII."""
    draw = np.random.default_rng(0)
    names = np.array([f"w{rank:x}" + ("é" if rank % 50 == 0 else "") for rank in range(TYPES)], dtype=object)
    weights = np.cumsum(1 / np.arange(1, TYPES + 1))
    with path.open("w", encoding="utf-8") as file:
        for start in range(0, words, 2_000_000):
            count = min(2_000_000, words - start)
            found = np.searchsorted(weights, draw.random(count) * weights[-1])
            text = names[np.minimum(found, TYPES - 1)].tolist()
            file.writelines(f" {' '.join(text[at : at + WORDS_PER_LINE])} \n" for at in range(0, count, WORDS_PER_LINE))


@pytest.mark.slow
def test_a_hundred_million_words(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source")
    write_zipf(source / "wiki.train.tokens", WORDS)
    started = time.monotonic()
    arguments = command("wikitext103", "--source", source, "--out", tmp_path, "--allow-other-counts")
    subprocess.run(arguments, cwd=ROOT, check=True)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{seconds:.0f} s, peak {peak / 2**20:.0f} MiB")
    manifest = load_manifest(tmp_path / "wikitext103")
    counts = manifest["splits"]["train"]
    assert counts["tokens"] - counts["lines"] == WORDS
    assert manifest["vocabulary"] > 260_000
    assert peak < 2 << 30
    assert seconds < 360
