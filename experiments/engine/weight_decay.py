"""Which parameters weight decay leaves alone."""

from __future__ import annotations

from torch import nn

from lrpe import no_weight_decay


def spare(parameter: nn.Parameter) -> None:
    """Mark one parameter, as fairseq's optimizers look for it."""
    parameter.optim_overrides = {"optimizer": {"weight_decay": 0.0}}  # pyright: ignore[reportAttributeAccessIssue]


def spare_from_decay(model: nn.Module) -> None:
    """Mark angles and norms so that the optimizer leaves their size alone (``protocol=controlled``)."""
    norms = (nn.LayerNorm, nn.RMSNorm)
    spared = no_weight_decay(model)
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, norms) or f"{prefix}.{name}" in spared:
                spare(parameter)
