"""The positional kernel of encodings as they were trained."""

from __future__ import annotations

from pathlib import Path

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from experiments.engine import checkpoints
from experiments.engine.families import family_of
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping
from lrpe.encodings.base import Encoding


def trained_kernels(folder: Path, distances: int) -> Tensor:
    """:func:`kernel` of every layer of a run's best checkpoint, the mean over its heads: Float64[layers distances].

    Raises:
        UserError: the config, the data or the checkpoint cannot be read, or does not fit the others.
    """
    encodings = trained_encodings(folder)
    if not encodings:
        raise UserError(f"the model of {folder} has no positional encoding in its attention")
    return torch.stack([kernel(encoding, distances).mean(0) for encoding in encodings])


def trained_encodings(folder: Path) -> list[Encoding]:
    """The encodings of a run's layers with the weights of its best checkpoint."""
    checkpoints.install()
    state = checkpoints.read(folder / "checkpoints" / checkpoints.BEST)
    weights = state["model"]
    config = OmegaConf.create(read_mapping(folder / "config.yaml"))
    if not Path(config.data.folder).is_dir():  # relative to where it was trained; fairseq has the whole path
        config.data.folder = state["cfg"]["task"].get("data", config.data.folder)
    try:
        model = family_of(config).build(config)
    except (KeyError, OSError, OmegaConfBaseException) as error:
        raise UserError(f"the model of {folder} cannot be built ({type(error).__name__}: {error})") from error
    encodings = encodings_of(model)
    for name, encoding in encodings.items():
        # fairseq's models hold the library's under a prefix of theirs
        own = {key.partition(f"{name}.")[2]: value for key, value in weights.items() if f".{name}." in f".{key}"}
        try:
            encoding.load_state_dict(own)
        except RuntimeError as error:
            raise UserError(f"{folder}: the checkpoint does not fit its config at {name}") from error
    return list(encodings.values())


def encodings_of(model: nn.Module) -> dict[str, Encoding]:
    """The encodings of a model's layers by their names; an encoding that is a part of another is left out."""
    found: dict[str, Encoding] = {}
    for name, module in model.named_modules():
        if isinstance(module, Encoding) and not any(name.startswith(f"{outer}.") for outer in found):
            found[name] = module
    return found


@torch.no_grad()
def kernel(encoding: Encoding, distances: int) -> Tensor:
    """w(d) / w(0), w(d) = g^d tr(M_0^H M_d) / head_dim = g^d tr(W_d) / head_dim for d = 0..distances-1.

    The trace is the mean over unit features: what a query and an equal key d positions before it score, on average
    over all directions, and so what is left when the content is averaged out. It does not depend on the projection P,
    which the trace's cycle removes. g is the decay of the head. An encoding that is no linear map gives the
    expectation over its noise; on several axes d moves along the last.

    Returns:
        Float64[heads distances], 1 at d = 0.
    """
    values = encoding.positional_kernel(distances)
    if encoding.log_decay is not None:
        values = values * torch.exp(encoding.log_decay.double()[:, None] * torch.arange(distances))
    return values / values[:, :1]
