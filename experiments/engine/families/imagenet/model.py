"""``lrpe_vit``: the library's vision transformer as a fairseq model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
from fairseq.models import BaseFairseqModel, register_model
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from experiments.engine.model_config import LRPEModelConfig, library_config
from experiments.engine.weight_decay import spare
from lrpe.encodings.parts.angles import Angles
from lrpe.encodings.parts.precision import PreciseModule
from lrpe.models import VisionConfig, VisionTransformer
from lrpe.models.image_positions import LearnedGrid


@dataclass
class LRPEVisionConfig(LRPEModelConfig):
    average_decay: float = field(default=0.0, metadata={"help": "exponential moving average of the weights; 0: none"})


@register_model("lrpe_vit", dataclass=LRPEVisionConfig)
class LRPEVisionModel(BaseFairseqModel):
    """The model that ``experiment=imagenet`` trains, with an average of its weights if asked for.

    In evaluation the average is what answers. It is a part of the model, so that checkpoints hold it and a resumed run
    goes on with it.
    """

    def __init__(self, cfg: LRPEVisionConfig, num_classes: int) -> None:
        super().__init__()
        self.model = VisionTransformer(library_config(VisionConfig, cfg, num_classes=num_classes))
        spare_from_decay(self.model, positions=not cfg.decay_angles)
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
        return self.model if self.training else self.library_model()

    def library_model(self) -> VisionTransformer:
        """The library's model that answers in evaluation."""
        return self.model if self.average is None else self.average.module

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

        def step(average: Tensor, weight: Tensor, _: Tensor | int) -> Tensor:
            return average.lerp(weight.to(average.dtype), 1 - decay)

        self.averaged = AveragedModel(model, avg_fn=step)
        self.averaged.requires_grad_(False)

    @property
    def module(self) -> VisionTransformer:
        return cast(VisionTransformer, self.averaged.module)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.averaged.update_parameters(model)


def spare_from_decay(model: VisionTransformer, *, positions: bool) -> None:
    """Mark what weight decay leaves alone.

    Always biases, norms and other vectors, the class token, and angles, which are a vector in the authors' code (timm
    spares vectors by their shape). With ``positions``, as DeiT, also learned positions, and what else is named by
    ``no_weight_decay``: SPE's frequencies and offsets, which are no vectors in the authors' code, so that theirs decay.
    """
    spared = model.no_weight_decay()
    angles, grids = (
        {id(parameter) for module in model.modules() if isinstance(module, kind) for parameter in module.parameters()}
        for kind in (Angles, LearnedGrid)
    )
    for name, parameter in model.named_parameters():
        marked = name in spared or id(parameter) in grids
        if parameter.ndim <= 1 or id(parameter) in angles or (positions and marked):
            spare(parameter)
