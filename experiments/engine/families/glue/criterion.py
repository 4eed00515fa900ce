"""The loss of a sentence task, and the predictions that its metrics are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from experiments.engine import logged

HEAD = "sentence_classification_head"


@dataclass
class LRPESentencePredictionCriterionConfig(FairseqDataclass):
    regression_target: bool = False
    classification_head_name: str = HEAD


@register_criterion("lrpe_sentence_prediction", dataclass=LRPESentencePredictionCriterionConfig)
class LRPESentencePredictionCriterion(FairseqCriterion):
    """-sum log p(class) in nats, or for a regression the sum of squared errors.

    fairseq's own criterion computes metrics with a rounding of one digit in a hundred, by which its best checkpoint is
    then chosen; here they are exact (the task computes them, over the whole split).
    """

    def __init__(self, cfg: LRPESentencePredictionCriterionConfig, task: Any) -> None:
        super().__init__(task)
        self.regression, self.head = cfg.regression_target, cfg.classification_head_name

    def forward(self, model: Any, sample: dict[str, Any], reduce: bool = True) -> tuple[Tensor, int, dict[str, Any]]:
        logits, _ = model(**sample["net_input"], features_only=True, classification_head_name=self.head)
        target = sample["target"].view(-1)
        if self.regression:
            prediction, target = logits.view(-1).float(), target.float()
            loss = F.mse_loss(prediction, target, reduction="sum")
        else:
            prediction = logits.argmax(-1)
            loss = F.cross_entropy(logits.float(), target, reduction="sum")
        output = {
            "loss": loss.data,
            "ntokens": sample["ntokens"],
            "nsentences": len(target),
            "sample_size": len(target),
        }
        if not model.training:
            output |= {"prediction": prediction.detach().cpu(), "target": target.cpu()}
        return loss, len(target), output

    @staticmethod
    def reduce_metrics(logging_outputs: Sequence[Mapping[str, Any]]) -> None:
        size = sum(output.get("sample_size", 0) for output in logging_outputs)
        loss = sum(logged.number(output.get("loss", 0)) for output in logging_outputs)
        metrics.log_scalar("loss", loss / size / math.log(2), size, round=6)  # fairseq counts in bits
        for name in ("prediction", "target"):
            found = [output[name] for output in logging_outputs if name in output]
            if found:  # a leading _ keeps them out of the statistics that are shown
                metrics.log_concat_tensor(f"_{name}", torch.cat(found))

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return False  # predictions are gathered
