"""What fairseq expects of older libraries and current ones no longer have; and its silence while it is imported."""

from __future__ import annotations

import logging
import warnings
from types import SimpleNamespace

import numpy as np

LOGGER = logging.getLogger("fairseq")


def install() -> None:
    """While imported, fairseq names optional packages that none of our tasks needs; a run's log hears it again.

    fairseq's line-by-line blocks (``sample_break_mode=eos``) use ``np.compat.long``, which numpy 2 removed."""
    LOGGER.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="'pin_memory' argument is set as true")  # its loaders ask for it on a CPU
    if not hasattr(np, "compat"):
        np.compat = SimpleNamespace(long=int)
