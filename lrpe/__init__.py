"""Linearized relative positional encoding: encodings, linear attention and models in plain PyTorch."""

from lrpe.attention import LinearAttention, SoftmaxAttention
from lrpe.encodings import ENCODINGS, LRPE, build_encoding
from lrpe.models import (
    BidirectionalEncoder,
    DecoderConfig,
    DecoderLM,
    EncoderConfig,
    MaskedLM,
    TextClassifier,
    VisionConfig,
    VisionTransformer,
)
from lrpe.ops import backend, linear_attention
from lrpe.weight_decay import no_weight_decay

__version__ = "0.1.0"

__all__ = [
    "ENCODINGS",
    "LRPE",
    "BidirectionalEncoder",
    "DecoderConfig",
    "DecoderLM",
    "EncoderConfig",
    "LinearAttention",
    "MaskedLM",
    "SoftmaxAttention",
    "TextClassifier",
    "VisionConfig",
    "VisionTransformer",
    "backend",
    "build_encoding",
    "linear_attention",
    "no_weight_decay",
]
