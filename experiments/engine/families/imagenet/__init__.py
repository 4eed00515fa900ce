"""Image classification: a fairseq task of ours around timm's data pipeline."""

from experiments.engine.families.imagenet.family import ImageClassification

__all__ = ["ImageClassification"]
