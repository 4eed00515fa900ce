"""fairseq's language modeling with our data order."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask

from experiments.engine.update_batches import UpdateBatches


@dataclass
class LRPELanguageModelingConfig(LanguageModelingConfig):
    batch_sequences: int = field(default=0, metadata={"help": "sequences an update; 0: fairseq's own order"})


@register_task("lrpe_language_modeling", dataclass=LRPELanguageModelingConfig)
class LRPELanguageModelingTask(UpdateBatches, LanguageModelingTask):
    """``language_modeling`` whose training batches are parts of updates."""

    @property
    def samples_per_update(self) -> int:
        return self.args.batch_sequences
