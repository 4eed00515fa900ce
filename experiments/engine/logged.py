"""Numbers that a criterion logs."""

from __future__ import annotations

from typing import Any

import torch


def number(value: Any) -> Any:
    """In double precision: Python's, except of a GPU's tensor, which stays there until it is shown, because reading it
    would wait for all that was given to the GPU before."""
    if torch.is_tensor(value) and value.device.type != "cpu":
        return value.double()
    return float(value)
