"""fairseq's masked language modelling with our data order, and with one fixed masking for evaluation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from fairseq.tasks import register_task
from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask
from omegaconf import open_dict

from experiments.engine.update_batches import UpdateBatches

EVALUATION_SEED = 1


@dataclass
class LRPEMaskedLMConfig(MaskedLMConfig):
    batch_sequences: int = field(default=0, metadata={"help": "sequences an update; 0: fairseq's own order"})


@register_task("lrpe_masked_lm", dataclass=LRPEMaskedLMConfig)
class LRPEMaskedLMTask(UpdateBatches, MaskedLMTask):
    """``masked_lm`` whose training batches are parts of updates. Splits other than train are masked alike in every run,
    whatever its seed: their perplexities are of the same tokens."""

    @property
    def samples_per_update(self) -> int:
        return self.cfg.batch_sequences

    def load_dataset(self, split: str, *args: Any, **options: Any) -> None:
        own = self.cfg
        if split != "train":
            self.cfg = copy.deepcopy(own)
            with open_dict(self.cfg):
                self.cfg.seed = EVALUATION_SEED
        try:
            super().load_dataset(split, *args, **options)
        finally:
            self.cfg = own
