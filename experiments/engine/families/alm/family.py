"""How ``experiment=alm`` runs on fairseq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from data_prep.api import load_manifest, unigram_perplexity
from data_prep.core.errors import DataError
from experiments.engine import checkpoints
from experiments.engine.distributed import DistributedContext
from experiments.engine.families.alm import adaptive_loss, cross_entropy, task  # noqa: F401 - register themselves
from experiments.engine.families.alm import model as fairseq_model  # noqa: F401 - registers itself
from experiments.engine.families.alm.evaluation import evaluate
from experiments.engine.families.base import PROBE_WORDS, Counting, Family, Probe
from experiments.engine.families.epochs import validation_interval
from experiments.engine.model_config import library_config, model_section
from experiments.engine.vocabulary import expected_vocabulary_size, vocabulary_size
from experiments.util.errors import UserError
from lrpe.models import DecoderConfig, DecoderLM


class AutoregressiveLM(Family):
    """Perplexity of the next token, in blocks of ``recipe.tokens_per_sample``."""

    name = "alm"
    fairseq_task = "lrpe_language_modeling"

    def task(self, config: DictConfig) -> dict[str, Any]:
        return {
            "_name": self.fairseq_task,
            "data": str(Path(config.data.folder).resolve()),
            "tokens_per_sample": config.recipe.tokens_per_sample,
            "sample_break_mode": "none",
            "context_window": config.recipe.context_window,
            "batch_sequences": config.recipe.batch_size,
        }

    def model(self, config: DictConfig) -> dict[str, Any]:
        return {"_name": "lrpe_lm", **model_section(DecoderConfig, config)}

    def criterion(self, config: DictConfig) -> dict[str, Any]:
        return {"_name": "lrpe_adaptive_loss" if config.model.adaptive_cutoffs else "lrpe_cross_entropy"}

    def sections(self, config: DictConfig) -> dict[str, Any]:
        # adaptive losses refuse torch's DDP
        return {"distributed_training": {"ddp_backend": "legacy_ddp"}} if config.model.adaptive_cutoffs else {}

    def build(self, config: DictConfig) -> nn.Module:
        words = vocabulary_size(Path(config.data.folder))
        return DecoderLM(library_config(DecoderConfig, self.model(config), vocab_size=words, padding_index=1))

    def probe(self, config: DictConfig) -> Probe | None:
        words = expected_vocabulary_size(config.data.name, Path(config.data.folder))
        if words is None:
            return None
        section = model_section(DecoderConfig, config, adaptive_cutoffs=[])
        model = DecoderLM(library_config(DecoderConfig, section, vocab_size=PROBE_WORDS, padding_index=1))
        length, cutoffs = config.recipe.tokens_per_sample, list(config.model.adaptive_cutoffs)
        classes = cutoffs[0] + len(cutoffs) if cutoffs else words
        return Probe(
            model,
            torch.full((1, length), PROBE_WORDS - 1),
            tokens=length,
            words=words,
            tables=1 if config.model.share_input_output else 2,
            tied=config.model.share_input_output,
            classes=classes,
            scored=1.0,
            output_weights=config.model.embed_dim * classes,
        )

    def trial_batch(self, config: DictConfig, fairseq_task: Any, samples: int) -> dict[str, Any]:
        tokens = torch.full((samples, config.recipe.tokens_per_sample), fairseq_task.dictionary.nspecial)
        return {
            "net_input": {"src_tokens": tokens, "src_lengths": torch.full((samples,), tokens.shape[1])},
            "target": tokens.clone(),
            "ntokens": tokens.numel(),
            "nsentences": samples,
        }

    def counting(self, config: DictConfig) -> Counting:
        return Counting("tokens", config.recipe.batch_size * config.recipe.tokens_per_sample)

    def validation_interval(self, config: DictConfig) -> int:
        return validation_interval(config, _training_blocks)

    def score(
        self,
        path: Path,
        split: str,
        *,
        data: Path | None = None,
        samples: int | None = None,
        cuda: bool = False,
        context_window: int | None = None,
        length: int | None = None,
    ) -> dict[str, float]:
        found = evaluate(
            path, split, data=data, context_window=context_window, length=length, sequences=samples, cuda=cuda
        )
        return found.metrics()

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """Loss (nats per token) and perplexity on the validation and the test split, and what a unigram model has."""
        metrics: dict[str, float] = {}
        path, data = folder / "checkpoints" / checkpoints.BEST, Path(config.data.folder).resolve()
        for split in self.splits:
            found = evaluate(path, split, data=data, cuda=place.cuda)
            metrics |= {f"{split}_loss": found.loss, f"{split}_perplexity": found.perplexity}
        metrics["unigram_perplexity"] = unigram_perplexity(Path(config.data.folder), "test")
        return metrics


def _training_blocks(config: DictConfig) -> int:
    try:
        tokens = load_manifest(config.data.folder)["splits"]["train"]["tokens"]
    except DataError as error:
        raise UserError(str(error)) from error
    return -(-tokens // config.recipe.tokens_per_sample)
