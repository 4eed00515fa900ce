"""Models that combine the layers: decoder language model, bidirectional encoder with its heads, vision transformer."""

from lrpe.models.attention import AttentionConfig
from lrpe.models.decoder_lm import DecoderConfig, DecoderLM, DecoderState
from lrpe.models.encoder import BidirectionalEncoder, ClassificationHead, EncoderConfig, MaskedLMHead
from lrpe.models.timm_weights import load_timm_state_dict
from lrpe.models.vision_transformer import VisionConfig, VisionTransformer

__all__ = [
    "AttentionConfig",
    "BidirectionalEncoder",
    "ClassificationHead",
    "DecoderConfig",
    "DecoderLM",
    "DecoderState",
    "EncoderConfig",
    "MaskedLMHead",
    "VisionConfig",
    "VisionTransformer",
    "load_timm_state_dict",
]
