"""What fairseq expects of older libraries or of a GPU, and its silence while it is imported."""

from __future__ import annotations

import logging
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

LOGGER = logging.getLogger("fairseq")


def install() -> None:
    """While imported, fairseq names optional packages that none of our tasks needs; a run's log hears it again.

    fairseq's line-by-line blocks (``sample_break_mode=eos``) use ``np.compat.long``, which numpy 2 removed; its loaders
    ask for pinned memory on a CPU too; and its processes exchange objects through a GPU's memory."""
    LOGGER.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="'pin_memory' argument is set as true")
    if not hasattr(np, "compat"):
        np.compat = SimpleNamespace(long=int)
    if not torch.cuda.is_available():
        from fairseq.distributed import utils

        utils.all_gather_list = _gather


def _gather(data: Any, group: Any = None, max_size: int = 0) -> list[Any]:
    """The ``data`` of every process, in the order of their ranks; of any size."""
    gathered: list[Any] = [None] * torch.distributed.get_world_size(group)
    torch.distributed.all_gather_object(gathered, data, group=group)
    return gathered
