"""The denominators of linear attention that are near zero, as a rate in the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from fairseq.logging import metrics

from lrpe import LinearAttention

RATE = "clamped_denominators"
_CLAMPED, _ALL = "clamped_denominators", "all_denominators"  # among what a criterion logs, which is summed over devices


class Denominators:
    """What the layers of a model have counted since it was last taken; nothing where none of them divides."""

    def __init__(self, model: torch.nn.Module) -> None:
        layers = (module for module in model.modules() if isinstance(module, LinearAttention))
        self._layers = [layer for layer in layers if layer.clamped is not None]

    def take(self, logged: dict[str, Any]) -> None:
        """Move the counts to what a criterion logs of one pass; they stay on their device."""
        if not self._layers:
            return
        counts = [layer.clamped for layer in self._layers if layer.clamped is not None]
        logged[_CLAMPED], logged[_ALL] = torch.stack(counts).sum(0).unbind()
        for count in counts:
            count.zero_()


def log_rate(logged: Sequence[dict[str, Any]]) -> None:
    """Log :data:`RATE`, from 0 to 1, of the passes of one update, for fairseq to average until the next row."""
    if logged and _ALL in logged[0]:
        clamped, every = (sum(passed[name] for passed in logged) for name in (_CLAMPED, _ALL))
        metrics.log_scalar(RATE, clamped / every)
