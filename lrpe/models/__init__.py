"""Models that combine the layers: the decoder language model and the vision transformer."""

from lrpe.models.decoder_lm import DecoderConfig, DecoderLM, DecoderState
from lrpe.models.timm_weights import load_timm_state_dict
from lrpe.models.vision_transformer import VisionConfig, VisionTransformer

__all__ = ["DecoderConfig", "DecoderLM", "DecoderState", "VisionConfig", "VisionTransformer", "load_timm_state_dict"]
