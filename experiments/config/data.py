"""The prepared data that a config means."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from data_prep.api import DATASETS, TASKS, load_manifest, prepare, prepare_task
from data_prep.core.errors import DataError
from experiments.util.errors import UserError


class Unprepared(UserError):
    """The data is not there."""


def data_identity(config: DictConfig) -> str:
    """The checksum of the prepared data, which has to be there: nothing is prepared (:func:`ensure_data`).

    Raises:
        Unprepared: it is not there; the message says how to prepare it.
        UserError: it is damaged.
    """
    folder = Path(config.data.folder)
    if not _is_prepared(folder):
        raise Unprepared(f"no prepared data in {folder}: {_remedy(config)}")
    try:
        return str(load_manifest(folder)["identity"])
    except DataError as error:
        raise UserError(str(error)) from error


def ensure_data(config: DictConfig) -> None:
    """Prepare embedded data where it is missing, damaged or of an earlier version; other data has to be there.

    Raises:
        Unprepared: other data is not there; the message says how to prepare it.
        UserError: the data cannot be prepared here.
    """
    folder = Path(config.data.folder)
    try:
        if "task" in config:
            tokens = Path(config.pretraining.data.folder)
            embedded = _is_embedded(config.pretraining.data.name, tokens)
            if embedded and (config.pretraining.start == "run" or not _is_prepared(tokens)):
                prepare(config.pretraining.data.name, out=tokens.parent)
            if _is_embedded_task(config) and _is_prepared(tokens) and not _is_prepared(folder):
                prepare_task(config.task.name, tokens, out=Path(config.paths.data))
        elif _is_embedded(config.data.name, folder):
            prepare(config.data.name, out=folder.parent)
    except DataError as error:
        raise UserError(str(error)) from error
    data_identity(config)


def _is_prepared(folder: Path) -> bool:
    return (folder / "manifest.json").is_file()


def _is_embedded(name: str, folder: Path) -> bool:
    return name in DATASETS and DATASETS[name].embedded and folder.name == name


def _is_embedded_task(config: DictConfig) -> bool:
    task, tokens = config.task.name, Path(config.pretraining.data.folder)
    return TASKS[task].embedded and Path(config.data.folder) == Path(config.paths.data) / "glue" / tokens.name / task


def _remedy(config: DictConfig) -> str:
    """How the data comes to be there."""
    if "task" not in config:
        name = config.data.name
        if _is_embedded(name, Path(config.data.folder)):
            return "the first run prepares it"
        return f"run  python -m data_prep.{name}  (or make data-{name}), or set data.folder to where it lies"
    task, tokens = config.task.name, Path(config.pretraining.data.folder)
    if not _is_prepared(tokens) and not _is_embedded(config.pretraining.data.name, tokens):
        name = config.pretraining.data.name
        first = f"its tokens are those of {tokens}, which is not there either: run  python -m data_prep.{name}  first, "
    else:
        first = ""
    if _is_embedded_task(config):
        return f"{first}then the first run prepares it" if first else "the first run prepares it"
    return (
        f"{first}run  python -m data_prep.glue --task {task} --tokens {tokens}  (with --source DIR for GLUE's own "
        "folders), or set data.folder to where it lies"
    )
