"""fairseq's masked language modeling with our data order, and with one fixed masking for evaluation."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq import utils
from fairseq.data import FairseqDataset, PrependTokenDataset, TokenBlockDataset, data_utils
from fairseq.tasks import register_task
from fairseq.tasks.masked_lm import MaskedLMConfig, MaskedLMTask
from omegaconf import open_dict

from experiments.engine.families.blm.pieces import Pieces
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

    def _load_dataset_split(self, split: str, epoch: int, combine: bool) -> FairseqDataset:
        """Blocks of whole lines, ``<s>`` before each; fairseq's, but for lines longer than a block."""
        path = Path(utils.split_paths(self.cfg.data)[0]) / split
        lines = data_utils.load_indexed_dataset(str(path), self.source_dictionary, combine=combine)
        if lines is None:
            raise FileNotFoundError(f"no split {split} at {path}")
        words = self.source_dictionary
        room = self.cfg.tokens_per_sample - 1  # for <s>
        pieces = Pieces(lines, room)
        blocks = TokenBlockDataset(
            pieces, pieces.sizes, room, pad=words.pad(), eos=words.eos(), break_mode=self.cfg.sample_break_mode
        )
        return PrependTokenDataset(blocks, words.bos())
