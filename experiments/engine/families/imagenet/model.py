"""``lrpe_vit``: the library's vision transformer as a fairseq model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from experiments.engine.model_fields import AttentionFields, library_config
from lrpe.encodings.parts.precision import PreciseModule
from lrpe.models import VisionConfig, VisionTransformer


@dataclass
class LRPEVisionConfig(AttentionFields):
    """The fields of :class:`lrpe.models.VisionConfig` as fairseq can carry them; dictionaries travel as JSON."""

    image_size: int = field(default=224, metadata={"help": "pixels of training images"})
    patch_size: int = field(default=16, metadata={"help": "pixels of a patch"})
    num_layers: int = field(default=12, metadata={"help": "blocks"})
    embed_dim: int = field(default=384, metadata={"help": "width of the model"})
    ffn_dim: int = field(default=1536, metadata={"help": "width of the feed-forward layer"})
    num_heads: int = field(default=6, metadata={"help": "attention heads"})
    dropout: float = field(default=0.0, metadata={"help": "dropout of embeddings and residual branches"})
    drop_path: float = field(default=0.1, metadata={"help": "stochastic depth"})
    drop_path_schedule: str = field(default="linear", metadata={"help": "linear or constant"})
    pooling: str = field(default="mean", metadata={"help": "mean or class_token"})
    absolute_std: float = field(default=0.02, metadata={"help": "start of learned positions"})
    query_bias: bool = field(default=True, metadata={"help": "bias of the query, key and value projections"})
    denominator_from: str = field(default="encoded", metadata={"help": "encoded or plain"})
    denominator_eps: float = field(default=1e-6, metadata={"help": "smallest denominator"})
    initialization: str = field(default="truncated_normal", metadata={"help": "truncated_normal or torch"})
    decay_positions: bool = field(default=False, metadata={"help": "weight decay on learned positions too"})
    average_decay: float = field(default=0.0, metadata={"help": "exponential moving average of the weights; 0: none"})


def vision_config(cfg: Any, num_classes: int) -> VisionConfig:
    """The library's config from fairseq's (a :class:`LRPEVisionConfig` or an equal DictConfig)."""
    return library_config(VisionConfig, cfg, num_classes=num_classes)


@register_model("lrpe_vit", dataclass=LRPEVisionConfig)
class LRPEVisionModel(BaseFairseqModel):
    """The model that ``experiment=imagenet`` trains, with an average of its weights if asked for.

    In evaluation the average is what answers. It is a part of the model, so that checkpoints hold it and a resumed run
    goes on with it.
    """

    def __init__(self, cfg: LRPEVisionConfig, num_classes: int) -> None:
        super().__init__()
        self.model = VisionTransformer(vision_config(cfg, num_classes))
        spare_from_decay(self.model, positions=not cfg.decay_positions)
        self.average: Average | None = None
        if cfg.average_decay:
            self.average = Average(self.model, cfg.average_decay)
        if cfg.compile:  # in place: a wrapper would enter the checkpoint's names
            self.model.compile()

    @classmethod
    def build_model(cls, cfg: LRPEVisionConfig, task: Any) -> LRPEVisionModel:
        return cls(cfg, len(task.classes))

    def forward(self, images: Tensor) -> Tensor:
        """``(batch, channels, height, width)`` -> logits ``(batch, classes)``."""
        model = self.evaluated
        return model(images.to(model.head.weight.dtype))

    @property
    def evaluated(self) -> VisionTransformer:
        """The trained weights in training, the average, where there is one, in evaluation."""
        return self.model if self.training or self.average is None else self.average.module

    def update_average(self) -> None:
        """To be called after every update."""
        if self.average is not None:
            self.average.update(self.model)


class Average(PreciseModule):
    """average <- decay average + (1 - decay) weights, in float32; after the first update, the weights themselves.

    torch's :class:`~torch.optim.swa_utils.AveragedModel`; buffers (permutations, Householder vectors) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()

        def step(average: Tensor, weight: Tensor, _: Tensor) -> Tensor:
            return average.lerp(weight.to(average.dtype), 1 - decay)

        self.averaged = AveragedModel(model, avg_fn=step)
        self.averaged.requires_grad_(False)

    @property
    def module(self) -> VisionTransformer:
        return self.averaged.module

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.averaged.update_parameters(model)


def spare_from_decay(model: VisionTransformer, *, positions: bool) -> None:
    """Mark what weight decay leaves alone: biases, norms and other vectors, angles, the class token, and ``positions``,
    as DeiT does."""
    spared = model.no_weight_decay()
    for name, parameter in model.named_parameters():
        learned_place = positions and name.startswith("absolute")
        if parameter.ndim <= 1 or name in spared or learned_place:
            parameter.optim_overrides = {"optimizer": {"weight_decay": 0.0}}
