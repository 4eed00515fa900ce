"""How ``experiment=glue`` runs on fairseq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from data_prep.api import TASKS, load_manifest
from data_prep.core.manifest import sha256_of
from experiments.config.identity import pretrained_checkpoint, pretraining_identity
from experiments.config.pretraining import pretraining_config
from experiments.engine import checkpoints
from experiments.engine.distributed import DistributedContext
from experiments.engine.families.base import PROBE_WORDS, Counting, Family, Probe
from experiments.engine.families.blm.family import MASK_SYMBOLS, build_encoder, encoder_section, probed_encoder
from experiments.engine.families.glue import task  # noqa: F401 - registers itself
from experiments.engine.families.glue.answers import write_answers
from experiments.engine.families.glue.criterion import HEAD
from experiments.engine.families.glue.joined import BEGIN, SEPARATOR, count_cut
from experiments.engine.families.glue.metrics import mean, measure
from experiments.engine.families.glue.prediction import predict
from experiments.engine.families.glue.pretrained import compare
from experiments.engine.vocabulary import expected_vocabulary_size
from experiments.util.errors import UserError


class SentenceClassification(Family):
    """A sentence task from a pretrained encoder; scored on the validation splits, answered on the test splits."""

    name = "glue"
    fairseq_task = "lrpe_sentence_prediction"
    splits = ("valid",)

    def task(self, config: DictConfig) -> dict[str, Any]:
        facts, start = TASKS[config.task.name], pretrained_checkpoint(config)
        return {
            "_name": self.fairseq_task,
            "data": str(Path(config.data.folder).resolve()),
            "num_classes": len(facts.labels) or 1,
            "init_token": BEGIN,
            "separator_token": SEPARATOR,
            "max_positions": config.recipe.max_length,
            "regression_target": facts.regression,
            "classification_head_name": HEAD,
            "batch_sentences": config.recipe.batch_size,
            "metrics": ",".join(facts.metrics),
            "head_dropout": config.recipe.head_dropout,
            "pretrained": str(start) if start else None,
        }

    def model(self, config: DictConfig) -> dict[str, Any]:
        return {**encoder_section(config), "masked_lm_head": False}

    def criterion(self, config: DictConfig) -> dict[str, Any]:
        regression = TASKS[config.task.name].regression
        return {"_name": "lrpe_sentence_prediction", "regression_target": regression, "classification_head_name": HEAD}

    def selection(self, config: DictConfig) -> tuple[str, bool]:
        return config.task.metric, True

    def build(self, config: DictConfig) -> nn.Module:
        model = build_encoder(config, Path(config.data.folder), masked_lm_head=False)
        model.register_classification_head(HEAD, num_classes=len(TASKS[config.task.name].labels) or 1)
        return model

    def probe(self, config: DictConfig) -> Probe | None:
        data, pretraining = Path(config.data.folder), config.pretraining.data.name
        words = expected_vocabulary_size(config.data.name, data) or expected_vocabulary_size(pretraining, data)
        if words is None:
            return None
        length, width = config.recipe.max_length, config.model.embed_dim
        classes = len(TASKS[config.task.name].labels) or 1
        prepared = (data / "manifest.json").is_file()
        mean = self.counting(config).speed_units / config.recipe.batch_size if prepared else None
        return Probe(
            probed_encoder(config),
            torch.full((1, length), PROBE_WORDS - 1),
            tokens=length,
            mean_tokens=mean,
            words=words + MASK_SYMBOLS,
            classes=classes,
            scored=1 / length,
            output_weights=width * (width + classes) / (mean or length),
        )

    def trial_batch(self, config: DictConfig, fairseq_task: Any, samples: int) -> dict[str, Any]:
        tokens = torch.full((samples, config.recipe.max_length), fairseq_task.source_dictionary.nspecial)
        regression = TASKS[config.task.name].regression
        return {
            "net_input": {"src_tokens": tokens, "src_lengths": torch.full((samples,), tokens.shape[1])},
            "target": torch.zeros(samples, 1, dtype=torch.float32 if regression else torch.int64),
            "ntokens": tokens.numel(),
            "nsentences": samples,
        }

    def counting(self, config: DictConfig) -> Counting:
        train = load_manifest(Path(config.data.folder))["splits"]["train"]
        length = train["tokens"] / train["rows"] + 1  # with <s>
        return Counting(
            "sentences",
            config.recipe.batch_size,
            perplexity=False,
            metrics=TASKS[config.task.name].metrics,
            tokens=round(config.recipe.batch_size * min(length, config.recipe.max_length)),
        )

    def requirements(self, config: DictConfig) -> list[DictConfig]:
        return [pretraining_config(config)] if config.pretraining.start == "run" else []

    def describe(self, config: DictConfig) -> dict[str, Any]:
        """How many examples are cut, and the start of the fine-tuning: its run, its checksum, and which weights were
        new."""
        return {**self._cut(config), **self._start(config)}

    def _cut(self, config: DictConfig) -> dict[str, Any]:
        data, longest = Path(config.data.folder), config.recipe.max_length
        sentences = len(TASKS[config.task.name].sentences)
        splits = load_manifest(data)["splits"]
        cut = {split: count_cut(data, split, sentences, longest) for split in splits}
        return {"cut": {"max_length": longest, **{split: f"{cut[split]} of {splits[split]['rows']}" for split in cut}}}

    def _start(self, config: DictConfig) -> dict[str, Any]:
        start = pretrained_checkpoint(config)
        if start is None:
            return super().describe(config) | {"pretrained": {"start": "scratch"}}
        transfer = compare(self.build(config).state_dict(), checkpoints.read(start)["model"], start)
        known = pretraining_identity(config)
        return super().describe(config) | {
            "pretrained": {
                **known,
                "checkpoint": str(start),
                "checkpoint_sha256": sha256_of(start),
                "taken": len(transfer.taken),
                "new": list(transfer.new),
                "unused": list(transfer.unused),
            }
        }

    def score(
        self, path: Path, split: str, *, data: Path | None = None, samples: int | None = None, cuda: bool = False
    ) -> dict[str, float]:
        found = predict(path, split, data=data, sentences=samples, cuda=cuda)
        if found.target is None or found.loss is None:
            raise UserError(f"split={split}: GLUE does not publish its labels; its answers are in the run's folder")
        return {"loss": found.loss, **measure(found.metrics, found.answer, found.target)}

    def final_metrics(self, config: DictConfig, folder: Path, place: DistributedContext) -> dict[str, float]:
        """Loss and metrics on every labeled split, ``valid_score`` (the mean of the task's metrics over its validation
        splits, as GLUE averages), and the answers for the test splits as files."""
        facts, path = TASKS[config.task.name], folder / "checkpoints" / checkpoints.BEST
        data = Path(config.data.folder).resolve()
        splits = load_manifest(data)["splits"]
        metrics: dict[str, float] = {}
        for split in (name for name in splits if name != "train"):
            found = predict(path, split, data=data, cuda=place.cuda)
            if found.target is None or found.loss is None:
                write_answers(folder, facts, split, data, found.answer)
                continue
            measured = measure(facts.metrics, found.answer, found.target)
            metrics |= {f"{split}_{name}": value for name, value in measured.items()}
            metrics[f"{split}_loss"] = found.loss
        of_valid = [value for key, value in metrics.items() if key.startswith("valid") and not key.endswith("_loss")]
        metrics["valid_score"] = mean(of_valid)
        return metrics
