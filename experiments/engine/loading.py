"""A trained model out of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq import checkpoint_utils, tasks
from omegaconf import DictConfig, OmegaConf, open_dict

from experiments.engine import checkpoints
from experiments.errors import UserError


def load(path: Path, data: Path | None = None) -> tuple[Any, DictConfig, Any]:
    """(model in evaluation mode, its fairseq config, its task) from a checkpoint; ``data`` replaces the data folder.

    Raises:
        UserError: the checkpoint or the data cannot be read.
    """
    state = checkpoints.read(path)
    config = OmegaConf.create(state["cfg"])
    if data is not None:
        config.task.data = str(data)
    if not (Path(config.task.data) / "dict.txt").is_file():
        raise UserError(f"no prepared data in {config.task.data}: give another folder with data=...")
    task = tasks.setup_task(config.task)
    with open_dict(config):
        config.model.compile = False
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], task=task, state={**state, "cfg": config}
    )
    return models[0].eval(), config, task


def require_split(folder: Path, split: str) -> None:
    """Refuse a split that the data does not have.

    Args:
        folder: holds ``<split>.idx``.
        split: its name.

    Raises:
        UserError: naming the splits there are.
    """
    if not (folder / f"{split}.idx").is_file():
        splits = sorted(file.stem for file in folder.glob("*.idx"))
        raise UserError(f"split={split}: not in {folder}, which has {', '.join(splits)}")
