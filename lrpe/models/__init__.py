"""Models that combine the layers: the decoder language model and the bidirectional encoder with its heads."""

from lrpe.models.decoder_lm import DecoderConfig, DecoderLM, DecoderState
from lrpe.models.encoder import BidirectionalEncoder, ClassificationHead, EncoderConfig, MaskedLMHead

__all__ = [
    "BidirectionalEncoder",
    "ClassificationHead",
    "DecoderConfig",
    "DecoderLM",
    "DecoderState",
    "EncoderConfig",
    "MaskedLMHead",
]
