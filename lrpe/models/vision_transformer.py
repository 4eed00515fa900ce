"""The vision transformer of the paper's image experiments (DeiT's sizes), for images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.models.attention import AttentionConfig, build_attention
from lrpe.models.block import TransformerBlock
from lrpe.models.fields import bounded
from lrpe.models.image_positions import build_image_positions, grid_positions
from lrpe.models.patches import PatchEmbedding
from lrpe.models.pretrained import Pretrained
from lrpe.weight_decay import DecaySparing

POOLINGS = ("mean", "class_token")
DEPTHS = ("linear", "constant")
INITIALIZATIONS = ("truncated_normal", "torch")


@dataclass(frozen=True)
class VisionConfig(AttentionConfig):
    """Everything that defines a vision transformer. The defaults are DeiT-small with mean pooling.

    Encodings have two axes (row, column); ``axes`` among their options says how angles relate to them.

    Attributes:
        image_size: of training, in pixels; other sizes are possible at any time.
        pooling: mean over patches, or class_token: its output alone, and it has no position.
        drop_path: stochastic depth of the last block (``drop_path_schedule="linear"``, rising from 0 at the first, as
            DeiT) or of every block (``"constant"``, as the authors' code).
        absolute: none, sinusoidal or learned; ``absolute_std`` is the learned ones' start.
        query_bias: of the query, key and value projections (the authors' code has none).
        initialization: truncated_normal (std 0.02, DeiT's) or torch (PyTorch's own, the authors').
    """

    num_classes: int = 1000
    image_size: int = bounded(224, minimum=1)
    patch_size: int = bounded(16, minimum=1)
    channels: int = 3
    num_layers: int = bounded(12, minimum=1, maximum=1000)
    embed_dim: int = bounded(384, minimum=1)
    ffn_dim: int = bounded(1536, minimum=1)
    num_heads: int = bounded(6, minimum=1)
    dropout: float = bounded(0.0, minimum=0, below=1)
    drop_path: float = bounded(0.1, minimum=0, below=1)
    drop_path_schedule: str = bounded("linear", choices=DEPTHS)
    pooling: str = bounded("mean", choices=POOLINGS)
    absolute: str = "none"
    absolute_std: float = bounded(0.02, minimum=0)
    query_bias: bool = True
    norm_eps: float = bounded(1e-6, minimum=0)
    initialization: str = bounded("truncated_normal", choices=INITIALIZATIONS)

    @classmethod
    def tiny(cls, **changes: Any) -> VisionConfig:
        """DeiT-tiny: 192 wide, 3 heads."""
        return cls(**{"embed_dim": 192, "ffn_dim": 768, "num_heads": 3, **changes})

    @classmethod
    def small(cls, **changes: Any) -> VisionConfig:
        """DeiT-small: 384 wide, 6 heads; the only size that the paper's code has."""
        return cls(**changes)

    @classmethod
    def base(cls, **changes: Any) -> VisionConfig:
        """DeiT-base: 768 wide, 12 heads."""
        return cls(**{"embed_dim": 768, "ffn_dim": 3072, "num_heads": 12, **changes})

    @property
    def prefix_tokens(self) -> int:
        """Tokens without a position, before the patches."""
        return int(self.pooling == "class_token")


class VisionTransformer(DecaySparing, Pretrained):
    """Class logits of images: patches, absolute positions, pre-norm blocks, final norm, pooling, linear head.

    Raises:
        ValueError: a config that cannot be built.
    """

    config_kind = VisionConfig
    class_token: nn.Parameter | None

    @drawn_in_float32
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embed_dim
        self.patches = PatchEmbedding(config.patch_size, config.channels, width)
        grid = self.patches.grid(config.image_size, config.image_size)
        self.absolute = build_image_positions(config.absolute, width, grid, config.absolute_std)
        class_token = nn.Parameter(torch.zeros(width)) if config.prefix_tokens else None
        self.register_parameter("class_token", class_token)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            TransformerBlock(
                build_attention(
                    config,
                    index,
                    causal=False,
                    ndim=2,
                    bias=config.query_bias,
                    output_bias=True,
                    prefix_tokens=config.prefix_tokens,
                ),
                config.ffn_dim,
                dropout=config.dropout,
                activation="gelu",
                drop_path=rate,
                norm_eps=config.norm_eps,
            )
            for index, rate in enumerate(drop_path_rates(config))
        )
        self.final_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.head = nn.Linear(width, config.num_classes)
        self._initialize()

    def forward(self, images: Tensor) -> Tensor:
        """``Float[batch channels height width]`` -> logits ``(batch, num_classes)``.

        Height and width are any multiples of the patch size.
        """
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """What the head takes, ``(batch, embed_dim)``."""
        x, positions = self._embed(images)
        for layer in self.layers:
            x = layer(x, positions=positions)
        pooled = x[:, 0] if self.class_token is not None else x.mean(1)
        return self.final_norm(pooled)

    @torch.no_grad()
    def attention_map(self, images: Tensor, layer: int = -1) -> Tensor:
        """Where one layer looks, for pictures: ``Float[batch rows columns]``, averaged over heads and queries (or of
        the class token alone); the weights are those of :meth:`lrpe.attention.LinearAttention.weights`."""
        x, positions = self._embed(images)
        index = range(len(self.layers))[layer]
        for block in self.layers[:index]:
            x = block(x, positions=positions)
        block = cast(TransformerBlock, self.layers[index])
        weights = cast(Any, block.attention).weights(block.attention_norm(x), positions=positions).mean(1)
        free = self.config.prefix_tokens
        weights = weights[:, 0, free:] if free else weights.mean(1)
        return weights.unflatten(1, self.patches.grid(*images.shape[-2:]))

    def _embed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.patches(images)
        grid = self.patches.grid(*images.shape[-2:])
        if self.absolute is not None:
            x = x + self.absolute(grid).to(x.dtype)
        if self.class_token is not None:
            x = torch.cat((self.class_token.to(x.dtype).expand(len(x), 1, -1), x), dim=1)
        return self.dropout(x), grid_positions(grid, images.device)

    def _initialize(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.startswith("patches"):
                if self.config.initialization == "torch":
                    module.reset_parameters()
                    continue
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.class_token is not None:
            nn.init.trunc_normal_(self.class_token, std=0.02)


def drop_path_rates(config: VisionConfig) -> list[float]:
    """The rate of each block.

    Raises:
        ValueError: an unknown schedule.
    """
    if config.drop_path_schedule == "constant":
        return [config.drop_path] * config.num_layers
    last = max(config.num_layers - 1, 1)
    return [config.drop_path * index / last for index in range(config.num_layers)]
