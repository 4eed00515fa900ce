"""Which parameters weight decay leaves alone."""

from __future__ import annotations

from torch import nn


def spare_from_decay(model: nn.Module) -> None:
    """Mark angles and norms so that the optimizer leaves their size alone (DESIGN section 5, ``controlled``)."""
    norms = (nn.LayerNorm, nn.RMSNorm)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if isinstance(module, norms) or getattr(parameter, "no_weight_decay", False):
                parameter.optim_overrides = {"optimizer": {"weight_decay": 0.0}}
