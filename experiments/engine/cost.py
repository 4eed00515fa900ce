"""What a run costs: operations an update, and memory at its peak (the arithmetic of docs/plan.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from experiments.engine.families import family_of
from experiments.engine.families.base import PROBE_WORDS
from experiments.engine.vocabulary import expected_vocabulary_size
from lrpe import LinearAttention
from lrpe.attention.layer import AttentionLayer
from lrpe.models.block import TransformerBlock
from lrpe.ops.linear_cross_entropy import ROWS

TRAINING = 3  # the backward pass has two products for each of the forward pass


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one update, forward and backward: a multiplication and an addition are two.

    Attributes:
        layers: products with weights: projections and feed-forward.
        attention: products of activations with activations.
        output: the output layer over the vocabulary.
    """

    layers: float
    attention: float
    output: float

    @property
    def total(self) -> float:
        return self.layers + self.attention + self.output


@dataclass(frozen=True)
class Memory:
    """Bytes on each device at the peak of an update.

    Attributes:
        state: weights, gradients and the optimizer's moments.
        activations: what the layers keep for the backward pass, for every sample of a pass.
        output: a block of logits, and the gradient of the output's weight.
    """

    state: int
    activations: int
    output: int

    @property
    def total(self) -> int:
        return self.state + self.activations + self.output


@dataclass(frozen=True)
class Cost:
    """Of a run: :class:`Flops` an update over all devices, :class:`Memory` a device."""

    flops: Flops
    memory: Memory


def cost(config: DictConfig, samples: int) -> Cost | None:
    """What one update of a run takes, with ``samples`` in a pass of each device; None for a family without a probe, or
    where the vocabulary is not known before the data is prepared.

    The activations are not a formula but a measurement: models of one and of two layers run forward for one sequence
    on this processor, and what autograd keeps is counted.
    """
    family = family_of(config)
    words = expected_vocabulary_size(config.data.name, Path(config.data.folder))
    if words is None or family.probe(config) is None:
        return None
    one, two = (_probed(config, layers) for layers in (1, 2))
    (model, tokens), layers = two, config.model.num_layers
    kept_by_one = _kept(*one)
    each = _kept(model, tokens) - kept_by_one
    around = kept_by_one - each
    width = 2 if config.recipe.precision in ("fp16", "bf16") else 4
    length, model_dim = tokens.shape[1], config.model.embed_dim
    per_update = config.recipe.batch_size * length
    blocks = [module for module in model.modules() if isinstance(module, TransformerBlock)]
    scored = config.recipe.get("mask_probability", 1.0)
    cutoffs = list(config.model.get("adaptive_cutoffs") or [])
    classes = cutoffs[0] + len(cutoffs) if cutoffs else words
    flops = Flops(
        layers=TRAINING * per_update * layers * _weight_flops(blocks[-1]),
        attention=TRAINING * per_update * layers * _attention_flops(blocks[-1], length),
        output=TRAINING * per_update * scored * 2 * model_dim * classes,
    )
    parameters = _parameters(config, words, two[0], one[0])
    # fp16 and bf16 keep weights and gradients in half precision beside the optimizer's float32 copy and its gradient
    bytes_each = 16 if width == 4 else 20
    rows = min(ROWS, max(1, round(samples * length * scored)))
    block = rows * classes * (4 if width == 4 else 8)
    # the table's gradient of the embedding and that of the output are two tensors until they are added
    memory = Memory(
        state=bytes_each * parameters,
        activations=round(samples * (layers * each + around) * width / 4),
        output=block + 4 * words * model_dim,
    )
    return Cost(flops, memory)


def _probed(config: DictConfig, layers: int) -> tuple[Callable[..., Tensor] | nn.Module, Tensor]:
    changed = OmegaConf.create(OmegaConf.to_container(config))
    changed.model.num_layers = layers
    found = family_of(config).probe(changed)
    assert found is not None
    return found


def _kept(model: nn.Module, tokens: Tensor) -> int:
    """Bytes that autograd keeps of one forward pass, weights aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}  # the tensors stay alive, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept[address] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = getattr(model, "features", model)(tokens)
    del out
    return sum(size for size, _ in kept.values())


def _weight_flops(block: nn.Module) -> int:
    """Of one token, forward: two a weight of every linear layer."""
    return sum(2 * module.weight.numel() for module in block.modules() if isinstance(module, nn.Linear))


def _attention_flops(block: nn.Module, length: int) -> float:
    """Of one token, forward, by :func:`lrpe.ops.linear_attention`'s chunked form, or softmax over all keys."""
    layer = next(module for module in block.modules() if isinstance(module, AttentionLayer))
    heads, head = layer.num_heads, layer.embed_dim // layer.num_heads
    if not isinstance(layer, LinearAttention):
        return 4.0 * heads * head * length
    encoded = layer.encoding.output_dim
    state = 4 * encoded * head  # into the state and out of it
    within = 2 * layer.chunk_size * (encoded + head) if layer.causal else 0
    return float(heads * (state + within))


def _parameters(config: DictConfig, words: int, two: nn.Module, one: nn.Module) -> int:
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (one, two)]
    each = counts[1] - counts[0]
    tables = 1 if config.model.get("share_input_output", True) else 2
    return counts[0] + (config.model.num_layers - 1) * each + tables * (words - PROBE_WORDS) * config.model.embed_dim
