"""fairseq's language modeling with our data order."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from fairseq.tasks import register_task
from fairseq.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from omegaconf import open_dict

from experiments.engine.families.alm.context import ContextBlocks
from experiments.engine.update_batches import UpdateBatches


@dataclass
class LRPELanguageModelingConfig(LanguageModelingConfig):
    batch_sequences: int = field(default=0, metadata={"help": "sequences per update; 0: fairseq's own order"})
    context_window: int = field(default=0, metadata={"help": "tokens of context of every scored token, in evaluation"})


@register_task("lrpe_language_modeling", dataclass=LRPELanguageModelingConfig)
class LRPELanguageModelingTask(UpdateBatches, LanguageModelingTask):
    """``language_modeling`` whose training batches are parts of updates, and whose other splits are scored with the
    recipe's context window: in the validations of a run as for its record."""

    args: Any  # fairseq calls a config so here

    @property
    def samples_per_update(self) -> int:
        return self.args.batch_sequences

    def load_dataset(self, split: str, *args: Any, **options: Any) -> None:
        window = self.args.context_window
        if split == "train" or not window:
            super().load_dataset(split, *args, **options)
            return
        own = self.args
        self.args = copy.deepcopy(own)
        with open_dict(self.args):
            self.args.tokens_per_sample -= window
        try:
            super().load_dataset(split, *args, **options)
        finally:
            self.args = own
        self.datasets[split] = ContextBlocks(self.datasets[split], window, self.dictionary.pad())
