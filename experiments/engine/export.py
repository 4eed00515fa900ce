"""Write a finished run's model in the library's format."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from data_prep.api import TASKS
from data_prep.core.errors import DataError
from data_prep.text.bpe import FILES as BPE_FILES
from data_prep.text.tokens import DICTIONARY, FACTS, save_tokens
from experiments.engine import (
    checkpoints,
    exported,
    families,  # noqa: F401 - registers what checkpoints are made of
    loading,
)
from experiments.runs.checkpoint import BEST
from experiments.runs.records import Record
from experiments.runs.store import StoredRun
from experiments.sharing.card import License, model_card
from experiments.util.errors import UserError
from lrpe.models.pretrained import CONFIG, WEIGHTS, read_config

CARD = "README.md"


def export(run: StoredRun, record: Record, to: Path, license: License, data: Path | None = None) -> list[str]:
    """Write the best checkpoint of a finished run to ``to``, which appears whole or not at all.

    Args:
        run, record: the run and its record.
        to: an earlier export there is replaced.
        license: of the weights.
        data: the prepared data, where it is not where the run found it.

    Returns:
        The names of the files.

    Raises:
        UserError: checkpoint or data are missing or damaged, the data is another, or ``to`` holds something else.
    """
    _refuse_foreign(to)
    config = run.config()
    folder = data or Path(config["data"]["folder"])
    checkpoints.install()
    path = run.folder / BEST
    if not path.is_file():
        raise UserError(f"{path} is missing (pruned?); a run is exported from its best checkpoint")
    known = record["manifest"]["data"]
    if (found := loading.verify_data(folder)["identity"]) != known["identity"]:
        raise UserError(f"{folder} holds data {found[:12]}, and {run.folder} was trained on {known['identity'][:12]}")
    model, fairseq, _ = loading.load(path, folder)
    library = model.library_model()
    partial = to.with_name(f".{to.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        described = exported.described(fairseq, known, _below_root(config))
        library.save_pretrained(partial, **described, **_labels(record, fairseq))
        _save_words(config, folder, partial)
        _check(library, partial)
        files = sorted(path.name for path in (*partial.iterdir(), partial / CARD))
        card = model_card(record, config, read_config(partial), files, license, to.name)
        (partial / CARD).write_text(card, encoding="utf-8")
        shutil.rmtree(to, ignore_errors=True)
        partial.rename(to)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return files


def _refuse_foreign(to: Path) -> None:
    if not to.exists():
        return
    try:
        names = {path.name for path in to.iterdir()}
        if names:
            read_config(to)
    except (OSError, ValueError):
        raise UserError(f"to={to}: something else is there; give another folder") from None
    own = {CONFIG, WEIGHTS, CARD, DICTIONARY, FACTS, *BPE_FILES}
    if stray := sorted(names - own):
        raise UserError(f"to={to}: {stray[0]} is there beside an earlier export; move it, or give another folder")


def _labels(record: Record, fairseq: DictConfig) -> dict[str, Any]:
    """What the outputs of a classifier mean, by number."""
    if "classes" in fairseq.task:
        return {"labels": json.loads(fairseq.task.classes)}
    return {"labels": list(TASKS[record["run"]["task"]].labels)} if "task" in record["run"] else {}


def _below_root(config: Mapping[str, Any]) -> str:
    """The data's folder below the root of prepared data, where it lies there; else its name."""
    relative = os.path.relpath(config["data"]["folder"], config["paths"]["data"])
    return config["data"]["name"] if relative.startswith("..") else Path(relative).as_posix()


def _save_words(config: Mapping[str, Any], folder: Path, out: Path) -> None:
    """The vocabulary, of text: that of the corpus, by which a sentence task is tokenized too."""
    if not (folder / DICTIONARY).is_file():
        return
    corpus = Path(config["pretraining"]["data"]["folder"]) if "pretraining" in config else folder
    try:
        save_tokens(corpus, out)
    except DataError as error:
        raise UserError(str(error)) from error


def _check(library: Any, folder: Path) -> None:
    """The written weights are those of the model, bit for bit."""
    again = type(library).from_pretrained(folder).state_dict()
    for name, weight in library.state_dict().items():
        if not torch.equal(weight, again[name]):
            raise RuntimeError(f"{folder}: {name} came back otherwise than it was written")
