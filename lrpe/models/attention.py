"""What of a model's config is its attention, and the layer that a block gets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lrpe.attention import LinearAttention, SoftmaxAttention
from lrpe.encodings import encoding_options
from lrpe.models.fields import bounded, check_fields


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """The fields of a model's config that its attention is made of.

    Attributes:
        attention: ``linear``, or ``softmax`` as the quadratic reference.
        feature_map, feature_map_options, normalizer, denominator_from, denominator_eps: of linear attention, see
            :class:`lrpe.attention.LinearAttention`.
        mask_padding: padded keys contribute nothing.
        encoding: ``{"name": ..., **options}`` of :func:`lrpe.encodings.build_encoding`; every layer builds its
            own.
    """

    attention: str = bounded("linear", choices=("linear", "softmax"))
    feature_map: str = "1+elu"
    feature_map_options: Mapping[str, Any] = field(default_factory=dict)
    normalizer: str = "layernorm"
    denominator_from: str = bounded("encoded", choices=("encoded", "plain"))
    denominator_eps: float = bounded(1e-6, minimum=0)
    mask_padding: bool = True
    encoding: Mapping[str, Any] = field(default_factory=lambda: {"name": "none"})

    def __post_init__(self) -> None:
        check_fields(self)


def build_attention(
    config: Any, layer: int, *, causal: bool, ndim: int = 1, **options: Any
) -> LinearAttention | SoftmaxAttention:
    """The attention of layer ``layer`` (from 0), with an encoding of its own.

    Args:
        config: an :class:`AttentionConfig` that also has ``num_layers``, ``embed_dim`` and ``num_heads``.
        layer: its number.
        causal: attend to the past only.
        ndim: dimensions of a position.
        options: of both kinds of layer.

    Raises:
        ValueError: an unknown kind of attention, or what the layer itself refuses.
    """
    encoding = dict(config.encoding)
    if "layer_fraction" in encoding_options(encoding["name"]):  # LRPE-d decays less in higher layers
        encoding.setdefault("layer_fraction", layer / config.num_layers)
    if ndim > 1:
        if "ndim" not in encoding_options(encoding["name"]):
            raise ValueError(f"encoding {encoding['name']!r} has no option 'ndim', so it encodes sequences alone")
        encoding.setdefault("ndim", ndim)
    common = {"encoding": encoding, "causal": causal, "mask_padding": config.mask_padding, **options}
    if config.attention == "softmax":
        return SoftmaxAttention(config.embed_dim, config.num_heads, **common)
    return LinearAttention(
        config.embed_dim,
        config.num_heads,
        feature_map=config.feature_map,
        feature_map_options=config.feature_map_options,
        normalizer=config.normalizer,
        denominator_from=config.denominator_from,
        eps=config.denominator_eps,
        **common,
    )
