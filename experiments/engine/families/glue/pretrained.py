"""A pretrained encoder as the start of fine-tuning, and exactly which weights were new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine import checkpoints
from experiments.util.errors import UserError


@dataclass(frozen=True)
class Transfer:
    """Names of weights: taken from the checkpoint, new in the model, and of the checkpoint but without a place."""

    taken: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def text(self) -> str:
        """One line for a person."""
        return (
            f"{len(self.taken)} weights taken; new: {', '.join(self.new) or 'none'}; "
            f"not used: {', '.join(self.unused) or 'none'}"
        )


def compare(model: Mapping[str, Tensor], pretrained: Mapping[str, Tensor], path: Path) -> Transfer:
    """What a model with the weights ``model`` takes from ``pretrained``; nothing is copied.

    Raises:
        UserError: weights of the same name differ in shape, or an encoder's weight is in one of the two only.
    """
    for name in sorted(model.keys() & pretrained.keys()):
        if model[name].shape != pretrained[name].shape:
            raise UserError(
                f"{path}: {name} has the shape {tuple(pretrained[name].shape)} and this config's model "
                f"{tuple(model[name].shape)}; give the model, encoding, data and protocol that it was pretrained with"
            )
    new, unused = sorted(model.keys() - pretrained.keys()), sorted(pretrained.keys() - model.keys())
    for where, names in (("is missing in the checkpoint", new), ("has no place in this config's model", unused)):
        if stray := [name for name in names if name.startswith("encoder.")]:
            raise UserError(
                f"{path}: {stray[0]} {where}; give the model, encoding and protocol that it was pretrained with"
            )
    return Transfer(tuple(sorted(model.keys() & pretrained.keys())), tuple(new), tuple(unused))


def load_pretrained(model: nn.Module, path: Path) -> Transfer:
    """Copy the encoder's weights and buffers (drawn permutations and vectors too) into ``model``.

    Raises:
        UserError: the checkpoint cannot be read, or is of another model.
    """
    weights: dict[str, Any] = checkpoints.read(path)["model"]
    transfer = compare(model.state_dict(), weights, path)
    with torch.no_grad():
        model.load_state_dict({name: weights[name] for name in transfer.taken}, strict=False)
    return transfer
