"""Which parameters weight decay should leave alone: frequencies and offsets of positions, whose size has a meaning."""

from __future__ import annotations

from torch import nn


def no_weight_decay(module: nn.Module) -> set[str]:
    """The names, as of ``module.named_parameters()``, that a class of its parts lists in ``spared_from_decay``.

    The classes say it, not the tensors: so it holds for a deep copy, an :class:`~torch.optim.swa_utils.AveragedModel`,
    a pickle, and after ``load_state_dict(assign=True)``.
    """
    found = set()
    for prefix, part in module.named_modules():
        own = dict(part.named_parameters(recurse=False))
        spared = (name for name in getattr(part, "spared_from_decay", ()) if name in own)
        found |= {f"{prefix}.{name}" if prefix else name for name in spared}
    return found


class DecaySparing(nn.Module):
    """A module that tells its optimizer what to spare, as timm's models do."""

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay should leave alone; see :func:`no_weight_decay`."""
        return no_weight_decay(self)
