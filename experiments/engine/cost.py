"""What a run costs: operations an update, and memory at its peak (the arithmetic of docs/plan.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from experiments.engine.families import family_of
from experiments.engine.families.base import PROBE_WORDS, Probe
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
    """What one update of a run takes, with ``samples`` in a pass of each device; None where the vocabulary is not known
    before the data is prepared."""
    of = costs(config)
    return None if of is None else of(samples)


def costs(config: DictConfig) -> Callable[[int], Cost] | None:
    """:func:`cost` as a function of the samples in a pass.

    The activations are not a formula but a measurement: models of one and of two layers run forward for one sample on
    this processor, and what autograd keeps is counted.
    """
    one, two = (_probed(config, layers) for layers in (1, 2))
    if one is None or two is None:
        return None
    layers, model_dim = config.model.num_layers, config.model.embed_dim
    kept_by_one = _kept(one)
    each = _kept(two) - kept_by_one
    around = kept_by_one - each
    half = config.recipe.precision in ("fp16", "bf16")
    per_update = config.recipe.batch_size * (two.mean_tokens or two.tokens)
    blocks = [module for module in two.model.modules() if isinstance(module, TransformerBlock)]
    flops = Flops(
        layers=TRAINING * per_update * (layers * _weight_flops(blocks[-1]) + 2 * two.input_weights),
        attention=TRAINING * per_update * layers * _attention_flops(blocks[-1], two.tokens),
        output=TRAINING * per_update * 2 * two.output_weights,
    )
    # fp16 and bf16 keep weights and gradients in half precision beside the optimizer's float32 copy and its gradient
    bytes_each = 20 if half else 16
    state = bytes_each * _parameters(config, one, two)

    def of(samples: int) -> Cost:
        rows = max(1, round(samples * two.tokens * two.scored))
        rows = min(ROWS, rows) if two.tied else rows
        memory = Memory(
            state=state,
            activations=round(samples * (layers * each + around) * (0.5 if half else 1)),
            # the table's gradient of the embedding and that of the output are two tensors until they are added
            output=rows * two.classes * (8 if half else 4) + 4 * two.words * model_dim * two.tied,
        )
        return Cost(flops, memory)

    return of


def _probed(config: DictConfig, layers: int) -> Probe | None:
    changed = cast(DictConfig, OmegaConf.create(OmegaConf.to_container(config)))
    changed.model.num_layers = layers
    return family_of(config).probe(changed)


def _kept(probe: Probe) -> int:
    """Bytes that autograd keeps of one forward pass, weights aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in probe.model.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}  # the tensors stay alive, so that no address is used twice

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept[address] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = getattr(probe.model, "features", probe.model)(probe.inputs)
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


def _parameters(config: DictConfig, one: Probe, two: Probe) -> int:
    counts = [sum(parameter.numel() for parameter in probe.model.parameters()) for probe in (one, two)]
    each = counts[1] - counts[0]
    tables = two.tables * (two.words - PROBE_WORDS) * config.model.embed_dim
    return counts[0] + (config.model.num_layers - 1) * each + tables
