"""A task of MNLI's size in flat memory."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from data_prep.api import load_manifest
from tests.data_prep.support import ROOT, command

from .support import HEADERS, SENTENCES, row, write_task

ROWS = 400_000


@pytest.mark.slow
def test_four_hundred_thousand_pairs(tmp_path: Path, pydoc_bpe: Path) -> None:
    source = write_task(tmp_path / "glue", "mnli")
    labels = ("entailment", "neutral", "contradiction")
    pair = (" ".join(SENTENCES * 3), " ".join(SENTENCES))
    with (source / "MNLI" / "train.tsv").open("w", encoding="utf-8") as file:
        file.write(f"{HEADERS['mnli'][0]}\n")
        file.writelines(row("mnli", "train", at, pair, labels[at % 3]) for at in range(ROWS))
    arguments = ["--task", "mnli", "--tokens", pydoc_bpe, "--source", source, "--out", tmp_path]
    subprocess.run(command("glue", *arguments, "--allow-other-counts"), cwd=ROOT, check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"peak {peak / 2**20:.0f} MiB")
    assert load_manifest(tmp_path / "glue" / "pydoc_bpe" / "mnli")["splits"]["train"]["rows"] == ROWS
    assert peak < 512 << 20
