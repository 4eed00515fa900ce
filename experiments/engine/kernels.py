"""The positional kernel of encodings as they were trained."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from experiments.engine import checkpoints
from experiments.engine.evaluation import load
from experiments.engine.run import quiet
from experiments.errors import UserError
from lrpe.encodings.base import Encoding
from lrpe.encodings.spe import SPE


def trained_kernels(checkpoint: Path, distances: int, data: Path | None = None) -> Tensor:
    """:func:`kernel` of every layer of a checkpoint, the mean over its heads: Float64[layers distances].

    Raises:
        UserError: the checkpoint or its data's dictionary cannot be read, or the model has no encodings.
    """
    quiet()
    checkpoints.install()
    model, _, _ = load(checkpoint, data)
    encodings = [module for module in model.modules() if isinstance(module, Encoding)]
    if not encodings:
        raise UserError(f"the model of {checkpoint} has no positional encoding in its attention")
    return torch.stack([kernel(encoding, distances).mean(0) for encoding in encodings])


@torch.no_grad()
def kernel(encoding: Encoding, distances: int) -> Tensor:
    """w(d) / w(0), w(d) = g^d tr(M_0^H M_d) / head_dim = g^d tr(W_d) / head_dim for d = 0..distances-1.

    The trace is the mean over unit features: what a query and an equal key d positions before it score, on average
    over all directions, and so what is left when the content is averaged out. It does not depend on the projection P,
    which the trace's cycle removes. g is the decay of the head. An encoding that is no linear map (SPE) gives the
    expectation over its noise; on several axes d moves along the last.

    Returns:
        Float64[heads distances], 1 at d = 0.
    """
    if isinstance(encoding, SPE):
        places = torch.arange(distances)
        seen = places if encoding.axis == "sequence" else torch.zeros_like(places)
        values = encoding.kernel(seen).mean(1)
    else:
        start = encoding.matrix([0] * encoding.ndim)
        values = torch.stack(
            [
                (start * encoding.matrix([*[0] * (encoding.ndim - 1), place])).sum((-2, -1))
                for place in range(distances)
            ],
            dim=-1,
        )
    if encoding.log_decay is not None:
        values = values * torch.exp(encoding.log_decay.double()[:, None] * torch.arange(distances))
    return values / values[:, :1]
