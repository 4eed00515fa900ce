"""Checkpoints that survive a kill, and that torch reads without running code from them."""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.logging import meters
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode

from experiments.engine import patches
from experiments.util.errors import UserError
from experiments.util.files import partial_path, replacing

LAST, BEST = "checkpoint_last.pt", "checkpoint_best.pt"


def install() -> None:
    """Allow-list the plain data classes that fairseq stores, so that torch's weights_only loading (the default since
    torch 2.6, and left on) reads its checkpoints; and make fairseq's copies of a checkpoint atomic."""
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            DictConfig,
            ListConfig,
            ContainerMetadata,
            Metadata,
            AnyNode,
            Any,
            dict,
            list,
            tuple,
            int,
            float,
            meters.AverageMeter,
            meters.TimeMeter,
            meters.StopwatchMeter,
            meters.MetersDict,
            np.dtype,
            np._core.multiarray.scalar,  # pyright: ignore[reportAttributeAccessIssue] - where pickles name it
            np.dtypes.Float64DType,
            np.dtypes.Float32DType,
            np.dtypes.Int64DType,
        ]
    )
    patches.replace_checkpoint_files(write, _copy_atomically)


def write(state: dict[str, Any], filename: str, async_write: bool = False) -> None:
    """Write a checkpoint whole, on the disk and not only in memory, or leave the old one.

    Raises:
        OSError: it could not be written; nothing of it is left.
    """
    try:
        with replacing(Path(filename)) as file:
            torch.save(state, file)
    except RuntimeError as error:  # torch's writer hides the disk's reason
        reason = (str(error).splitlines() or [""])[0]
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}? {reason}", filename) from error


def _copy_atomically(src_path: str, dst_path: str, overwrite: bool = False) -> bool:
    """fairseq writes one checkpoint and copies it to its other names; a kill inside such a copy must leave the old one.

    A hard link costs nothing, and is safe because fairseq never writes into an existing checkpoint but replaces it.
    """
    if os.path.exists(dst_path) and not overwrite:
        return False
    partial = partial_path(Path(dst_path))
    partial.unlink(missing_ok=True)
    try:
        os.link(src_path, partial)
    except OSError:
        shutil.copyfile(src_path, partial)
    os.replace(partial, dst_path)
    return True


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU, by torch's safe loading.

    Raises:
        UserError: missing, truncated, or holding objects that are not on the allow-list.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}: give the path of a .pt file, e.g. <run folder>/checkpoints/{BEST}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises pickle, zip, runtime and key errors for what cannot be read
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot read the checkpoint {path}: {reason}") from error


def updates(state: dict[str, Any]) -> int:
    """The number of updates behind a checkpoint."""
    return int(state["optimizer_history"][-1]["num_updates"])


def newest_readable(folder: Path) -> tuple[Path, int] | None:
    """The newest checkpoint of a run that can be read, with its number of updates; None where there is none at all.

    Raises:
        UserError: there are checkpoints and none can be read.
    """
    if not folder.is_dir():
        return None
    numbered = sorted(
        (path for path in folder.glob("checkpoint_*_*.pt") if re.fullmatch(r"checkpoint_\d+_\d+\.pt", path.name)),
        key=lambda path: int(path.stem.split("_")[2]),
        reverse=True,
    )
    failures = []
    for path in [folder / LAST, *numbered]:
        if path.is_file():
            try:
                return path, updates(read(path))
            except UserError as error:
                failures.append(str(error))
    if failures:
        raise UserError(
            f"{failures[0]}. None of the {len(failures)} checkpoints in {folder} is readable; "
            "remove the folder to start this run anew"
        )
    return None
