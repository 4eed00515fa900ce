"""The prepared data that a config means."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from data_prep.api import TASKS, load_manifest, prepare, prepare_task
from data_prep.core.errors import DataError
from experiments.util.errors import UserError


class Unprepared(UserError):
    """The data is not there, and a person has to prepare it."""


EMBEDDED = ("pydoc", "pydoc_bpe", "digits")  # need no download, so they are prepared on first use


def data_identity(config: DictConfig) -> str:
    """The checksum of the prepared data.

    Raises:
        UserError: the data is not there, with the command that prepares it, or it is damaged.
    """
    folder = Path(config.data.folder)
    try:
        if "task" in config:
            if not (folder / "manifest.json").is_file():
                _prepare_task(config, folder)
        elif _is_embedded(config.data.name, folder) or not (folder / "manifest.json").is_file():
            _prepare(config.data.name, folder)
        return str(load_manifest(folder)["identity"])
    except DataError as error:
        raise UserError(str(error)) from error


def _is_embedded(name: str, folder: Path) -> bool:
    """Whether the data can be made here: then what is damaged, or of an earlier version, is made again."""
    return name in EMBEDDED and folder.name == name


def _prepare(name: str, folder: Path) -> None:
    if not _is_embedded(name, folder):
        raise Unprepared(
            f"no prepared data in {folder}: run  python -m data_prep.{name}  (or make data-{name}), "
            "or set data.folder, or LRPE_DATA, to where it lies"
        )
    prepare(name, out=folder.parent)


def _prepare_task(config: DictConfig, folder: Path) -> None:
    task, tokens = config.task.name, Path(config.pretraining.data.folder)
    if not TASKS[task].embedded or folder != Path(config.paths.data) / "glue" / tokens.name / task:
        raise Unprepared(
            f"no prepared data in {folder}: run  python -m data_prep.glue --task {task} --tokens {tokens}  "
            "(with --source DIR for GLUE's own folders), or set data.folder to where it lies"
        )
    if not (tokens / "manifest.json").is_file():
        _prepare(config.pretraining.data.name, tokens)
    prepare_task(task, tokens, out=Path(config.paths.data))
