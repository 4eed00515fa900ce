"""fairseq's masked language modeling with our data order, and with one fixed masking for evaluation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fairseq import utils
from fairseq.tasks import register_task
from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask
from omegaconf import open_dict

from experiments.engine.families.blm.blocks import load_blocks
from experiments.engine.families.blm.masked import MaskedPositions
from experiments.engine.update_batches import UpdateBatches, update_batches

EVALUATION_SEED = 1


@dataclass
class LRPEMaskedLMConfig(MaskedLMConfig):
    batch_sequences: int = field(default=0, metadata={"help": "sequences per update; 0: fairseq's own order"})


@register_task("lrpe_masked_lm", dataclass=LRPEMaskedLMConfig)
class LRPEMaskedLMTask(UpdateBatches, MaskedLMTask):
    """``masked_lm`` whose training batches are parts of updates, sorted by length within each. Splits other than train
    are masked alike in every run, whatever its seed: their perplexities are of the same tokens."""

    cfg: Any

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
        self.datasets[split] = MaskedPositions(self.datasets[split], self.source_dictionary.pad())

    def _load_dataset_split(self, split: str, epoch: int, combine: bool) -> Any:
        folder, cfg = Path(utils.split_paths(self.cfg.data)[0]), self.cfg
        words, mode = self.source_dictionary, cfg.sample_break_mode
        blocks = load_blocks(folder, split, words, cfg.tokens_per_sample, mode, combine)
        if split == "train":
            self.lengths = np.asarray(blocks.sizes).astype(np.int64)
        return blocks

    def epoch_batches(self, samples: int, samples_per_pass: int, seed: int, epoch: int) -> list[np.ndarray]:
        return update_batches(samples, self.samples_per_update, samples_per_pass, seed, epoch, self.lengths)
