"""Bidirectional language modeling on fairseq's ``masked_lm``."""

from experiments.engine.families.blm.family import BidirectionalLM

__all__ = ["BidirectionalLM"]
