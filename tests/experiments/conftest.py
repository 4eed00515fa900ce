"""A small prepared corpus, and the overrides that make a run of seconds."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.api import prepare
from tests import entry_points

ROOT = Path(__file__).resolve().parents[2]
WORDS = [f"word{index}" for index in range(60)]

SMALL = [
    "tracker=disabled",
    "engine.device=cpu",
    "engine.threads=1",
    "engine.log_interval=1",
    "model.num_layers=2",
    "model.embed_dim=32",
    "model.ffn_dim=64",
    "model.num_heads=2",
    "recipe.batch_size=4",
    "recipe.max_update=12",
    "recipe.warmup_updates=4",
    "recipe.validate_interval_updates=4",
]
TINY = [*SMALL, "data=wikitext2", "recipe.tokens_per_sample=32"]
TINY_BLM = ["experiment=blm", *TINY, "engine.samples_per_device=4"]
TINY_GLUE = [
    "experiment=glue",
    *SMALL,
    "engine.samples_per_device=4",
    "recipe.max_length=24",
    "data@pretraining.data=wikitext2",
    *(f"pretraining.{word}" for word in TINY if word.startswith("recipe.")),
]


def write_corpus(folder: Path, lines: int = 120) -> Path:
    """Token files in WikiText's layout: sentences in which each word depends on the one two places before it."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(0)
    for split, count in (("train", lines), ("valid", lines // 6), ("test", lines // 6)):
        with (folder / f"wiki.{split}.tokens").open("w", encoding="utf-8") as file:
            for _ in range(count):
                words = draw.choices(range(60), k=2)
                for _ in range(draw.randrange(4, 16)):
                    words.append((words[-2] * 7 + draw.randrange(3)) % 60)
                file.write(" ".join(WORDS[word] for word in words) + " \n")
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root (LRPE_DATA) that holds a small corpus under the name wikitext2."""
    folder = tmp_path_factory.mktemp("data")
    prepare("wikitext2", out=folder, source=write_corpus(folder / "source"), allow_other_counts=True)
    return folder


def environment(data: Path, results: Path) -> dict[str, str]:
    """The environment of an entry point under test."""
    return {**os.environ, "LRPE_DATA": str(data), "LRPE_RESULTS": str(results), "OMP_NUM_THREADS": "1"}


def run_train(
    data: Path, results: Path, *overrides: str, launcher: tuple[str, ...] = (), check: bool = True
) -> subprocess.CompletedProcess[str]:
    """``python -m experiments.train`` on the small corpus, as a user would run it."""
    return run_module("experiments.train", data, results, *TINY, *overrides, launcher=launcher, check=check)


def run_module(
    module: str, data: Path, results: Path, *words: str, launcher: tuple[str, ...] = (), check: bool = True
) -> subprocess.CompletedProcess[str]:
    """``python -m module words...``; with ``check``, a failure fails the test and shows what it said."""
    command = [sys.executable, *launcher, "-m", module, *words]
    env = environment(data, results)
    if launcher:
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    else:
        done = entry_points.run(module, words, ROOT, env, timeout=300)
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


def only_run(results: Path, experiment: str = "*") -> Path:
    """The one run folder below ``results``, or the one of an experiment."""
    (record,) = results.glob(f"runs/{experiment}/*/seed*/record.json")
    return record.parent
