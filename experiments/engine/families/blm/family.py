"""How ``experiment=blm`` runs on fairseq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from data_prep.api import unigram_perplexity
from experiments.engine.distributed import DistributedContext
from experiments.engine.families.base import PROBE_WORDS, Counting, Family, attention_fields
from experiments.engine.families.blm import cross_entropy, task  # noqa: F401 - register themselves
from experiments.engine.families.blm.evaluation import evaluate
from experiments.engine.families.blm.model import LRPEEncoder, encoder_config
from experiments.engine.vocabulary import vocabulary_size

FIELDS = (
    "num_layers", "embed_dim", "ffn_dim", "num_heads", "dropout", "attention_dropout", "activation_dropout",
    "normalize_before", "max_positions",
)  # fmt: skip
MASK_SYMBOLS = 1


def encoder_section(config: DictConfig) -> dict[str, Any]:
    """fairseq's ``model`` section of an encoder, with its masked-LM head."""
    return {"_name": "lrpe_encoder", **{name: config.model[name] for name in FIELDS}, **attention_fields(config)}


def build_encoder(config: DictConfig, words: Path, masked_lm_head: bool) -> LRPEEncoder:
    """The encoder of a config; ``words`` is a folder with the ``dict.txt`` of its corpus, to which ``<mask>`` comes."""
    section = DictConfig(encoder_section(config))
    size = vocabulary_size(words) + MASK_SYMBOLS
    return LRPEEncoder(encoder_config(section, size, padding_index=1), masked_lm_head)


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
            "sample_break_mode": "complete",
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

    def probe(self, config: DictConfig) -> tuple[nn.Module, Tensor]:
        section = DictConfig(encoder_section(config))
        model = LRPEEncoder(encoder_config(section, PROBE_WORDS, padding_index=1), masked_lm_head=True)
        return model.encoder, torch.full((1, config.recipe.tokens_per_sample), PROBE_WORDS - 1)

    def counting(self, config: DictConfig) -> Counting:
        return Counting("tokens", config.recipe.batch_size * config.recipe.tokens_per_sample)

    def score(
        self, path: Path, split: str, *, data: Path | None = None, samples: int | None = None, cuda: bool = False
    ) -> dict[str, float]:
        return evaluate(path, split, data=data, sequences=samples, cuda=cuda).metrics()

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """Loss (nats a masked token) and perplexity on the validation and the test split, and what a unigram model has
        (over all tokens of the test split)."""
        found = super().final_metrics(config, folder, place)
        return found | {"unigram_perplexity": unigram_perplexity(Path(config.data.folder), "test")}
