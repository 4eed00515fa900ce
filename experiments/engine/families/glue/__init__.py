"""Fine-tuning on sentence tasks on fairseq's ``sentence_prediction``."""

from experiments.engine.families.glue.family import SentenceClassification

__all__ = ["SentenceClassification"]
