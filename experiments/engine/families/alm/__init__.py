"""Autoregressive language modeling on fairseq's ``language_modeling``."""

from experiments.engine.families.alm.family import AutoregressiveLM

__all__ = ["AutoregressiveLM"]
