"""What fairseq expects of older libraries and current ones no longer have."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


def install() -> None:
    """fairseq's line-by-line blocks (``sample_break_mode=eos``) use ``np.compat.long``, which numpy 2 removed."""
    if not hasattr(np, "compat"):
        np.compat = SimpleNamespace(long=int)
