"""Models that combine the layers; the decoder language model so far."""

from lrpe.models.decoder_lm import DecoderConfig, DecoderLM, DecoderState

__all__ = ["DecoderConfig", "DecoderLM", "DecoderState"]
