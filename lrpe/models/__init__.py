"""Models that combine the layers: decoder language model, bidirectional encoder with its heads, vision transformer."""

from lrpe.models.attention import AttentionConfig
from lrpe.models.decoder_lm import DecoderConfig, DecoderLM, DecoderState
from lrpe.models.encoder import BidirectionalEncoder, ClassificationHead, EncoderConfig, MaskedLMHead
from lrpe.models.encoder_models import ClassifierConfig, MaskedLM, TextClassifier
from lrpe.models.timm_weights import load_timm_state_dict
from lrpe.models.vision_transformer import VisionConfig, VisionTransformer

__all__ = [
    "AttentionConfig",
    "BidirectionalEncoder",
    "ClassificationHead",
    "ClassifierConfig",
    "DecoderConfig",
    "DecoderLM",
    "DecoderState",
    "EncoderConfig",
    "MaskedLM",
    "MaskedLMHead",
    "TextClassifier",
    "VisionConfig",
    "VisionTransformer",
    "load_timm_state_dict",
]
