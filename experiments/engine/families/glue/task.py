"""fairseq's sentence prediction with our data order, exact metrics, and a pretrained start that says what was new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairseq import models
from fairseq.data import NumelDataset, RightPadDataset, data_utils
from fairseq.logging import metrics
from fairseq.tasks import register_task
from fairseq.tasks.sentence_prediction import SentencePredictionConfig, SentencePredictionTask

from experiments.engine.families.glue.joined import JoinedSentences
from experiments.engine.families.glue.metrics import measure
from experiments.engine.families.glue.pretrained import load_pretrained
from experiments.engine.update_batches import UpdateBatches


@dataclass
class LRPESentencePredictionConfig(SentencePredictionConfig):
    batch_sentences: int = field(default=0, metadata={"help": "examples an update; 0: fairseq's own order"})
    metrics: str = field(default="accuracy", metadata={"help": "names, comma-separated"})
    head_dropout: float = field(default=0.0, metadata={"help": "dropout of the classification head"})
    pretrained: str | None = field(default=None, metadata={"help": "checkpoint to start from"})


@register_task("lrpe_sentence_prediction", dataclass=LRPESentencePredictionConfig)
class LRPESentencePredictionTask(UpdateBatches, SentencePredictionTask):
    """``sentence_prediction`` whose training batches are parts of updates."""

    cfg: Any

    @property
    def samples_per_update(self) -> int:
        return self.cfg.batch_sentences

    def load_dataset(self, split: str, combine: bool = False, **kwargs: Any) -> Any:
        """fairseq's examples, but a text that is too long loses words of its longer sentence and no special token."""
        found = super().load_dataset(split, combine, **kwargs)
        parts = [Path(self.cfg.data) / f"input{part}" / split for part in (0, 1)]
        texts = JoinedSentences(
            [
                data_utils.load_indexed_dataset(str(part), self.source_dictionary, combine=combine)
                for part in parts
                if part.with_suffix(".idx").exists()
            ],
            self.cfg.max_positions,
        )
        nested = found.dataset  # below the order in which fairseq shuffles
        nested.defn["net_input.src_tokens"] = RightPadDataset(texts, pad_idx=self.source_dictionary.pad())
        nested.defn["net_input.src_lengths"] = NumelDataset(texts, reduce=False)
        nested.defn["ntokens"] = NumelDataset(texts, reduce=True)
        nested.sizes = [texts.sizes]
        return found

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """The encoder with a head; its learned positions are as many as in pretraining, whatever the longest text."""
        model = models.build_model(cfg, self, from_checkpoint)
        name = self.cfg.classification_head_name
        model.register_classification_head(name, num_classes=self.cfg.num_classes, dropout=self.cfg.head_dropout)
        model.spare()
        if self.cfg.pretrained and not from_checkpoint:
            load_pretrained(model, Path(self.cfg.pretrained))
        return model

    def reduce_metrics(self, logging_outputs: Sequence[dict[str, Any]], criterion: Any) -> None:
        super().reduce_metrics(logging_outputs, criterion)
        if not any("prediction" in output for output in logging_outputs):
            return
        for name in self.cfg.metrics.split(","):
            metrics.log_derived(name, lambda meters, name=name: self._measure(name, meters))

    @staticmethod
    def _measure(name: str, meters: Any) -> float:
        prediction, target = (meters[part].tensor.numpy() for part in ("_prediction", "_target"))
        return measure([name], prediction, target)[name]
