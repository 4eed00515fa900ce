"""From a model's config to the attention layer of one of its blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lrpe.attention import LinearAttention, SoftmaxAttention
from lrpe.encodings import encoding_options


class AttentionConfig(Protocol):
    """The fields of a model's config that its attention is made of."""

    num_layers: int
    embed_dim: int
    num_heads: int
    attention: str
    feature_map: str
    feature_map_options: Mapping[str, Any]
    normaliser: str
    denominator_from: str
    mask_padding: bool
    encoding: Mapping[str, Any]


def build_attention(config: AttentionConfig, layer: int, *, causal: bool) -> LinearAttention | SoftmaxAttention:
    """The attention of layer ``layer`` (from 0), with an encoding of its own.

    Raises:
        ValueError: an unknown kind of attention, or what the layer itself refuses.
    """
    encoding = dict(config.encoding)
    if "layer_fraction" in encoding_options(encoding["name"]):  # LRPE-d decays less in higher layers
        encoding.setdefault("layer_fraction", layer / config.num_layers)
    common: dict[str, Any] = {"encoding": encoding, "causal": causal, "mask_padding": config.mask_padding}
    if config.attention == "softmax":
        return SoftmaxAttention(config.embed_dim, config.num_heads, **common)
    if config.attention != "linear":
        raise ValueError(f"attention={config.attention!r}: expected linear or softmax")
    return LinearAttention(
        config.embed_dim,
        config.num_heads,
        feature_map=config.feature_map,
        feature_map_options=config.feature_map_options,
        normaliser=config.normaliser,
        denominator_from=config.denominator_from,
        **common,
    )
