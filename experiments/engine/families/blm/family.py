"""How ``experiment=blm`` runs on fairseq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from fairseq.data import Dictionary
from omegaconf import DictConfig
from torch import nn

from data_prep.api import unigram_perplexity
from experiments.engine.distributed import DistributedContext
from experiments.engine.families.base import PROBE_WORDS, Counting, Family, Probe
from experiments.engine.families.blm import cross_entropy, task  # noqa: F401 - register themselves
from experiments.engine.families.blm.blocks import load_blocks
from experiments.engine.families.blm.evaluation import evaluate
from experiments.engine.families.blm.masked import MASKED
from experiments.engine.families.blm.model import LRPEEncoder
from experiments.engine.families.epochs import validation_interval
from experiments.engine.model_config import library_config, model_section
from experiments.engine.vocabulary import expected_vocabulary_size, vocabulary_size
from experiments.util.errors import UserError
from lrpe.models import EncoderConfig

MASK_SYMBOLS = 1
BREAK_MODE = "complete"


def encoder_section(config: DictConfig) -> dict[str, Any]:
    """fairseq's ``model`` section of an encoder, with its masked-LM head."""
    return {"_name": "lrpe_encoder", **model_section(EncoderConfig, config)}


def build_encoder(config: DictConfig, words: Path, masked_lm_head: bool) -> LRPEEncoder:
    """The encoder of a config; ``words`` is a folder with the ``dict.txt`` of its corpus, to which ``<mask>`` comes."""
    size = vocabulary_size(words) + MASK_SYMBOLS
    section = encoder_section(config)
    return LRPEEncoder(library_config(EncoderConfig, section, vocab_size=size, padding_index=1), masked_lm_head)


def probed_encoder(config: DictConfig) -> nn.Module:
    """The encoder of a config with few words."""
    own = {"vocab_size": PROBE_WORDS, "padding_index": 1}
    return LRPEEncoder(library_config(EncoderConfig, encoder_section(config), **own), masked_lm_head=False).encoder


class BidirectionalLM(Family):
    """Perplexity of masked tokens, in blocks of whole lines up to ``recipe.tokens_per_sample``."""

    name = "blm"
    fairseq_task = "lrpe_masked_lm"

    def task(self, config: DictConfig) -> dict[str, Any]:
        recipe = config.recipe
        return {
            "_name": self.fairseq_task,
            "data": str(Path(config.data.folder).resolve()),
            "tokens_per_sample": recipe.tokens_per_sample,
            "sample_break_mode": BREAK_MODE,
            "mask_prob": recipe.mask_probability,
            "leave_unmasked_prob": recipe.leave_unmasked_probability,
            "random_token_prob": recipe.random_token_probability,
            "batch_sequences": recipe.batch_size,
        }

    def model(self, config: DictConfig) -> dict[str, Any]:
        return encoder_section(config)

    def criterion(self, config: DictConfig) -> dict[str, Any]:
        return {"_name": "lrpe_masked_cross_entropy"}

    def build(self, config: DictConfig) -> nn.Module:
        return build_encoder(config, Path(config.data.folder), masked_lm_head=True)

    def probe(self, config: DictConfig) -> Probe | None:
        words = expected_vocabulary_size(config.data.name, Path(config.data.folder))
        if words is None:
            return None
        length, scored = config.recipe.tokens_per_sample, config.recipe.mask_probability
        classes = words + MASK_SYMBOLS
        return Probe(
            probed_encoder(config),
            torch.full((1, length), PROBE_WORDS - 1),
            tokens=length,
            words=classes,
            tied=True,
            classes=classes,
            scored=scored,
            output_weights=scored * config.model.embed_dim * classes,
        )

    def trial_batch(self, config: DictConfig, fairseq_task: Any, samples: int) -> dict[str, Any]:
        words = fairseq_task.source_dictionary
        tokens = torch.full((samples, config.recipe.tokens_per_sample), words.nspecial)
        masked = torch.arange(round(config.recipe.mask_probability * tokens.numel()))
        target = torch.full_like(tokens, words.pad())
        target.view(-1)[masked] = words.nspecial
        return {
            "net_input": {"src_tokens": tokens, "src_lengths": torch.full((samples,), tokens.shape[1])},
            "target": target,
            MASKED: masked,
            "ntokens": tokens.numel(),
            "nsentences": samples,
        }

    def counting(self, config: DictConfig) -> Counting:
        return Counting("tokens", config.recipe.batch_size * config.recipe.tokens_per_sample)

    def validation_interval(self, config: DictConfig) -> int:
        return validation_interval(config, self._training_blocks)

    def _training_blocks(self, config: DictConfig) -> int:
        """Whole lines are put into blocks, so the tokens alone do not tell how many."""
        folder, tokens = Path(config.data.folder), config.recipe.tokens_per_sample
        if not (folder / "dict.txt").exists():
            raise UserError(f"data={config.data.name}: {folder} holds no prepared text; prepare it first")
        words = Dictionary.load(str(folder / "dict.txt"))
        return len(load_blocks(folder, "train", words, tokens, BREAK_MODE))

    def score(
        self, path: Path, split: str, *, data: Path | None = None, samples: int | None = None, cuda: bool = False
    ) -> dict[str, float]:
        return evaluate(path, split, data=data, sequences=samples, cuda=cuda).metrics()

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """Loss (nats a masked token) and perplexity on the validation and the test split, and what a unigram model has
        (over all tokens of the test split)."""
        found = super().final_metrics(config, folder, place)
        return found | {"unigram_perplexity": unigram_perplexity(Path(config.data.folder), "test")}
