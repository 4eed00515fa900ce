"""A trained model out of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from fairseq import checkpoint_utils, tasks, utils
from omegaconf import DictConfig, OmegaConf, open_dict

from data_prep.api import check
from data_prep.core.errors import DataError
from experiments.engine import checkpoints, exported
from experiments.util.errors import UserError


def read_config(path: Path) -> DictConfig:
    """The fairseq config of a checkpoint, or of a folder that ``experiments.export`` wrote.

    Raises:
        UserError: it cannot be read.
    """
    return (
        exported.config_of(path) if path.is_dir() else cast(DictConfig, OmegaConf.create(checkpoints.read(path)["cfg"]))
    )


def load(path: Path, data: Path | None = None, *, prepared: bool = True) -> tuple[Any, DictConfig, Any]:
    """(model in evaluation mode, its fairseq config, its task) from a checkpoint.

    Args:
        path: the checkpoint, or a folder that ``experiments.export`` wrote.
        data: replaces the data folder.
        prepared: look at the prepared data, which an evaluation on other files does without.

    Raises:
        UserError: the checkpoint or the data cannot be read.
    """
    if path.is_dir():
        return _load_exported(path, data, prepared)
    state = checkpoints.read(path)
    config = cast(DictConfig, OmegaConf.create(state["cfg"]))
    if data is not None:
        config.task.data = str(data)
    if prepared:
        verify_data(Path(config.task.data))
    task = tasks.setup_task(config.task)
    with open_dict(config):
        config.model.compile = False
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], task=task, state={**state, "cfg": config}
    )
    return models[0].eval(), config, task


def _load_exported(path: Path, data: Path | None, prepared: bool) -> tuple[Any, DictConfig, Any]:
    config = exported.config_of(path)
    with open_dict(config):
        config.task.data = str(exported.data_folder(path, data) if prepared else data or path)
        config.model.compile = False
    if prepared:
        verify_data(Path(config.task.data))
    task = tasks.setup_task(config.task)
    model = task.build_model(config.model)
    exported.fill(model, path)
    return model.eval(), config, task


def prepare_model(model: Any, config: DictConfig, cuda: bool) -> None:
    """Give a loaded model the device and the dtype in which its run validated: fp16 and bf16 validate in their dtype,
    amp and fp32 in float32. On a CPU fp16 becomes float32, which holds the same weights.

    Args:
        model, config: as :func:`load` returns them.
        cuda: on the GPU.
    """
    if cuda:
        model.cuda()
    if config.common.bf16:
        model.to(dtype=torch.bfloat16)
    elif config.common.fp16 and cuda:
        model.half()


def verify_data(folder: Path) -> dict[str, Any]:
    """The manifest of prepared data that is as it was prepared.

    Raises:
        UserError: it is missing or damaged; the message names the file.
    """
    try:
        return check(folder)
    except DataError as error:
        raise UserError(f"{error} (data=... names another folder)") from error


def batches(model: Any, config: DictConfig, task: Any, split: str, samples: int | None, cuda: bool) -> Iterator[Any]:
    """The batches of a split for evaluation, on the model's device; a data set's epoch stays that of validation.

    Args:
        model, config, task: as :func:`load` returns them.
        split: of the prepared data.
        samples: sequences at once; None: as many as in training.
        cuda: move the model and the batches to the GPU.
    """
    prepare_model(model, config, cuda)
    task.load_dataset(split)
    iterator = task.get_batch_iterator(
        dataset=task.dataset(split),
        max_sentences=samples or config.dataset.batch_size_valid or config.dataset.batch_size,
        max_positions=utils.resolve_max_positions(task.max_positions(), model.max_positions()),
        required_batch_size_multiple=1,
        epoch=1,
    ).next_epoch_itr(shuffle=False, set_dataset_epoch=False)
    return map(utils.move_to_cuda, iterator) if cuda else iter(iterator)


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
